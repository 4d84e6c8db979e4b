"""Owns the seam to models: what is asked, and the chunks that come back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agent.errors import ModelError
from agent.messages import Answer, Message, Usage


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, in US dollars: read from the cache, not read from it, answered, written to the cache."""

    hit: float
    miss: float
    output: float
    write: float | None = None  # None: a written token costs what a missed one does

    def of(self, usage: Usage) -> float | None:
        """Return what a request cost; None where its usage was not told."""
        if not usage.prompt:
            return None
        missed = max(0, usage.prompt - usage.cached - usage.written)
        write = self.miss if self.write is None else self.write
        whole = usage.cached * self.hit + missed * self.miss + usage.written * write + usage.completion * self.output
        return whole / 1_000_000


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What is known of a model. `window` counts the tokens of prompt and answer together; no price means: unknown."""

    window: int = 131_072
    images: bool = False
    efforts: tuple[str, ...] = ()
    price: Price | None = None
    source: str = "assumed"  # of the window, in words for a person
    answer: int | None = None  # tokens of an answer that a request without `max_tokens` asks for; None: the server decides
    server: str = ""  # which kind it is, where that is known


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """A tool as a model sees it; `parameters` is JSON Schema in the subset that Moonshot's servers take."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """All that one step asks. `session_id` keys the provider's cache."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolOffer, ...]
    session_id: str
    max_tokens: int | None = None
    effort: str = ""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Words of the answer, as they come."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Words of the reasoning, as they come."""

    text: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A call is being written: its tool's name and how many characters of arguments are there."""

    name: str
    size: int


Finish = Literal["stop", "calls", "length"]
RepairKind = Literal[
    "leaked_call",  # a call stood in the text or the reasoning as markup
    "fenced_call",  # a call stood in the text as JSON
    "arguments",  # an object, a doubly encoded text or raw control characters in place of JSON text
    "identity",  # a missing, repeated or decorated name or id
    "markup",  # special tokens, or thinking, in the text
    "flood",  # an answer of endless white space was cut
    "resent",  # a stream came empty, and was asked for again without streaming
    "history",  # a request was refused for its form, and sent again in a plainer one
    "empty",  # an answer of nothing: the model was asked to go on
    "repeated",  # the same call again and again: the model was told
]


@dataclass(frozen=True, slots=True)
class Repair:
    """Something that was wrong with an answer and was set right; `words` say what, for a person."""

    kind: RepairKind
    words: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer, whole. Only now may its calls run; `length` says that it was cut and its last call may be broken."""

    answer: Answer
    finish: Finish
    usage: Usage
    model: str
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The request came to nothing; everything that streamed before is void."""

    error: ModelError


Chunk = TextDelta | ReasoningDelta | CallDelta | Finished | Failed


class Model(Protocol):
    """Something that answers a request with a stream of chunks, the last of them `Finished` or `Failed`."""

    name: str
    capabilities: Capabilities

    async def ready(self) -> None:
        """Find out the capabilities, where they are not known yet; what cannot be found out is assumed."""
        ...

    async def count(self, request: Request) -> int | None:
        """Return how many tokens the request's prompt is; None where the server does not tell."""
        ...

    def stream(self, request: Request) -> AsyncIterator[Chunk]:
        """Answer once, without retrying; never raises but for cancellation."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
