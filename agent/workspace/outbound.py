"""Owns connections outward for what is confined: to addresses that were judged, or by the person's own proxy."""

import asyncio
import base64
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_network
from urllib.parse import unquote, urlsplit

from agent.errors import JumarError
from agent.workspace import hosts
from agent.workspace.hosts import Address, Host, Hosts

LARGEST_HEAD = 64 << 10  # bytes
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_LOOKUPS = 8  # at once; each holds a thread
_PATIENCE = 20.0  # seconds for a lookup, and for a connection to one address
_MOST_ADDRESSES = 6
_END = b"\r\n\r\n"


class Unreached(JumarError):
    """Why a host was not reached, in words; `status` is the one of HTTP."""

    def __init__(self, message: str, status: HTTPStatus) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Line:
    """An open connection. `proxy` is true where a proxy is at its end that wants whole URLs; it is then told `headers`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    proxy: bool = False
    headers: tuple[str, ...] = ()

    async def end(self) -> None:
        """End it once all that was written has gone."""
        self.writer.close()
        await self.writer.wait_closed()

    async def close(self) -> None:
        """End it at once."""
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


@dataclass(frozen=True, slots=True)
class _Proxy:
    host: str
    port: int
    tls: bool
    headers: tuple[str, ...]


async def resolved(name: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, as the system knows them. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Outbound:
    """Opens connections. `environment` is the person's: it says by which proxy the world is reached from here."""

    def __init__(self, environment: Mapping[str, str], resolve: Resolve = resolved) -> None:
        self._environment = environment
        self._resolve = resolve
        self._lookups = asyncio.Semaphore(_LOOKUPS)

    async def open(self, allowed: Hosts, host: Host, port: int, *, tunnel: bool) -> Line:
        """Connect to a host that is allowed. Raises Unreached."""
        if isinstance(host, Address) and not allowed.admit(host, port):
            raise Unreached(_private(host, host), HTTPStatus.FORBIDDEN)
        proxy = None if _is_own(host) else self._proxy("https" if tunnel else "http", host, port)
        try:
            if proxy is None:
                return await self._straight(allowed, host, port)
            return await _by(proxy, host, port, tunnel=tunnel)
        except TimeoutError:
            raise Unreached(f"{host} does not answer", HTTPStatus.GATEWAY_TIMEOUT) from None
        except (OSError, UnicodeError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise Unreached(f"{host} could not be reached: {_why(error)}", HTTPStatus.BAD_GATEWAY) from None

    async def _straight(self, allowed: Hosts, host: Host, port: int) -> Line:
        addresses = [host] if isinstance(host, Address) else await self._addresses(host, port)
        # Nobody asks for the name a second time: what was judged is what is connected to.
        admitted = [address for address in addresses if allowed.admit(address, port)]
        if not admitted:
            raise Unreached(_private(host, addresses[0]), HTTPStatus.FORBIDDEN)
        for address in admitted[:_MOST_ADDRESSES]:
            try:
                async with asyncio.timeout(_PATIENCE):
                    return Line(*await asyncio.open_connection(str(address), port, limit=LARGEST_HEAD))
            except OSError as error:
                failed = error
        raise failed

    async def _addresses(self, name: str, port: int) -> list[Address]:
        try:
            async with asyncio.timeout(_PATIENCE), self._lookups:
                found = await self._resolve(name, port)
        except socket.gaierror:
            raise Unreached(f"no address is known of {name}", HTTPStatus.BAD_GATEWAY) from None
        addresses: dict[Address, None] = {}
        for text in found:
            with suppress(ValueError):
                addresses[hosts.address_of(text)] = None
        if not addresses:
            raise Unreached(f"no address is known of {name}", HTTPStatus.BAD_GATEWAY)
        return list(addresses)

    def _proxy(self, scheme: str, host: Host, port: int) -> _Proxy | None:
        url = self._named(f"{scheme}_proxy") or self._named("all_proxy")
        if not url or _is_excepted(self._named("no_proxy"), host, port):
            return None
        try:
            return _proxy_at(url)
        except ValueError:
            raise Unreached(
                f"the proxy that {scheme}_proxy or all_proxy names is none that speaks HTTP", HTTPStatus.BAD_GATEWAY
            ) from None

    def _named(self, name: str) -> str:
        return self._environment.get(name) or self._environment.get(name.upper()) or ""


async def _by(proxy: _Proxy, host: Host, port: int, *, tunnel: bool) -> Line:
    async with asyncio.timeout(_PATIENCE):
        reader, writer = await asyncio.open_connection(
            proxy.host, proxy.port, limit=LARGEST_HEAD, ssl=ssl.create_default_context() if proxy.tls else None
        )
    line = Line(reader, writer, proxy=not tunnel, headers=proxy.headers)
    if not tunnel:
        return line
    try:
        async with asyncio.timeout(_PATIENCE):
            await _ask_on(line, host, port)
    except BaseException:
        await line.close()
        raise
    return line


async def _ask_on(line: Line, host: Host, port: int) -> None:
    target = hosts.joined(host, port)
    head = "".join(f"{one}\r\n" for one in (f"CONNECT {target} HTTP/1.1", f"Host: {target}", *line.headers, ""))
    line.writer.write(head.encode("ascii"))
    status = (await line.reader.readuntil(_END))[9:12]
    if status != b"200":
        shown = status.decode() if status.isdigit() else "nothing known"
        raise Unreached(f"the proxy of this machine's environment answered {shown} for {host}", HTTPStatus.BAD_GATEWAY)


def _proxy_at(url: str) -> _Proxy:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(parts.scheme)
    tls = parts.scheme == "https"
    return _Proxy(parts.hostname, parts.port or (443 if tls else 80), tls, _credentials(parts.username, parts.password))


def _credentials(user: str | None, password: str | None) -> tuple[str, ...]:
    if user is None:
        return ()
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return (f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}",)


def _is_own(host: Host) -> bool:
    return host.is_loopback if isinstance(host, Address) else host == "localhost" or host.endswith(".localhost")


def _is_excepted(exceptions: str, host: Host, port: int) -> bool:
    """Whether NO_PROXY names a host; there a name stands for all below it too."""
    for entry in filter(None, (one.strip() for one in exceptions.split(","))):
        if entry == "*":
            return True
        with suppress(ValueError):
            if "/" in entry and isinstance(host, Address):
                if host in ip_network(entry, strict=False):
                    return True
                continue
            name, at = hosts.split(entry.removeprefix("*").removeprefix("."))
            named = hosts.parsed(name)
            below = isinstance(host, str) and isinstance(named, str) and host.endswith(f".{named}")
            if at in {None, port} and (host == named or below):
                return True
    return False


def _why(error: Exception) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__


def _private(host: Host, address: Address) -> str:
    leads = f"{host} is" if host == address else f"{host} leads to {address},"
    return f"{leads} no address of the open internet; it is reached only where a rule names {address} itself"
