"""Owns what a session learns of the problems that its changes bring: at once what comes in time, else with a later step."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.code.grammars import language
from agent.diagnostics.checking import Checking
from agent.diagnostics.contract import Finder, Starting, Subject
from agent.diagnostics.finding import Finding, Usable
from agent.diagnostics.linter import Linter
from agent.diagnostics.problem import Told, lines
from agent.diagnostics.programs import LinterProgram, ServerProgram
from agent.diagnostics.server import Server
from agent.errors import ToolFailure
from agent.workspace.contract import FileText, Located, Place

_SECONDS = 2.0  # that a step waits, whatever it changed
_LARGEST = 1 << 20  # characters of a text that is looked at
_MOST_SERVERS = 4  # that run at once
_MOST_PLACES = 100  # folders whose servers are made ready
_MOST_FILES = 10  # of which problems are told at once


class Files(Starting, Protocol):
    """What is needed of a workspace."""

    def locate(self, path: str) -> Located:
        """Say where a path lies."""
        ...

    def read(self, located: Located) -> FileText:
        """Read a text file. Raises ToolFailure."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the changes of a step brought: the new problems a line each, and who found none or did not answer yet."""

    problems: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    late: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """It as the model reads it, "" where nobody looked."""
        parts = ["New problems since this step's changes:", *self.problems] if self.problems else []
        if self.clean and not self.problems:
            parts.append(f"No new problems ({', '.join(self.clean)}).")
        if self.late:
            who = ", ".join(self.late)
            parts.append(f"{who} has not answered yet: what it finds is told with a later step.")
        return "\n".join(parts)


