"""Owns fitting a history into a model's window: when it is shortened and by how much, and the note that is asked for."""

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from agent.ask import Pause, Words, ask
from agent.errors import Fault, ModelError
from agent.estimate import Estimate, of_message, tokens
from agent.events.event import Event
from agent.events.news import Warned
from agent.events.step import Compacted, ModelAnswered, RequestRetried, StepStarted
from agent.handoff import FIELDS, carried, completed, fitted, lacking
from agent.history import LEFT_OUT, History, thinned
from agent.messages import Answer, Message, Prompt, Reply, Usage
from agent.model import Model, Request
from agent.recap import LEAST, cut
from prompts import words as prompt_words

Spend = Callable[[Usage, float | None, int], None]  # what was counted, its cost, and its tokens at least as estimated

_MOST_KEPT = 32_000  # tokens of steps that stay as they were
_LEAST_STEPS = 2
_LEAST_ANSWER = 256
_LONGEST_HINT = 2000  # characters
_WINDOW = re.compile(r"(?:context (?:length|size|window)|token limit)\D{1,8}(\d{4,8})|\d{4,8} tokens? > (\d{4,8})", re.IGNORECASE)
_HOW = "start its server with a larger context, say with --context how large it is, or choose another model"
_LEFT_OUT = Reply("", "", LEFT_OUT)


