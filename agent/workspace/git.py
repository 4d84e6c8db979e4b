"""Owns every start of git: one hardened way, so that nothing a repository says can run, reach out or write."""

import asyncio
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import JumarError
from agent.safe import safe_line

_PLACES = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
# What a repository's own settings could have git run, contact or write; these win over them.
_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.pager=cat",
    "core.editor=:",
    "core.sshCommand=false",
    "core.askPass=",
    "core.alternateRefsCommand=",
    "core.quotePath=false",
    "core.untrackedCache=false",
    "credential.helper=",
    "diff.external=",
    "sequence.editor=:",
    "protocol.allow=never",
    "safe.bareRepository=explicit",
    "submodule.recurse=false",
    "commit.gpgSign=false",
    "log.showSignature=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
_MOST_STATUS = 64 << 10  # bytes of status that are read
_MOST_LINES = 18
_MANY = 20_000  # tracked files from which on a status takes longer than a first request may wait


@dataclass(frozen=True, slots=True)
class Ran:
    """What git printed, and its exit code."""

    out: bytes
    err: str
    code: int = 0


class Git:
    """Git for one work tree: on the repository at its root, or on a bare one of our own (`store`)."""

    def __init__(self, root: Path, store: Path | None = None, settings: Sequence[str] = ()) -> None:
        self.root = root
        self._folder = store or root / ".git"
        self._settings = tuple(settings)
        self._program = ""

    def start_status(self) -> "Status":
        """Start to look at branch and status, beside whatever the caller does next."""
        return Status(self)

    async def run(
        self,
        *arguments: str,
        stdin: bytes = b"",
        lock: int = -1,
        environment: Mapping[str, str] | None = None,
        most: int = 0,
    ) -> Ran:
        """Run git to its end; cancelling kills it. It holds the open file `lock` as long as it lives.

        An exit code above `most` is a failure. Raises JumarError.
        """
        program = self.spawn(arguments, stderr=subprocess.PIPE, stdin=subprocess.PIPE, lock=lock, environment=environment)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[bytes, bytes]] = loop.create_future()

        def settle(printed: tuple[bytes, bytes]) -> None:
            if not ended.done():
                ended.set_result(printed)

        def talk() -> None:
            printed = program.communicate(stdin)
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(settle, printed)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        try:
            out, err = await ended
        except BaseException:
            program.kill()
            thread.join()  # a millisecond: what is killed has closed its pipes
            raise
        told = err.decode("utf-8", "backslashreplace")
        if not 0 <= program.returncode <= most:
            why = safe_line(told.strip().rpartition("\n")[2][:300]) or f"it ended with {program.returncode}"
            raise JumarError(f"git {arguments[0]} failed: {why}")
        return Ran(out, told, program.returncode)

    def spawn(
        self,
        arguments: Sequence[str],
        *,
        stdin: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
        lock: int = -1,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start git with its output in a pipe. Raises JumarError where there is none."""
        settings = [word for setting in (*_SETTINGS, *self._settings) for word in ("-c", setting)]
        try:
            return subprocess.Popen(
                [self.program(), "--no-pager", "--no-optional-locks", *settings, *arguments],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self.root,
                env={**self._environment(), **(environment or {})},
                pass_fds=(lock,) if lock >= 0 else (),
                process_group=0,  # a Ctrl-C at the terminal is ours to judge
            )
        except (OSError, ValueError) as error:
            raise JumarError(f"git was not started: {error}") from error

    def program(self) -> str:
        """Return the path of git: never one inside the work tree. Raises JumarError where there is none."""
        if not self._program:
            folders = [
                folder
                for folder in (*os.environ.get("PATH", "").split(":"), *_PLACES.split(":"))
                if folder.startswith("/") and not Path(folder).resolve().is_relative_to(self.root)
            ]
            found = shutil.which("git", path=":".join(folders))
            if found is None or Path(found).resolve().is_relative_to(self.root):
                raise JumarError(
                    "no git outside the workspace is on the PATH; install it, so that changes can be told and undone"
                )
            self._program = found
        return self._program

    @property
    def is_there(self) -> bool:
        """Whether there is anything that git could open."""
        return os.path.lexists(self._folder)

    def tracked(self) -> int:
        """Return how many files the index says that it holds: a look at its first bytes, no more."""
        try:
            with os.fdopen(os.open(self._folder / "index", os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
                head = opened.read(12) if stat.S_ISREG(os.fstat(opened.fileno()).st_mode) else b""
        except OSError:
            return 0
        return int.from_bytes(head[8:12], "big") if head[:4] == b"DIRC" else 0

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("HOME", "XDG_CONFIG_HOME", "TMPDIR") if name in os.environ}
        return kept | {
            "PATH": _PLACES,
            "LC_ALL": "C",
            "GIT_DIR": str(self._folder),
            "GIT_WORK_TREE": str(self.root),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": "none",  # a repository's own protocol.ext.allow would win over protocol.allow
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
        }


class Status:
    """A look at branch and status that runs in its own thread until it is collected."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._lock = threading.Lock()
        self._program: subprocess.Popen[bytes] | None = None
        self._late = False
        self._cut = False  # git had more to say than is read
        self._told = "no git repository"
        self._thread: threading.Thread | None = None
        if git.is_there:
            self._told = "git could not read this repository"
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()

    def collect(self, seconds: float) -> str:
        """Return what the model is told of it. What is not ready in time is ended."""
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                with self._lock:
                    self._late = True
                    if self._program is not None:
                        self._program.kill()
                self._thread.join()
        return self._told

    def _look(self) -> None:
        try:
            many = self._git.tracked()
            if many > _MANY:
                head = self._read("symbolic-ref", "-q", "HEAD").decode("utf-8", "replace").strip()
                branch = _branch(head.removeprefix("refs/heads/") or "(detached)", "")
                told = f"{branch}; status not taken, for there are {many} tracked files: ask git about the paths that matter"
            else:
                told = _words(self._read(*_STATUS, environment=self._without_filters()), self._cut)
        except JumarError as error:
            told = str(error)
        self._told = "git's status was not ready in time" if self._late else told or self._told

    def _without_filters(self) -> dict[str, str]:
        """Return the environment that unsets every filter of the repository: a status runs `clean` where times deceive."""
        listed = self._read("config", "-z", "--name-only", "--get-regexp", r"^filter\.").split(b"\0")
        drivers = dict.fromkeys(os.fsdecode(key).rpartition(".")[0] for key in listed if key.count(b".") > 1)
        pairs = [
            pair
            for driver in drivers
            for pair in (
                (f"{driver}.clean", ""),
                (f"{driver}.smudge", ""),
                (f"{driver}.process", ""),
                (f"{driver}.required", "false"),
            )
        ]
        environment = {"GIT_CONFIG_COUNT": str(len(pairs))}
        for number, (key, value) in enumerate(pairs):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return environment

    def _read(self, *arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
        with self._lock:
            if self._late:
                return b""
            program = self._program = self._git.spawn(arguments, environment=environment)
        with program:
            out = program.stdout.read(_MOST_STATUS) if program.stdout else b""
            if len(out) == _MOST_STATUS:
                program.kill()
                self._cut = True
                out = out[: out.rfind(b"\0") + 1]
        with self._lock:
            self._program = None
        return out


_STATUS = (
    "status",
    "--porcelain=v2",
    "--branch",
    "-z",
    "--no-ahead-behind",
    "--no-renames",
    "--untracked-files=normal",
    "--ignore-submodules=all",
)


def _words(out: bytes, cut: bool) -> str:
    head, commit, lines = "", "", []
    for record in os.fsdecode(out).split("\0"):
        kind, _, rest = record.partition(" ")
        match kind:
            case "#":
                name, _, value = rest.partition(" ")
                head = value if name == "branch.head" else head
                commit = value if name == "branch.oid" else commit
            case "1":
                lines.append(f"{rest[:2].replace('.', ' ')} {rest.split(' ', 7)[-1]}")
            case "u":
                lines.append(f"{rest[:2]} {rest.split(' ', 9)[-1]}")
            case "?":
                lines.append(f"?? {rest}")
            case _:
                pass
    if not head:
        return ""
    new = sum(line.startswith("??") for line in lines)
    counts = [f"{number} {kind}" for number, kind in ((len(lines) - new, "changed"), (new, "untracked")) if number]
    count = f"{'more than ' if cut else ''}{', '.join(counts)}" if counts else "nothing changed"
    told = [f"{_branch(head, commit)}; {count}"]
    told += [safe_line(line)[:200] for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        told.append("... and many more" if cut else f"... and {len(lines) - _MOST_LINES} more")
    return "\n".join(told)


def _branch(head: str, commit: str) -> str:
    if head == "(detached)":
        return f"no branch, at commit {commit[:12]}" if commit else "no branch"
    named = f"branch {safe_line(head)[:200]}"
    return f"{named}, no commit yet" if commit == "(initial)" else named
