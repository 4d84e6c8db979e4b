"""Owns what a confined command must leave as it is though no mount can hold it: what is not there yet, and what git acts on."""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from agent.safe import safe_line
from agent.workspace.paths import is_protected
from agent.workspace.sandbox.contract import Surroundings
from agent.workspace.sandbox.nested import Nested

# Below a repository: what git runs or is led by.
_ACTED_ON = ("hooks", "config", "config.worktree", "commondir", "info/attributes", "info/grafts", "objects/info/alternates")
_WORK_TREE = re.compile(r"^\s*worktree\s*=\s*([^\s#;\"\\]+)\s*$", re.MULTILINE)
_KEPT = (*(f"modules/*/{name}" for name in _ACTED_ON), "worktrees/*/commondir", "worktrees/*/config.worktree")
_MOST_INNER = 50  # repositories below that are compared before and after
_MOST = 4096  # files of one repository's own that are looked at


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a repository keeps what is its work tree's own, and what all its work trees share."""

    own: Path
    common: Path

    def acted_on(self) -> tuple[Path, ...]:
        """Return what of it git runs or is led by, as far as it is there."""
        found = [folder / name for folder in dict.fromkeys((self.common, self.own)) for name in _ACTED_ON]
        return tuple(path for path in found if os.path.lexists(path))

    def kin(self) -> tuple[Path, ...]:
        """Return the same of the repositories and work trees that are kept in it: git itself makes new ones."""
        return tuple(islice((path for kept in _KEPT for path in self.common.glob(kept) if os.path.lexists(path)), _MOST))

    def makes(self, path: Path) -> bool:
        """Whether a path is of those that git itself makes."""
        return any(path.is_relative_to(self.common / name) for name in ("modules", "worktrees"))


def repository_at(folder: Path) -> Repository | None:
    """Return the repository of a work tree, None where it has none that can be found without following it elsewhere."""
    own = folder / ".git"
    try:
        kind = own.lstat().st_mode
        if stat.S_ISREG(kind):
            words = own.read_text("utf-8", "surrogateescape").strip()
            if not words.startswith("gitdir: "):
                return None
            own = Path(os.path.realpath(folder / words.removeprefix("gitdir: ")))
        elif not stat.S_ISDIR(kind):
            return None
        shared = own / "commondir"
        common = Path(os.path.realpath(own / shared.read_text("utf-8").strip())) if shared.is_file() else own
        known = os.path.lexists(own / "HEAD") and _is_of(folder, own, common)  # git takes a link that leads nowhere too
    except (OSError, UnicodeDecodeError):
        return None
    return Repository(own, common) if known else None


def _is_of(folder: Path, own: Path, common: Path) -> bool:
    """Whether a repository says itself that the work tree is its own: what a work tree says may lead to any folder."""
    if own != common:
        back = Path(os.path.realpath(own / (own / "gitdir").read_text("utf-8", "surrogateescape").strip()))
        return own.parent == common / "worktrees" and back == Path(os.path.realpath(folder)) / ".git"
    if own.is_relative_to(folder):
        return True
    named = _WORK_TREE.search((own / "config").read_text("utf-8", "surrogateescape"))
    return named is not None and Path(os.path.realpath(own / named[1])) == Path(os.path.realpath(folder))


