"""Owns what was heard and is not painted yet: it is painted in frames, so many a second at most."""

import asyncio
from collections.abc import Callable

from agent.events.event import Event

_FRAME = 1 / 25  # seconds between two paintings of what streams


class Hearing:
    """Takes in what happens. `later` has the screen call something, `paint` paints what was heard."""

    def __init__(self, later: Callable[[Callable[[], None]], object], paint: Callable[[], None]) -> None:
        self._later = later
        self._paint = paint
        self._heard: list[Event] = []
        self._awake = False  # whether a frame will be painted
        self._framed = 0.0  # the moment of the last

    def __bool__(self) -> bool:
        """Whether something was heard and is not painted yet."""
        return bool(self._heard)

    def hear(self, event: Event) -> None:
        """Take in what happens; it is painted with the next frame."""
        self._heard.append(event)
        if not self._awake:
            self._awake = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._framed + _FRAME), self._later, self._frame)

    def take(self) -> list[Event]:
        """Return what was heard since."""
        heard, self._heard = self._heard, []
        return heard

    def _frame(self) -> None:
        self._awake, self._framed = False, asyncio.get_running_loop().time()
        self._paint()
