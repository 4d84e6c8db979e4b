"""Owns how many tokens a request is, told without a tokenizer and corrected by what servers count."""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.messages import Answer, Message, Prompt, Reply
from agent.model import ToolOffer
from agent.portions import in_portions, shared

_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
# Pieces as the tokenizers of today cut them; within 12 % of o200k on code, JSON, logs and prose.
_PIECE = re.compile(rf"_?[A-Za-z]{{1,8}}|\d{{1,3}}|[{_CJK}]|[^\W\d_A-Za-z{_CJK}]{{1,5}}|[^\w\s]{{1,2}}|_|\n+")
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
_CJK_SPARED = 0.25  # of these characters, that share a token with their neighbour
_IMAGE = 2000
_MESSAGE = 6  # roles, ids and separators
_CALL = 12
_LEAST_RATIO = 0.4  # a server that counts less than this tells something else, such as what it had not cached
_RATIOS = (0.6, 2.5)


def tokens(text: str) -> int:
    """Return about how many tokens a text is."""
    count = len(_PIECE.findall(text))
    return count if text.isascii() else count - int(len(_CJK_CHARACTER.findall(text)) * _CJK_SPARED)


def of_message(message: Message, count: Callable[[str], int] = tokens) -> int:
    """Return about how many tokens a message is, its calls and pictures included."""
    match message:
        case Prompt() | Reply():
            return _MESSAGE + count(message.text) + _IMAGE * len(message.images)
        case Answer():
            if message.sealed:
                return _MESSAGE + count(message.sealed.content)
            calls = sum(_CALL + count(call.name) + count(call.arguments) for call in message.calls)
            return _MESSAGE + count(message.text) + count(message.reasoning) + calls


def _of_tool(tool: ToolOffer) -> int:
    return _CALL + tokens(tool.name) + tokens(tool.description) + tokens(json.dumps(tool.parameters, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Filling:
    """What fills a model's window, in tokens as far as they can be told."""

    fixed: int  # jumar's words, the tools, and what is told before the first prompt
    person: int  # what the person said, and what else is told in their place
    answers: int
    replies: int
    window: int
    shortened: bool = False  # a note stands in place of the beginning


def filling(
    system: str, tools: Sequence[ToolOffer], messages: Sequence[Message], preface: str, window: int, *, shortened: bool
) -> Filling:
    """Tell what fills a window; `preface` is the part of the first message that the person did not say."""
    before = tokens(preface)
    sizes = {Prompt: 0, Answer: 0, Reply: 0}
    for message in messages:
        sizes[type(message)] += of_message(message)
    fixed = _MESSAGE + tokens(system) + sum(_of_tool(tool) for tool in tools) + before
    return Filling(fixed, max(0, sizes[Prompt] - before), sizes[Answer], sizes[Reply], window, shortened)


class Estimate:
    """Tells the size of a session's requests. What was counted is not counted again."""

    def __init__(self, system: str, tools: Sequence[ToolOffer]) -> None:
        self._base = _MESSAGE + tokens(system) + sum(_of_tool(tool) for tool in tools)
        self._counted: list[Message] = []
        self._sums: list[int] = [0]  # of the first n messages
        self._texts: dict[str, int] = {}  # of replies and answers, which the history holds as long
        self._ratios: dict[str, float] = {}  # by model: what its server counted to what was estimated

    def of(self, messages: Sequence[Message], model: str) -> int:
        """Return about how many tokens a request with these messages is for a model."""
        return math.ceil(self._raw(messages) * self.ratio(model))

    def of_more(self, message: Message, model: str) -> int:
        """Return about how many tokens one message adds."""
        return math.ceil(self._of(message) * self.ratio(model))

    async def take_in(self, messages: Sequence[Message]) -> None:
        """Count what was not counted yet of a history that may be long, without keeping others waiting."""
        await in_portions(self._counted, messages, self._raw)

    def ratio(self, model: str) -> float:
        """Return what an estimate is multiplied with for a model."""
        return self._ratios.get(model, 1.0)

    def known(self, model: str) -> bool:
        """Whether the server of a model was heard yet."""
        return model in self._ratios

    def learn(self, messages: Sequence[Message], model: str, counted: int) -> None:
        """Take in how many tokens the server counted in a request with these messages."""
        ratio = counted / self._raw(messages)
        if ratio >= _LEAST_RATIO:
            self._ratios[model] = min(max(ratio, _RATIOS[0]), _RATIOS[1])

    def _raw(self, messages: Sequence[Message]) -> int:
        same = shared(self._counted, messages)
        if same < len(messages):
            del self._counted[same:], self._sums[same + 1 :]
            for message in messages[same:]:
                self._counted.append(message)
                self._sums.append(self._sums[-1] + self._of(message))
        return self._base + self._sums[len(messages)]

    def _of(self, message: Message) -> int:
        """Count a message. What stands in place of a beginning is a prompt that is made for one look: it is not held here."""
        return of_message(message) if isinstance(message, Prompt) else of_message(message, self._count)

    def _count(self, text: str) -> int:
        count = self._texts.get(text)
        if count is None:
            count = self._texts[text] = tokens(text)
        return count
