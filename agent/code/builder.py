"""Owns the program that builds the index of names beside a session, and makes it right again where files have changed."""

import fcntl
import mmap
import os
import resource
import select
import signal
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from agent.code.grammars import Grammar, grammar, language
from agent.code.links import rank
from agent.code.shape import LARGEST, Shape, shape
from agent.code.store import Mark, Store, mark_of
from agent.code.task import Task
from agent.workspace.secrets import are_of_secret
from agent.workspace.text import decode
from agent.workspace.walk import Walk

_MEMORY = 1 << 30
_SECONDS = 2.0  # for one text
_MOST = 200_000  # files of a folder that is indexed
_BATCH = 400  # files that are written at once
_YOUNG = 50_000_000  # nanoseconds: a file that changed so late may change again and keep its time
_DONE, _STOPPED, _DAMAGED, _FULL = 0, 3, 4, 5  # how the one who parses ends


def main() -> None:
    """Read the task from stdin and do it. The end of stdin is the end of the session, and then nothing more is done."""
    task = Task.told(os.read(0, 1 << 20))
    os.nice(task.nice)
    alone = os.open(task.index.parent / "build.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(_STOPPED)  # another session builds it
    if task.anew:
        _forget(task.index)
    ended = build(task)
    if ended == _DAMAGED:
        _forget(task.index)
        ended = build(task)
    sys.exit(ended)


def build(task: Task) -> int:
    """Make the index right; return how it ended."""
    try:
        with Store.writing(task.index) as store:
            known = store.marks()
            found = dict(islice(files(task.root, task.hidden), _MOST + 1))
            if len(found) > _MOST:
                return _FULL
            gone = [path for path in known if path not in found]
            waiting = [path for path, mark in found.items() if known.get(path) != mark]
            with store.batch():
                store.listed(len(found))
                for path in gone:
                    store.drop(path)
        del known, found  # there may be very many
    except sqlite3.OperationalError:
        return _FULL  # no room, or no right to write: the session goes on without
    except (sqlite3.DatabaseError, ValueError, TypeError):
        return _DAMAGED
    # The one who parses is a process of its own: a hostile text that ends it is left out, and the next one goes on.
    place = mmap.mmap(-1, 16)
    poison: set[int] = set()
    while (ended := _parsed(task, waiting, place, poison)) not in {_DONE, _STOPPED, _DAMAGED, _FULL}:
        at = int.from_bytes(place[:8], "little")
        if at in poison or _stopped(os.getppid()):
            return _STOPPED
        poison.add(at)
    return _rank(task) if ended == _DONE else ended


def _rank(task: Task) -> int:
    """Rank the files, now that the memory for parsing is given back."""
    try:
        with Store.writing(task.index) as store:
            rank(store)
    except sqlite3.OperationalError:
        return _FULL
    except sqlite3.DatabaseError:
        return _DAMAGED
    return _DONE


def files(root: str, hidden: Sequence[str]) -> Iterator[tuple[str, Mark]]:
    """Yield the files that are indexed: in a language that is parsed, neither ignored, hidden nor links."""
    below = root.rstrip("/") + "/"
    folders = tuple(f"{one}/" for one in hidden)
    for absolute in Walk(Path(root)).files(Path(root)):
        if not language(absolute) or f"{absolute}/".startswith(folders):
            continue
        try:
            path = absolute.removeprefix(below)
            path.encode()
            status = os.lstat(absolute)
        except (OSError, UnicodeEncodeError):
            continue
        if stat.S_ISREG(status.st_mode):
            yield path, mark_of(status)


def _parsed(task: Task, waiting: Sequence[str], place: mmap.mmap, poison: set[int]) -> int:
    """Have a process parse what is waiting, from the last that was written on; return how it ended."""
    parent = os.getpid()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    ended = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ended = _parse(task, waiting, place, poison, parent)
    except sqlite3.OperationalError:
        ended = _FULL
    except sqlite3.DatabaseError:
        ended = _DAMAGED
    finally:
        os._exit(ended)


def _parse(task: Task, waiting: Sequence[str], place: mmap.mmap, poison: set[int], parent: int) -> int:
    loaded: dict[str, Grammar] = {}
    with Store.writing(task.index) as store:
        for start in range(int.from_bytes(place[8:], "little"), len(waiting), _BATCH):
            end = min(start + _BATCH, len(waiting))
            with store.batch():
                for number in range(start, end):
                    if _stopped(parent):
                        return _STOPPED
                    place[:8] = number.to_bytes(8, "little")
                    path = waiting[number]
                    refused = "the parser gave up on it" if number in poison else ""
                    signal.setitimer(signal.ITIMER_REAL, _SECONDS)  # it ends us, whatever a parser is about
                    found = look(task.root, path, loaded, refused)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    if found is None:
                        store.drop(path)
                    else:
                        store.put(path, *found)
            place[8:] = end.to_bytes(8, "little")
        store.complete()
    return _DONE


def _is_at(handle: int, absolute: str) -> bool:
    """Whether what was opened lies there, and not where a folder led that became a link; only Linux tells."""
    try:
        return os.readlink(f"/proc/self/fd/{handle}") == absolute  # noqa: PTH115 - there are very many
    except OSError:
        return True


def look(root: str, path: str, loaded: dict[str, Grammar], refused: str) -> tuple[Mark, Shape] | None:
    """Read and parse a file; None where it is none any more."""
    absolute = f"{root.rstrip('/')}/{path}"
    try:
        handle = os.open(absolute, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as opened:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or not _is_at(handle, absolute):
            return None
        mark = mark_of(status)
        if abs(time.time_ns() - mark.time) < _YOUNG:
            mark = mark._replace(time=-1)
        if are_of_secret(path.casefold().split("/")):
            refused = "it is called as files with keys and passwords are"
        if refused or status.st_size > LARGEST:
            return mark, Shape(refused=refused or "too large to parse")
        raw = opened.read(LARGEST + 1)
    decoded = decode(raw)
    if decoded is None:
        return mark, Shape(refused="no text")
    spoken = language(path)
    if spoken not in loaded:
        loaded[spoken] = grammar(spoken)
    return mark, shape(spoken, loaded[spoken], decoded.text.replace("\r\n", "\n").encode("utf-8", "replace"))


def _stopped(parent: int) -> bool:
    """Whether nobody waits for us any more."""
    return os.getppid() != parent or bool(select.select([0], [], [], 0)[0])


def _forget(index: Path) -> None:
    for name in (index.name, f"{index.name}-wal", f"{index.name}-shm"):
        with suppress(OSError):
            (index.parent / name).unlink()
