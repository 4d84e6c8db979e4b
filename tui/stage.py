"""Owns what commands, and what stands before a session, need of the app."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from agent.events.event import Event
from tui.desk import Choice, Desk, Taste
from tui.story import Story
from tui.words import Words

if TYPE_CHECKING:
    from agent.session import Session
    from tui.reversal import Reversal
    from tui.turns import Turns


class Stage(Protocol):
    """The app, as they see it."""

    desk: Desk
    words: Words
    story: Story
    reversal: "Reversal"
    turns: "Turns"

    @property
    def session(self) -> "Session | None":
        """The open session."""
        ...

    def run_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the screen; what goes wrong is told in one line."""
        ...

    def tell(self, event: Event) -> None:
        """Show something that the session cannot tell."""
        ...

    def say(self, text: str) -> None:
        """Tell the person something."""
        ...

    async def open(self, choice: Choice) -> None:
        """Open a session in place of the one before."""
        ...

    def review(self, *, commits: bool = False) -> None:
        """Open the review."""
        ...

    def follow_taste(self, taste: Taste) -> None:
        """Look as the person wants it from now on."""
        ...
