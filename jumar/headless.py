"""Owns the headless front end: one run, from the command line's options to its exit code."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Protocol, TextIO

from agent.blocks import Image
from agent.events.event import Event
from agent.events.news import Warned
from agent.log import LogBroken
from agent.loop import Limits
from agent.model import Model
from agent.session import Session
from agent.setting import Setting
from jumar.lines import Line
from jumar.opening import prepare
from jumar.options import RunOptions
from jumar.output_schema import OutputSchema
from jumar.pictures import shown
from jumar.printers import JsonPrinter, Printer, StreamPrinter, TextPrinter, stderr_line
from jumar.run import Expected, Run, Wanted

SIGNAL_CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}
BROKEN_PIPE_CODE = 141


class Leader(Protocol):
    """Somebody who says, as long as a run goes on, what is to be done next."""

    def hear(self, event: Event) -> None:
        """Take in an event of the session."""
        ...

    async def lead(self, session: Session, run: Run, setting: Setting, say: Callable[[Line], None]) -> None:
        """Lead the session until it is over; `say` prints a line for a person."""
        ...


class Headless:
    """One run. It opens what it needs and gives it back whatever happens."""

    def __init__(
        self,
        options: RunOptions,
        environment: Mapping[str, str],
        out: TextIO,
        progress: TextIO,
        leader: Leader | None = None,
    ) -> None:
        self._leader = leader
        self._options = options
        self._environment = environment
        self._out = out
        self._progress = progress
        self._printer: Printer | None = None
        self._work: asyncio.Task[Any] | None = None  # what a signal ends
        self._stopped: asyncio.Task[Any] | None = None  # what one has ended, and is left to end in peace
        self._ended_by = 0  # the exit code of the signal that ended the run
        self._told = False  # whether the result was
        self.session_id = ""  # once it is open
        self._images: tuple[Image, ...] = ()  # that go with the prompt
        self._said: Callable[[str], str] = str  # what a prompt that may call a command says
        self._prompts: list[str] = []

    async def run(self, model: Model | None = None, expected: Expected | None = None) -> int:
        """Run to the end and return the exit code. Raises JumarError where nothing was asked of a model yet.

        `expected` says how the calls must come out.
        """
        self._work = asyncio.current_task()
        loop = asyncio.get_running_loop()
        heard = [number for number in SIGNAL_CODES if signal.getsignal(number) is not signal.SIG_IGN]
        for number in heard:
            loop.add_signal_handler(number, self._end, SIGNAL_CODES[number])
        try:
            async with AsyncExitStack() as given_back:
                session, run = await self._open(given_back, model, expected)
                return await self._drive(session, run)
        except asyncio.CancelledError:
            if not self._ended_by:
                raise
            return self._ended_by
        finally:
            for number in heard:
                loop.remove_signal_handler(number)
                # What was told as the end stays it; before that, a signal ends us as it ends anything.
                signal.signal(number, signal.SIG_IGN if self._told else signal.SIG_DFL)

    async def _open(self, given_back: AsyncExitStack, model: Model | None, expected: Expected | None) -> tuple[Session, Run]:
        options = self._options
        schema = OutputSchema.load(options.output_schema) if options.output_schema else None
        self._images = await shown(options.images)
        prepared = await prepare(options, self._environment, given_back, model)
        self.session_id = prepared.log.id
        self._setting = prepared.setting
        self._said = prepared.customs.said
        self._prompts = [self._said(text) for text in options.prompts or ()]
        limits = Limits(options.max_steps, options.max_tokens, options.seconds)
        wanted = Wanted(limits, options.verify, schema, options.patch, options.output_file, expected)
        run = Run(wanted, prepared.setting.workspace, prepared.span, prepared.setting.checks.commands)
        self._printer = self._new_printer(self.session_id)

        def listen(event: Event, line: bytes) -> None:
            run.hear(event)
            self._print(event, line)
            if self._leader is not None:
                self._leader.hear(event)

        self._work = None  # from here on `_drive` looks at what ended the run
        # What was loaded so far stays, and need not be looked through again.
        gc.freeze()
        gc.enable()
        session = prepared.begin(listen)
        given_back.push_async_callback(session.close)
        if isinstance(self._printer, TextPrinter):
            ticking = asyncio.create_task(self._tick(self._printer))
            given_back.push_async_callback(_stop, ticking)
        return session, run

    async def _tick(self, printer: TextPrinter) -> None:
        while printer is self._printer:
            await asyncio.sleep(1)
            with suppress(OSError):  # the next event sees to it
                printer.tick()

    async def _drive(self, session: Session, run: Run) -> int:
        try:
            if not self._ended_by:  # else nobody hears even how it begins
                await self._see_to(self._led(session, run))
        except LogBroken as error:
            run.broke(str(error))
        run.interrupt(self._ended_by)
        await self._see_to(run.settle(), whole=self._options.revert_on_fail)
        run.interrupt(self._ended_by)
        if self._options.revert_on_fail:
            await self._see_to(run.revert(session), whole=True)
            run.interrupt(self._ended_by)
        if run.fault:
            session.tell(Warned(text=f"files that commands changed are not told, and no patch is made: {run.fault}"))
        result = run.result()
        session.tell(result)
        self._told = True
        return self._ended_by or result.exit_code

    def _led(self, session: Session, run: Run) -> Coroutine[Any, Any, None]:
        """Return what leads the session to its end."""
        if self._leader is not None:
            return self._leader.lead(session, run, self._setting, self._say)
        if self._options.prompts is None:
            from jumar.conversation import Conversation

            return Conversation(session, run, self._said).lead()
        return run.prompts(session, self._prompts, self._images)

    async def _see_to(self, work: Coroutine[Any, Any, None], *, whole: bool = False) -> None:
        """Await work that a signal may end, or none where only the whole of it can be told truly."""
        task = asyncio.create_task(work)
        self._work = None if whole else task
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait({task})
            raise
        if not task.cancelled():
            task.result()

    def _end(self, code: int) -> None:
        self._ended_by = self._ended_by or code
        if self._work is not None and self._work is not self._stopped:
            self._stopped = self._work
            self._work.cancel()

    def _print(self, event: Event, line: bytes) -> None:
        if self._printer is None:
            return
        try:
            self._printer.hear(event, line)
        except OSError as error:
            self._printer = None
            for stream in (self._out, self._progress):
                with suppress(OSError):
                    stream.flush()
                    continue
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if not isinstance(error, BrokenPipeError):
                stderr_line(f"what happens cannot be written: {error.strerror}")
            self._end(BROKEN_PIPE_CODE if isinstance(error, BrokenPipeError) else 1)

    def _say(self, told: Line) -> None:
        """Print a line for a person that is no event's."""
        if self._printer is None:
            return
        try:
            if isinstance(self._printer, TextPrinter):
                self._printer.say(told, whole=True)
            else:
                print(told[1], file=self._progress, flush=True)
        except OSError:
            self._end(1)

    def _new_printer(self, session_id: str) -> Printer:
        match self._options.output_format:
            case "text":
                plain = self._environment.get("NO_COLOR") or self._environment.get("TERM") == "dumb"
                coloured = self._progress.isatty() and not plain
                kept = "" if self._options.ephemeral else session_id
                each = self._leader is not None
                return TextPrinter(
                    self._out, self._progress, quiet=self._options.quiet, coloured=coloured, session_id=kept, each=each
                )
            case "json":
                return JsonPrinter(self._out)
            case "stream-json":
                return StreamPrinter(self._out, session_id, deltas=self._options.deltas)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