class Manifest:
    """Remembers what is there before a command; afterwards takes aside what it planted, and says so."""

    def __init__(self, around: Surroundings, nested: Nested, *, held: bool = False) -> None:
        """`nested` knows the repositories below; where they are `held`, nothing of theirs can be changed."""
        self._nested = nested
        self._trees = nested.trees()
        self._inner = () if held else tuple(self._trees[:_MOST_INNER])
        self._folders = around.folders
        self._names = {folder: _names(folder) for folder in self._folders}
        self._places = {folder: repository_at(folder) for folder in (*self._folders, *self._inner)}
        self._before = {folder: _state(folder, place) for folder, place in self._places.items()}
        self._own = {folder: own for folder in (*self._folders, *self._inner) if (own := _identity(folder / ".git"))}

    def check(self) -> str:
        """Take aside what git would act on; return that, and what else other programs act on, in words."""
        made: list[str] = []
        planted: list[str] = []
        stuck: list[str] = []
        gone = [words for folder, own in self._own.items() if (words := _returned(folder, own))]
        for folder in (*self._folders, *self._inner):
            fresh = _names(folder) - self._names[folder] if folder in self._names else set()
            made += [str(folder / name) for name in sorted(fresh)]
            if ".git" in fresh:
                continue  # a repository of its own, which is told as a whole
            # A command may have led git elsewhere, or away: what it was led by before is looked at all the same.
            places = [place for place in dict.fromkeys((self._places[folder], repository_at(folder))) if place is not None]
            for path, found in _state(folder, *places).items():
                if path not in self._before[folder] and any(place.makes(path) for place in places):
                    continue
                if self._before[folder].get(path) != found:
                    (planted if _moved_aside(path) else stuck).append(str(path))
            for path, was in self._before[folder].items() if any(place.own.is_dir() for place in places) else ():
                if was is not None and not os.path.lexists(path) and not was.put(path):
                    gone.append(f"it took {safe_line(str(path))} away")
        known = set(self._trees)
        made += [str(tree / ".git") for tree in self._nested.trees() if tree not in known]
        told = gone
        told += [f"it made {_listed(made)}, which other programs act on"] if made else []
        told += [f"git would have acted on {_listed(planted)}, which was moved aside and is as before"] if planted else []
        told += [f"git acts on {_listed(stuck)} now, which could not be moved aside"] if stuck else []
        return "; ".join(told)


def _moved_aside(path: Path) -> bool:
    """Give what was planted another name, whatever a command did to keep that one from it; say whether that was done."""
    aside = path.with_name(f"{path.name}.jumar-planted")
    if os.path.lexists(aside):
        aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.jumar-planted")
    try:
        _open_up(path.parent)
        path.rename(aside)
    except OSError:
        return False
    return True


def _open_up(folder: Path) -> None:
    """Let names in a folder be changed again."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        folder.chmod(mode | stat.S_IRWXU)


def _identity(path: Path, handle: int | None = None) -> tuple[int, int] | None:
    """Return what names a folder wherever it is moved; None where it is none."""
    try:
        found = os.stat(path, dir_fd=handle, follow_symlinks=False)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def _returned(folder: Path, own: tuple[int, int]) -> str:
    """Put a repository's own folder back where it was moved away in its work tree; return what became of it, in words."""
    place = folder / ".git"
    if _identity(place) == own:
        return ""
    with suppress(OSError):
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            for _, names, _, handle in islice(os.fwalk(".", dir_fd=top), _MOST):
                for name in names:
                    if _identity(Path(name), handle) == own:
                        if os.path.lexists(place):
                            os.rename(".git", ".git.jumar-planted", src_dir_fd=top, dst_dir_fd=top)
                        os.rename(name, ".git", src_dir_fd=handle, dst_dir_fd=top)
                        return f"it moved {safe_line(str(place))}, which was put back"
        finally:
            os.close(top)
    return f"it took {safe_line(str(place))} away"


def _listed(paths: list[str]) -> str:
    return ", ".join(safe_line(path) for path in paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")


def _names(folder: Path) -> set[str]:
    with suppress(OSError):
        return {name for name in os.listdir(folder) if is_protected(name)}  # noqa: PTH208 - names alone
    return set()


@dataclass(frozen=True, slots=True)
class _Held:
    """A file or a link as it was: its mode, and its bytes or where it leads."""

    mode: int
    content: bytes

    def put(self, path: Path) -> bool:
        """Put it back where nothing is; say whether that was done."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _open_up(path.parent)
            if stat.S_ISLNK(self.mode):
                path.symlink_to(os.fsdecode(self.content))
                return True
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                file.write(self.content)
                os.fchmod(file.fileno(), stat.S_IMODE(self.mode))
        except OSError:
            return False
        return True


def _state(folder: Path, *places: Repository | None) -> dict[Path, _Held | None]:
    """Return what leads git, of a work tree and the places of its repository."""
    own = folder / ".git"
    found = [own] if own.is_symlink() or own.is_file() else []
    found += [path for place in places if place is not None for one in (*place.acted_on(), *place.kin()) for path in _files(one)]
    return {path: _held(path) for path in found}


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            yield Path(folder) / name


def _held(path: Path) -> _Held | None:
    try:
        mode = path.lstat().st_mode
        content = os.fsencode(path.readlink()) if stat.S_ISLNK(mode) else path.read_bytes()
    except OSError:
        return None
    return _Held(mode, content)
