"""Owns the screen in tests: the real app over the real front door, a scripted server and a repository of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from textual._context import visible_screen_stack
from textual.pilot import Pilot
from textual.strip import Strip

from agent.events.event import Event
from jumar.options import RunOptions
from jumar.screen import FrontDesk, Played
from tests.runs import Person
from tui.app import JumarApp
from tui.desk import Choice
from tui.look import is_foldable
from tui.transcript import Transcript

_PATIENCE = 20.0  # seconds


@dataclass(frozen=True, slots=True)
class Screen:
    """The app as it runs, and the hands of the person before it."""

    app: JumarApp
    pilot: Pilot[int]

    @property
    def text(self) -> str:
        """All that can be seen now."""
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in self.strips)

    @property
    def strips(self) -> list[Strip]:
        """The rows of all that can be seen now, each with its styles."""
        # What lies below is painted by the screen over it, which keeps it: it has to know of it as in a frame of its own.
        visible_screen_stack.set(self.app._background_screens)
        return self.app.screen._compositor.render_strips()

    async def until(self, holds: Callable[[], Any]) -> None:
        """Let the app run until something holds."""
        await self._until(holds, "this does not hold")

    async def see(self, *words: str) -> None:
        """Wait until all these words can be seen."""
        await self._until(lambda: all(word in self.text for word in words), f"{words} cannot be seen")

    async def _until(self, holds: Callable[[], Any], fault: str) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                while not holds():
                    await self.pilot.pause(0.01)
        except TimeoutError:
            raise AssertionError(f"{fault} in\n{self.text}") from None

    async def idle(self) -> None:
        """Wait until no turn runs: its last words are seen before it has ended."""
        await self.until(lambda: not self.app.turns.busy)

    async def heard(self) -> None:
        """Wait until what asks the person takes keys."""
        asking = [self.app.screen, *self.app.screen.query("#asking, #goahead")]
        await self.until(lambda: not any(getattr(one, "is_deaf", False) for one in asking if one.display))

    def tell(self, event: Event) -> None:
        """Have the session tell something."""
        assert self.app.session is not None
        self.app.session.tell(event)

    def open_all(self) -> None:
        """Open every entry of the conversation that is closed."""
        transcript = self.app.query_one(Transcript)
        for at, laid in enumerate(transcript._laid):
            if is_foldable(laid.entry) and not laid.opened:
                transcript._fold(at)

    async def say(self, text: str) -> None:
        """Type a prompt and send it."""
        await self.pilot.click("#prompt")
        self.app.query_one("#prompt").insert(text)  # type: ignore[attr-defined]
        await self.pilot.press("enter")


@asynccontextmanager
async def screen_of(
    person: Person,
    size: tuple[int, int] = (120, 40),
    choice: Choice | None = None,
    played: Played | None = None,
    **options: Any,
) -> AsyncIterator[Screen]:
    """Run the screen in the person's repository."""
    asked = RunOptions(prompts=None, cwd=person.root, screen=True, trust=True, **options)
    desk = FrontDesk(asked, person.environment, played)
    app = JumarApp(desk, choice or Choice())
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            screen = Screen(app, pilot)
            await screen.until(lambda: app.story.started is not None)
            yield screen
    finally:
        await desk.close()
