"""Owns the questions of the model that wait for a person's words."""

import asyncio
from collections.abc import Callable

from agent.events.call import QuestionAsked
from agent.events.event import Event

_NOBODY = "(Nobody is there any more to answer.)"


class Questions:
    """Asks, and waits for the answers."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._left = False

    async def ask(self, call_id: str, question: str, choices: tuple[str, ...]) -> str:
        """Ask for a call, and return the answer."""
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = waiting
        try:
            self._tell(QuestionAsked(call_id=call_id, question=question, choices=choices))
            return _NOBODY if self._left else await waiting
        finally:
            del self._waiting[call_id]

    def answer(self, call_id: str, text: str) -> bool:
        """Answer; False where none of that id waits."""
        waiting = self._waiting.get(call_id)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(text)
        return True

    def leave(self) -> None:
        """Nobody can answer any more: what waits is answered so."""
        self._left = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(_NOBODY)
