"""Owns confining by bubblewrap: namespaces in which all is read-only but the workspace, and what is secret is not there."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agent.errors import ToolFailure
from agent.workspace.contract import Confinement
from agent.workspace.paths import is_protected
from agent.workspace.sandbox import seccomp, shim
from agent.workspace.sandbox.contract import Launch, Surroundings, Way
from agent.workspace.sandbox.landlock import before
from agent.workspace.sandbox.manifest import Manifest, repository_at
from agent.workspace.sandbox.nested import Nested
from agent.workspace.sandbox.sockets import sockets

_APART = ("--unshare-user-try", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_FIRST = 1  # the number inside of bubblewrap's own process, which starts the command
_SOCKETS = ("SSH_AUTH_SOCK", "DOCKER_HOST", "DBUS_SESSION_BUS_ADDRESS", "GPG_AGENT_INFO", "WAYLAND_DISPLAY", "DISPLAY")


class Bubblewrap:
    """Confines with one `bwrap` program. `folder` is ours and private: the /tmp of commands is in it."""

    name = "bubblewrap"

    def __init__(self, around: Surroundings, program: Path, folder: Path) -> None:
        self._around = around
        self._nested = Nested(around.folders)
        self._program = program
        self._tmp = folder / "tmp"
        self._shared = folder / "shm"  # on the disk, where what it takes is seen

    def launch(
        self,
        argv: Sequence[str],
        confined: Confinement,
        environment: Mapping[str, str],
        way: Way | None = None,
        unseen: Sequence[Path] = (),
    ) -> Launch:
        """Return how the command line is started. Raises ToolFailure where it cannot be."""
        try:
            for own in (self._tmp, self._shared):
                own.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ToolFailure(f"The command was not started: its /tmp cannot be made ({error.strerror}).") from error
        handle = _filter()
        words = [str(self._program), *_APART, "--new-session", "--die-with-parent"]
        if way is not None or not confined.hosts:
            words.append("--unshare-net")
        words += ["--cap-drop", "ALL", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        # What the system is set to is its owner's to write, with no rights of theirs left too; and root owns it.
        words += ["--ro-bind-try", "/proc/sys", "/proc/sys"]
        trees = self._nested.trees() if confined.writes else []
        others = [path for path in sockets() if self._is_seen(path)]
        empty = [str(path) for path in self._hides()]
        mounts: list[tuple[str, ...]] = [*self._replaces(), *self._binds(confined, way, others, trees)]
        mounts += [("--tmpfs", path) for path in empty]
        mounts += [("--ro-bind", "/dev/null", str(path)) for path in (*self._around.hidden, *others, *unseen) if _is_file(path)]
        # What lies in another folder comes after it, or it would be hidden, or be shown again, by that.
        for mount in sorted(mounts, key=lambda mount: len(Path(mount[-1]).parts)):
            words += mount
        for path in (*empty, "/dev"):  # a file of theirs would be memory that nobody counts
            words += ["--remount-ro", path]
        words += ["--chdir", str(self._around.cwd)]
        if handle >= 0:
            words += ["--seccomp", str(handle)]
        given = {name: value for name, value in environment.items() if name not in _SOCKETS}
        given |= {"TMPDIR": "/tmp", "GIT_OPTIONAL_LOCKS": "0"}  # noqa: S108 - the command's own
        if way is not None:
            given |= way.environment
            argv = (*way.before, *argv)
        # A second wall, which stands where the first one should have a hole: the same folders, held by the kernel in another way.
        system = () if os.getuid() == 0 else ("/proc",)  # that of root holds what the system is set to
        open_to = ["/tmp", "/var/tmp", "/dev", *system, *self._writable(confined, trees)]  # noqa: S108 - as seen inside
        argv = (*before(_FIRST, write=open_to, read=["/"], network=True), *argv)
        manifest = Manifest(self._around, self._nested, held=not confined.git) if confined.writes else None
        return Launch((*words, "--", *argv), given, (handle,) if handle >= 0 else (), manifest.check if manifest else lambda: "")

    def _writable(self, confined: Confinement, trees: Sequence[Path]) -> list[str]:
        around = self._around
        folders = [around.home / ".cache"] if around.home is not None else []
        if confined.writes:
            folders += around.folders
        if confined.git:
            places = [place for folder in (*around.folders, *trees) if (place := repository_at(folder)) is not None]
            folders += [path for place in places for path in (place.own, place.common)]
        return [str(path) for path in folders]

    def _is_seen(self, path: Path) -> bool:
        """Whether a command would find it, if nothing stood in its place."""
        gone = (Path("/run"), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - as seen inside
        if any(path.is_relative_to(folder) for folder in self._around.hidden):
            return False
        return any(path.is_relative_to(one) for one in self._around.folders) or not any(path.is_relative_to(one) for one in gone)

    def _hides(self) -> Iterator[Path]:
        """Yield folders that are empty for a command: others' sockets and files, credentials, our own state."""
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        yield Path("/run")
        if runtime and not runtime.startswith("/run") and Path(runtime).is_dir():
            yield Path(runtime).resolve()
        yield from (path for path in self._around.hidden if path.is_dir())

    def _replaces(self) -> Iterator[tuple[str, str, str]]:
        """Yield what stands in place of what a command may not see or share."""
        for place, own in (("/tmp", self._tmp), ("/var/tmp", self._tmp), ("/dev/shm", self._shared)):  # noqa: S108 - as seen inside
            if Path(place).is_dir():
                yield ("--bind", str(own), place)
        resolver = Path("/etc/resolv.conf").resolve()
        if resolver.is_relative_to("/run") and resolver.is_file():
            yield ("--ro-bind", str(resolver), str(resolver))

    def _binds(
        self, confined: Confinement, way: Way | None, kept: Sequence[Path], trees: Sequence[Path]
    ) -> Iterator[tuple[str, str, str]]:
        around = self._around
        if around.home is not None and around.cache is not None and (around.home / ".cache").is_dir():
            around.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            yield ("--bind", str(around.cache), str(around.home / ".cache"))
        kind = "--bind" if confined.writes else "--ro-bind"
        for folder in around.folders:
            yield (kind, str(folder), str(folder))
        for program in _programs(around):
            yield ("--ro-bind", str(program), str(program))
        if way is not None:
            yield ("--ro-bind", str(way.socket), str(way.socket))
        if not confined.writes:
            return
        for tree in trees:
            yield from _protects_git(tree, around.folders, git=confined.git)
        for folder in around.folders:
            yield from _protects(folder)
            yield from _protects_git(folder, around.folders, git=confined.git)
            yield from (("--bind", str(path), str(path)) for path in _leading(folder, (*around.hidden, *kept)))


