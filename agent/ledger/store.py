"""Owns the private git store of one workspace: snapshots of its files, and what differs between two of them.

What a snapshot holds: every file and link below the root, byte for byte, that git would not ignore, every one that the
person's own repository tracks, and files that are ignored one by one, where they are small (`.env`, local databases).
What it does not hold is named in `left_out`: large files, files and folders that cannot be read, names that git does not
take, repositories inside this one. Pipes, sockets and devices are no files. Ignored folders, and those that tools fill
(`node_modules`, `__pycache__`, ...), are not entered, only named, unless the person's repository tracks something in them; empty
folders, owners, times and modes but for the x-bit are not kept.

The store is a bare repository of our own outside the workspace. Nothing of the person's repository is written. Its objects
are taken over once, when the store is made, as hard links, so that what was committed need not be stored again, and still
is there if that repository is pruned or removed; where links cannot be made, the files are stored anew.
"""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.errors import JumarError
from agent.ledger.bare import Bare
from agent.ledger.blobs import Blobs
from agent.ledger.snapshot import CLOSED_FOLDER, IGNORED_FOLDER, LeftOut, Look, Snapshot, TooMuch, folders_above

_TRIES = 3  # files may come and go while they are read
_ONE_BY_ONE = 12  # objects
_JUST_NOW = 1.0  # seconds
_LONGEST = 60.0  # seconds that one look at the workspace may take
_Kind = Literal["created", "modified", "deleted"]


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file that differs between two snapshots; the lines are 0 where they cannot be counted."""

    path: str
    kind: _Kind
    added: int
    removed: int


class Store:
    """The snapshots of one workspace. Two sessions may share it: each waits for the other."""

    def __init__(self, folder: Path, root: Path, seconds: float = _LONGEST) -> None:
        self.root = self._root = root
        self._seconds = seconds
        self.bare = self._bare = Bare(folder, root)
        self._git = self._bare.git
        self._left_out: dict[bytes, LeftOut] = {}  # by any snapshot so far, as it was last
        self._standing: tuple[Snapshot, float] | None = None

    def found(self, snapshot: Snapshot | None) -> None:
        """Take note that a look found what is in a snapshot, and nothing else; None takes it back."""
        self._standing = None if snapshot is None else (snapshot, time.monotonic())

    async def now(self) -> Snapshot:
        """Return a snapshot of what is there now: the one that a look has just found true, or a new one. Raises JumarError."""
        if self._standing is not None and time.monotonic() - self._standing[1] < _JUST_NOW:
            return self._standing[0]
        return await self.snapshot()

    async def snapshot(self) -> Snapshot:
        """Take in what is there now. Raises JumarError."""
        if why := self._bare.too_much:
            raise TooMuch(why)
        async with self._in_time(), self._bare.held() as lock:
            for tries_left in reversed(range(_TRIES)):
                try:
                    return await self._take(lock)
                except JumarError:
                    if not tries_left:
                        raise
                    if tries_left == 1:
                        self._bare.forget()  # what it says may be wrong; from nothing is slow, and true
        raise AssertionError

    async def changed(self, before: Snapshot, after: Snapshot) -> tuple[FileChange, ...]:
        """Return the files that differ, by path. Raises JumarError."""
        changes: dict[bytes, FileChange] = {}
        if before.tree != after.tree:
            listed = await self._git.run("diff-tree", "-r", "-z", "--no-renames", "--raw", "--numstat", before.tree, after.tree)
            changes = _changes(listed.out)
        old, new = _files(before), _files(after)
        held_before = await self._holds(before.tree, new.keys() - old.keys())
        held_after = await self._holds(after.tree, old.keys() - new.keys())
        for path in old.keys() | new.keys():
            if _same(old.get(path), new.get(path) or (after.let_in.get(path) if path in held_after else None)):
                changes.pop(path, None)
                continue
            was, now = path in old or path in held_before, path in new or path in held_after
            kind: _Kind = "modified" if was and now else "created" if now else "deleted"
            changes[path] = FileChange(_shown(path), kind, 0, 0)
        created = [path for path, change in changes.items() if change.kind == "created" and _ignored_folder(before, path)]
        for path in await asyncio.to_thread(self._older, created, before.began):
            del changes[path]
        return tuple(changes[path] for path in sorted(changes))

    async def listed(self) -> dict[bytes, tuple[str, bool]]:
        """Return all that the last snapshot holds: the name of its bytes, and whether it is a link. Raises JumarError."""
        records = (await self._git.run("ls-files", "-s", "-z")).out.split(b"\0")
        found = {}
        for record in records:
            if record:
                mode, name, _ = record.split(b" ", 2)
                found[record.partition(b"\t")[2]] = name.decode("ascii"), mode == b"120000"
        return found

    async def ignored(self, paths: Iterable[bytes]) -> set[bytes]:
        """Return those of the paths that an ignore rule names, tracked or not; none beyond a link. Raises JumarError."""
        real: dict[bytes, bool] = {}
        asked = {_unmagic(path): path for path in paths if self._is_real(path.rpartition(b"/")[0], real)}
        if not asked:
            return set()
        found = await self._git.run("check-ignore", "--no-index", "--stdin", "-z", stdin=b"\0".join(asked), most=1)
        return {asked[path] for path in found.out.split(b"\0") if path}

    async def keep(self, contents: Mapping[str, bytes]) -> None:
        """Keep bytes under their names, so that they last. Raises JumarError."""
        blobs = Blobs(self.bare.folder, self._git, self.bare.kind)
        if len(contents) <= _ONE_BY_ONE:
            for content in contents.values():
                await asyncio.to_thread(blobs.put, content)
            return
        names = "".join(f"{name}\n" for name in contents).encode("ascii")
        told = (await self._git.run("cat-file", "--batch-check", stdin=names)).out.splitlines()
        missing = [line.split(b" ")[0].decode("ascii") for line in told if line.endswith(b" missing")]
        if not missing:
            return
        # One pack of all: to make each file last alone takes a thousand times as long as to make one.
        stream = b"".join(b"blob\ndata %d\n%b\n" % (len(contents[name]), contents[name]) for name in missing)
        settings = ("-c", "fastimport.unpackLimit=1", "-c", "core.compression=1")
        await self._git.run(*settings, "fast-import", "--quiet", stdin=stream)

    async def pin(self, names: Sequence[str]) -> None:
        """Hold these bytes beyond what a pruning would leave, instead of those that were named before. Raises JumarError."""
        entries = b"".join(b"100644 blob %b\t%d\0" % (name.encode("ascii"), number) for number, name in enumerate(names))
        tree = (await self._git.run("mktree", "-z", stdin=entries)).out.decode("ascii").strip()
        await self._git.run("update-ref", "refs/jumar/seen", tree)

    async def patch(self, before: Snapshot, after: Snapshot) -> bytes:
        """Return the difference as `git apply` takes it, without what the repository ignores.

        What `before` left out is no part of it: there is nothing to tell the difference from. Raises JumarError.
        """
        if before.tree == after.tree:
            return b""
        arguments = ("diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv")
        listed = (await self._git.run(*arguments, "--name-status", "-z", before.tree, after.tree)).out.split(b"\0")
        letters = dict(zip(listed[1::2], listed[::2], strict=False))
        async with self._in_time():
            without = set(await self._ignored(letters))
        without |= {path for path, letter in letters.items() if _not_held(before, path, letter)}
        form = ("-p", "--binary", "--full-index", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
        but = [os.fsdecode(b":(top,exclude,literal)" + path) for path in sorted(without)]
        return (await self._git.run(*arguments, *form, before.tree, after.tree, "--", *but)).out

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError:
            raise TooMuch(f"reading the workspace took longer than {self._seconds:g} s; work in a folder below it") from None

    def _older(self, paths: Iterable[bytes], moment: int) -> list[bytes]:
        """Return those of the paths that have not changed since."""
        found = []
        for path in paths:
            with suppress(OSError):
                if os.lstat(os.fsencode(self._root) + b"/" + path).st_ctime_ns <= moment:
                    found.append(path)
        return found

    async def _holds(self, tree: str, paths: set[bytes]) -> set[bytes]:
        """Return those of the paths that the tree has."""
        if not paths:
            return set()
        listed = await self._git.run("ls-tree", "-r", "-z", "--name-only", tree)
        return paths & set(listed.out.split(b"\0"))

    async def _ignored(self, paths: Iterable[bytes]) -> list[bytes]:
        """Return those of the paths that the ignore rules name and the person's repository does not track."""
        tracked = set(await self._bare.tracked_though_ignored())
        return [path for path in await self.ignored(paths) if path not in tracked]

    def _is_real(self, folder: bytes, known: dict[bytes, bool]) -> bool:
        """Whether no link leads to a folder: git answers nothing at all where it is asked about what lies beyond one."""
        if not folder:
            return True
        if folder not in known:
            whole = os.fsencode(self._root) + b"/" + folder
            known[folder] = self._is_real(folder.rpartition(b"/")[0], known) and not os.path.islink(whole)  # noqa: PTH114 - bytes
        return known[folder]

    async def _take(self, lock: int) -> Snapshot:
        began = time.time_ns()
        try:
            async with asyncio.TaskGroup() as group:
                listing = group.create_task(
                    self._git.run("ls-files", "-z", "-t", "-m", "-d", "-o", "--exclude-standard", lock=lock)
                )
                ignoring = group.create_task(
                    self._git.run("ls-files", "-z", "-o", "-i", "--exclude-standard", "--directory", lock=lock)
                )
                tracking = group.create_task(self._bare.tracked_though_ignored())
        except ExceptionGroup as errors:  # not `except*`: Python 3.11.0 to 3.11.3 puts what that raises into a group again
            raise _first(errors) from None
        look = Look(self._root, self._left_out)
        await asyncio.to_thread(look.at, listing.result(), ignoring.result().out, tracking.result())
        if look.gone:
            paths = b"\0".join(look.gone) + b"\0"
            await self._git.run("update-index", "-z", "--force-remove", "--stdin", stdin=paths, lock=lock)
        if look.present:
            paths = b"\0".join(look.present) + b"\0"
            told = await self._git.run("update-index", "-z", "--add", "--replace", "--stdin", stdin=paths, lock=lock)
            for name in re.findall(r"^Ignoring path (.*)$", told.err, re.MULTILINE):
                look.left_out[os.fsencode(name)] = LeftOut("a name that git does not take")
        tree = (await self._git.run("write-tree", lock=lock)).out.decode("ascii").strip()
        self._left_out |= look.left_out
        return Snapshot(tree, began, look.left_out, look.let_in)


