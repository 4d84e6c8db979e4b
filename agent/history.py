"""Owns the fold from events to what the model is told: valid however a turn ended."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile, zip_longest

from agent.blocks import PlanBlock, TextBlock
from agent.checklist import whole
from agent.deeds import Deeds
from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.call import ToolFinished, ToolStarted
from agent.events.conversation import Steered, TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.news import Informed
from agent.events.step import Compacted, ModelAnswered, Repaired, Uncompacted
from agent.messages import Answer, Call, Message, Prompt, Reply, Usage
from agent.recap import recap, unmarked
from agent.sightings import Sighting, Sightings

FOUND = frozenset({"leaked_call", "fenced_call"})  # repairs that tell of calls in the words
TASK = "# The person's words"  # where the material before them ends
LEFT_OUT = "(output left out; run it again if you need it)"
PICTURE_LEFT_OUT = "(a picture was left out)"


@dataclass(frozen=True, slots=True)
class Said:
    """Where the person, or their check, said something: in which message, the words, and what was told before them."""

    index: int
    words: str
    preface: str = ""
    by_check: bool = False


@dataclass(frozen=True, slots=True)
class Beginning:
    """What stands in place of the messages before `start`; from there to `end`, some are told without what they held."""

    start: int
    end: int
    event: Compacted


@dataclass(slots=True)
class History:
    """The messages so far. Replies stand in the order of their calls, whatever order they came in."""

    messages: list[Message] = field(default_factory=list)  # what the model is told
    whole: list[Message] = field(default_factory=list)  # the same, as if it had never been shortened
    step: int = 0
    turn: int = 0
    started: set[str] = field(default_factory=set)
    open_turn: bool = False
    sends_calls: bool = False  # the model sends calls as such, not in its words
    deeds: Deeds = field(default_factory=Deeds)
    sightings: Sightings = field(default_factory=Sightings)
    said: list[Said] = field(default_factory=list)
    _instructed: dict[str, tuple[int, str]] = field(default_factory=dict)  # by the file, in which message, and the words
    _beginnings: list[Beginning] = field(default_factory=list)
    _found: int = -1  # the last step whose calls stood in the words
    _open: dict[str, Call] = field(default_factory=dict)
    _replies: dict[str, Reply] = field(default_factory=dict)
    _due: list[Steered | ActionsUndone | Informed] = field(default_factory=list)  # what the model is yet to be told

    def apply(self, event: Event) -> None:
        """Take one event in."""
        self.sightings.apply(event)
        match event:
            case TurnStarted():
                self._close()
                self._deliver(None)
                self.turn, self.open_turn = event.turn, True
                prompt = f"{event.preface}\n\n{TASK}\n\n{event.prompt}" if event.preface else event.prompt
                self.said.append(Said(len(self.whole), event.prompt, event.preface, event.by == "check"))
                self._add(Prompt(prompt, event.images))
            case Informed():
                self.deeds.apply(event)
                self._due.append(event)
            case Steered():
                self._due.append(event)
            case ActionsUndone():
                self.deeds.apply(event)
                self._due.append(event)
            case ModelAnswered():
                self._close()
                self._deliver(event.step)
                self.step = event.step
                self._add(event.answer)
                self._open = {call.id: call for call in event.answer.calls}
                self._replies, self.started = {}, set()
            case Repaired(kind=kind) if kind in FOUND:
                self._found = event.step
            case ToolStarted():
                self.started.add(event.call_id)
                self.deeds.apply(event)
            case ToolFinished():
                self.sends_calls = self.sends_calls or self._found != self.step
                self.deeds.apply(event)
                self._reply(event)
            case ActionRecorded():
                self.deeds.apply(event)
            case Repaired(told=told) if told:
                self._close()
                self._add(Prompt(told))
            case Compacted():
                self.deliver()
                self._beginnings.append(Beginning(self._cut(event.kept), len(self.whole), event))
                self._tell_again()
            case Uncompacted() if self._beginnings:
                self._close()
                self._beginnings.pop()
                self._tell_again()
            case TurnFinished():
                self.open_turn = False
            case _:
                pass

    @property
    def note(self) -> str:
        """The note that the model is told in place of the beginning; empty where there is none."""
        return self._beginnings[-1].event.note if self._beginnings else ""

    @property
    def start(self) -> int:
        """How many of the whole messages something else stands in place of."""
        return self._beginnings[-1].start if self._beginnings else 0

    @property
    def compacted(self) -> bool:
        """Whether something stands in place of the beginning."""
        return bool(self._beginnings)

    @property
    def shortened_words(self) -> bool:
        """Whether what the person said is not told whole any more."""
        return bool(self._beginnings) and self._beginnings[-1].event.words is not None

    def after(self, event: Compacted) -> list[Message]:
        """Return what the model would be told after this; all that was steered must be delivered."""
        return self._told(Beginning(self._cut(event.kept), len(self.whole), event))

    def _cut(self, kept: int) -> int:
        """Return where the last `kept` messages begin, never between a call and its replies."""
        start = max(0, len(self.whole) - max(0, kept))
        while 0 < start < len(self.whole) and isinstance(self.whole[start], Reply):
            start -= 1
        return start

    def _tell_again(self) -> None:
        self.messages[:] = self._told(self._beginnings[-1]) if self._beginnings else self.whole
        _separate(self.messages)

    def _told(self, beginning: Beginning) -> list[Message]:
        event, start = beginning.event, beginning.start
        said = [one for one in self.said if one.index < start]
        # What a check said counts while it is to be met.
        words = [self._words(one) for one in said if not one.by_check or one is said[-1]]
        preface = "\n\n".join(one.preface for one in said if one.preface)
        text = recap(preface, words, event.note, event.record, event.words)
        head: list[Message] = [Prompt(text)] if text else []
        instead = self._stale(start) if event.dropped else {}
        kept = thinned(self.whole[start : beginning.end], frozenset(event.dropped), instead, pictures=event.pictures)
        return [*head, *kept, *self.whole[beginning.end :]]

    def _words(self, said: Said) -> str:
        message = self.whole[said.index]
        pictures = len(message.images) if isinstance(message, Prompt) else 0
        words = unmarked(said.words) if said.by_check else said.words  # what a check prints may be anybody's
        return "\n\n".join([words, *[PICTURE_LEFT_OUT] * pictures])

    def _add(self, message: Message) -> None:
        self.whole.append(message)
        self.messages.append(message)

    def _reply(self, event: ToolFinished) -> None:
        if event.call_id in self._open and event.call_id not in self._replies:
            self._replies[event.call_id] = Reply(event.call_id, event.tool, event.reply, event.images)
            if len(self._replies) == len(self._open):
                self._add_replies()

    def _add_replies(self) -> None:
        for call_id in self._open:
            self.sightings.place(call_id, len(self.whole))
            self._add(self._replies[call_id])

    def settled(self, finished: ToolFinished) -> ToolFinished:
        """Return how a call ended as the model is told it: lines that it has before it are named only, and files that it knew
        and its command changed are named too."""
        reply, seen = finished.reply, finished.seen
        if len(seen) == 1 and (same := self.sightings.again(seen[0], self._tells)) is not None:
            words = (
                f"[{finished.subject or seen[0].path}: unchanged since step {same.step} ({same.lines}): its reply above still "
                "holds. Ask once more to be told it all again.]"
            )
            if len(words) < len(reply):
                reply, seen = words, (replace(seen[0], since=same.step),)
                finished = replace(finished, blocks=(TextBlock(f"{same.lines}, unchanged since step {same.step}"),))
        if changed := self.sightings.changed_by(finished.call_id, f"by this command, step {self.step}"):
            reply = f"{reply}\n{changed}"
        return replace(finished, reply=reply, seen=seen)

    @property
    def instructed(self) -> dict[str, str]:
        """The instructions of folders that the model is told, by the file that they stand in."""
        told = {title: words for title, (index, words) in self._instructed.items() if index >= self.start}
        due = (event for event in self._due if isinstance(event, Informed) and event.kind == "instructions")
        return told | {event.title: event.told for event in due}

    def _stale(self, start: int) -> dict[str, str]:
        """Return the calls from there on whose replies need not be told any more, and what is told instead."""
        found = self.sightings.stale(lambda one: one.index >= start)
        ids = Counter(message.call_id for message in self.whole[start:] if isinstance(message, Reply))
        calls = ((self.whole[index], words) for index, words in sorted(found.items()))
        return {reply.call_id: words for reply, words in calls if isinstance(reply, Reply) and ids[reply.call_id] == 1}

    def stale(self, messages: Sequence[Message]) -> tuple[str, ...]:
        """Return the calls among some messages to which the replies show a file that has changed since, or was read again."""
        found = self._stale(self.start)
        return tuple(message.call_id for message in messages if isinstance(message, Reply) and message.call_id in found)

    def without(self, calls: Sequence[str], reason: str) -> Compacted | None:
        """Return what leaves out the replies to some calls, and nothing else; None where they are, or one event cannot say so."""
        now = self._beginnings[-1] if self._beginnings else None
        kept = len(self.whole) - self.start
        if now is None:
            return Compacted(reason=reason, note="", kept=kept, dropped=tuple(calls)) if calls else None
        fresh = self.whole[now.end :]
        if not now.event.pictures and any(isinstance(message, Prompt | Reply) and message.images for message in fresh):
            return None
        dropped = tuple(dict.fromkeys((*now.event.dropped, *calls)))
        if dropped == now.event.dropped:
            return None
        return replace(now.event, reason=reason, kept=kept, dropped=dropped, usage=Usage(), cost=None)

    def _tells(self, sighting: Sighting) -> bool:
        """Whether the model is still told what a reply of its holds."""
        if not self._beginnings:
            return True
        now = self._beginnings[-1]
        return sighting.index >= now.end or (sighting.index >= now.start and sighting.call_id not in now.event.dropped)

    def _close(self) -> None:
        """Give calls a reply whose record is lost, so that the next request is valid whatever the log holds."""
        lost = self.unanswered()
        if lost:
            words = "Unknown: the record of how this call ended is lost. Look at the state before you go on."
            self._replies |= {call.id: Reply(call.id, call.name, words) for call in lost}
            self._add_replies()

    def unanswered(self) -> tuple[Call, ...]:
        """Return the calls of the last answer that have no reply yet."""
        return tuple(call for call_id, call in self._open.items() if call_id not in self._replies)

    def steered(self) -> bool:
        """Whether the person said something that the model was not told yet."""
        return any(isinstance(event, Steered) for event in self._due)

    def deliver(self) -> None:
        """Make the messages those of the next request: each call with its reply, and then what the person said meanwhile."""
        self._close()
        self._deliver(self.step + 1)

    def _deliver(self, step: int | None) -> None:
        """Deliver what is due with a step; None: all. What was said first is told first."""
        due = list(takewhile(lambda event: step is None or event.step <= step, self._due))
        del self._due[: len(due)]
        edits: list[str] = []  # of the plan, one after the other: it is told whole once
        for event, after in zip_longest(due, due[1:]):
            if isinstance(event, Steered):
                self.said.append(Said(len(self.whole), event.text))
                self._add(Prompt(event.text, event.images))
            elif (plan := _plan(event)) is not None:
                edits.append(event.told)
                if _plan(after) is None:
                    self._add(Prompt("\n".join([*edits, whole(plan)])))
                    edits = []
            else:
                if isinstance(event, Informed) and event.kind == "instructions":
                    self._instructed[event.title] = (len(self.whole), event.told)
                self._add(Prompt(event.told))


def _plan(event: Steered | ActionsUndone | Informed | None) -> PlanBlock | None:
    return event.plan if isinstance(event, Informed) else None


def thinned(
    messages: Iterable[Message], dropped: frozenset[str], instead: Mapping[str, str] | None = None, *, pictures: bool
) -> list[Message]:
    """Return the messages without the replies to some calls, and without the pictures unless these stay. Calls stay.

    `instead` has what is told in the place of replies that are left out, where that is more than that.
    """
    told: list[Message] = []
    for message in messages:
        if isinstance(message, Reply) and message.call_id in dropped:
            told.append(Reply(message.call_id, message.name, (instead or {}).get(message.call_id, LEFT_OUT)))
        elif not pictures and isinstance(message, Prompt | Reply) and message.images:
            told.append(replace(message, text=f"{message.text}\n\n{PICTURE_LEFT_OUT}".lstrip(), images=()))
        else:
            told.append(message)
    return told


def _separate(messages: list[Message]) -> None:
    """Give calls other ids where an id stands there twice: one may be used again once its first call is out of sight."""
    taken: set[str] = set()
    renamed: dict[str, str] = {}
    for index, message in enumerate(messages):
        if isinstance(message, Answer):
            renamed = {}
            for call in message.calls:
                number, new = 1, call.id
                while new in taken:
                    number += 1
                    new = f"{call.id}-{number}"
                taken.add(new)
                if new != call.id:
                    renamed[call.id] = new
            if renamed:
                calls = tuple(replace(call, id=renamed.get(call.id, call.id)) for call in message.calls)
                messages[index] = replace(message, calls=calls, sealed=None)
        elif isinstance(message, Reply) and message.call_id in renamed:
            messages[index] = replace(message, call_id=renamed[message.call_id])
