"""Owns a program that runs beside a session and is spoken with through its pipes; what it says waits until it is read."""

import asyncio
import os
from collections.abc import Callable

from agent.workspace.running import Running

_MOST_HELD = 64 << 10  # bytes that it has said and nobody has read; beyond twice that it waits
_MOST_WAITING = 32 << 20  # bytes that it was told and has not taken
_LAST_WORDS = 2000  # bytes of what it complained about last


class Companion:
    """One such program. It is started by the shell of a workspace, and ended with it."""

    def __init__(self, running: Running, complaints: bytearray, forget: Callable[["Companion"], None]) -> None:
        self.running = running
        self._complaints = complaints
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
        lines = bytes(self._complaints).decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

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
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        if self._telling is not None and not self._telling.is_closing():
            self._telling.abort()
        if self._hearing is not None:
            self._hearing.close()
        try:
            await self.running.end()
        finally:
            self._forget(self)


def complain(complaints: bytearray) -> Callable[[bytes], None]:
    """Return what takes the complaints of a program and keeps the last of them."""

    def take(chunk: bytes) -> None:
        complaints.extend(chunk)
        del complaints[:-_LAST_WORDS]

    return take
