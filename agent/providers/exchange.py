"""Owns asking for one answer: once more in another form where that was refused, once more unstreamed where nothing came."""

import re
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from agent.errors import Fault, ModelError
from agent.messages import Answer, Message
from agent.model import Chunk, Finished, ReasoningDelta, Repair, Request, TextDelta
from agent.portions import in_portions
from agent.providers.faults import Faults
from agent.providers.http import Http
from agent.providers.intake import LARGEST_REFUSAL, SECONDS_OF_REFUSAL, Folding, taken_in

_MENDS = 3  # tries of another form that a server has a request take
_OF_FORM = {400, 422}  # the statuses of a request that could be written otherwise
_FOR_A_PERSON = re.compile(
    rb"content.?filter|high.?risk|safety|sensitive|moderation|inappropriate|unknown model"
    rb"|\bmodel\b[^.]{0,80}\b(unknown|(not|n't) (be )?(exist|found|available|loaded|allowed|permitted|supported|known))\b"
    rb"|(no such|not an?( valid)?|invalid) model\b",
    re.IGNORECASE,
)


class Merging(Folding, Protocol):
    """What an answer's events are folded into, and what comes of it."""

    @property
    def nothing(self) -> bool:
        """Whether a whole answer said and called nothing, for which thinking does not account."""
        ...

    @property
    def thinks_unopened(self) -> bool:
        """Whether the words began within thinking that nothing opened, and that came to its end."""
        ...

    def finished(self, names: Collection[str], taken: Collection[str], model: str) -> Finished:
        """Return the answer, whole. Raises ModelError where it is none."""
        ...


class Wire(Protocol):
    """What a protocol brings to an exchange."""

    path: str
    keys: Collection[str]  # an answer that is not streamed has one of these

    def headers(self) -> Mapping[str, str]:
        """Return the headers that hold the key. Raises ModelError for a key that cannot be sent."""
        ...

    def encode(self, request: Request, *, stream: bool, plain: bool) -> bytes:
        """Return the body; `plain` leaves out all that a server can do without."""
        ...

    def merge(self, request: Request, *, thinking: bool) -> Merging:
        """Return what the answer is folded into; `thinking` says that its words begin within thinking."""
        ...

    def mend(self, request: Request, error: ModelError) -> Repair | None:
        """Make the next try of a refused request another, where the refusal says how."""
        ...


class Exchange:
    """Asks one server for one model's answers, and remembers what it takes. `name` is what the model is called else."""

    def __init__(self, wire: Wire, http: Http, faults: Faults, name: str) -> None:
        self._wire = wire
        self._http = http
        self._faults = faults
        self._name = name
        self._plain = False  # the server refused a request for its form
        self._thinks = False  # its words begin within thinking that nothing opens
        self._encoded: tuple[Message, ...] = ()  # what was asked with last, which the wire need not encode again

    async def answer(self, request: Request) -> AsyncGenerator[Chunk, None]:
        """Ask, and tell what comes. Raises ModelError."""
        names = {tool.name for tool in request.tools}
        taken = {call.id for message in request.messages if isinstance(message, Answer) for call in message.calls}
        repairs: list[Repair] = []
        refusal: _FormError | None = None
        plain = self._plain
        await in_portions(self._encoded, request.messages, lambda some: self._encode(request, some))
        self._encoded = request.messages
        while True:
            merge = self._wire.merge(request, thinking=self._thinks)
            try:
                async with aclosing(self._ask(merge, self._wire.encode(request, stream=True, plain=plain))) as chunks:
                    async for chunk in chunks:
                        yield chunk
                break
            except _FormError as error:
                if len(repairs) < _MENDS and (repair := self._wire.mend(request, error.error)):
                    repairs.append(repair)
                    continue
                if plain:
                    raise (refusal or error).error from None
                refusal, plain = error, True
                words = f"a request was refused for its form, and sent again in a plainer one: {error.error}"
                repairs.append(Repair("history", words))
        self._plain = plain  # what it would not take stays in the history
        finished = merge.finished(names, taken, self._name)
        if merge.nothing:
            again = self._wire.merge(request, thinking=self._thinks)
            try:
                async with aclosing(self._ask(again, self._wire.encode(request, stream=False, plain=plain))) as chunks:
                    async for chunk in chunks:
                        if not _told_before(chunk, finished.answer):
                            yield chunk
                finished = _joined(finished, again.finished(names, taken, self._name))
            except _FormError:
                pass  # it can only stream: what came is what there is
            except ModelError:
                if not finished.answer.text.strip():
                    raise
            merge = again
        self._thinks = merge.thinks_unopened
        yield replace(finished, repairs=(*repairs, *finished.repairs))

    def _encode(self, request: Request, messages: Sequence[Message]) -> None:
        """Have the wire encode some of the messages, which it will not have to when it is asked for them all."""
        self._wire.encode(replace(request, messages=tuple(messages)), stream=True, plain=False)

    async def _ask(self, merge: Merging, body: bytes) -> AsyncGenerator[Chunk, None]:
        path = self._wire.path
        async with self._http.send("POST", path, self._wire.headers(), body) as response:
            if not 200 <= response.status < 300:
                refusal = await response.read(LARGEST_REFUSAL, SECONDS_OF_REFUSAL)
                error = self._faults.of_response(path, response.status, response.headers, refusal)
                if response.status in _OF_FORM and error.fault is Fault.REFUSED and not _FOR_A_PERSON.search(refusal):
                    raise _FormError(error)
                raise error
            async with aclosing(taken_in(response, merge, self._wire.keys, self._faults)) as chunks:
                async for chunk in chunks:
                    yield chunk


class _FormError(Exception):
    """A refusal of how the request was written, which another way of writing it may avoid."""

    def __init__(self, error: ModelError) -> None:
        super().__init__(str(error))
        self.error = error


def _told_before(chunk: Chunk, shown: Answer) -> bool:
    """Whether a piece of the second answer stands in place of what was shown of the first."""
    match chunk:
        case ReasoningDelta():
            return bool(shown.reasoning)
        case TextDelta():
            return bool(shown.text.strip())
    return False


def _joined(first: Finished, second: Finished) -> Finished:
    """Return the answer that came when nothing had come, with what was shown before it."""
    before, after = first.answer, second.answer
    key = before.reasoning_key if before.reasoning else after.reasoning_key
    text = before.text if before.text.strip() else before.text + after.text
    answer = replace(after, text=text, reasoning=before.reasoning or after.reasoning, reasoning_key=key)
    what = "lost the calls that it ended with" if before.text.strip() else "held no answer"
    told = Repair("resent", f"the stream {what}; it was asked for again without streaming")
    return replace(second, answer=answer, usage=first.usage + second.usage, repairs=(*first.repairs, told, *second.repairs))
