"""Owns what the ledger knows of every file: a compact table by folder, small enough for the largest workspace."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.ledger.action import Held
from agent.ledger.snapshot import LeftOut

_STAT = struct.Struct("<IQqqQII")  # mode, size, times of content and of change in nanoseconds, inode, owner, group
_MARK = struct.Struct("<IqqQ")
_pack = _STAT.pack

Known = Held | LeftOut | None


def stamp(status: os.stat_result) -> bytes:
    """Return what tells that a file has changed, or not."""
    return _pack(
        *(status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns),
        *(status.st_ino, status.st_uid, status.st_gid),
    )


def unsure(mode: int) -> bytes:
    """Return a stamp that no file has: the next look reads the file."""
    return _pack(mode, 0, 0, 0, 0, 0, 0)


def mode_of(record: bytes) -> int:
    """Return the mode in a record."""
    return int.from_bytes(record[:4], "little")


def size_and_time(record: bytes) -> tuple[int, int]:
    """Return the size in a record, and when the content changed."""
    _, size, changed, *_ = _STAT.unpack_from(record)
    return size, changed


def numbers(record: bytes) -> tuple[int, int, int, int, int, int, int]:
    """Return mode, size, times of content and of change, inode, owner and group of a record."""
    return _STAT.unpack_from(record)


def folder_mark(status: os.stat_result) -> bytes:
    """Return what tells that other names are in a folder, or not."""
    return _MARK.pack(status.st_mode, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@dataclass(slots=True)
class Folder:
    """A folder that is entered: records of its files by name, the folders in it, and its inode."""

    inode: int = 0
    names: dict[bytes, bytes] = field(default_factory=dict)
    below: set[bytes] = field(default_factory=set)
    ignored: bool = False  # so is all that comes to be in it
    mark: bytes = b""  # as it was when its names were read; empty where they may be others by now


class Table:
    """All files by path (relative, as bytes). A record is a stamp and the name of the bytes, or a number of `reasons`."""

    def __init__(self) -> None:
        self.folders: dict[bytes, Folder] = {}
        self.closed: dict[bytes, str] = {}  # folders that are not entered, and why
        self.apart: dict[bytes, bytes] = {}  # records of files in folders that are not entered
        self.lone: dict[bytes, str] = {}  # files that are not held, and why
        self.touched: set[bytes] = set()  # folders in which something was put or dropped since somebody cleared this
        self._reasons: list[str] = []

    def __len__(self) -> int:
        return sum(len(folder.names) for folder in self.folders.values())

    def record(self, path: bytes) -> bytes | None:
        """Return the record of a path."""
        above, _, name = path.rpartition(b"/")
        folder = self.folders.get(above)
        found = folder.names.get(name) if folder is not None else None
        return found or self.apart.get(path)

    def known(self, path: bytes) -> Known:
        """Return what is known of a path."""
        record = self.record(path)
        return None if record is None else self.told(record)

    def told(self, record: bytes) -> Held | LeftOut:
        """Return what a record says."""
        mode, size, changed, *_ = _STAT.unpack_from(record)
        rest = record[_STAT.size :]
        if len(rest) == 1:
            return LeftOut(self._reasons[rest[0]], size, changed)
        return Held(rest.hex(), mode)

    def put(self, path: bytes, stamp_: bytes, known: Held | LeftOut) -> None:
        """Set what is known of a path."""
        if isinstance(known, Held):
            record = stamp_ + bytes.fromhex(known.object)
            self.lone.pop(path, None)
        else:
            self.lone[path] = known.why
            if known.why not in self._reasons:
                self._reasons.append(known.why)
            record = stamp_ + bytes([self._reasons.index(known.why)])
        above, _, name = path.rpartition(b"/")
        folder = self.folders.get(above)
        if folder is None:
            self.apart[path] = record
        else:
            self.touched.add(above)
            folder.names[name] = record

    def drop(self, path: bytes) -> None:
        """Forget a file."""
        self.lone.pop(path, None)
        above, _, name = path.rpartition(b"/")
        folder = self.folders.get(above)
        if folder is not None:
            self.touched.add(above)
            folder.names.pop(name, None)
        self.apart.pop(path, None)

    def enter(self, path: bytes, inode: int, *, ignored: bool = False) -> Folder:
        """Have a folder, and those above it, entered."""
        folder = self.folders.get(path)
        if folder is None:
            folder = self.folders[path] = Folder(ignored=ignored)
            if path:
                above, _, name = path.rpartition(b"/")
                self.enter(above, 0).below.add(name)
            self.closed.pop(path, None)
            for lone in [lone for lone in self.apart if lone.rpartition(b"/")[0] == path]:
                folder.names[lone.rpartition(b"/")[2]] = self.apart.pop(lone)
            self.touched.add(path)
        folder.inode = inode or folder.inode
        return folder

    def leave(self, path: bytes) -> Iterator[bytes]:
        """Forget a folder and all below it; yield the folders, itself first."""
        waiting = [path]
        while waiting:
            one = waiting.pop()
            folder = self.folders.pop(one, None)
            if folder is not None:
                waiting += [one + b"/" + name for name in folder.below]
                self.touched.discard(one)
                yield one
        above, _, name = path.rpartition(b"/")
        if above in self.folders:
            self.folders[above].below.discard(name)
        for one in [one for one in self.closed if one == path or one.startswith(path + b"/")]:
            del self.closed[one]

    def files(self, path: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the files in a folder and all below it, each with its record."""
        waiting = [path]
        while waiting:
            one = waiting.pop()
            folder = self.folders.get(one)
            if folder is not None:
                waiting += [join(one, name) for name in folder.below]
                for name, record in folder.names.items():
                    yield join(one, name), record


def join(folder: bytes, name: bytes) -> bytes:
    """Return the path of a name in a folder."""
    return folder + b"/" + name if folder else name
