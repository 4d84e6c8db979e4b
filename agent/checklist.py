"""Owns the plan as the model and the person make it together: what the person changed stays visible, whatever comes next."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from agent.blocks import PlanBlock, PlanItem
from agent.events.call import ToolFinished
from agent.events.event import Event
from agent.events.news import Informed
from agent.events.step import ModelAnswered

Mark = Literal["", "added", "reworded", "struck", "back", "missing"]
ChangeKind = Literal["added", "removed", "reworded", "struck", "restored", "moved"]
_WORDS = {
    "added": "added a step: {text} (it is step {place} now)",
    "removed": "took a step out: {text}. Do not do it.",
    "reworded": "reworded a step: {text} is now {new}",
    "struck": "struck a step: {text}. Do not do it.",
    "restored": "wants this step after all: {text}",
    "moved": "moved a step: {text} is step {place} now",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the plan. `mark` says what the person changed of it, or that the model took no notice: a struck step that
    came back, a step of theirs that the model's plan is missing."""

    text: str
    state: Literal["open", "doing", "done", "dropped"] = "open"
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a plan. `at` is where the step stands after it, or stood; `new` is its new wording."""

    kind: ChangeKind
    text: str
    at: int
    new: str = ""
    state: Literal["open", "doing", "done", "dropped"] = "open"  # of a step that is there again
    was: int = -1  # where a step that was moved stood


@dataclass(frozen=True, slots=True)
class _Edit:
    before: PlanBlock
    after: PlanBlock


@dataclass(slots=True)
class Checklist:
    """The plan, as a fold over the session's events."""

    steps: tuple[Step, ...] = ()
    known: bool = False  # there is a plan
    changes: tuple[Change, ...] = ()  # that the person made last
    objections: tuple[Step, ...] = ()  # in which the model's last plan newly goes against changes that it was told of
    _added: set[str] = field(default_factory=set)
    _struck: set[str] = field(default_factory=set)  # also what was taken out
    _reworded: dict[str, str] = field(default_factory=dict)  # the model's words, and the person's
    _edits: list[_Edit] = field(default_factory=list)
    _step: int = 0  # that the model answered last
    _due: int = 0  # the step with which it learns of the last edit
    _objected: set[Step] = field(default_factory=set)

    @property
    def plan(self) -> PlanBlock:
        """The plan as it is now."""
        return PlanBlock(tuple(PlanItem(step.text, step.state) for step in self.steps))

    def apply(self, event: Event) -> bool:
        """Take an event in; say whether the plan may be another now."""
        match event:
            case ModelAnswered():
                self._step = event.step
                return False
            case ToolFinished(blocks=blocks):
                plan = next((block for block in blocks if isinstance(block, PlanBlock)), None)
                if plan is None:
                    return False
                self._follow(plan)
            case Informed(plan=PlanBlock() as plan):
                self._edit(plan)
                self._due = event.step
            case _:
                return False
        self.known = True
        return True

    def names(self, step: Step) -> frozenset[str]:
        """Return what a step is called, and was before the person reworded it."""
        return frozenset({step.text, *(old for old, new in self._reworded.items() if new == step.text)})

    def taken_back(self) -> PlanBlock | None:
        """Return the plan without the person's last edit; None where none can be taken back."""
        if not self._edits:
            return None
        edit, plan = self._edits[-1], self.plan
        if plan == edit.after:
            return edit.before
        for change in compared(edit.after, edit.before):
            plan = carried_out(plan, change) or plan
        return plan if plan != self.plan else None

    # What the model sends.

    def _follow(self, plan: PlanBlock) -> None:
        before = self.steps
        texts = {item.text for item in plan.items}
        if texts.isdisjoint(name for step in before for name in self.names(step)):  # of another task
            self._added, self._struck, self._reworded, self._edits = set(), set(), {}, []
            before = ()
        steps = [self._marked(item) for item in plan.items]
        for at, step in enumerate(before):
            if self._is_missing(step, texts):
                after = {name for earlier in before[:at] for name in self.names(earlier)}
                place = max((number for number, one in enumerate(steps, 1) if one.text in after), default=0)
                steps.insert(place, replace(step, mark="missing", state="open"))
        against = tuple(step for step in steps if step.mark in {"back", "missing"})
        self._objected.intersection_update(against)
        knew = self._step >= self._due
        self.objections = tuple(step for step in against if step not in self._objected) if knew else ()
        self._objected.update(self.objections)
        self.steps, self.changes = tuple(steps), ()

    def _is_missing(self, step: Step, texts: set[str]) -> bool:
        theirs = step.text in self._added or step.text in self._reworded.values()
        return theirs and step.state in {"open", "doing"} and texts.isdisjoint(self.names(step))

    def _marked(self, item: PlanItem) -> Step:
        mark: Mark = ""
        if item.text in self._struck:
            mark = "struck" if item.state == "dropped" else "back"
        elif item.text in self._reworded:
            mark = "back"
        elif item.text in self._added:
            mark = "added"
        elif item.text in self._reworded.values():
            mark = "reworded"
        return Step(item.text, item.state, mark)

    # What the person does.

    def _edit(self, plan: PlanBlock) -> None:
        undone = plan == self.taken_back()
        before = self.plan
        self.changes, self.objections = compared(before, plan), ()
        for change in self.changes:
            self._take(change)
        self.steps = tuple(map(self._marked, plan.items))
        if undone:
            self._edits.pop()
        elif self.changes:
            self._edits.append(_Edit(before, plan))

    def _take(self, change: Change) -> None:
        match change.kind:
            case "added":
                if change.text not in self._struck:
                    self._added.add(change.text)
                elif change.state != "dropped":  # else it is there again, struck as it was
                    self._struck.discard(change.text)
            case "removed":
                if change.text in self._added:
                    self._added.discard(change.text)
                else:
                    self._struck.add(change.text)
            case "struck":
                self._struck.add(change.text)
            case "restored":
                self._struck.discard(change.text)
            case "reworded":
                self._reword(change)
            case "moved":
                pass

    def _reword(self, change: Change) -> None:
        if change.text in self._added:
            self._added = self._added - {change.text} | {change.new}
            return
        first = next((old for old, new in self._reworded.items() if new == change.text), change.text)
        self._reworded[first] = change.new
        if first == change.new:
            del self._reworded[first]


