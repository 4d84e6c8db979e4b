"""Owns what histories must hold: that of a log, and whether a request with one is valid."""

from collections.abc import Iterable

from agent.events.event import Event
from agent.history import History
from agent.messages import Answer, Message, Reply


def fold(events: Iterable[Event]) -> History:
    """Return the history that a log tells."""
    history = History()
    for event in events:
        history.apply(event)
    return history


def is_valid(messages: Iterable[Message]) -> bool:
    """Whether every call has exactly one reply, at once and in order, and every reply a call."""
    due: list[str] = []
    for message in messages:
        if isinstance(message, Reply):
            if not due or due.pop(0) != message.call_id:
                return False
        elif due:
            return False
        elif isinstance(message, Answer):
            due = [call.id for call in message.calls]
    return not due
