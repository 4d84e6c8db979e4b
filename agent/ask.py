"""Owns asking the model once: the stream told as it comes, and the one layer that retries."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from agent.errors import Fault, ModelError
from agent.events.event import Event
from agent.events.step import CallStreamed, ModelAnswered, ReasoningStreamed, RequestRetried, StepStarted, TextStreamed
from agent.messages import Message
from agent.model import CallDelta, Failed, Finish, Finished, Model, ReasoningDelta, Repair, Request, TextDelta, ToolOffer


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long a request is tried again; seconds."""

    tries: int = 6
    base: float = 0.5
    cap: float = 30.0
    longest_told: float = 60.0  # a server that asks for a longer wait than this is not waited for
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def wait(self, attempt: int, error: ModelError) -> float | None:
        """Return how long to wait before the next try, or None where there is none."""
        if not error.retryable or attempt >= self.tries:
            return None
        if error.retry_after is not None:
            least = self.base / 10 * 2.0 ** (attempt - 1)  # who says "at once" each time is overloaded all the same
            return max(error.retry_after, least) if error.retry_after <= self.longest_told else None
        return min(self.cap, self.base * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


@dataclass(frozen=True, slots=True)
class Words:
    """What is said to the model in every request, byte for byte the same."""

    system: str
    tools: tuple[ToolOffer, ...]
    session_id: str
    effort: str = ""

    def request(self, messages: Sequence[Message], max_tokens: int | None = None) -> Request:
        """Return a request that says them, and then the messages."""
        return Request(self.system, tuple(messages), self.tools, self.session_id, max_tokens, self.effort)


class Pause:
    """The wait before a request is tried again, which can be cut short."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._sleeping: asyncio.Future[None] | None = None

    async def wait(self, seconds: float) -> None:
        """Wait, or until hurried."""
        self._sleeping = sleeping = asyncio.ensure_future(self.patience.sleep(seconds))
        try:
            await asyncio.wait({sleeping})
            if not sleeping.cancelled():
                sleeping.result()
        finally:
            self._sleeping = None
            sleeping.cancel()

    def hurry(self) -> bool:
        """Cut the wait short; False where nothing waits."""
        return self._sleeping is not None and self._sleeping.cancel()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step's request came to."""

    event: ModelAnswered
    finish: Finish
    repairs: tuple[Repair, ...]


async def ask(model: Model, request: Request, step: int, tell: Callable[[Event], None], pause: Pause) -> Asked:
    """Ask until an answer is whole. Raises ModelError when patience is at its end."""
    attempt = 0
    while True:
        attempt += 1
        tell(StepStarted(step=step))
        began = time.monotonic()
        outcome = await _stream(model, request, tell)
        if isinstance(outcome, Finished):
            price = model.capabilities.price
            event = ModelAnswered(
                step=step,
                answer=outcome.answer,
                usage=outcome.usage,
                model=outcome.model,
                seconds=round(time.monotonic() - began, 3),
                cost=price.of(outcome.usage) if price else None,
            )
            return Asked(event, outcome.finish, outcome.repairs)
        seconds = pause.patience.wait(attempt, outcome)
        if seconds is None:
            raise outcome
        tell(RequestRetried(step=step, attempt=attempt, seconds=round(seconds, 3), reason=str(outcome)))
        await pause.wait(seconds)


async def _stream(model: Model, request: Request, tell: Callable[[Event], None]) -> Finished | ModelError:
    streamed = _Streamed(tell)
    try:
        async for chunk in model.stream(request):
            match chunk:
                case TextDelta() | ReasoningDelta() | CallDelta():
                    streamed.take(chunk)
                case Finished():
                    return chunk
                case Failed():
                    return chunk.error
                case _ as never:
                    assert_never(never)
    finally:
        streamed.end()
    return ModelError(f"{model.name} ended its stream without an answer", Fault.CUT)


class _Streamed:
    """Tells what streams: what came in one go is told as one event, once there is nothing left but to wait for more."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._kind: type[TextDelta | ReasoningDelta] = TextDelta
        self._words: list[str] = []
        self._call: CallDelta | None = None  # the last that came
        self._due: asyncio.Handle | None = None
        self._failed: Exception | None = None  # why nothing can be told any more

    def take(self, chunk: TextDelta | ReasoningDelta | CallDelta) -> None:
        """Take in a piece."""
        if self._failed is not None:
            raise self._failed
        if isinstance(chunk, CallDelta):
            if self._words or (self._call is not None and self._call.name != chunk.name):
                self._flush()
            self._call = chunk
        else:
            if self._call is not None or (self._words and not isinstance(chunk, self._kind)):
                self._flush()
            self._kind = type(chunk)
            self._words.append(chunk.text)
        if self._due is None:
            self._due = self._loop.call_soon(self._waited)

    def end(self) -> None:
        """Tell what is left."""
        if self._due is not None:
            self._due.cancel()
        if self._failed is not None:
            raise self._failed
        self._flush()

    def _waited(self) -> None:
        self._due = None
        try:
            self._flush()
        except Exception as error:  # noqa: BLE001 - it is raised where the stream is read
            self._failed = error

    def _flush(self) -> None:
        words, call = "".join(self._words), self._call
        self._words.clear()
        self._call = None
        if words:
            self._tell(TextStreamed(text=words) if self._kind is TextDelta else ReasoningStreamed(text=words))
        if call is not None:
            self._tell(CallStreamed(tool=call.name, size=call.size))
