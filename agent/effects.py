"""Owns what calls do to the world and to files, in the words of events."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Effect(StrEnum):
    """What a call may do to the world."""

    READ = "read"
    WRITE = "write"
    EXEC = "exec"
    NET = "net"


@dataclass(frozen=True, slots=True)
class Change:
    """One file that a call changed; digests are sha256, None where there is no file."""

    path: str
    kind: Literal["created", "modified", "deleted"]
    before: str | None
    after: str | None
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Lines of a file that a reply shows whole; `path` is from the root where it lies there, `digest` the sha256 of the file.

    `since` is the step whose reply shows them, where this one only names it.
    """

    path: str
    digest: str
    first: int
    last: int
    since: int = 0