def compared(before: PlanBlock, after: PlanBlock) -> tuple[Change, ...]:
    """Return the changes that make one plan of another, in an order in which they can be carried out."""
    old, new = _keys(before.items), _keys(after.items)
    gone, come = [key for key in old if key not in new], [key for key in new if key not in old]
    changes: list[Change] = []
    for key in list(come):  # what stands where another stood is that one in other words
        at = new.index(key)
        if at < len(old) and old[at] in gone:
            gone.remove(old[at])
            come.remove(key)
            changes.append(Change("reworded", old[at][0], at, new=key[0]))
            old[at] = key
    changes += [Change("removed", key[0], old.index(key)) for key in reversed(gone)]
    kept, wanted = [key for key in old if key not in gone], [key for key in new if key not in come]
    changes += _moved(kept, wanted)
    changes += [Change("added", key[0], new.index(key), state=after.items[new.index(key)].state) for key in come]
    for at, key in enumerate(new):
        was = before.items[old.index(key)].state if key in old and key not in come else after.items[at].state
        now = after.items[at].state
        if (was == "dropped") != (now == "dropped"):
            changes.append(Change("restored" if was == "dropped" else "struck", key[0], at, state=now))
    return tuple(changes)


def _keys(items: Sequence[PlanItem]) -> list[tuple[str, int]]:
    """Return the words of each step, told apart where several say the same."""
    texts = [item.text for item in items]
    return [(text, texts[:at].count(text)) for at, text in enumerate(texts)]


def _moved(old: list[tuple[str, int]], new: list[tuple[str, int]]) -> list[Change]:
    """Return the moves that put the same steps into another order."""
    for at, key in enumerate(new if old != new else []):
        if [one for one in old if one != key] == [one for one in new if one != key]:
            return [Change("moved", key[0], at, was=old.index(key))]
    now, moves = list(old), []
    for at, key in enumerate(new):
        if now[at] != key:
            moves.append(Change("moved", key[0], at, was=now.index(key)))
            now.remove(key)
            now.insert(at, key)
    return moves


def carried_out(plan: PlanBlock, change: Change) -> PlanBlock | None:
    """Return a plan after a change; None where there is no such step any more."""
    items = list(plan.items)
    if change.kind == "added":
        items.insert(max(0, change.at), PlanItem(change.text, change.state))
        return PlanBlock(tuple(items))
    places = [at for at, item in enumerate(items) if item.text == change.text]
    if not places:
        return None
    stood = change.was if change.was >= 0 else change.at
    at = min(places, key=lambda place: abs(place - stood))
    match change.kind:
        case "removed":
            del items[at]
        case "reworded":
            items[at] = PlanItem(change.new, items[at].state)
        case "struck":
            items[at] = PlanItem(change.text, "dropped")
        case "restored":
            items[at] = PlanItem(change.text, change.state)
        case "moved":
            items.insert(max(0, change.at), items.pop(at))
        case _ as never:
            assert_never(never)
    return PlanBlock(tuple(items))


def told(changes: Sequence[Change]) -> str:
    """Return what the model learns of changes of the person's."""
    lines = [
        _WORDS[change.kind].format(text=f"“{change.text}”", new=f"“{change.new}”", place=change.at + 1) for change in changes
    ]
    return "\n".join(f"The person changed your plan: {line}" for line in lines)


def listed(plan: PlanBlock) -> str:
    """Return the steps as the model is told them."""
    return "\n".join(f"- [{item.state}] {item.text}" for item in plan.items) or "(empty)"


def whole(plan: PlanBlock) -> str:
    """Return the plan as the model is told it once the person changed it."""
    return f"The plan is now, whole:\n{listed(plan)}\nGo on by it, and send it so with the plan tool."


def objected(steps: Sequence[Step]) -> str:
    """Return what the model learns where its plan goes against what the person changed."""
    words = {
        "back": "“{text}” is in it again, which the person took out or worded otherwise",
        "missing": "“{text}” is not in it, which the person added or reworded",
    }
    lines = [words[step.mark].format(text=step.text) for step in steps if step.mark in words]
    return "\n".join(["(Of the plan that you sent, not the person's words: it goes against what the person changed.", *lines]) + (
        "\nKeep to the person's changes, or say in your answer why you cannot.)"
    )
