"""Owns `jumar watch`: what a person saves in their editor leads a session, comment by comment."""

import asyncio
import fcntl
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from agent.errors import UsageError
from agent.events.conversation import TurnFinished
from agent.events.event import Event
from agent.events.news import Warned
from agent.policy import Mode
from agent.safe import safe_line
from agent.session import Session
from agent.setting import Setting
from jumar.arguments import options_of, run_parser
from jumar.asking import TerminalAsking
from jumar.headless import Headless
from jumar.lines import Line
from jumar.noticing import Noticed, Noticing
from jumar.remarks import Remark, excerpt
from jumar.run import Run
from jumar.saves import Held, Save, saves
from prompts import words

_MOST_WAITING = 10  # comments that are listed at the start
_MOST_NOTES = 20  # that the model is told
_UNHEEDED = ("image", "input_format", "output_schema", "output_file", "revert_on_fail", "deltas")
MOST_SAID = 16_000  # characters of comments that a prompt has in all
MOST_SHOWN = 48_000  # characters of lines around them

Asked = list[tuple[Noticed, tuple[Remark, ...]]]


def watch(arguments: Sequence[str]) -> int:
    """Carry out `jumar watch`."""
    parser = run_parser(
        "jumar watch",
        "jumar watch [PATH] [OPTION ...]",
        "Act on comments such as `# jumar: give this a test!` in files as they are saved; one that ends with ? is answered.\n"
        "Where stdin is a terminal, what needs approval is asked there. Options are those of a run.",
        ("prompt", *_UNHEEDED),
    )
    parser.add_argument("path", nargs="?", default="", metavar="PATH", help="the folder to watch; without it the current one")
    given = parser.parse_args(arguments)
    if given.prompt is not None:
        parser.error("what is to be done is said by comments in files, not with -p")
    parser.demand_heeded(given, _UNHEEDED, "a watch")
    if given.path and not Path(given.cwd, given.path).is_dir():
        parser.error(f"{given.path!r} is no folder")
    given.cwd, given.prompt = str(Path(given.cwd, given.path)), ""
    attended = given.output_format == "text" and sys.stdin.isatty() and sys.stderr.isatty()
    options = replace(options_of(parser, given), prompts=None if attended else ())
    return asyncio.run(Headless(options, os.environ, sys.stdout, sys.stderr, Watching(options.cwd)).run())


