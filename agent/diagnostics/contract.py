"""Owns what the programs that find problems have in common, and what they need of a workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.diagnostics.problem import Problem
from agent.workspace.companion import Companion
from agent.workspace.contract import Confinement


class Broken(Exception):
    """A program does not do what it should, in words that a person reads."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A text as it stands, or stood, in a file."""

    path: Path
    language: str
    text: str


class Starting(Protocol):
    """What starts programs."""

    async def accompany(self, argv: Sequence[str], folder: Path, confined: Confinement) -> Companion:
        """Start a program that is spoken with through its pipes. Raises ToolFailure."""
        ...


class Finder(Protocol):
    """What finds problems in texts, one text after the other."""

    name: str

    @property
    def fault(self) -> str:
        """Why it is asked no more, as a clause; "" where it is."""
        ...

    @property
    def joined(self) -> bool:
        """Whether a change of one file may change what it says of another only once it is asked again."""
        ...

    @property
    def standing(self) -> str:
        """How it stands, in a word or two."""
        ...

    @property
    def mute(self) -> bool:
        """Whether it said nothing of the last text, and is only taken to find nothing in it."""
        ...

    async def warm(self) -> None:
        """Be ready to be asked. It never fails."""
        ...

    async def find(self, subject: Subject) -> tuple[Problem, ...] | None:
        """Return the problems of a text, None where it does not say. It never fails, and always comes to an end."""
        ...

    def elsewhere(self) -> dict[Path, tuple[Problem, ...]]:
        """Return what it says of files by itself, as of now."""
        ...

    def noticed(self, paths: Sequence[Path]) -> None:
        """Hear of files that changed on the disk."""
        ...

    async def end(self) -> None:
        """End it."""
        ...
