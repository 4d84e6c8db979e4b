"""Owns the seam to models: what is asked, and the chunks that come back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agent.errors import ModelError
from agent.messages import Answer, Message, Usage


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


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer, whole. Only now may its calls run; `length` says that it was cut and its last call may be broken."""

    answer: Answer
    finish: Finish
    usage: Usage
    model: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The request came to nothing; everything that streamed before is void."""

    error: ModelError


Chunk = TextDelta | ReasoningDelta | CallDelta | Finished | Failed


class Model(Protocol):
    """Something that answers a request with a stream of chunks, the last of them `Finished` or `Failed`."""

    name: str

    def stream(self, request: Request) -> AsyncIterator[Chunk]:
        """Answer once, without retrying; never raises but for cancellation."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
