"""Owns looking into small files of a folder that anybody may have filled: bounded, and by no link out of it."""

import os
import stat
from pathlib import Path


def peek(folder: Path, file: Path, most: int) -> bytes | None:
    """Return the first bytes of a plain file; None where it is none, or where a link leads out of the folder."""
    try:
        real = file.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            return None
        with os.fdopen(os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            return opened.read(most) if stat.S_ISREG(os.fstat(opened.fileno()).st_mode) else None
    except (OSError, RuntimeError, ValueError):
        return None


def is_folder(path: Path) -> bool:
    """Whether there is a folder that can be seen from here."""
    try:
        return path.is_dir()
    except OSError:
        return False
