"""Owns finding what a command started, wherever that went: what left its group is found by a mark that it cannot lose."""

import ctypes
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


def living(pid: int, number: int, strangers: frozenset[int]) -> list[int]:
    """Return what still runs of a command: `pid`, its orphans by their mark, and all their descendants.

    `strangers` are children of ours that need no look. Orphans that have ended are taken off the system's list.
    """
    while True:
        found, ended = _look(pid, number, strangers)
        # What ends hands its children to us, perhaps after the list of them was read.
        if found or not ended:
            return found


def _look(pid: int, number: int, strangers: frozenset[int]) -> tuple[list[int], bool]:
    # In this order: if `pid` has ended, the list that is read next has all that it left.
    waiting = [pid] if _runs(pid) else []
    children = _children(f"/proc/self/task/{os.getpid()}/children")  # orphans come to the main thread
    waiting += [child for child in children if child != pid and child not in strangers and _marked(child) == number]
    found: list[int] = []
    ended = False
    while waiting:
        one = waiting.pop()
        if _runs(one):
            found.append(one)
            waiting += _descendants(one)
        else:
            ended = True
            if one != pid:
                with suppress(ChildProcessError):
                    os.waitpid(one, os.WNOHANG)
    return found, ended


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


def _runs(pid: int) -> bool:
    # The state stands behind a name that may hold anything.
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2][1:2] not in {b"", b"Z", b"X"}


def _read(file: str) -> bytes:
    try:
        with open(file, "rb", buffering=0) as opened:  # noqa: PTH123 - ten times as fast
            return opened.read()
    except OSError:
        return b""
