"""Owns the sight of the workspace: a table of what every file is, made by a first look and kept true by each look after it.

The first look takes a snapshot of all of the workspace (`Store`). A look after it reads only what differs from the table: all
folders are walked, or, where a watch can be trusted, those in which something happened.
"""

import asyncio
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from agent.errors import JumarError
from agent.ledger.action import Held
from agent.ledger.blobs import Blobs
from agent.ledger.scope import Round, Scope
from agent.ledger.snapshot import (
    CLOSED_FOLDER,
    IGNORED_FOLDER,
    MOST_FILES,
    OWN_REPOSITORY,
    UNREADABLE,
    LeftOut,
    Snapshot,
    TooMuch,
    folders_above,
)
from agent.ledger.store import Store
from agent.ledger.survey import TICK, Survey, margin
from agent.ledger.sweep import Sweep
from agent.ledger.table import Known, Table, mode_of, size_and_time, stamp, unsure
from agent.ledger.watch import Watch
from agent.workspace.tree import Moved, Thing, Tree

_MOST_LINKED = 2000  # files with further names, of whose changes no watch of folders tells
_TOGETHER = 32 << 20  # bytes that are read before they are kept


@dataclass(slots=True)
class Seen:
    """What a look found: paths that are not what they were, and folders that are new or gone."""

    changes: dict[bytes, tuple[Known, Known]] = field(default_factory=dict)
    made: list[bytes] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)  # folders


@dataclass(frozen=True, slots=True)
class Glance:
    """One file: what it is, its stamp, and its bytes."""

    known: Known
    mark: bytes = b""
    content: bytes = b""