class Diagnostics:
    """Asks the language servers and linters of a project, which `finding` knows. It fails no turn, nor holds it up for long."""

    def __init__(self, files: Files, finding: Finding, seconds: float = _SECONDS) -> None:
        self._files = files
        self._finding = finding
        self._seconds = seconds
        self._checkings: dict[tuple[str, Path], Checking] = {}
        self._asked: dict[tuple[str, Path], Checking] = {}  # of the changes that nothing was told of yet
        self._notes: list[str] = []
        self._near: set[tuple[str, Path]] = set()

    def near(self, located: Iterable[Located]) -> None:
        """Have the servers of files ready that are looked at: they may be changed soon."""
        for one in located:
            place = _language(one), one.real.parent
            if (spoken := place[0]) and place not in self._near and len(self._near) < _MOST_PLACES:
                self._near.add(place)
                for usable in self._finding.servers_for(spoken, one.real):
                    if (checking := self._server(usable)) is not None:
                        checking.start()

    @contextmanager
    def around(self, located: Sequence[Located]) -> Iterator[None]:
        """Look at what is done inside to files, from what they held before."""
        texts = {one.real: self._text(one) for one in located if _language(one)}
        yield
        for one in located:
            before, after = texts.get(one.real), self._text(one) if one.real in texts else None
            if before is not None and after is not None and before != after:
                spoken = _language(one)
                for key, checking in self._asked_of(spoken, one.real):
                    self._asked[key] = checking
                    checking.change(Subject(one.real, spoken, before), Subject(one.real, spoken, after))

    async def verdict(self) -> Verdict:
        """Say what the changes since the last verdict brought, as far as that is known in time."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._seconds
        asked, self._asked = self._asked, {}
        await _ended(asked.values(), self._seconds)
        asked |= self._hand_over(asked.values())
        await _ended(asked.values(), until - clock())
        late = []
        for checking in asked.values():
            checking.late = checking.busy is not None
            if checking.late:
                late.append(checking.finder.name)
        clean = [one.finder.name for one in asked.values() if not (one.late or one.mute or one.finder.fault)]
        return Verdict(tuple(self._news()), tuple(clean), tuple(late))

    def _hand_over(self, asked: Iterable[Checking]) -> dict[tuple[str, Path], Checking]:
        """Have others look at what those did not that were given up; return the others."""
        others: dict[tuple[str, Path], Checking] = {}
        for checking in list(asked):
            for before, after in checking.take_left() if checking.finder.fault else ():
                for key, other in self._asked_of(after.language, after.path):
                    if isinstance(other.finder, Linter):  # the servers have it already
                        others[key] = other
                        other.change(before, after)
        return others

    async def came_late(self) -> tuple[str, ...]:
        """Return the new problems that nothing was told of yet, a line each; from now on they count as told."""
        return (await self.verdict()).problems if self._asked else tuple(self._news())

    def notes(self) -> list[str]:
        """Return what the person should know of the programs, once."""
        notes, self._notes = self._notes, []
        return notes

    def noticed(self, paths: Iterable[str]) -> None:
        """Tell the servers of files that changed on the disk by whatever means."""
        if not self._checkings:
            return
        changed = [located.real for path in paths if (located := self._files.locate(path)).place is Place.INSIDE]
        if changed:
            for checking in self._checkings.values():
                checking.finder.noticed(changed)

    def standing(self) -> list[tuple[str, str]]:
        """Return the programs that were asked, and how each stands."""
        return [(checking.finder.name, checking.finder.standing) for checking in self._checkings.values()]

    async def close(self) -> None:
        """End every program."""
        await asyncio.gather(*(checking.end() for checking in self._checkings.values()))

    def _news(self) -> list[str]:
        told = [
            Told(located.shown, checking.finder.name, problems)
            for checking in self._checkings.values()
            for path, problems in checking.news().items()
            if (located := self._files.locate(str(path))).place is Place.INSIDE and not located.secret
        ]
        return lines(told[:_MOST_FILES])

    def _asked_of(self, spoken: str, file: Path) -> list[tuple[tuple[str, Path], Checking]]:
        """Return who is asked of a file: the servers, and where there is none, a linter."""
        servers = ((usable, self._server(usable)) for usable in self._finding.servers_for(spoken, file))
        found = [(_key(usable), one) for usable, one in servers if one is not None and not one.finder.fault]
        if found:
            return found
        linter = self._finding.linter_for(spoken, file)
        if linter is None or not isinstance(linter.program, LinterProgram):
            return []
        program, key = linter.program, (f"{linter.program.name}, run", linter.folder)
        one = self._kept(key, lambda: Linter(linter, program, self._files))
        return [] if one.finder.fault else [(key, one)]

    def _server(self, usable: Usable) -> Checking | None:
        program, key = usable.program, _key(usable)
        if not isinstance(program, ServerProgram):
            return None
        if (
            key not in self._checkings
            and sum(isinstance(one.finder, Server) for one in self._checkings.values()) >= _MOST_SERVERS
        ):
            return None
        return self._kept(key, lambda: Server(usable, program, self._files, self._notes.append))

    def _kept(self, key: tuple[str, Path], make: Callable[[], Finder]) -> Checking:
        if key not in self._checkings:
            self._checkings[key] = Checking(make())
        return self._checkings[key]

    def _text(self, located: Located) -> str | None:
        """Return what stands in a file, nothing where there is none; None where it cannot be looked at."""
        try:
            text = self._files.read(located).text
        except (ToolFailure, OSError):
            return None if located.real.exists() else ""
        return text if len(text) <= _LARGEST else None


async def _ended(checkings: Iterable[Checking], seconds: float) -> None:
    """Wait until they have looked at all, but for those that were waited for in vain before."""
    awaited = [busy for checking in checkings if not checking.late and (busy := checking.busy) is not None]
    if awaited and seconds > 0:
        await asyncio.wait(awaited, timeout=seconds)


def _key(usable: Usable) -> tuple[str, Path]:
    return usable.program.name, usable.folder


def _language(located: Located) -> str:
    return language(located.real.name) if located.place is Place.INSIDE and not located.secret else ""
