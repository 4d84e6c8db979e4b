"""Owns the processes of a workspace: starts commands, waits for them, and ends them with all that they started."""

import asyncio
import errno
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.errors import ToolFailure
from agent.workspace import kin
from agent.workspace.contract import WORKING, Background, Confinement, Ended
from agent.workspace.environment import for_commands, seal
from agent.workspace.guard import Guard
from agent.workspace.output import SHOWN, Fresh, Output, Spill, Telling
from agent.workspace.running import GRACE, Running

_BASH = (Path("/bin/bash"), Path("/usr/bin/bash"), Path("/usr/local/bin/bash"), Path("/opt/homebrew/bin/bash"))
_MOST_BACKGROUND = 32


class _Beside:
    """A background process with its fresh output and the task that sees to its end."""

    def __init__(self, name: str, running: Running, fresh: Fresh, settled: asyncio.Task[None]) -> None:
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

    def __init__(self, cwd: Path, environment: Mapping[str, str], spills: Path, shown: int = SHOWN, grace: float = GRACE) -> None:
        self._cwd = cwd
        self._environment = for_commands(environment)
        self._spills = spills
        self._shown = shown  # bytes of a command's output
        self._grace = grace
        self._mark = 1_000_000_000 + secrets.randbelow(8_000_000_000)
        self._guard = Guard(str(self._mark))
        self._bash: Path | None = None
        self._started = 0
        self._beside: dict[str, _Beside] = {}

    async def run(self, command: str, limit: float, told: Callable[[str], None], confined: Confinement = WORKING) -> Ended:
        """Run a command to its end, or for `limit` seconds. Cancelling ends it and all it started within 200 ms."""
        output, telling = Output(Spill(self._spills), self._shown), Telling(told)

        def take(chunk: bytes) -> None:
            output.add(chunk)
            telling.add(chunk)

        running = self._spawn(command, take)
        try:
            await asyncio.wait((running.exited,), timeout=limit)
            seconds = time.monotonic() - running.began
            timed_out = not running.exited.done()
            leftovers = 0 if timed_out else await running.settle()
            if timed_out:
                await running.end()
        except asyncio.CancelledError:
            await running.end()
            raise
        finally:
            exit_code = self._forget(running)
            telling.close()
            text = output.text()
        return Ended(exit_code, text, round(seconds, 3), timed_out, output.omitted, output.spilled, leftovers)

    async def start(self, command: str, confined: Confinement = WORKING) -> Background:
        """Start a command beside the turn."""
        if sum(beside.exit_code is None for beside in self._beside.values()) >= _MOST_BACKGROUND:
            raise ToolFailure(f"{_MOST_BACKGROUND} background processes are running; kill one first.")
        fresh = Fresh(Spill(self._spills), self._shown)
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
            await beside.running.end()
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

    def _spawn(self, command: str, take: Callable[[bytes], None]) -> Running:
        if self._bash is None:
            self._bash = next((path for path in _BASH if path.exists()), None)
            if self._bash is None:
                raise ToolFailure("bash is in none of its usual places; commands need it installed as /bin/bash.")
            kin.adopt()
            seal()
        self._guard.stand()
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
        return Running(command, program, began, number, reading, take, self._grace)

    async def _await(self, name: str) -> None:
        beside = self._beside[name]
        await asyncio.wait((beside.running.exited,))
        seconds = time.monotonic() - beside.running.began
        await beside.running.settle()
        beside.exit_code = self._forget(beside.running)
        beside.seconds = seconds
        beside.fresh.close()

    def _forget(self, running: Running) -> int:
        self._guard.remove(running.pid)
        return running.close()


def _why_not_started(error: OSError | ValueError, cwd: Path) -> str:
    if isinstance(error, OSError) and not cwd.is_dir():
        return f"The command was not started: {cwd} is no folder any more."
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        return "The command was not started: it is too long. Write it to a file and run that."
    return f"The command was not started: {error}."
