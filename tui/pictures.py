"""Owns pictures as a terminal shows them: two pixels a cell, one above the other, where it has the colours for them."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby

from textual.color import Color
from textual.content import Content
from textual.style import Style

from agent.blocks import Image
from agent.pictures import Grid, Unshowable, grid

_WIDEST = 48  # columns in the conversation
_HIGHEST = 14  # rows in it
_MOST = 64  # pictures that are kept as they are drawn
_PALETTES = frozenset({"truecolor", "256"})

Size = tuple[int, int]  # columns and rows at most


class Gallery:
    """Draws pictures, each once a size, by a program of its own. `ready` is told for whom one is drawn by now."""

    def __init__(self, ready: Callable[[str], None]) -> None:
        self._ready = ready
        self._drawn: dict[tuple[str, Size], Content | None] = {}  # none where it cannot be
        self._wanted: dict[tuple[str, Size], set[str]] = {}  # by whom
        self._drawing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def small(self, image: Image, width: int, key: str) -> Content | None:
        """Return a picture as large as the conversation has room for it; none where there is none, or none yet."""
        return self.drawn(image, (min(width, _WIDEST), _HIGHEST), key)

    def drawn(self, image: Image, size: Size, key: str) -> Content | None:
        """Return a picture in a size; none where it cannot be, or is not yet: `key` is told once it is."""
        wanted = image.content, size
        if wanted in self._drawn:
            return self._drawn[wanted]
        if size[0] > 0 and size[1] > 0:
            if wanted not in self._wanted:
                task = asyncio.create_task(self._draw(image, size))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._wanted.setdefault(wanted, set()).add(key)
        return None

    async def _draw(self, image: Image, size: Size) -> None:
        wanted = image.content, size
        async with self._drawing:  # each is a program, and a session may hold many
            try:
                found = halves(await asyncio.to_thread(grid, image, size[0], 2 * size[1]))
            except Unshowable:
                found = None
        while len(self._drawn) >= _MOST:
            del self._drawn[next(iter(self._drawn))]
        self._drawn[wanted] = found
        for key in sorted(self._wanted.pop(wanted)):
            self._ready(key)

    def close(self) -> None:
        """Draw no more."""
        for task in self._tasks:
            task.cancel()


def has_colours(palette: str | None, *, bare: bool) -> bool:
    """Whether a terminal of this palette can show pictures; `bare`: the person wants no colours."""
    return palette in _PALETTES and not bare


def halves(pixels: Grid) -> Content:
    """Draw a picture: a cell holds the colour of a pixel and, as its ground, that of the one below."""
    rows = pixels.rows
    lines: list[Content] = []
    for top in range(0, len(rows), 2):
        below: Sequence[tuple[int, int, int] | None] = rows[top + 1] if top + 1 < len(rows) else [None] * pixels.width
        parts: list[tuple[str, Style]] = []
        for (above, under), run in groupby(zip(rows[top], below, strict=True)):
            count = sum(1 for _ in run)
            if under is None:
                parts.append(("▀" * count, Style(foreground=Color(*above))))
            elif above == under:
                parts.append((" " * count, Style(background=Color(*above))))
            else:
                parts.append(("▀" * count, Style(foreground=Color(*above), background=Color(*under))))
        lines.append(Content.assemble(*parts))
    return Content("\n").join(lines)
