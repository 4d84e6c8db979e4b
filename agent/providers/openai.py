"""Owns the Chat Completions protocol: a request out, an answer's stream in."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from agent.config import Connection
from agent.errors import Fault, ModelError
from agent.messages import Answer
from agent.model import Chunk, Failed, Finished, ReasoningDelta, Repair, Request
from agent.providers.body import Body
from agent.providers.catalogue import Catalogue, Known
from agent.providers.dialects import dialect_of
from agent.providers.faults import Faults
from agent.providers.http import Http
from agent.providers.intake import LARGEST_REFUSAL, SECONDS_OF_REFUSAL, taken_in
from agent.providers.listing import Inquiry
from agent.providers.merge import Merge

_ANSWERS = "/chat/completions"
_KEYS = ("choices", "error")  # of an answer that is not streamed
_OF_FORM = {400, 422}  # the statuses of a request that could be written otherwise
_FOR_A_PERSON = re.compile(
    rb"content.?filter|high.?risk|safety|sensitive|moderation|inappropriate|\bmodel\b[^.]{0,80}\b(not|unknown)\b", re.IGNORECASE
)


class OpenAIModel:
    """A model behind a server that speaks Chat Completions. `connect` and `silence` are seconds."""

    def __init__(
        self,
        connection: Connection,
        *,
        catalogue: Catalogue | None = None,
        connect: float = 10.0,
        silence: float = 300.0,
        user_agent: str = "jumar",
    ) -> None:
        self.name = connection.model or "the server's model"
        headers = {**connection.headers, "user-agent": user_agent}
        self._http = Http(connection.base_url, headers, connect=connect, silence=silence)
        self._faults = Faults(connection, self._http.where)
        self._key = connection.key
        self._connection = connection
        self._catalogue = catalogue or Catalogue()
        self._inquiry = Inquiry(connection.base_url, self._http, self._headers, self._faults)
        self._ready = False
        self._plain = False  # the server refused a request for its form
        self._thinks = False  # its words begin within thinking that nothing opens
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
            async with aclosing(self._answer(request)) as chunks:
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
        self.capabilities = replace(known.capabilities, efforts=dialect.words, answer=dialect.default_limit)
        self._body = Body(self._connection.model, dialect)

    def _headers(self) -> dict[str, str]:
        if fault := self._faults.of_key():
            raise fault
        return {"authorization": f"Bearer {self._key}"} if self._key else {}

    async def _answer(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """Ask; once more in a plainer form where that was refused, once more without streaming where nothing came."""
        names = {tool.name for tool in request.tools}
        taken = {call.id for message in request.messages if isinstance(message, Answer) for call in message.calls}
        repairs: tuple[Repair, ...] = ()
        merge = self._merge(request)
        try:
            async with aclosing(self._ask(merge, self._body.encode(request, plain=self._plain))) as chunks:
                async for chunk in chunks:
                    yield chunk
        except _FormError as refusal:
            if self._plain:
                raise refusal.error from None
            repairs = (
                Repair("history", f"a request was refused for its form, and sent again in a plainer one: {refusal.error}"),
            )
            try:
                async with aclosing(self._ask(merge, self._body.encode(request, plain=True))) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except _FormError:
                raise refusal.error from None
            self._plain = True  # what it would not take stays in the history
        finished = merge.finished(names, taken, self.name)
        if merge.nothing:
            again = self._merge(request)
            try:
                async with aclosing(self._ask(again, self._body.encode(request, stream=False, plain=self._plain))) as chunks:
                    async for chunk in chunks:
                        if not (isinstance(chunk, ReasoningDelta) and finished.answer.reasoning):
                            yield chunk
                finished = _joined(finished, again.finished(names, taken, self.name))
            except _FormError:
                pass  # it can only stream: what came is what there is
            merge = again
        self._thinks = merge.thinks_unopened
        yield replace(finished, repairs=(*repairs, *finished.repairs))

    def _merge(self, request: Request) -> Merge:
        return Merge(self._faults.of_event, request.tools, thinking=self._thinks)

    async def _ask(self, merge: Merge, body: bytes) -> AsyncGenerator[Chunk, None]:
        async with self._http.send("POST", _ANSWERS, self._headers(), body) as response:
            if not 200 <= response.status < 300:
                refusal = await response.read(LARGEST_REFUSAL, SECONDS_OF_REFUSAL)
                error = self._faults.of_response(_ANSWERS, response.status, response.headers, refusal)
                if response.status in _OF_FORM and error.fault is Fault.REFUSED and not _FOR_A_PERSON.search(refusal):
                    raise _FormError(error)
                raise error
            async with aclosing(taken_in(response, merge, _KEYS, self._faults)) as chunks:
                async for chunk in chunks:
                    yield chunk


class _FormError(Exception):
    """A refusal of how the request was written, which another way of writing it may avoid."""

    def __init__(self, error: ModelError) -> None:
        super().__init__(str(error))
        self.error = error


def _joined(first: Finished, second: Finished) -> Finished:
    """Return the answer that came when nothing had come, with what was shown before it."""
    before, after = first.answer, second.answer
    key = before.reasoning_key if before.reasoning else after.reasoning_key
    answer = replace(after, text=before.text + after.text, reasoning=before.reasoning or after.reasoning, reasoning_key=key)
    told = Repair("resent", "the stream held no answer; it was asked for again without streaming")
    return replace(second, answer=answer, usage=first.usage + second.usage, repairs=(*first.repairs, told, *second.repairs))
