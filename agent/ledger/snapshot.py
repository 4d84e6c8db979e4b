"""Owns what a snapshot holds and what it leaves out: a look at the paths that git lists."""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import JumarError
from agent.workspace.git import Ran

CLOSED_FOLDER = "a folder that cannot be read"
IGNORED_FOLDER = "an ignored folder"
OWN_REPOSITORY = "a repository of its own"
TOO_LARGE = "too large"
NO_FILE = "no file"
UNREADABLE = "it cannot be read"
TOO_MANY = "one of too many ignored files"
LARGE = 10 << 20  # bytes of a file that nobody tracks
HUGE = 100 << 20  # bytes of any file
SMALL = 1 << 20  # bytes of a file that is ignored
MOST_IGNORED = 1000
MOST_FILES = 200_000


class TooMuch(JumarError):
    """The workspace is too large to be looked at as a whole, and will be so the next time."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One path that a snapshot does not hold; size and time tell whether it changed all the same."""

    why: str
    size: int = 0
    time: int = 0  # nanoseconds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of the workspace at one moment."""

    tree: str
    began: int  # nanoseconds: what changes later is not in it
    left_out: dict[bytes, LeftOut]
    let_in: dict[bytes, LeftOut] = field(default_factory=dict)  # held now, and left out earlier: their size and time


class Look:
    """A look at the paths that git lists: what is to be taken, what is gone, what is left out now, and what was `earlier`."""

    def __init__(self, root: Path, earlier: Mapping[bytes, LeftOut]) -> None:
        self._earlier = earlier
        self._root = os.fsencode(root)
        self._real: dict[bytes, bool] = {b"": True}  # folders: whether no link leads there
        self.present: list[bytes] = []
        self.gone: list[bytes] = []
        self.left_out: dict[bytes, LeftOut] = {}
        self.let_in: dict[bytes, LeftOut] = {}

    def at(self, listed: Ran, ignored: bytes, tracked: Iterable[bytes]) -> None:
        """Look at files that differ or are new, at ignored ones, and at those that are tracked all the same."""
        limits: dict[bytes, int] = {}
        known = set(tracked)
        for record in listed.out.split(b"\0"):
            tag, path = record[:2], record[2:]
            if tag != b"? " and path:
                known.add(path)
            elif path:
                limits[path] = LARGE
        if len(limits) > MOST_FILES:
            raise TooMuch(f"{len(limits)} files are too many to take snapshots of; work in a folder below")
        passed = [path for path in ignored.split(b"\0") if path]
        small = [path for path in passed if not path.endswith(b"/")]
        # Those that were too many once stay so, or each look would take a thousand more.
        fresh = [path for path in small if path not in self._earlier or self._earlier[path].why != TOO_MANY]
        limits |= dict.fromkeys(small, -1) | dict.fromkeys(fresh[:MOST_IGNORED], SMALL)
        limits |= dict.fromkeys(known, HUGE)
        for path, limit in limits.items():
            self._look_at(path, limit, path in known)
        # A folder of which more is listed is not ignored itself; it only holds nothing else.
        for path in {path for path in passed if path.endswith(b"/")} - set(folders_above(*passed)):
            self.left_out[path] = LeftOut(IGNORED_FOLDER)
        for name in re.findall(r"^warning: could not open directory '(.*)': ", listed.err, re.MULTILINE):
            self.left_out[os.fsencode(name)] = LeftOut(CLOSED_FOLDER)
        for path in self._earlier.keys() - self.left_out.keys():
            with suppress(OSError):
                found = os.lstat(self._root + b"/" + path)
                self.let_in[path] = LeftOut("", found.st_size, found.st_mtime_ns)

    def _look_at(self, path: bytes, limit: int, known: bool) -> None:
        if path.endswith(b"/"):
            self.left_out[path] = LeftOut(OWN_REPOSITORY)
            return
        whole = self._root + b"/" + path
        try:
            found = os.lstat(whole) if self._is_real(path.rpartition(b"/")[0]) else None
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except OSError:
            self.left_out[path] = LeftOut(UNREADABLE)
            return
        why = "" if found is None else _why_not(whole, found, limit)
        if found is not None and why:
            self.left_out[path] = LeftOut(why, found.st_size, found.st_mtime_ns)
        if found is None or stat.S_ISDIR(found.st_mode):
            self.left_out.pop(path, None)
            if known:
                self.gone.append(path)
        elif not why:
            self.present.append(path)

    def _is_real(self, folder: bytes) -> bool:
        known = self._real.get(folder)
        if known is None:
            known = self._is_real(folder.rpartition(b"/")[0]) and stat.S_ISDIR(os.lstat(self._root + b"/" + folder).st_mode)
            self._real[folder] = known
        return known


def folders_above(*paths: bytes) -> Iterator[bytes]:
    """Yield the folders that hold the paths, each once and with a slash at its end."""
    seen: set[bytes] = set()
    for path in paths:
        folder = path.rstrip(b"/").rpartition(b"/")[0]
        while folder and folder not in seen:
            seen.add(folder)
            yield folder + b"/"
            folder = folder.rpartition(b"/")[0]


def _why_not(whole: bytes, found: os.stat_result, limit: int) -> str:
    if stat.S_ISLNK(found.st_mode):
        return ""
    if not stat.S_ISREG(found.st_mode):
        return NO_FILE
    if limit < 0:
        return TOO_MANY
    if found.st_size > limit:
        return TOO_LARGE
    return "" if os.access(whole, os.R_OK) else UNREADABLE
