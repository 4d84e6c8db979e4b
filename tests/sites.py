"""Owns what proxies are tested with: a server on the loopback that remembers who came, and a client that speaks by a proxy."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LONGEST = 8.0  # seconds until a test that hangs fails


class Site:
    """A server: it answers requests for a path with `answers`, and sends all else back as it comes."""

    def __init__(self) -> None:
        self.port = 0
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.answers: list[bytes] = []
        self.came = 0
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        self.came += 1
        try:
            with suppress(OSError):
                await self._serve(reader, writer)
        finally:
            writer.close()
            self.left.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = await reader.read(4096)
        if begun.startswith((b"GET ", b"POST ", b"CONNECT ")):
            while b"\r\n\r\n" not in begun:
                begun += await reader.read(4096)
            head, _, body = begun.partition(b"\r\n\r\n")
            self.heads.append(head.decode("latin-1"))
            asked = head.lower()
            if b"content-length: " in asked:
                length = int(asked.split(b"content-length: ")[1].split(b"\r\n")[0])
                body += await reader.readexactly(length - len(body))
            while b"transfer-encoding: chunked" in asked and not body.endswith(b"0\r\n\r\n"):
                body += await reader.read(4096)
            self.bodies.append(body)
            writer.write(self.answers.pop(0) if self.answers else b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n")
            await writer.drain()
            if not begun.startswith(b"CONNECT "):
                writer.write_eof()
                self.bodies.append(await reader.read())  # what nobody should have sent
                return
            begun = b""
        while begun or (begun := await reader.read(4096)):
            writer.write(begun)
            await writer.drain()
            begun = b""


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    """Run a server on the loopback."""
    running = Site()
    async with await asyncio.start_server(running.serve, "127.0.0.1", 0) as server:
        running.port = server.sockets[0].getsockname()[1]
        yield running


class Asked:
    """A connection to a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> str:
        """Return the head of an answer."""
        return (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")

    async def rest(self) -> bytes:
        """Return all that comes until the proxy ends the connection."""
        return await self.reader.read()

    def send(self, *lines: str, body: bytes = b"") -> None:
        """Send a head, and a body."""
        self.writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1") + body)


@asynccontextmanager
async def asking(path: Path) -> AsyncIterator[Asked]:
    """Connect to a socket, however long its path is."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        async with asyncio.timeout(LONGEST):
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
    try:
        async with asyncio.timeout(LONGEST):
            yield Asked(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


class Names:
    """A resolver that answers from a table, a list of addresses for each time it is asked."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {f"{name}.example": list(listed) for name, listed in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, name: str, port: int) -> Sequence[str]:
        """Answer."""
        self.asked.append(name)
        return self._answers[name].pop(0)
