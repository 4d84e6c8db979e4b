"""Owns which branch a work tree is on, read from git's own file: no program is run for it."""

import os
import stat
from pathlib import Path

_LONGEST = 4096  # bytes of such a file
_REF = "ref: refs/heads/"
_COMMIT = 9  # letters of a commit that stand for it


def branch(root: Path) -> str:
    """Return the branch, or the beginning of a commit where there is none; empty where this is no git repository."""
    place = root / ".git"
    if place.is_file():
        place = root / _read(place).removeprefix("gitdir:").strip()
    head = _read(place / "HEAD")
    if head.startswith(_REF):
        return head.removeprefix(_REF)
    return head[:_COMMIT] if head.isalnum() else ""


def _read(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return ""
    try:
        found = os.read(handle, _LONGEST) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    except OSError:
        found = b""
    finally:
        os.close(handle)
    return found.decode("utf-8", "replace").strip()
