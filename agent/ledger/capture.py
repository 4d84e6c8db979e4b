"""Owns capture: what an action did to which files, to the byte and the mode, and what somebody else did in between.

Files that a call names are looked at alone, without git, wherever they lie below the root: this works where a look at all of
the workspace is refused. For a command, `Sight` looks at all that may have changed. Files that are ignored are held where
they are small; an ignored folder is entered where it holds few files and is not one that tools fill. What is not held is told in
every record, with the reason. Bytes are kept before they can be lost: those of before when they are first seen.

One capture has one root. Files elsewhere (folders that a person has added) are the business of a capture, and a ledger, of
their own; so is a repository inside this one, but for files in it that a call names.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from agent.errors import JumarError
from agent.ledger.absence import Absence
from agent.ledger.action import Action, Became, Delta, Held, Repository
from agent.ledger.repository import Repositories
from agent.ledger.sight import Glance, Seen, Sight
from agent.ledger.snapshot import CLOSED_FOLDER, LeftOut
from agent.ledger.store import Store
from agent.ledger.table import Known
from agent.ledger.undo import counts
from agent.ledger.watch import Watch
from agent.workspace.tree import Thing

ALL = "."  # stands for all of the workspace in what is left out
MORE = "..."  # stands for what is not named
_MOST_MADE = 10_000  # folders that a record names
_MOST_TOLD = 50  # paths that are not held and are named
_MOST_COUNTED = 200  # changed files of a record whose lines are counted
_LARGEST_COUNTED = 256 << 10


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before an action: of its paths, or, with None for these, of all."""

    outside: tuple[Delta, ...] = ()  # what somebody else changed since the ledger knew last
    outside_folders: tuple[str, ...] = ()  # and the folders that they made
    paths: tuple[str, ...] | None = None
    held: Mapping[str, Known] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()  # folders above the paths that were not there
    contents: Mapping[str, bytes] = field(default_factory=dict)  # small ones, by their names in the store
    repository: Repository | None = None
    fault: str = ""  # why nothing can be told


@dataclass(frozen=True, slots=True)
class Captured:
    """What an action did. `left_out` says which paths are not held and why; `ALL` stands for all of them."""

    deltas: tuple[Delta, ...] = ()
    folders: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()  # folders
    left_out: Mapping[str, str] = field(default_factory=dict)
    repository: tuple[Repository, Repository] | None = None
    outside: tuple[Delta, ...] = ()
    outside_folders: tuple[str, ...] = ()


