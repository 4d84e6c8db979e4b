"""A person sits before the installed program in a real terminal: what they do to actions, and how they leave."""

import asyncio
import secrets
import shlex
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.fakes import ScriptedServer, answer
from tests.runs import JUMAR, Person, processes
from tui.asking import DEAF

TMUX = shutil.which("tmux")
pytestmark = pytest.mark.skipif(TMUX is None, reason="no tmux is installed")


@dataclass(frozen=True, slots=True)
class Window:
    """One terminal of a tmux of its own."""

    socket: str
    person: Person

    async def tmux(self, *arguments: str) -> str:
        """Have tmux do something; return what it says."""
        program = await asyncio.create_subprocess_exec(
            *(str(TMUX), "-L", self.socket, "-f", "/dev/null", *arguments),
            env={**self.person.environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await program.communicate()
        assert program.returncode == 0, err.decode()
        return out.decode()

    async def presses(self, *keys: str) -> None:
        """Press keys by their names."""
        await self.tmux("send-keys", *keys)

    async def types(self, text: str) -> None:
        """Type letters."""
        await self.tmux("send-keys", "-l", text)

    async def sees(self, *words: str) -> str:
        """Wait until all the words stand on the terminal; return all that does."""
        seen = ""
        try:
            async with asyncio.timeout(30):
                while not all(word in seen for word in words):
                    seen = await self.tmux("capture-pane", "-p")
        except TimeoutError:
            raise AssertionError(f"{words} cannot be seen in\n{seen}") from None
        return seen

    async def is_alone(self) -> None:
        """Wait until the shell of the terminal has no program under it."""
        shell = int(await self.tmux("display-message", "-p", "#{pane_pid}"))
        async with asyncio.timeout(30):
            while any(parent == shell for _, parent, _ in processes()):  # noqa: ASYNC110 - another process ends
                await asyncio.sleep(0.02)

    async def is_asked(self, subject: str) -> None:
        """Wait until an approval can be answered."""
        await self.sees("May it?", subject, "a allow")
        await asyncio.sleep(DEAF)


@asynccontextmanager
async def window(person: Person, command: str) -> AsyncIterator[Window]:
    """Run a line of the shell in a terminal."""
    shown = Window(f"jumar-{secrets.token_hex(8)}", person)
    await shown.tmux("new-session", "-d", "-x", "120", "-y", "40", "-c", str(person.root), command)
    try:
        yield shown
    finally:
        await shown.tmux("kill-server")


async def test_a_person_allows_refuses_edits_undoes_and_leaves(person: Person, server: ScriptedServer) -> None:
    server.script += [
        answer("First.", calls=[("write", {"path": "a.txt", "content": "one\n"})]),
        answer("", calls=[("write", {"path": "b.txt", "content": "two\n"})]),
        answer("", calls=[("shell", {"command": "echo three > c.txt"})]),
        answer("That is all of it."),
    ]
    jumar = shlex.quote(str(JUMAR))
    # What follows the end shows its exit code, and keeps the terminal until the second one was looked at.
    line = f"{jumar} --trust --mode ask; echo ended $?; read x; {jumar} --trust -c; echo ended again $?; read x"
    async with window(person, line) as shown:
        await shown.sees("What shall be done?", "test-model")
        await shown.types("please write")
        await shown.presses("Enter")

        await shown.is_asked("a.txt")
        assert not (person.root / "a.txt").exists()
        await shown.presses("a")
        await shown.is_asked("b.txt")
        assert (person.root / "a.txt").read_text() == "one\n"

        await shown.presses("r")
        await shown.sees("Enter refuses")
        await shown.types("not that one")
        await shown.presses("Enter")
        await shown.is_asked("c.txt")
        assert not (person.root / "b.txt").exists()
        assert "They said: not that one." in server.requests[-1].decode()

        await shown.presses("e")
        await shown.sees("Ctrl+S runs what stands here")
        await shown.types("echo four > d.txt # ")
        await shown.sees("echo four > d.txt # echo")
        await shown.presses("C-s")
        await shown.sees("That is all of it.", "⊘ write b.txt")
        assert (person.root / "d.txt").read_text() == "four\n"
        assert not (person.root / "c.txt").exists()

        await shown.presses("F6")
        await shown.sees("u undo")
        await shown.presses("Up", "Up")
        await shown.presses("u")
        await shown.sees("Enter does it", "a.txt")
        await shown.presses("Enter")
        await shown.sees("↶ write a.txt")
        assert not (person.root / "a.txt").exists()
        assert (person.root / "d.txt").exists()

        await shown.presses("C-c", "C-c")  # at once, for only then the second is the second
        await shown.sees("ended 0")
        await shown.is_alone()

        await shown.presses("Enter")
        await shown.sees("That is all of it.", "test-model")
        await shown.types("/quit")
        await shown.presses("Enter")
        await shown.sees("ended again 0")
        await shown.is_alone()
    assert len(person.logs) == 1
