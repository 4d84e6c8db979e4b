"""Owns the workspace on this machine: its paths, files, processes and searches as one."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from agent.errors import ToolFailure
from agent.pictures import Picture, Unshowable, picture
from agent.workspace.companion import Companion
from agent.workspace.contract import WORKING, Background, Confinement, Ended, FileText, Found, Listed, Located, Place, View
from agent.workspace.files import Files
from agent.workspace.globs import escaped
from agent.workspace.locating import Locating
from agent.workspace.output import SHOWN
from agent.workspace.paths import Paths
from agent.workspace.plain import Plain
from agent.workspace.ripgrep import Ripgrep
from agent.workspace.sandbox.contract import Surroundings
from agent.workspace.sandbox.probe import holding
from agent.workspace.search import Engine, Query, search
from agent.workspace.shell import Shell
from agent.workspace.unseen import Unseen


class LocalWorkspace:
    """A folder tree and the commands that run in it. `spill` takes what is too long to tell, and can be read from."""

    def __init__(
        self,
        root: Path,
        cwd: Path,
        *,
        spill: Path,
        environment: Mapping[str, str],
        add_dirs: Sequence[Path] = (),
        hidden: Sequence[Path] = (),
        engine: Engine | None = None,
        shown: int = SHOWN,
        sandbox: str = "off",
        known: Path | None = None,
    ) -> None:
        person = Path(environment["HOME"]) if environment.get("HOME") else None
        self._paths = Paths(root, cwd, spill=spill, add_dirs=add_dirs, hidden=hidden, person=person)
        self._files = Files(self._paths)
        self.root = self._paths.root
        self.cwd = self._paths.cwd
        self._keep_own(hidden, add_dirs)
        around = self._surroundings(person, add_dirs)
        self._unseen = Unseen(around.folders)
        found, self.holding = holding(around, self._paths.spill, sandbox, known)
        self._shell = Shell(self.cwd, environment, spill, shown, sandbox=found)
        self._looking = asyncio.Lock()  # pictures are large: one after the other
        self._engine = engine or Ripgrep.installed(self.root) or Plain()

    def locate(self, path: str) -> Located:
        """Say where a path lies. Never fails."""
        return self._paths.locate(path)

    def locating(self) -> Callable[[str], Located]:
        """Return what says where very many absolute paths of one listing lie, sooner than `locate` would."""
        return Locating(self._paths)

    def read(self, located: Located) -> FileText:
        """Read a text file. Raises ToolFailure."""
        return self._files.read(located)

    async def look(self, located: Located, *, pictures: bool) -> FileText | Picture:
        """Read a text file or a picture, which is made ready for a model only where `pictures` says so. Raises ToolFailure."""
        found = self._files.look(located)
        if isinstance(found, FileText):
            return found
        async with self._looking:
            try:
                return await asyncio.to_thread(picture, found, shown=pictures)
            except Unshowable as fault:
                raise ToolFailure(f"{located.shown} {fault}.") from None

    def saw(self, file: FileText) -> None:
        """Remember that the model was shown the file as it is in `file`."""
        self._files.saw(file)

    def seen(self, located: Located) -> str | None:
        """Return the digest under which the model last saw the file."""
        return self._files.seen(located)

    def write(self, located: Located, text: str, expected: FileText | None) -> FileText:
        """Replace what `expected` says is there, or create where it is None. Raises ToolFailure when that is not so."""
        return self._files.write(located, text, expected)

    def find(self, glob: str, folder: Located, view: View, most: int | None = None) -> Listed:
        """List files, without what .gitignore names and what is not shown. Raises ToolFailure."""
        return self._files.find(glob, folder, view, self._engine, most)

    async def search(
        self,
        pattern: str,
        *,
        paths: Sequence[Located],
        glob: str,
        context: int,
        ignore_case: bool,
        limit: int,
        view: View,
    ) -> Found:
        """Search lines by regular expression, without what .gitignore names and what is not shown. Raises ToolFailure."""
        starts = [_start(path) for path in paths]
        shown = partial(Locating(self._paths).shown, view)
        asked = Query(pattern, self.root, starts, self._from_root(glob), context, ignore_case, limit, shown)
        query = replace(asked, readable=self._paths.readable(starts), hidden=self._paths.hidden_files())
        found = await search(self._engine, query)
        if self.cwd == self.root:
            return found
        return replace(
            found,
            matches=tuple(replace(match, path=self._told(match.path)) for match in found.matches),
            counts={self._told(path): count for path, count in found.counts.items()},
            large=tuple(map(self._told, found.large)),
        )

    @property
    def sandbox(self) -> str:
        """Which sandbox confines commands."""
        return self.holding.name

    def _keep_own(self, hidden: Sequence[Path], add_dirs: Sequence[Path]) -> None:
        """Make our own folders where a command could else make them: what is not there cannot be hidden from it."""
        for own in hidden:
            if any(own.resolve().is_relative_to(folder) for folder in (self.root, *(one.resolve() for one in add_dirs))):
                with suppress(OSError):
                    own.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _surroundings(self, person: Path | None, add_dirs: Sequence[Path]) -> Surroundings:
        return Surroundings(
            root=self.root,
            cwd=self.cwd,
            folders=(self.root, *(folder.resolve() for folder in add_dirs)),
            hidden=self._paths.hidden_files(),
            home=person,
            cache=self._paths.spill / "cache",
        )

    async def run(self, command: str, limit: float, told: Callable[[str], None], confined: Confinement = WORKING) -> Ended:
        """Run a command to its end; `told` hears its output as it comes. Cancelling ends it and all it started."""
        return await self._shell.run(command, limit, told, confined)

    async def start(self, command: str, confined: Confinement = WORKING) -> Background:
        """Start a command beside the turn."""
        return await self._shell.start(command, confined)

    async def accompany(self, argv: Sequence[str], folder: Path, confined: Confinement) -> Companion:
        """Start a program that is spoken with through its pipes, in a folder, without the secrets of the tree.

        Raises ToolFailure.
        """
        unseen = await asyncio.to_thread(self._unseen.files) if self.sandbox != "none" and confined.held else ()
        return await self._shell.accompany(argv, folder, confined, unseen)

    def background(self) -> list[Background]:
        """List what was started beside the turn."""
        return self._shell.background()

    def output(self, process_id: str) -> str:
        """Return what a background process printed since the last look. Raises ToolFailure."""
        return self._shell.output(process_id)

    async def kill(self, process_id: str) -> Background:
        """End a background process and all it started. Raises ToolFailure."""
        return await self._shell.kill(process_id)

    async def close(self) -> None:
        """End every process."""
        await self._shell.close()

    def _from_root(self, glob: str) -> str:
        """Return a glob that is meant from the current folder, as one from the root."""
        bare = glob.removeprefix("!")
        if "/" not in bare or bare.startswith("/") or self.cwd == self.root:
            return glob
        folder = escaped(str(self.cwd.relative_to(self.root)))
        return f"{glob[: len(glob) - len(bare)]}{folder}/{bare.removeprefix('./')}"

    def _told(self, path: str) -> str:
        below = f"{self.cwd.relative_to(self.root)}/"
        return path.removeprefix(below) if path.startswith(below) else self._paths.shown(self.root / path)


def _start(located: Located) -> Path:
    if located.place is Place.HIDDEN:
        raise ToolFailure(f"{located.shown} is hidden: credentials and jumar's own state are never read.")
    if not located.real.exists():
        raise ToolFailure(f"There is no {located.shown} to search; find names what there is.")
    if not (located.real.is_file() or located.real.is_dir()):
        raise ToolFailure(f"{located.shown} is a pipe or a device.")
    return located.real
