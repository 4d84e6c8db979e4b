"""Owns how a parser is started as a program of its own, and asked, so that what crashes it or fills the memory is not jumar."""

import asyncio
import importlib.util
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import agent

# Isolated and without `site`: nothing is imported that a workspace or an environment supplies, and it starts at once.
_START = "import sys, importlib; sys.path += sys.argv[2:]; importlib.import_module(sys.argv[1]).main()"
_LONGEST = 64 << 20  # bytes of an answer
_PATIENCE = 10  # so many times longer than it may compute is waited for an answer: the processor may be with others


def command(module: str, needed: str = "tree_sitter") -> list[str]:
    """Return the command that runs `main` of one of our modules with the parsers that are installed beside what is needed."""
    folders = [str(Path(path).parent) for path in agent.__path__]
    installed = importlib.util.find_spec(needed)
    if installed is not None and installed.origin is not None:
        folders.append(str(Path(installed.origin).parent.parent))
    return [sys.executable, "-I", "-S", "-c", _START, module, *dict.fromkeys(folders)]


class Gone(Exception):
    """No answer came; its words say why, as a clause."""


class Program:
    """A program that answers one question after the other, each within its time; it is started when it is asked."""

    def __init__(self, module: str, seconds: float, needed: str = "tree_sitter") -> None:
        """`seconds` are those of the processor that an answer may take."""
        self._module = module
        self._seconds = seconds
        self._needed = needed
        self._running: asyncio.subprocess.Process | None = None

    async def ask(self, head: list[Any], raw: bytes) -> Any:
        """Send a line of JSON and the text; return what comes back as JSON.

        The second word of the line is the length of the text, the third how long it may compute: then the system ends it.
        Raises Gone, after which the next question starts it anew.
        """
        try:
            async with asyncio.timeout(self._seconds * _PATIENCE):
                return await self._asked(head, raw)
        except TimeoutError:
            await self.end()
            raise Gone("it takes too long to parse") from None
        except (OSError, EOFError, ValueError):
            late = await self.end() == -signal.SIGPROF
            raise Gone("it takes too long to parse" if late else "the parser gave up on it") from None
        except BaseException:
            await self.end()
            raise

    async def _asked(self, head: list[Any], raw: bytes) -> Any:
        if self._running is None:
            self._running = await asyncio.create_subprocess_exec(
                *command(self._module, self._needed),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                cwd="/",
                limit=_LONGEST,
            )
        program = self._running
        if program.stdin is None or program.stdout is None:
            raise EOFError
        program.stdin.write(json.dumps([head[0], len(raw), self._seconds, *head[1:]]).encode() + b"\n" + raw)
        await program.stdin.drain()
        answer = await program.stdout.readline()
        if not answer:
            raise EOFError
        return json.loads(answer)

    async def end(self) -> int:
        """End it, and return its exit code."""
        program, self._running = self._running, None
        if program is None:
            return 0
        if program.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(program.pid, signal.SIGKILL)  # its own `kill` may fetch the exit code, which asyncio then never learns
        code = await program.wait()
        if program.stdin is not None:
            program.stdin.close()
        return code
