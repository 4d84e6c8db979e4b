"""Owns the private git store of one workspace: snapshots of its files, and what differs between two of them.

What a snapshot holds: every file and link below the root, byte for byte, that git would not ignore, every one that the
person's own repository tracks, and files that are ignored one by one, where they are small (`.env`, local databases).
What it does not hold is named in `left_out`: large files, files and folders that cannot be read, names that git does not
take, repositories inside this one. Pipes, sockets and devices are no files. Ignored folders, and those that tools fill
(`node_modules`, `__pycache__`, ...), are not entered unless the person's repository tracks something in them; empty
folders, owners, times and modes but for the x-bit are not kept.

The store is a bare repository of our own outside the workspace. Nothing of the person's repository is written. Its objects
are taken over once, when the store is made, as hard links, so that what was committed need not be stored again, and still
is there if that repository is pruned or removed; where links cannot be made, the files are stored anew.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from agent.errors import JumarError
from agent.ledger.snapshot import CLOSED_FOLDER, LeftOut, Look, Snapshot
from agent.workspace.git import Git

_MOST_RULES = 1 << 20  # bytes of a list of ignored files
_MOST_LOOSE = 10_000  # objects of theirs that are taken over one by one
_PATIENCE = 10.0  # seconds that another session may hold the store
_TRIES = 3  # files may come and go while they are read
_OLDEST = (2, 31)
_Kind = Literal["created", "modified", "deleted"]
_SETTINGS = (
    "core.bare=false",
    "core.autocrlf=false",
    "core.safecrlf=false",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.precomposeUnicode=false",
    "core.protectHFS=false",
    "core.protectNTFS=false",
    "core.looseCompression=0",
    "index.version=4",
    "index.threads=true",
)
# The highest precedence that attributes have: raw bytes whatever the files of the workspace say.
_ATTRIBUTES = "* -text -filter -ident -working-tree-encoding !diff !eol\n"
_FILLED_BY_TOOLS = """
.git node_modules .venv __pycache__ .mypy_cache .pytest_cache .ruff_cache .tox .nox .gradle .DS_Store
"""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file that differs between two snapshots; the lines are 0 where they cannot be counted."""

    path: str
    kind: _Kind
    added: int
    removed: int


