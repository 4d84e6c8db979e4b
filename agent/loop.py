"""Owns the turn: ask → run calls → tell, until there is no call."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.ask import Asked, Patience, Pause, Words, ask
from agent.calls import Caller
from agent.compact import Compact, refused
from agent.ending import Ending
from agent.errors import Fault, ModelError
from agent.events.call import ToolFinished
from agent.events.conversation import TurnFinished, TurnStatus
from agent.events.event import Event
from agent.events.step import ModelSwitched, Repaired, StepStarted, TextStreamed
from agent.execute import Execute
from agent.history import FOUND, History
from agent.messages import Answer
from agent.model import Model
from agent.repetition import STOPPED_AT, Repetition
from agent.spent import Spent
from agent.window import Windows

_NUDGES = 2  # times that a model which answers nothing is asked to go on
_MALFORMED = 5  # steps in a row of which no call could be read, or all were cut
_REFUSED = 2  # times that a request is shortened because the server says that it is too long
_GO_ON = "Your last message held neither words nor a tool call. Go on: call a tool, or say how the task ended."


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a turn stops by itself; None is no limit. `tokens` counts prompts and answers of all its requests."""

    steps: int | None = None
    tokens: int | None = None
    seconds: float | None = None


class Loop:
    """Runs turns over one history, which it keeps valid whatever happens."""

    def __init__(
        self,
        models: Sequence[Model],
        words: Words,
        execute: Execute,
        history: History,
        tell: Callable[[Event], None],
        patience: Patience,
        news: Callable[[], Awaitable[None]],
        ending: Ending,
    ) -> None:
        self._models = models
        self._left = list(models)  # that may still be asked in this turn, the one that is asked first
        self._execute = execute
        self._history = history
        self._tell = tell
        self._news = news  # tells what the model should know with its next step
        self._ending = ending
        self._pause = Pause(patience)
        self._windows = Windows(words)
        self._compact = Compact(self._windows, history, tell, self._pause)
        self._half: list[str] = []  # what came so far of an answer that is not whole
        self.asking = False

    async def turn(self, limits: Limits) -> TurnFinished:
        """Run the turn that was just told as started, to its end, and tell that. Cancelling leaves a valid history."""
        began = time.monotonic()
        first = self._history.step
        spent = Spent()
        self._left, self._half = list(self._models), []
        status: TurnStatus = "failed"
        text, reason, fault = "", "jumar itself failed", ""
        try:
            async with asyncio.timeout(limits.seconds) as limit:
                status, text, reason = await self._steps(limits, first, spent)
        except TimeoutError:
            if not limit.expired():  # it is no limit of the person's that was reached
                raise
            status, reason = "limit", "the time was up"
        except ModelError as error:
            status, reason, fault = "failed", str(error), error.fault
        except asyncio.CancelledError:
            status, reason = "cancelled", "the person stopped it"
            raise
        finally:
            finished = TurnFinished(
                turn=self._history.turn,
                status=status,
                text=text,
                reason=reason,
                fault=fault,
                cut="".join(self._half).strip(),
                steps=self._history.step - first,
                usage=spent.usage,
                estimated=spent.weight - spent.usage.prompt - spent.usage.completion,
                cost=spent.cost,
                seconds=round(time.monotonic() - began, 3),
                verified=self._ending.verified,
                failing=self._ending.failing,
            )
            self._tell(finished)
        return finished

    async def _steps(self, limits: Limits, first: int, spent: Spent) -> tuple[TurnStatus, str, str]:
        history = self._history
        repetition = Repetition()
        empty = malformed = 0
        while True:
            if reached := _reached(limits, history.step - first, spent.weight):
                return "limit", _last_words(history), f"the limit of {reached} was reached"
            await self._news()
            history.deliver()
            asked = await self._ask(spent)
            self._tell(asked.event)
            for repair in asked.repairs:
                self._tell(Repaired(step=history.step, kind=repair.kind, words=repair.words))
            answer = asked.event.answer
            if asked.finish == "length" and answer.calls:
                self._cut(answer)
                malformed = self._unread(malformed + 1, "the calls of the model were cut at the server's limit of tokens")
            elif answer.calls:
                remarks = repetition.take(answer.calls)
                if repetition.times >= STOPPED_AT:
                    self._stop(answer)
                    return "limit", answer.text, f"the model sent the same call {repetition.times} times in a row"
                if remarks:
                    words = f"the model sent the same call {repetition.times} times in a row; it was told"
                    self._tell(Repaired(step=history.step, kind="repeated", words=words))
                found = any(repair.kind in FOUND for repair in asked.repairs)
                caller = Caller(self._left[0].capabilities.images, doubted=found and history.sends_calls)
                ended = await self._execute.run(answer.calls, remarks, history.step, caller)
                malformed = self._unread(malformed + 1, "no call of the model could be read") if set(ended) == {"invalid"} else 0
                await self._ending.after_step()
            elif asked.finish == "length":
                return "limit", answer.text, "the answer was cut at the server's limit of tokens"
            elif not answer.text.strip():
                empty = self._nudge(answer, empty)
                continue
            elif not history.steered():
                room = not _reached(limits, history.step - first, spent.weight)
                if not await self._ending.goes_on(answer.text, room=room) and not history.steered():
                    return "done", answer.text, ""
            empty = 0

    async def compact(self, hint: str) -> str:
        """Shorten the history between turns; return why not, where there is nothing to. Raises ModelError."""
        await self._models[0].ready()
        return await self._compact.by_hand(self._models[0], hint, Spent().add)

    def hurry(self) -> bool:
        """Try at once what waits to be tried again; False where nothing waits."""
        return self._pause.hurry()

    async def _ask(self, spent: Spent) -> Asked:
        """Ask the first model that is left; where it fails for good, the next one. Raises ModelError where none is left."""
        times = 0  # that the server said that the request is too long
        while True:
            model = self._left[0]
            await model.ready()
            try:
                await self._compact.fit(model, spent.add, alone=len(self._left) == 1)
                try:
                    return await self._ask_once(model, spent)
                except ModelError as error:
                    if error.fault is not Fault.CONTEXT:
                        raise
                    times += 1
                    if times > _REFUSED:
                        raise refused(error) from error
                    await self._compact.overflow(model, error, times, spent.add)
            except ModelError as error:
                self._switch(error)
                times = 0

    async def _ask_once(self, model: Model, spent: Spent) -> Asked:
        self._history.deliver()
        request = self._windows.request(model, self._history.messages)
        self.asking = True
        try:
            asked = await ask(model, request, self._history.step + 1, self._hear, self._pause)
        finally:
            self.asking = False
        if all(repair.kind != "resent" for repair in asked.repairs):  # whose usage is that of two requests
            self._windows.learn(model, request, asked.event.usage)
        self._half = []
        spent.add(asked.event.usage, asked.event.cost, self._windows.weigh(model, request, asked.event))
        return asked

    def _hear(self, event: Event) -> None:
        """Tell what streams, and keep what would else be lost with an answer that is cut short."""
        if isinstance(event, StepStarted):
            self._half = []
        elif isinstance(event, TextStreamed):
            self._half.append(event.text)
        self._tell(event)

    def _switch(self, error: ModelError) -> None:
        """Go on with the next model of the person's list. Raises the error where there is none."""
        if len(self._left) == 1:
            raise error
        before, after = self._left[0].name, self._left[1].name
        del self._left[0]
        self._tell(ModelSwitched(step=self._history.step + 1, before=before, after=after, reason=str(error)))

    def _unread(self, times: int, what: str) -> int:
        """Return how often in a row no call could be run; once that is too often, the next model goes on. Raises ModelError."""
        if times < _MALFORMED:
            return times
        self._switch(ModelError(f"in {times} steps in a row {what}", Fault.GARBLED))
        return 0

    def _nudge(self, answer: Answer, before: int) -> int:
        """Ask a model that answered nothing to go on; return how often that was in a row now. Raises ModelError."""
        what = "thought, but answered nothing" if answer.reasoning else "answered nothing"
        if before >= _NUDGES:
            self._switch(ModelError(f"the model {what}, {before + 1} times in a row", Fault.GARBLED))
            return 0
        self._tell(Repaired(step=self._history.step, kind="empty", words=f"the model {what}; it was asked to go on", told=_GO_ON))
        return before + 1

    def _stop(self, answer: Answer) -> None:
        for call in answer.calls:
            words = "Not run: this call was sent too often in a row, and the turn was stopped."
            self._tell(ToolFinished(call_id=call.id, tool=call.name, status="skipped", reply=words))

    def _cut(self, answer: Answer) -> None:
        words = "Not run: the answer was cut at the server's limit of tokens. Send shorter calls, one at a time."
        for call in answer.calls:
            self._tell(ToolFinished(call_id=call.id, tool=call.name, status="invalid", reply=words))


def _reached(limits: Limits, steps: int, tokens: int) -> str:
    """Return which limit is reached; empty where none is."""
    if limits.steps is not None and steps >= limits.steps:
        return "steps"
    return "tokens" if limits.tokens is not None and tokens >= limits.tokens else ""


def _last_words(history: History) -> str:
    for message in reversed(history.messages):
        if isinstance(message, Answer):
            return message.text
    return ""
