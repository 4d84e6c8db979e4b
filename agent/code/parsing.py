"""Owns having texts parsed by a program of its own, each within its time, so that none harms us or the others."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from agent.code.grammars import language
from agent.code.program import Gone, Program
from agent.code.shape import Shape, refusal, unpacked

_SECONDS = 2.0  # for one text


@dataclass(frozen=True, slots=True)
class Text:
    """A text to be parsed, and what its file is called."""

    name: str
    raw: bytes


class Parsing:
    """Holds the program while it is needed: `async with Parsing() as parsing`."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._program = Program("agent.code.worker", seconds)

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
            return unpacked(await self._program.ask([spoken, None if wanted is None else list(wanted)], text.raw))
        except Gone as gone:
            return Shape(refused=str(gone))

    async def end(self) -> None:
        """End the program; the next text starts it again."""
        await self._program.end()


async def shapes(texts: Sequence[Text], wanted: Collection[str] | None = None) -> list[Shape]:
    """Return the shape of each text."""
    async with Parsing() as parsing:
        return [await parsing.shape(text, wanted) for text in texts]
