"""Owns finding what a command started, wherever that went: what left its group is found by a mark that it cannot lose."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
# RLIMIT_LOCKS: since Linux 2.4.25 nothing enforces it, and children have it whatever they do to their environment, name or group.
_LOCKS = 10


def adopt() -> None:
    """Have processes whose parent ended become our children instead of init's."""
    if sys.platform == "linux":
        import ctypes  # five milliseconds that a start need not wait for

        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextmanager
def marking(number: int) -> Iterator[None]:
    """Mark the child that is started inside, and all that it will start.

    The mark is ours for that moment, so that not even a child's first fork comes before it. What another thread starts
    in the same moment has it too, and is still not taken for an orphan, for it is not a child of the main thread.
    """
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(_LOCKS)
    with suppress(OSError, ValueError):
        resource.setrlimit(_LOCKS, (number, before[1]))
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            resource.setrlimit(_LOCKS, before)


class Kin:
    """A command, its orphans by their mark, and all their descendants. Ask no more once the command was reaped."""

    def __init__(self, pid: int, number: int) -> None:
        self._pid = pid
        self._number = number
        self._orphans: set[int] = set()  # known as ours, and not reaped

    def living(self, most: int = sys.maxsize) -> list[int]:
        """Return what still runs, not many more than `most`; orphans that have ended are taken off the system's list."""
        while True:
            found, reaped = self._look(most)
            # What ends hands its children to us, perhaps after the list of them was read.
            if found or not reaped:
                return found

    def _look(self, most: int) -> tuple[list[int], bool]:
        # In this order: if the command has ended, the list that is read next has all that it left.
        found = [] if _ended(self._pid) else [self._pid]
        reaped = False
        for child in self._adopted():
            if _reap(child):
                self._orphans.discard(child)
                reaped = True
            else:
                found.append(child)
        for one in found:
            if len(found) > most:
                break
            found += _descendants(one)
        return found, reaped

    def _adopted(self) -> list[int]:
        children = _children(f"/proc/self/task/{os.getpid()}/children")  # orphans come to the main thread
        fresh = [child for child in children if child not in self._orphans and child != self._pid]
        self._orphans.update(child for child in fresh if _marked(child) == self._number)
        return list(self._orphans)


def _ended(child: int) -> bool:
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _reap(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except ChildProcessError:
        return True


def _descendants(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - ten times as fast
    except OSError:
        return []
    return [child for thread in threads for child in _children(f"/proc/{pid}/task/{thread}/children")]


def _children(file: str) -> list[int]:
    return [int(number) for number in _read(file).split()]


def _marked(pid: int) -> int:
    for line in _read(f"/proc/{pid}/limits").splitlines():
        if line.startswith(b"Max file locks"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else 0
    return 0


def _read(file: str) -> bytes:
    try:
        with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 - ten times as fast
            return opened.read()
    except OSError:
        return b""
