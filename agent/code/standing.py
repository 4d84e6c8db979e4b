"""Owns what is said of an index from outside: how far it is, how large, and when it was last made right."""

import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.code.store import Store


@dataclass(frozen=True, slots=True)
class Standing:
    """How an index stands. `age` is in seconds, since all files were looked at; None where they never were all."""

    files: int
    listed: int
    whole: bool
    age: float | None
    size: int  # bytes on disk


def standing(index: Path) -> Standing | None:
    """Return how an index stands; None where there is none that can be read."""
    size = 0
    for end in ("", "-wal", "-shm"):
        with suppress(OSError):
            size += index.with_name(f"{index.name}{end}").stat().st_size
    try:
        with Store.reading(index) as store:
            progress, looked = store.progress(), store.looked()
    except sqlite3.Error:
        return None
    age = max(0.0, time.time() - looked) if progress.complete else None
    return Standing(progress.held, progress.listed, progress.complete, age, size)
