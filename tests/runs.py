"""Owns running the installed `jumar` in tests: a home of its own, a model server on loopback, and what came out."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from agent.events.event import schema
from tests import prepared
from tests.fakes import answer

JUMAR = Path(sysconfig.get_path("scripts")) / "jumar"
# A model that looks, mends add() of calc.py, tests it and says so.
MENDING = [
    answer("I look first.", calls=[("read", {"path": "calc.py"}), ("search", {"pattern": "def "})]),
    answer(
        "",
        calls=[
            ("edit", {"path": "calc.py", "old": "a - b", "new": "a + b"}),
            ("shell", {"command": "python3 test_calc.py"}),
        ],
    ),
    answer("add() subtracted; it adds now, and test_calc.py passes."),
]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return stdout as the JSON objects that it is, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> dict[str, Any]:
        """Return the last of them."""
        assert self.lines, self
        return self.lines[-1]


class Person:
    """Somebody with a home folder, a repository and, maybe, a model server."""

    def __init__(self, folder: Path, base_url: str = "", sandbox: str = "off") -> None:
        self.home = folder / "home"
        self.root = folder / "repository"
        self.home.mkdir()
        self.root.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        self.environment = {**kept, "HOME": str(self.home)}
        if base_url:
            self.environment |= {"JUMAR_BASE_URL": base_url, "JUMAR_API_KEY": "sk-of-the-test", "JUMAR_MODEL": "test-model"}
        # What holds on a machine shall not decide what a test sees: those of the sandbox ask for it.
        self.sandbox = sandbox
        self.reminded = False  # their scripts say what a model answers, and to nothing else
        self.configure("")

    def settle(self, settings: str) -> None:
        """Write the person's settings, which then alone say where requests go; there is no keyring."""
        self.configure(settings)
        for name in ("JUMAR_BASE_URL", "JUMAR_API_KEY", "JUMAR_MODEL"):
            self.environment.pop(name, None)
        self.environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"

    def configure(self, settings: str) -> None:
        """Write the person's settings beside what the surroundings say."""
        file = self.home / ".config" / "jumar" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'sandbox = "{self.sandbox}"\nremind = {str(self.reminded).lower()}\n{settings}')

    async def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
        """Start jumar in the repository."""
        return await asyncio.create_subprocess_exec(
            str(JUMAR),
            *arguments,
            cwd=self.root,
            env={**self.environment, **(environment or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Ended:
        """Run jumar in the repository to its end."""
        given = {**self.environment, **(environment or {})}
        return _told(*await prepared.run(arguments, self.root, given, stdin.encode()))

    async def trusted(self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Ended:
        """Run jumar in the repository, trusting it."""
        return await self.run(*arguments, "--trust", stdin=stdin, environment=environment)

    async def shell(self, command: str) -> Ended:
        """Run a line of bash in the repository; $JUMAR is the program."""
        program = await asyncio.create_subprocess_exec(
            "/bin/bash",
            "-c",
            command,
            cwd=self.root,
            env={**self.environment, "JUMAR": str(JUMAR)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return await ended(program)

    @property
    def logs(self) -> list[Path]:
        """Return the logs of the sessions, oldest first."""
        return sorted(self.home.rglob("sessions/*.jsonl"))


async def ended(program: asyncio.subprocess.Process, stdin: str = "") -> Ended:
    """Wait for a program's end."""
    try:
        out, err = await asyncio.wait_for(program.communicate(stdin.encode() if program.stdin else None), 60)
    except TimeoutError:
        program.send_signal(signal.SIGKILL)
        raise
    assert program.returncode is not None
    return _told(program.returncode, out, err)


def _told(code: int, out: bytes, err: bytes) -> Ended:
    told = err.decode()
    assert "Traceback" not in told, told
    return Ended(code, out.decode(), told)


async def until(file: Path) -> None:
    """Wait until a file is there."""
    async with asyncio.timeout(30):
        while not file.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)


async def gone(mark: str) -> bool:
    """Wait, for a while, until no process has the mark in its command line; say whether none has."""
    for _ in range(1000):
        if not alive(mark):
            return True
        await asyncio.sleep(0.01)
    return False


async def ended_all(*pids: int) -> bool:
    """Wait, for a while, until none of these processes runs; say whether none does. What was killed has to be run to be gone."""
    for _ in range(1000):
        if not any(map(is_running, pids)):
            return True
        await asyncio.sleep(0.01)
    return False


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended, whoever is still to hear of its end."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return sys.platform != "linux"


def processes() -> Iterator[tuple[int, int, str]]:
    """Yield each process of the machine: its id, its parent's, and its command line (of one that ended, its name)."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        for line in listed.splitlines():
            pid, parent, *rest = line.split(None, 2)
            yield int(pid), int(parent), "".join(rest)
        return
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            name, _, state = (folder / "stat").read_text("utf-8", "replace").partition("(")[2].rpartition(")")
        except OSError:
            continue
        yield int(folder.name), int(state.split()[1]), words or name


def valid(lines: list[dict[str, Any]]) -> None:
    """Hold that every line fits the published schema."""
    validator = Draft202012Validator(schema())
    for line in lines:
        validator.validate(line)


def alive(mark: str) -> list[int]:
    """Return the processes whose command line has the mark."""
    return [pid for pid, _, words in processes() if mark in words]
