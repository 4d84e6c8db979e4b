"""Owns a terminal for programs in tests: what they wrote to it, byte for byte, and what of that would act or hide."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import termios
import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.prepared import Started
from tests.runs import JUMAR

# What a headless run and the commands write of escape sequences: colours, and a line that is written over.
OURS = (rb"\x1b\[[0-9;]*m", rb"\r\x1b\[2K", rb"\r\n")
# What the screen writes besides: where the cursor is, what it looks like, and modes of the terminal.
SCREEN = (
    *OURS,
    rb"\x1b\[\d*;?\d*H",
    rb"\x1b\[\?(?:7|25|1000|1002|1003|1004|1006|1015|1016|1049|2004|2026|2048)[hl]",
    rb"\x1b\[\?(?:2026|2048)\$p",
    rb"\x1b\[[<>=]\d*u",
    rb"\x1b\]22;[a-z-]*\x07",  # the shape of the pointer
    rb"\x1b\[2[23];2t",  # keep the terminal's title, and give it back
    # Our title, and a notification with the bell before it. What is in them is looked at as everything else is.
    rb"(?:\x07)?\x1b\](?:2|9|777;notify);(?=jumar )",
    rb"\x1bPtmux;\x1b\x1b\](?:9|777;notify);(?=jumar )",
    rb"(?:\x1b\x1b\\)?\x1b\\",
)
_DRAWN = {0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x600, 0x606)}  # formats, and is seen all the same
_UNSEEN = {0x34F, 0x115F, 0x1160, 0x3164, 0xFFA0, 0x17B4, 0x17B5, *range(0xFE00, 0xFE0F), *range(0xE0000, 0xE1000)}
_AROUND = 24  # characters that are told with what is found

# Each acts on a terminal or deceives who reads it, if it reaches one as it is.
HOSTILE = {
    "clipboard": "\x1b]52;c;aGFja2Vk\x07",
    "link": "\x1b]8;;http://evil.example/\x1b\\click\x1b]8;;\x1b\\",
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J\x1b[H",
    "device": "\x1bP1$r0m\x1b\\",
    "application": "\x1b_Gi=1;AAAA\x1b\\",
    "report": "\x1b[6n\x1b[c\x05",
    "c1": "\x9b2J\x9d0;owned\x9c\x90q\x9c",
    "erased": "shown\x1b[2K\rhidden",
    "overwritten": "evil\rgood",
    "backspace": "evil\b\b\b\bgood",
    "bell": "\x07\x0e\x0f\x7f",
    "bidi": "a\u202eb\u2066c\u2069\u061c\u200f",
    "zero": "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg",
    "tags": "x\U000e0072\U000e006d\U000e0020\U000e007f",
    "selectors": "a\ufe00b\ufe0fc\U000e0100d",
    "separators": "a\u2028b\u2029c\u0085d",
    "fillers": "a\u3164b\u115fc\uffa0d\ufff9e\ufffa",
    "markup": "[@click=app.quit]x[/] [/foo] [bold red] \\[x]",
}
ALL = " ".join(HOSTILE.values())


def hostile_bytes(raw: bytes, repertoire: Sequence[bytes] = OURS) -> list[str]:
    """Return what in a terminal's bytes would act or hide and is not of the repertoire, each with what stands around it."""
    text = re.sub(b"|".join(repertoire), b"", raw).decode("utf-8", "surrogateescape")
    return [
        repr(text[max(0, place - _AROUND) : place + _AROUND])
        for place, letter in enumerate(text)
        if _acts(letter) and not _joins(text, place)
    ]


def _acts(letter: str) -> bool:
    if letter in "\n\t":
        return False
    return ord(letter) in _UNSEEN or (
        unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and ord(letter) not in _DRAWN
    )


def _joins(text: str, place: int) -> bool:
    """Whether it joins two characters that are no ASCII, as in emoji."""
    return text[place] in "\u200c\u200d" and not any(
        beside.isascii() or _acts(beside) for beside in (text[place - 1 : place] or "a", text[place + 1 : place + 2] or "a")
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """What a program wrote to its terminal, and how it ended."""

    code: int
    raw: bytes

    @property
    def text(self) -> str:
        """Return it as text without escape sequences of ours."""
        return re.sub(b"|".join(OURS[:2]), b"", self.raw).decode("utf-8", "replace").replace("\r\n", "\n")


async def on_terminal(*arguments: str, cwd: Path, environment: Mapping[str, str], columns: int = 100) -> Shown:
    """Run jumar with its output and its errors on a terminal, to its end."""
    primary, secondary = pty.openpty()
    given = {**environment, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"}
    with open(os.devnull) as nothing:  # noqa: PTH123, ASYNC230 - it is no file
        started = Started(arguments, cwd, given, (nothing.fileno(), secondary, secondary))
    os.close(secondary)
    raw = await asyncio.to_thread(read_all, primary)
    return Shown(await started.end(), raw)


class Watched:
    """A program of the screen on a terminal of its own: its bytes as they come, and keys for it."""

    def __init__(self, program: asyncio.subprocess.Process, primary: int) -> None:
        self.raw = bytearray()
        self.program = program
        self._primary = primary
        self._came = asyncio.Event()
        asyncio.get_running_loop().add_reader(primary, self._read)

    def _read(self) -> None:
        try:
            more = os.read(self._primary, 1 << 16)
        except OSError:  # so Linux tells the end
            more = b""
        if not more:
            asyncio.get_running_loop().remove_reader(self._primary)
        self.raw += more
        self._came.set()

    async def sees(self, words: str, after: int = 0) -> None:
        """Wait until the words came, after so many bytes."""
        try:
            async with asyncio.timeout(30):
                while words.encode() not in self.raw[after:]:
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"{words!r} did not come after {after} bytes, but {bytes(self.raw[after:])[-3000:]!r}") from None

    def types(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._primary, keys)

    def hang_up(self) -> None:
        """Take the terminal away."""
        asyncio.get_running_loop().remove_reader(self._primary)
        os.close(self._primary)
        self._primary = -1

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._primary, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    async def close(self) -> None:
        """End the program."""
        if self.program.returncode is None:
            self.program.terminate()
        try:
            async with asyncio.timeout(5):
                await self.program.wait()
        except TimeoutError:
            self.program.kill()
            await self.program.wait()
            raise
        if self._primary >= 0:
            self.hang_up()


@asynccontextmanager
async def watched(
    *arguments: str, cwd: Path, environment: Mapping[str, str], program: Sequence[str] = (str(JUMAR),), first: bool = True
) -> AsyncIterator[Watched]:
    """Run jumar's screen, or another program, on a terminal of 140 columns and 45 lines; its `first` hears when it goes away."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 45, 140, 0, 0))
    started = await asyncio.create_subprocess_exec(
        *(*program, *arguments),
        cwd=cwd,
        env={**environment, "TERM": "xterm-256color"},
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        preexec_fn=_lead if first else os.setsid,
    )
    os.close(secondary)
    screen = Watched(started, primary)
    try:
        yield screen
    except BaseException:  # which is to be seen, not that a shell does not end for it
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        raise
    finally:
        await screen.close()


def _lead() -> None:
    """Lead a session on the terminal that is stdin, as a terminal's own program does."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def read_all(handle: int) -> bytes:
    """Read a terminal until nobody writes to it any more."""
    held = b""
    try:
        while more := os.read(handle, 1 << 16):
            held += more
    except OSError:  # so Linux tells the end
        pass
    os.close(handle)
    return held
