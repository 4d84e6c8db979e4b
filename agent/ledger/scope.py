"""Owns the scope of looks: which folders are entered, which files are held, and why others are not."""

import asyncio
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from agent.ledger.action import Held
from agent.ledger.bare import FILLED_BY_TOOLS
from agent.ledger.snapshot import (
    CLOSED_FOLDER,
    HUGE,
    IGNORED_FOLDER,
    LARGE,
    MOST_IGNORED,
    NO_FILE,
    SMALL,
    TOO_LARGE,
    TOO_MANY,
    folders_above,
)
from agent.ledger.store import Store
from agent.ledger.survey import Survey, margin
from agent.ledger.table import Known, Table

FULL_FOLDER = "an ignored folder of many files"
_FEW = 300  # files and folders in an ignored folder that is entered all the same
_MOST_SMALL = 32 << 20  # bytes of all ignored files
_RULES = b".gitignore"
_FILLED = frozenset(map(os.fsencode, FILLED_BY_TOOLS))


@dataclass(slots=True)
class Round:
    """What one look knows besides: what the snapshot holds, where it is the first, and what it has decided so far."""

    survey: Survey
    began: int  # nanoseconds
    first: Mapping[bytes, tuple[str, bool]] = field(default_factory=dict)
    above: frozenset[bytes] = frozenset()  # the folders of that
    ignored_folders: frozenset[bytes] = frozenset()
    adopted: set[bytes] = field(default_factory=set)  # folders that were closed: what is old in them is not new
    closing: dict[bytes, str] = field(default_factory=dict)
    ignored: set[bytes] = field(default_factory=set)
    found: dict[bytes, tuple[bytes, Known, int]] = field(default_factory=dict)  # stamp, what it is, how many names it has

    def is_first(self, path: bytes, status: os.stat_result) -> bool:
        """Whether the snapshot of a first look holds what is there now."""
        known = self.first.get(path)
        if known is None or status.st_ctime_ns + margin(status) > self.began:
            return False
        return known[1] == stat.S_ISLNK(status.st_mode) and stat.S_IFMT(status.st_mode) in {stat.S_IFREG, stat.S_IFLNK}


class Scope:
    """Decides for the looks at the workspace of a store; `table` is what these looks know."""

    def __init__(self, store: Store, table: Table) -> None:
        self._store = store
        self._table = table
        self._root = os.fsencode(store.root)
        self._ours = tuple(os.fsencode(folder) for folder in store.bare.inside())
        self._small: dict[bytes, int] = {}  # ignored files that are held, and their bytes

    def release(self, one: Round) -> None:
        """Count the ignored files no longer that are gone."""
        gone, left = one.survey.gone, {folder + b"/" for folder in one.survey.left}
        if self._small and (gone or left):
            self._small = {
                path: size
                for path, size in self._small.items()
                if path not in gone and left.isdisjoint(folders_above(path)) and self._table.record(path)
            }

    async def reopen(self, one: Round, full: bool) -> None:
        """Where ignore rules changed, find the closed folders that are closed no longer."""
        survey, closed = one.survey, self._table.closed
        if closed and any(path.rpartition(b"/")[2] == _RULES for path in (*survey.differs, *survey.gone)):
            asked = [path for path, why in closed.items() if why in {IGNORED_FOLDER, FULL_FOLDER} and not self._is_filled(path)]
            one.adopted |= set(asked) - await self._store.ignored(asked)
        if full:
            one.adopted |= {
                path
                for path, why in closed.items()
                if why == CLOSED_FOLDER and os.access(self._root + b"/" + path, os.R_OK | os.X_OK)
            }
        for path in one.adopted - survey.left:
            with suppress(OSError):
                survey.fresh[path] = os.lstat(self._root + b"/" + path).st_ino

    async def judge(self, one: Round) -> list[tuple[bytes, int, bool]]:
        """Decide which of the fresh folders are entered: path, inode, and whether all in it is ignored."""
        fresh, one.survey.fresh = one.survey.fresh, {}
        entering, asked, ignored = [], [], []
        for path, inode in fresh.items():
            if path in one.above:
                entering.append((path, inode, False))
            elif self._is_filled(path):
                one.closing[path] = IGNORED_FOLDER
            elif self.is_in_ignored(one, path):
                entering.append((path, inode, True))
            elif path in one.ignored_folders:
                ignored.append(path)
            else:
                asked.append(path)
        named = await self._store.ignored(asked)
        entering += [(path, fresh[path], False) for path in asked if path not in named]
        for path in (*ignored, *named):
            if await asyncio.to_thread(self._has_few, path):
                entering.append((path, fresh[path], True))
            else:
                one.closing[path] = FULL_FOLDER
        return entering

    def _has_few(self, path: bytes) -> bool:
        count, waiting = 0, [path]
        while waiting:
            with suppress(OSError), os.scandir(self._root + b"/" + waiting.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > _FEW:
                        return False
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path[len(self._root) + 1 :])
        return True

    def _is_filled(self, path: bytes) -> bool:
        """Whether it is what tools fill, or ours."""
        return not _FILLED.isdisjoint(path.split(b"/")) or any(path == one or path.startswith(one + b"/") for one in self._ours)

    def is_in_ignored(self, one: Round, path: bytes) -> bool:
        """Whether it lies in a folder in which all is ignored."""
        above = path.rpartition(b"/")[0]
        if above in one.survey.entered:
            return one.survey.entered[above][1]
        return above in self._table.folders and self._table.folders[above].ignored

    def is_open_question(self, one: Round, path: bytes) -> bool:
        """Whether ignore rules must be asked about a file."""
        known = None if path in one.first else self._table.known(path)
        return path not in one.first and not isinstance(known, Held) and not self.is_in_ignored(one, path)

    def why_not(self, one: Round, path: bytes, status: os.stat_result) -> str | None:
        """Return why a file is not held; empty where it is, None where it is not even told."""
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            return NO_FILE
        if path in one.first or isinstance(self._table.known(path), Held):
            return TOO_LARGE if status.st_size > HUGE else ""
        if self._is_filled(path):
            return None
        if path not in one.ignored and not self.is_in_ignored(one, path):
            return TOO_LARGE if status.st_size > LARGE else ""
        if status.st_size > SMALL:
            return TOO_LARGE
        if len(self._small) >= MOST_IGNORED or sum(self._small.values()) + status.st_size > _MOST_SMALL:
            return TOO_MANY
        self._small[path] = status.st_size
        return ""
