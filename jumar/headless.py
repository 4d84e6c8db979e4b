"""Owns the headless front end: one run, from the command line's options to its exit code."""

import asyncio
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO

from agent import config
from agent.blocks import Image
from agent.context import environment as surroundings
from agent.context import instructions
from agent.errors import UsageError
from agent.events import Event, TurnStarted, Warned
from agent.ledger.capture import Capture
from agent.ledger.ledger import Ledger
from agent.ledger.span import Span
from agent.ledger.store import Store
from agent.log import Log, Opened, new_id, now, sessions
from agent.loop import Limits
from agent.model import Model
from agent.policy import Decision, Mode, Rule, permits
from agent.route import key_variables
from agent.safe import mended
from agent.session import Session, Setting
from agent.tool import AnyTool
from agent.workspace.environment import is_secret, seal, without
from agent.workspace.git import Git
from agent.workspace.local import LocalWorkspace
from jumar import __version__
from jumar.home import Home, home
from jumar.options import RunOptions
from jumar.output_schema import OutputSchema
from jumar.pictures import blind, shown
from jumar.printers import JsonPrinter, Printer, StreamPrinter, TextPrinter, stderr_line
from jumar.profile import profile_of
from jumar.run import Expected, Run, Wanted
from jumar.trust import demand, tree_root
from jumar.wiring import choose, connected_models, find_tools

SIGNAL_CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}
BROKEN_PIPE_CODE = 141
_GIT_PATIENCE = 0.05  # seconds that the first request waits for git's status, beside what it takes anyway


