"""Installing packages in a sandbox: asked for by the manager's name, remembered for the work tree, and really installed."""

import asyncio
import base64
import hashlib
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from agent.workspace.local import LocalWorkspace
from tests.fakes import ScriptedServer, answer
from tests.runs import Person

CERTIFICATE = Path(__file__).parent / "captures" / "pypi.pem"
PIP = f"{sys.executable} -m pip install -q --disable-pip-version-check --no-deps --no-cache-dir --no-compile --target lib"


class Index:
    """An index of packages, each one module: it answers as one, and as a person's own proxy on the way to one."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if head.startswith("CONNECT "):
            secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            secured.load_cert_chain(CERTIFICATE)
            writer.write(b"HTTP/1.1 200 Yes\r\n\r\n")
            await writer.start_tls(secured)
            self.asked.append(head.split(" ", 2)[1])
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        target = head.split(" ", 2)[1]
        self.asked.append(target)
        name = target.rstrip("/").rpartition("/")[2]
        if name.endswith(".whl"):
            kind, body = "application/zip", wheel(name.partition("-")[0])
        else:
            file = f"{name}-1-py3-none-any.whl"
            kind, body = "text/html", f'<!doctype html><a href="{file}">{file}</a>'.encode()
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(body)
        await writer.drain()
        writer.close()


def wheel(name: str) -> bytes:
    """Return a package that holds one module, which says how it is called."""
    files = {
        f"{name}.py": f"NAME = {name!r}\n",
        f"{name}-1.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{name}-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{name}-1.dist-info/RECORD"
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in files.items()
    }
    files[record] = "".join(f"{path},sha256={digests[path]},{len(text)}\n" for path, text in files.items()) + f"{record},,\n"
    packed = BytesIO()
    with ZipFile(packed, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return packed.getvalue()


@asynccontextmanager
async def index() -> AsyncIterator[Index]:
    running = Index()
    async with await asyncio.start_server(running.serve, "127.0.0.1", 0) as server:
        running.port = server.sockets[0].getsockname()[1]
        yield running


@pytest.fixture
async def confined(person: Person) -> Person:
    """Have the person's jumar look for a sandbox that opens the network by host; skip where there is none, or no pip."""
    if find_spec("pip") is None:
        pytest.skip("pip is not installed here")
    workspace = LocalWorkspace(person.root, person.root, spill=person.home / "spill", environment={}, sandbox="auto")
    await workspace.close()
    if workspace.sandbox != "bubblewrap":
        pytest.skip(f"bubblewrap does not hold here: {'; '.join(workspace.holding.reasons)}")
    person.sandbox = "auto"
    person.configure("")
    return person


async def told(person: Person, *answers: dict[str, Any]) -> list[dict[str, Any]]:
    """Lead one turn as a program does, with these answers to what it asks; return all that it tells."""
    program = await person.start("--trust", "--mode", "auto", "--input-format", "stream-json", "--output-format", "stream-json")
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(b'{"type": "prompt", "text": "go"}\n')
    left, lines = list(answers), list[dict[str, Any]]()
    while text := await asyncio.wait_for(program.stdout.readline(), 60):
        lines.append(json.loads(text))
        if lines[-1]["type"] == "approval.asked":
            said = {
                "type": "decide",
                "call_id": lines[-1]["call_id"],
                "digest": lines[-1]["digest"],
                **(left.pop(0) if left else {"allow": False}),
            }
            program.stdin.write(json.dumps(said).encode() + b"\n")
        elif lines[-1]["type"] == "turn.finished":
            program.stdin.close()
    await program.wait()
    return lines


def calls(server: ScriptedServer, *commands: str) -> None:
    server.script += [*(answer("", calls=[("shell", {"command": command})]) for command in commands), answer("Done.")]


async def test_packages_are_installed_once_that_is_allowed_by_name_and_are_not_asked_for_again(
    confined: Person, server: ScriptedServer
) -> None:
    async with index() as registry:
        # A person's own proxy stands on the way to the registry, as it does in companies: here it is the registry too.
        trusted = confined.root / "pypi.pem"
        trusted.write_bytes(CERTIFICATE.read_bytes())
        confined.environment |= {"HTTPS_PROXY": f"http://127.0.0.1:{registry.port}", "PIP_CERT": str(trusted)}

        calls(server, f"{PIP} refused", f"{PIP} first")
        lines = await told(confined, {"allow": False}, {"allow": True, "rules": ["network(pip)"], "scope": "workspace"})
        [_, asked] = [line for line in lines if line["type"] == "approval.asked"]
        assert asked["suggested"] == ["network(pip)"]
        assert asked["reason"] == "it installs packages"
        assert "pypi.org" in asked["confined"]
        assert (confined.root / "lib" / "first.py").read_text() == "NAME = 'first'\n"
        assert not (confined.root / "lib" / "refused.py").exists()
        assert registry.asked[:2] == ["pypi.org:443", "/simple/first/"]

        calls(server, f"{PIP} second", "PYTHONPATH=lib python3 -c 'import first, second; print(first.NAME, second.NAME)'")
        lines = await told(confined)
        assert [line for line in lines if line["type"] == "approval.asked"] == []
        assert lines[-1]["denied"] == []
        assert "first second" in server.bodies()[-1]["messages"][-1]["content"]


async def test_an_index_that_a_command_names_itself_is_asked_for_by_its_own_host(
    confined: Person, server: ScriptedServer
) -> None:
    async with index() as registry:
        command = f"{PIP} --index-url http://127.0.0.1:{registry.port}/simple third"
        calls(server, command, f"{PIP.replace('lib', 'elsewhere')} --index-url http://127.0.0.1:{registry.port}/simple third")
        lines = await told(confined, {"allow": True, "rules": ["network(pip)", f"shell({command})"]}, {"allow": False})
        first, second = (line for line in lines if line["type"] == "approval.asked")
        assert first["suggested"] == [f"shell({command})"]  # and not the registry's rule, which is of no other place
        assert f"127.0.0.1:{registry.port}" in first["confined"]
        assert (confined.root / "lib" / "third.py").read_text() == "NAME = 'third'\n"
        assert second["subject"] != command
        assert not (confined.root / "elsewhere").exists()
