"""Owns putting a file in the place of another in one instant: what was there is still at hand, and goes back if it must."""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cache
from types import TracebackType
from typing import Self

_AT_ONCE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_NAMES = {"linux": "renameat2", "darwin": "renameatx_np"}
_HOLDING = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC


class Exchange:
    """One replacement: what lies `beside` under a name of ours takes the place of a name. Whatever came there is never lost."""

    def __init__(self, folder: int, beside: str, name: str) -> None:
        self._folder = folder
        self._beside = beside
        self._name = name
        self._held = ExitStack()
        self._placed = self._number()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End."""
        self._held.close()

    def made(self) -> bool:
        """Exchange the two; False where the system or the file system cannot. Raises FileNotFoundError where the name is gone."""
        call = _call()
        if call is None:
            return False
        wrong = call(self._folder, os.fsencode(self._beside), self._folder, os.fsencode(self._name))
        if wrong == errno.ENOENT:  # somebody took it away in this instant, and may put something else there in the next
            raise FileNotFoundError(wrong, os.strerror(wrong), self._name)
        return not wrong

    def give_back(self) -> bool:
        """Put what was taken out back; where a newer one came out for it, that one, until nothing newer does.

        False where that cannot be done: then what lies beside is not ours to remove.
        """
        while True:
            taken = self._number()
            try:
                if not self.made():
                    return False
                if self._number() == self._placed:
                    return True
                self._placed = taken
            except FileNotFoundError:  # the name is free
                with suppress(FileExistsError):
                    back(self._folder, self._beside, self._name)
                    return True

    def _number(self) -> int:
        """Return the number of what lies beside; it is held, so that nothing else gets that number meanwhile."""
        with suppress(OSError):
            handle = os.open(self._beside, _HOLDING, dir_fd=self._folder)
            self._held.callback(os.close, handle)
            return os.fstat(handle).st_ino
        return os.stat(self._beside, dir_fd=self._folder, follow_symlinks=False).st_ino


def back(folder: int, aside: str, name: str) -> None:
    """Give a name back to what was taken aside. Raises FileExistsError where there is something of that name."""
    try:
        os.link(aside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except PermissionError:  # a folder: it takes the place of no file, and of no folder that holds one
        os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        os.unlink(aside, dir_fd=folder)


@cache
def _call() -> Callable[[int, bytes, int, bytes], int] | None:
    """Return what exchanges two names and returns what went wrong, as a number; 0 for nothing."""
    import ctypes  # five milliseconds that a start need not wait for

    call = getattr(ctypes.CDLL(None, use_errno=True), _NAMES.get(sys.platform, ""), None)
    if call is None:
        return None
    return lambda *places: ctypes.get_errno() if int(call(*places, ctypes.c_uint(_AT_ONCE))) else 0
