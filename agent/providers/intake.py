"""Owns the taking in of an answer's bytes, from the first to the one with which it is whole."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing, suppress
from typing import Any, Protocol

from pydantic_core import from_json

from agent.errors import Fault, ModelError
from agent.model import Chunk
from agent.providers.faults import Faults
from agent.providers.http import Response
from agent.providers.sse import Events

LARGEST_REFUSAL = 64 << 10  # bytes
SECONDS_OF_REFUSAL = 10.0
_LARGEST_WHOLE = 64 << 20  # bytes of an answer that is not streamed
_SECONDS_AFTER_FINISH = 5.0  # for the usage, once the answer itself is whole
_SECONDS_AFTER_DONE = 0.5  # for the last bytes, without which the connection cannot serve again
_LAST = (b'{"type":"message_stop"', b'{"type": "message_stop"')


class Folding(Protocol):
    """What an answer's events are folded into."""

    @property
    def ended(self) -> bool:
        """Whether the answer is whole, although more of the stream may come."""
        ...

    @property
    def flooded(self) -> bool:
        """Whether the answer was endless, and nothing more of the stream is wanted."""
        ...

    def take(self, event: Any) -> None:
        """Take in one event. Raises ModelError where it tells of an error."""
        ...

    def close(self) -> None:
        """Decide on what was held back, as nothing more comes."""
        ...

    def told(self) -> list[Chunk]:
        """Return what came since the last time."""
        ...


async def taken_in(response: Response, merge: Folding, keys: Collection[str], faults: Faults) -> AsyncGenerator[Chunk, None]:
    """Fold a body and tell what comes, until it is whole; JSON without any of `keys` is no answer. Raises ModelError."""
    intake = _Intake(merge)
    async with aclosing(response.pieces()) as pieces:
        first = await _first(pieces, response)
        if first.startswith(b"<"):
            raise faults.of_page()
        if first.startswith((b"{", b"[")):
            intake.take_whole(await _joined(first, pieces), keys, response.where)
        else:
            intake.take(first)
            for chunk in merge.told():
                yield chunk
            heard = time.monotonic()
            while not intake.over and (piece := await anext(pieces, None)) is not None:
                intake.take(piece)
                if told := merge.told():
                    for chunk in told:
                        yield chunk
                    heard = time.monotonic()
                elif time.monotonic() - heard > response.patience:
                    raise _nothing_but_signs(response)
            if not merge.flooded:
                await intake.take_rest(pieces)
    intake.end(response.where)
    merge.close()
    for chunk in merge.told():
        yield chunk


class _Intake:
    """Takes in an answer's bytes until it is over."""

    __slots__ = ("_done", "_events", "_merge")

    def __init__(self, merge: Folding) -> None:
        self._merge = merge
        self._events = Events()
        self._done = False

    @property
    def over(self) -> bool:
        return self._done or self._merge.ended

    def take(self, piece: bytes) -> None:
        self._take_events(self._events.feed(piece))

    def take_whole(self, body: bytes, keys: Collection[str], where: str) -> None:
        """Take in an answer that came as one JSON text."""
        event = _decoded(body)
        if not isinstance(event, dict) or not (any(key in event for key in keys) or event.get("object") == "error"):
            raise ModelError(f"{where} answered with JSON that is no answer of a model", Fault.GARBLED)
        self._merge.take(event)
        self._done = True

    async def take_rest(self, pieces: AsyncGenerator[bytes, None]) -> None:
        """Wait a little for what may follow a whole answer: usage, and the end of the body."""
        with suppress(TimeoutError, ModelError):
            async with asyncio.timeout(_SECONDS_AFTER_FINISH) as limit:
                loop = asyncio.get_running_loop()
                while True:
                    if self._done:
                        limit.reschedule(loop.time() + _SECONDS_AFTER_DONE)
                    if (piece := await anext(pieces, None)) is None:
                        return
                    self.take(piece)

    def end(self, where: str) -> None:
        """Take in what the stream's end completed. Raises ModelError where the answer is not whole."""
        try:
            self._take_events(self._events.end())
        except ModelError as error:
            if not self.over and error.fault is not Fault.GARBLED:  # half an event is what a cut leaves
                raise
        if not self.over:
            raise ModelError(f"{where} ended its stream before the answer was whole", Fault.CUT)

    def _take_events(self, payloads: Iterable[bytes]) -> None:
        for payload in payloads:
            if payload == b"[DONE]" or payload.startswith(_LAST):
                self._done = True
            if self._done:
                return
            if payload:
                whole = self._merge.ended
                try:
                    self._merge.take(_decoded(payload))
                except ModelError:
                    if not whole:
                        raise
                    self._done = True  # an answer that is whole is not lost to what comes after it
                    return


def _decoded(payload: bytes) -> Any:
    try:
        return from_json(payload)
    except ValueError:
        pass
    try:
        return json.loads(payload, strict=False)  # slower, but takes half a character and raw control characters
    except (ValueError, RecursionError) as error:
        raise ModelError("the server sent an event that is no JSON", Fault.GARBLED) from error


async def _first(pieces: AsyncGenerator[bytes, None], response: Response) -> bytes:
    """Return the first bytes that are no white space. Raises ModelError where none come."""
    began = time.monotonic()
    async for piece in pieces:
        if start := piece.lstrip(b" \t\r\n"):
            return start
        if time.monotonic() - began > response.patience:
            raise _nothing_but_signs(response)
    return b""


def _nothing_but_signs(response: Response) -> ModelError:
    words = f"{response.where} kept the connection open for {response.patience:g} s, but sent nothing of an answer"
    return ModelError(words, Fault.CUT)


async def _joined(first: bytes, pieces: AsyncGenerator[bytes, None]) -> bytes:
    held = bytearray(first)
    async for piece in pieces:
        held += piece
        if len(held) > _LARGEST_WHOLE:
            raise ModelError(f"the server sent an answer of more than {_LARGEST_WHOLE} bytes", Fault.GARBLED)
    return bytes(held)