class Watching:
    """Leads a session by what is saved below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asking: TerminalAsking | None = None
        self._say: Callable[[Line], None] = lambda _: None
        self._over = False  # a limit was reached

    def hear(self, event: Event) -> None:
        """Take in an event of the session."""
        if self._asking is not None:
            self._asking.take(event)
        if isinstance(event, TurnFinished) and event.status not in {"done", "interrupted"}:
            self._over = event.status == "limit"
            self._say(("bad", f"■ {event.status}: {safe_line(event.reason)}"))

    async def lead(self, session: Session, run: Run, setting: Setting, say: Callable[[Line], None]) -> None:
        """Act on what is saved until a limit is reached. Raises UsageError where the folder cannot be watched."""
        self._say = say
        with _alone(setting.workspace.root):
            await self._lead(session, run, setting, say)

    async def _lead(self, session: Session, run: Run, setting: Setting, say: Callable[[Line], None]) -> None:
        noticing = Noticing(setting.workspace, setting.ledger, self._folder)
        queue: asyncio.Queue[Save | None] = asyncio.Queue()
        hearing = asyncio.create_task(self._hear_saves(setting.workspace.root, queue))
        if setting.person:
            self._asking = TerminalAsking(say)
            self._asking.begin(session)
        try:
            while not self._over:
                getting = asyncio.create_task(queue.get())
                await asyncio.wait({getting, hearing}, return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    hearing.result()
                    return
                if (save := getting.result()) is None:
                    await self._begin(noticing)
                else:
                    await self._take(await noticing.look(save), session, run, noticing)
        finally:
            if self._asking is not None:
                self._asking.end()
            hearing.cancel()
            await asyncio.wait({hearing})

    async def _hear_saves(self, root: Path, queue: asyncio.Queue[Save | None]) -> None:
        async with aclosing(saves(root, self._folder)) as heard:
            async for save in heard:
                if not isinstance(save, Held):
                    queue.put_nowait(save)
                    continue
                lock = safe_line(os.path.relpath(save.lock, root))
                waits = "what you saved waits for it, a minute at most"
                self._say(("warning", f"! git seems to be at work: {lock} stands, and {waits}; if no git runs, remove that file"))

    async def _begin(self, noticing: Noticing) -> None:
        waiting = await noticing.start()
        for path, one in waiting[:_MOST_WAITING]:
            self._say(("dim", safe_line(f"  {path}:{one.line}: {one.said}")))
        if waiting:
            more = f", {len(waiting) - _MOST_WAITING} more of them," if len(waiting) > _MOST_WAITING else ""
            self._say(("dim", f"  {'These stood' if len(waiting) > 1 else 'This stood'} there before{more} and is not acted on"))
        self._say(("plain", f"watching {safe_line(str(self._folder))}: save a comment such as `# jumar: …!`; Ctrl+C ends it"))

    async def _take(self, noticed: list[Noticed], session: Session, run: Run, noticing: Noticing) -> None:
        """Act on new comments: first on what is to be done, then on what is asked."""
        for one in noticed:
            for remark in one.fresh if one.why_not else ():
                where = f"{one.path}:{remark.line}: {remark.said}"
                session.tell(Warned(text=f"not acted on, for {one.why_not}: {where}; to have it done, save it in other words"))
        new = [one for one in noticed if not one.why_not]
        if todo := _of_kind(new, "do"):
            await run.prompt(session, asking_for("watch", todo, noticing), ())
            for one, asked in todo:
                for remark in await noticing.standing(one.file, asked):
                    where = safe_line(f"{one.path}: {remark.said}")
                    self._say(("warning", f"! it still stands there, and is not acted on again: {where}"))
        if questions := _of_kind(new, "answer"):
            before = session.mode
            session.set_mode(Mode.PLAN)
            try:
                await run.question(session, asking_for("watch-question", questions, noticing))
            finally:
                session.set_mode(before)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Be the only watch of a work tree: of two, each would act on every comment. Raises UsageError where there is one."""
    handle = -1
    try:
        with suppress(OSError):  # where folders cannot be locked, nobody can tell
            handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"another jumar watch is at work in {safe_line(str(root))}; end that one first") from None
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def _of_kind(noticed: list[Noticed], kind: str) -> Asked:
    asked = [(one, tuple(remark for remark in one.fresh if remark.kind == kind)) for one in noticed]
    return [(one, some) for one, some in asked if some]


def asking_for(name: str, asked: Asked, noticing: Noticing) -> str:
    """Return what the model is told: what was said and where, what becomes of it, the lines around it, and notes."""
    said, more = _within(MOST_SAID, [f"{one.path}:{remark.line}: {remark.said}" for one, some in asked for remark in some])
    if more:
        said.append(f"and {more} more such comments in these files: search them for `jumar:`")
    parts = ["\n".join(said), words(name)]
    room = MOST_SHOWN
    for at, (one, some) in enumerate(asked):
        lines, more = _within(room // (len(asked) - at), excerpt(one.file.text, [remark.line for remark in some]).split("\n"))
        shown = "\n".join(lines)
        room -= len(shown)
        fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", shown)), default=0))
        left = f"\nand {more} more lines around its comments: read them there" if more else ""
        parts.append(f"{one.path}, as it was saved:\n{fence}\n{shown}\n{fence}{left}")
    notes = [f"{path}:{note.line}: {note.said}" for path, some in noticing.notes.items() for note in some]
    if notes:
        parts.append("\n".join(["Notes that they saved too; leave them where they are:", *notes[-_MOST_NOTES:]]))
    return "\n\n".join(parts)


def _within(room: int, lines: list[str]) -> tuple[list[str], int]:
    """Return the first lines, as many as there is room for, and how many more there are."""
    kept = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept, len(lines) - len(kept)
