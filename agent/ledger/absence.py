"""Owns what changed while no session looked: between what the ledger knew last and a session's first look.

A first look leaves a mark: its snapshot, and how many records there were. What it held, with what later records say, is what
was known last, however that session ended; where the files are otherwise now, somebody changed them since, or a command whose
record was lost with its session.
"""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

from agent.errors import JumarError
from agent.ledger.action import Action, Delta, Held
from agent.ledger.bare import Bare
from agent.ledger.snapshot import Snapshot
from agent.ledger.table import Known, Table

_MOST = 2000  # paths: what a checkout of another branch does is no list to read
_PIN = "refs/jumar/looked"
_LARGEST = 1 << 16


@dataclass(frozen=True, slots=True)
class _Mark:
    tree: str
    records: int
    moment: int  # nanoseconds


class Absence:
    """Compares the first look of a session with what was known before."""

    def __init__(self, bare: Bare) -> None:
        self._bare = bare
        self._root = os.fsencode(bare.theirs.root)
        self._file = bare.folder / "looked"

    async def changes(self, first: Snapshot, table: Table, actions: Sequence[Action]) -> dict[bytes, tuple[Known, Known]]:
        """Return what is not as it was known; `actions` are all of the ledger. Raises JumarError."""
        mark = self._read()
        if mark is None:
            return {}
        recorded = {os.fsencode(delta.path): delta for action in actions[mark.records :] for delta in action.deltas}
        before = await self._listed(mark.tree, first.tree)
        paths = before.keys() | recorded.keys()
        if len(paths) > _MOST:
            return {}
        found = {}
        for path in paths:
            now = table.known(path)
            old = self._was(recorded.get(path), before.get(path), now)
            if old != now and self._is_news(path, old, now, mark):
                found[path] = old, now
        return found

    async def remember(self, first: Snapshot, records: int) -> None:
        """Leave a mark of a first look, before which there were so many records. Raises JumarError."""
        if self._read() == (mark := _Mark(first.tree, records, first.began)):
            return
        await self._bare.git.run("update-ref", _PIN, first.tree)
        try:
            beside = self._file.with_suffix(".tmp")
            beside.write_text(json.dumps(asdict(mark)), "ascii")
            beside.rename(self._file)
        except OSError as error:
            raise JumarError(f"the ledger cannot be written: {error.strerror}: {self._file}") from error

    def _read(self) -> _Mark | None:
        with suppress(OSError, ValueError, TypeError, KeyError):
            with self._file.open("rb") as opened:
                value = json.loads(opened.read(_LARGEST))
            return _Mark(str(value["tree"]), int(value["records"]), int(value["moment"]))
        return None

    async def _listed(self, old: str, new: str) -> Mapping[bytes, tuple[bytes, str]]:
        """Return the paths that differ between two snapshots: what git says of each as it was, its mode and its object."""
        if old == new:
            return {}
        listed = (await self._bare.git.run("diff-tree", "-r", "-z", "--no-renames", "--raw", old, new)).out.split(b"\0")
        told = zip(listed[::2], listed[1::2], strict=False)
        return {path: (line[1:7], line.split(b" ")[2].decode("ascii")) for line, path in told}

    def _was(self, recorded: Delta | None, listed: tuple[bytes, str] | None, now: Known) -> Known:
        """Return what a path was: what the last record says, else what the snapshot held; as it is now where nobody knows."""
        if recorded is not None:
            return recorded.after if not recorded.why else now
        if listed is None or listed[0] == b"000000":
            return None
        kind = int(listed[0], 8)
        if isinstance(now, Held) and stat.S_IFMT(now.mode) == stat.S_IFMT(kind) and not (now.mode ^ kind) & stat.S_IXUSR:
            return Held(listed[1], now.mode)
        # More of its mode is not known: nobody else may read what it held.
        return Held(listed[1], kind | 0o777 if stat.S_ISLNK(kind) else stat.S_IFMT(kind) | kind & 0o700)

    def _is_news(self, path: bytes, old: Known, now: Known, mark: _Mark) -> bool:
        """Whether it is certain: what no look comes to is no longer known, but not gone; what is old was only not held."""
        if now is not None and not isinstance(now, Held):
            return False
        with suppress(OSError):
            status = os.lstat(self._root + b"/" + path)
            return now is not None and (old is not None or status.st_ctime_ns > mark.moment)
        return now is None
