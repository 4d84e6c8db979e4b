"""Owns looking with no right but to read some folders: what comes to be a link meanwhile leads nowhere else."""

import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from agent.workspace.sandbox import shim

_Found = TypeVar("_Found")
_NO_NEW_PRIVILEGES = 38
# What a program that is started there is made of.
_PROGRAMS = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/nix/store", "/gnu/store", "/home/linuxbrew/.linuxbrew")


def bounded(readable: Sequence[str], look: Callable[[], _Found]) -> _Found:
    """Return what `look` finds in a thread that can read these alone, as can what it starts, where the kernel can see to that.

    Of a folder whose path ends with a slash the names alone can be read. Nothing named is no bound.
    """
    if not readable or sys.platform != "linux":
        return look()
    found: list[_Found] = []
    faults: list[BaseException] = []

    def begin() -> None:
        try:
            _give_up(readable)
            found.append(look())
        except BaseException as fault:  # noqa: BLE001 - it is raised where it belongs
            faults.append(fault)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]
    return found[0]


def _give_up(readable: Sequence[str]) -> None:
    """Give up all other rights to files, for this thread and for good."""
    import ctypes  # as in `kin`

    libc = ctypes.CDLL(None, use_errno=True)
    if shim.version(libc) < 1:
        return
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    shim.confine(libc, [os.devnull], _held(readable), network=False)


def _held(readable: Sequence[str]) -> Iterator[str]:
    """Yield what names these as they are now, for as long as it is the last one: none that is a link by now."""
    ours = (path for path in (*sys.path, sys.prefix, sys.base_prefix, *_PROGRAMS) if path.startswith("/"))
    yield from dict.fromkeys(map(os.path.realpath, ours))
    for path in readable:
        with suppress(OSError):
            handle = os.open(path.rstrip("/") or "/", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if not stat.S_ISLNK(os.fstat(handle).st_mode):
                    yield f"/proc/self/fd/{handle}{'/' if path.endswith('/') and path != '/' else ''}"
            finally:
                os.close(handle)
