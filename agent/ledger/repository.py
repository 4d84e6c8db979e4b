"""Owns what the person's repository points to: HEAD, refs, stashes and the index, read without writing a byte of it.

Files are read directly where that is exact (HEAD, loose and packed refs, the list of stashes); git is asked for refs that
are kept as a table, and to read the index, from a copy. What is pointed to is pinned: its objects are taken over into our store,
under refs of ours, so that nothing that happens to the person's repository can lose it.
"""

import asyncio
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import JumarError
from agent.ledger.action import Repository
from agent.ledger.bare import Bare
from agent.ledger.blobs import Blobs
from agent.workspace.git import Git

TREE, ENTRIES = b"tree ", b"entries\n"  # how the bytes that stand for an index begin
PINS = "refs/jumar/pins/"
STASH = "refs/stash"
_LARGEST = 64 << 20  # bytes of a file of the repository
_LONGEST_REF = 4096
_MOST_REFS = 20_000
_OID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PATIENCE = 30.0  # seconds that taking over objects may take
_TICK = 20_000_000  # nanoseconds in which a file may change twice and look the same


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository keeps what is its work tree's own, and what all its work trees share."""

    own: Path
    common: Path

    @property
    def objects(self) -> Path:
        """Where its objects are."""
        return self.common / "objects"


def place_of(root: Path) -> Place | None:
    """Return where the repository at a root is; None where there is none."""
    own = root / ".git"
    try:
        kind = own.lstat().st_mode
    except OSError:
        return None
    if stat.S_ISREG(kind):
        words = read_small(own).decode("utf-8", "surrogateescape").strip()
        if not words.startswith("gitdir: "):
            return None
        own = root / words.removeprefix("gitdir: ")
    shared = read_small(own / "commondir").decode("utf-8", "surrogateescape").strip()
    place = Place(own, own / shared if shared else own)
    return place if (own / "HEAD").is_file() and place.objects.is_dir() else None


@dataclass(slots=True)
class _Memory:
    """What was read, and of which files, so that what stays the same is not read again."""

    packed: dict[str, str] = field(default_factory=dict)
    packed_mark: tuple[int, ...] = ()
    index: str = ""
    index_mark: tuple[int, ...] = ()
    index_tree: str = ""
    pinned: set[str] | None = None
    gave_up: bool = False  # to pin takes too long here


class Repositories:
    """Reads the state of the person's repository at the root of a store, time and again."""

    def __init__(self, bare: Bare) -> None:
        self._bare = bare
        self._memory = _Memory()

    async def read(self, *, pin: bool = False) -> Repository | None:
        """Return what it points to; None where there is none, or git cannot read it. `pin` keeps all that can be lost."""
        place = place_of(self._bare.theirs.root)
        if place is None:
            return None
        try:
            head = read_small(place.own / "HEAD", _LONGEST_REF).decode("utf-8", "surrogateescape").strip()
            if (place.common / "reftable").is_dir():
                head, refs = await self._asked()
            else:
                refs = self._packed(place) | dict(_loose(place))
            state = Repository(head, dict(sorted(refs.items())), _stashes(place), await self._index(place))
        except (JumarError, OSError):
            return None
        if pin and not self._memory.gave_up:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self._pin(place, state)
            except (JumarError, TimeoutError) as error:  # a partial clone, or one that lacks objects: it keeps what it has
                self._memory.gave_up = isinstance(error, TimeoutError)
        return state

    async def _asked(self) -> tuple[str, dict[str, str]]:
        theirs = self._bare.theirs
        listed = (await theirs.run("for-each-ref", "--format=%(refname)%00%(objectname)%00%(symref)%00")).out.split(b"\0")
        refs = {}
        for name, oid, target in zip(listed[::3], listed[1::3], listed[2::3], strict=False):
            refs[os.fsdecode(name.lstrip(b"\n"))] = f"ref: {os.fsdecode(target)}" if target else oid.decode("ascii")
        target = (await theirs.run("symbolic-ref", "-q", "HEAD", most=1)).out.strip()
        if target:
            return f"ref: {os.fsdecode(target)}", refs
        return (await theirs.run("rev-parse", "--verify", "HEAD")).out.decode("ascii").strip(), refs

    def _packed(self, place: Place) -> dict[str, str]:
        memory, file = self._memory, place.common / "packed-refs"
        mark = _mark(file)
        if not mark or mark != memory.packed_mark:
            lines = read_small(file).decode("utf-8", "surrogateescape").splitlines()
            pairs = (line.split(" ", 1) for line in lines if _OID.match(line))
            memory.packed, memory.packed_mark = {name: oid for oid, name in pairs}, mark
        return dict(memory.packed)

    async def _index(self, place: Place) -> str:
        """Return the name of bytes of ours that stand for the index; empty where there is none."""
        memory, file = self._memory, place.own / "index"
        mark = _mark(file)
        if mark and mark == memory.index_mark:
            return memory.index
        whole = read_small(file)
        memory.index_tree = ""
        if not whole:
            memory.index, memory.index_mark = "", mark
            return ""
        with tempfile.TemporaryDirectory(dir=self._bare.folder, prefix="index-") as folder:
            copy = Path(folder) / "index"
            copy.write_bytes(whole)
            where = {"GIT_INDEX_FILE": str(copy)} | alternates(place)
            listed = (await self._bare.git.run("ls-files", "-u", "-z", environment=where)).out
            if listed:  # a merge is under way: no tree can say so
                content = ENTRIES + (await self._bare.git.run("ls-files", "-s", "-z", environment=where)).out
            else:
                tree = (await self._bare.git.run("write-tree", "--missing-ok", environment=where)).out.decode("ascii").strip()
                memory.index_tree, content = tree, TREE + tree.encode("ascii")
        memory.index = Blobs(self._bare.folder, self._bare.git, self._bare.kind).put(content)
        memory.index_mark = mark
        return memory.index

    async def _pin(self, place: Place, state: Repository) -> None:
        """Take over what could be lost: what heads, tags, stashes, HEAD and the index need and our store lacks."""
        git, memory = self._bare.git, self._memory
        if memory.pinned is None:
            listed = (await git.run("for-each-ref", "--format=%(objectname)", PINS)).out
            memory.pinned = set(listed.decode("ascii").split())
        wanted = set(_tips(state)) | ({memory.index_tree} if memory.index_tree else set())
        fresh = sorted(wanted - memory.pinned)
        if not fresh:
            return
        both = alternates(place)
        self._take_edge(place)
        there = await _present(git, fresh, both)
        fresh = [name for name in fresh if name in there]
        tips = "".join(f"{name}\n" for name in fresh).encode("ascii")
        asked = ("rev-list", "--objects", "--no-object-names", "--stdin", "--not", f"--glob={PINS}*")
        listed = (await git.run(*asked, stdin=tips, environment=both)).out
        needed = listed.decode("ascii").split()
        ours = await _present(git, needed, {})
        if missing := "".join(f"{name}\n" for name in needed if name not in ours):
            packs = os.fspath(self._bare.folder / "objects" / "pack" / "pack")
            await git.run("pack-objects", "-q", packs, stdin=missing.encode("ascii"), environment=both)
        pins = "".join(f"update {PINS}{name} {name}\n" for name in fresh)
        await git.run("update-ref", "--stdin", stdin=pins.encode("ascii"))
        memory.pinned.update(wanted)

    def _take_edge(self, place: Place) -> None:
        """Know where the history of a shallow clone ends."""
        edge, ours = read_small(place.common / "shallow"), self._bare.folder / "shallow"
        if edge and edge != read_small(ours):
            beside = ours.with_name("shallow.tmp")
            beside.write_bytes(edge)
            beside.rename(ours)


