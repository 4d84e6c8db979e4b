"""Owns a prepared jumar: a program that has imported all of it, and forks for each run that is asked for.

Most of a short run is importing. What is run here is the same `main`, in a process of its own with its own arguments, folder,
environment and streams; only how it came to be is another. What a start is like is a matter of the installed program.
"""

import asyncio
import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

_SIZE = struct.Struct("!i")
_SECONDS = 60.0
_PACKAGES = ("agent", "jumar", "tools")
_LATE = ("__main__", "jumar.web", "agent.providers.local")  # what only few runs take, and is heavy


async def run(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], stdin: bytes) -> tuple[int, bytes, bytes]:
    """Run jumar to its end, and return its exit code and what it wrote. Raises TimeoutError."""
    with TemporaryFile() as out, TemporaryFile() as err:
        source, feeding = os.pipe()
        started = Started(arguments, cwd, environment, (source, out.fileno(), err.fileno()))
        os.close(source)
        await asyncio.to_thread(_feed, feeding, stdin)
        code = await started.end()
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


class Started:
    """A jumar that was started on these three streams."""

    def __init__(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], streams: Sequence[int]) -> None:
        asked, program = json.dumps([str(cwd), dict(environment), list(arguments)]).encode(), _program()
        self._told, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(program, [_SIZE.pack(len(asked))], [*streams, theirs.fileno()])
        program.sendall(asked)

    async def end(self) -> int:
        """Wait for its end, and return its exit code. Raises TimeoutError."""
        return await asyncio.to_thread(self._end)

    def _end(self) -> int:
        with self._told as told:
            [pid] = _SIZE.unpack(told.recv(_SIZE.size))
            told.settimeout(_SECONDS)
            try:
                [code] = _SIZE.unpack(told.recv(_SIZE.size))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
            return int(code)


def _feed(pipe: int, stdin: bytes) -> None:
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb", 0) as feeding:
        feeding.write(stdin)


@functools.cache
def _program() -> socket.socket:
    """Start the program; it ends when we do."""
    ours, theirs = socket.socketpair()
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    with theirs:
        number = theirs.fileno()
        program = subprocess.Popen(
            [sys.executable, "-I", __file__, str(number)], pass_fds=[number], env=environment, stdin=subprocess.DEVNULL
        )

    def end() -> None:
        ours.close()
        program.wait()

    atexit.register(end)
    return ours


def _serve(asking: socket.socket) -> int:
    """Fork for what is asked for until nobody can ask any more; in the fork, run it and return its exit code."""
    from jumar import __main__ as beginning

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    beginning._settle()
    beginning._take_no_plugins()
    for package in _PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith(_LATE):
                importlib.import_module(module.name)
    gc.freeze()
    ended, telling = socket.socketpair()
    for one in (ended, telling):
        one.settimeout(0)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(telling.fileno())
    waiting = selectors.DefaultSelector()
    waiting.register(asking, selectors.EVENT_READ)
    waiting.register(ended, selectors.EVENT_READ)
    running: dict[int, socket.socket] = {}
    while True:
        ready = [key.fileobj for key, _ in waiting.select()]
        if ended in ready:
            ended.recv(4096)
            _tell_ends(running)
        if asking in ready:
            size, streams, *_ = socket.recv_fds(asking, _SIZE.size, 4)
            if not size:
                return 0
            asked = asking.recv(_SIZE.unpack(size)[0], socket.MSG_WAITALL)
            pid = os.fork()
            if not pid:
                waiting.close()
                for one in (asking, ended, telling, *running.values()):
                    one.detach()
                _become(asked, streams)
                return beginning.main()
            for stream in streams[:3]:
                os.close(stream)
            running[pid] = socket.socket(fileno=streams[3])
            running[pid].sendall(_SIZE.pack(pid))


def _tell_ends(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as told, suppress(OSError):
            told.sendall(_SIZE.pack(os.waitstatus_to_exitcode(status)))


def _become(asked: bytes, streams: Sequence[int]) -> None:
    """Be a program of one's own."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    cwd, environment, arguments = json.loads(asked)
    for number, stream in enumerate(streams[:3]):
        os.dup2(stream, number)
    os.closerange(3, 64)
    # What was a file may be a terminal now.
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115 - it is no file
    sys.stdout = open(1, "w", encoding="utf-8", errors="strict", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = [str(Path(sysconfig.get_path("scripts")) / "jumar"), *arguments]


if __name__ == "__main__":
    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
