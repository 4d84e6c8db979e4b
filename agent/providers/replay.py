"""Owns recordings: a session's words and calls as a file, and the model that says them again."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from agent.errors import Fault, ModelError, UsageError
from agent.messages import Answer, Call, Usage
from agent.model import CallDelta, Capabilities, Chunk, Failed, Finished, ReasoningDelta, Request, TextDelta
from agent.safe import mended

_PIECE = re.compile(r"\s*\S{1,12}\s*|\s+")
_CALL_PIECE = 160  # characters of arguments
_ENDLESS = 1 << 40  # tokens: what is played is never shortened, since no note was recorded


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended when it was recorded; `exit_code` is None where it ran no command."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    call_id: str
    status: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of the model, and how its calls ended."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    replies: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """What was asked and answered in a session."""

    title: str
    prompts: tuple[str, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class _File:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    v: Literal[1]
    title: str
    prompts: tuple[str, ...]
    steps: tuple[Step, ...]


def load(content: bytes) -> Recording:
    """Read a recording. Raises UsageError with what is wrong and where."""
    try:
        file = _adapter().validate_json(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        if fault["loc"] == ("v",):
            raise UsageError('this is no recording, or one of a newer jumar: it does not say "v": 1') from error
        where = ".".join(str(part) for part in fault["loc"])
        raise UsageError(f"this is no recording: {f'{where}: ' if where else ''}{fault['msg']}") from error
    if not file.prompts or not file.steps:
        raise UsageError("this recording is empty: it needs a prompt and a step at least")
    known: set[str] = set()
    for number, step in enumerate(file.steps, 1):
        if not step.text.strip() and not step.calls:
            raise UsageError(f"step {number} of this recording neither says nor calls anything")
        for call in step.calls:
            if not call.id or not call.name or call.id in known:
                raise UsageError(f"step {number} of this recording has a call without a name or an id of its own: {call.id!r}")
            known.add(call.id)
        for reply in step.replies:
            if reply.call_id not in {call.id for call in step.calls}:
                raise UsageError(f"step {number} of this recording has a reply to no call of it: {reply.call_id!r}")
    return Recording(file.title, file.prompts, file.steps)


def dump(recording: Recording) -> bytes:
    """Return the recording as a file that people can read and compare."""
    text = json.dumps({"v": 1, **asdict(recording)}, ensure_ascii=False, indent=1)
    return mended(text).encode() + b"\n"


class ReplayModel:
    """Says a recording's steps one after the other. `pace` is waited for at every piece: seconds, or what is called with it."""

    name = "replay"

    def __init__(self, recording: Recording, *, pace: float | Callable[[str], Awaitable[None]] = 0.0) -> None:
        self._recording = recording
        self._pace = pace
        self._position = 0
        self.capabilities = Capabilities(window=_ENDLESS, source="the recording")

    async def ready(self) -> None:
        """A recording is."""

    async def count(self, request: Request) -> int | None:
        """A recording counts nothing."""
        return None

    async def stream(self, request: Request) -> AsyncIterator[Chunk]:
        """Say the next step; a step that was not heard to its end is said again."""
        if self._position >= len(self._recording.steps):
            words = f"the recording is over: it holds {self._position} steps, and one more was asked for"
            yield Failed(ModelError(words, Fault.REFUSED))
            return
        step = self._recording.steps[self._position]
        for piece, chunk in _pieces(step):
            await self._wait(piece)
            yield chunk
        self._position += 1
        answer = Answer(step.text, step.calls, step.reasoning)
        yield Finished(answer, "calls" if step.calls else "stop", Usage(), self.name)

    async def close(self) -> None:
        """Nothing is held."""

    async def _wait(self, piece: str) -> None:
        if callable(self._pace):
            await self._pace(piece)
        elif self._pace:
            await asyncio.sleep(self._pace)


def _pieces(step: Step) -> Iterator[tuple[str, Chunk]]:
    for piece in _PIECE.findall(step.reasoning):
        yield piece, ReasoningDelta(piece)
    for piece in _PIECE.findall(step.text):
        yield piece, TextDelta(piece)
    for call in step.calls:
        for start in range(0, max(1, len(call.arguments)), _CALL_PIECE):
            piece = call.arguments[start : start + _CALL_PIECE]
            yield piece, CallDelta(call.name, start + len(piece))


@cache
def _adapter() -> TypeAdapter[_File]:
    return TypeAdapter(_File)
