"""Owns what is kept of a fault of jumar's own: a file with its traceback, and the line that a person reads of it."""

import os
import platform
import tempfile
import traceback
from datetime import datetime
from pathlib import Path

from agent.mask import Mask
from agent.safe import safe_line, safe_text
from jumar import __version__

_MOST = 10  # files that are kept
_LONGEST = 200  # characters of what went wrong that are told on the terminal


def keep(folder: Path, error: BaseException, mask: Mask) -> Path | None:
    """Write a fault's traceback into a file, without secrets and without anything's contents; None where that fails."""
    place = f"jumar {__version__}, Python {platform.python_version()}, {platform.platform()}"
    told = f"{place}\n\n{''.join(traceback.format_exception(error))}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(folder.glob("crash-*.txt"))[: -(_MOST - 1)]:
            old.unlink(missing_ok=True)
        prefix = f"crash-{datetime.now().astimezone():%Y%m%d-%H%M%S}-"
        handle, name = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(safe_text(mask.text(told)))
    except OSError:
        return None
    return Path(name)


def line(error: BaseException, kept: Path | None, session: str, mask: Mask) -> str:
    """Return what the person is told."""
    what = safe_line(mask.text(f"{type(error).__name__}: {error}"))
    short = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}…"
    whole = f"; the session is kept, jumar -r {session} goes on with it" if session else ""
    where = f"; what happened stands in {kept}" if kept is not None else ""
    return f"jumar itself failed: {short}; this is a bug{where}{whole}"
