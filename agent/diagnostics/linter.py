"""Owns one linter of a session: run once for each text, which it reads from stdin."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.diagnostics.contract import Broken, Starting, Subject
from agent.diagnostics.finding import Usable
from agent.diagnostics.problem import Problem, problem
from agent.diagnostics.programs import LinterProgram
from agent.errors import ToolFailure
from agent.workspace.contract import READ_ONLY

_SECONDS = 20.0  # for one text
_LARGEST = 8 << 20  # bytes of an answer
_CHUNK = 64 << 10
_MOST_PROBLEMS = 500
_MOST_FAILURES = 3  # in a row


class Linter:
    """One such, for one folder."""

    def __init__(self, usable: Usable, program: LinterProgram, starting: Starting) -> None:
        self.name = program.name
        self._usable = usable
        self._program = program
        self._starting = starting
        self._failures = 0
        self._last = ""

    @property
    def fault(self) -> str:
        """Why it is asked no more, as a clause; "" where it is."""
        return self._last if self._failures >= _MOST_FAILURES else ""

    @property
    def joined(self) -> bool:
        """It looks at one file."""
        return False

    @property
    def standing(self) -> str:
        """How it stands."""
        return f"given up: {self.fault}" if self.fault else "runs after each change"

    @property
    def mute(self) -> bool:
        """It always says what it finds."""
        return False

    async def warm(self) -> None:
        """Need nothing before it is asked."""

    async def find(self, subject: Subject) -> tuple[Problem, ...] | None:
        """Return the problems of a text, None where it does not say."""
        try:
            found = read(self._program, await self._answer(subject), subject.text.split("\n"))
        except (Broken, ToolFailure, OSError, EOFError, ValueError, RecursionError) as error:
            self._failures += 1
            self._last = str(error) or type(error).__name__
            return None
        self._failures = 0
        return found

    def elsewhere(self) -> dict[Path, tuple[Problem, ...]]:
        """Say nothing: it looks at one file."""
        return {}

    def noticed(self, paths: Sequence[Path]) -> None:
        """Need no news: it looks anew each time."""

    async def end(self) -> None:
        """End nothing: it runs only while it is asked."""

    async def _answer(self, subject: Subject) -> bytes:
        argv = [word.replace("{file}", str(subject.path)) for word in self._usable.argv]
        companion = await self._starting.accompany(argv, self._usable.folder, READ_ONLY)
        try:
            async with asyncio.timeout(_SECONDS):
                companion.tell(subject.text.encode("utf-8", "replace"))
                companion.finish()
                answer = bytearray()
                while chunk := await companion.said.read(_CHUNK):
                    answer += chunk
                    if len(answer) > _LARGEST:
                        raise Broken("it says more than anybody can hear")
        except TimeoutError:
            raise Broken(f"it did not answer for {_SECONDS:.0f} s") from None
        finally:
            await companion.end()
        if not answer.strip():
            raise Broken(companion.last_words or "it said nothing")
        return bytes(answer)


def read(program: LinterProgram, answer: bytes, lines: Sequence[str]) -> tuple[Problem, ...]:
    """Return the problems in a linter's answer. Raises ValueError where it is none."""
    found = []
    for row in _rows(json.loads(answer), program.rows):
        line: object = row
        for part in program.line:
            line = line.get(part) if isinstance(line, dict) else None
        code, message = row.get(program.code), row.get(program.message)
        severity = row.get(program.severity) if program.severity else None
        number = line if isinstance(line, int) else 1
        grave = severity in program.errors or code is None  # what has no code is a text that could not be read
        found.append(problem(number, str(message), "" if code is None else str(code), lines, grave=grave))
        if len(found) >= _MOST_PROBLEMS:
            break
    return tuple(found)


def _rows(answer: object, way: Sequence[str]) -> Iterator[dict[str, object]]:
    if not way:
        if isinstance(answer, dict):
            yield answer
        return
    if way[0] == "*":
        if not isinstance(answer, list):
            raise ValueError("its answer is not what it should be")
        for one in answer:
            yield from _rows(one, way[1:])
    elif isinstance(answer, dict):
        yield from _rows(answer.get(way[0]), way[1:])
    else:
        raise ValueError("its answer is not what it should be")