class Capture:
    """Captures actions in the workspace of a store, one after the other. `watched`: a watch may spare it full looks."""

    def __init__(self, store: Store, *, watched: bool = True, seconds: float = 60.0) -> None:
        self._root = store.root
        self._store = store
        self._watch = Watch(store.root) if watched else None
        self._sight = Sight(store, self._watch, seconds)
        self._absence = Absence(store.bare)
        self._repositories = Repositories(store.bare)
        self._made: set[str] = set()  # folders that are in a record already, and no look has seen yet
        self.fault = ""  # why all of the workspace cannot be looked at; what calls name is captured all the same

    @property
    def watching(self) -> bool:
        """Whether a look costs no more than what changed."""
        return self._watch is not None and self._watch.trusted

    @property
    def stirs(self) -> bool:
        """Whether the watch tells of a change that was not looked at."""
        return self.watching and self._watch is not None and self._watch.stirs

    async def stirred(self) -> None:
        """Wait until the watch tells of one; without a watch without an end."""
        await (self._watch.stirred() if self._watch is not None else asyncio.Event().wait())

    async def start(self, actions: Sequence[Action] = ()) -> Captured:
        """Take the first look, and begin to watch: in the background, or the first command waits for it.

        Return what changed `outside` since the ledger knew last; `actions` are all that it holds.
        """
        await self.before(None)
        first = self._sight.first
        if first is None:
            return Captured()
        try:
            return Captured(outside=await self._deltas(await self._absence.changes(first, self._sight.table, actions)))
        except JumarError:  # what was known then has been let go of
            return Captured()

    async def remember(self, records: int) -> None:
        """Have the next session know what the first look of this one found, when there were so many records."""
        if self._sight.first is not None:
            with suppress(JumarError):
                await self._absence.remember(self._sight.first, records)

    async def before(self, paths: Sequence[Path] | None) -> Before:
        """Look at what is there before an action: at exactly these files, or, with None, at all that may change.

        Raises JumarError where a file lies elsewhere, or where the bytes of files that are named cannot be kept.
        """
        if paths is not None:
            return await self._before_files(paths)
        try:
            seen = await self._sight.look()
            self.fault = ""
            repository = await self._repositories.read(pin=True)
            return Before(await self._deltas(seen.changes), self._folders(seen), repository=repository)
        except JumarError as error:
            self.fault = str(error)
            return Before(fault=str(error))

    async def after(self, before: Before) -> Captured:
        """Look at what the action did. Raises JumarError."""
        if before.paths is not None:
            return await self._after_files(before)
        if before.fault:
            return Captured(left_out={ALL: before.fault})
        seen = await self._sight.look()
        states = None
        if before.repository is not None:
            now = await self._repositories.read(pin=True)
            states = (before.repository, now) if now is not None and now != before.repository else None
        deltas = await self._deltas(seen.changes)
        gone = tuple(sorted(map(os.fsdecode, seen.gone[:_MOST_MADE])))
        return Captured(deltas, self._folders(seen), gone, self.coverage(), states, before.outside, before.outside_folders)

    async def border(self) -> Captured:
        """Look at everything, whatever the watch says, and return what changed `outside` of actions. Raises JumarError."""
        seen = await self._sight.look(full=True)
        return Captured(outside=await self._deltas(seen.changes), outside_folders=self._folders(seen))

    async def glance(self) -> Captured:
        """Look at what changed, as the watch tells, and return that as what changed `outside` of actions. Raises JumarError."""
        seen = await self._sight.look()
        return Captured(outside=await self._deltas(seen.changes), outside_folders=self._folders(seen))

    async def ignored(self, deltas: Sequence[Delta]) -> set[str]:
        """Return the paths of these that an ignore rule names. Raises JumarError."""
        return set(map(os.fsdecode, await self._store.ignored([os.fsencode(delta.path) for delta in deltas])))

    def coverage(self) -> dict[str, str]:
        """Return what is not held, and why, as the last look found it: some by name, and how many more."""
        if self.fault:
            return {ALL: self.fault}
        table, closed = self._sight.table, self._sight.unreadable
        total = len(table.closed) + len(table.lone) + len(closed)
        folders = chain(table.closed.items(), ((path, CLOSED_FOLDER) for path in closed))
        named = chain(((path + b"/", why) for path, why in folders), table.lone.items())
        told = {os.fsdecode(path): why for path, why in islice(named, _MOST_TOLD)}
        return told | ({MORE: f"and {total - _MOST_TOLD} more"} if total > _MOST_TOLD else {})

    def keeps(self, path: Path) -> bool:
        """Whether all that lies at and below a real path is held, as the last look found it; so is where nothing lies."""
        if self.fault or not path.is_relative_to(self._root):
            return False
        name = b"" if path == self._root else os.fsencode(path.relative_to(self._root))
        above = [b"/".join(name.split(b"/")[:count]) for count in range(1, name.count(b"/") + 2)]
        left_out = (self._sight.table.closed, self._sight.table.lone, self._sight.unreadable)
        if any(folder in group for folder in above for group in left_out):
            return False
        below = name + b"/" if name else b""
        return not any(one.startswith(below) for group in left_out for one in group)

    def told(self, action: Action) -> None:
        """Take note of what is in the ledger already (an undo, the call of another session), so that it is told only once."""
        for delta in action.deltas:
            if not delta.why:
                self._sight.note(os.fsencode(delta.path), delta.after, b"")
        self._made.update(folder for folder in action.folders if os.fsencode(folder) not in self._sight.table.folders)

    def close(self) -> None:
        """Watch no longer."""
        self._sight.close()
        if self._watch is not None:
            self._watch.close()

    async def _before_files(self, paths: Sequence[Path]) -> Before:
        names = tuple(dict.fromkeys(_below(path, self._root) for path in paths))
        outside: dict[bytes, tuple[Known, Known]] = {}
        held: dict[str, Known] = {}
        contents: dict[str, bytes] = {}
        for name in names:
            path = os.fsencode(name)
            known = self._sight.known(path)
            one = await self._sight.file(path)
            if known != one.known and (known is not None or self._sight.covers(path)):
                outside[path] = known, one.known
            self._sight.note(path, one.known, one.mark)
            held[name] = one.known
            contents |= _named(one)
        missing = frozenset(folder for name in names for folder in self._missing(name))
        return Before(await self._deltas(outside, contents), (), names, held, missing, contents)

    async def _after_files(self, before: Before) -> Captured:
        changes: dict[bytes, tuple[Known, Known]] = {}
        left_out: dict[str, str] = {}
        contents = dict(before.contents)
        for name in before.paths or ():
            path = os.fsencode(name)
            now = await self._sight.file(path)
            self._sight.note(path, now.known, now.mark)
            contents |= _named(now)
            if now.known != before.held[name]:
                changes[path] = before.held[name], now.known
            for one in (before.held[name], now.known):
                if isinstance(one, LeftOut):
                    left_out[name] = one.why
        folders = tuple(sorted(folder for folder in before.missing if (self._root / folder).is_dir()))
        self._made.update(folders)
        return Captured(await self._deltas(changes, contents), folders, (), left_out, None, before.outside)

    def _folders(self, seen: Seen) -> tuple[str, ...]:
        """Return the folders that came, but for those that a call of a file tool has made: its record names them."""
        came = {os.fsdecode(folder) for folder in seen.made[:_MOST_MADE]}
        told = came - self._made
        self._made -= came
        return tuple(sorted(told))

    def _missing(self, name: str) -> Iterator[str]:
        parts = name.split("/")
        for end in range(1, len(parts)):
            folder = "/".join(parts[:end])
            if not os.path.lexists(self._root / folder):
                yield folder

    async def _deltas(
        self, changes: Mapping[bytes, tuple[Known, Known]], contents: Mapping[str, bytes] | None = None
    ) -> tuple[Delta, ...]:
        """Tell changes, with lines counted for the first of them; `contents` are at hand, others are read."""
        deltas = [_delta(path, *changes[path]) for path in sorted(changes)]
        counting = [number for number, delta in enumerate(deltas) if not delta.why][:_MOST_COUNTED]
        if not counting:
            return tuple(deltas)
        names = {one.object for number in counting for one in (deltas[number].before, deltas[number].after) if one is not None}
        at_hand = contents or {}
        try:
            contents = {**at_hand, **await (await self._sight.blobs()).get(names - at_hand.keys())}
        except JumarError:  # of what the store has lost no lines are counted; that it changed is told all the same
            return tuple(deltas)
        for number in counting:
            held = (deltas[number].before, deltas[number].after)
            things = [None if one is None else Thing(contents[one.object], one.mode) for one in held]
            if all(thing is None or len(thing.content) <= _LARGEST_COUNTED for thing in things):
                added, removed = counts(*things)
                deltas[number] = replace(deltas[number], added=added, removed=removed)
        return tuple(deltas)


def _below(path: Path, root: Path) -> str:
    """Return a path relative to the root. Raises JumarError where it lies elsewhere."""
    try:
        name = str(path.relative_to(root))
    except ValueError:
        raise JumarError(f"{path} lies outside of {root}: what becomes of it cannot be undone here") from None
    if name == "." or ".." in path.parts:
        raise JumarError(f"{path} is no file below {root}")
    return name


def _named(one: Glance) -> dict[str, bytes]:
    """Return the bytes of a file by their name, where they are so few that its lines are counted."""
    if isinstance(one.known, Held) and len(one.content) <= _LARGEST_COUNTED:
        return {one.known.object: one.content}
    return {}


def _delta(path: bytes, before: Known, after: Known) -> Delta:
    why = next((one.why for one in (before, after) if isinstance(one, LeftOut)), "")
    held = [one if isinstance(one, Held) else None for one in (before, after)]
    became: Became = "created" if before is None else "deleted" if after is None else "modified"
    return Delta(os.fsdecode(path), held[0], held[1], why=why, became=became if why else None)
