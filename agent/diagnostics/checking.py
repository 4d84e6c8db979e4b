"""Owns what one program found in the files of a session: before each change and after it, and which of that is new."""

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path

from agent.diagnostics.contract import Finder, Subject
from agent.diagnostics.problem import Key, Problem, fresh, keys

_MOST_FILES = 200  # of which is kept what was found
_MOST_WAITING = 50  # files that wait to be looked at
_MOST_BESIDE = 4  # other files that are looked at again


@dataclass(slots=True)
class _File:
    """What was found in a file last, and what of it is not news: it was there before, or is told."""

    known: Counter[Key]
    found: tuple[Problem, ...] = ()
    subject: Subject | None = None


class Checking:
    """Asks one program, in order and beside all else."""

    def __init__(self, finder: Finder) -> None:
        self.finder = finder
        self.late = False  # it was waited for in vain, and still owes an answer
        self.mute = False  # it said nothing of the last change, so that there seems to be nothing to be said
        self._files: OrderedDict[Path, _File] = OrderedDict()
        self._waiting: OrderedDict[Path, tuple[Subject, Subject]] = OrderedDict()
        self._running: asyncio.Task[None] | None = None
        self._changes = 0  # that were looked at

    def take_left(self) -> list[tuple[Subject, Subject]]:
        """Return the changes that a program which was given up did not look at, before and after; they are another's now."""
        left, self._waiting = list(self._waiting.values()), OrderedDict()
        return left

    @property
    def busy(self) -> asyncio.Task[None] | None:
        """What looks at files now, None where nothing does."""
        return self._running if self._running is not None and not self._running.done() else None

    def change(self, before: Subject, after: Subject) -> None:
        """Look at what a change made of a file."""
        earlier = self._waiting.pop(after.path, None)
        self._waiting[after.path] = (earlier[0] if earlier is not None else before, after)
        while len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)
        self.start()

    def start(self) -> None:
        """Have the program ready, and look at what waits."""
        if self.busy is None:
            self._running = asyncio.create_task(self._look())

    def news(self) -> dict[Path, tuple[Problem, ...]]:
        """Return what is new and was not told; from now on it counts as told."""
        if self.busy is None:
            self._hear_elsewhere()
        told: dict[Path, tuple[Problem, ...]] = {}
        for path, file in self._files.items():
            if new := fresh(file.known, file.found):
                told[path] = tuple(new)
                file.known = keys(file.found)
        return told

    async def end(self) -> None:
        """Look no more, and end the program."""
        if (running := self.busy) is not None:
            running.cancel()
            await asyncio.wait({running})
        await self.finder.end()

    async def _look(self) -> None:
        await self.finder.warm()
        while self._waiting and not self.finder.fault:
            _, (before, after) = self._waiting.popitem(last=False)
            if not await self._look_at(before, after):
                self._leave(before, after)
        self.late = False

    def _leave(self, before: Subject, after: Subject) -> None:
        """Leave a change to another, where the program was given up over it."""
        if self.finder.fault:
            newer = self._waiting.get(after.path)
            self._waiting[after.path] = (before, after if newer is None else newer[1])

    async def _look_at(self, before: Subject, after: Subject) -> bool:
        """Look at a file before and after a change; tell whether the program said something of both."""
        path = after.path
        self._take_as_known()
        file = self._files.get(path)
        if file is None or file.subject is None or file.subject.text != before.text:
            was = await self.finder.find(before)
            if was is None:
                return False
            file = self._files[path] = _File(keys(was), was, before)
        self._files.move_to_end(path)
        if not await self._find(file, after):
            return False
        self.mute = self.finder.mute
        self.finder.noticed([path])
        self._changes += 1
        await self._look_beside(path)
        while len(self._files) > _MOST_FILES:
            self._files.popitem(last=False)
        return True

    async def _find(self, file: _File, subject: Subject) -> bool:
        """Look at a text; tell whether the program said something of it."""
        found = await self.finder.find(subject)
        if found is None:
            return False
        file.found, file.subject = found, subject
        file.known &= keys(found)  # what is gone is news when it comes back
        return True

    async def _look_beside(self, path: Path) -> None:
        """Look again at the other files that were changed: a change of one can break another."""
        if not self.finder.joined:
            return
        for other in [other for other in self._files if other != path][-_MOST_BESIDE:]:
            file = self._files[other]
            if file.subject is not None and not self._waiting:
                await self._find(file, file.subject)

    def _take_as_known(self) -> None:
        """What the program says of other files before a change is not that change's doing."""
        for path, found in self.finder.elsewhere().items():
            file = self._files.setdefault(path, _File(Counter()))
            if file.subject is None:
                file.found, file.known = found, keys(found)

    def _hear_elsewhere(self) -> None:
        """Take in what the program says by itself; of other files, the first change's doing cannot be told from its start's."""
        for path, found in self.finder.elsewhere().items():
            file = self._files.get(path)
            if file is None and self._changes > 1:
                file = self._files[path] = _File(Counter())
            if file is not None and (file.subject is not None or self._changes > 1):
                file.found = found
                file.known &= keys(found)
