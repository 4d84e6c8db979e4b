"""Owns the acts that the timeline lists: calls of the session and what else the ledger tells, in order, under their turns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.safe import mended
from tui.entries import Called, Entry, Said

if TYPE_CHECKING:
    from agent.ledger.ledger import Listed

_ACTING = frozenset({"write", "exec", "net"})
_TAKERS = frozenset({"undo", "rewind", "revert", "rescue"})


@dataclass(slots=True, eq=False)
class Act:
    """One line of the timeline: a call, an action of the ledger, or both."""

    called: Called | None
    listed: "Listed | None"
    turn: int = 0
    item: str = ""
    redone: bool = False  # as the ledger tells; it was undone, and brought back
    foreign: bool = False  # of the person, of another session, or of somebody outside

    @property
    def number(self) -> str:
        """Its number on the ledger, empty where it has none."""
        return self.listed.action.id if self.listed is not None else self.called.action if self.called is not None else ""

    @property
    def tool(self) -> str:
        """What did it."""
        if self.listed is not None:
            return self.listed.action.tool or self.listed.action.kind
        return self.called.tool if self.called is not None else ""

    @property
    def kind(self) -> str:
        """What it is where no tool did it: an undo, a redo, or what somebody else changed."""
        return self.listed.action.kind if self.listed is not None and self.listed.action.kind != "call" else ""

    @property
    def title(self) -> str:
        """What it was about: of what nobody called for, the files."""
        if self.called is not None and self.called.subject:
            return self.called.subject
        if self.listed is None:
            return ""
        return self.listed.action.title.removeprefix(f"{self.tool} ") or ", ".join(self.paths)

    @property
    def paths(self) -> list[str]:
        """The files that it changed; where there are none, the folders."""
        if self.listed is not None:
            action = self.listed.action
            paths = [delta.path for delta in action.deltas] or [f"{folder}/" for folder in (*action.folders, *action.gone)]
            return [mended(path) for path in paths]
        return [file.path for file in self.called.files] if self.called is not None else []

    @property
    def counts(self) -> tuple[int, int]:
        """How many lines came and went."""
        if self.listed is not None:
            deltas = self.listed.action.deltas
            return sum(delta.added for delta in deltas), sum(delta.removed for delta in deltas)
        files = self.called.files if self.called is not None else ()
        return sum(file.added for file in files), sum(file.removed for file in files)

    @property
    def state(self) -> str:
        """What became of it: asked, running, undone, redone, or how it ended."""
        called = self.called
        if called is not None and called.state != "over":
            return "asked" if called.state == "asked" else "running"
        if (self.listed is not None and self.listed.undone) or (called is not None and called.undone):
            return "undone"
        if called is not None and called.partly:
            return "partly_undone"
        if self.redone or (called is not None and called.redone):
            return "redone"
        if called is not None and called.status == "done" and called.exit_code:
            return "failed"
        return called.status if called is not None else self.listed.action.status if self.listed is not None else "done"

    @property
    def undoable(self) -> bool:
        """Whether something of it can be taken back now."""
        if self.listed is not None:
            return self.listed.undoable
        return self.called is not None and any(file.captured for file in self.called.files) and not self.called.undone

    @property
    def unheld(self) -> dict[str, str]:
        """What of it cannot be taken back, and why."""
        if self.listed is not None:
            action = self.listed.action
            whole = {mended(delta.path): delta.why for delta in action.deltas if delta.why}
            return whole | {mended(path): why for path, why in action.left_out.items()}
        return dict(self.called.not_captured) if self.called is not None else {}

    def fits(self, words: str) -> bool:
        """Whether all these words occur in it."""
        text = " ".join([self.number, self.tool, self.title, self.state, *self.paths]).casefold()
        return all(word in text for word in words.casefold().split())


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A line above acts: a turn with its prompt, or, without a turn, a step of the plan."""

    turn: int
    text: str


Row = Act | Head


