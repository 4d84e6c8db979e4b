"""Owns the proxy by which a confined command reaches the hosts that it may, and no other: HTTP over a socket of ours."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from agent.workspace import hosts
from agent.workspace.hosts import Host, Hosts
from agent.workspace.outbound import LARGEST_HEAD, Line, Outbound, Unreached

_END = b"\r\n\r\n"
_PIECE = 64 << 10  # bytes
_MOST_REMEMBERED = 20
_MOST_INTERIM = 8  # answers that are not yet the answer
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_STATUS = re.compile(r"HTTP/1\.[01] ([1-5][0-9]{2})(?: |$)")
_PLAIN = re.compile(r"http://([^/?#]*)([^#]*)", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[\t ]*(?:;[\t\x20-\x7e]*)?\r\n")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # in latin-1
# These are between a client and the proxy that it speaks to, whoever else they are said to.
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "host",
    }
)


@dataclass(frozen=True, slots=True)
class Times:
    """How long a client is waited for, in seconds."""

    head: float = 15.0  # until its request is whole
    idle: float = 300.0  # while nothing comes from either side
    linger: float = 30.0  # the same, once one side has ended


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    host: Host
    port: int
    authority: str
    path: str  # "" for a tunnel
    version: str
    headers: tuple[str, ...]  # whole lines, that go on
    length: int | None  # bytes of its body; None where they are chunked


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, words: str) -> None:
        super().__init__(words)
        self.status = status


class Proxy:
    """Serves the clients of one set of hosts. `seats` bounds how many there are, and is shared between proxies."""

    def __init__(
        self, allowed: Hosts, shown: Sequence[str], outbound: Outbound, seats: asyncio.Semaphore, times: Times | None = None
    ) -> None:
        self._allowed = allowed
        self._shown = ", ".join(shown) or "no host"
        self._outbound = outbound
        self._seats = seats
        self._times = times or Times()
        self._refused: dict[str, None] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._closed = False

    def refused(self) -> tuple[str, ...]:
        """Return the hosts that were asked for in vain since this was last called."""
        refused = tuple(self._refused)
        self._refused.clear()
        return refused

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client, until it or `close` ends that."""
        if self._closed:
            writer.transport.abort()
            return
        serving = asyncio.create_task(self._serve(Line(reader, writer)))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        # A task that is ended before its first step runs nothing of itself.
        serving.add_done_callback(lambda _: writer.transport.abort())

    async def close(self) -> None:
        """End every connection, and take none from now on."""
        self._closed = True
        serving = tuple(self._serving)
        for one in serving:
            one.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, client: Line) -> None:
        try:
            # Errors of connections are no news: whoever was at their ends knows.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._seat(client)
        except _Refused as refusal:
            with suppress(OSError):
                async with asyncio.timeout(self._times.head):
                    await _say(client, refusal.status, str(refusal))
        finally:
            await client.close()

    async def _seat(self, client: Line) -> None:
        if self._seats.locked():
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open; end some first")
        async with self._seats:
            await self._answer(client)

    async def _answer(self, client: Line) -> None:
        request = await self._asked(client)
        if not self._allowed.allow(request.host, request.port):
            self._remember(request)
            words = f"this command may not reach {request.host} at port {request.port}, but only {self._shown}"
            raise _Refused(HTTPStatus.FORBIDDEN, words)
        try:
            far = await self._outbound.open(self._allowed, request.host, request.port, tunnel=not request.path)
        except Unreached as unreached:
            if unreached.status is HTTPStatus.FORBIDDEN:
                self._remember(request)
            raise _Refused(unreached.status, str(unreached)) from None
        try:
            async with asyncio.timeout(self._times.idle) as waiting:
                await (self._exchange if request.path else self._tunnel)(request, client, far, waiting)
        finally:
            await far.close()

    async def _asked(self, client: Line) -> _Request:
        try:
            async with asyncio.timeout(self._times.head):
                head = await client.reader.readuntil(_END)
        except TimeoutError:
            raise _Refused(HTTPStatus.REQUEST_TIMEOUT, "the request did not come to its end") from None
        except asyncio.LimitOverrunError:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers have at most {LARGEST_HEAD} bytes") from None
        try:
            return _read(head)
        except ValueError as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"this is no request that a proxy takes: {error}") from None

    async def _tunnel(self, request: _Request, client: Line, far: Line, waiting: asyncio.Timeout) -> None:
        client.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        loop, seconds = asyncio.get_running_loop(), self._times.idle

        def heard() -> None:
            waiting.reschedule(loop.time() + seconds)

        async def carry(source: Line, target: Line) -> None:
            nonlocal seconds
            await _carry(source, target, heard)
            seconds = self._times.linger
            heard()
            if target.writer.can_write_eof():
                target.writer.write_eof()

        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(carry(client, far))
                both.create_task(carry(far, client))
        except* OSError:
            pass  # what the other end was sent still goes there
        await client.end()
        await far.end()

    async def _exchange(self, request: _Request, client: Line, far: Line, waiting: asyncio.Timeout) -> None:
        """Send one request, and bring its answer: the next one may be to another host, and is then another connection."""
        loop, seconds = asyncio.get_running_loop(), self._times.idle

        def heard() -> None:
            waiting.reschedule(loop.time() + seconds)

        async def send() -> None:
            nonlocal seconds
            try:
                await (
                    _carry_chunks(client, far, heard) if request.length is None else _carry(client, far, heard, request.length)
                )
            except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await far.close()  # half a body is none
                return
            if not await client.reader.read(1):
                seconds = self._times.linger
                heard()

        target = f"http://{request.authority}{request.path}" if far.proxy else request.path
        first = f"{request.method} {target} {request.version}"
        far.writer.write(_head(first, f"Host: {request.authority}", *request.headers, *far.headers, "Connection: close"))
        sending = asyncio.create_task(send())
        try:
            client.writer.write(await _answered(far, client))
            await _carry(far, client, heard)
            await client.end()
        except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise _Refused(HTTPStatus.BAD_GATEWAY, f"{request.host} answers with no HTTP") from None
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _remember(self, request: _Request) -> None:
        if len(self._refused) < _MOST_REMEMBERED:
            at = "" if request.port in hosts.WEB else f":{request.port}"
            self._refused[f"{request.host}{at}"] = None


