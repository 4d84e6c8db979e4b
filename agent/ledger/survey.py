"""Owns one walk over folders of the workspace: what there differs from what the table says. It changes neither."""

import os
import time
from collections.abc import Collection, Iterable, Iterator

from agent.ledger.snapshot import TooMuch
from agent.ledger.table import Folder, Table, folder_mark, join, stamp
from agent.ledger.watch import Watch

TICK = 20_000_000  # nanoseconds in which two changes of a file may have the same time
_COARSE = 2_100_000_000  # the same, where a file system counts seconds


class Survey:
    """What a walk found. `until` is when it is given up, by time.monotonic; `most` is how many files there may be."""

    def __init__(self, root: bytes, table: Table, watch: Watch | None, most: int, until: float) -> None:
        self._root = root
        self._table = table
        self._watch = watch
        self._most = most
        self._until = until
        self.walked: set[bytes] = set()
        self.walked_all = False
        self._count = 0
        self.differs: dict[bytes, os.stat_result] = {}  # files that are new, or not as they were
        self.gone: set[bytes] = set()  # files
        self.left: set[bytes] = set()  # folders that were entered, and closed ones, that are there no more
        self.fresh: dict[bytes, int] = {}  # folders that nobody entered yet, and their inodes
        self.entered: dict[bytes, tuple[int, bool]] = {}  # those of them that were: inode, and whether all in it is ignored
        self.unreadable: set[bytes] = set()
        self.nested: set[bytes] = set()  # repositories of their own
        self.marks: dict[bytes, bytes] = {}  # of the folders whose names were read, just before

    def everything(self) -> None:
        """Walk over all folders that are known."""
        self.walked_all = True
        self._walk([(b"", os.lstat(self._root).st_ino)], deep=True)
        self._closed()

    def at(self, folders: Collection[bytes]) -> None:
        """Walk over these folders, and over those below them that are not the ones that they were."""
        for folder in sorted(folders):
            if folder in self.walked or any(above in self.left for above in _and_above(folder)):
                continue  # what is gone, or what a link leads to by now, is not entered
            if folder in self._table.folders or not folder:
                self._walk([(folder, 0)], deep=False)
        self._closed()

    def enter(self, folders: Iterable[tuple[bytes, int, bool]]) -> None:
        """Walk over folders that are new: path, inode, and whether all in it is ignored."""
        for path, inode, ignored in folders:
            names = self._list(path)
            if names is None:
                continue
            if path and any(entry.name.lower() == b".git" for entry in names):
                self.nested.add(path)
                continue
            self.entered[path] = inode, ignored
            self._compare(path, Folder(inode), names)

    def _walk(self, waiting: list[tuple[bytes, int]], *, deep: bool) -> None:
        while waiting:
            path, inode = waiting.pop()
            if path in self.walked:
                continue
            self.walked.add(path)
            known = self._table.folders.get(path)
            names = self._list(path)
            if names is None:
                continue
            if known is None or (inode and inode != known.inode):
                self.entered[path] = inode, known is not None and known.ignored
            below = self._compare(path, known or Folder(), names)
            waiting += [(join(path, name), number) for name, number, moved in below if deep or moved or inode]

    def _list(self, path: bytes) -> "list[os.DirEntry[bytes]] | None":
        """Return what is in a folder; None where it cannot be told."""
        if time.monotonic() > self._until:
            raise TooMuch("reading the workspace took too long; work in a folder below it")
        if self._watch is not None:
            self._watch.add(path)
        whole = self._root + b"/" + path if path else self._root
        try:
            status, now = os.lstat(whole), time.time_ns()
            with os.scandir(whole) as entries:
                listed = list(entries)
        except (FileNotFoundError, NotADirectoryError):
            if path in self._table.folders:
                self.left.add(path)
        except OSError:
            self.unreadable.add(path)
        else:
            self.marks[path] = folder_mark(status) if status.st_ctime_ns + margin(status) < now else b""
            return listed
        return None

    def _compare(self, path: bytes, known: Folder, entries: "list[os.DirEntry[bytes]]") -> list[tuple[bytes, int, bool]]:
        """Compare one folder; return those in it that are known: name, inode, and whether it may be another by now."""
        names, below, watch = known.names, known.below, self._watch
        above = path + b"/" if path else b""
        found: list[tuple[bytes, int, bool]] = []
        seen, folders = set(), set()
        for entry in entries:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                if name.lower() == b".git":
                    continue
                folders.add(name)
                whole, inode = above + name, entry.inode()
                if name in below:
                    moved = self._table.folders[whole].inode != inode or (watch is not None and not watch.has(whole))
                    found.append((name, inode, moved))
                elif whole not in self._table.closed:
                    self.fresh[whole] = inode
            elif name != b".git":
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError:  # a folder whose names can be read, and nothing else
                    self.unreadable.add(path)
                    self.entered.pop(path, None)
                    return []
                seen.add(name)
                record = names.get(name)
                if record is None or not record.startswith(stamp(status)):
                    self.differs[above + name] = status
        self.gone.update(above + name for name in names.keys() - seen)
        self.left.update(above + name for name in below - folders)
        self._count += len(entries)
        if self._count > self._most:
            raise TooMuch(f"more than {self._most} files are too many to take snapshots of; work in a folder below it")
        return found

    def _closed(self) -> None:
        for path in self._table.closed:
            if path.rpartition(b"/")[0] in self.walked:
                try:
                    if not os.path.isdir(self._root + b"/" + path) or os.path.islink(self._root + b"/" + path):  # noqa: PTH112, PTH114 - paths are bytes
                        self.left.add(path)
                except OSError:
                    self.left.add(path)


def margin(status: os.stat_result) -> int:
    """Return for how long, in nanoseconds, a further change may leave the time of change as it is."""
    return _COARSE if status.st_ctime_ns % 1_000_000_000 == 0 else TICK


def _and_above(folder: bytes) -> Iterator[bytes]:
    while folder:
        yield folder
        folder = folder.rpartition(b"/")[0]
