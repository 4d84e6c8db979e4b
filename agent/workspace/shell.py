"""Owns the processes of a workspace: starts commands, waits for them, and ends them with all that they started."""

import asyncio
import errno
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import ToolFailure
from agent.workspace import kin
from agent.workspace.companion import Companion, Complaints
from agent.workspace.contract import UNCONFINED, WORKING, Background, Confinement, Ended
from agent.workspace.environment import for_commands, seal
from agent.workspace.guard import Guard
from agent.workspace.limits import SELDOM, Allowance, leave_no_core
from agent.workspace.output import SHOWN, Fresh, Output, Spill, Telling
from agent.workspace.running import GRACE, Running
from agent.workspace.sandbox.contract import Launch, Sandbox, Way
from agent.workspace.sandbox.denial import stopped

if TYPE_CHECKING:
    from agent.workspace.network import Network

_BASH = (Path("/bin/bash"), Path("/usr/bin/bash"), Path("/usr/local/bin/bash"), Path("/opt/homebrew/bin/bash"))
_MOST_BACKGROUND = 32
_GO_THERE = 'cd -- "$0" && exec "$@"'  # a program begins in a folder that the sandbox does not know of


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

    def __init__(
        self,
        cwd: Path,
        environment: Mapping[str, str],
        spills: Path,
        shown: int = SHOWN,
        grace: float = GRACE,
        sandbox: Sandbox | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self._cwd = cwd
        self._environment = for_commands(environment)
        self._outside = environment  # that a way to the network is found with
        self._sandbox = sandbox
        self._allowance = allowance or Allowance()
        self._network: Network | None = None
        self._spills = spills
        self._shown = shown  # bytes of a command's output
        self._grace = grace
        self._mark = 1_000_000_000 + secrets.randbelow(8_000_000_000)
        self._guard = Guard(str(self._mark))
        self._bash: Path | None = None
        self._started = 0
        self._beside: dict[str, _Beside] = {}
        self._companions: set[Companion] = set()

    async def run(self, command: str, limit: float, told: Callable[[str], None], confined: Confinement = WORKING) -> Ended:
        """Run a command to its end, or for `limit` seconds. Cancelling ends it and all it started within 200 ms."""
        output, telling = Output(Spill(self._spills), self._shown), Telling(told)

        def take(chunk: bytes) -> None:
            output.add(chunk)
            telling.add(chunk)

        confined = confined if self._sandbox is not None else UNCONFINED
        way = await self._way(confined)
        running, check = self._spawn(command, take, confined, way)
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
            planted = check()
        folded, partly = _folded(command, output)
        refused = self._network.refused(way) if self._network is not None and way is not None else ()
        return Ended(
            exit_code,
            text,
            round(seconds, 3),
            timed_out,
            output.omitted,
            output.spilled,
            leftovers,
            stopped(exit_code, text, confined, refused, self._sandbox.name) if self._sandbox and confined.held else "",
            planted,
            running.exceeded,
            folded,
            partly,
        )

    async def start(self, command: str, confined: Confinement = WORKING) -> Background:
        """Start a command beside the turn."""
        if sum(beside.exit_code is None for beside in self._beside.values()) >= _MOST_BACKGROUND:
            raise ToolFailure(f"{_MOST_BACKGROUND} background processes are running; kill one first.")
        fresh = Fresh(Spill(self._spills), self._shown)
        confined = confined if self._sandbox is not None else UNCONFINED
        running, check = self._spawn(command, fresh.add, confined, await self._way(confined))
        name = f"bg{len(self._beside) + 1}"
        beside = _Beside(name, running, fresh, asyncio.create_task(self._await(name, check)))
        self._beside[name] = beside
        return beside.told()

    async def accompany(self, argv: Sequence[str], folder: Path, confined: Confinement, unseen: Sequence[Path] = ()) -> Companion:
        """Start a program that is spoken with through its pipes; where a sandbox holds, it cannot read what is `unseen`.

        Raises ToolFailure where it cannot be started.
        """
        confined = confined if self._sandbox is not None else UNCONFINED
        bash, complaints = str(self._found_bash()), Complaints()
        theirs, ours = os.pipe(), os.pipe()
        words = [bash, "--noprofile", "--norc", "-c", _GO_THERE, str(folder), *argv]
        try:
            running, _ = self._begin(argv[0], words, complaints.take, confined, None, (theirs[0], ours[1]), unseen)
        except BaseException:
            os.close(theirs[1])
            os.close(ours[0])
            raise
        finally:
            os.close(theirs[0])
            os.close(ours[1])
        companion = Companion(running, complaints, self._dismiss)
        self._companions.add(companion)
        await companion.connect(theirs[1], ours[0])
        return companion

    def _dismiss(self, companion: Companion) -> None:
        self._companions.discard(companion)
        self._forget(companion.running)

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
            ending = [companion.end() for companion in self._companions]
            await asyncio.gather(*ending, *(self.kill(name) for name in self._beside))
        finally:
            if self._network is not None:
                await self._network.close()
            self._guard.close()

    async def _way(self, confined: Confinement) -> Way | None:
        """Return how a command reaches the hosts that it may reach, None where that needs nothing of ours."""
        if not confined.held or not confined.hosts or "*" in confined.hosts:
            return None
        if self._network is None:
            from agent.workspace.network import Network  # for those who need it

            self._network = Network(self._spills / "network", self._outside)
        return await self._network.way(confined.hosts)

    def _named(self, process_id: str) -> _Beside:
        try:
            return self._beside[process_id]
        except KeyError:
            known = ", ".join(self._beside) or "none was started"
            raise ToolFailure(f"There is no background process {process_id!r}; there is: {known}.") from None

    def _spawn(
        self, command: str, take: Callable[[bytes], None], confined: Confinement, way: Way | None
    ) -> tuple[Running, Callable[[], str]]:
        """Start a command; return it, and what says once it has ended what it left that it should not have."""
        return self._begin(command, [str(self._found_bash()), "--noprofile", "--norc", "-c", command], take, confined, way)

    def _found_bash(self) -> Path:
        if self._bash is None:
            self._bash = next((path for path in _BASH if path.exists()), None)
            if self._bash is None:
                raise ToolFailure("bash is in none of its usual places; commands need it installed as /bin/bash.")
            kin.adopt()
            leave_no_core()
            seal()
        return self._bash

    def _begin(
        self,
        command: str,
        argv: Sequence[str],
        take: Callable[[bytes], None],
        confined: Confinement,
        way: Way | None,
        pipes: tuple[int, int] | None = None,
        unseen: Sequence[Path] = (),
    ) -> tuple[Running, Callable[[], str]]:
        """Start a program; `pipes` are what it reads and where it writes, where that is not for `take` with its complaints."""
        self._guard.stand()
        self._started += 1
        number = self._mark * 1_000_000 + self._started
        launch = self._launch(argv, confined, way, unseen)
        began = time.monotonic()
        reading, writing = os.pipe()
        try:
            with kin.marking(number):
                program = subprocess.Popen(
                    launch.argv,
                    stdin=pipes[0] if pipes is not None else subprocess.DEVNULL,
                    stdout=pipes[1] if pipes is not None else writing,
                    stderr=writing,
                    cwd=self._cwd,
                    env=launch.environment,
                    pass_fds=launch.handles,
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            os.close(reading)
            raise ToolFailure(_why_not_started(error, self._cwd)) from error
        finally:
            for handle in (writing, *launch.handles):
                os.close(handle)
        self._guard.add(program.pid)
        contained = self._sandbox is not None and confined.held
        allowance = self._allowance if pipes is None else replace(self._allowance, longest_pause=SELDOM)
        meter = (allowance, (self._cwd, self._spills))  # the second has what a sandbox shows as /tmp
        running = Running(command, program, began, number, reading, take, self._grace, contained=contained, meter=meter)
        return running, launch.check

    def _launch(self, argv: Sequence[str], confined: Confinement, way: Way | None, unseen: Sequence[Path]) -> Launch:
        if self._sandbox is None or not confined.held:
            return Launch(tuple(argv), self._environment)
        return self._sandbox.launch(argv, confined, self._environment, way, unseen)

    async def _await(self, name: str, check: Callable[[], str]) -> None:
        beside = self._beside[name]
        await asyncio.wait((beside.running.exited,))
        seconds = time.monotonic() - beside.running.began
        await beside.running.settle()
        beside.exit_code = self._forget(beside.running)
        beside.seconds = seconds
        for noted in filter(None, (check(), beside.running.exceeded and f"it was ended: {beside.running.exceeded}")):
            beside.fresh.add(f"[{noted}]\n".encode())
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


def _folded(command: str, output: Output) -> tuple[str, str]:
    """Return what a model is told of a long test run, which is then kept whole in its file, and why only a part of it ran."""
    from agent import folding  # for those who run something
    from agent.command.checking import narrowed

    printed = output.whole()
    if not folding.is_check(printed):
        return "", ""
    if folded := folding.folded(printed):
        output.keep()
    return folded, folding.partly(printed) or narrowed(command)
