"""Owns what the store keeps and for how long: which records have their bytes, and letting go of the oldest."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from agent.errors import JumarError
from agent.ledger.audit import held_by
from agent.ledger.chain import FIRST, Link
from agent.workspace.git import Git

DAYS = 30
BYTES = 2 << 30
_YOUNG = timedelta(days=1)  # what is younger may belong to a session that runs


@dataclass(frozen=True, slots=True)
class Stats:
    """What a store takes."""

    records: int
    kept: int  # records whose bytes are there
    bytes: int


class Retention:
    """Prunes one store. Whoever calls it holds the store's lock."""

    def __init__(self, folder: Path, git: Git) -> None:
        self._folder = folder
        self._git = git
        self._mark = folder / "pruned"
        self._tidied = folder / "tidied"  # its time is when it was looked for something to prune last

    def kept_from(self, links: Sequence[Link]) -> int:
        """Return how many of the first records have let their bytes go. Raises JumarError where the mark of it was altered."""
        try:
            marked = self._mark.read_bytes()
        except FileNotFoundError:
            return 0
        count = marked.partition(b" ")[0]
        number = int(count) if count.isdigit() and len(count) < 10 else -1
        if 0 <= number <= len(links) and marked == _mark(links, number):
            return number
        raise JumarError(f"what says which records were pruned is not what was written: {self._mark}")

    def stats(self, links: list[Link]) -> Stats:
        """Count."""
        return Stats(len(links), len(links) - self.kept_from(links), _size(self._folder))

    def is_due(self, links: Sequence[Link], now: datetime) -> bool:
        """Whether there is something to let go of; looked for once a day."""
        if not self._tidied.exists():
            self._tidied.touch()
            return False
        if not _older(self._tidied, now - _YOUNG):
            return False
        self._tidied.touch()
        kept = self.kept_from(links)
        old = kept < len(links) and _moment(links[kept]) < now - timedelta(days=DAYS)
        return old or _size(self._folder) > BYTES

    async def prune(self, links: list[Link], now: datetime, days: int, most: int, told: Callable[[str], None]) -> Stats:
        """Let go of the bytes of records older than `days`, and of the oldest ones until it takes at most `most` bytes."""
        edge = now - timedelta(days=days)
        first = next((number for number, link in enumerate(links) if _moment(link) >= edge), len(links))
        first = max(first, self.kept_from(links))
        told(f"{first} of {len(links)} records are older than {days} days")
        await self._keep(links, first, now - _YOUNG, told)
        while _size(self._folder) > most and first < len(links):
            first = min(len(links), first + max(1, (len(links) - first) // 4))
            told(f"still more than {most >> 20} MiB: letting go of the bytes of {first} records")
            await self._keep(links, first, now - _YOUNG, told)
        return self.stats(links)

    async def _keep(self, links: list[Link], first: int, edge: datetime, told: Callable[[str], None]) -> None:
        """Pack what the records from `first` on need, and what the last look at the workspace needs, and remove all else."""
        names = dict.fromkeys(held.object for link in links[first:] for held in held_by(link.action))
        roots = (await self._git.run("for-each-ref", "--format=%(objectname)")).out.decode("ascii").split()
        objects = self._folder / "objects"
        old = [file for file in objects.rglob("*") if file.parent.name != "info" and _older(file, edge)]
        told(f"packing {len(names)} objects")
        wanted = "".join(f"{name}\n" for name in names) + await self._looked_at() + await self._reachable(roots)
        (objects / "pack").mkdir(exist_ok=True)
        made = (
            await self._git.run(
                "pack-objects", "-q", "--no-reuse-delta", os.fspath(objects / "pack" / "pack"), stdin=wanted.encode()
            )
        ).out
        mark = self._mark.with_suffix(".tmp")
        mark.write_bytes(_mark(links, first))
        mark.rename(self._mark)
        new = made.decode("ascii").split()
        told(f"removing {len(old)} files of the store that was")
        for file in old:
            if not any(name in file.name for name in new):
                with suppress(FileNotFoundError):
                    file.unlink()

    async def _looked_at(self) -> str:
        """Return the objects that the index of the last look names."""
        listed = (await self._git.run("ls-files", "-s", "-z")).out.split(b"\0")
        return "".join(f"{entry.split(b' ')[1].decode()}\n" for entry in listed if entry)

    async def _reachable(self, roots: list[str]) -> str:
        if not roots:
            return ""
        listed = (await self._git.run("rev-list", "--objects", "--no-object-names", *roots)).out
        return listed.decode("ascii")


def _mark(links: Sequence[Link], first: int) -> bytes:
    """Return what says that the first records were pruned, with the seal of the last of them."""
    return f"{first} {links[first - 1].seal if first else FIRST}\n".encode("ascii")


def _older(file: Path, edge: datetime) -> bool:
    return file.is_file() and file.stat().st_mtime < edge.timestamp()


def _moment(link: Link) -> datetime:
    return datetime.fromisoformat(link.action.ts)


def _size(folder: Path) -> int:
    """Return the bytes that the files of a folder take, those that are also somebody else's not counted."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            status = file.lstat()
            total += status.st_size if status.st_nlink == 1 else 0
    return total
