"""Owns having an index built beside a session: by which program, how often, and what it has not looked at yet."""

import asyncio
import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from agent.code.grammars import language
from agent.code.program import command
from agent.code.task import Task

_MOST_NOTED = 2000


class Building:
    """The building of one index. Nothing is built before `start` or `again`; `damaged` says that it is to be built anew."""

    def __init__(self, root: Path, index: Path, hidden: Sequence[Path], nice: int) -> None:
        self._root = root
        self._index = index
        self._hidden = tuple(str(one.resolve()) for one in hidden)
        self._nice = nice
        self._noted: set[str] = set()
        self._looked_at: set[str] = set()  # what was noted before the build that is under way
        self._task: asyncio.Task[None] | None = None
        self._closed = self._more = False
        self.owed = False  # whether the person may have changed anything that no build has looked at
        self.damaged = False

    def start(self) -> None:
        """Have it built, or made right again: after what is under way already, which may have looked too early."""
        self.owed = self._more = True
        self.again()

    def again(self) -> None:
        """Have it built where nothing is under way."""
        if not self._closed and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._build_all())

    def note(self, paths: Iterable[str]) -> None:
        """Hear of files that have changed, as paths below the root."""
        for path in paths:
            if language(path) and len(self._noted) < _MOST_NOTED:
                self._noted.add(path)

    def unseen(self) -> set[str]:
        """Return the files that were heard of, and that no build has looked at since."""
        return self._noted | self._looked_at

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until nothing more is under way, or as long as that."""
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=seconds)

    async def close(self) -> None:
        """Stop what is under way; what is built so far stays."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _build_all(self) -> None:
        while True:
            self._more = False
            await self._build()
            if not self._more:
                self.owed = False
                return

    async def _build(self) -> None:
        """Run the builder to its end; a session that ends takes it along."""
        self._looked_at, self._noted = self._looked_at | self._noted, set()
        folder = self._index.parent
        try:
            # A parent that mkdir makes by the way is as open as the umask says.
            for one in (folder.parent, folder):
                one.mkdir(parents=True, exist_ok=True, mode=0o700)
            task = Task(str(self._root), self._index, self._hidden, self.damaged, self._nice)
            program = await asyncio.create_subprocess_exec(
                *command("agent.code.builder"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        except OSError:
            return
        self.damaged = False
        try:
            with suppress(OSError):
                if program.stdin is not None:
                    program.stdin.write(task.line())
                    await program.stdin.drain()
            if await program.wait() == 0:
                self._looked_at = set()
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(program.pid, signal.SIGKILL)
            await program.wait()
            if program.stdin is not None:
                program.stdin.close()
