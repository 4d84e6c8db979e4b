"""Owns noting a line in the instructions of a work tree, in the person's name."""

import os
import stat
from pathlib import Path

from agent.errors import UsageError

_FILE = "AGENTS.md"


def note(root: Path, text: str) -> str:
    """Add a line to AGENTS.md, which is made where there is none; return its name. Raises UsageError.

    A link is followed inside the work tree alone.
    """
    path = (root / _FILE).resolve()
    if not path.is_relative_to(root):
        raise UsageError(f"{_FILE} leads out of the work tree, to {path}, so nothing was noted")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "rb+", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UsageError(f"{_FILE} is no file, so nothing was noted")
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            begun = b"\n" if size and file.read(1) != b"\n" else b""
            line = " ".join(text.split())
            file.write(begun + f"- {line}\n".encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{_FILE} cannot be written: {error.strerror}", 1) from error
    return _FILE
