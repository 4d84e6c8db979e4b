"""Owns how a turn ends: the person's checks run, and the model is told once of what it leaves unchecked or lying about."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from agent.blocks import TerminalBlock
from agent.checks import Check, told
from agent.errors import JumarError
from agent.events.call import CHECK, ToolFinished, ToolStarted
from agent.events.conversation import TurnStarted
from agent.events.event import Event
from agent.events.news import Informed, Warned
from agent.execute import Execute
from agent.proof import Proof
from agent.safe import safe_line
from agent.workspace.git import Git
from prompts import words

_ROUNDS = 3  # times in a turn that the model is told of a check that fails
_NOT_RUN = {126, 127}  # as a shell tells it
_NAMED = 8  # files that the model is told by name
_MANY = 3  # files of one folder from which on the folder stands for them
_MOST_LOOKED_AT = 200
_PATIENCE = 5.0  # seconds that git has to say what is litter


@dataclass(frozen=True, slots=True)
class Checks:
    """What checks a work tree: what the person keeps, and what its files seem to offer. `remind` says whether the model is
    told of what it leaves unchecked, and of litter."""

    kept: tuple[Check, ...] = ()
    found: tuple[Check, ...] = ()
    remind: bool = False

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands of all of them."""
        return tuple(check.command for check in (*self.kept, *self.found))


@dataclass(frozen=True, slots=True)
class _Failed:
    """A check that failed, and what it printed as the model reads it."""

    check: Check
    code: int
    printed: str


