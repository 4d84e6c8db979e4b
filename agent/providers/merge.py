"""Owns the merging of a streamed answer: whatever shape a server gives its deltas, one answer."""

from collections.abc import Callable, Collection
from typing import Any

from agent.errors import Fault, ModelError
from agent.messages import Answer, Usage
from agent.model import CallDelta, Chunk, Finished, ReasoningDelta, TextDelta
from agent.providers.calls import Calls
from agent.providers.words import Words
from agent.safe import mended

_LARGEST = 64 << 20  # characters of one answer
_REASONING_KEYS = ("reasoning_content", "reasoning")
_LENGTH = {"length", "max_tokens", "max_output_tokens"}
_FAILED = {
    "content_filter": ("the provider's content filter stopped the answer; say it in other words", Fault.REFUSED),
    "error": ("the server broke off the answer with an error", Fault.GARBLED),
    "abort": ("the server broke off the answer", Fault.CUT),
    "insufficient_system_resource": ("the server broke off the answer for lack of resources", Fault.OVERLOADED),
}


class Merge:
    """Takes in the events of one answer and makes chunks of them. `fault` reads an error that stands among them."""

    __slots__ = ("_calls", "_fault", "_reason", "_reasoning", "_reasoning_key", "_size", "_text", "_usage", "model")

    def __init__(self, fault: Callable[[object], ModelError]) -> None:
        self._fault = fault
        self._text = Words()
        self._reasoning = Words()
        self._reasoning_key = ""
        self._calls = Calls()
        self._reason = ""
        self._usage: object = None
        self._size = 0
        self.model = ""

    @property
    def ended(self) -> bool:
        """Whether the server said why it stopped: from then on the answer is whole."""
        return bool(self._reason)

    def take(self, event: Any) -> None:
        """Take in one event. Raises ModelError where it tells of an error."""
        if not isinstance(event, dict):
            return
        choices = event.get("choices")
        if choices and isinstance(choices, list) and isinstance(choice := choices[0], dict):
            delta = choice.get("delta")
            if isinstance(delta, dict):
                content = delta.get("content")
                if isinstance(content, str):
                    self._text.fresh.append(content)
                    if len(delta) > 1:
                        self._take_rest(delta)
                else:
                    self._take_rest(delta, content)
            elif isinstance(message := choice.get("message"), dict) and not self._begun():
                self._take_rest(message, message.get("content"))
            if reason := choice.get("finish_reason"):
                self._reason = str(reason)
            if usage := choice.get("usage"):
                self._usage = usage
        if usage := event.get("usage"):
            self._usage = usage
        if not self.model and isinstance(model := event.get("model"), str):
            self.model = mended(model)[:200]
        if error := event.get("error"):
            raise self._fault(error)
        if event.get("object") == "error":
            raise self._fault(event)

    def told(self) -> list[Chunk]:
        """Return what came since the last time, each kind in one piece. Raises ModelError for an endless answer."""
        chunks: list[Chunk] = []
        if reasoning := self._reasoning.tell():
            chunks.append(ReasoningDelta(reasoning))
            self._size += len(reasoning)
        if text := self._text.tell():
            chunks.append(TextDelta(text))
            self._size += len(text)
        if self._calls:
            chunks += [CallDelta(name, size) for name, size in self._calls.told()]
        if self._size + self._calls.size > _LARGEST:
            raise ModelError(f"the answer is longer than {_LARGEST} characters", Fault.GARBLED)
        return chunks

    def finished(self, names: Collection[str], taken: Collection[str], model: str) -> Finished:
        """Return the answer, whole. Raises ModelError where it is none."""
        if self._reason in _FAILED:
            raise ModelError(*_FAILED[self._reason])
        text, reasoning = self._text.whole(), self._reasoning.whole()
        calls = self._calls.settle(names, taken)
        length = self._reason in _LENGTH
        if not text.strip() and not calls and not length:
            words = "the model thought, but answered nothing" if reasoning else "the model answered nothing"
            raise ModelError(words, Fault.GARBLED)
        answer = Answer(text, calls, reasoning, self._reasoning_key)
        return Finished(answer, "length" if length else "calls" if calls else "stop", _usage(self._usage), self.model or model)

    def _begun(self) -> bool:
        return bool(self._calls or self._text or self._reasoning)

    def _take_rest(self, delta: dict[str, Any], content: object = None) -> None:
        if content:
            self._text.fresh.append(_joined(content))
        for key in _REASONING_KEYS:
            if isinstance(value := delta.get(key), str):
                if not self._reasoning:  # a first, empty one does not yet say which key it will be
                    self._reasoning_key = key if value else self._reasoning_key or key
                if value and key == self._reasoning_key:
                    self._reasoning.fresh.append(value)
        if calls := delta.get("tool_calls"):
            self._calls.take(calls)
        elif isinstance(call := delta.get("function_call"), dict):
            self._calls.take({"index": -1, "function": call})
        if isinstance(refusal := delta.get("refusal"), str):
            self._text.fresh.append(refusal)


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
    details = raw.get("prompt_tokens_details")
    inner = details.get("cached_tokens") if isinstance(details, dict) else None
    cached = max(_count(inner), _count(raw.get("cached_tokens")), _count(raw.get("prompt_cache_hit_tokens")))
    return Usage(_count(raw.get("prompt_tokens")), _count(raw.get("completion_tokens")), cached)


def _count(value: object) -> int:
    return max(0, int(value)) if isinstance(value, int | float) and abs(value) < 1e15 else 0
