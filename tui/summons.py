"""Owns calling a person who looks elsewhere: the bell, a notification of the terminal's, and the terminal's title."""

import asyncio
import time
from collections.abc import Callable, Mapping

from rich.cells import set_cell_size

from agent.safe import safe_line
from tui.desk import Taste
from tui.entries import Called, Over
from tui.story import Story
from tui.words import Words

_LONG = 20.0  # seconds after which a person has gone on to something else, though the terminal says nothing of it
_LONGEST = 100  # columns of what is told
_PATIENCE = 1.0  # seconds that tmux has to say what it lets through
_BELL = "\x07"
_END = "\x1b\\"
_KEEP_TITLE, _GIVE_TITLE_BACK = "\x1b[22;2t", "\x1b[23;2t"
_DEAF = ("linux", "dumb", "screen")  # terminals that know no notification
_777 = ("rxvt", "foot")  # those that know this one only


class Summons:
    """Tells the terminal how things stand. `write` takes what is for it; nothing hostile ever is."""

    def __init__(self, words: Words, folder: str, environment: Mapping[str, str], write: Callable[[str], None]) -> None:
        self._words = words
        self._folder = folder
        self._environment = environment
        self._write = write
        self._taste = Taste()
        self._away = False  # another program has the terminal
        self._held = False  # whether the terminal's own title is kept, so that ours may stand there
        self._title = ""
        self._waiting: tuple[str, ...] = ()
        self._running = False
        self._since = 0.0  # when the person last had to do with it
        self._tasks: set[asyncio.Task[None]] = set()
        self._passes: bool | None = None  # whether tmux lets through what is for the terminal; None: not asked yet

    def follow(self, story: Story, *, focused: bool) -> None:
        """Take in how things stand now, and call the person where they are needed and look elsewhere."""
        now, waiting = time.monotonic(), tuple(story.waiting)
        away = not focused or (self._running and now - self._since >= _LONG)
        if away and (new := [call for call in waiting if call not in self._waiting]):
            self._call(self._asks(story, new[0]))
        elif away and self._running and not story.running:
            self._call(self._over(story))
        if (story.running and not self._running) or len(waiting) < len(self._waiting):
            self._since = now
        self._waiting, self._running = waiting, story.running
        state = "asks" if waiting else "works" if story.running else "rests"
        self._entitle(self._words(f"summons.{state}", folder=self._folder))

    def follow_taste(self, taste: Taste) -> None:
        """Call as the person wants it from now on."""
        self._taste = taste
        self._settle()

    def leave(self) -> None:
        """Give the terminal its own title back: another program has it, or jumar ends."""
        self._away = False
        self._settle(away=True)
        self._away = True

    def come(self) -> None:
        """Have the terminal again."""
        self._away = False
        self._settle()

    def _settle(self, *, away: bool = False) -> None:
        if self._held and (away or not self._taste.terminal_title):
            self._held = False
            self._tell(_GIVE_TITLE_BACK)
        elif not self._held and not away and self._taste.terminal_title:
            self._held = True
            self._tell(_KEEP_TITLE)
            title, self._title = self._title or self._words("summons.rests", folder=self._folder), ""
            self._entitle(title)

    def _entitle(self, title: str) -> None:
        if title != self._title:
            self._title = title
            if self._held:
                self._tell(f"\x1b]2;{_bare(title)}{_END}")

    def _tell(self, sequence: str) -> None:
        if not self._away:
            self._write(sequence)

    def _asks(self, story: Story, call_id: str) -> str:
        called = story.call(call_id)
        if called is None:
            return self._words("summons.waits")
        subject = called.question.question if called.question is not None else called.subject
        return f"{self._words('summons.waits')}: {called.tool} {subject}"

    def _over(self, story: Story) -> str:
        last = next((entry for entry in reversed(story.entries) if isinstance(entry, Over | Called)), None)
        if not isinstance(last, Over):
            return self._words("summons.over")
        took = self._words.counted("turn.took", last.event.steps, steps=last.event.steps, seconds=round(last.event.seconds))
        return f"{self._words(f'turn.{last.event.status}')} · {took}"

    def _call(self, text: str) -> None:
        if self._taste.bell:
            self._tell(_BELL)
        if (sequence := self._notification(text)) and "TMUX" in self._environment:
            task = asyncio.create_task(self._pass(sequence))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif sequence:
            self._tell(sequence)

    def _notification(self, text: str) -> str:
        kind, terminal = self._taste.notify, self._environment.get("TERM", "")
        if kind == "auto":
            tmux = "TMUX" in self._environment
            if "STY" in self._environment or (terminal.startswith(_DEAF) and not tmux):
                return ""
            kind = "osc777" if terminal.startswith(_777) or "VTE_VERSION" in self._environment else "osc9"
        if kind == "osc9":
            return f"\x1b]9;jumar · {_bare(self._folder)}: {_bare(text)}{_END}"
        if kind == "osc777":
            return f"\x1b]777;notify;jumar · {_bare(self._folder)};{_bare(text)}{_END}"
        return ""

    async def _pass(self, sequence: str) -> None:
        """Have tmux hand it on to its terminal, where it does so."""
        if self._passes is None:
            self._passes = await _tmux_passes(self._environment)
        if self._passes:
            doubled = sequence.replace("\x1b", "\x1b\x1b")
            self._tell(f"\x1bPtmux;{doubled}{_END}")


async def _tmux_passes(environment: Mapping[str, str]) -> bool:
    command = ("tmux", "show-options", "-Apv", *(("-t", pane) if (pane := environment.get("TMUX_PANE", "")) else ()))
    silent = asyncio.subprocess.DEVNULL
    try:
        program = await asyncio.create_subprocess_exec(
            *(*command, "allow-passthrough"),
            cwd="/",
            env=dict(environment),
            stdin=silent,
            stdout=asyncio.subprocess.PIPE,
            stderr=silent,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(_PATIENCE):
            told, _ = await program.communicate()
    except TimeoutError:
        program.kill()
        await program.wait()
        return False
    return told.strip() in {b"on", b"all"}


def _bare(text: str) -> str:
    """Return a text that ends no sequence and separates nothing in it."""
    line = safe_line(text).replace(";", ",")
    return set_cell_size(line, _LONGEST).rstrip() if len(line) > _LONGEST else line