@dataclass(slots=True)
class Acts:
    """All acts, and the rows that are seen of them. What comes last costs nothing but itself."""

    session: str = ""
    rows: list[Row] = field(default_factory=list)
    sought: str = ""
    items: frozenset[str] = frozenset()  # of the plan, whose acts alone are seen
    seal: str = ""  # of the last action of the ledger that is in
    _acts: list[Act] = field(default_factory=list)
    _calls: dict[str, Act] = field(default_factory=dict)
    _actions: dict[str, Act] = field(default_factory=dict)
    _titles: dict[int, str] = field(default_factory=dict)
    _turn: int = 0  # of the last row
    _item: str = ""

    def take(self, entries: Iterable[Entry]) -> None:
        """Take in entries of the story that are new or have changed."""
        for entry in entries:
            if isinstance(entry, Said) and entry.turn:
                self._titles[entry.turn] = entry.text
            elif isinstance(entry, Called) and entry.call_id:
                self._take(entry)

    def _take(self, called: Called) -> None:
        act = self._calls.get(called.call_id)
        if act is None and (called.action or called.asked or called.effect in _ACTING or called.status == "denied"):
            act = self._actions.get(called.action)
            if act is None:
                self._add(act := Act(called, None))
            act.called, act.turn, act.item = called, called.turn, called.item
            self._calls[called.call_id] = act
        if act is None:
            return
        if called.action:
            self._actions.setdefault(called.action, act)
        act.item = act.item or called.item

    def record(self, listed: "Sequence[Listed]", *, whole: bool = False) -> None:
        """Take in actions of the ledger; `whole`: these are all that there are, and what is undone is known."""
        turned = {number for one in listed if one.action.kind in _TAKERS for number in one.action.undoes} if whole else set()
        first = next((int(act.number) for act in self._acts if act.number), 0)
        fresh: list[Act] = []
        for one in listed:
            number = one.action.id
            act = self._actions.get(number)
            if act is None:
                # What was before the session began is no part of its story.
                if whole and one.action.session != self.session and not 0 < first < int(number):
                    continue
                act = self._actions[number] = Act(None, one, foreign=self._is_foreign(one))
                fresh.append(act)
            act.listed = one
            if whole:
                act.redone = number in turned and not one.undone
        self._insert(fresh)
        self.seal = listed[-1].seal if listed else self.seal

    def _is_foreign(self, one: "Listed") -> bool:
        return one.action.kind == "outside" or one.action.session != self.session

    def under(self, head: Head) -> list[Act]:
        """Return the acts that stand under a head: of a turn, those of all its steps."""
        found: list[Act] = []
        for row in self.rows[self.rows.index(head) + 1 :]:
            if isinstance(row, Head):
                if row.turn or not head.turn:
                    break
            elif not row.foreign:
                found.append(row)
        return found

    def seek(self, words: str) -> None:
        """Show only what holds these words."""
        self.sought = words
        self._lay()

    def only(self, items: frozenset[str]) -> None:
        """Show only what was done for a step of the plan, whatever it is called."""
        self.items = items
        self._lay()

    def find(self, number: str) -> Act | None:
        """Return the act of an action."""
        return self._actions.get(number)

    def _add(self, act: Act) -> None:
        act.turn, act.item = (act.called.turn, act.called.item) if act.called is not None else (0, "")
        self._acts.append(act)
        self._show(act)

    def _insert(self, fresh: Sequence[Act]) -> None:
        """Put actions that no call made where the ledger has them: before what came later, and what is not over yet."""
        at = last = len(self._acts)
        for act in reversed(fresh):
            while at and self._is_later(self._acts[at - 1], int(act.number)):
                at -= 1
            self._acts.insert(at, act)
        if at < last:
            self._lay()
        else:
            for act in fresh:
                self._show(act)

    def _is_later(self, act: Act, number: int) -> bool:
        return int(act.number) > number if act.number else act.state in {"asked", "running"}

    def _lay(self) -> None:
        self.rows, self._turn, self._item = [], 0, ""
        for act in self._acts:
            self._show(act)

    def _show(self, act: Act) -> None:
        if (self.sought and not act.fits(self.sought)) or (self.items and act.item not in self.items):
            return
        if act.called is not None and act.turn and act.turn != self._turn:
            self.rows.append(Head(act.turn, self._titles.get(act.turn, "").strip().partition("\n")[0]))
            self._turn, self._item = act.turn, ""
        if act.called is not None and act.item != self._item:
            if act.item:
                self.rows.append(Head(0, act.item))
            self._item = act.item
        self.rows.append(act)
