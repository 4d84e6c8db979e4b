"""Owns what a person wrote in a work tree: the prompts they said, their draft, and what waited to be sent."""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.errors import UsageError
from jumar.home import Home
from tui.desk import Recalled

_MOST = 500  # prompts
_LONGEST = 100_000  # characters of one
_ALL = 2_000_000  # characters of all


def recalled(home: Home, root: Path) -> Recalled:
    """Return what is kept for a work tree; nothing where it cannot be read."""
    try:
        return TypeAdapter(Recalled).validate_json(_file(home, root).read_bytes())
    except (OSError, ValidationError):
        return Recalled()


def remember(home: Home, root: Path, text: str) -> None:
    """Keep a prompt that was said, as the newest. Raises UsageError."""
    if len(text) > _LONGEST:
        return
    with _alone(home):
        kept = recalled(home, root)
        said = [*(one for one in kept.said if one != text), text][-_MOST:]
        while sum(map(len, said)) > _ALL:
            said.pop(0)
        _write(home, root, replace(kept, said=tuple(said)))


def keep_draft(home: Home, root: Path, draft: str, queued: tuple[str, ...]) -> None:
    """Keep what is not sent yet. Raises UsageError."""
    with _alone(home):
        _write(home, root, replace(recalled(home, root), draft=draft, queued=queued))


def _file(home: Home, root: Path) -> Path:
    return home.state / "prompts" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.json"


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Let no other screen write meanwhile."""
    folder = home.state / "prompts"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(f"prompts cannot be kept in {folder}: {error.strerror}", 1) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(home: Home, root: Path, kept: Recalled) -> None:
    path = _file(home, root)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".prompts.")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            json.dump(asdict(kept), file, ensure_ascii=False)
        Path(name).replace(path)
    except OSError as error:
        raise UsageError(f"prompts cannot be kept in {path}: {error.strerror}", 1) from error
