"""Owns the stretch from before a session's first change until now: which files differ, and the patch of it."""

import asyncio

from agent.errors import JumarError
from agent.ledger.snapshot import Snapshot
from agent.ledger.store import FileChange, Store


class Span:
    """Takes its first snapshot when the first change is about to happen, and none where nothing ever changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._first: Snapshot | None = None
        self._lock = asyncio.Lock()
        self.fault = ""  # why nothing can be told, where that is so

    async def begin(self) -> None:
        """Make sure that what is there now is known; call it before every change."""
        async with self._lock:
            if self._first is None and not self.fault:
                try:
                    self._first = await self._store.now()
                except JumarError as error:
                    self.fault = str(error)

    async def changed(self) -> tuple[FileChange, ...]:
        """Return the files that differ from the beginning."""
        if self._first is None:
            return ()
        return await self._store.changed(self._first, await self._store.snapshot())

    async def patch(self) -> bytes:
        """Return the difference as a patch that `git apply` takes; empty where nothing changed."""
        if self.fault:
            raise JumarError(self.fault)
        if self._first is None:
            return b""
        return await self._store.patch(self._first, await self._store.snapshot())