class Store:
    """The snapshots of one workspace. Two sessions may share it: each waits for the other."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._root = root
        self._parent = folder
        self._folder = folder / hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
        self._git = Git(root, self._folder, _SETTINGS)
        self._theirs = Git(root)
        self._lock = asyncio.Lock()
        self._opened = False

    async def snapshot(self) -> Snapshot:
        """Take in what is there now. Raises JumarError."""
        async with self._held() as lock:
            for tries_left in reversed(range(_TRIES)):
                try:
                    return await self._take(lock)
                except JumarError:
                    if not tries_left:
                        raise
                    if tries_left == 1:
                        self._index.unlink(missing_ok=True)  # what it says may be wrong; from nothing is slow, and true
        raise AssertionError

    async def changed(self, before: Snapshot, after: Snapshot) -> tuple[FileChange, ...]:
        """Return the files that differ, by path. Raises JumarError."""
        changes: dict[bytes, FileChange] = {}
        if before.tree != after.tree:
            listed = await self._git.run("diff-tree", "-r", "-z", "--no-renames", "--raw", "--numstat", before.tree, after.tree)
            changes = _changes(listed.out)
        old, new = _files(before), _files(after)
        held_before = await self._holds(before.tree, new.keys() - old.keys())
        held_after = await self._holds(after.tree, old.keys() - new.keys())
        for path in {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}:
            was, now = path in old or path in held_before, path in new or path in held_after
            kind: _Kind = "modified" if was and now else "created" if now else "deleted"
            changes[path] = FileChange(_shown(path), kind, 0, 0)
        return tuple(changes[path] for path in sorted(changes))

    async def patch(self, before: Snapshot, after: Snapshot) -> bytes:
        """Return the difference as `git apply` takes it, without what the repository ignores. Raises JumarError."""
        if before.tree == after.tree:
            return b""
        arguments = ("diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv")
        names = await self._git.run(*arguments, "--name-only", "-z", before.tree, after.tree)
        ignored = await self._ignored(names.out)
        form = ("-p", "--binary", "--full-index", "--no-color", "--src-prefix=a/", "--dst-prefix=b/")
        without = [os.fsdecode(b":(top,exclude,literal)" + path) for path in ignored]
        return (await self._git.run(*arguments, *form, before.tree, after.tree, "--", *without)).out

    async def _holds(self, tree: str, paths: set[bytes]) -> set[bytes]:
        """Return those of the paths that the tree has."""
        if not paths:
            return set()
        listed = await self._git.run("ls-tree", "-r", "-z", "--name-only", tree)
        return paths & set(listed.out.split(b"\0"))

    async def _ignored(self, paths: bytes) -> list[bytes]:
        """Return those of the paths that the ignore rules name and the person's repository does not track."""
        try:
            found = await self._git.run("check-ignore", "--no-index", "--stdin", "-z", stdin=paths)
        except JumarError:  # it fails where there is none
            return []
        tracked = set(await self._tracked_though_ignored())
        return [path for path in found.out.split(b"\0") if path and path not in tracked]

    @property
    def _index(self) -> Path:
        return self._folder / "index"

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[int]:
        """Hold the store alone, opened, and leave no lock of a git that was killed."""
        async with self._lock:
            self._make_folder()
            lock = os.open(self._folder / "jumar.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                await _hold(lock)
                self._sweep()
                if not self._opened:
                    await self._open()
                    self._opened = True
                yield lock
            finally:
                self._sweep()
                os.close(lock)

    def _make_folder(self) -> None:
        try:
            self._parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder.mkdir(exist_ok=True, mode=0o700)
            self._folder.chmod(0o700)
        except OSError as error:
            raise JumarError(f"the ledger cannot be kept in {self._parent}: {error.strerror}") from error

    def _sweep(self) -> None:
        for name in ("index.lock", "HEAD.lock", "config.lock"):
            (self._folder / name).unlink(missing_ok=True)

    async def _open(self) -> None:
        if self._root == Path(self._root.anchor) or (self._root == Path.home() and not self._theirs.is_there):
            raise JumarError(f"{self._root} is too much to take snapshots of; work in a folder below it")
        version = (await self._git.run("version")).out.decode("utf-8", "replace").strip()
        numbers = re.search(r"(\d+)\.(\d+)", version)
        if not numbers or (int(numbers[1]), int(numbers[2])) < _OLDEST:
            raise JumarError(f"{version} is too old; changes are told and undone with git 2.31 or newer")
        objects, kind, excluded = await self._look_at_theirs()
        try:
            if not (self._folder / "HEAD").exists():
                await _to_its_end(partial(self._make, objects, kind))
            info = self._folder / "info"
            info.mkdir(exist_ok=True)
            (info / "attributes").write_text(_ATTRIBUTES, "utf-8")
            (info / "exclude").write_bytes(await self._excluded_by_person() + excluded + self._excluded_by_us())
        except OSError as error:
            raise JumarError(f"the ledger cannot be kept in {self._folder}: {error.strerror}") from error

    async def _look_at_theirs(self) -> tuple[Path | None, str, bytes]:
        """Return where the person's repository has its objects, of which kind they are, and its own list of ignored files."""
        nothing = None, "sha1", b""
        if not self._theirs.is_there:
            return nothing
        asked = ("--path-format=absolute", "--show-object-format", "--git-path", "objects", "--git-path", "info/exclude")
        try:
            lines = os.fsdecode((await self._theirs.run("rev-parse", *asked)).out).removesuffix("\n").split("\n")
        except JumarError:
            return nothing
        if len(lines) != 3 or lines[0] not in {"sha1", "sha256"}:
            return nothing
        return Path(lines[1]), lines[0], _read(Path(lines[2]))

    def _make(self, objects: Path | None, kind: str) -> None:
        """Make the bare repository; its HEAD comes last and says that it is whole."""
        own = self._folder / "objects"
        shutil.rmtree(own, ignore_errors=True)
        for name in ("objects/info", "objects/pack", "refs"):
            (self._folder / name).mkdir(parents=True)
        form = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = "
        (self._folder / "config").write_text(f"{form}{kind}\n", "utf-8")
        if objects is not None:
            _link(objects, own)
        (self._folder / "HEAD").write_text("ref: refs/heads/none\n", "utf-8")

    async def _excluded_by_person(self) -> bytes:
        """Return the person's own list of files that are ignored everywhere."""
        for file in (Path.home() / ".gitconfig", Path.home() / ".config" / "git" / "config"):
            if file.is_file():
                with suppress(JumarError):
                    asked = ("config", "--file", str(file), "--type=path", "-z", "--get", "core.excludesFile")
                    return _read(Path(os.fsdecode((await self._git.run(*asked)).out.rstrip(b"\0")))) + b"\n"
        return b""

    def _excluded_by_us(self) -> bytes:
        lines = _FILLED_BY_TOOLS.split()
        for folder in (self._parent, self._parent.parent):
            if folder != self._root and folder.is_relative_to(self._root):
                lines.append("/" + re.sub(r"([\\*?\[!# ])", r"\\\1", str(folder.relative_to(self._root))) + "/")
        return b"\n" + os.fsencode("\n".join(lines)) + b"\n"

    async def _tracked_though_ignored(self) -> list[bytes]:
        if not self._theirs.is_there:
            return []
        exclude = str(self._folder / "info" / "exclude")
        try:
            listed = await self._theirs.run("ls-files", "-z", "-c", "-i", "--exclude-standard", "-X", exclude)
        except JumarError:  # it is no repository that git can read, and then it tracks nothing
            return []
        return [path for path in listed.out.split(b"\0") if path]

    async def _take(self, lock: int) -> Snapshot:
        try:
            async with asyncio.TaskGroup() as group:
                listing = group.create_task(
                    self._git.run("ls-files", "-z", "-t", "-m", "-d", "-o", "--exclude-standard", lock=lock)
                )
                ignoring = group.create_task(
                    self._git.run("ls-files", "-z", "-o", "-i", "--exclude-standard", "--directory", lock=lock)
                )
                tracking = group.create_task(self._tracked_though_ignored())
        except* JumarError as errors:
            raise _first(errors) from None
        look = Look(self._root)
        await asyncio.to_thread(look.at, listing.result(), ignoring.result().out, tracking.result())
        if look.gone:
            paths = b"\0".join(look.gone) + b"\0"
            await self._git.run("update-index", "-z", "--force-remove", "--stdin", stdin=paths, lock=lock)
        if look.present:
            paths = b"\0".join(look.present) + b"\0"
            told = await self._git.run("update-index", "-z", "--add", "--replace", "--stdin", stdin=paths, lock=lock)
            for name in re.findall(r"^Ignoring path (.*)$", told.err, re.MULTILINE):
                look.left_out[os.fsencode(name)] = LeftOut("a name that git does not take")
        tree = (await self._git.run("write-tree", lock=lock)).out.decode("ascii").strip()
        return Snapshot(tree, look.left_out)


def _link(objects: Path, own: Path) -> None:
    """Take over the objects of a repository as hard links; what is not linked is stored anew when it is met."""
    with suppress(OSError):
        # Packs before their indexes, which make them seen.
        packs = sorted((objects / "pack").iterdir(), key=lambda file: file.suffix == ".idx")
        loose = (file for folder in objects.glob("[0-9a-f][0-9a-f]") for file in folder.iterdir())
        for file in chain(packs, islice(loose, _MOST_LOOSE)):
            wanted = r"pack-[0-9a-f]+\.(pack|idx)" if file.parent.name == "pack" else "[0-9a-f]{38,62}"
            if re.fullmatch(wanted, file.name) and stat.S_ISREG(file.lstat().st_mode):
                (own / file.parent.name).mkdir(exist_ok=True)
                os.link(file, own / file.parent.name / file.name, follow_symlinks=False)


async def _to_its_end(work: Callable[[], None]) -> None:
    """Work in a thread; a cancel is heard when it is done, so that nothing is written beside whoever holds the store next."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise


def _read(file: Path) -> bytes:
    """Return what a small regular file holds, and nothing where there is none."""
    with suppress(OSError), os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
        if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            return opened.read(_MOST_RULES)
    return b""


async def _hold(lock: int) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise JumarError(
                    "another session of jumar holds the ledger of this workspace; try again when it is done"
                ) from None
            await asyncio.sleep(0.02)
        else:
            return


def _files(snapshot: Snapshot) -> dict[bytes, LeftOut]:
    """Return what was left out but for folders that cannot be read: what is in those is told file by file."""
    return {path: one for path, one in snapshot.left_out.items() if one.why != CLOSED_FOLDER}


def _first(errors: BaseExceptionGroup[JumarError]) -> BaseException:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _changes(listed: bytes) -> dict[bytes, FileChange]:
    """Return the changes of a raw listing that is followed by counts of lines."""
    kinds: dict[bytes, _Kind] = {}
    changes: dict[bytes, FileChange] = {}
    records = iter(listed.split(b"\0"))
    for record in records:
        if record.startswith(b":"):
            letter = record[-1:]
            kinds[next(records)] = "created" if letter == b"A" else "deleted" if letter == b"D" else "modified"
        elif record:
            added, removed, path = record.split(b"\t", 2)
            counts = [int(count) if count.isdigit() else 0 for count in (added, removed)]
            changes[path] = FileChange(_shown(path), kinds[path], *counts)
    return changes


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
