"""Owns the processes of a workspace: starts commands, waits for them, and ends them with all that they started."""

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.errors import ToolFailure
from agent.workspace import kin
from agent.workspace.contract import Background, Ended
from agent.workspace.environment import for_commands
from agent.workspace.guard import Guard
from agent.workspace.output import Fresh, Output, Spill, Telling

_BASH = (Path("/bin/bash"), Path("/usr/bin/bash"), Path("/usr/local/bin/bash"), Path("/opt/homebrew/bin/bash"))
_CHUNK = 64 << 10
_LAST_WORDS = 0.25  # seconds that a pipe may stay open once its command has ended
_GRACE = 0.1  # seconds between asking to end and ending
_POLLS = 20
_UNTIL_GONE = 0.05  # seconds that the killed may take to be gone
_MOST_LAST_WORDS = 16  # chunks
_MOST_BACKGROUND = 32


class _Running:
    """One command that was started, with its pipe and the news of its end."""

    def __init__(
        self,
        command: str,
        program: subprocess.Popen[bytes],
        began: float,
        number: int,
        pipe: int,
        take: Callable[[bytes], None],
    ) -> None:
        self.command = command
        self.program = program
        self.number = number
        self.began = began
        self.forgotten = False  # its number may be another's by now
        self._pipe = pipe
        self._take = take
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = self._loop.create_future()
        self.silent: asyncio.Future[None] = self._loop.create_future()
        self._handle = -1
        os.set_blocking(pipe, False)
        self._loop.add_reader(pipe, self._read)
        self._watch()

    @property
    def exit_code(self) -> int:
        """The code of a command that has ended, 128 + signal when one ended it."""
        code = self.program.poll()
        if code is None:
            return 128 + signal.SIGKILL
        return code if code >= 0 else 128 - code

    def drain(self) -> None:
        """Take what is still in the pipe, and close it."""
        for _ in range(_MOST_LAST_WORDS):
            if self.silent.done():
                break
            self._read()
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        if self._handle >= 0:
            self._loop.remove_reader(self._handle)
            os.close(self._handle)

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
            _set(self.silent)

    def _watch(self) -> None:
        if sys.platform == "linux":
            try:
                self._handle = os.pidfd_open(self.program.pid)
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
        self.program.wait()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_set, self.exited)


class _Beside:
    """A background process with its fresh output and the task that sees to its end."""

    def __init__(self, name: str, running: _Running, fresh: Fresh, settled: asyncio.Task[None]) -> None:
        self.name = name
        self.running = running
        self.fresh = fresh
        self.settled = settled
        self.exit_code: int | None = None
        self.seconds = 0.0

    def told(self) -> Background:
        """Return what a front end may know of it."""
        ended = self.exit_code is not None
        seconds = self.seconds if ended else time.monotonic() - self.running.began
        return Background(self.name, self.running.command, not ended, self.exit_code, round(seconds, 3))