def _files(snapshot: Snapshot) -> dict[bytes, LeftOut]:
    """Return what was left out but for folders, be they closed or ignored: what is in those is told file by file."""
    return {path: one for path, one in snapshot.left_out.items() if one.why not in {CLOSED_FOLDER, IGNORED_FOLDER}}


def _not_held(before: Snapshot, path: bytes, letter: bytes) -> bool:
    """Return whether it was left out, alone or with a folder. What is tracked in an ignored folder was not."""
    left_out = before.left_out
    return (
        path in left_out
        or any(folder in left_out and left_out[folder].why != IGNORED_FOLDER for folder in folders_above(path))
        or (letter == b"A" and _ignored_folder(before, path))
    )


def _ignored_folder(snapshot: Snapshot, path: bytes) -> bool:
    left_out = snapshot.left_out
    return any(folder in left_out and left_out[folder].why == IGNORED_FOLDER for folder in folders_above(path))


def _same(was: LeftOut | None, now: LeftOut | None) -> bool:
    return was is not None and now is not None and (was.size, was.time) == (now.size, now.time)


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    found: Exception = errors
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found


def _changes(listed: bytes) -> dict[bytes, FileChange]:
    """Return the changes of a raw listing that is followed by counts of lines."""
    kinds: dict[bytes, _Kind] = {}
    changes: dict[bytes, FileChange] = {}
    records = iter(listed.split(b"\0"))
    for record in records:
        if record.startswith(b":"):
            letter = record[-1:]
            kinds[next(records)] = "created" if letter == b"A" else "deleted" if letter == b"D" else "modified"
        elif record:
            added, removed, path = record.split(b"\t", 2)
            counts = [int(count) if count.isdigit() else 0 for count in (added, removed)]
            changes[path] = FileChange(_shown(path), kinds[path], *counts)
    return changes


def _unmagic(path: bytes) -> bytes:
    """Return a path as git takes it for nothing but that: one that begins with a colon has a meaning of its own."""
    return b"./" + path if path.startswith(b":") else path


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
