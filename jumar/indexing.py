"""Owns when the index of names is looked after: once a turn, when its first request was answered.

Where a person has yet to write what they want, it is begun meanwhile, so that the first request has a map already.
"""

import asyncio

from agent.code.index import Index
from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.conversation import TurnStarted
from agent.events.event import Event
from agent.events.step import CallStreamed, ModelAnswered, ReasoningStreamed, TextStreamed
from agent.session import Listener


def indexing(index: Index, listen: Listener, early: float | None = None) -> Listener:
    """Return a listener that hears all that `listen` hears, and has the index follow it; at once after `early` seconds."""
    due = True
    if early is not None:
        asyncio.get_running_loop().call_later(early, index.start)

    def hear(event: Event, line: bytes) -> None:
        nonlocal due
        listen(event, line)
        match event:
            case TurnStarted():
                due = True  # the person may have changed anything since
            case ActionRecorded() | ActionsUndone():
                index.note(file.path for file in event.files)
            case TextStreamed() | ReasoningStreamed() | CallStreamed() | ModelAnswered() if due:
                due = False
                index.start()
            case _:
                pass

    return hear
