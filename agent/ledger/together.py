"""Owns what several sessions do in one workspace at once: which commands of theirs run, and whose turn it is to look.

Whoever looks, and records what was found, does so alone: so the records of all sessions tell one story, in order, and each change
is in one of them. What a command has changed by the time that another session looks is recorded there and then, as the command's.
A command that runs is told by a file that its session holds locked: where the session dies, the lock goes with it.
"""

import asyncio
import fcntl
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from agent.errors import JumarError
from agent.ledger.action import Action, plain, read

PARTLY = "partly"  # the status of a record of what a command had changed when another session looked
_PATIENCE = 10.0  # seconds that another session may look
_LARGEST = 1 << 20
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Together:
    """The sessions that share the store in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = folder / "running"

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Look, change and record while no other session does. One that takes too long is waited for no longer."""
        try:
            # A parent that mkdir makes by the way is as open as the umask says.
            for folder in (self._folder.parent, self._folder):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._folder / "looking.lock", _FLAGS, 0o600)
        except OSError as error:
            raise JumarError(f"the ledger cannot be kept in {self._folder}: {error.strerror}") from error
        try:
            await _wait(handle)
            yield
        finally:
            os.close(handle)

    def begin(self, action: Action) -> Callable[[], None]:
        """Tell others that a command runs, as its record will say; what is returned ends that. Raises JumarError."""
        name = f"{time.time_ns():020}-{secrets.token_hex(4)}"
        try:
            self._running.mkdir(exist_ok=True, mode=0o700)
            handle = os.open(self._running / f".{name}", _FLAGS | os.O_EXCL, 0o600)
            try:
                _lock(handle)
                os.write(handle, json.dumps(plain(action)).encode("ascii"))
                (self._running / f".{name}").rename(self._running / name)
            except BaseException:
                os.close(handle)
                raise
        except OSError as error:
            raise JumarError(f"the ledger cannot be written: {error.strerror}: {self._running}") from error

        def end() -> None:
            with suppress(OSError):
                (self._running / name).unlink()
            os.close(handle)

        return end

    def running(self, session: str) -> list[Action]:
        """Return the commands of other sessions than this one that run now, the first begun first."""
        found = []
        try:
            names = sorted(self._running.iterdir())
        except OSError:
            return []
        for place in names:
            with suppress(OSError, ValueError, KeyError, TypeError):
                handle = os.open(place, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    if _lock(handle):  # nobody holds it: it has ended, or its session has
                        place.unlink()
                    elif not place.name.startswith("."):
                        found.append(read(json.loads(os.read(handle, _LARGEST))))
                finally:
                    os.close(handle)
        return [action for action in found if action.session != session]


def so_far(running: Sequence[Action], found: Action) -> Action:
    """Return what was `found` while commands of others run as the record of the one that began first."""
    first, *others = running
    return replace(
        first,
        status=PARTLY,
        deltas=found.deltas,
        folders=found.folders,
        shared=tuple(sorted({one.session for one in others} - {first.session})),
    )


async def _wait(handle: int) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        if _lock(handle) or time.monotonic() > until:
            return
        await asyncio.sleep(0.005)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
