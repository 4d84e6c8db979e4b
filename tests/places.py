"""Owns where tests put what need not outlast them: in memory, where that is a place, since what is made to last takes time."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ENOUGH = 256 << 20  # bytes that are free


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Make a folder and remove it; on the disk where there is no memory for it."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _has_room() else None) as folder:
        yield Path(folder)


def _has_room() -> bool:
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK | os.X_OK)):
        return False
    room = os.statvfs(_MEMORY)
    return room.f_bavail * room.f_frsize > _ENOUGH
