"""Owns going through a long history in portions, between which whatever else runs has its turn."""

import asyncio
from collections.abc import Callable, Sequence

from agent.messages import Answer, Message

_PORTION = 200_000  # characters, with what a message costs by itself: a few thousandths of a second
_MESSAGE = 200


def shared(old: Sequence[Message], new: Sequence[Message]) -> int:
    """Return how many messages two histories begin with alike: the very same ones, for a message never changes."""
    return next(
        (count for count, (one, other) in enumerate(zip(old, new, strict=False)) if one is not other), min(len(old), len(new))
    )


async def in_portions(old: Sequence[Message], new: Sequence[Message], work: Callable[[Sequence[Message]], object]) -> None:
    """Let `work` see more and more of a history, but for the last portion of what it has beyond an old one."""
    size = 0
    for place in range(shared(old, new), len(new)):
        if size >= _PORTION:
            work(new[:place])
            await asyncio.sleep(0)
            size = 0
        size += _size(new[place])


def _size(message: Message) -> int:
    if isinstance(message, Answer):
        called = sum(len(call.arguments) for call in message.calls)
        return (
            _MESSAGE
            + len(message.text)
            + len(message.reasoning)
            + called
            + (len(message.sealed.content) if message.sealed else 0)
        )
    return _MESSAGE + len(message.text) + sum(len(image.content) for image in message.images)
