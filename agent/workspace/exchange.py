"""Owns putting a file in the place of another in one instant, so that what was there is still at hand."""

import os
import sys
from collections.abc import Callable
from functools import cache

_AT_ONCE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_NAMES = {"linux": "renameat2", "darwin": "renameatx_np"}


def exchange(folder: int, one: str, other: str) -> bool:
    """Let two files of an open folder change their names; False where the system or the file system cannot."""
    call = _call()
    return call is not None and call(folder, os.fsencode(one), folder, os.fsencode(other)) == 0


@cache
def _call() -> Callable[[int, bytes, int, bytes], int] | None:
    import ctypes  # five milliseconds that a start need not wait for

    call = getattr(ctypes.CDLL(None, use_errno=True), _NAMES.get(sys.platform, ""), None)
    return None if call is None else lambda *places: int(call(*places, ctypes.c_uint(_AT_ONCE)))
