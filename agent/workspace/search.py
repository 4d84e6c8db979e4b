"""Owns searching files by regular expression: the question, the one way to run an engine, and the answer."""

import asyncio
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Protocol

from agent.workspace.bounded import bounded
from agent.workspace.contract import Found, Match
from agent.workspace.globs import from_root

_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for. `root` is what globs and told paths are relative to; `shown` returns which absolute paths may be seen."""

    pattern: str
    root: Path
    starts: Sequence[Path]
    glob: str = ""
    context: int = 0
    ignore_case: bool = False
    limit: int = 100
    shown: Callable[[Sequence[str]], Sequence[str]] = lambda paths: paths
    seconds: float = _SECONDS
    readable: Sequence[str] = ()  # all that may be read, as `bounded` takes it
    hidden: Sequence[Path] = ()  # that cannot be, so that it need not be tried


class Stop:
    """Ends a search from another thread, and when its time is up."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._program: subprocess.Popen[bytes] | None = None

    def now(self) -> None:
        """Stop."""
        with self._lock:
            self._set.set()
            if self._program is not None:
                self._program.kill()

    @property
    def due(self) -> bool:
        """Whether to stop."""
        return self._set.is_set() or self.left <= 0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._deadline - time.monotonic()

    @contextmanager
    def holding(self, program: subprocess.Popen[bytes]) -> Iterator[None]:
        """End a program with the search."""
        with self._lock:
            self._program = program
            if self._set.is_set():
                program.kill()
        try:
            yield
        finally:
            with self._lock:
                self._program = None


class Engine(Protocol):
    """Something that searches, on a thread of its own."""

    def search(self, query: Query, stop: Stop) -> Found:
        """Search until done or stopped. Raises ToolFailure."""
        ...

    def files(self, query: Query, stop: Stop) -> tuple[list[str], bool]:
        """Return the absolute paths of all files that it would search, and whether some may be missing.

        Of each start the newest change comes first. No link is among them. Raises ToolFailure.
        """
        ...


async def search(engine: Engine, query: Query) -> Found:
    """Search off the event loop; cancelling ends it. Files are told in the order of their paths. Raises ToolFailure."""
    query = replace(query, glob=from_root(query.glob, query.root))
    stop = Stop(query.seconds)
    try:
        return await asyncio.to_thread(bounded, query.readable, partial(engine.search, query, stop))
    except asyncio.CancelledError:
        stop.now()
        raise


def first(counts: Mapping[str, int], limit: int) -> list[str]:
    """Return the files whose lines are told, in the order of their paths, until the limit is full."""
    wanted: list[str] = []
    for path in nsmallest(limit, counts):
        if limit <= 0:
            break
        wanted.append(path)
        limit -= counts[path]
    return wanted


def found(counts: Mapping[str, int], told: Iterable[tuple[str, list[Match]]], limit: int, partial: bool) -> Found:
    """Return the answer: the lines up to the limit, the counts of all."""
    matches: list[Match] = []
    for path, lines in told:
        for line in lines:
            if not line.context:
                limit -= 1
            if limit < 0:
                break
            matches.append(Match(_printable(path), line.line, line.text, line.context))
    printable = {path if path.isascii() else _printable(path): count for path, count in counts.items()}
    return Found(tuple(matches), printable, sum(counts.values()), partial)


def changed(absolute: str) -> int:
    """Return when a file changed last, in nanoseconds; 0 where it is gone."""
    try:
        return os.lstat(absolute).st_mtime_ns
    except OSError:
        return 0


def relative(absolute: str, root: Path) -> str:
    """Return a path as it is told."""
    folder = f"{str(root).rstrip('/')}/"
    return absolute.removeprefix(folder)


def _printable(path: str) -> str:
    return os.fsencode(path).decode(errors="replace")


def fault(words: str) -> str:
    """Return what is wrong with a pattern, in one line, from what an engine said."""
    if "\\n" in words and "not allowed" in words:
        return "The search goes line by line: the pattern cannot hold a line end."
    if "exceeds size limit" in words:
        return "The pattern is too large: it repeats too much; ask for less at once."
    wrong = re.findall(r"^(?:error|PCRE2): (.*)$", words, re.MULTILINE) or [words.strip().splitlines()[0].removeprefix("rg: ")]
    # The engine that comes first says it best, but where it only lacks what the second one has.
    said = next((one for one in wrong if not one.endswith("not supported")), wrong[0])
    said = re.sub(r"^error compiling pattern at offset \d+: ", "", said)
    return f"The pattern is no regular expression: {said}. Escape what is meant literally with a backslash."
