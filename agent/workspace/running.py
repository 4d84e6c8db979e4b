"""Owns one command that was started: its pipe, the news of its end, and ending it with all that it started."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.workspace import kin
from agent.workspace.limits import Allowance, Meter

_CHUNK = 64 << 10
_LAST_WORDS = 0.25  # seconds that a pipe may stay open once its command has ended
_MOST_LAST_WORDS = 16  # chunks
GRACE = 0.1  # seconds between asking to end and ending
_SHORTEST = 0.001
_UNTIL_GONE = 0.05  # seconds that the killed may take to be gone


class Running:
    """One command that was started, with its pipe and the news of its end."""

    def __init__(
        self,
        command: str,
        program: subprocess.Popen[bytes],
        began: float,
        number: int,
        pipe: int,
        take: Callable[[bytes], None],
        grace: float,
        *,
        contained: bool = False,
        meter: tuple[Allowance, Sequence[Path]] | None = None,
    ) -> None:
        self.command = command
        self.pid = program.pid
        self._program = program
        self._kin = kin.Kin(program.pid, number)
        self.began = began
        self._closed = False  # its number may be another's by now
        self._pipe = pipe
        self._take = take
        self._grace = grace
        self._contained = contained  # the system itself ends what it leaves
        self.exceeded = ""  # what of its allowance it had used up when it was ended for that
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = self._loop.create_future()
        self._silent: asyncio.Future[None] = self._loop.create_future()
        self._handle = -1
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._read)
        self._watch()
        self._meter = Meter(meter[0], self._living, meter[1]) if meter is not None else None
        self._looking = self._loop.call_later(self._meter.pause, self._measure) if self._meter is not None else None

    async def settle(self) -> int:
        """Hear the last words of a command that has ended, end what it left, and return how many those were."""
        if not self._silent.done():
            await asyncio.wait((self._silent,), timeout=_LAST_WORDS)
        for _ in range(round(_UNTIL_GONE / _SHORTEST)):
            if not (self._contained and self._living()):
                break
            await asyncio.sleep(_SHORTEST)
        left = len(self._living())
        if left:
            await self.end()
        return left

    async def end(self) -> None:
        """Ask all to end, and end what does not."""
        pause, until = _SHORTEST, time.monotonic() + self._grace
        try:
            self._signal(signal.SIGTERM)
            while pause:
                await asyncio.sleep(pause)
                left = until - time.monotonic()
                pause = min(pause * 2, left) if left > 0 and self._living() else 0
        finally:
            self._kill()

    def close(self) -> int:
        """Take what is still in the pipe, give all back, and return the exit code: 128 + signal when one ended it."""
        for _ in range(_MOST_LAST_WORDS):
            if self._silent.done():
                break
            self._read()
        if self._looking is not None:
            self._looking.cancel()
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        if self._handle >= 0:
            self._loop.remove_reader(self._handle)
            os.close(self._handle)
        self._closed = True
        code = self._program.poll()
        if code is None:
            return 128 + signal.SIGKILL
        return code if code >= 0 else 128 - code

    def _measure(self) -> None:
        """End it where it takes more than its share of the machine; else look again."""
        if self._closed or self._meter is None or self.exited.done():
            return
        self.exceeded = self._meter.exceeded()
        if self.exceeded:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)  # at once, before more are made: to list them takes longer
            self._kill()
        else:
            self._looking = self._loop.call_later(self._meter.pause, self._measure)

    def _living(self, most: int = sys.maxsize) -> list[int]:
        """Return the processes that still run of it."""
        if self._closed:
            return []
        if sys.platform == "linux":
            return self._kin.living(most)
        else:  # noqa: RET505 - the type checker leaves out what is another system's
            try:
                os.killpg(self.pid, 0)
            except OSError:
                return []
            return [self.pid]

    def _signal(self, number: signal.Signals) -> bool:
        """Send a signal to all that still run; say whether any do."""
        if self._closed:
            return False
        with contextlib.suppress(OSError):
            os.killpg(self.pid, number)
        living = self._living()
        for pid in living:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        return bool(living)

    def _kill(self) -> None:
        """End all now. Does not give way, so that no second cancel comes between; they are gone within a millisecond or so."""
        until = time.monotonic() + _UNTIL_GONE
        while self._signal(signal.SIGKILL) and time.monotonic() < until:
            time.sleep(_SHORTEST)

    def _read(self) -> None:
        try:
            chunk = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if chunk:
            self._take(chunk)
        else:
            self._loop.remove_reader(self._pipe)
            _set(self._silent)

    def _watch(self) -> None:
        if sys.platform == "linux":
            try:
                self._handle = os.pidfd_open(self.pid)
            except OSError:
                pass
            else:
                self._loop.add_reader(self._handle, self._noticed)
                return
        threading.Thread(target=self._wait, daemon=True).start()

    def _noticed(self) -> None:
        # Not reaped yet: as long as it is not, its number names its group and nothing else.
        self._loop.remove_reader(self._handle)
        _set(self.exited)

    def _wait(self) -> None:
        self._program.wait()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_set, self.exited)


def _set(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)
