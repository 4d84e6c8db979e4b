"""Owns what the screen tells: a fold over the session's events into entries, the same for a live turn and a resumed one."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import assert_never

from agent.checklist import Checklist
from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.call import (
    CHECK,
    ApprovalAsked,
    ApprovalDecided,
    QuestionAsked,
    ToolFinished,
    ToolProgressed,
    ToolStarted,
)
from agent.events.conversation import SessionRenamed, SessionStarted, Steered, TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.news import Informed, Warned
from agent.events.run import RunFinished, Verified
from agent.events.step import (
    CallStreamed,
    Compacted,
    ModelAnswered,
    ModelSwitched,
    ReasoningStreamed,
    Repaired,
    RequestRetried,
    StepStarted,
    TextStreamed,
    Uncompacted,
)
from agent.messages import Usage
from tui.entries import Answered, Called, Checked, Entry, News, Noted, Over, Said, Thought
from tui.undone import Undone

_LIVE = 64 << 10  # characters of a running command's output that are kept


@dataclass(frozen=True, slots=True)
class Spent:
    """What a model was used for; no cost once a price was not known."""

    usage: Usage = field(default_factory=Usage)
    cost: float | None = 0.0

    def more(self, usage: Usage, cost: float | None) -> "Spent":
        """Return it with one request more."""
        return Spent(self.usage + usage, None if self.cost is None or cost is None else self.cost + cost)


@dataclass(slots=True)
class Story:
    """Everything that is on the screen, in order, and what the status line and the panels need of it."""

    entries: list[Entry] = field(default_factory=list)
    started: SessionStarted | None = None
    title: str = ""
    turn: int = 0
    running: bool = False
    step: int = 0
    usage: Usage = field(default_factory=Usage)  # of all turns
    context: int = 0  # tokens of the last request and its answer
    cost: float | None = 0.0  # None once a price was not known
    spent: dict[str, Spent] = field(default_factory=dict)  # by model
    model: str = ""
    mode: str = ""
    mode_before: str = ""  # it was told to plan only
    ended: str = ""  # how the last turn did
    checklist: Checklist = field(default_factory=Checklist)
    waiting: list[str] = field(default_factory=list)  # keys of calls that wait for the person, the first first
    _calls: dict[str, Called] = field(default_factory=dict)
    _undone: Undone = field(default_factory=Undone)
    _has_planned: bool = False  # in the mode that only plans, since it is in it
    _thought: Thought | None = None
    _answer: Answered | None = None
    _written: list[Called] = field(default_factory=list)  # calls that are being written
    _unclaimed: dict[str, ActionRecorded] = field(default_factory=dict)
    _gone: list[Entry] = field(default_factory=list)
    _count: int = 0

    def apply(self, event: Event) -> News:
        """Take an event in."""
        self._gone = []
        if self.checklist.apply(event):
            self._has_planned = self._has_planned or self.mode == "plan"
        changed = self._apply(event)
        for entry in changed:
            if not entry.key:
                self._count += 1
                entry.key = f"e{self._count}"
                self.entries.append(entry)
        return News(tuple(changed), tuple(self._gone))

    def replay(self, events: Iterable[Event]) -> None:
        """Take in the events of a log."""
        for event in events:
            self.apply(event)

    def call(self, call_id: str) -> Called | None:
        """Return the entry of a call."""
        return self._calls.get(call_id)

    def _apply(self, event: Event) -> list[Entry]:  # noqa: C901 - one arm an event, none of them deep
        match event:
            case SessionStarted():
                self.started, self.model = event, event.model
                self._change_mode(event.mode)
                return []
            case SessionRenamed():
                self.title = event.title
                return []
            case TurnStarted():
                self.turn, self.running = event.turn, True
                return [Said("", event.prompt, event.images, by_check=event.by == "check", turn=event.turn)]
            case Steered():
                return [Said("", event.text, event.images, steered=True)]
            case StepStarted():
                self.step = event.step
                self._forget_streams()
                return []
            case ReasoningStreamed():
                return [self._think(event.text)]
            case TextStreamed():
                return [self._say(event.text)]
            case CallStreamed():
                return [self._write(event)]
            case ModelAnswered():
                return self._answered(event)
            case ApprovalAsked() | QuestionAsked() | ApprovalDecided() | ToolStarted() | ToolProgressed() | ToolFinished():
                return self._of_call(event)
            case ActionRecorded():
                return self._recorded(event)
            case ActionsUndone():
                return [Noted("", "undone", event.title, event=event), *self._undone.undo(event)]
            case RequestRetried():
                self._forget_streams()
                return [Noted("", "retry", event.reason, event.seconds, event)]
            case Repaired():
                return [Noted("", "repair", event.words, event=event)]
            case ModelSwitched():
                self.model = event.after
                return [Noted("", "warning", event.reason, event=event)]
            case Compacted():
                self.context = event.tokens_after or self.context
                return [Noted("", "compacted", event.reason, event=event)]
            case Uncompacted():
                return [Noted("", "compacted", "", event=event)]
            case Informed():
                return self._informed(event)
            case Warned():
                return [Noted("", "warning", event.text, event=event)]
            case Verified():
                return [Checked("", event)]
            case TurnFinished():
                return self._finished(event)
            case RunFinished():
                return []
        assert_never(event)

    @property
    def planned(self) -> bool:
        """Whether a turn that only planned has ended with a plan of which something is to be done."""
        waits = any(step.state in {"open", "doing"} for step in self.checklist.steps)
        return self.mode == "plan" and self._has_planned and not self.running and self.ended == "done" and waits

    def _change_mode(self, mode: str) -> None:
        if mode != self.mode:
            self.mode_before, self.mode, self._has_planned = self.mode, mode, False

    def _think(self, text: str) -> Thought:
        if self._thought is None:
            self._thought = Thought("")
        self._thought.text += text
        return self._thought

    def _say(self, text: str) -> Answered:
        if self._thought is not None:
            self._thought.streaming = False
        if self._answer is None:
            self._answer = Answered("")
        self._answer.text += text
        return self._answer

    def _write(self, event: CallStreamed) -> Called:
        last = self._written[-1] if self._written else None
        if last is None or last.tool != event.tool or event.size < last.size:
            last = Called("", "", event.tool)
            self._written.append(last)
        last.size = event.size
        return last

    def _forget_streams(self) -> None:
        """What streamed of a step that begins again, or never came to its end, is void."""
        void = (self._thought, self._answer, *self._written)
        self._thought = self._answer = None
        self._written = []
        self._remove(*void)

    def _remove(self, *void: Entry | None) -> None:
        for entry in void:
            if entry is not None and entry.key:
                place = next(at for at in range(len(self.entries) - 1, -1, -1) if self.entries[at] is entry)
                self._gone.append(self.entries.pop(place))

    def _answered(self, event: ModelAnswered) -> list[Entry]:
        changed: list[Entry] = []
        answer = event.answer
        thought, said, written = self._thought, self._answer, self._written
        self._thought = self._answer = None
        self._written = []
        self._remove(*written)
        if answer.reasoning.strip():
            thought = thought or Thought("")
            thought.text, thought.streaming = answer.reasoning, False
            changed.append(thought)
        elif thought is not None:
            thought.streaming = False
            changed.append(thought)
        if answer.text.strip():
            said = said or Answered("")
            said.text, said.streaming = answer.text, False
            changed.append(said)
        else:
            self._remove(said)
        for call in answer.calls:
            called = Called("", call.id, call.name, turn=self.turn, item=self._doing)
            self._calls[call.id] = called
            changed.append(called)
        self.step, self.model = event.step, event.model
        self.usage += event.usage
        self.spent[event.model] = self.spent.get(event.model, Spent()).more(event.usage, event.cost)
        self.context = event.usage.prompt + event.usage.completion
        self.cost = None if self.cost is None or event.cost is None else self.cost + event.cost
        return changed

    def _of_call(
        self, event: ApprovalAsked | QuestionAsked | ApprovalDecided | ToolStarted | ToolProgressed | ToolFinished
    ) -> list[Entry]:
        called = self._calls.get(event.call_id)
        if called is None and event.call_id.startswith(CHECK) and not isinstance(event, QuestionAsked | ToolProgressed):
            tool = "" if isinstance(event, ApprovalDecided) else event.tool
            called = self._calls[event.call_id] = Called("", event.call_id, tool, turn=self.turn)
        if called is None:
            return []
        match event:
            case ApprovalAsked():
                called.asked, called.decided, called.state = event, None, "asked"
                called.subject, called.blocks = event.subject, event.blocks
                self._wait(called)
            case QuestionAsked():
                called.question, called.state = event, "asked"
                self._wait(called)
            case ApprovalDecided():
                called.decided, called.state = event, "allowed" if event.allowed else called.state
                self._wait_no_more(called)
            case ToolStarted():
                called.tool, called.subject, called.state, called.effect = event.tool, event.subject, "running", event.effect
                called.item = self._doing
            case ToolProgressed():
                called.live = (called.live + event.text)[-_LIVE:]
            case ToolFinished():
                self._wait_no_more(called)
                called.state, called.status, called.reply = "over", event.status, event.reply
                called.subject = event.subject or called.subject
                called.blocks, called.images = event.blocks or called.blocks, event.images
                called.exit_code, called.seconds = event.exit_code, event.seconds
                called.live = ""
        return [called]

    def _wait(self, called: Called) -> None:
        if called.call_id not in self.waiting:
            self.waiting.append(called.call_id)

    def _wait_no_more(self, called: Called) -> None:
        called.question = None
        if called.call_id in self.waiting:
            self.waiting.remove(called.call_id)

    def _recorded(self, event: ActionRecorded) -> list[Entry]:
        called = self._calls.get(event.call_id)
        if called is None:  # a command of the person's, which is told once it has ended
            self._unclaimed[event.call_id] = event
            return []
        self._undone.record(called, event)
        return [called]

    def _informed(self, event: Informed) -> list[Entry]:
        self._change_mode(event.mode or self.mode)
        if event.kind == "plan":
            changes, against = (self.checklist.changes, ()) if event.plan is not None else ((), self.checklist.objections)
            return [Noted("", "plan", event.title, event=event, changes=changes, against=against)]
        if event.kind in {"outside", "away"}:
            return [self._outside(event)]
        if not event.call_id:
            return [Noted("", "info", event.title, event=event)]
        recorded = self._unclaimed.pop(event.call_id, None)
        tool = recorded.tool if recorded is not None and event.kind != "shell" else "!"
        called = Called("", event.call_id, tool, event.title, "over", blocks=event.blocks, effect="exec", turn=self.turn)
        self._calls[event.call_id] = called
        if recorded is None:
            return [called]
        self._undone.record(called, recorded)
        return [called, *self._undone.cut(recorded.action, event.parts)]

    def _outside(self, event: Informed) -> Noted:
        """Tell what somebody else changed; what they change again, before anything else happens, in the same line."""
        actions = (event.action,) if event.action else ()
        last = self.entries[-1] if self.entries else None
        if isinstance(last, Noted) and isinstance(last.event, Informed) and last.event.kind == event.kind == "outside":
            last.event, last.actions = _together(last.event, event), last.actions + actions
            return last
        return Noted("", "outside", event.title, event=event, actions=actions)

    @property
    def _doing(self) -> str:
        """What of the plan is being done."""
        return next((step.text for step in self.checklist.steps if step.state == "doing"), "")

    def _finished(self, event: TurnFinished) -> list[Entry]:
        self.running, self.ended = False, event.status
        said = (self._answer or Answered("")) if event.cut else None
        if said is not None:
            said.text, said.streaming, self._answer = event.cut, False, None
        self._forget_streams()
        return [*((said,) if said is not None else ()), Over("", event)]


def _together(first: Informed, then: Informed) -> Informed:
    """Return two changes by somebody else as one."""
    files = {file.path: file for file in first.files}
    for new in then.files:
        old = files.get(new.path, replace(new, added=0, removed=0))
        kind = "created" if old.kind == "created" and new.kind == "modified" else new.kind
        files[new.path] = replace(new, kind=kind, added=old.added + new.added, removed=old.removed + new.removed)
    return replace(first, files=tuple(files.values()), count=max(len(files), first.count, then.count), step=then.step)
