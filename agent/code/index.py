"""Owns the index of names of a work tree: having it built beside the session, and answering from it what is still so."""

import asyncio
import hashlib
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.code.building import Building
from agent.code.lookup import MOST_FILES, Answer, Asked, Place, Read, answered, look_up, look_up_exactly, rank, read_all, unparsed
from agent.code.map import Map, Wish, draw
from agent.code.names import called, near, parts
from agent.code.parsing import Parsing
from agent.code.shape import Shape
from agent.code.store import Holding, Progress, Store, mark_of
from agent.errors import ToolFailure
from agent.workspace.contract import Located, View, Workspace
from agent.workspace.contract import Place as Lies
from agent.workspace.walk import Walk

_PATIENCE = 0.5  # seconds that an answer waits for changes to be looked at
_HASTE = 0.5  # seconds that a map may take: the first request waits for it
_MOST_ANEW = 12  # files that are parsed for a map, for they have changed since they were looked into
_LATE = "the index of names is still being made right: what changed since the last turn may be missing"
_MANY = f"more than {MOST_FILES} files have the name; as many were looked into: narrow it with path"
_MOST_HELD = 1000  # files with a name out of which those are chosen that are looked into
_MOST_REFUSED = 20  # that are searched for one answer, each by a program
_LEAST = 3  # letters of a name that is looked for by its likes


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the index says, and what it cannot say: the files that changed since."""

    reads: tuple[Read, ...] = ()
    stale: tuple[str, ...] = ()
    refused: tuple[Located, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Sorted:
    reads: list[Read] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    uses: int = 0


class Index:
    """The index of one work tree, in a folder below `folder`. Nothing is built before `start`.

    `nice` is by how much the builder gives way to other programs; `haste` how many seconds a map may take.
    """

    def __init__(self, folder: Path, root: Path, hidden: Sequence[Path] = (), nice: int = 19, haste: float = _HASTE) -> None:
        self._root = root.resolve()
        self.path = folder / hashlib.sha256(os.fsencode(self._root)).hexdigest()[:32] / "names.db"
        self._haste = haste
        self._building = Building(self._root, self.path, hidden, nice)
        self._parsing = Parsing()  # what changes once will change again: it stays ready
        self._alone = asyncio.Lock()  # it parses one text after the other

    def start(self) -> None:
        """Have it built, or made right again, beside us. What is asked meanwhile waits for it a little."""
        self._building.start()

    def note(self, paths: Iterable[str]) -> None:
        """Hear of files that have changed, as paths below the root."""
        self._building.note(paths)

    async def built(self) -> None:
        """Wait until nothing more is under way."""
        await self._building.wait()

    async def close(self) -> None:
        """Stop what is under way; what is built so far stays."""
        await self._building.close()
        await self._parsing.end()

    def progress(self) -> Progress | None:
        """Return how far it is, None where there is none that can be read."""
        try:
            with Store.reading(self.path) as store:
                return store.progress()
        except sqlite3.OperationalError:
            return None
        except sqlite3.Error:
            self._building.damaged = True
            return None

    async def draw(self, workspace: Workspace, prompt: str, room: int, count: Callable[[str], int], view: View) -> Map:
        """Draw the map of what may be shown for a prompt, as large as `count` says that `room` is.

        It is an empty one where there is no index yet, or where that takes too long.
        """
        wish = Wish(prompt, room, count, time.monotonic() + self._haste)
        asked = Asked("", workspace.locate("."), view)

        locate = workspace.locating()

        def shown(path: str) -> str:
            located = self._shown(locate, asked, path)
            return "" if located is None or located.secret else located.shown

        drawn = Map()
        try:
            async with asyncio.timeout(self._haste):
                drawn = await asyncio.to_thread(draw, self.path, self._root, wish, shown)
                # What the person works on is what they are likely to ask about.
                if changed := [one.path for one in drawn.files if one.changed][:_MOST_ANEW]:
                    reads, _ = await self._read(workspace, changed, ())
                    anew = {one.path: one.shape.definitions for one in reads if not one.shape.refused}
                    drawn = await asyncio.to_thread(draw, self.path, self._root, replace(wish, anew=anew), shown)
        except (sqlite3.Error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, TimeoutError):
            pass  # what is damaged may be read, and make no sense
        return drawn

    async def find(self, workspace: Workspace, asked: Asked) -> Answer:
        """Answer from the index and from the files that changed since; until it is whole, from the files alone.

        Raises ToolFailure.
        """
        if self._building.owed:
            await self._building.wait(_PATIENCE)
        late = self._building.owed
        progress = await asyncio.to_thread(self.progress)
        if progress is None or not progress.complete:
            self._building.again()
            return _unfinished(await look_up(workspace, asked), progress)
        try:
            answer = await self._found(workspace, asked)
            if answer is not None:
                return replace(answer, notes=(*answer.notes, *([_LATE] if late else [])))
            return await look_up(workspace, asked)
        except (sqlite3.Error, ValueError, TypeError) as error:  # what is damaged may be read, and make no sense
            self._building.damaged |= not isinstance(error, sqlite3.OperationalError)
            self._building.again()
            return await look_up(workspace, asked)

    async def _found(self, workspace: Workspace, asked: Asked) -> Answer | None:
        """Return the answer, None where the index cannot give it. Raises ToolFailure, sqlite3.Error."""
        wanted = parts(asked.name)[-1]
        below = self._below(asked.where.real)
        if below is None:
            return None
        kept = await asyncio.to_thread(self._kept, workspace, asked, below, (wanted,), lines=True)
        if kept is None:
            return None
        reads, notes = [*kept.reads], [*kept.notes]
        if kept.stale:
            self._building.again()
            changed, late = await self._read(workspace, kept.stale, (wanted,))
            reads += changed
            notes += late
        answer = answered(asked.name, reads)
        if answer.definitions or answer.uses:
            return replace(answer, notes=(*answer.notes, *notes, *await _unparsed(workspace, asked, kept.refused, wanted)))
        if len(wanted) < _LEAST:
            return None
        # Nobody need have told of a file that came to be a moment ago, and "nowhere" is to be true.
        now = await look_up_exactly(workspace, asked)
        if now.definitions or now.uses:
            self._building.again()
            return now
        like = await self._like(workspace, asked, below, wanted, [one for one in reads if one.shape.definitions])
        return Answer(near=like, notes=now.notes)

    async def _like(
        self, workspace: Workspace, asked: Asked, below: str, wanted: str, changed: Sequence[Read]
    ) -> tuple[Place, ...]:
        names = await asyncio.to_thread(self._alike, wanted)
        names += [parts(one.name)[-1] for read in changed for one in read.shape.definitions]
        best = near(wanted, names)
        kept = await asyncio.to_thread(self._kept, workspace, asked, below, best, lines=False)
        if kept is None:
            return ()
        now, _ = await self._read(workspace, kept.stale, ())
        order = {name: number for number, name in enumerate(best)}
        reads = {one.path: one for one in (*kept.reads, *changed, *now)}
        places = [Place(one.path, whole, d) for one in reads.values() for whole, d in called(one.shape.definitions)]
        places = [place for place in places if parts(place.definition.name)[-1] in order]
        places.sort(key=lambda place: (order[parts(place.definition.name)[-1]], rank(place.path), place.path))
        return tuple(places[: len(best)])

    async def _read(self, workspace: Workspace, paths: Sequence[str], wanted: Sequence[str]) -> tuple[list[Read], list[str]]:
        if not paths:
            return [], []
        async with self._alone:
            return await read_all(workspace, paths, wanted, self._parsing)

    def _alike(self, wanted: str) -> list[str]:
        with Store.reading(self.path) as store:
            return store.alike(wanted)

    def _below(self, real: Path) -> str | None:
        """Return a path below the root, nothing for the root itself; None where it is elsewhere."""
        if real == self._root:
            return ""
        return os.path.relpath(real, self._root) if real.is_relative_to(self._root) else None

    def _kept(self, workspace: Workspace, asked: Asked, below: str, names: Sequence[str], *, lines: bool) -> _Kept | None:
        """Return what the index holds of names, with the lines of their uses or with the definitions alone.

        None where it holds nothing of the place that is asked for: what is ignored may be asked for by its name.
        """
        sorted_ = _Sorted()
        seen: set[str] = set()
        notes: tuple[str, ...] = ()
        with Store.reading(self.path) as store:
            if below and not store.holds_below(below):
                return None
            every = [one for name in names for one in store.holding(name, -1 if below else _MOST_HELD)]
            holdings = [one for one in every if (lines or one.defined) and _within(one.path, below)]
            if len(holdings) == _MOST_HELD:
                notes = (_MANY,)  # whatever may be shown of these, there are others
            holdings.sort(key=lambda one: (not one.defined, rank(one.path), one.path))
            locate = workspace.locating()
            for one in holdings:
                if one.path in seen or not (located := self._shown(locate, asked, one.path)):
                    continue
                if len(seen) == MOST_FILES:
                    notes = (_MANY,)
                    break
                seen.add(one.path)
                self._sort(workspace, store, one, located, names[0] if lines else "", asked.most, sorted_)
            for path in self._changed(store, seen):
                if _within(path, below) and (located := self._shown(locate, asked, path)):
                    sorted_.stale.append(os.path.relpath(located.real, workspace.cwd))
            refused = store.refused() if lines else []
        unparsed = (self._shown(locate, asked, path) for path in refused if _within(path, below))
        return _Kept(tuple(sorted_.reads), tuple(sorted_.stale[:MOST_FILES]), tuple(filter(None, unparsed)), notes)

    def _sort(
        self, workspace: Workspace, store: Store, one: Holding, located: Located, wanted: str, most: int, into: _Sorted
    ) -> None:
        path = os.path.relpath(located.real, workspace.cwd)
        try:
            status = os.lstat(located.real)
        except OSError:
            return  # it is gone
        if mark_of(status) != one.mark:
            into.stale.append(path)
            return
        text: list[str] = []
        told = into.uses < most
        if wanted and one.lines and told:
            try:
                text = workspace.read(located).text.replace("\r\n", "\n").split("\n")
            except ToolFailure:
                into.stale.append(path)
                return
        uses = {wanted: list(one.lines)} if one.lines else {}
        into.uses += len(one.lines)
        into.reads.append(Read(path, text, Shape(store.definitions(one.file) if told or one.defined else (), uses)))

    def _changed(self, store: Store, seen: set[str]) -> Iterator[str]:
        """Yield files that were heard of, and that the index does not hold as they are."""
        walk = Walk(self._root)
        for path in sorted(self._building.unseen() - seen):
            try:
                status = os.lstat(self._root / path)
            except OSError:
                continue
            held = store.mark(path)
            if mark_of(status) != held and (held is not None or not walk.ignores(path)):
                yield path

    def _shown(self, locate: Callable[[str], Located], asked: Asked, path: str) -> Located | None:
        """Return where a file is, None where it may not be shown, or lies beyond a link."""
        absolute = f"{str(self._root).rstrip('/')}/{path}"
        located = locate(absolute)
        inside = located.place in {Lies.INSIDE, Lies.PROTECTED} and str(located.real) == absolute
        return located if inside and asked.view.shows(located) else None


def _within(path: str, below: str) -> bool:
    return not below or path == below or path.startswith(f"{below}/")


async def _unparsed(workspace: Workspace, asked: Asked, refused: Sequence[Located], wanted: str) -> list[str]:
    """Say which files may have the name too, but could not be parsed."""
    if not refused:
        return []
    if len(refused) > _MOST_REFUSED:
        return [f"{len(refused)} files could not be parsed and may have the name; search shows their lines"]
    found = await workspace.search(
        rf"(?:\b|^){re.escape(wanted)}(?:\b|$)",
        paths=refused,
        glob="",
        context=0,
        ignore_case=False,
        limit=0,
        view=asked.view,
    )
    return unparsed(len(found.counts))


def _unfinished(answer: Answer, progress: Progress | None) -> Answer:
    """Say of an answer without the index, where it is not all that there is, how far the index has come."""
    if not answer.notes and (answer.definitions or answer.uses):
        return answer
    held = 0 if progress is None or not progress.listed else 100 * min(progress.held, progress.listed) // progress.listed
    note = f"the index of names holds {held} % of the files yet: there may be more; ask again later"
    return replace(answer, notes=(*answer.notes, note))
