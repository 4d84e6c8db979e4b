"""The prompt box on a real terminal: the bytes that terminals send, a paste, and the person's own editor."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.fakes import ScriptedServer, answer
from tests.pty import HOSTILE, SCREEN, hostile_bytes
from tests.runs import JUMAR, Person

_PATIENCE = 20.0  # seconds
_ESCAPES = re.compile(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]")


@dataclass(slots=True)
class Terminal:
    """A terminal in which jumar runs, and the hands on its keyboard."""

    handle: int
    raw: bytes = b""
    wrote: asyncio.Event = field(default_factory=asyncio.Event)

    def read(self) -> None:
        """Take in what was written."""
        try:
            self.raw += os.read(self.handle, 1 << 16)
        except OSError:  # so Linux tells the end
            asyncio.get_running_loop().remove_reader(self.handle)
        self.wrote.set()

    async def type(self, sent: bytes, shown: bytes) -> None:
        """Send bytes, and wait until something is shown that was not shown before."""
        seen = len(self.raw)
        os.write(self.handle, sent)
        await self.see(shown, seen)

    async def see(self, shown: bytes, since: int = 0) -> None:
        """Wait until something is shown."""
        async with asyncio.timeout(_PATIENCE):
            while shown not in _ESCAPES.sub(b"", self.raw[since:]):
                self.wrote.clear()
                await self.wrote.wait()


@asynccontextmanager
async def terminal(person: Person, **environment: str) -> AsyncIterator[Terminal]:
    """Run jumar on a terminal of its own; quit it at the end by Ctrl+C twice."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(primary, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    program = await asyncio.create_subprocess_exec(
        str(JUMAR),
        "--trust",
        cwd=person.root,
        env={**person.environment, "TERM": "xterm-256color", **environment},
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        start_new_session=True,
    )
    os.close(secondary)
    opened = Terminal(primary)
    asyncio.get_running_loop().add_reader(primary, opened.read)
    try:
        await opened.see(b"What shall be done?")
        await opened.see(b"test-model")
        yield opened
        os.write(primary, b"\x03\x03")
        assert await asyncio.wait_for(program.wait(), _PATIENCE) == 0
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
        asyncio.get_running_loop().remove_reader(primary)
        os.close(primary)


async def test_the_bytes_of_all_terminals_make_lines_and_a_paste_comes_whole(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Understood all."))
    pasted = "".join(f"pasted {number}\r" for number in range(30)).encode()
    async with terminal(person) as screen:
        await screen.type(b"one\x1b\rtwo", b"two")
        await screen.type(b"\x1b[13;2uthree", b"three")
        await screen.type("\n四 ".encode(), "四".encode())
        await screen.type(b"\x1b[200~" + pasted + b"\x1b[201~", b"30 lines")
        await screen.type(b"\r", b"Understood all.")
    [request] = server.requests
    assert "one\\ntwo\\nthree\\n四 pasted 0\\npasted 1\\n" in request.decode()
    assert "pasted 29" in request.decode()


async def test_what_is_pasted_does_nothing_to_the_terminal(person: Person, server: ScriptedServer) -> None:
    (person.root / "\x1b]0;owned\x07\u202e.py").touch()
    async with terminal(person) as screen:
        for name, text in HOSTILE.items():
            sent = text.replace("\x1b[201~", "").encode()
            await screen.type(b"\x1b[200~" + sent + f" {name}!".encode() + b"\x1b[201~", f"{name}!".encode())
            await screen.type(b"\x15", b"What shall be done?")
        await screen.type(b"@owned", b"owned")
    assert not hostile_bytes(screen.raw, (*SCREEN, rb"\x1b\]22;\w*\x07"))  # and the shape of the mouse


async def test_the_persons_editor_opens_a_paste_and_everything_goes_on_behind_it(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Read."))
    editor = person.home / "editor"
    editor.write_text(
        '#!/bin/sh\nstat -c "mode %a" "$1"\nuntil [ -e behind ]; do sleep 0.02; done\n'
        'grep -q "pasted 29" "$1" && echo "written by hand" >> "$1"\n'
    )
    editor.chmod(0o700)
    pasted = "".join(f"pasted {number}\r" for number in range(30)).encode()
    async with terminal(person, EDITOR=str(editor)) as screen:
        await screen.type(b"!sleep 0.3; touch behind", b"touch behind")
        await screen.type(b"\r", b"Esc stops")
        await screen.type(b"\x1b[200~" + pasted + b"\x1b[201~", b"30 lines")
        await screen.type(b"\x07", b"mode 600")
        await screen.see(b"written by hand")
        await screen.type(b"\r", b"Read.")
    assert "pasted 29\\nwritten by hand" in server.requests[-1].decode()
