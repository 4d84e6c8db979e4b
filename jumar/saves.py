"""Owns what is saved in a folder: files that changed together, once it is quiet again, and whether git was at work meanwhile."""

import os
import stat
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

from agent.errors import UsageError

_QUIET = 150  # milliseconds without a change after which a save is over
_LONGEST = 3000  # milliseconds after which it is taken as it is
_LOOK = 300  # milliseconds between two looks at what git does
_MOST_LOOKS = 200  # that git is waited for
_TOLD = 7  # looks after which that is said
_MOST_HEAD = 4096  # bytes
# What an editor keeps by itself beside a file, be it what nobody has saved yet, or what stood there before.
_COPIES = (r"^#.*#$", r"\.(?:bak|orig|rej|kate-swp)$")
_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Save:
    """Files that changed together, as absolute paths; `moved` says that git did something since."""

    paths: tuple[str, ...]
    moved: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A save waits for git, which seems to be at work as long as this file stands."""

    lock: Path


async def saves(root: Path, folder: Path) -> AsyncGenerator[Save | Held | None, None]:
    """Yield None once all below the folder is watched, then every save, and which of them has to wait.

    Raises UsageError where it cannot be watched.
    """
    fitting = DefaultFilter(ignore_entity_patterns=(*DefaultFilter.ignore_entity_patterns, *_COPIES))
    head = standing(root)
    waiting: set[str] = set()
    looks, begun = 0, False
    watching = awatch(
        folder,
        watch_filter=None,
        debounce=_LONGEST,
        step=_QUIET,
        rust_timeout=_LOOK,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    try:
        async for changes in watching:
            if not begun:
                begun = True
                yield None
            some = {path for change, path in changes if change is not Change.deleted and fitting(change, path)}
            waiting |= some
            # One more quiet look: what git does to files comes before it moves HEAD, and a lock stands while it does.
            looks = 0 if some else looks + 1
            lock = _repository(root) / "index.lock"
            if some or (os.path.lexists(lock) and looks < _MOST_LOOKS):
                if waiting and looks == _TOLD:
                    yield Held(lock)
                continue
            now = standing(root)
            moved, head = now != head, now
            if waiting:
                yield Save(tuple(sorted(waiting)), moved)
                waiting = set()
    except OSError as error:
        why = f"{folder} cannot be watched: {error.strerror or error}"
        raise UsageError(f"{why}; where it has too many folders, watch one of them: jumar watch PATH") from error


def standing(root: Path) -> tuple[bytes, _Stamp, _Stamp]:
    """Return what tells that git did something: what HEAD says, and how its log and the index stand.

    A merge that ends in conflicts, a stash and a restore move no HEAD, but all write the index.
    """
    place = _repository(root)
    return _beginning(place / "HEAD"), _stamp(place / "logs" / "HEAD"), _stamp(place / "index")


def _stamp(file: Path) -> _Stamp:
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


def _repository(root: Path) -> Path:
    """Return the folder of the repository: `.git`, or the one that a file of this name leads to."""
    place = root / ".git"
    told = _beginning(place)
    return root / os.fsdecode(told.removeprefix(b"gitdir:").strip()) if told.startswith(b"gitdir:") else place


def _beginning(file: Path) -> bytes:
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            return opened.read(_MOST_HEAD) if stat.S_ISREG(os.fstat(opened.fileno()).st_mode) else b""
    except (OSError, ValueError):
        return b""