class Headless:
    """One run. It opens what it needs and gives it back whatever happens."""

    def __init__(self, options: RunOptions, environment: Mapping[str, str], out: TextIO, progress: TextIO) -> None:
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
        place = home(self._environment)
        root = tree_root(options.cwd)
        if not options.trust:
            demand(place, root)
        settings = config.load(place.config / "config.toml")
        schema = OutputSchema.load(options.output_schema) if options.output_schema else None
        tools = find_tools()
        self._images = await shown(options.images)
        rules = _rules(options, settings, tools)
        mode = Mode(options.mode or settings.mode)
        folder, kept = place.sessions, place.ledger
        if options.ephemeral:
            folder = Path(tempfile.mkdtemp(prefix="jumar-"))
            given_back.callback(shutil.rmtree, folder, ignore_errors=True)
            kept = folder / "ledger"
        status = Git(root).start_status()
        given_back.callback(status.collect, 0)
        models, warnings, keys = ((model,), (), ()) if model else await self._connect(settings, place)
        for one in models:
            given_back.push_async_callback(one.close)
        if self._images or options.prompts is None:
            await models[0].ready()
        if self._images and not models[0].capabilities.images:
            raise UsageError(blind(models[0].name))
        profile = await profile_of(models[0], tools)
        hidden = key_variables(settings)
        if unusual := [name for name in hidden if name in self._environment and not is_secret(name)]:
            seal(unusual)
        log, found, forked_from = self._open_log(folder, place, root)
        self.session_id = log.id
        workspace = LocalWorkspace(
            root,
            options.cwd,
            spill=folder / log.id,
            add_dirs=options.add_dirs,
            hidden=(place.config, place.state),
            environment=without(self._environment, hidden, keys),
            shown=profile.output,
        )
        store = Store(kept, root)
        span = Span(store)
        person = options.prompts is None
        preface = ""
        if found is None or not any(isinstance(event, TurnStarted) for event in found.events):
            told = status.collect(_GIT_PATIENCE)
            today = datetime.now().astimezone().date()
            may = permits(mode, rules, person=person)
            around = surroundings(root, options.cwd, person=person, git=told, today=today, permits=may)
            preface = f"{around}\n\n{instructions(root, options.cwd, profile.instructions)}".rstrip()
        setting = Setting(
            models=models,
            workspace=workspace,
            tools=profile.tools,
            system=profile.system,
            brief=profile.brief,
            longest=profile.reply,
            preface=preface,
            version=__version__,
            mode=mode,
            rules=rules,
            person=person,
            effort=options.effort or settings.effort or "",
            before_change=span.begin,
            ledger=Ledger(store.bare, root, now),
            capture=Capture(store),
        )
        limits = Limits(options.max_steps, options.max_tokens, options.seconds)
        wanted = Wanted(limits, options.verify, schema, options.patch, options.output_file, expected)
        run = Run(wanted, workspace, span)
        self._printer = self._new_printer(log.id)

        def listen(event: Event, line: bytes) -> None:
            run.hear(event)
            self._print(event, line)

        self._work = None  # from here on `_drive` looks at what ended the run
        # What was loaded so far stays, and need not be looked through again.
        gc.freeze()
        gc.enable()
        session = Session(setting, log, listen, found, forked_from)
        given_back.push_async_callback(session.close)
        for warning in warnings:
            session.tell(Warned(text=warning))
        if isinstance(self._printer, TextPrinter):
            ticking = asyncio.create_task(self._tick(self._printer))
            given_back.push_async_callback(_stop, ticking)
        return session, run

    async def _tick(self, printer: TextPrinter) -> None:
        while printer is self._printer:
            await asyncio.sleep(1)
            with suppress(OSError):  # the next event sees to it
                printer.tick()

    async def _connect(self, settings: config.Config, place: Home) -> tuple[tuple[Model, ...], tuple[str, ...], tuple[str, ...]]:
        """Return the models, what to warn of, and the keys in use."""
        options = self._options
        try:
            async with asyncio.timeout(options.seconds):
                chosen = await choose(settings, self._environment, place, options.models, options.context)
                models, warnings = await connected_models(chosen)
                await models[0].ready()
                return models, (*chosen.warnings, *warnings), chosen.keys
        except TimeoutError:
            words = "the time was up before the model and its key were known; name a model with -m, or set the key's variable"
            raise UsageError(words, 5) from None

    async def _drive(self, session: Session, run: Run) -> int:
        if self._ended_by:  # nobody hears even how it begins
            run.interrupt(self._ended_by)
        elif self._options.prompts is None:
            from jumar.conversation import Conversation

            await self._see_to(Conversation(session, run).lead())
        else:
            await self._see_to(run.prompts(session, self._options.prompts, self._images))
        run.interrupt(self._ended_by)
        await self._see_to(run.settle())
        run.interrupt(self._ended_by)
        if self._options.revert_on_fail:
            await self._see_to(run.revert(session))
            run.interrupt(self._ended_by)
        if run.fault:
            session.tell(Warned(text=f"files that commands changed are not told, and no patch is made: {run.fault}"))
        result = run.result()
        session.tell(result)
        self._told = True
        return self._ended_by or result.exit_code

    async def _see_to(self, work: Coroutine[Any, Any, None]) -> None:
        """Await work that a signal may end."""
        self._work = asyncio.create_task(work)
        try:
            await asyncio.wait({self._work})
        except asyncio.CancelledError:
            self._work.cancel()
            await asyncio.wait({self._work})
            raise
        if not self._work.cancelled():
            self._work.result()

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

    def _new_printer(self, session_id: str) -> Printer:
        match self._options.output_format:
            case "text":
                plain = self._environment.get("NO_COLOR") or self._environment.get("TERM") == "dumb"
                coloured = self._progress.isatty() and not plain
                kept = "" if self._options.ephemeral else session_id
                return TextPrinter(self._out, self._progress, quiet=self._options.quiet, coloured=coloured, session_id=kept)
            case "json":
                return JsonPrinter(self._out)
            case "stream-json":
                return StreamPrinter(self._out, session_id, deltas=self._options.deltas)

    def _open_log(self, folder: Path, place: Home, root: Path) -> tuple[Log, Opened | None, str]:
        wanted = self._options.resume
        if not wanted:
            return Log.create(folder, new_id()), None, ""
        if wanted == "-":
            latest = next((summary for summary in sessions(place.sessions) if summary.root == mended(str(root))), None)
            if latest is None:
                raise UsageError(f"there is no session of {root} to go on with; see jumar sessions")
            path = latest.path
        else:
            path = place.sessions / f"{wanted}.jsonl"
            if path.parent != place.sessions or not path.is_file():
                raise UsageError(f"there is no session {wanted!r}; see jumar sessions")
        _demand_root(path, root)
        if self._options.fork:
            log, found = Log.fork(path, new_id())
            return log, found, path.stem
        log, found = Log.open(path)
        return log, found, ""


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _demand_root(path: Path, root: Path) -> None:
    """Raise UsageError where the session in a log is of another work tree."""
    summary = next((one for one in sessions(path.parent) if one.path == path), None)
    if summary is not None and summary.root != mended(str(root)):
        raise UsageError(f"the session {path.stem} belongs to {summary.root}; go on with it there, or with -C")


def _rules(options: RunOptions, settings: config.Config, tools: Mapping[str, AnyTool]) -> tuple[Rule, ...]:
    rules = (
        *(Rule.read(text, Decision.ALLOW, "config.toml") for text in settings.allow),
        *(Rule.read(text, Decision.DENY, "config.toml") for text in settings.deny),
        *(Rule.read(text, Decision.ALLOW, "--allow") for text in options.allow),
        *(Rule.read(text, Decision.DENY, "--deny") for text in options.deny),
    )
    for rule in rules:
        if rule.tool not in tools:
            near = get_close_matches(rule.tool, tools, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(tools))}"
            raise UsageError(f"{rule.source}: there is no tool {rule.tool!r} to make the rule {str(rule)!r} for; {hint}")
    return rules
