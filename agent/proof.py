"""Owns whether what was changed was checked since: a fold over the events."""

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from agent.blocks import TerminalBlock
from agent.effects import Effect
from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.call import CHECK, ToolFinished, ToolStarted
from agent.events.event import Event
from agent.events.news import Informed
from agent.events.run import Verified

# What running leaves behind by itself, and nobody misses.
_CACHES = frozenset(
    {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".cache", ".tox", ".nox", ".git"}
)
_COMPILED = frozenset({".pyc", ".pyo"})


class Proof:
    """What was changed since it began, and what the checks said of that. `known` are commands that check in `root`."""

    def __init__(self, known: Collection[str] = (), root: Path | None = None) -> None:
        self._known = known
        self._root = root
        self._recorded: dict[str, list[str]] = {}  # by the call that runs
        self._commands: set[str] = set()  # calls that run one
        self.changed: dict[str, None] = {}
        self._since: dict[str, None] = {}  # of these, what was changed since a check ended
        self.outcomes: dict[str, bool] = {}  # by the command, of checks since the last change: whether it passed
        self.left: dict[str, None] = {}  # files that commands made, and that nobody touched since

    def begin(self) -> None:
        """Forget what was: from here on it counts."""
        self.changed, self._since, self.outcomes, self.left = {}, {}, {}, {}

    @property
    def verified(self) -> bool | None:
        """Whether all that was changed was checked since, and every check passed; None where nothing was changed."""
        return bool(self.outcomes) and all(self.outcomes.values()) if self.changed else None

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What was changed since a check ended; what an undo brought back may concern all that was changed."""
        return () if self.outcomes else tuple(self._since or self.changed)

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case ToolStarted():
                if event.effect is Effect.EXEC:
                    self._commands.add(event.call_id)
            case ActionRecorded():
                self._record(event)
            case ToolFinished():
                self._finished(event)
            case ActionsUndone():
                self.outcomes = {}
            case Informed(kind="shell" | "files" | "outside"):
                self._informed(event)
            case Verified():
                self._ended(event.command, passed=event.exit_code == 0)
            case _:
                pass

    def _informed(self, event: Informed) -> None:
        """Take in what somebody else did: what they changed of what was checked is something else by now."""
        theirs = self._recorded.pop(event.call_id, []) if event.call_id else []
        if theirs or any(file.path in self.changed for file in event.files):
            self.outcomes = {}
        for block in event.blocks if event.kind == "shell" else ():
            if isinstance(block, TerminalBlock) and block.exit_code is not None:
                self._judge(block.command, block.exit_code, block.output, wrote=bool(theirs))

    def _record(self, event: ActionRecorded) -> None:
        command = event.call_id in self._commands
        for file in event.files:
            if is_cache(file.path):
                continue
            self._recorded.setdefault(event.call_id, []).append(file.path)
            if command and file.kind == "created":
                self.left[file.path] = None
            elif not command or file.kind == "deleted":
                self.left.pop(file.path, None)

    def _finished(self, event: ToolFinished) -> None:
        self._commands.discard(event.call_id)
        told = [change.path for change in event.changes]
        paths = [*told, *self._recorded.pop(event.call_id, [])]
        self.changed |= dict.fromkeys(paths)
        self._since |= dict.fromkeys(paths)
        for path in told:
            self.left.pop(path, None)
        if paths and not event.call_id.startswith(CHECK):  # what a check of the person's writes is what it found
            self.outcomes = {}
        if event.exit_code is not None:
            printed = "\n".join(block.output for block in event.blocks if isinstance(block, TerminalBlock))
            self._judge(event.subject, event.exit_code, printed, wrote=bool(paths))

    def _judge(self, command: str, exit_code: int, printed: str, *, wrote: bool) -> None:
        """Take in how a command ended, where it is one that checks. What it `wrote` itself it has checked, but for what it could
        have written only once that was over."""
        from agent.command.checking import checking  # for those who run something
        from agent.folding import passed as told

        found = checking(command, self._known, self.changed, self._root)
        if found is None or (wrote and not found.last):
            return
        passed = exit_code == 0 if found.decides else told(printed, found.count)
        if passed is not None:
            self._ended(command.strip(), passed=passed)

    def _ended(self, command: str, *, passed: bool) -> None:
        self.outcomes[command] = passed
        self._since = {}


def is_cache(path: str) -> bool:
    """Whether running something leaves such a file by itself."""
    name = PurePosixPath(path)
    return name.suffix in _COMPILED or not _CACHES.isdisjoint(name.parts)
