"""Owns the Chat Completions protocol: a request out, an answer's stream in."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from typing import Any

from pydantic_core import from_json

from agent.config import Connection
from agent.errors import Fault, ModelError
from agent.messages import Answer
from agent.model import Capabilities, Chunk, Failed, Request
from agent.providers.body import Body
from agent.providers.faults import Faults
from agent.providers.http import Http
from agent.providers.kimi import dialect
from agent.providers.merge import Merge
from agent.providers.sse import Events

_ANSWERS = "/chat/completions"
_MODELS = "/models"
_LARGEST_REFUSAL = 64 << 10  # bytes
_LARGEST_WHOLE = 64 << 20  # bytes of an answer that is not streamed
_SECONDS_OF_REFUSAL = 10.0
_SECONDS_AFTER_FINISH = 5.0  # for the usage, once the answer itself is whole
_SECONDS_AFTER_DONE = 0.5  # for the last bytes, without which the connection cannot serve again


class OpenAIModel:
    """A model behind a server that speaks Chat Completions. `connect` and `silence` are seconds."""

    def __init__(
        self, connection: Connection, *, connect: float = 10.0, silence: float = 300.0, user_agent: str = "jumar"
    ) -> None:
        self.name = connection.model or "the server's model"
        self._http = Http(connection.base_url, {"user-agent": user_agent}, connect=connect, silence=silence)
        self._faults = Faults(connection, self._http.where)
        self.capabilities = Capabilities()
        self._key = connection.key
        self._body = Body(connection.model, dialect(connection.base_url))

    async def ready(self) -> None:
        """Nothing is found out yet."""

    async def count(self, request: Request) -> int | None:
        """The protocol has no such question."""
        return None

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """Answer once. Closing the stream or cancelling ends the connection at once."""
        try:
            async with aclosing(self._answer(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ModelError as error:
            yield Failed(error)

    async def list_models(self) -> list[str]:
        """Return the names of the models that the server has for this key. Raises ModelError."""
        async with self._http.send("GET", _MODELS, self._headers()) as response:
            body = await response.read(_LARGEST_REFUSAL * 16, _SECONDS_OF_REFUSAL)
            if not 200 <= response.status < 300:
                raise self._faults.of_response(_MODELS, response.status, response.headers, body)
        if body.lstrip().startswith(b"<"):
            raise self._faults.of_page()
        try:
            listed = json.loads(body)
        except (ValueError, RecursionError):
            listed = None
        keyed = listed if isinstance(listed, dict) else {"data": listed}
        entries = next((entries for key in ("data", "models") if isinstance(entries := keyed.get(key), list)), None)
        if entries is None:
            raise self._faults.of_list(listed)
        return [name for entry in entries if isinstance(entry, dict) and isinstance(name := entry.get("id"), str)]

    async def close(self) -> None:
        """Give back connections."""
        await self._http.close()

    def _headers(self) -> dict[str, str]:
        if fault := self._faults.of_key():
            raise fault
        return {"authorization": f"Bearer {self._key}"} if self._key else {}

    async def _answer(self, request: Request) -> AsyncGenerator[Chunk, None]:
        intake = _Intake(Merge(self._faults.of_event))
        async with self._http.send("POST", _ANSWERS, self._headers(), self._body.encode(request)) as response:
            if not 200 <= response.status < 300:
                body = await response.read(_LARGEST_REFUSAL, _SECONDS_OF_REFUSAL)
                raise self._faults.of_response(_ANSWERS, response.status, response.headers, body)
            async with aclosing(response.pieces()) as pieces:
                first = await _first(pieces)
                if first.startswith(b"<"):
                    raise self._faults.of_page()
                if first.startswith((b"{", b"[")):
                    intake.take_whole(await _joined(first, pieces), self._http.where)
                else:
                    intake.take(first)
                    for chunk in intake.merge.told():
                        yield chunk
                    while not intake.over and (piece := await anext(pieces, None)) is not None:
                        intake.take(piece)
                        for chunk in intake.merge.told():
                            yield chunk
                    await intake.take_rest(pieces)
        intake.end(self._http.where)
        for chunk in intake.merge.told():
            yield chunk
        names = {tool.name for tool in request.tools}
        taken = {call.id for message in request.messages if isinstance(message, Answer) for call in message.calls}
        yield intake.merge.finished(names, taken, self.name)


class _Intake:
    """Takes in an answer's bytes until it is over."""

    __slots__ = ("_done", "_events", "merge")

    def __init__(self, merge: Merge) -> None:
        self.merge = merge
        self._events = Events()
        self._done = False

    @property
    def over(self) -> bool:
        return self._done or self.merge.ended

    def take(self, piece: bytes) -> None:
        self._take_events(self._events.feed(piece))

    def take_whole(self, body: bytes, where: str) -> None:
        """Take in an answer that came as one JSON text."""
        event = _decoded(body)
        if not isinstance(event, dict) or not ({"choices", "error"} & event.keys() or event.get("object") == "error"):
            raise ModelError(f"{where} answered with JSON that is no answer of a model", Fault.GARBLED)
        self.merge.take(event)
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
            if payload == b"[DONE]":
                self._done = True
            if self._done:
                return
            if payload:
                self.merge.take(_decoded(payload))


def _decoded(payload: bytes) -> Any:
    try:
        return from_json(payload)
    except ValueError:
        pass
    try:
        return json.loads(payload, strict=False)  # slower, but takes half a character and raw control characters
    except (ValueError, RecursionError) as error:
        raise ModelError("the server sent an event that is no JSON", Fault.GARBLED) from error


async def _first(pieces: AsyncGenerator[bytes, None]) -> bytes:
    """Return the first bytes that are no white space."""
    async for piece in pieces:
        if start := piece.lstrip(b" \t\r\n"):
            return start
    return b""


async def _joined(first: bytes, pieces: AsyncGenerator[bytes, None]) -> bytes:
    held = bytearray(first)
    async for piece in pieces:
        held += piece
        if len(held) > _LARGEST_WHOLE:
            raise ModelError(f"the server sent an answer of more than {_LARGEST_WHOLE} bytes", Fault.GARBLED)
    return bytes(held)
