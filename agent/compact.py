"""Owns when the history of a session is shortened to fit a model's window, and what is left out of it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from agent.ask import Pause
from agent.errors import Fault, ModelError
from agent.estimate import of_message, tokens
from agent.events.event import Event
from agent.events.news import Warned
from agent.events.step import Compacted
from agent.history import History
from agent.messages import Answer, Prompt
from agent.model import Model
from agent.note import Note
from agent.recap import LEAST
from agent.spent import Spend, Spent
from agent.window import Windows

_MOST_KEPT = 32_000  # tokens of steps that stay as they were
_LEAST_STEPS = 2
_HOW = "start its server with a larger context, say with --context how large it is, or choose another model"


class Compact:
    """Keeps the history of a session such that it fits the model that is asked."""

    def __init__(self, windows: Windows, history: History, tell: Callable[[Event], None], pause: Pause) -> None:
        self._history = history
        self._tell = tell
        self._windows = windows
        self._note = Note(windows, history, tell, pause)

    async def fit(self, model: Model, spend: Spend, *, alone: bool) -> None:
        """Shorten the history where the next request comes near the model's window. Raises ModelError.

        `alone`: no other model could write a note that this one's server refuses.
        """
        self._history.deliver()
        await self._windows.estimate.take_in(self._history.messages)
        room = self._windows.room(model)
        if self._size(model) < room.limit or (size := await self._windows.counted(model, self._history.messages)) < room.limit:
            return
        await self._shorten(model, f"it was about {size:,} of {room.window:,} tokens", spend, alone=alone)

    async def overflow(self, model: Model, error: ModelError, times: int, spend: Spend) -> None:
        """Shorten what the server says does not fit, for the first or the second time. Raises ModelError."""
        self._windows.overflowed(model, self._history.messages, error, times)
        if not await self._shorten(model, "the server says that it no longer fits", spend, asked=times == 1):
            raise refused(error)

    async def by_hand(self, model: Model, hint: str, spend: Spend) -> str:
        """Shorten the history because the person wants it; return why not, where there is nothing to."""
        history = self._history
        if not any(isinstance(message, Answer) for message in history.whole[history.start :]):
            return "there is nothing to compact"
        await self._windows.estimate.take_in(history.messages)
        await self._shorten(model, "the person asked for it", spend, hint=hint, by_hand=True)
        return ""

    async def _shorten(
        self,
        model: Model,
        reason: str,
        spend: Spend,
        *,
        hint: str = "",
        asked: bool = True,
        by_hand: bool = False,
        alone: bool = False,
    ) -> bool:
        """Shorten the history, and tell that; False where that would not make it shorter. Raises ModelError."""
        history = self._history
        history.deliver()
        before, spent = self._size(model), Spent(spend)
        if not by_hand and self._shed(model, reason, before):
            return True
        await asyncio.sleep(0)  # a long history takes a while: between its looks, others have their turn
        start = self._start(model, by_hand=by_hand)
        try:
            note = await self._note.write(model, start, hint, spent.add, asked=asked)
        except ModelError as error:
            if not alone or error.fault is not Fault.REFUSED:
                raise
            self._tell(Warned(text=f"the handoff note is refused: {error}"))
            note = await self._note.write(model, start, hint, spent.add, asked=False)
        history.deliver()  # what was said while the note was written stays
        record = history.deeds.told(self._windows.room(model).record)
        count = len(history.whole)
        event = Compacted(reason=reason, note=note, record=record, kept=count - start, tokens_before=before)
        await asyncio.sleep(0)
        event = self._fitted(model, event)
        await asyncio.sleep(0)
        after = self._size_after(model, event)
        if min(before, after) > self._windows.room(model).most:
            raise ModelError(
                f"the conversation does not fit {model.name}, even shortened: about {after:,} tokens are left, and its window is "
                f"{self._windows.room(model).window:,}; {_HOW}",
                Fault.CONTEXT,
            )
        if after >= before and not by_hand:
            return False
        if event.words is not None and not history.shortened_words:
            self._tell(Warned(text="what you said is too long for the model's window: of some of it, the middle is not told"))
        if self._unseen(event):
            self._tell(Warned(text="the pictures of your last message do not fit the model's window: it is not shown them"))
        history.deliver()  # and so does what was said since
        kept = event.kept + len(history.whole) - count
        self._tell(replace(event, kept=kept, tokens_after=after, usage=spent.usage, cost=spent.cost))
        return True

    def _shed(self, model: Model, reason: str, before: int) -> bool:
        """Leave out what was read of files that have changed since, where that alone makes room, and tell that."""
        history, room = self._history, self._windows.room(model)
        stale = history.stale(history.whole[history.start : self._last_answer()])
        event = history.without(stale, f"{reason}; what was read and no longer holds is left out")
        if event is None:
            return False
        after = self._size_after(model, event)
        if after > room.limit - room.window // 10:  # else it would be so again at the next step, and nothing in a cache
            return False
        self._tell(replace(event, tokens_before=before, tokens_after=after))
        return True

    def _last_answer(self) -> int:
        """Return where the last step begins: what it was told is what it works with."""
        whole = self._history.whole
        return next((index for index in range(len(whole) - 1, -1, -1) if isinstance(whole[index], Answer)), 0)

    def _unseen(self, event: Compacted) -> bool:
        """Whether pictures are left out that the person just gave, and no model saw."""
        whole = self._history.whole
        fresh = self._last_answer()
        told = len(whole) - event.kept if event.pictures else len(whole)
        return any(isinstance(message, Prompt) and message.images for message in whole[fresh:told])

    def _start(self, model: Model, *, by_hand: bool) -> int:
        """Return where the steps begin that stay: as many as are cheap, and two at least."""
        history = self._history
        answers = [index for index in range(history.start, len(history.whole)) if isinstance(history.whole[index], Answer)]
        if by_hand:
            return answers[-_LEAST_STEPS] if len(answers) > _LEAST_STEPS else len(history.whole)
        budget = min(_MOST_KEPT, self._windows.room(model).window // 4) / self._windows.estimate.ratio(model.name)
        start, end = len(history.whole), len(history.whole)
        for number, index in enumerate(reversed(answers), 1):
            budget -= sum(of_message(message) for message in history.whole[index:end])
            if number > _LEAST_STEPS and budget < 0:
                break
            start = end = index
        return start

    def _fitted(self, model: Model, event: Compacted) -> Compacted:
        """Return the event with as much left out as must be: pictures, old outputs, whole steps, parts of what was said.

        Whole messages of the person are left out only where nothing else does.
        """
        room, whole = self._windows.room(model), self._history.whole
        event = self._bounded(model, event)
        starts = [len(whole) - event.kept]
        last = next((index for index in range(len(whole) - 1, starts[0], -1) if isinstance(whole[index], Answer)), None)
        starts += [last, len(whole)] if last is not None else [len(whole)]
        for start in starts:
            event = replace(event, kept=len(whole) - start, dropped=(), pictures=True)
            event = self._lightened(model, event, start)
            if self._size_after(model, event) <= room.limit:
                return event
        said = event.words if event.words is not None else sum(len(one.words) for one in self._history.said)
        for least, goal in ((self._least, room.limit), (0, room.limit * 3 // 4)):
            for _ in range(8):
                said = max(least, said * 7 // 10)
                event = replace(event, words=said)
                if self._size_after(model, event) <= goal:
                    return event
        return event

    @property
    def _least(self) -> int:
        """The characters of what was said with which every message is told, if only in part."""
        return sum(min(len(one.words), LEAST) for one in self._history.said)

    def _bounded(self, model: Model, event: Compacted) -> Compacted:
        """Return the event with what was said cut, where that alone leaves no room for a step."""
        history, room = self._history, self._windows.room(model)
        said = sum(len(one.words) for one in history.said)
        size = sum(tokens(one.words) for one in history.said) * self._windows.estimate.ratio(model.name)
        rest = self._size_after(model, replace(event, kept=0, words=0))
        if not history.said or size <= max(room.limit - room.limit // 4 - rest, 1):
            return event
        allowed = room.limit // 2 - rest  # what must be cut is cut such that there is room for more than a step
        kept = min(event.kept, len(history.whole) - history.said[-1].index - 1)
        return replace(event, kept=kept, words=max(self._least, int(said * allowed / size)))

    def _lightened(self, model: Model, event: Compacted, start: int) -> Compacted:
        """Return the event without what was read and no longer holds, then without pictures, then the oldest outputs, and
        those of the last step only where it must be."""
        room, kept = self._windows.room(model), self._history.whole[start:]
        stale = self._history.stale(self._history.whole[start : self._last_answer()])
        event = replace(event, dropped=stale)
        if (size := self._size_after(model, event)) <= room.goal:
            return event
        event = replace(event, pictures=False)
        size = self._size_after(model, event)
        last = max((index for index, message in enumerate(kept) if isinstance(message, Answer)), default=0)
        older = self._windows.droppable(model, kept[:last], size - room.goal, stale)
        event = replace(event, dropped=(*stale, *older))
        size = self._size_after(model, event)
        if size <= room.limit:
            return event
        return replace(event, dropped=(*event.dropped, *self._windows.droppable(model, kept[last:], size - room.limit)))

    def _size(self, model: Model) -> int:
        return self._windows.size(model, self._history.messages)

    def _size_after(self, model: Model, event: Compacted) -> int:
        return self._windows.size(model, self._history.after(event))


def refused(error: ModelError) -> ModelError:
    """Return the error of a server that takes a history in no length, with what a person can do about it."""
    return ModelError(f"{error}; it was shortened as far as can be: {_HOW}", Fault.CONTEXT)
