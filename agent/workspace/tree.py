"""Owns what stands at paths below a root, byte for byte: looked at and replaced without ever following a link."""

import errno
import os
import secrets
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import JumarError
from agent.workspace.exchange import Exchange, back
from agent.workspace.placing import copy_attributes, put, same_owner, settle, temporary

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGEST = 100 << 20
_BESIDE = ".jumar-undo-"  # what the names of files begin with that are there for an instant


@dataclass(frozen=True, slots=True)
class Thing:
    """A file or a link: its bytes (of a link: where it points) and its mode with kind and permissions."""

    content: bytes
    mode: int

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


class Moved(JumarError):
    """What stands at a path is not what was expected there; nothing was changed."""


class Tree:
    """Files and links below a root. Paths are relative to it, as os.fsdecode gives them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def look(self, path: str) -> Thing | None:
        """Return what stands there. Raises Moved where it is a folder, a device, too large, or beyond a link."""
        try:
            with self._folder(path) as folder:
                return _look(folder, _name(path), path)
        except (FileNotFoundError, NotADirectoryError) as error:
            if error.errno == errno.ENOTDIR and self._beyond_link(path):
                raise Moved(f"{path} lies beyond a link now") from error
            return None
        except OSError as error:
            raise Moved(f"{path} cannot be read: {error.strerror}") from error

    def replace(self, path: str, expected: Thing | None, wanted: Thing | None) -> list[str]:
        """Put `wanted` in the place of `expected`; return the folders that had to be made. It lasts once it is settled.

        Raises Moved where something else stands there, and then nothing of it is lost.
        """
        made: list[str] = []
        try:
            if expected is None and wanted is not None:
                made = self._make_folders(path)
            with self._folder(path) as folder:
                _replace(folder, _name(path), path, expected, wanted)
        except OSError as error:
            raise Moved(f"{path} cannot be written: {error.strerror}") from error
        return made

    def names(self, path: str) -> set[str]:
        """Return what is below a folder, relative to it, folders with a slash at their end. Raises Moved where it is none."""
        found: set[str] = set()
        waiting = [""]
        while waiting:
            below = waiting.pop()
            try:
                with self._folder(f"{path}/{below}x") as folder, os.scandir(folder) as entries:
                    for entry in entries:
                        name = f"{below}{entry.name}/" if entry.is_dir(follow_symlinks=False) else below + entry.name
                        found.add(name)
                        if name.endswith("/"):
                            waiting.append(name)
            except OSError as error:
                raise Moved(f"{path} cannot be read: {error.strerror}") from error
        return found

    def settle(self, paths: Iterable[str]) -> None:
        """Make sure that what was put at these paths, or taken away, lasts."""
        for folder_path in sorted({path.rpartition("/")[0] for path in paths}):
            with suppress(OSError), self._folder(f"{folder_path}/x" if folder_path else "x") as folder:
                settle(folder)

    def sweep(self, path: str, things: Collection[Thing]) -> None:
        """Remove what a killed `replace` left beside a path, where it is one of these things, or the beginning of one."""
        with suppress(OSError), self._folder(path) as folder, os.scandir(folder) as entries:
            for name in [entry.name for entry in entries if entry.name.startswith(_BESIDE)]:
                with suppress(OSError, Moved):
                    found = _look(folder, name, path)
                    if found is not None and any(
                        one.is_link == found.is_link and one.content.startswith(found.content) for one in things
                    ):
                        os.unlink(name, dir_fd=folder)

    def make_folder(self, path: str) -> list[str]:
        """Make a folder and those above it; return those that were not there, nothing where something else stands in the way."""
        try:
            return self._make_folders(f"{path}/x")
        except OSError:
            return []

    def remove_folder(self, path: str) -> bool:
        """Remove a folder that is empty; False where it is not, or is none."""
        try:
            with self._folder(path) as folder:
                os.rmdir(_name(path), dir_fd=folder)
        except OSError:
            return False
        return True

    @contextmanager
    def _folder(self, path: str) -> Iterator[int]:
        handle = os.open(self.root, _FOLDER)
        try:
            for name in _parents(path):
                below = os.open(name, _FOLDER, dir_fd=handle)
                os.close(handle)
                handle = below
            yield handle
        finally:
            os.close(handle)

    def _make_folders(self, path: str) -> list[str]:
        made = []
        handle = os.open(self.root, _FOLDER)
        try:
            so_far = ""
            for name in _parents(path):
                so_far = f"{so_far}/{name}" if so_far else name
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=handle)
                    made.append(so_far)
                below = os.open(name, _FOLDER, dir_fd=handle)
                os.close(handle)
                handle = below
        finally:
            os.close(handle)
        return made

    def _beyond_link(self, path: str) -> bool:
        parts = _parents(path)
        return any((self.root / Path(*parts[: end + 1])).is_symlink() for end in range(len(parts)))


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise Moved(f"{path!r} is no path below the root")
    return parts[:-1]


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _look(folder: int, name: str, path: str) -> Thing | None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return Thing(os.fsencode(os.readlink(name, dir_fd=folder)), status.st_mode)
        if not stat.S_ISREG(status.st_mode):
            raise Moved(f"{path} is a folder now" if stat.S_ISDIR(status.st_mode) else f"{path} is no file")
        if status.st_size > _LARGEST:
            raise Moved(f"{path} has {status.st_size} bytes, too many to look at")
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as opened:
        status = os.fstat(handle)
        return Thing(opened.read(), status.st_mode)


def _replace(folder: int, name: str, path: str, expected: Thing | None, wanted: Thing | None) -> None:
    _demand(_look(folder, name, path), expected, path)
    if wanted is None:
        if expected is not None:
            _remove(folder, name, path, expected)
    elif expected is None:
        _create(folder, name, path, wanted)
    elif not wanted.is_link and not expected.is_link and wanted.content == expected.content and not _shared(folder, name):
        _set_mode(folder, name, path, expected, wanted.mode)
    else:
        _swap(folder, name, path, expected, wanted)


def _shared(folder: int, name: str) -> bool:
    """Whether the file has further names: those may be a person's, so they keep what they have and this one gets its own."""
    return os.stat(name, dir_fd=folder, follow_symlinks=False).st_nlink > 1


