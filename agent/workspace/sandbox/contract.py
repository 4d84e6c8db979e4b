"""Owns what a sandbox is: it turns a command line into one that runs confined."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.workspace.contract import Confinement


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The folders that matter: all are real paths."""

    root: Path  # of the work tree
    cwd: Path
    folders: tuple[Path, ...]  # that may be written: the root, and those that the person added
    hidden: tuple[Path, ...]  # that nothing inside may see: jumar's own state, credentials
    home: Path | None = None
    cache: Path | None = None  # what stands in place of ~/.cache, and lasts as long as the session


@dataclass(frozen=True, slots=True)
class Way:
    """How what is confined reaches the network: through a socket of ours, and a program inside that hands on to it."""

    socket: Path
    before: tuple[str, ...]  # words that stand before the command line, inside
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line that runs confined. `check` is called once all of it has ended, and says what it put back."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    handles: tuple[int, ...] = ()  # that the child inherits; ours are closed once it has started
    check: Callable[[], str] = field(default=lambda: "")


@dataclass(frozen=True, slots=True)
class Holding:
    """Which sandbox holds here: its name, or "none"; why those before it do not; and what it does not confine."""

    name: str = "none"
    reasons: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


class Sandbox(Protocol):
    """One mechanism, for one workspace."""

    name: str

    def launch(
        self,
        argv: Sequence[str],
        confined: Confinement,
        environment: Mapping[str, str],
        way: Way | None = None,
        unseen: Sequence[Path] = (),
    ) -> Launch:
        """Return how the command line is started; `unseen` are files that it cannot read. `confined.held` is true.

        Raises ToolFailure where it cannot be.
        """
        ...
