"""Owns the seam to the world: what a place to work in can do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from agent.pictures import Picture


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a command may do where a sandbox holds: what the policy decided, and what the person was told."""

    held: bool = True  # False: no sandbox at all
    writes: bool = True  # in the workspace's folders; else nowhere but in a /tmp of its own
    git: bool = False  # in .git too, but for its hooks and settings
    hosts: tuple[str, ...] = ()  # that may be reached, ("*",) for all

    def __str__(self) -> str:
        if not self.held:
            return "no sandbox"
        words = ["read-only" if not self.writes else "workspace+git" if self.git else "workspace"]
        if self.hosts:
            words.append("network" if "*" in self.hosts else f"network of {', '.join(self.hosts)}")
        return ", ".join(words)


UNCONFINED = Confinement(held=False)
READ_ONLY = Confinement(writes=False)
WORKING = Confinement()


class Place(StrEnum):
    """Where a path lies, as the policy sees it."""

    INSIDE = "inside"  # the workspace, and our own readable spill files
    PROTECTED = "protected"  # inside, but decides what other programs do: .git, editor and CI settings
    OUTSIDE = "outside"
    HIDDEN = "hidden"  # jumar's own state and credentials: never


@dataclass(frozen=True, slots=True)
class Located:
    """A path as asked for, and where it really is once links are followed."""

    asked: str
    real: Path
    place: Place
    shown: str  # relative to the current folder where it is in the workspace
    called: str = ""  # as asked for, but without `.` and `..`: a rule may name a link and not only where it leads
    secret: bool = False  # it is called as files with keys and passwords are


@dataclass(frozen=True, slots=True)
class View:
    """What a call that goes through a folder may show of it: `shows` says it of each file.

    `plain`: it says yes of all that lie inside, are not protected and no secret, so that of these it need not be asked.
    """

    shows: Callable[[Located], bool]
    plain: bool = False


EVERYTHING = View(lambda located: True, plain=True)


@dataclass(frozen=True, slots=True)
class FileText:
    """A text file, decoded without loss: `encode(text)` gives the bytes back."""

    path: Located
    text: str  # line ends as in the file
    encoding: str  # "utf-8", "utf-16-le", "utf-16-be" or "latin-1", which takes any byte
    bom: bytes
    newline: str  # the line end that most lines have
    mode: int
    digest: str  # sha256 of the bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and the bounded part of its output."""

    exit_code: int  # 128 + signal when one ended it
    output: str
    seconds: float
    timed_out: bool = False
    omitted: int = 0  # bytes left out of `output`
    spill: Path | None = None  # where the whole output is, when some was left out or folded
    leftovers: int = 0  # processes that it left running, and that were ended
    stopped: str = ""  # what the sandbox seems to have kept it from, as a clause: "the network is closed to it"
    planted: str = ""  # what it left that other programs act on, as a clause
    guarded: str = ""  # which resource guard ended it, as a clause: "it had more than 512 processes"
    folded: str = ""  # what it printed as a model best reads it, where that is a long test run
    partly: str = ""  # where it was a test run, why only a part of the suite ran, as a clause


@dataclass(frozen=True, slots=True)
class Background:
    """A process that runs beside the turn."""

    id: str
    command: str
    running: bool
    exit_code: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Match:
    """One line that a search found, or one beside it."""

    path: str
    line: int
    text: str
    context: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, capped; `total` counts lines, `counts` lines a file, all of them, in any order."""

    matches: tuple[Match, ...]
    counts: Mapping[str, int]
    total: int
    partial: bool = False
    large: tuple[str, ...] = ()  # files that are too large for their lines to be told


@dataclass(frozen=True, slots=True)
class Listed:
    """Files that were found by their names: all in any order, or the newest alone and first; `total` counts all."""

    paths: tuple[str, ...]
    total: int
    partial: bool = False


class Workspace(Protocol):
    """Files and processes in one confined place. Paths may be relative to `cwd`."""

    root: Path
    cwd: Path

    @property
    def sandbox(self) -> str:
        """Which sandbox confines commands: "bubblewrap", "landlock", "seatbelt", or "none"."""
        ...

    def locate(self, path: str) -> Located:
        """Say where a path lies. Never fails."""
        ...

    def locating(self) -> Callable[[str], Located]:
        """Return what says where very many absolute paths of one listing lie, sooner than `locate` would."""
        ...

    def read(self, located: Located) -> FileText:
        """Read a text file. Raises ToolFailure."""
        ...

    async def look(self, located: Located, *, pictures: bool) -> FileText | Picture:
        """Read a text file or a picture, which is made ready for a model only where `pictures` says so. Raises ToolFailure."""
        ...

    def saw(self, file: FileText) -> None:
        """Remember that the model was shown the file as it is in `file`."""
        ...

    def seen(self, located: Located) -> str | None:
        """Return the digest under which the model last saw the file."""
        ...

    def write(self, located: Located, text: str, expected: FileText | None) -> FileText:
        """Replace what `expected` says is there, or create where it is None. Raises ToolFailure when that is not so."""
        ...

    def find(self, glob: str, folder: Located, view: View, most: int | None = None) -> Listed:
        """List files, without what .gitignore names and what is not shown. Raises ToolFailure."""
        ...

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
        ...

    async def run(self, command: str, limit: float, told: Callable[[str], None], confined: Confinement = WORKING) -> Ended:
        """Run a command to its end; `told` hears its output as it comes. Cancelling ends it and all it started.

        Where no sandbox holds here, `confined` confines nothing: who allows a command asks `sandbox` first.
        """
        ...

    async def start(self, command: str, confined: Confinement = WORKING) -> Background:
        """Start a command beside the turn."""
        ...

    def background(self) -> list[Background]:
        """List what was started beside the turn."""
        ...

    def output(self, process_id: str) -> str:
        """Return what a background process printed since the last look. Raises ToolFailure."""
        ...

    async def kill(self, process_id: str) -> Background:
        """End a background process and all it started. Raises ToolFailure."""
        ...

    async def close(self) -> None:
        """End every process."""
        ...