def alternates(place: Place) -> dict[str, str]:
    """Return the environment in which git finds the objects of a repository besides its own."""
    quoted = os.fspath(place.objects.resolve()).replace("\\", "\\\\").replace('"', '\\"')
    return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{quoted}"'}


def read_small(file: Path, most: int = _LARGEST) -> bytes:
    """Return what a regular file holds; nothing where there is none, or it is larger than that."""
    with suppress(OSError), os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as opened:
        status = os.fstat(opened.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size <= most:
            return opened.read(most)
    return b""


def _mark(file: Path) -> tuple[int, ...]:
    """Return what tells that a file has changed; nothing where it is not there, or may change once more and look the same."""
    now = time.time_ns()
    with suppress(OSError):
        status = file.lstat()
        if status.st_ctime_ns + _TICK < now:
            return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return ()


def _loose(place: Place) -> Iterator[tuple[str, str]]:
    """Yield the refs that have a file each."""
    left = _MOST_REFS
    for base in dict.fromkeys((place.common, place.own)):
        waiting = ["refs"]
        while waiting:
            above = waiting.pop()
            with suppress(OSError), os.scandir(base / above) as entries:
                for entry in entries:
                    name = f"{above}/{entry.name}"
                    left -= 1
                    if left < 0:
                        raise JumarError("there are more refs than are looked at")
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(name)
                    elif not name.endswith(".lock"):
                        words = read_small(base / name, _LONGEST_REF).decode("utf-8", "surrogateescape").strip()
                        if is_oid(words) or words.startswith("ref: "):
                            yield name, words


def _stashes(place: Place) -> tuple[str, ...]:
    """Return the stashes, the newest first: of each its commit and its message."""
    lines = read_small(place.common / "logs" / "refs" / "stash").decode("utf-8", "surrogateescape").splitlines()
    told = (line.partition("\t") for line in reversed(lines))
    return tuple(f"{front.split(' ')[1]} {message}" for front, _, message in told if front.count(" ") > 1)


def is_oid(words: str) -> bool:
    """Whether the words name an object."""
    return _OID.fullmatch(words) is not None


def _tips(state: Repository) -> Iterator[str]:
    """Yield the objects that are lost where nothing points to them; what a remote has can be fetched again."""
    for name, value in state.refs.items():
        if is_oid(value) and not name.startswith("refs/remotes/"):
            yield value
    if is_oid(state.head):
        yield state.head
    for stash in state.stashes:
        yield stash.split(" ", 1)[0]


async def _present(git: Git, names: Iterable[str], environment: Mapping[str, str]) -> set[str]:
    """Return those of the objects that are there."""
    asked = "".join(f"{name}\n" for name in names).encode("ascii")
    told = (await git.run("cat-file", "--batch-check=%(objectname)", stdin=asked, environment=environment)).out
    return {line for line in told.decode("ascii", "replace").splitlines() if not line.endswith(" missing")}
