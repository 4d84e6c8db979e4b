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
        self._files: OrderedDict[Path, _File] = OrderedDict()
        self._waiting: OrderedDict[Path, tuple[Subject, Subject]] = OrderedDict()
        self._running: asyncio.Task[None] | None = None
        self._changes = 0  # that were looked at

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
            path, (before, after) = self._waiting.popitem(last=False)
            self._take_as_known()
            file = self._files.get(path)
            if file is None or file.subject is None or file.subject.text != before.text:
                was = await self.finder.find(before)
                if was is None:
                    continue
                file = self._files[path] = _File(keys(was), was, before)
            self._files.move_to_end(path)
            await self._find(file, after)
            self.finder.noticed([path])
            self._changes += 1
            await self._look_beside(path)
            while len(self._files) > _MOST_FILES:
                self._files.popitem(last=False)
        self.late = False

    async def _find(self, file: _File, subject: Subject) -> None:
        found = await self.finder.find(subject)
        if found is not None:
            file.found, file.subject = found, subject
            file.known &= keys(found)  # what is gone is news when it comes back

    async def _look_beside(self, path: Path) -> None:
        """Look again at the other files that were changed: a change of one can break another."""
        if not self.finder.joined:
            return
        for other in [other for other in self._files if other != path][-_MOST_BESIDE:]:
            file = self._files[other]
            if file.subject is not None and not self._waiting:
                await self._find(file, file.subject)

    def _take_as_known(self) -> None:
        """What the program says by itself before a change is not that change's doing; of files that it was asked of, what it says
        at its start is not."""
        for path, found in self.finder.elsewhere().items():
            file = self._files.setdefault(path, _File(Counter()))
            if file.subject is None:
                file.found, file.known = found, keys(found)
            elif self._changes <= 1:
                file.known += keys(fresh(keys(file.found), found))
                file.found = found

    def _hear_elsewhere(self) -> None:
        """Take in what the program says by itself; of the first change it cannot be told from what it finds at its start."""
        if self._changes > 1:
            for path, found in self.finder.elsewhere().items():
                file = self._files.setdefault(path, _File(Counter()))
                file.found = found
                file.known &= keys(found)
