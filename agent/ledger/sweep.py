"""Owns the sweep over all that the table says: which folders are not as they were, told without reading them again.

Names come and go only where the times of their folder change; so a folder is listed anew only then. What is known of the files
is written as an index of git's, for `git diff-files` compares fifty thousand of them in less time than an interpreter takes for
ten. The index is a file without a name, of this session alone: what another one knows is not what this one knows.

Git may compare whole seconds only. What changed in the last two before the index was written is in it as what no file is like,
so that it is looked at; so is one name that is nowhere: where git does not tell of it, it has not read the index, and all is
walked.
"""

import asyncio
import hashlib
import os
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.errors import JumarError
from agent.ledger.bare import Bare
from agent.ledger.table import Table, folder_mark, join, numbers
from agent.ledger.watch import keeps_times

_NOWHERE = b"\x01 of jumar"
_SINCE = 2_100_000_000  # nanoseconds
_MOST_AGAIN = 200  # folders that are listed anew before the index is written once more
_ENTRY = struct.Struct(">10I")  # time of change, time of content, device, inode, mode, owner, group, size
_LONGEST_NAME = 0xFFF
_LOW = 0xFFFFFFFF
_SECOND = 1_000_000_000


class Sweep:
    """Sweeps over what a table says is below `root`; the index comes with the first `renew`. `now` is in nanoseconds."""

    def __init__(self, bare: Bare, root: Path, table: Table, now: Callable[[], int] = time.time_ns) -> None:
        self._bare = bare
        self._root = os.fsencode(root)
        self._table = table
        self._now = now
        self._index = -1
        self._fits = keeps_times(root)

    async def folders(self) -> set[bytes] | None:
        """Return the folders that may hold something else than the table says; None where it cannot be told."""
        if self._index < 0:
            return None
        place = {"GIT_INDEX_FILE": f"/dev/fd/{self._index}"}
        asking = asyncio.ensure_future(self._bare.git.run("diff-files", "-z", "--name-only", lock=self._index, environment=place))
        try:
            changed = await asyncio.to_thread(self._changed_folders)
            told = await asking
        except JumarError:
            return None
        finally:
            asking.cancel()
        files = told.out.split(b"\0")
        if told.err or _NOWHERE not in files:
            return None
        changed.update(file.rpartition(b"/")[0] for file in files if file)
        return changed | self._table.touched

    async def renew(self, listed: int) -> None:
        """Write the index where there is none, or where so many folders were `listed` anew that it does not help."""
        if self._fits and (listed > _MOST_AGAIN or self._index < 0):
            await asyncio.to_thread(self._write)

    def close(self) -> None:
        """Let go of the index."""
        if self._index >= 0:
            os.close(self._index)
        self._index = -1

    def _changed_folders(self) -> set[bytes]:
        found = set()
        root, look = self._root + b"/", os.lstat
        for path, folder in self._table.folders.items():
            try:
                same = folder_mark(look(root + path)) == folder.mark
            except OSError:
                same = False
            if not same:
                found.add(path)
        return found

    def _write(self) -> None:
        self.close()
        until = self._now() - _SINCE
        size = 32 if self._bare.kind == "sha256" else 20
        try:
            with tempfile.TemporaryFile(dir=self._bare.folder) as opened:
                seal = hashlib.new(self._bare.kind, usedforsecurity=False)
                entries = sorted(self._entries(size, until))
                head = b"DIRC" + struct.pack(">II", 2, len(entries))
                whole = b"".join((head, *(entry for _, entry in entries)))
                seal.update(whole)
                opened.write(whole + seal.digest())
                opened.flush()
                self._index = os.dup(opened.fileno())
        except OSError:  # without it, all is walked
            self.close()
        self._table.touched.clear()

    def _entries(self, size: int, until: int) -> Iterator[tuple[bytes, bytes]]:
        """Yield path and entry of every file, in the form of git's index, version 2."""
        unlike = _ENTRY.pack(*(0,) * 6, stat.S_IFREG | 0o644, *(0,) * 3)
        name = b"\1" * size  # none is asked for; git takes zeros for a fault
        yield _NOWHERE, _entry(_NOWHERE, unlike, name)
        for above, folder in self._table.folders.items():
            for one, record in folder.names.items():
                path = join(above, one)
                mode, length, modified, changed, inode, owner, group = numbers(record)
                if changed > until or not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                    yield path, _entry(path, unlike, name)
                    continue
                kind = stat.S_IFLNK if stat.S_ISLNK(mode) else stat.S_IFREG | (0o755 if mode & stat.S_IXUSR else 0o644)
                times = (*divmod(changed, _SECOND), *divmod(modified, _SECOND))
                seconds = (times[0] & _LOW, times[1], times[2] & _LOW, times[3])
                yield path, _entry(path, _ENTRY.pack(*seconds, 0, inode & _LOW, kind, owner, group, length & _LOW), name)


def _entry(path: bytes, status: bytes, name: bytes) -> bytes:
    length = len(status) + len(name) + 2 + len(path)
    return b"".join((status, name, struct.pack(">H", min(len(path), _LONGEST_NAME)), path, bytes(8 - length % 8)))
