"""Owns a program that runs beside a session and is spoken with through its pipes; what it says waits until it is read."""

import asyncio
import os
from collections.abc import Callable

from agent.workspace.running import Running

_MOST_HELD = 64 << 10  # bytes that it has said and nobody has read; beyond twice that it waits
_MOST_WAITING = 32 << 20  # bytes that it was told and has not taken
_LAST_WORDS = 2000  # bytes of what it complained about last
_MOST_COMPLAINTS = 64 << 20  # bytes, for as long as it runs


class Complaints:
    """What a program complains of, the last of it. `too_much` is called once it is more than anybody should take."""

    def __init__(self) -> None:
        self.too_much: Callable[[], object] | None = None
        self._last = bytearray()
        self._count = 0

    def take(self, chunk: bytes) -> None:
        """Hear more."""
        self._last += chunk
        del self._last[:-_LAST_WORDS]
        self._count += len(chunk)
        if self._count > _MOST_COMPLAINTS and self.too_much is not None:
            self.too_much()

    @property
    def last(self) -> str:
        """The last line."""
        lines = bytes(self._last).decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Companion:
    """One such program. It is started by the shell of a workspace, and ended with it."""

    def __init__(self, running: Running, complaints: Complaints, forget: Callable[["Companion"], None]) -> None:
        self.running = running
        self._complaints = complaints
        complaints.too_much = self._begin_to_end
        self._forget = forget
        self.said = asyncio.StreamReader(_MOST_HELD)
        self._hearing: asyncio.ReadTransport | None = None
        self._telling: asyncio.WriteTransport | None = None
        self._ending: asyncio.Task[None] | None = None

    async def connect(self, telling: int, hearing: int) -> None:
        """Take our ends of its pipes."""
        loop = asyncio.get_running_loop()
        opened = os.fdopen(hearing, "rb", buffering=0)
        self._hearing, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(self.said), opened)
        self._telling, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(telling, "wb", buffering=0))

    @property
    def ended(self) -> bool:
        """Whether it has ended, by itself or by us."""
        return self._ending is not None or self.running.exited.done()

    @property
    def last_words(self) -> str:
        """The last line that it complained with."""
        return self._complaints.last

    def tell(self, raw: bytes) -> None:
        """Tell it something. Raises BrokenPipeError where it listens no longer."""
        telling = self._telling
        if telling is None or telling.is_closing() or telling.get_write_buffer_size() + len(raw) > _MOST_WAITING:
            raise BrokenPipeError
        telling.write(raw)

    def finish(self) -> None:
        """Tell it no more."""
        if self._telling is not None and not self._telling.is_closing():
            self._telling.write_eof()

    async def end(self) -> None:
        """End it with all that it started."""
        await asyncio.shield(self._begin_to_end())

    def _begin_to_end(self) -> asyncio.Task[None]:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        return self._ending

    async def _end(self) -> None:
        if self._telling is not None and not self._telling.is_closing():
            self._telling.abort()
        if self._hearing is not None:
            self._hearing.close()
        try:
            await self.running.end()
        finally:
            self._forget(self)
