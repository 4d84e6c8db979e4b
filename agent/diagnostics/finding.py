"""Owns which language servers and linters can be asked in a work tree, where each is installed, and why others are not."""

import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agent.diagnostics.programs import LinterProgram, Program, ServerProgram, programs
from agent.workspace.peek import peek

_LARGEST = 1 << 20  # bytes of a TOML file that is looked into
_INSIDE = (".venv/bin", "venv/bin", "node_modules/.bin")
_OF_THEIR_OWN = "it lies in the work tree or runs what lies there, and no sandbox holds here"


@dataclass(frozen=True, slots=True)
class Usable:
    """A program that can be asked: the file that is started, the folder that it works from, and the project's interpreter."""

    program: Program
    executable: str
    folder: Path
    python: str = ""

    @property
    def argv(self) -> tuple[str, ...]:
        """Return its command line."""
        return (self.executable, *self.program.command[1:])


class Finding:
    """Finds the programs for the files of one work tree, which is trusted. `left_out` are those that the person wants not."""

    def __init__(self, root: Path, environment: Mapping[str, str], *, sandboxed: bool, left_out: Collection[str] = ()) -> None:
        self._root = root
        self._path = [entry for entry in environment.get("PATH", "").split(":") if Path(entry).is_absolute()]
        self._sandboxed = sandboxed
        self._left_out = frozenset(left_out)

    @cached_property
    def _known(self) -> tuple[tuple[ServerProgram, ...], tuple[LinterProgram, ...]]:
        return programs()

    @property
    def servers(self) -> tuple[ServerProgram, ...]:
        """All that are known, those that are asked first first."""
        return self._known[0]

    @property
    def linters(self) -> tuple[LinterProgram, ...]:
        """All that are known."""
        return self._known[1]

    def servers_for(self, language: str, file: Path) -> list[Usable]:
        """Return the servers that are asked of a file: one of each kind."""
        chosen: dict[str, tuple[bool, Usable]] = {}
        for program in self.servers:
            if language not in program.languages or not isinstance(usable := self.usable(program, file), Usable):
                continue
            used = self._has(program.config, file)
            before = chosen.get(program.kind)
            if before is None or (used and not before[0]):
                chosen[program.kind] = (used, usable)
        return [usable for _, usable in chosen.values()]

    def linter_for(self, language: str, file: Path) -> Usable | None:
        """Return the linter that is asked of a file where no server is."""
        found = (self.usable(program, file) for program in self.linters if language in program.languages)
        return next((usable for usable in found if isinstance(usable, Usable)), None)

    def usable(self, program: Program, file: Path) -> Usable | str:
        """Return a program that can be asked of a file, or why it cannot, as a clause."""
        if program.name in self._left_out:
            return "config.toml leaves it out"
        folder = self._nearest((*program.config, *program.roots), file)
        if program.needs and self._nearest(program.config, file) is None:
            return "the project has no settings for it"
        executable, inside = self._executable(program.command[0], file)
        if not executable:
            return "it is not installed"
        if (inside or program.runs) and not self._sandboxed:
            return _OF_THEIR_OWN
        python = self._own("python", file) if "python" in program.languages else ""
        return Usable(program, executable, folder or self._root, python)

    def _executable(self, name: str, file: Path) -> tuple[str, bool]:
        """Return where a program is, the project's own first, and whether it lies in the work tree."""
        if own := self._own(name, file):
            return own, True
        for place in self._path:
            found = Path(place) / name
            if _runs(found):
                real = Path(os.path.realpath(found))
                return str(found), found.is_relative_to(self._root) or real.is_relative_to(self._root)
        return "", False

    def _own(self, name: str, file: Path) -> str:
        """Return where the project has a program, which runs only where a sandbox holds; "" where it has none."""
        places = (folder / place / name for folder in self._above(file) for place in _INSIDE) if self._sandboxed else ()
        return next((str(found) for found in places if _runs(found)), "")

    def _above(self, file: Path) -> list[Path]:
        """Return the folders from that of a file up to the work tree's."""
        return [folder for folder in file.parents if folder.is_relative_to(self._root)] or [self._root]

    def _nearest(self, marks: Collection[str], file: Path) -> Path | None:
        return next((folder for folder in self._above(file) if any(_marks(folder, mark) for mark in marks)), None)

    def _has(self, marks: Collection[str], file: Path) -> bool:
        return self._nearest(marks, file) is not None


def _runs(file: Path) -> bool:
    return file.is_file() and os.access(file, os.X_OK)


def _marks(folder: Path, mark: str) -> bool:
    """Whether a folder holds a file, or a TOML file that has a table. No link is followed."""
    name, _, table = mark.partition("#")
    if not table:
        try:
            return stat.S_ISREG((folder / name).lstat().st_mode)
        except OSError:
            return False
    # Only headers are looked for: a file can be made so that to parse it takes hours.
    text = b"" if (folder / name).is_symlink() else peek(folder, folder / name, _LARGEST) or b""
    return re.search(rb"^[ \t]*\[\[?[ \t]*" + re.escape(table.encode()) + rb"[ \t]*[\].]", text, re.MULTILINE) is not None
