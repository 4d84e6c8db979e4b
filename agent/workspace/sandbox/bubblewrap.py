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

_APART = ("--unshare-user-try", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_FIRST = 1  # the number inside of bubblewrap's own process, which starts the command
_SOCKETS = ("SSH_AUTH_SOCK", "DOCKER_HOST", "DBUS_SESSION_BUS_ADDRESS", "GPG_AGENT_INFO", "WAYLAND_DISPLAY", "DISPLAY")


class Bubblewrap:
    """Confines with one `bwrap` program. `folder` is ours and private: the /tmp of commands is in it."""

    name = "bubblewrap"

    def __init__(self, around: Surroundings, program: Path, folder: Path) -> None:
        self._around = around
        self._program = program
        self._tmp = folder / "tmp"

    def launch(
        self, argv: Sequence[str], confined: Confinement, environment: Mapping[str, str], way: Way | None = None
    ) -> Launch:
        """Return how the command line is started. Raises ToolFailure where it cannot be."""
        try:
            self._tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ToolFailure(f"The command was not started: its /tmp cannot be made ({error.strerror}).") from error
        handle = _filter()
        words = [str(self._program), *_APART, "--new-session", "--die-with-parent"]
        if way is not None or not confined.hosts:
            words.append("--unshare-net")
        words += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *self._hides(), *self._binds(confined, way)]
        words += ["--chdir", str(self._around.cwd)]
        if handle >= 0:
            words += ["--seccomp", str(handle)]
        given = {name: value for name, value in environment.items() if name not in _SOCKETS}
        given |= {"TMPDIR": "/tmp", "GIT_OPTIONAL_LOCKS": "0"}  # noqa: S108 - the command's own
        if way is not None:
            given |= way.environment
            argv = (*way.before, *argv)
        # A second wall, which stands where the first one should have a hole: the same folders, held by the kernel in another way.
        open_to = ["/tmp", "/var/tmp", "/dev", "/proc", *self._writable(confined)]  # noqa: S108 - as seen inside
        argv = (*before(_FIRST, write=open_to, read=["/"], network=True), *argv)
        manifest = Manifest(self._around) if confined.writes else None
        return Launch((*words, "--", *argv), given, (handle,) if handle >= 0 else (), manifest.check if manifest else lambda: "")

    def _writable(self, confined: Confinement) -> list[str]:
        around = self._around
        folders = [around.home / ".cache"] if around.home is not None else []
        if confined.writes:
            folders += around.folders
        if confined.git:
            places = [place for folder in around.folders if (place := repository_at(folder)) is not None]
            folders += [path for place in places for path in (place.own, place.common)]
        return [str(path) for path in folders]

    def _hides(self) -> Iterator[str]:
        """Yield what is not there for a command: others' sockets and files in /tmp and /run, credentials, our own state."""
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        yield from ("--tmpfs", "/run", "--bind", str(self._tmp), "/tmp")  # noqa: S108 - as seen inside
        if runtime and not runtime.startswith("/run") and Path(runtime).is_dir():
            yield from ("--tmpfs", runtime)
        if Path("/var/tmp").is_dir():  # noqa: S108 - as above
            yield from ("--bind", str(self._tmp), "/var/tmp")  # noqa: S108 - as above
        resolver = Path("/etc/resolv.conf").resolve()
        if resolver.is_relative_to("/run") and resolver.is_file():
            yield from ("--ro-bind", str(resolver), str(resolver))
        for path in self._around.hidden:
            if path.is_dir():
                yield from ("--tmpfs", str(path))
            elif path.exists():
                yield from ("--ro-bind", "/dev/null", str(path))

    def _binds(self, confined: Confinement, way: Way | None) -> Iterator[str]:
        around = self._around
        if around.home is not None and around.cache is not None and (around.home / ".cache").is_dir():
            around.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            yield from ("--bind", str(around.cache), str(around.home / ".cache"))
        kind = "--bind" if confined.writes else "--ro-bind"
        for folder in around.folders:
            yield from (kind, str(folder), str(folder))
        for program in _programs(around):
            yield from ("--ro-bind", str(program), str(program))
        if way is not None:
            yield from ("--ro-bind", str(way.socket), str(way.socket))
        if not confined.writes:
            return
        for folder in around.folders:
            yield from _protects(folder, git=confined.git)


def _protects(folder: Path, *, git: bool) -> Iterator[str]:
    """Yield what keeps files that other programs act on as they are. Git's own folder is a mount, so that nothing replaces it."""
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names alone
        if name != ".git" and is_protected(name) and not (folder / name).is_symlink():
            yield from ("--ro-bind", str(folder / name), str(folder / name))
    place = repository_at(folder)
    own = folder / ".git"
    if place is None:
        if own.exists() and not own.is_symlink():
            yield from ("--ro-bind", str(own), str(own))
        return
    if not git:
        yield from ("--ro-bind", str(own), str(own))
        return
    if not stat.S_ISDIR(own.lstat().st_mode):
        yield from ("--ro-bind", str(own), str(own))
    for one in dict.fromkeys((place.common, place.own)):
        yield from ("--bind", str(one), str(one))
    for path in place.acted_on():
        yield from ("--ro-bind", str(path), str(path))


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
