"""Owns the bare repository of a store: its making, its lock, its ignore rules, and what it takes over of the person's own."""

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
from functools import partial
from itertools import chain, islice
from pathlib import Path

from agent.errors import JumarError
from agent.workspace.git import Git

_MOST_RULES = 1 << 20  # bytes of a list of ignored files
_MOST_LOOSE = 10_000  # objects of theirs that are taken over one by one
_PATIENCE = 10.0  # seconds that another session may hold the store
_OLDEST = (2, 31)
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
FILLED_BY_TOOLS = (
    *("node_modules", "venv", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    *(".tox", ".nox", ".gradle", ".DS_Store"),
)


class Bare:
    """One bare repository under `folder`, for the work tree at `root`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._root = root
        self._parent = folder
        self.folder = folder / hashlib.sha256(os.fsencode(root)).hexdigest()[:32]
        self.git = Git(root, self.folder, _SETTINGS)
        self.theirs = Git(root)
        self._lock = asyncio.Lock()
        self._opened = False

    @property
    def kind(self) -> str:
        """How its objects are named: sha1 or sha256. It is open."""
        return "sha256" if b"sha256" in _read(self.folder / "config") else "sha1"

    def forget(self) -> None:
        """Forget what was known of the files: the next look reads all of them."""
        (self.folder / "index").unlink(missing_ok=True)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[int]:
        """Hold the store alone, opened, and leave no lock of a git that was killed."""
        async with self._lock:
            lock = self._open_lock()
            try:
                await _hold(lock)
                try:
                    self._sweep()
                    if not self._opened:
                        await self._open()
                        self._opened = True
                    yield lock
                finally:
                    self._sweep()
            finally:
                os.close(lock)

    def _open_lock(self) -> int:
        try:
            self._parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.mkdir(exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
            return os.open(self.folder / "jumar.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise JumarError(f"the ledger cannot be kept in {self._parent}: {error.strerror}") from error

    def _sweep(self) -> None:
        for name in ("index.lock", "HEAD.lock", "config.lock"):
            (self.folder / name).unlink(missing_ok=True)

    async def _open(self) -> None:
        version = (await self.git.run("version")).out.decode("utf-8", "replace").strip()
        numbers = re.search(r"(\d+)\.(\d+)", version)
        if not numbers or (int(numbers[1]), int(numbers[2])) < _OLDEST:
            raise JumarError(f"{version} is too old; changes are told and undone with git 2.31 or newer")
        objects, kind, excluded = await self._look_at_theirs()
        try:
            if not (self.folder / "HEAD").exists():
                await _to_its_end(partial(self._make, objects, kind))
            info = self.folder / "info"
            info.mkdir(exist_ok=True)
            (info / "attributes").write_text(_ATTRIBUTES, "utf-8")
            (info / "exclude").write_bytes(await self._excluded_by_person() + excluded + self._excluded_by_us())
        except OSError as error:
            raise JumarError(f"the ledger cannot be kept in {self.folder}: {error.strerror}") from error

    async def _look_at_theirs(self) -> tuple[Path | None, str, bytes]:
        """Return where the person's repository has its objects, of which kind they are, and its own list of ignored files."""
        nothing = None, "sha1", b""
        if not self.theirs.is_there:
            return nothing
        asked = ("--path-format=absolute", "--show-object-format", "--git-path", "objects", "--git-path", "info/exclude")
        try:
            lines = os.fsdecode((await self.theirs.run("rev-parse", *asked)).out).removesuffix("\n").split("\n")
        except JumarError:
            return nothing
        if len(lines) != 3 or lines[0] not in {"sha1", "sha256"}:
            return nothing
        return Path(lines[1]), lines[0], _read(Path(lines[2]))

    def _make(self, objects: Path | None, kind: str) -> None:
        """Make the bare repository; its HEAD comes last and says that it is whole."""
        own = self.folder / "objects"
        if not (self.folder / "actions").exists():  # else it was whole once, and what is there is needed
            shutil.rmtree(own, ignore_errors=True)
        for name in ("objects/info", "objects/pack", "refs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        form = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = "
        (self.folder / "config").write_text(f"{form}{kind}\n", "utf-8")
        if objects is not None:
            _link(objects, own)
        (self.folder / "HEAD").write_text("ref: refs/heads/none\n", "utf-8")

    async def _excluded_by_person(self) -> bytes:
        """Return the person's own list of files that are ignored everywhere."""
        for file in (_home() / ".gitconfig", _home() / ".config" / "git" / "config"):
            if file.is_file():
                with suppress(JumarError):
                    asked = ("config", "--file", str(file), "--type=path", "-z", "--get", "core.excludesFile")
                    return _read(Path(os.fsdecode((await self.git.run(*asked)).out.rstrip(b"\0")))) + b"\n"
        return b""

    def _excluded_by_us(self) -> bytes:
        lines = [*FILLED_BY_TOOLS]
        lines += ["/" + re.sub(r"([\\*?\[!# ])", r"\\\1", folder) + "/" for folder in self.inside()]
        return b"\n" + os.fsencode("\n".join(lines)) + b"\n"

    def inside(self) -> list[str]:
        """Return the folders of ours that lie in the workspace, relative to it: they are no part of it."""
        ours = (self._parent, self._parent.parent)
        return [
            str(folder.relative_to(self._root)) for folder in ours if folder != self._root and folder.is_relative_to(self._root)
        ]

    @property
    def too_much(self) -> str:
        """Why snapshots of all of the workspace are not taken; empty where they are."""
        if self._root == Path(self._root.anchor) or (self._root == _home() and not self.theirs.is_there):
            return f"{self._root} is too much to take snapshots of; work in a folder below it"
        return ""

    async def tracked_though_ignored(self) -> list[bytes]:
        """Return what the person's repository tracks though ignore rules, theirs or ours, name it."""
        if not self.theirs.is_there:
            return []
        exclude = str(self.folder / "info" / "exclude")
        try:
            listed = await self.theirs.run("ls-files", "-z", "-c", "-i", "--exclude-standard", "-X", exclude)
        except JumarError:  # it is no repository that git can read, and then it tracks nothing
            return []
        return [path for path in listed.out.split(b"\0") if path]


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


def _home() -> Path:
    return Path(os.environ.get("HOME") or "/nowhere")
