"""Owns what was heard and is not painted yet: it is painted in frames, so many a second at most."""

import asyncio
from collections.abc import Callable

from agent.events.event import Event

_FRAME = 1 / 25  # seconds between two paintings of what streams


class Ear:
    """Takes in what happens in one session. `wake` is called with each event."""

    def __init__(self, wake: Callable[[Event], None]) -> None:
        self._wake = wake
        self.heard: list[Event] = []

    def hear(self, event: Event) -> None:
        """Take in what happens."""
        self.heard.append(event)
        self._wake(event)


class Hearing:
    """Hears one session after the other. `later` has the screen call something, `paint` paints, `notice` is told at once."""

    def __init__(
        self, later: Callable[[Callable[[], None]], object], paint: Callable[[], None], notice: Callable[[Event], None]
    ) -> None:
        self._later = later
        self._paint = paint
        self._notice = notice
        self._ear = self.ear()
        self._said: list[Event] = []  # what no session told
        self._awake = False  # whether a frame will be painted
        self._framed = 0.0  # the moment of the last

    def __bool__(self) -> bool:
        """Whether something was heard and is not painted yet."""
        return bool(self._ear.heard or self._said)

    def ear(self) -> Ear:
        """Return an ear for another session. What it hears is painted once one has turned to it."""
        return Ear(self._hear)

    def turn_to(self, ear: Ear) -> None:
        """Hear that session from now on; what the one before still tells is for its log alone."""
        self._ear = ear

    def say(self, event: Event) -> None:
        """Take in what no session tells."""
        self._said.append(event)
        self._wake()

    def take(self) -> list[Event]:
        """Return what was heard since."""
        heard, self._ear.heard, said, self._said = self._ear.heard, [], self._said, []
        return heard + said

    def _hear(self, event: Event) -> None:
        self._notice(event)
        self._wake()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._framed + _FRAME), self._later, self._frame)

    def _frame(self) -> None:
        self._awake, self._framed = False, asyncio.get_running_loop().time()
        self._paint()
