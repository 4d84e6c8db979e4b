"""Owns reading a small file of the work tree: bounded, a plain one, and never through a link that leads out."""

import os
import stat
from pathlib import Path

_MOST = 64 << 10


def small(root: Path, file: Path, most: int) -> bytes | None:
    """Return the first bytes of a plain file; None where it is none, or where a link leads out of the root."""
    try:
        real = file.resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            return None
        with os.fdopen(os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as opened:
            return opened.read(most) if stat.S_ISREG(os.fstat(opened.fileno()).st_mode) else None
    except (OSError, RuntimeError):
        return None


def small_text(folder: Path, name: str) -> str:
    """Return the beginning of a text file of a folder; empty where there is none."""
    return (small(folder, folder / name, _MOST) or b"").decode("utf-8", "replace")
