"""Owns the watch over folders: which ones changed since the last look, or that it cannot be told.

A lost event would lose a person's bytes, so all that is not certain ends the trust until the next full look: a queue
that overflowed, a folder that could not be watched, a root that moved, a file system that others change or that is
mounted over another. Only Linux has what it takes (inotify); elsewhere every look is a full one. Writes through a memory map
make no event; those of a program that has ended were seen when it closed the file.
"""

import asyncio
import os
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
_UNMOUNT, _OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_ONLY_FOLDER, _NO_LINK, _NOT_UNLINKED = 0x1000000, 0x2000000, 0x4000000
_WANTED = (
    *(_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF),
    *(_ONLY_FOLDER, _NO_LINK, _NOT_UNLINKED),
)
_EVENT = struct.Struct("iIII")
_MANY = 1 << 18  # bytes that are read at once
_MOST = 60_000  # folders
_LOCAL = frozenset(("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"))


class Watch:
    """Watches the folders that it is given, below `root`. `add` and `forget` may be called from any thread."""

    def __init__(self, root: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
        self._root = os.fsencode(root)
        self._mask = sum(_WANTED)
        self._lock = threading.Lock()
        self._handle = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._paths: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}
        self._dirty: set[bytes] = set()
        self._stirred = asyncio.Event()
        self._sound = False  # nothing was lost since `renew`
        self._settled = False  # a full look began after that, and came to its end
        self.why_not = _unfit(self._root, mounts)  # why it does not work here; empty where it does
        self._add: Callable[[int, bytes, int], int] | None = None

    @property
    def trusted(self) -> bool:
        """Whether what it says is all that happened."""
        return self._sound and self._settled

    @property
    def folders(self) -> int:
        """How many folders it watches."""
        return len(self._paths)

    def renew(self) -> None:
        """Begin anew, before a full look: this adds every folder that it enters, and then calls `settle`."""
        self.close()
        if self.why_not:
            return
        import ctypes  # five milliseconds that a start need not wait for

        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self._remove = libc.inotify_rm_watch
        self._errno = ctypes.get_errno
        self._handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._handle < 0:
            self._give_up("the system has no more watches to give")
            return
        self._sound = True
        with suppress(RuntimeError):  # outside of a loop it is read when it is asked
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._handle, self._wake)

    def settle(self) -> None:
        """Say that the full look has come to its end: from now on only what changed need be looked at."""
        self._settled = self._sound

    def has(self, folder: bytes) -> bool:
        """Whether the folder is watched."""
        return folder in self._numbers

    def add(self, folder: bytes) -> None:
        """Watch a folder, before it is read."""
        with self._lock:
            if not self._sound or self._add is None:
                return
            if len(self._paths) >= _MOST:
                self._give_up(f"there are more than {_MOST} folders")
                return
            number = self._add(self._handle, self._root + b"/" + folder if folder else self._root, self._mask)
            if number < 0:
                code = self._errno()
                if code not in {_NOT_THERE, _NO_FOLDER}:  # else it is gone again, which its parent's events tell
                    self._give_up(f"a folder cannot be watched: {os.strerror(code)}")
                return
            before = self._paths.get(number)
            if before is not None and before != folder and self._numbers.get(before) == number:
                del self._numbers[before]  # it was moved: the watch went with it
            self._paths[number] = folder
            self._numbers[folder] = number

    def forget(self, folder: bytes) -> None:
        """Watch a folder no longer."""
        with self._lock:
            number = self._numbers.pop(folder, None)
            if number is not None and self._paths.get(number) == folder:
                del self._paths[number]
                self._remove(self._handle, number)

    def drain(self) -> set[bytes] | None:
        """Return the folders in which something changed since it was last asked; None where all must be looked at."""
        self._hear()
        with self._lock:
            dirty, self._dirty = self._dirty, set()
            self._stirred.clear()
        return dirty if self.trusted else None

    @property
    def stirs(self) -> bool:
        """Whether something changed since it was last asked, as far as the loop has heard."""
        return self._stirred.is_set()

    async def stirred(self) -> None:
        """Wait until something has changed that was not asked for yet."""
        await self._stirred.wait()

    def doubt(self) -> None:
        """Have the next look be a full one: this one did not come to its end."""
        self._settled = False

    def close(self) -> None:
        """End it; `renew` begins anew."""
        with self._lock:
            if self._handle >= 0:
                if self._loop is not None and not self._loop.is_closed():
                    self._loop.remove_reader(self._handle)
                os.close(self._handle)
            self._handle = -1
            self._loop = None
            self._sound = self._settled = False
            self._paths.clear()
            self._numbers.clear()
            self._dirty.clear()
            self._stirred.clear()

    def _give_up(self, why: str) -> None:
        self.why_not = why
        self._sound = self._settled = False

    def _wake(self) -> None:
        self._hear()
        if self._dirty:
            self._stirred.set()

    def _hear(self) -> None:
        """Take in what the kernel has to tell."""
        while self._handle >= 0:
            try:
                told = os.read(self._handle, _MANY)
            except BlockingIOError:
                return
            except OSError:
                self._sound = False
                return
            with self._lock:
                self._take(told)

    def _take(self, told: bytes) -> None:
        position = 0
        while position < len(told):
            number, mask, _, length = _EVENT.unpack_from(told, position)
            position += _EVENT.size + length
            if mask & (_OVERFLOW | _UNMOUNT):
                self._sound = False
                continue
            folder = self._paths.get(number)
            if folder is None:
                continue
            self._dirty.add(folder)
            if mask & _IGNORED:
                del self._paths[number]
                if self._numbers.get(folder) == number:
                    del self._numbers[folder]
                if folder:
                    self._dirty.add(folder.rpartition(b"/")[0])
            if not folder and mask & (_DELETE_SELF | _MOVE_SELF | _IGNORED):
                self._sound = False


def keeps_times(root: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether the times of every folder there tell that names in it came or went."""
    return sys.platform != "linux" or not _unfit(os.fsencode(root), mounts)


_NOT_THERE, _NO_FOLDER = 2, 20  # errno of Linux


def _unfit(root: bytes, mounts: Path) -> str:
    """Return why a watch here would not see all changes; empty where it does."""
    if sys.platform != "linux":
        return "only Linux tells of every change"
    kind, best = b"", -1
    try:
        for line in mounts.read_bytes().splitlines():
            front, _, back = line.partition(b" - ")
            place = _unquoted(front.split(b" ")[4])
            if place.startswith(root.rstrip(b"/") + b"/") and place != root:
                return f"something is mounted at {os.fsdecode(place)}"
            if (root == place or root.startswith(place.rstrip(b"/") + b"/")) and len(place) >= best:
                kind, best = back.split(b" ")[0], len(place)
    except (OSError, IndexError):
        return "what is mounted where cannot be told"
    return "" if kind.decode("ascii", "replace") in _LOCAL else f"a file system of the kind {kind.decode('ascii', 'replace')}"


def _unquoted(place: bytes) -> bytes:
    for quoted, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        place = place.replace(quoted, plain)
    return place
