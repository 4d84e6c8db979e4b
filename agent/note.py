"""Owns asking the model for a handoff note, and completing what comes of it."""

import asyncio
from collections.abc import Callable

from agent.ask import Pause, ask
from agent.errors import Fault, ModelError
from agent.events.event import Event
from agent.events.news import Warned
from agent.events.step import RequestRetried, StepStarted
from agent.handoff import FIELDS, carried, completed, fitted, lacking
from agent.history import History, thinned
from agent.messages import Answer, Message, Prompt, Reply
from agent.model import Model
from agent.recap import cut
from agent.spent import Spend
from agent.window import LEAST_ANSWER, Windows
from prompts import words as prompt_words

_LONGEST_HINT = 2000  # characters


class Note:
    """Writes what a session's model is told in place of steps that are taken out."""

    def __init__(self, windows: Windows, history: History, tell: Callable[[Event], None], pause: Pause) -> None:
        self._windows = windows
        self._history = history
        self._tell = tell
        self._pause = pause

    async def write(self, model: Model, start: int, hint: str, spend: Spend, *, asked: bool) -> str:
        """Return the note for what stands before `start`: the model's, completed from jumar's own record where it must be.

        `asked`: the model is asked; else it is what is known without it. Raises ModelError.
        """
        history = self._history
        if not any(isinstance(message, Answer) for message in history.whole[history.start : start]):
            return history.note
        most = self._windows.room(model).note
        text, lacks = await self._asked(model, hint, spend) if asked else (history.note, lacking(history.note))
        if lacks:
            what = f"lacks {', '.join(lacks).lower()}" if text else "could not be had"
            said = [one.words for one in history.said if not one.by_check]
            text = completed(fitted(text, most * 2 // 3), lacks, said, history.deeds, most // 6)
            self._tell(Warned(text=f"the model's handoff note {what}; jumar filled in what its own record tells"))
        return carried(history.note, fitted(text, most), most // 3)

    async def _asked(self, model: Model, hint: str, spend: Spend) -> tuple[str, list[str]]:
        """Return the model's note and which fields it lacks; it is asked again once where it lacks some."""
        wanted = prompt_words("handoff")
        if hint:
            wanted += f"\n\nThe person says of this note: {cut(hint, _LONGEST_HINT)}"
        extra: list[Message] = [Prompt(wanted)]
        text = await self._ask(model, extra, spend)
        if text is None:
            return "", list(FIELDS)
        lacks = lacking(text)
        if not lacks:
            return text, lacks
        again = (
            f"Your note cannot be used: it has nothing under {', '.join(lacks)}. Call no tool, and write it again, whole, with "
            "all six headings."
        )
        said: list[Message] = [Answer(text)] if text else []
        text = await self._ask(model, [*extra, *said, Prompt(again)], spend) or text
        return text, lacking(text)

    async def _ask(self, model: Model, extra: list[Message], spend: Spend) -> str | None:
        """Ask with the history and what is added; None where that does not fit, whatever is left out. Raises ModelError."""
        windows, room = self._windows, self._windows.room(model)
        goal = (room.most - max(LEAST_ANSWER, min(2048, room.window // 8))) * 100 // 105
        for _ in range(2):
            messages = await self._thinned(model, extra, goal)
            if messages is None:
                break
            request = windows.request(model, messages)
            try:
                asked = await ask(model, request, self._history.step + 1, self._quietly, self._pause)
            except ModelError as error:
                if error.fault is not Fault.CONTEXT:
                    raise
                goal = min(goal, windows.size(model, messages)) * 6 // 10
                continue
            windows.learn(model, request, asked.event.usage)
            spend(asked.event.usage, asked.event.cost, windows.weigh(model, request, asked.event))
            return asked.event.answer.text.strip()
        return None

    def _quietly(self, event: Event) -> None:
        """Tell that something is asked and waited for, but not the words that are no answer to the person."""
        if isinstance(event, StepStarted | RequestRetried):
            self._tell(event)

    async def _thinned(self, model: Model, extra: list[Message], goal: int) -> list[Message] | None:
        """Return the history and what is added, without pictures and old outputs where it must be; None where it cannot fit."""
        messages = self._history.messages

        def size(dropped: frozenset[str], *, pictures: bool) -> int:
            return self._windows.size(model, [*thinned(messages, dropped, pictures=pictures), *extra])

        if size(frozenset(), pictures=True) <= goal:
            return [*messages, *extra]
        over = size(frozenset(), pictures=False) - goal
        await asyncio.sleep(0)
        stale = frozenset(self._history.stale(messages))
        first = sorted(messages, key=lambda message: not (isinstance(message, Reply) and message.call_id in stale))
        await asyncio.sleep(0)
        dropped = frozenset(self._windows.droppable(model, first, over))
        await asyncio.sleep(0)
        if size(dropped, pictures=False) > goal:
            return None
        await asyncio.sleep(0)
        return [*thinned(messages, dropped, pictures=False), *extra]
