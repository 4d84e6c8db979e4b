"""Owns files: byte-exact reads, writes that replace exactly what was expected, and finding files by name."""

import errno
import hashlib
import os
import stat
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from difflib import get_close_matches
from heapq import nsmallest
from itertools import islice
from pathlib import Path

from agent import pictures
from agent.errors import ToolFailure
from agent.safe import safe_line
from agent.workspace.bounded import bounded
from agent.workspace.contract import FileText, Listed, Located, Place, View
from agent.workspace.exchange import Exchange
from agent.workspace.globs import from_root, matching
from agent.workspace.locating import Locating
from agent.workspace.paths import Paths
from agent.workspace.placing import copy_attributes, digest_of, overwrite, put, same_owner, settle, temporary
from agent.workspace.search import Engine, Query, Stop, changed
from agent.workspace.text import decode, encode, kind

_LARGEST = 16 << 20
_MOST_NAMES = 2000
_SECONDS = 30.0  # that files are looked for
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Files:
    """Reads and writes below the folders that `paths` knows. No link is followed that was not there when a path was located."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._seen: dict[Path, str] = {}

    def read(self, located: Located) -> FileText:
        """Read a text file. Raises ToolFailure."""
        found = self.look(located)
        if isinstance(found, bytes):
            raise _no_text(located, found)
        return found

    def look(self, located: Located) -> FileText | bytes:
        """Read a text file, or the bytes of a picture. Raises ToolFailure."""
        _refuse_hidden(located)
        with self._folder(located, make=False) as folder:
            raw, status = self._bytes(located, folder)
        decoded = decode(raw)
        if decoded is None:
            if pictures.form(raw):
                return raw
            raise _no_text(located, raw)
        if len(raw) > _LARGEST:
            raise _too_large(located, status)
        digest = hashlib.sha256(raw).hexdigest()
        mode = stat.S_IMODE(status.st_mode)
        return FileText(located, decoded.text, decoded.encoding, decoded.bom, decoded.newline, mode, digest)

    def saw(self, file: FileText) -> None:
        """Remember that the model was shown the file as it is in `file`."""
        self._seen[file.path.real] = file.digest

    def seen(self, located: Located) -> str | None:
        """Return the digest under which the model last saw the file."""
        return self._seen.get(located.real)

    def write(self, located: Located, text: str, expected: FileText | None) -> FileText:
        """Replace what `expected` says is there, or create where it is None. Raises ToolFailure when that is not so."""
        _refuse_hidden(located)
        if located.real == self._paths.spill or self._paths.spill in located.real.parents:
            raise ToolFailure(f"{located.shown} keeps a command's output; it is only read.")
        if expected is None:
            raw = encode(text, "utf-8", b"", located.shown)
            written = self._create(located, raw)
        else:
            raw = encode(text, expected.encoding, expected.bom, located.shown)
            self._replace(located, raw, expected)
            written = expected
        decoded = decode(raw)
        newline = decoded.newline if decoded is not None else written.newline
        file = replace(written, text=text, newline=newline, digest=hashlib.sha256(raw).hexdigest())
        if expected is None or located.real in self._seen:
            self.saw(file)
        return file

    def find(self, glob: str, folder: Located, view: View, engine: Engine, most: int | None) -> Listed:
        """List files, without what .gitignore names and what is not shown. Raises ToolFailure."""
        _refuse_hidden(folder)
        if not folder.real.is_dir():
            raise ToolFailure(f"There is no folder {folder.shown}.")
        wanted = from_root(glob, self._paths.cwd)
        matches = matching(wanted)
        locating, stop = Locating(self._paths), Stop(_SECONDS)
        last = _last(wanted)
        query = Query("", self._paths.root, (folder.real,), "" if last in {"*", "**"} else last)
        readable = self._paths.readable(query.starts)
        listed, partial = bounded(readable, lambda: engine.files(query, stop))
        if "/" in wanted:
            inside, below = (f"{str(one).rstrip('/')}/" for one in (self._paths.cwd, folder.real))

            def fits(absolute: str) -> bool:
                shown = (
                    absolute.removeprefix(inside) if absolute.startswith(inside) else os.path.relpath(absolute, self._paths.cwd)
                )
                return matches(shown) or matches(absolute.removeprefix(below))

            listed = list(filter(fits, listed))
        found = locating.shown(view, listed)
        told = found if most is None else _newest(found, most)
        return Listed(tuple(map(locating.name, told)), len(found), partial)

    @contextmanager
    def _folder(self, located: Located, *, make: bool) -> Iterator[int]:
        """Open the folder of a file, one component after the other, so that nobody can put a link in the way."""
        base = self._paths.base(located.real)
        handle = -1
        try:
            handle = os.open(base, _FOLDER)
            for name in located.real.parent.relative_to(base).parts if located.real != base else ():
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=handle)
                below = os.open(name, _FOLDER, dir_fd=handle)
                os.close(handle)
                handle = below
            yield handle
        except OSError as error:
            raise _failure(located, error) from error
        finally:
            if handle >= 0:
                os.close(handle)

    def _bytes(self, located: Located, folder: int) -> tuple[bytes, os.stat_result]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        handle = os.open(located.real.name or ".", flags, dir_fd=folder)
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            os.close(handle)
            words = "a folder; find lists what is in it" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise ToolFailure(f"{located.shown} is {words}.")
        with os.fdopen(handle, "rb") as opened:
            raw = opened.read(_LARGEST + 1)
            if len(raw) > _LARGEST and pictures.form(raw):
                raw += opened.read(pictures.LARGEST + 1 - len(raw))
        if len(raw) > (pictures.LARGEST if pictures.form(raw) else _LARGEST):
            raise _too_large(located, status)
        return raw, status

    def _create(self, located: Located, raw: bytes) -> FileText:
        with self._folder(located, make=True) as folder:
            name = located.real.name
            beside = temporary(folder, raw, None)
            try:
                try:
                    os.link(beside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
                except OSError as error:
                    if error.errno == errno.EEXIST:
                        raise
                    # A file system without links: it is created under its own name, which fails as well where there is one.
                    put(folder, name, raw, os.O_CREAT | os.O_EXCL)
            finally:
                os.unlink(beside, dir_fd=folder)
            settle(folder)
            mode = stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        return FileText(located, "", "utf-8", b"", "\n", mode, "")

    def _replace(self, located: Located, raw: bytes, expected: FileText) -> None:
        with self._folder(located, make=False) as folder:
            name = located.real.name
            status = self._unchanged(located, folder, expected)
            beside = ""
            try:
                if status.st_nlink == 1 and os.access(".", os.W_OK, dir_fd=folder):
                    beside = temporary(folder, raw, stat.S_IMODE(status.st_mode))
                if not beside or not same_owner(folder, beside, status):
                    self._unchanged(located, folder, expected)
                    overwrite(folder, name, raw, encode(expected.text, expected.encoding, expected.bom, located.shown))
                    return
                copy_attributes(folder, name, beside)
                self._unchanged(located, folder, expected)
                with Exchange(folder, beside, name) as exchange:
                    if not exchange.made():
                        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
                    elif digest_of(folder, beside) != expected.digest:
                        beside = beside if exchange.give_back() else ""
                        raise _changed(located)
            finally:
                if beside:
                    with suppress(FileNotFoundError):
                        os.unlink(beside, dir_fd=folder)
            settle(folder)

    def _unchanged(self, located: Located, folder: int, expected: FileText) -> os.stat_result:
        raw, status = self._bytes(located, folder)
        if hashlib.sha256(raw).hexdigest() != expected.digest:
            raise _changed(located)
        return status


def _last(glob: str) -> str:
    """Return the part of a glob that the name of a file itself has to match; nothing where that cannot be told by itself."""
    last = glob.rpartition("/")[2]
    alone = not glob.startswith("!") and not any(sign in glob for sign in "[\\") and last.count("{") == last.count("}")
    return last if "/" not in glob or alone else ""


def _newest(files: Sequence[str], most: int) -> list[str]:
    """Return the first of files, the newest of which come first, in the order of their names where they changed at one moment."""
    times = [-changed(path) for path in files[:most]]
    surely = len(times)
    if len(files) > most:  # of those that changed when the last one did, others may come first
        surely = bisect_left(times, times[-1])
        also = bisect_right(range(len(files)), times[-1], key=lambda at: -changed(files[at]))
        others = nsmallest(most - surely, files[surely:also])
    else:
        others = []
    return [path for _, path in sorted(zip(times, files[:surely], strict=False))] + others


def _changed(located: Located) -> ToolFailure:
    return ToolFailure(f"{located.shown} has changed since it was read, nothing was written; read it again.")


def _no_text(located: Located, raw: bytes) -> ToolFailure:
    return ToolFailure(
        f"{located.shown} is no text: {kind(raw)} of {len(raw)} bytes; use a program for it in the shell, such as file."
    )


def _too_large(located: Located, status: os.stat_result) -> ToolFailure:
    return ToolFailure(
        f"{located.shown} has {status.st_size} bytes, more than the {_LARGEST} that are read at once; "
        "look into it with search, or with sed -n in the shell."
    )


def _refuse_hidden(located: Located) -> None:
    if located.place is Place.HIDDEN:
        raise ToolFailure(f"{located.shown} is hidden: credentials, devices and jumar's own state are never touched.")


def _near(path: Path) -> str:
    """Say what there is that is called like what there is not."""
    try:
        with os.scandir(path.parent) as entries:
            names = [safe_line(entry.name) for entry in islice(entries, _MOST_NAMES)]
    except OSError:
        return "find lists what there is"
    plain = {name.casefold(): name for name in names}
    near = [plain[name] for name in get_close_matches(path.name.casefold(), plain, n=3, cutoff=0.5)]
    return f"beside it there is {', '.join(near)}" if near else "find lists what there is"


def _failure(located: Located, error: OSError) -> ToolFailure:
    match error.errno:
        case errno.ENOENT:
            return ToolFailure(f"There is no {located.shown}; {_near(located.real)}.")
        case errno.EEXIST:
            return ToolFailure(f"{located.shown} already exists; read it before it is replaced.")
        case errno.ENXIO:
            return ToolFailure(f"{located.shown} is a socket or a device.")
        case errno.ELOOP | errno.ENOTDIR:
            return ToolFailure(f"{located.shown} leads through a link or a file where a folder must be.")
        case errno.EACCES | errno.EPERM:
            return ToolFailure(f"{located.shown} cannot be reached: permission denied.")
        case errno.ENAMETOOLONG:
            return ToolFailure(f"The name {located.shown[:60]}… is too long.")
        case _:
            return ToolFailure(f"{located.shown}: {error.strerror or error}.")
