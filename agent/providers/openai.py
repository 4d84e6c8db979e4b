"""Owns the Chat Completions protocol: a request out, an answer's stream in."""

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import replace

from agent.config import Connection
from agent.errors import ModelError
from agent.model import Chunk, Failed, Repair, Request
from agent.providers.body import Body
from agent.providers.catalogue import Catalogue, Known
from agent.providers.dialects import BY_MAKERS, dialect_of
from agent.providers.exchange import Exchange
from agent.providers.faults import Faults
from agent.providers.http import Http
from agent.providers.listing import Inquiry
from agent.providers.merge import Merge


class OpenAIModel:
    """A model behind a server that speaks Chat Completions. `connect` and `silence` are seconds.

    A spare one goes on where another failed, and does without an effort that it does not take.
    """

    path = "/chat/completions"
    keys: Collection[str] = ("choices", "error")

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
        self.name = connection.model or "the server's model"
        headers = {**connection.headers, "user-agent": user_agent}
        self._http = Http(connection.base_url, headers, connect=connect, silence=silence)
        self._faults = Faults(connection, self._http.where)
        self._key = connection.key
        self._connection = connection
        self._catalogue = catalogue or Catalogue()
        self._inquiry = Inquiry(connection.base_url, self._http, self.headers, self._faults)
        self._ready = False
        self._exchange = Exchange(self, self._http, self._faults, self.name)
        self._learn(self._catalogue.known(connection))

    async def ready(self) -> None:
        """Find out the capabilities, once: where need be the server is asked what it lists."""
        if not self._ready:
            self._learn(await self._catalogue.find(self._connection, self._inquiry))
            self._ready = True

    async def count(self, request: Request) -> int | None:
        """The protocol has no such question."""
        return None

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """Answer once. Closing the stream or cancelling ends the connection at once."""
        try:
            async with aclosing(self._exchange.answer(request)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ModelError as error:
            yield Failed(error)

    async def list_models(self) -> list[str]:
        """Return the names of the models that the server has for this key. Raises ModelError."""
        listing = await self._inquiry.models()
        self._catalogue.remember(self._connection.base_url, listing)
        return [model.id for model in listing.models]

    async def close(self) -> None:
        """Give back connections."""
        await self._http.close()

    def _learn(self, known: Known) -> None:
        images = known.capabilities.images
        dialect = dialect_of(known.server, known.family, images=images, efforts=known.efforts, sampling=known.sampling)
        self._as_json = known.server not in BY_MAKERS
        self.capabilities = replace(known.capabilities, efforts=dialect.words, answer=dialect.default_limit)
        self._body = Body(self._connection.model, dialect, spare=self._spare)

    def headers(self) -> dict[str, str]:
        """Return the key in its header. Raises ModelError for one that cannot be sent."""
        if fault := self._faults.of_key():
            raise fault
        return {"authorization": f"Bearer {self._key}"} if self._key else {}

    def encode(self, request: Request, *, stream: bool, plain: bool) -> bytes:
        """Return the request's body."""
        return self._body.encode(request, stream=stream, plain=plain)

    def merge(self, request: Request, *, thinking: bool) -> Merge:
        """Return what an answer is folded into."""
        return Merge(self._faults.of_event, request.tools, thinking=thinking, as_json=self._as_json)

    def mend(self, request: Request, error: ModelError) -> Repair | None:
        """No refusal of this protocol says how to avoid it."""