def _is_file(path: Path) -> bool:
    return path.exists() and not path.is_dir()


def _leading(folder: Path, hidden: Sequence[Path]) -> dict[Path, None]:
    """Return the folders between one and what is hidden in it: what is a mount cannot be renamed, to be seen again elsewhere."""
    there = [path for path in hidden if path.is_relative_to(folder) and path.exists()]
    between = (parent for path in there for parent in path.parents if parent != folder and parent.is_relative_to(folder))
    return dict.fromkeys(parent for parent in between if not any(parent.is_relative_to(path) for path in hidden))


def _protects(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield what keeps files that other programs act on as they are."""
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names alone
        if name != ".git" and is_protected(name) and not (folder / name).is_symlink():
            yield ("--ro-bind", str(folder / name), str(folder / name))


def _protects_git(folder: Path, folders: Sequence[Path], *, git: bool) -> Iterator[tuple[str, str, str]]:
    """Yield what keeps a repository's hooks and settings as they are. Its folder is a mount, so that nothing replaces it."""
    place = repository_at(folder)
    own = folder / ".git"
    if place is None:
        if own.exists() and not own.is_symlink():
            yield ("--ro-bind", str(own), str(own))
        return
    if not git:
        yield ("--ro-bind", str(own), str(own))
        return
    if not stat.S_ISDIR(own.lstat().st_mode):
        yield ("--ro-bind", str(own), str(own))
    for one in dict.fromkeys((place.common, place.own)):
        # What lies in a folder that may be written could be a link by now, unless it is held where every command finds it.
        if one == folders[0] / ".git" or not any(one.is_relative_to(writable) for writable in folders):
            yield ("--bind", str(one), str(one))
    for path in (*place.acted_on(), *place.kin()):
        yield ("--ro-bind", str(path), str(path))


def _programs(around: Surroundings) -> Iterator[Path]:
    """Yield folders with programs and libraries that what is hidden above would hide: those of our own environment."""
    import sys

    for place in dict.fromkeys((sys.prefix, sys.base_prefix, str(Path(shim.__file__).parent))):
        path = Path(place).resolve()
        below = any(path.is_relative_to(hidden) for hidden in (Path("/tmp"), Path("/var/tmp"), Path("/run")))  # noqa: S108
        if below and not any(path.is_relative_to(folder) for folder in around.folders):
            yield path


def _filter() -> int:
    """Return a file that holds the filter of system calls, -1 where there is none for this machine."""
    code = seccomp.program()
    if not code:
        return -1
    handle = os.memfd_create("filter", 0)
    os.write(handle, code)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle
