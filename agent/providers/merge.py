"""Owns the merging of a streamed answer: whatever shape a server gives its deltas, one answer."""

from collections.abc import Callable, Collection, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from agent.errors import Fault, ModelError
from agent.messages import Answer, Usage
from agent.model import CallDelta, Chunk, Finish, Finished, ReasoningDelta, TextDelta, ToolOffer
from agent.providers.calls import Calls
from agent.providers.offers import Offers
from agent.providers.repair import Repairs
from agent.providers.sieve import Piece
from agent.providers.words import Words
from agent.safe import mended

_LARGEST = 64 << 20  # characters of one answer
_REASONING_KEYS = ("reasoning_content", "reasoning")
_LENGTH = {"length", "max_tokens", "max_output_tokens"}
_CALLED = {"tool_calls", "function_call"}
_FAILED = {
    "content_filter": ("the provider's content filter stopped the answer; say it in other words", Fault.REFUSED),
    "error": ("the server broke off the answer with an error", Fault.GARBLED),
    "abort": ("the server broke off the answer", Fault.CUT),
    "insufficient_system_resource": ("the server broke off the answer for lack of resources", Fault.OVERLOADED),
}


class Merge:
    """Takes in the events of one answer and makes chunks of them. `fault` reads an error that stands among them.

    Calls of `tools` are found in the words too, and where `as_json` also those without marks. Where `thinking`, the words begin
    within thinking that nothing opens.
    """

    __slots__ = (
        "_calls", "_closed", "_current", "_fault", "_fresh", "_leaked", "_over", "_reason", "_reasoning", "_reasoning_key",
        "_repairs", "_said", "_text", "_thought", "_usage", "model",
    )  # fmt: skip

    def __init__(
        self,
        fault: Callable[[object], ModelError],
        tools: Sequence[ToolOffer] = (),
        *,
        thinking: bool = False,
        as_json: bool = True,
    ) -> None:
        self._fault = fault
        offers = Offers(tools, as_json=as_json)
        self._text = Words(offers, thinking=thinking)
        self._reasoning = Words(offers, thinking=True)
        self._current = self._text
        self._reasoning_key = ""
        self._calls = Calls()
        self._repairs = Repairs()
        self._fresh: list[Piece] = []
        self._said: list[str] = []
        self._thought: list[str] = []
        self._reason = ""
        self._usage: object = None
        self._over = ""  # what there was too much of
        self._closed = False
        self._leaked = False
        self.model = ""

    @property
    def ended(self) -> bool:
        """Whether the server said why it stopped: from then on the answer is whole."""
        return bool(self._reason or self._over)

    @property
    def flooded(self) -> bool:
        """Whether the answer was endless, and nothing more of it is wanted."""
        return bool(self._over)

    @property
    def nothing(self) -> bool:
        """Whether a whole answer said and called nothing, for which thinking does not account, or lost its calls."""
        if self._reason in _FAILED or self._reason in _LENGTH or self._over or self._calls.real:
            return False
        if "".join(self._said).strip():
            return self._reason in _CALLED
        return not self._thought or bool(self._calls) or self._reason in _CALLED

    @property
    def thinks_unopened(self) -> bool:
        """Whether the words began within thinking that nothing opened, and that came to its end."""
        return self._text.sieve.ended and not self._text.sieve.opened and not self._reasoning.size

    def take(self, event: Any) -> None:
        """Take in one event. Raises ModelError where it tells of an error."""
        if not isinstance(event, dict) or self._over:
            return
        choices = event.get("choices")
        if choices and isinstance(choices, list) and isinstance(choice := choices[0], dict):
            delta = choice.get("delta")
            if isinstance(delta, dict):
                content = delta.get("content")
                if len(delta) == 1 and isinstance(content, str):
                    self._take_words(self._text, content)
                else:
                    self._take_rest(delta, content)
            elif isinstance(message := choice.get("message"), dict) and not self._begun():
                self._take_rest(message, message.get("content"))
            if reason := choice.get("finish_reason"):
                self._reason = str(reason)
            if usage := choice.get("usage"):
                self._take_usage(usage)
        if usage := event.get("usage"):
            self._take_usage(usage)
        if not self.model and isinstance(model := event.get("model"), str):
            self.model = mended(model)[:200]
        if error := event.get("error"):
            raise self._fault(error)
        if event.get("object") == "error":
            raise self._fault(event)

    def told(self) -> list[Chunk]:
        """Return what came since the last time, adjacent words in one piece. Raises ModelError for an endless answer."""
        self._tell(self._current.tell())
        chunks: list[Chunk] = []
        for thinking, pieces in groupby(self._fresh, key=itemgetter(0)):
            text = "".join(text for _, text in pieces)
            chunks.append(ReasoningDelta(text) if thinking else TextDelta(text))
        self._fresh.clear()
        if self._calls:
            chunks += [CallDelta(name, size) for name, size in self._calls.told()]
        for words in (self._text, self._reasoning):
            if words.sieve.caught and not self._calls and (name := words.sieve.writing()):
                chunks.append(CallDelta(name, words.sieve.size))
        if self._text.size + self._reasoning.size + self._calls.size > _LARGEST:
            raise ModelError(f"the answer is longer than {_LARGEST} characters", Fault.GARBLED)
        return chunks

    def close(self) -> None:
        """Decide on what was held, as nothing more comes: words, or calls that stood among them."""
        if self._closed:
            return
        self._closed = True
        self._tell(self._current.tell())
        structured = self._calls.real
        alone = self._text.sieve.blank
        for words in (self._reasoning, self._text):
            beside = words is self._reasoning and self._current is self._text and not alone
            self._tell(words.close(structured=structured, alone=alone, beside=beside))
        thought, text = self._reasoning.sieve, self._text.sieve
        found = [*thought.found, *text.found]
        self._leaked = bool(found)
        for call in found:
            self._calls.add(call.name, call.arguments, call.id)
        self._over = self._over or self._calls.over
        plain = thought.plain + text.plain
        if marked := len(found) - plain:
            self._repairs.add("leaked_call", f"calls stood as markup in what the model said: {marked}")
        if plain:
            self._repairs.add("fenced_call", f"calls stood as JSON in what the model said: {plain}")
        left_out = [*sorted(thought.left_out | text.left_out), *(["calls"] if thought.dropped or text.dropped else [])]
        if left_out:
            self._repairs.add("markup", f"what the model said held marks of {' and of '.join(left_out)}")
        if self._over:
            self._repairs.add("flood", f"the answer ran into {self._over}, and was cut there")

    def finished(self, names: Collection[str], taken: Collection[str], model: str) -> Finished:
        """Return the answer, whole. Raises ModelError where it is none."""
        if self._reason in _FAILED:
            raise ModelError(*_FAILED[self._reason])
        if not self._reason and not self._begun():
            raise ModelError("the server ended its stream without a word", Fault.GARBLED)
        self.close()
        calls = self._calls.settle(names, taken, self._repairs)
        answer = Answer("".join(self._said), calls, "".join(self._thought), self._reasoning_key)
        cut = self._reason in _LENGTH or bool(self._over and calls)
        if self._leaked and not self._calls.many and self._text.sieve.closed and self._reasoning.sieve.closed:
            cut = False  # what came after the calls' ends was
        finish: Finish = "length" if cut else "calls" if calls else "stop"
        return Finished(answer, finish, _usage(self._usage), self.model or model, self._repairs.told())

    def _begun(self) -> bool:
        return bool(self._calls or self._text.size or self._reasoning.size)

    def _tell(self, pieces: list[Piece]) -> None:
        for thinking, text in pieces:
            (self._thought if thinking else self._said).append(text)
        self._fresh += pieces

    def _take_words(self, words: Words, text: str) -> None:
        if words is not self._current:
            self._tell(self._current.tell())
            self._current = words
        words.take(text)
        self._over = words.over

    def _take_usage(self, usage: object) -> None:
        """Take what was counted last; noughts at the end do not make it untrue."""
        if self._usage is None or _usage(usage).prompt:
            self._usage = usage

    def _take_rest(self, delta: dict[str, Any], content: object = None) -> None:
        for key in _REASONING_KEYS:
            if isinstance(value := delta.get(key), str):
                if not self._reasoning.size:  # a first, empty one does not yet say which key it will be
                    self._reasoning_key = key if value else self._reasoning_key or key
                if value and key == self._reasoning_key and not self._over:
                    self._take_words(self._reasoning, value)
        if content and not self._over:
            self._take_words(self._text, _joined(content))
        if (refusal := delta.get("refusal")) and isinstance(refusal, str) and not self._over:
            self._take_words(self._text, refusal)
        if self._over:
            return
        if calls := delta.get("tool_calls"):
            self._calls.take(calls)
        elif isinstance(call := delta.get("function_call"), dict):
            self._calls.take({"index": -1, "function": call})
        self._over = self._calls.over


def _joined(content: object) -> str:
    """Return the text of a content that may be a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    texts = [part if isinstance(part, str) else part.get("text") for part in parts if isinstance(part, str | dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _usage(raw: object) -> Usage:
    if not isinstance(raw, dict):
        return Usage()
    told = raw.get("prompt_tokens_details")
    details = told if isinstance(told, dict) else {}
    inner = _count(details.get("cached_tokens"))
    cached = max(inner, _count(raw.get("cached_tokens")), _count(raw.get("prompt_cache_hit_tokens")))
    written = max(_count(details.get("cache_write_tokens")), _count(details.get("cache_creation_tokens")))
    return Usage(_count(raw.get("prompt_tokens")), _count(raw.get("completion_tokens")), cached, written)


def _count(value: object) -> int:
    return max(0, int(value)) if isinstance(value, int | float) and abs(value) < 1e15 else 0
