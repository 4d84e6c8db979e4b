"""Owns the list of files and folders that `@` completes: what git knows and does not ignore, else what a walk finds."""

import asyncio
import os
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from agent.errors import JumarError
from agent.workspace.git import Git
from agent.workspace.walk import Walk
from tui.matching import Index

MOST = 200_000  # files; of a larger tree the rest must be typed
_FRESH = 3.0  # seconds for which a list is as good as new; longer where making it takes long
_EASE = 10  # as many times as long
_PATIENCE = 10.0  # seconds that listing may take
_GONE, _FOLDERS = b"R ", "/"


class Files:
    """Keeps an index of the work tree's files, made in a thread, and made again when it is asked for and old."""

    def __init__(self, root: Path, cwd: Path, fresh: float = _FRESH) -> None:
        self._root = root
        self._here = cwd.relative_to(root).parts if cwd.is_relative_to(root) else ()
        self._prefix = "".join(f"{name}/" for name in self._here)
        self._fresh = fresh
        self._paths: list[str] = []
        self._index = Index(())
        self._old = 0.0  # when the index is
        self._making: asyncio.Task[None] | None = None
        self._closed = threading.Event()

    async def index(self) -> Index:
        """Return the index; only the first time it is waited for. One that is old is made again meanwhile."""
        if self._making is None and time.monotonic() > self._old:
            self._making = asyncio.create_task(self._make())
        if self._making is not None and not self._index:
            await asyncio.shield(self._making)
        return self._index

    def close(self) -> None:
        """End a listing that runs."""
        self._closed.set()

    async def _make(self) -> None:
        began = time.monotonic()
        try:
            self._paths, self._index = await asyncio.to_thread(self._listed)
        finally:
            now = time.monotonic()
            self._old, self._making = now + max(self._fresh, _EASE * (now - began)), None

    def _listed(self) -> tuple[list[str], Index]:
        paths = list(islice(self._found(), MOST))
        if paths == self._paths:
            return self._paths, self._index
        return paths, Index(with_folders(self._from_here(path) for path in paths))

    def _found(self) -> Iterator[str]:
        git = Git(self._root)
        if git.is_there:
            listed = list(self._known_to(git))
            if listed:
                yield from listed
                return
        ends = time.monotonic() + _PATIENCE
        start = f"{str(self._root).rstrip('/')}/"
        for path in Walk(self._root).files(self._root):
            if self._closed.is_set() or time.monotonic() > ends:
                return
            yield path.removeprefix(start)

    def _known_to(self, git: Git) -> Iterator[str]:
        """Yield what git tracks or does not ignore, without what was deleted."""
        try:
            program = git.spawn(("ls-files", "-z", "-t", "--cached", "--others", "--deleted", "--exclude-standard"))
        except JumarError:
            return
        ended = threading.Timer(_PATIENCE, program.kill)
        ended.start()
        try:
            with program:
                printed = program.stdout.read() if program.stdout is not None else b""
        finally:
            ended.cancel()
        lines = printed.split(b"\0")
        gone = {line[2:] for line in lines if line.startswith(_GONE)}
        for path in dict.fromkeys(line[2:] for line in lines if line and not line.startswith(_GONE)):
            if path not in gone:
                yield os.fsdecode(path)

    def _from_here(self, path: str) -> str:
        """Return a path as tools take it: relative to the current folder."""
        if not self._here or path.startswith(self._prefix):
            return path[len(self._prefix) :]
        parts = path.split("/")
        common = next((at for at, name in enumerate(self._here) if at >= len(parts) or parts[at] != name), len(self._here))
        return "../" * (len(self._here) - common) + "/".join(parts[common:])


def with_folders(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths, and every folder above one of them with a slash at its end."""
    seen = {"", "../"}
    for path in paths:
        yield path
        end = path.rfind(_FOLDERS)
        while end > 0 and (folder := path[: end + 1]) not in seen:
            seen.add(folder)
            if not folder.endswith("../"):
                yield folder
            end = path.rfind(_FOLDERS, 0, end)