def _demand(found: Thing | None, expected: Thing | None, path: str) -> None:
    if found != expected:
        raise Moved(f"{path} has changed")


def _remove(folder: int, name: str, path: str, expected: Thing) -> None:
    """Take it away under another name first, and give it back where it is something else after all."""
    aside = f"{_BESIDE}{secrets.token_hex(8)}.tmp"
    os.rename(name, aside, src_dir_fd=folder, dst_dir_fd=folder)
    if not _is(folder, aside, path, expected):
        with suppress(FileExistsError):  # somebody has made a new file of that name: both stay
            back(folder, aside, name)
        raise Moved(f"{path} has changed")
    os.unlink(aside, dir_fd=folder)


def _is(folder: int, name: str, path: str, expected: Thing) -> bool:
    """Whether just that stands there; a folder, a device or what is too large is something else."""
    try:
        return _look(folder, name, path) == expected
    except Moved:
        return False


def _create(folder: int, name: str, path: str, wanted: Thing) -> None:
    beside = _beside(folder, wanted)
    try:
        os.link(beside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError as error:
        raise Moved(f"{path} has come to be meanwhile") from error
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
            raise
        # A file system without links: it is created under its own name, which fails as well where there is one.
        if wanted.is_link:
            os.symlink(os.fsdecode(wanted.content), name, dir_fd=folder)
        else:
            put(folder, name, wanted.content, os.O_CREAT | os.O_EXCL, stat.S_IMODE(wanted.mode))
    finally:
        os.unlink(beside, dir_fd=folder)


def _swap(folder: int, name: str, path: str, expected: Thing, wanted: Thing) -> None:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    beside = _beside(folder, wanted)
    try:
        if not wanted.is_link and not expected.is_link:
            same_owner(folder, beside, status)
            copy_attributes(folder, name, beside)
        _demand(_look(folder, name, path), expected, path)
        with Exchange(folder, beside, name) as exchange:
            if not exchange.made():
                os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
            elif not _is(folder, beside, path, expected):
                beside = beside if exchange.give_back() else ""
                raise Moved(f"{path} has changed")
    finally:
        if beside:
            with suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=folder)


def _beside(folder: int, wanted: Thing) -> str:
    if not wanted.is_link:
        return temporary(folder, wanted.content, stat.S_IMODE(wanted.mode), _BESIDE)
    beside = f"{_BESIDE}{secrets.token_hex(8)}.tmp"
    os.symlink(os.fsdecode(wanted.content), beside, dir_fd=folder)
    return beside


def _set_mode(folder: int, name: str, path: str, expected: Thing, mode: int) -> None:
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        if stat.S_IMODE(os.fstat(handle).st_mode) != stat.S_IMODE(expected.mode):
            raise Moved(f"{path} has changed")
        os.fchmod(handle, stat.S_IMODE(mode))
    finally:
        os.close(handle)
