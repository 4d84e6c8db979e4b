"""Owns the Chat Completions protocol: a request out, an answer's stream in."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agent.config import Connection
from agent.errors import ModelError
from agent.messages import Answer
from agent.model import Capabilities, Chunk, Failed, Request
from agent.providers.body import Body
from agent.providers.dialects import dialect_of, server_at
from agent.providers.families import family_of
from agent.providers.faults import Faults
from agent.providers.http import Http
from agent.providers.intake import LARGEST_REFUSAL, SECONDS_OF_REFUSAL, taken_in
from agent.providers.merge import Merge

_ANSWERS = "/chat/completions"
_MODELS = "/models"
_KEYS = ("choices", "error")  # of an answer that is not streamed


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
        self._body = Body(connection.model, dialect_of(server_at(connection.base_url), family_of(connection.model)))

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
            body = await response.read(LARGEST_REFUSAL * 16, SECONDS_OF_REFUSAL)
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
        merge = Merge(self._faults.of_event)
        async with self._http.send("POST", _ANSWERS, self._headers(), self._body.encode(request)) as response:
            if not 200 <= response.status < 300:
                body = await response.read(LARGEST_REFUSAL, SECONDS_OF_REFUSAL)
                raise self._faults.of_response(_ANSWERS, response.status, response.headers, body)
            async with aclosing(taken_in(response, merge, _KEYS, self._faults)) as chunks:
                async for chunk in chunks:
                    yield chunk
        names = {tool.name for tool in request.tools}
        taken = {call.id for message in request.messages if isinstance(message, Answer) for call in message.calls}
        yield merge.finished(names, taken, self.name)
