"""The program that leads a confined command to the network: what the command sees of it, and what it does not reach."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.workspace.network import Network
from agent.workspace.sandbox.contract import Way
from tests.sites import LONGEST, Names, site

_BWRAP = Path("/usr/bin/bwrap")
_INSIDE = (
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
    *("--unshare-user", "--unshare-pid", "--unshare-net", "--die-with-parent", "--new-session", "--chdir", "/"),
)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are led to the network like this on Linux alone")


def _why_not() -> str:
    if not _BWRAP.exists():
        return "bubblewrap is not installed"
    tried = subprocess.run([_BWRAP, *_INSIDE, "--", "/bin/true"], capture_output=True, text=True, check=False)
    return f"bubblewrap does not work here: {tried.stderr.strip()}" if tried.returncode else ""


@pytest.fixture(scope="module")
def bwrap() -> Path:
    if why := _why_not():
        pytest.skip(why)
    return _BWRAP


@asynccontextmanager
async def network(folder: Path, resolve: Names | None = None) -> AsyncIterator[Network]:
    opened = Network(folder / "net", {}, resolve or Names())
    try:
        yield opened
    finally:
        await opened.close()


async def ran(way: Way, *command: str, inside: bool = True, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a command by a way: its exit code, and its output."""
    base = {"PATH": os.environ["PATH"]}
    own = ("--bind", str(way.socket), str(way.socket))
    before = (str(_BWRAP), *_INSIDE, *own, "--", *way.before) if inside else way.before
    running = await asyncio.create_subprocess_exec(
        *before,
        *command,
        env={**base, **way.environment} if environment is None else environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(running.communicate(), 3 * LONGEST)
    return running.returncode or 0, output.decode()


def elsewhere(way: Way, port: int) -> Way:
    """Return the way with its proxy at another port, for where everybody's ports are."""
    before = tuple(str(port) if word == "19128" else word for word in way.before)
    return Way(way.socket, before, way.environment)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str) -> tuple[str, ...]:
    script = f"""
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen({url!r}, timeout=20).read().decode(), end="")
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode(), end="")
except OSError as error:
    print("cut off:", error)
"""
    return (sys.executable, "-I", "-c", script)


async def test_a_command_reaches_the_host_that_it_may_and_no_other(tmp_path: Path, bwrap: Path) -> None:
    names = Names(shop=[["127.0.0.1"]] * 2)
    async with site() as shop, network(tmp_path, names) as net:
        way = await net.way((f"shop.example:{shop.port}", f"127.0.0.1:{shop.port}"))
        assert await ran(way, *fetch(f"http://shop.example:{shop.port}/")) == (0, "hi\n")
        code, told = await ran(way, *fetch("http://evil.example/"))
        assert (code, told[:50]) == (0, "403 jumar: this command may not reach evil.example")
        assert net.refused(way) == ("evil.example",)
        assert shop.came == 1


