"""Owns the Messages protocol: a request out, an answer's stream in."""

import json
import re
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import replace

from agent.config import Connection
from agent.endpoints import normal, server_at
from agent.errors import ModelError
from agent.model import Chunk, Failed, Repair, Request
from agent.providers.anthropic_body import MessagesBody
from agent.providers.anthropic_dialect import messages_dialect
from agent.providers.anthropic_merge import BlockMerge
from agent.providers.catalogue import Catalogue, Known
from agent.providers.dialects import BY_MAKERS
from agent.providers.exchange import Exchange
from agent.providers.faults import Faults
from agent.providers.http import Http
from agent.providers.intake import LARGEST_REFUSAL, SECONDS_OF_REFUSAL
from agent.providers.listing import Inquiry

_COUNTS = "/v1/messages/count_tokens"
_MODELS = "/v1/models"
_VERSION = "2023-06-01"
_OF_THINKING = re.compile(r"thinking|signature", re.IGNORECASE)
_LONGEST_ANSWER = re.compile(r"max_tokens\D{0,20}\d{1,9} > (\d{3,7})", re.IGNORECASE)
_SHORTER = Repair("history", "the server takes no answer as long as was asked for; it was asked again for a shorter one")
_LEFT_OUT = Repair("history", "the server refused thinking of its own in the history; it was asked again without that")


class AnthropicModel:
    """A model behind a server that speaks the Messages API. `connect` and `silence` are seconds.

    A spare one goes on where another failed, and does without an effort that it does not take.
    """

    path = "/v1/messages"
    keys: Collection[str] = ("content", "choices", "error")

    def __init__(
        self,
        connection: Connection,
        *,
        catalogue: Catalogue | None = None,
        connect: float = 10.0,
        silence: float = 300.0,
        user_agent: str = "jumar",
        spare: bool = False,
    ) -> None:
        self._spare = spare
        base_url = normal(connection.base_url, "the base URL", "anthropic")
        connection = replace(connection, base_url=base_url, protocol="anthropic")
        self.name = connection.model or "the server's model"
        headers = {**connection.headers, "anthropic-version": _VERSION, "user-agent": user_agent}
        self._http = Http(base_url, headers, connect=connect, silence=silence)
        self._faults = Faults(connection, self._http.where)
        server = connection.server or server_at(base_url)
        self._key = connection.key
        self._bare = server == "anthropic" and connection.key_source != "ANTHROPIC_AUTH_TOKEN"
        self._by = f"{self._http.where} {connection.model}"
        self._connection = connection
        self._catalogue = catalogue or Catalogue()
        self._inquiry = Inquiry(base_url, self._http, self.headers, self._faults, _MODELS)
        self._ready = False
        self._exchange = Exchange(self, self._http, self._faults, self.name)
        self._learn(self._catalogue.known(connection))

    async def ready(self) -> None:
        """Find out the capabilities, once: where need be the server is asked what it lists."""
        if not self._ready:
            self._learn(await self._catalogue.find(self._connection, self._inquiry))
            self._ready = True

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """Answer once. Closing the stream or cancelling ends the connection at once."""
        try:
            async with aclosing(self._exchange.answer(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ModelError as error:
            yield Failed(error)

    async def count(self, request: Request) -> int | None:
        """Return how many tokens the request's prompt is; None where the server does not tell."""
        try:
            async with self._http.send("POST", _COUNTS, self.headers(), self._body.encode_count(request)) as response:
                body = await response.read(LARGEST_REFUSAL, SECONDS_OF_REFUSAL)
                told = json.loads(body) if response.status == 200 else None
        except (ModelError, ValueError, RecursionError):
            return None
        tokens = told.get("input_tokens") if isinstance(told, dict) else None
        return tokens if isinstance(tokens, int) and tokens > 0 else None

    async def list_models(self) -> list[str]:
        """Return the names of the models that the server has for this key. Raises ModelError."""
        listing = await self._inquiry.models()
        self._catalogue.remember(self._connection.base_url, listing)
        return [model.id for model in listing.models]

    async def close(self) -> None:
        """Give back connections."""
        await self._http.close()

    def _learn(self, known: Known) -> None:
        told, model = known.capabilities, self._connection.model
        dialect = messages_dialect(
            known.server,
            model,
            known.family,
            window=told.window,
            images=told.images,
            efforts=known.efforts,
            sampling=known.sampling,
        )
        self._as_json = known.server not in BY_MAKERS
        self.capabilities = replace(told, efforts=dialect.words, answer=dialect.limit)
        self._body = MessagesBody(model, dialect, self._by, spare=self._spare)

    def headers(self) -> dict[str, str]:
        """Return the key in its header. Raises ModelError for one that cannot be sent."""
        if fault := self._faults.of_key():
            raise fault
        if not self._key:
            return {}
        return {"x-api-key": self._key} if self._bare else {"authorization": f"Bearer {self._key}"}

    def encode(self, request: Request, *, stream: bool, plain: bool) -> bytes:
        """Return the request's body."""
        return self._body.encode(request, stream=stream, plain=plain)

    def merge(self, request: Request, *, thinking: bool) -> BlockMerge:
        """Return what an answer is folded into."""
        return BlockMerge(self._faults.of_event, self._by, request.tools, thinking=thinking, as_json=self._as_json)

    def mend(self, request: Request, error: ModelError) -> Repair | None:
        """Leave out thinking that is refused: a server may bind it to all that stood before it, some of which is gone now.

        And ask for no longer an answer than the server says that it takes.
        """
        if (found := _LONGEST_ANSWER.search(str(error))) and self._body.shorten(int(found[1])):
            self.capabilities = replace(self.capabilities, answer=int(found[1]))
            return _SHORTER
        return _LEFT_OUT if _OF_THINKING.search(str(error)) and self._body.forget(request.messages) else None
