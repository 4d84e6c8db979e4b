"""Owns having texts parsed by a program of its own, each within its time, so that none harms us or the others."""

import asyncio
import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from agent.code.grammars import language
from agent.code.program import command
from agent.code.shape import Shape, refusal, unpacked

_SECONDS = 2.0  # for one text
_LONGEST = 64 << 20  # bytes of an answer


@dataclass(frozen=True, slots=True)
class Text:
    """A text to be parsed, and what its file is called."""

    name: str
    raw: bytes


class Parsing:
    """Holds the program while it is needed: `async with Parsing() as parsing`."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._program: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def shape(self, text: Text, wanted: Collection[str] | None = None) -> Shape:
        """Return the shape of a text, with the uses of the wanted names alone where there are any; it never fails."""
        spoken = language(text.name)
        if not spoken:
            return Shape(refused="in a language that is not parsed here")
        if why := refusal(text.raw):
            return Shape(refused=why)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._asked(spoken, text.raw, wanted)
        except TimeoutError:
            await self.end()
            return Shape(refused="it takes too long to parse")
        except (OSError, EOFError, ValueError):
            await self.end()
            return Shape(refused="the parser gave up on it")
        except BaseException:
            await self.end()
            raise

    async def _asked(self, spoken: str, raw: bytes, wanted: Collection[str] | None) -> Shape:
        if self._program is None:
            self._program = await asyncio.create_subprocess_exec(
                *command("agent.code.worker"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                cwd="/",
                limit=_LONGEST,
            )
        program = self._program
        if program.stdin is None or program.stdout is None:
            raise EOFError
        asked = json.dumps([spoken, len(raw), None if wanted is None else list(wanted)])
        program.stdin.write(asked.encode() + b"\n" + raw)
        await program.stdin.drain()
        answer = await program.stdout.readline()
        if not answer:
            raise EOFError
        return unpacked(json.loads(answer))

    async def end(self) -> None:
        """End the program; the next text starts it again."""
        program, self._program = self._program, None
        if program is not None:
            with suppress(ProcessLookupError):
                program.kill()
            await program.wait()
            if program.stdin is not None:
                program.stdin.close()


async def shapes(texts: Sequence[Text], wanted: Collection[str] | None = None) -> list[Shape]:
    """Return the shape of each text."""
    async with Parsing() as parsing:
        return [await parsing.shape(text, wanted) for text in texts]