class Shell:
    """Runs commands in bash. Whatever they start ends with them, with `close`, or with us, however we end."""

    def __init__(self, cwd: Path, environment: Mapping[str, str], spills: Path) -> None:
        self._cwd = cwd
        self._environment = for_commands(environment)
        self._spills = spills
        self._mark = 1_000_000_000 + secrets.randbelow(8_000_000_000)
        self._guard = Guard(str(self._mark))
        self._bash: Path | None = None
        self._started = 0
        self._beside: dict[str, _Beside] = {}

    async def run(self, command: str, limit: float, told: Callable[[str], None]) -> Ended:
        """Run a command to its end, or for `limit` seconds. Cancelling ends it and all it started within 200 ms."""
        output, telling = Output(Spill(self._spills)), Telling(told)

        def take(chunk: bytes) -> None:
            output.add(chunk)
            telling.add(chunk)

        running = self._spawn(command, take)
        try:
            await asyncio.wait((running.exited,), timeout=limit)
            seconds = time.monotonic() - running.began
            timed_out = not running.exited.done()
            leftovers = 0 if timed_out else await self._settle(running)
            if timed_out:
                await self._end(running)
        except asyncio.CancelledError:
            await self._end(running)
            raise
        finally:
            exit_code = self._forget(running)
            telling.close()
            text = output.text()
        return Ended(exit_code, text, round(seconds, 3), timed_out, output.omitted, output.spilled, leftovers)

    async def start(self, command: str) -> Background:
        """Start a command beside the turn."""
        if sum(beside.exit_code is None for beside in self._beside.values()) >= _MOST_BACKGROUND:
            raise ToolFailure(f"{_MOST_BACKGROUND} background processes are running; kill one first.")
        fresh = Fresh(Spill(self._spills))
        running = self._spawn(command, fresh.add)
        name = f"bg{len(self._beside) + 1}"
        beside = _Beside(name, running, fresh, asyncio.create_task(self._await(name)))
        self._beside[name] = beside
        return beside.told()

    def background(self) -> list[Background]:
        """List what was started beside the turn."""
        return [beside.told() for beside in self._beside.values()]

    def output(self, process_id: str) -> str:
        """Return what a background process printed since the last look. Raises ToolFailure."""
        return self._named(process_id).fresh.take()

    async def kill(self, process_id: str) -> Background:
        """End a background process and all it started. Raises ToolFailure."""
        beside = self._named(process_id)
        if beside.exit_code is None:
            await self._end(beside.running)
            await asyncio.shield(beside.settled)
        return beside.told()

    async def close(self) -> None:
        """End every process, the guard last."""
        try:
            await asyncio.gather(*(self.kill(name) for name in self._beside))
        finally:
            self._guard.close()

    def _named(self, process_id: str) -> _Beside:
        try:
            return self._beside[process_id]
        except KeyError:
            known = ", ".join(self._beside) or "none was started"
            raise ToolFailure(f"There is no background process {process_id!r}; there is: {known}.") from None

    def _spawn(self, command: str, take: Callable[[bytes], None]) -> _Running:
        if self._bash is None:
            self._bash = next((path for path in _BASH if path.exists()), None)
            if self._bash is None:
                raise ToolFailure("bash is in none of its usual places; commands need it installed as /bin/bash.")
            kin.adopt()
        self._started += 1
        number = self._mark * 1_000_000 + self._started
        began = time.monotonic()
        reading, writing = os.pipe()
        try:
            with kin.marking(number):
                program = subprocess.Popen(
                    [self._bash, "--noprofile", "--norc", "-c", command],
                    stdin=subprocess.DEVNULL,
                    stdout=writing,
                    stderr=subprocess.STDOUT,
                    cwd=self._cwd,
                    env=self._environment,
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            os.close(reading)
            raise ToolFailure(_why_not_started(error, self._cwd)) from error
        finally:
            os.close(writing)
        self._guard.add(program.pid)
        return _Running(command, program, began, number, reading, take)

    async def _await(self, name: str) -> None:
        beside = self._beside[name]
        await asyncio.wait((beside.running.exited,))
        seconds = time.monotonic() - beside.running.began
        await self._settle(beside.running)
        beside.exit_code = self._forget(beside.running)
        beside.seconds = seconds
        beside.fresh.close()

    async def _settle(self, running: _Running) -> int:
        """Hear the last words of a command that has ended, end what it left, and return how many those were."""
        if not running.silent.done():
            await asyncio.wait((running.silent,), timeout=_LAST_WORDS)
        left = len(self._living(running))
        if left:
            await self._end(running)
        return left

    async def _end(self, running: _Running) -> None:
        try:
            self._signal(running, signal.SIGTERM)
            for _ in range(_POLLS):
                if not self._living(running):
                    break
                await asyncio.sleep(_GRACE / _POLLS)
        finally:
            self._kill(running)

    def _kill(self, running: _Running) -> None:
        """End all now. Does not give way, so that no second cancel comes between; they are gone within a millisecond or so."""
        for _ in range(_POLLS):
            self._signal(running, signal.SIGKILL)
            if not self._living(running):
                break
            time.sleep(_UNTIL_GONE / _POLLS)

    def _living(self, running: _Running) -> list[int]:
        if running.forgotten:
            return []
        if sys.platform == "linux":
            return kin.living(running.program.pid, running.number, frozenset({self._guard.pid}))
        else:  # noqa: RET505 - the type checker leaves out what is another system's
            try:
                os.killpg(running.program.pid, 0)
            except OSError:
                return []
            return [running.program.pid]

    def _signal(self, running: _Running, number: signal.Signals) -> None:
        if running.forgotten:
            return
        with contextlib.suppress(OSError):
            os.killpg(running.program.pid, number)
        for pid in self._living(running):
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def _forget(self, running: _Running) -> int:
        running.drain()
        self._guard.remove(running.program.pid)
        running.forgotten = True
        return running.exit_code


def _set(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)


def _why_not_started(error: OSError | ValueError, cwd: Path) -> str:
    if isinstance(error, OSError) and not cwd.is_dir():
        return f"The command was not started: {cwd} is no folder any more."
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        return "The command was not started: it is too long. Write it to a file and run that."
    return f"The command was not started: {error}."
