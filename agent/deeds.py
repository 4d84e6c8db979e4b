"""Owns what a session did, as its events have it: files changed, commands run, the plan."""

from collections import deque
from dataclasses import dataclass, field, replace

from agent.blocks import PlanBlock, PlanItem
from agent.effects import Change, Effect
from agent.events.action import ActionFile, ActionRecorded, ActionsUndone
from agent.events.call import ToolFinished, ToolStarted
from agent.events.news import Informed

_MOST_COMMANDS = 60  # that are remembered
_MOST_FILES = 1000
_LONGEST = 160  # characters of a command or a path that are told
_NAMED = 6  # files of what was taken back


@dataclass(frozen=True, slots=True)
class Command:
    """A command that ran, and how it ended."""

    line: str
    ended: str


@dataclass(slots=True)
class Deeds:
    """What was done so far."""

    files: dict[str, Change] = field(default_factory=dict)
    commands: deque[Command] = field(default_factory=lambda: deque(maxlen=_MOST_COMMANDS))
    ran: int = 0
    plan: tuple[PlanItem, ...] = ()
    undone: list[str] = field(default_factory=list)
    _started: dict[str, ToolStarted] = field(default_factory=dict)
    _recorded: dict[str, tuple[Change, ...]] = field(default_factory=dict)  # by the call, what the ledger holds of it

    def apply(self, event: ToolStarted | ToolFinished | ActionRecorded | ActionsUndone | Informed) -> None:
        """Take one event in."""
        match event:
            case ActionsUndone():
                self._undone(event)
            case ActionRecorded():
                before = self._recorded.get(event.call_id, ())  # a call that ran twice is two actions
                self._recorded[event.call_id] = (*before, *map(_changed, event.files))
            case ToolStarted():
                self._started[event.call_id] = event
            case ToolFinished():
                self._finished(event)
            case Informed():
                self.plan = event.plan.items if event.plan is not None else self.plan

    def _undone(self, event: ActionsUndone) -> None:
        for file in event.files:
            self._change(_changed(file))
        names = [f"{_clip(file.path)} {file.kind}" for file in event.files[:_NAMED]]
        if len(event.files) > _NAMED:
            names.append(f"and {len(event.files) - _NAMED} files more")
        self.undone.append(f"{_clip(event.title)}: {', '.join(names)}")

    def _finished(self, event: ToolFinished) -> None:
        started = self._started.pop(event.call_id, None)
        recorded = self._recorded.pop(event.call_id, ())
        for change in event.changes or recorded:
            self._change(change)
        for block in event.blocks:
            if isinstance(block, PlanBlock):
                self.plan = block.items
        if event.exit_code is not None:
            self._command(event.subject, f"exit {event.exit_code}")
        elif started is not None and started.effect is Effect.EXEC:
            self._command(started.subject, "no exit code" if event.status == "done" else event.status)

    def _change(self, change: Change) -> None:
        before = self.files.pop(change.path, None)
        if before is not None:
            kind = "created" if before.kind == "created" and change.kind == "modified" else change.kind
            change = replace(change, kind=kind, added=before.added + change.added, removed=before.removed + change.removed)
        self.files[change.path] = change
        if len(self.files) > _MOST_FILES:
            del self.files[next(iter(self.files))]

    def _command(self, line: str, ended: str) -> None:
        self.ran += 1
        self.commands.append(Command(line, ended))

    def told_files(self, most: int) -> str:
        """Return the files changed, one a line, in at most about so many characters; the last ones where not all fit."""
        lines = [f"- {_clip(change.path)}: {change.kind}, +{change.added} -{change.removed}" for change in self.files.values()]
        return _last(lines, most, len(lines)) or "none"

    def told_commands(self, most: int) -> str:
        """Return the commands run and how they ended, one a line; the last ones where not all fit."""
        return _last([f"- {_clip(one.line)}: {one.ended}" for one in self.commands], most, self.ran) or "none"

    def told_plan(self, most: int) -> str:
        """Return the plan, one item a line."""
        return _last([f"- [{item.state}] {_clip(item.text)}" for item in self.plan], most, len(self.plan)) or "none was made"

    def told(self, most: int) -> str:
        """Return the record, in at most about so many characters."""
        third = most // 3
        plan = f"\n\nPlan:\n{self.told_plan(third)}" if self.plan else ""
        files, commands = self.told_files(third), self.told_commands(third)
        lines = [f"- {told}" for told in self.undone]
        undone = f"\n\nTaken back or brought back by the person:\n{_last(lines, third, len(lines))}" if lines else ""
        return f"Files changed:\n{files}{undone}\n\nCommands run, in order:\n{commands}{plan}"


def _changed(file: ActionFile) -> Change:
    return Change(file.path, file.kind, None, None, file.added, file.removed)


def _clip(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _last(lines: list[str], most: int, total: int) -> str:
    kept: list[str] = []
    for line in reversed(lines):
        most -= len(line) + 1
        if kept and most < 0:
            break
        kept.append(line)
    earlier = [f"- ({total - len(kept)} earlier ones are not listed)"] if total > len(kept) else []
    return "\n".join([*earlier, *reversed(kept)])