async def _answered(far: Line, client: Line) -> bytes:
    """Return the head of the answer; what comes before it is handed on. Raises ValueError."""
    for _ in range(_MOST_INTERIM):
        first, headers, _length = _parts(await far.reader.readuntil(_END))
        status = _STATUS.match(first)
        if status is None:
            raise ValueError("its first line is none of HTTP/1.1")
        if not status[1].startswith("1"):
            return _head(first, *headers, "Connection: close")
        client.writer.write(_head(first, *headers))
    raise ValueError("it does not begin")


def _head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


async def _carry(source: Line, target: Line, heard: Callable[[], None], most: int | None = None) -> None:
    """Carry what comes, until it ends or `most` bytes have come."""
    left = most
    while left is None or left > 0:
        piece = await source.reader.read(_PIECE if left is None else min(_PIECE, left))
        if not piece:
            return
        heard()
        left = None if left is None else left - len(piece)
        target.writer.write(piece)
        await target.writer.drain()


async def _carry_chunks(source: Line, target: Line, heard: Callable[[], None]) -> None:
    """Carry a body in chunks to its end and no further: what comes after it would be a request that nobody judged.

    Raises ValueError and what readers raise.
    """
    while True:
        size = _CHUNK.fullmatch(await source.reader.readuntil(b"\r\n"))
        if size is None:
            raise ValueError("a chunk has no size")
        left = int(size[1], 16)
        target.writer.write(b"%x\r\n" % left)
        if not left:
            break
        await _carry(source, target, heard, left)
        if await source.reader.readexactly(2) != b"\r\n":
            raise ValueError("a chunk does not end where it says")
        target.writer.write(b"\r\n")
    while await source.reader.readuntil(b"\r\n") != b"\r\n":
        heard()  # headers at the end, which nobody needs
    target.writer.write(b"\r\n")
    await target.writer.drain()


async def _say(client: Line, status: HTTPStatus, words: str) -> None:
    """Answer in words, which stand in the first line too: many clients show that one alone."""
    body = f"jumar: {words}.\n".encode()
    head = f"HTTP/1.1 {status.value} {words[:200]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    client.writer.write(
        head.encode("ascii", "replace") + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    )
    await client.writer.drain()
    client.writer.close()
    await client.writer.wait_closed()


def _read(head: bytes) -> _Request:
    """Read the head of a request. Raises ValueError."""
    first, headers, length = _parts(head)
    codings = [line.partition(":")[2].strip().lower() for line in headers if line.lower().startswith("transfer-encoding:")]
    if codings and codings != ["chunked"]:
        raise ValueError("its length is in doubt")
    method, target, version = first.split(" ") if first.count(" ") == 2 else ("", "", "")
    if not _TOKEN.fullmatch(method) or version not in {"HTTP/1.1", "HTTP/1.0"}:
        raise ValueError("its first line is none of HTTP/1.1")
    if method == "CONNECT":
        authority, path = target, ""
    else:
        plain = _PLAIN.fullmatch(target)
        if plain is None:
            raise ValueError("only http:// addresses, and CONNECT for all others")
        authority, path = plain[1], plain[2] if plain[2].startswith("/") else f"/{plain[2]}"
    name, port = hosts.split(authority.encode("latin-1").decode("utf-8", "replace"))
    host = hosts.parsed(name)
    if port is None and not path:
        raise ValueError("CONNECT names a port")
    shown = hosts.joined(host, port or 80)
    if path and port in {None, 80}:
        shown = shown.removesuffix(":80")
    return _Request(method, host, port or 80, shown, path, version, headers, length)


def _parts(head: bytes) -> tuple[str, tuple[str, ...], int | None]:
    """Return the first line, the headers that go on, and how long what follows is. Raises ValueError."""
    first, *lines = head[: -len(_END)].decode("latin-1").split("\r\n")
    pairs = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError("a header is none")
        pairs.append((name.lower(), value.strip(), line))
    if not _VALUE.fullmatch(first):
        raise ValueError("its first line is none of HTTP/1.1")
    named = {one.strip().lower() for name, value, _ in pairs if name == "connection" for one in value.split(",")}
    lengths = {value for name, value, _ in pairs if name == "content-length"}
    chunked = any(name == "transfer-encoding" for name, _, _ in pairs)
    if len(lengths) + chunked > 1 or any(not re.fullmatch(r"[0-9]{1,18}", one) for one in lengths):
        raise ValueError("its length is in doubt")
    kept = tuple(line for name, _, line in pairs if name not in _HOP and (name not in named or name in _FRAMING))
    return first, kept, None if chunked else int(next(iter(lengths), "0"))