class Sight:
    """What is known of the files below the root of a store. `until` a first look was `taken`, that is nothing."""

    def __init__(self, store: Store, watch: Watch | None, seconds: float, now: Callable[[], int] = time.time_ns) -> None:
        self.table = Table()
        self.taken = False
        self.first: Snapshot | None = None  # of the first look
        self._same = False  # all is still as in that
        self.unreadable: set[bytes] = set()  # folders that were read once and cannot be now
        self._store = store
        self._watch = watch
        self._seconds = seconds
        self._root = os.fsencode(store.root)
        self._tree = Tree(store.root)
        self._blobs: Blobs | None = None
        self._lock = asyncio.Lock()
        self._meanwhile: dict[bytes, Known] = {}  # noted while a look was taken
        self._linked: set[bytes] = set()
        self._unpinned: set[str] = set()  # names of bytes that are in no snapshot, and in no record as long as they stay
        self._pinned: set[str] = set()
        self._too_much = ""  # why looks are given up
        self._last = 0  # nanoseconds: when the last look began
        self._sweep = Sweep(store.bare, store.root, self.table, now)
        self._scope = Scope(store, self.table)

    async def blobs(self) -> Blobs:
        """Return the bytes of the store, which is made where there is none. Raises JumarError."""
        if self._blobs is None:
            async with self._store.bare.held():
                self._blobs = Blobs(self._store.bare.folder, self._store.bare.git, self._store.bare.kind)
        return self._blobs

    async def look(self, *, full: bool = False) -> Seen:
        """Take a look, and know what is there now; the first one finds nothing changed. Raises JumarError."""
        if why := self._too_much or self._store.bare.too_much:
            raise TooMuch(why)
        blobs = await self.blobs()
        async with self._lock:
            self._store.found(None)
            watch, seen, dirty = self._watch, None, None
            try:
                dirty = watch.drain() if watch is not None and self.taken and not full else None
                watching = watch is not None and not watch.why_not
                if dirty is None and watch is not None and watching and not (full and watch.trusted):
                    watch.renew()
                    seen = await self._look(None, blobs)
                    if len(self._linked) <= _MOST_LINKED:
                        watch.settle()
                elif dirty is None:
                    seen = await self._look_without_watch(blobs)
                elif dirty or self._linked or self.table.apart:
                    seen = await self._look(dirty, blobs)
            except TooMuch as error:
                self._too_much = str(error)
                raise
            except OSError as error:
                raise JumarError(f"the workspace cannot be read: {error.strerror}") from error
            finally:
                if seen is None and watch is not None and dirty != set():
                    watch.doubt()  # what it told was not looked at
        self.taken = True
        meanwhile, self._meanwhile = self._meanwhile, {}
        for path, now in meanwhile.items():
            self.note(path, now, b"")
        self._same = self._same and not (seen and seen.changes)
        self._store.found(self.first if self._same else None)
        return seen or Seen()

    def note(self, path: bytes, now: Known, mark: bytes) -> None:
        """Know what is there by other means than a look; without a stamp, the next look reads it."""
        self._same = self._same and now == self.known(path)
        if self._lock.locked() or not self.taken:
            self._meanwhile[path] = now
        elif now is None:
            self.table.drop(path)
        else:
            self.table.put(path, mark or unsure(now.mode if isinstance(now, Held) else 0), now)

    def known(self, path: bytes) -> Known:
        """Return what is known of a path."""
        return self._meanwhile[path] if path in self._meanwhile else self.table.known(path)

    def covers(self, path: bytes) -> bool:
        """Whether a file of that name would be known if it had been there at the last look."""
        folder = path.rpartition(b"/")[0]
        while self.taken and folder not in self.table.folders:
            if folder in self.table.closed or not folder:
                return False
            folder = folder.rpartition(b"/")[0]  # it was not there at the last look
        return self.taken

    async def file(self, path: bytes) -> Glance:
        """Look at one file, and keep its bytes. Raises JumarError."""
        blobs = await self.blobs()
        name, record, status = os.fsdecode(path), self.table.record(path), None
        with suppress(OSError):
            status = os.lstat(self._root + b"/" + path)
        now = time.time_ns()
        try:
            thing = self._tree.look(name)
        except Moved as moved:
            size, changed = (status.st_size, status.st_mtime_ns) if status is not None else (0, 0)
            return Glance(LeftOut(str(moved).removeprefix(f"{name} "), size, changed))
        if thing is None or status is None:
            return Glance(None)
        held, mark = Held(blobs.name(thing.content), thing.mode), self._mark(path, status, thing, now)
        if record is None or self.table.told(record) != held:  # else its bytes are kept since then
            await asyncio.to_thread(blobs.put, thing.content)
        return Glance(held, mark, thing.content)

    def close(self) -> None:
        """Let go of what makes looks quick."""
        self._sweep.close()

    async def _look_without_watch(self, blobs: Blobs) -> Seen:
        """Look at all; where a sweep can tell what changed, only that is read."""
        dirty = await self._sweep.folders() if self.taken else None
        seen = await self._look(dirty, blobs, full=True)
        await self._sweep.renew(len(dirty or ()))
        return seen

    async def _look(self, dirty: set[bytes] | None, blobs: Blobs, *, full: bool = False) -> Seen:
        survey = Survey(self._root, self.table, self._watch, MOST_FILES, time.monotonic() + self._seconds)
        one = Round(survey, time.time_ns())
        if not self.taken:
            await self._take_snapshot(one)
        await asyncio.to_thread(survey.everything if dirty is None else lambda: survey.at(dirty))
        await self._scope.reopen(one, full or dirty is None)
        while survey.fresh:
            entering = await self._scope.judge(one)
            await asyncio.to_thread(survey.enter, entering)
        for path in survey.nested:
            one.closing[path] = OWN_REPOSITORY
        self._look_at_lone(survey)
        asked = [path for path in survey.differs if self._scope.is_open_question(one, path)]
        one.ignored = await self._store.ignored(asked)
        self._scope.release(one)
        await self._read(one, blobs)
        seen = self._apply(one)
        self._last = one.began
        if not self.taken:
            self._same = self._is_as_first(one)
            seen = Seen()
        await self._pin()
        return seen

    async def _take_snapshot(self, one: Round) -> None:
        snapshot = await self._store.snapshot()
        self.first = snapshot
        one.began = snapshot.began
        one.first = await self._store.listed()
        one.above = frozenset(folder[:-1] for folder in folders_above(*one.first))
        left_out = snapshot.left_out.items()
        one.ignored_folders = frozenset(path[:-1] for path, left in left_out if left.why == IGNORED_FOLDER)

    def _look_at_lone(self, survey: Survey) -> None:
        """Look at files that no walk comes to, or no watch tells of."""
        for path in (*self._linked, *self.table.apart):
            record = self.table.record(path)
            try:
                status = os.lstat(self._root + b"/" + path)
            except OSError:
                if record is not None:
                    survey.gone.add(path)
                continue
            if record is not None and not record.startswith(stamp(status)) and not stat.S_ISDIR(status.st_mode):
                survey.differs[path] = status

    async def _read(self, one: Round, blobs: Blobs) -> None:
        """Read what differs, and keep its bytes, so many at a time."""
        some: list[tuple[bytes, os.stat_result]] = []
        size = 0
        for path, status in one.survey.differs.items():
            if one.is_first(path, status):
                held = Held(one.first[path][0], status.st_mode)
                one.found[path] = stamp(status), held, status.st_nlink
                continue
            why = self._scope.why_not(one, path, status)
            if why is None:
                continue
            if why:
                one.found[path] = stamp(status), LeftOut(why, status.st_size, status.st_mtime_ns), 1
                continue
            some.append((path, status))
            size += status.st_size
            if size > _TOGETHER:
                await self._read_some(one, some, blobs)
                some, size = [], 0
        await self._read_some(one, some, blobs)

    def _is_as_first(self, one: Round) -> bool:
        """Whether a first look found what the snapshot holds, and besides only what no snapshot does."""
        found, left_out = one.survey.differs, self.first.left_out if self.first is not None else {}
        return (
            not self._meanwhile
            and one.first.keys() <= found.keys()
            and all(
                path in left_out or one.is_first(path, status) or self._scope.is_in_ignored(one, path)
                for path, status in found.items()
            )
        )

    async def _read_some(self, one: Round, some: list[tuple[bytes, os.stat_result]], blobs: Blobs) -> None:
        contents = await asyncio.to_thread(self._read_them, one, some, blobs)
        try:
            await self._store.keep(contents)
        except JumarError:
            await asyncio.to_thread(self._keep_some, one, some, blobs, contents)
        if not self.taken or one.adopted:
            self._unpinned.update(contents)

    def _read_them(self, one: Round, some: Iterable[tuple[bytes, os.stat_result]], blobs: Blobs) -> dict[str, bytes]:
        contents = {}
        for path, status in some:
            old, now = self.table.known(path), time.time_ns()
            try:
                thing = self._tree.look(os.fsdecode(path))
            except Moved:
                left = LeftOut(UNREADABLE, status.st_size, status.st_mtime_ns)
                one.found[path] = stamp(status), left, status.st_nlink
                continue
            if thing is None:
                one.survey.gone.add(path)
                continue
            name = blobs.name(thing.content)
            if not isinstance(old, Held) or old.object != name:
                contents[name] = thing.content
            one.found[path] = self._mark(path, status, thing, now), Held(name, thing.mode), status.st_nlink
        return contents

    def _keep_some(
        self, one: Round, some: Iterable[tuple[bytes, os.stat_result]], blobs: Blobs, contents: dict[str, bytes]
    ) -> None:
        """Keep what can be kept, where the disk has no room for all, and tell the rest as not held."""
        why = {}
        for name in sorted(contents, key=lambda name: len(contents[name])):
            try:
                blobs.put(contents[name])
            except JumarError as error:
                why[name] = str(error).rpartition(": ")[0]
        for path, status in some:
            known = one.found[path][1] if path in one.found else None
            if isinstance(known, Held) and known.object in why:
                left = LeftOut(why[known.object], status.st_size, status.st_mtime_ns)
                one.found[path] = stamp(status), left, status.st_nlink
        for name in why:
            del contents[name]

    def _mark(self, path: bytes, status: os.stat_result, thing: Thing, now: int) -> bytes:
        """Return the stamp of bytes that were read `now`; one that no file has where they may be others by now."""
        with suppress(OSError):
            if status.st_ctime_ns + margin(status) < now and stamp(os.lstat(self._root + b"/" + path)) == stamp(status):
                return stamp(status)
        return unsure(thing.mode)

    def _apply(self, one: Round) -> Seen:
        """Have the table say what was found, and return what is not as it was."""
        seen, survey, table = Seen(), one.survey, self.table
        for folder in survey.left - survey.entered.keys():
            self._leave(folder, seen)
        for path in survey.gone:
            if (known := table.known(path)) is not None:
                seen.changes[path] = known, None
                self._drop(path)
        for folder, (inode, ignored) in survey.entered.items():
            if folder and folder not in table.folders and folder not in table.closed:
                seen.made.append(folder)
            table.enter(folder, inode, ignored=ignored)
        unreadable = survey.unreadable & table.folders.keys()
        one.closing |= dict.fromkeys(survey.unreadable - unreadable, CLOSED_FOLDER)
        self.unreadable = unreadable if survey.walked_all else (self.unreadable - survey.walked) | unreadable
        for folder in survey.marks.keys() & table.folders.keys():
            table.folders[folder].mark = survey.marks[folder]
        for folder, why in one.closing.items():
            if folder not in table.closed:
                _closes(folder, why, seen)
            table.closed[folder] = why
            if self._watch is not None:
                self._watch.forget(folder)
        for path, (mark, now, names) in one.found.items():
            self._found(one, path, mark, now, seen)
            if names > 1:
                self._linked.add(path)
            else:
                self._linked.discard(path)
        return seen

    def _found(self, one: Round, path: bytes, mark: bytes, now: Known, seen: Seen) -> None:
        old, record = self.table.known(path), self.table.record(path)
        if record is not None and isinstance(now, LeftOut) and isinstance(old, Held):
            now = _still(record, old, mark, now)
        if isinstance(now, Held | LeftOut):
            self.table.put(path, mark, now)
        if now in (old, seen.changes.get(path, (None,))[0]):
            seen.changes.pop(path, None)
            return
        if old is None and any(folder[:-1] in one.adopted for folder in folders_above(path)):
            if one.survey.differs[path].st_ctime_ns < self._last - TICK:
                return
            old = LeftOut("it was not held before")
        seen.changes[path] = (seen.changes[path][0] if path in seen.changes else old), now

    def _leave(self, folder: bytes, seen: Seen) -> None:
        table = self.table
        for path, why in _closed_at(table.closed, folder):
            seen.changes[path] = LeftOut(why), None
        for path, record in list(table.files(folder)):
            seen.changes[path] = table.told(record), None
            self._drop(path)
        for path in list(table.leave(folder)):
            seen.gone.append(path)
            if self._watch is not None:
                self._watch.forget(path)

    def _drop(self, path: bytes) -> None:
        self.table.drop(path)
        self._linked.discard(path)

    async def _pin(self) -> None:
        """Have the store hold bytes of which a record will speak only once they are gone."""
        if self._unpinned:
            self._pinned |= self._unpinned
            self._unpinned = set()
            await self._store.pin(sorted(self._pinned))


def _closes(folder: bytes, why: str, seen: Seen) -> None:
    """Tell of a folder that came and is not entered; what tools fill is made anew by them, and no word is lost on it."""
    if why == CLOSED_FOLDER:
        seen.made.append(folder)
    elif why != IGNORED_FOLDER:
        seen.changes.setdefault(folder, (None, LeftOut(why)))


def _still(record: bytes, old: Held, mark: bytes, now: LeftOut) -> Held | LeftOut:
    """Return what cannot be read as what it was, where only its mode tells that it changed."""
    same = now.why == UNREADABLE and size_and_time(record) == (now.size, now.time)
    return Held(old.object, mode_of(mark)) if same else now


def _closed_at(closed: Mapping[bytes, str], folder: bytes) -> Iterator[tuple[bytes, str]]:
    return ((path, why) for path, why in list(closed.items()) if path == folder or path.startswith(folder + b"/"))