class Ending:
    """Sees to it that a turn ends honestly. It hears every settled event of its session."""

    def __init__(
        self, checks: Checks, root: Path, execute: Execute, tell: Callable[[Event], None], due: Callable[[], int]
    ) -> None:
        self._checks = checks
        self._root = root
        self._execute = execute
        self._tell = tell
        self._due = due  # the step with which the model learns of what is told now
        self._proof = Proof(checks.commands, root)
        self._turn = 0
        self._ran = 0  # checks in this turn
        self._rounds = 0
        self._reminded = False
        self._not_run: set[str] = set()  # checks that could not be in this turn
        self._last: _Failed | None = None  # as it was not mended so far
        self.running: ToolStarted | None = None  # a check

    def hear(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, TurnStarted):
            self._turn, self._ran, self._rounds, self._reminded, self._not_run = event.turn, 0, 0, False, set()
            self._last = None
            if event.by == "person":
                self._proof.begin()
        if isinstance(event, ToolStarted | ToolFinished) and event.call_id.startswith(CHECK):
            self.running = event if isinstance(event, ToolStarted) else None
        self._proof.apply(event)

    @property
    def verified(self) -> bool | None:
        """Whether what the turn changed was checked since; None where it changed nothing."""
        return self._proof.verified

    @property
    def failing(self) -> str:
        """The person's check with which the turn would end failing."""
        return self._last.check.command if self._last is not None else ""

    async def after_step(self) -> None:
        """Run the checks that shall run after each edit, where there was one; the model is told of the first that fails."""
        due = [check for check in self._checks.kept if check.when == "edit" and check.command not in self._proof.outcomes]
        if (failed := await self._failed(due)) is not None:
            self._inform(failed, words("edited"))

    async def goes_on(self, answer: str, *, room: bool) -> bool:
        """Run what is to be run before the turn ends; whether the model was told something, so that it has to go on.

        `room` says whether it could.
        """
        self._last = await self._failed(self._checks.kept)
        if self._last is not None:
            if not room or self._rounds == _ROUNDS:
                return False
            self._rounds += 1
            self._inform(self._last, words("check"))
            return True
        if not room or self._reminded or not self._checks.remind:
            return False
        reminders = [*await self._unchecked(), *await self._litter(answer)]
        if reminders:
            self._reminded = True
            title = " and ".join(title for title, _ in reminders)
            text = "\n\n".join(text for _, text in reminders)
            self._tell(Informed(kind="ending", title=f"the model is told of {title}", told=text, step=self._due()))
        return bool(reminders)

    async def _failed(self, checks: Sequence[Check]) -> "_Failed | None":
        """Run those of the checks that are of what was changed, and did not pass since; return the first that fails."""
        for check in checks:
            if check.name in self._not_run or not any(check.covers(path) for path in self._proof.changed):
                continue
            passed = self._proof.outcomes.get(check.command)
            if passed:
                continue
            if passed is False and self._last is not None and self._last.check is check:
                return self._last
            self._ran += 1
            ended = await self._execute.check(check.command, check.seconds, f"{CHECK}{self._turn}-{self._ran}")
            if ended is None or ended.exit_code is None or ended.exit_code in _NOT_RUN:
                self._not_run.add(check.name)
                why = "nobody allows it" if ended is None else f"exit {ended.exit_code}" if ended.exit_code else ended.status
                self._tell(Warned(text=f"the check {check.name} was not run ({why}): {check.command}"))
            elif ended.exit_code:
                self._last = _Failed(check, ended.exit_code, _printed(ended))
                return self._last
        return None

    def _inform(self, failed: "_Failed", text: str) -> None:
        head = text.format(command=safe_line(failed.check.command), code=failed.code)
        title = f"the check {safe_line(failed.check.name)} fails, and the model is told"
        self._tell(Informed(kind="check", title=title, told=f"{head}\n\n{failed.printed}", step=self._due()))

    async def _unchecked(self) -> list[tuple[str, str]]:
        """Return what is told of changes that nothing checked, where something could."""
        every = (*self._checks.kept, *self._checks.found)
        unchecked = self._proof.unchecked
        could = [check for check in every if unchecked and any(map(check.covers, self._proof.changed))]
        could = [check for check in could if check.name not in self._not_run and await self._execute.allows(check.command)]
        if not could:
            return []
        named = [path for path in unchecked if any(check.covers(path) for check in could)] or unchecked
        text = words("unchecked").format(files=_named(named), commands=told(could))
        return [("what is not checked", text)]

    async def _litter(self, answer: str) -> list[tuple[str, str]]:
        """Return what is told of files that commands left, that git neither tracks nor ignores, and the answer does not name."""
        left = [path for path in self._proof.left if os.path.lexists(self._root / path) and Path(path).name not in answer]
        if not left or not os.path.lexists(self._root / ".git"):
            return []
        asked = [f":(top,literal){path}" for path in left[:_MOST_LOOKED_AT]]
        try:
            async with asyncio.timeout(_PATIENCE):
                ran = await Git(self._root).run("status", "--porcelain", "-z", "--untracked-files=all", "--", *asked)
        except (JumarError, TimeoutError):
            return []
        untracked = {os.fsdecode(entry[3:]) for entry in ran.out.split(b"\0") if entry.startswith(b"?? ")}
        found = [path for path in left if path in untracked]
        return [("files that commands left", words("litter").format(files=_named(found)))] if found else []


def _printed(ended: ToolFinished) -> str:
    from agent.folding import failing  # for those whose checks fail

    printed = failing("\n".join(block.output for block in ended.blocks if isinstance(block, TerminalBlock)))
    # How it ended, where that was not by itself, stands in brackets below what it printed.
    notes = list(takewhile(lambda line: line.startswith("[") and line.endswith("]"), reversed(ended.reply.split("\n"))))
    return "\n".join([printed.rstrip("\n") or "(nothing)", *(note for note in reversed(notes) if not note.startswith("[exit "))])


def _named(paths: Sequence[str]) -> str:
    """Return files by name, many of one folder as that folder."""
    tops = Counter(path.partition("/")[0] for path in paths)
    names = dict.fromkeys(
        f"{top}/ ({tops[top]} files)" if inside and tops[top] > _MANY else path
        for path, (top, inside, _) in ((path, path.partition("/")) for path in paths)
    )
    shown = [f"`{safe_line(name)}`" for name in list(names)[:_NAMED]]
    return ", ".join(shown) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
