"""Owns attending to what somebody else changes while nothing of ours runs: when it is looked at, and how often."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_MOMENT = 0.3  # seconds in which what is saved together is waited for
_LEAST = 0.5  # seconds between two looks
_MOST = 60.0
_SHARE = 30  # times what a look took, that is rested then


async def attend(
    stirred: Callable[[], Awaitable[object]],
    look: Callable[[], Awaitable[None]],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look each time that something has stirred, without an end: in a storm ever more seldom, and the dearer, the less often."""
    rest = _LEAST
    while True:
        await stirred()
        await pause(_MOMENT)
        began = time.monotonic()
        await look()
        took = time.monotonic() - began
        await pause(max(rest, min(_MOST, _SHARE * took)))
        calm = time.monotonic()
        await stirred()
        rest = _LEAST if time.monotonic() - calm > rest else min(_MOST, 2 * rest)