@dataclass(frozen=True, slots=True)
class Room:
    """How a window is shared out; tokens."""

    window: int

    @property
    def limit(self) -> int:
        """The size from which a request is shortened before it is sent; what is left is for the answer."""
        return self.window - max(self.window * 15 // 100, min(4096, self.window // 4))

    @property
    def goal(self) -> int:
        """The size that a history is shortened to, where that can be without its last steps."""
        return self.limit * 6 // 10

    @property
    def most(self) -> int:
        """The size that no request exceeds."""
        return self.window - self.window // 50

    @property
    def note(self) -> int:
        """The most characters of a note."""
        return max(2000, min(24_000, self.window // 4))

    @property
    def record(self) -> int:
        """The most characters of jumar's own record."""
        return max(1000, min(9000, self.window // 8))


class Compact:
    """Keeps the history of a session such that it fits the model that is asked."""

    def __init__(self, words: Words, history: History, tell: Callable[[Event], None], pause: Pause) -> None:
        self._words = words
        self._history = history
        self._tell = tell
        self._pause = pause
        self._estimate = Estimate(words.system, words.tools)
        # By the model's identity, for two servers may call theirs the same: windows smaller than they were said to be.
        self._ceilings: dict[int, int] = {}

    def room(self, model: Model) -> Room:
        """Return how the window of a model is shared out."""
        return Room(min(model.capabilities.window, self._ceilings.get(id(model), model.capabilities.window)))

    def size(self, model: Model) -> int:
        """Return about how many tokens the next request is."""
        return self._estimate.of(self._history.messages, model.name)

    def request(self, model: Model) -> Request:
        """Return the next request; it asks for no longer an answer than there is room for."""
        self._history.deliver()
        return self._words.request(self._history.messages, self._longest(model, self.size(model)))

    def learn(self, model: Model, request: Request, usage: Usage) -> None:
        """Take in what the server counted in a request."""
        self._estimate.learn(request.messages, model.name, usage.prompt)

    def weigh(self, model: Model, request: Request, event: ModelAnswered) -> int:
        """Return how many tokens a request and its answer were: about, where the server does not tell."""
        told = event.usage.prompt + event.usage.completion
        return told or self._estimate.of(request.messages, model.name) + self._estimate.of_more(event.answer, model.name)

    async def fit(self, model: Model, spend: Spend, *, alone: bool) -> None:
        """Shorten the history where the next request comes near the model's window. Raises ModelError.

        `alone`: no other model could write a note that this one's server refuses.
        """
        self._history.deliver()
        await self._estimate.take_in(self._history.messages)
        size, room = self.size(model), self.room(model)
        if size < room.limit:
            return
        if not self._estimate.known(model.name):
            counted = await model.count(self._words.request(self._history.messages))
            if counted:
                self._estimate.learn(self._history.messages, model.name, counted)
                size = self.size(model)
                if size < room.limit:
                    return
        await self._shorten(model, f"it was about {size:,} of {room.window:,} tokens", spend, alone=alone)

    async def overflow(self, model: Model, error: ModelError, times: int, spend: Spend) -> None:
        """Shorten what the server says does not fit, for the first or the second time. Raises ModelError."""
        size = self.size(model)
        if told := _WINDOW.search(str(error)):
            ceiling = int(told[1] or told[2])
            if size < ceiling:
                self._estimate.learn(self._history.messages, model.name, ceiling + 1)
        else:
            ceiling = size * 9 // 10
        if times > 1:
            ceiling = min(ceiling, size * 7 // 10)
        self._ceilings[id(model)] = min(ceiling, self.room(model).window)
        if not await self._shorten(model, "the server says that it no longer fits", spend, asked=times == 1):
            raise refused(error)

    async def by_hand(self, model: Model, hint: str, spend: Spend) -> str:
        """Shorten the history because the person wants it; return why not, where there is nothing to."""
        history = self._history
        if not any(isinstance(message, Answer) for message in history.whole[history.start :]):
            return "there is nothing to compact"
        await self._estimate.take_in(history.messages)
        await self._shorten(model, "the person asked for it", spend, hint=hint, by_hand=True)
        return ""

    def _longest(self, model: Model, size: int) -> int | None:
        """Return how long an answer there is room for, where that is less than what would be asked for anyway."""
        wanted = model.capabilities.answer
        # A server that is asked for more than fits may refuse the request, so what the estimate may be off by is left too.
        left = self.room(model).most - size * (105 if self._estimate.known(model.name) else 115) // 100
        if wanted is None or left >= wanted:
            return None
        return max(_LEAST_ANSWER, left)

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
        before, spent = self.size(model), _Spent(spend)
        if not by_hand and self._shed(model, reason, before):
            return True
        await asyncio.sleep(0)  # a long history takes a while: between its looks, others have their turn
        start = self._start(model, by_hand=by_hand)
        try:
            note = await self._note(model, start, hint, spent.add, asked=asked)
        except ModelError as error:
            if not alone or error.fault is not Fault.REFUSED:
                raise
            self._tell(Warned(text=f"the handoff note is refused: {error}"))
            note = await self._note(model, start, hint, spent.add, asked=False)
        history.deliver()  # what was said while the note was written stays
        record = history.deeds.told(self.room(model).record)
        count = len(history.whole)
        event = Compacted(reason=reason, note=note, record=record, kept=count - start, tokens_before=before)
        await asyncio.sleep(0)
        event = self._fitted(model, event)
        await asyncio.sleep(0)
        after = self._size_after(model, event)
        if min(before, after) > self.room(model).most:
            raise ModelError(
                f"the conversation does not fit {model.name}, even shortened: about {after:,} tokens are left, and its window is "
                f"{self.room(model).window:,}; {_HOW}",
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
        history, room = self._history, self.room(model)
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
        budget = min(_MOST_KEPT, self.room(model).window // 4) / self._estimate.ratio(model.name)
        start, end = len(history.whole), len(history.whole)
        for number, index in enumerate(reversed(answers), 1):
            budget -= sum(of_message(message) for message in history.whole[index:end])
            if number > _LEAST_STEPS and budget < 0:
                break
            start = end = index
        return start

    # the note

    async def _note(self, model: Model, start: int, hint: str, spend: Spend, *, asked: bool) -> str:
        """Return the note for what stands before `start`: the model's, completed from jumar's own record where it must be."""
        history = self._history
        if not any(isinstance(message, Answer) for message in history.whole[history.start : start]):
            return history.note
        most = self.room(model).note
        text, lacks = await self._asked_note(model, hint, spend) if asked else (history.note, lacking(history.note))
        if lacks:
            what = f"lacks {', '.join(lacks).lower()}" if text else "could not be had"
            said = [one.words for one in history.said if not one.by_check]
            text = completed(fitted(text, most * 2 // 3), lacks, said, history.deeds, most // 6)
            self._tell(Warned(text=f"the model's handoff note {what}; jumar filled in what its own record tells"))
        return carried(history.note, fitted(text, most), most // 3)

    async def _asked_note(self, model: Model, hint: str, spend: Spend) -> tuple[str, list[str]]:
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
        room = self.room(model)
        goal = (room.most - max(_LEAST_ANSWER, min(2048, room.window // 8))) * 100 // 105
        for _ in range(2):
            messages = await self._thinned(model, extra, goal)
            if messages is None:
                break
            size = self._estimate.of(messages, model.name)
            request = self._words.request(messages, self._longest(model, size))
            try:
                asked = await ask(model, request, self._history.step + 1, self._quietly, self._pause)
            except ModelError as error:
                if error.fault is not Fault.CONTEXT:
                    raise
                goal = min(goal, size) * 6 // 10
                continue
            self.learn(model, request, asked.event.usage)
            spend(asked.event.usage, asked.event.cost, self.weigh(model, request, asked.event))
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
            return self._estimate.of([*thinned(messages, dropped, pictures=pictures), *extra], model.name)

        if size(frozenset(), pictures=True) <= goal:
            return [*messages, *extra]
        over = size(frozenset(), pictures=False) - goal
        await asyncio.sleep(0)
        stale = frozenset(self._history.stale(messages))
        first = sorted(messages, key=lambda message: not (isinstance(message, Reply) and message.call_id in stale))
        await asyncio.sleep(0)
        dropped = frozenset(self._droppable(model, first, over))
        await asyncio.sleep(0)
        if size(dropped, pictures=False) > goal:
            return None
        await asyncio.sleep(0)
        return [*thinned(messages, dropped, pictures=False), *extra]

    # fitting

    def _fitted(self, model: Model, event: Compacted) -> Compacted:
        """Return the event with as much left out as must be: pictures, old outputs, whole steps, parts of what was said.

        Whole messages of the person are left out only where nothing else does.
        """
        room, whole = self.room(model), self._history.whole
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
        history, room = self._history, self.room(model)
        said = sum(len(one.words) for one in history.said)
        size = sum(tokens(one.words) for one in history.said) * self._estimate.ratio(model.name)
        rest = self._size_after(model, replace(event, kept=0, words=0))
        if not history.said or size <= max(room.limit - room.limit // 4 - rest, 1):
            return event
        allowed = room.limit // 2 - rest  # what must be cut is cut such that there is room for more than a step
        kept = min(event.kept, len(history.whole) - history.said[-1].index - 1)
        return replace(event, kept=kept, words=max(self._least, int(said * allowed / size)))

    def _lightened(self, model: Model, event: Compacted, start: int) -> Compacted:
        """Return the event without what was read and no longer holds, then without pictures, then the oldest outputs, and
        those of the last step only where it must be."""
        room, kept = self.room(model), self._history.whole[start:]
        stale = self._history.stale(self._history.whole[start : self._last_answer()])
        event = replace(event, dropped=stale)
        if (size := self._size_after(model, event)) <= room.goal:
            return event
        event = replace(event, pictures=False)
        size = self._size_after(model, event)
        last = max((index for index, message in enumerate(kept) if isinstance(message, Answer)), default=0)
        older = self._droppable(model, kept[:last], size - room.goal, stale)
        event = replace(event, dropped=(*stale, *older))
        size = self._size_after(model, event)
        if size <= room.limit:
            return event
        return replace(event, dropped=(*event.dropped, *self._droppable(model, kept[last:], size - room.limit)))

    def _droppable(self, model: Model, messages: Sequence[Message], over: int, gone: Collection[str] = ()) -> list[str]:
        """Return the calls whose replies, the oldest first, are about so many tokens together."""
        dropped: list[str] = []
        left = self._estimate.of_more(_LEFT_OUT, model.name)
        for message in messages:
            if over <= 0:
                break
            if isinstance(message, Reply) and message.call_id not in gone:
                bare = replace(message, images=()) if message.images else message
                spared = self._estimate.of_more(bare, model.name) - left
                if spared > 0:
                    dropped.append(message.call_id)
                    over -= spared
        return dropped

    def _size_after(self, model: Model, event: Compacted) -> int:
        return self._estimate.of(self._history.after(event), model.name)


def refused(error: ModelError) -> ModelError:
    """Return the error of a server that takes a history in no length, with what a person can do about it."""
    return ModelError(f"{error}; it was shortened as far as can be: {_HOW}", Fault.CONTEXT)


class _Spent:
    """What one shortening cost; unknown as soon as one of its requests is."""

    def __init__(self, spend: Spend) -> None:
        self._spend = spend
        self.usage = Usage()
        self.cost: float | None = None
        self._known = True

    def add(self, usage: Usage, cost: float | None, weight: int) -> None:
        self._spend(usage, cost, weight)
        self.usage += usage
        self._known = self._known and cost is not None
        self.cost = (self.cost or 0.0) + cost if self._known and cost is not None else None