async def test_a_command_that_goes_around_the_proxy_reaches_nothing(tmp_path: Path, bwrap: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way(("shop.example",))
        script = f"import socket; socket.create_connection(('127.0.0.1', {shop.port}), 5)"
        code, told = await ran(way, sys.executable, "-I", "-c", script)
        assert (code, "Connection refused" in told) == (1, True)
        code, told = await ran(way, sys.executable, "-I", "-c", "import socket; socket.create_connection(('8.8.8.8', 53), 5)")
        assert (code, "unreachable" in told) == (1, True)
        assert shop.came == 0


async def test_a_port_of_the_persons_own_machine_that_a_rule_names_is_at_the_same_place_inside(
    tmp_path: Path, bwrap: Path
) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way((f"127.0.0.1:{shop.port}",))
        script = f"""
import socket
opened = socket.create_connection(("127.0.0.1", {shop.port}), 20)
opened.sendall(b"not HTTP")
opened.shutdown(socket.SHUT_WR)
print(opened.makefile().read())
"""
        assert await ran(way, sys.executable, "-I", "-c", script) == (0, "not HTTP\n")


async def test_many_connections_at_once_are_carried_whole(tmp_path: Path, bwrap: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way((f"127.0.0.1:{shop.port}",))
        script = f"""
import os, socket, threading
def one():
    sent = os.urandom(400_000)
    with socket.create_connection(("127.0.0.1", {shop.port}), 20) as opened:
        sending = threading.Thread(target=lambda: (opened.sendall(sent), opened.shutdown(socket.SHUT_WR)))
        sending.start()
        same.append(opened.makefile("rb").read() == sent)
        sending.join()
same = []
threads = [threading.Thread(target=one) for _ in range(30)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(same))
"""
        assert await ran(way, sys.executable, "-I", "-c", script) == (0, "30\n")


async def test_two_commands_at_once_cannot_use_each_others_socket(tmp_path: Path, bwrap: Path) -> None:
    async with network(tmp_path) as net:
        one, other = await net.way(("a.example",)), await net.way(("b.example",))
        script = """
import os, socket, sys
print(os.listdir(os.path.dirname(sys.argv[1])))
socket.socket(socket.AF_UNIX).connect(sys.argv[1])
"""
        ended = await asyncio.gather(
            ran(one, sys.executable, "-I", "-c", script, str(other.socket)),
            ran(other, sys.executable, "-I", "-c", script, str(one.socket)),
        )
        for (code, told), own in zip(ended, (one, other), strict=True):
            assert (code, "FileNotFoundError" in told, f"['{own.socket.name}']" in told.splitlines()) == (1, True, True)


@pytest.mark.parametrize("inside", [True, False])
async def test_a_command_runs_as_if_nothing_stood_before_it(tmp_path: Path, bwrap: Path, *, inside: bool) -> None:
    async with network(tmp_path) as net:
        way = await net.way(("shop.example",))

        async def seen(*command: str) -> tuple[int, str]:
            by = way if inside else elsewhere(way, free_port())  # the one before may be a moment longer at its port
            return await ran(by, *command, inside=inside)

        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "ODD": "a=b c"}
        by = way if inside else elsewhere(way, free_port())
        code, told = await ran(by, "/usr/bin/env", inside=inside, environment=environment)
        expected = {*(f"{name}={value}" for name, value in environment.items()), *({"PWD=/"} if inside else ())}
        assert (code, set(told.splitlines())) == (0, expected)
        assert await seen("/bin/sh", "-c", "exit 7") == (7, "")
        assert await seen("/bin/bash", "-c", "yes | head -1; echo ${PIPESTATUS[0]}") == (0, "y\n141\n")
        children = (
            "import os\ntry:\n os.wait()\nexcept ChildProcessError:\n print(sorted(map(int, os.listdir('/proc/self/fd')))[:4])"
        )
        assert await seen(sys.executable, "-I", "-c", children) == (0, "[0, 1, 2, 3]\n")
        assert await seen("/no/such") == (127, "jumar: /no/such: No such file or directory\n")


async def test_nothing_is_left_once_the_command_has_ended(tmp_path: Path) -> None:
    free = free_port()
    async with network(tmp_path) as net:
        way = elsewhere(await net.way(("shop.example",)), free)
        script = f"import socket; print(socket.create_connection(('127.0.0.1', {free}), 20).fileno() > 2)"
        assert await ran(way, sys.executable, "-I", "-c", script, inside=False) == (0, "True\n")
        async with asyncio.timeout(LONGEST):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", free)
                except ConnectionError:
                    break
                writer.close()


async def test_where_there_is_no_way_the_command_does_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with network(tmp_path) as net:
            way = elsewhere(await net.way(("shop.example",)), taken.getsockname()[1])
            code, told = await ran(way, "/usr/bin/touch", str(canary), inside=False)
    assert (code, told.split(":")[1].strip(), canary.exists()) == (125, "there is no way to the network", False)
