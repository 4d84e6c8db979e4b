"""Owns the turn: ask → run calls → tell, until there is no call."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.ask import Patience, ask
from agent.errors import ModelError
from agent.events import Event, ToolFinished, TurnFinished, TurnStatus
from agent.execute import Execute
from agent.history import History
from agent.messages import Answer, Usage
from agent.model import Model, Request, ToolOffer


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a turn stops by itself; None is no limit. `tokens` counts prompts and answers of all its steps."""

    steps: int | None = None
    tokens: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What is said to the model in every request, byte for byte the same."""

    system: str
    tools: tuple[ToolOffer, ...]
    session_id: str


class Loop:
    """Runs turns over one history, which it keeps valid whatever happens."""

    def __init__(
        self, model: Model, words: Words, execute: Execute, history: History, tell: Callable[[Event], None], patience: Patience
    ) -> None:
        self._model = model
        self._words = words
        self._execute = execute
        self._history = history
        self._tell = tell
        self._patience = patience
        self.asking = False

    async def turn(self, limits: Limits) -> TurnFinished:
        """Run the turn that was just told as started, to its end, and tell that. Cancelling leaves a valid history."""
        began = time.monotonic()
        first = self._history.step
        spent = [Usage()]
        status: TurnStatus = "failed"
        text, reason, fault = "", "jumar itself failed", ""
        try:
            async with asyncio.timeout(limits.seconds):
                status, text, reason = await self._steps(limits, first, spent)
        except TimeoutError:
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
                steps=self._history.step - first,
                usage=spent[0],
                seconds=round(time.monotonic() - began, 3),
            )
            self._tell(finished)
        return finished

    async def _steps(self, limits: Limits, first: int, spent: list[Usage]) -> tuple[TurnStatus, str, str]:
        history = self._history
        while True:
            if limits.steps is not None and history.step - first >= limits.steps:
                return "limit", _last_words(history), "the limit of steps was reached"
            if limits.tokens is not None and spent[0].prompt + spent[0].completion >= limits.tokens:
                return "limit", _last_words(history), "the limit of tokens was reached"
            history.deliver()
            request = Request(self._words.system, tuple(history.messages), self._words.tools, self._words.session_id)
            self.asking = True
            try:
                asked = await ask(self._model, request, history.step + 1, self._tell, self._patience)
            finally:
                self.asking = False
            spent[0] += asked.event.usage
            self._tell(asked.event)
            answer = asked.event.answer
            if asked.finish == "length" and answer.calls:
                self._cut(answer)
            elif answer.calls:
                await self._execute.run(answer.calls)
            elif asked.finish == "length":
                return "limit", answer.text, "the answer was cut at the server's limit of tokens"
            elif not history.steered():
                return "done", answer.text, ""

    def _cut(self, answer: Answer) -> None:
        words = "Not run: the answer was cut at the server's limit of tokens. Send shorter calls, one at a time."
        for call in answer.calls:
            self._tell(ToolFinished(call_id=call.id, tool=call.name, status="invalid", reply=words))


def _last_words(history: History) -> str:
    for message in reversed(history.messages):
        if isinstance(message, Answer):
            return message.text
    return ""
