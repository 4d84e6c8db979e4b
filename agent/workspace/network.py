"""Owns the network of confined commands: a proxy for each set of hosts, and how a command inside finds it."""

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ToolFailure
from agent.workspace.hosts import Hosts, joined
from agent.workspace.outbound import LARGEST_HEAD, Outbound, Resolve, resolved
from agent.workspace.proxy import Proxy, Times
from agent.workspace.sandbox import relay
from agent.workspace.sandbox.contract import Way

_PORT = 19128  # inside, where nobody else listens
_MOST_CLIENTS = 96  # of all proxies; each takes two files of ours
_MOST_SETS = 64
_PROXY_NAMES = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
    # Where a setting in a file of the person's would win over those.
    *("PIP_PROXY", "CARGO_HTTP_PROXY", "npm_config_proxy", "npm_config_https_proxy", "YARN_HTTP_PROXY", "YARN_HTTPS_PROXY"),
)
_CERTIFICATES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("PIP_CERT", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO", "npm_config_cafile"),
)
_OWN = "localhost,127.0.0.1,::1"
_JAVA = " ".join(f"-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={_PORT}" for scheme in ("http", "https"))


@dataclass(frozen=True, slots=True)
class _Open:
    way: Way
    proxy: Proxy
    server: asyncio.Server


class Network:
    """Opens ways to hosts. `folder` is ours alone, and hidden from commands; `environment` is the person's."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], resolve: Resolve = resolved, times: Times | None = None
    ) -> None:
        self._folder = folder
        self._times = times
        self._outbound = Outbound(environment, resolve)
        self._certificates = {name: environment[name] for name in _CERTIFICATES if environment.get(name)}
        self._seats = asyncio.Semaphore(_MOST_CLIENTS)
        self._open: dict[tuple[str, ...], _Open] = {}
        self._opening = asyncio.Lock()
        self._handle = -1  # of the folder

    async def way(self, hosts: tuple[str, ...]) -> Way:
        """Return the way to these hosts, which leads to no other. Raises UsageError, and ToolFailure where there can be none."""
        key = tuple(sorted(set(hosts)))
        async with self._opening:
            if key not in self._open:
                self._open[key] = await self._opened(key)
            return self._open[key].way

    def refused(self, way: Way) -> tuple[str, ...]:
        """Return the hosts that were asked for by this way in vain since this was last called."""
        return next((one.proxy.refused() for one in self._open.values() if one.way == way), ())

    async def close(self) -> None:
        """End every connection, and every way."""
        opened = tuple(self._open.values())
        self._open.clear()
        for one in opened:
            for listening in one.server.sockets:
                asyncio.get_running_loop().remove_reader(listening)
        await asyncio.sleep(0)  # a client that was accepted but not met would be left open by a server that closed in between
        for one in opened:
            one.server.close()
        await asyncio.gather(*(one.proxy.close() for one in opened))
        for one in opened:
            one.way.socket.unlink(missing_ok=True)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
            with suppress(OSError):
                self._folder.rmdir()

    async def _opened(self, hosts: tuple[str, ...]) -> _Open:
        allowed = Hosts(hosts)
        if not sys.executable:
            raise ToolFailure("A command gets no network here: the program that leads it there needs a Python of its own.")
        if len(self._open) >= _MOST_SETS:
            raise ToolFailure(f"The network was opened to {_MOST_SETS} different sets of hosts; name one of these.")
        path = self._folder / f"{len(self._open)}.sock"
        proxy = Proxy(allowed, hosts, self._outbound, self._seats, self._times)
        listening = self._listening(path)
        try:
            server = await asyncio.start_unix_server(proxy.take, sock=listening, limit=LARGEST_HEAD)
        except BaseException:
            listening.close()
            raise
        targets = [joined(host, port) for host, port in allowed.local() if port != _PORT]
        python = os.path.realpath(sys.executable)
        before = (python, "-I", "-S", "-B", str(Path(relay.__file__).resolve()), str(path), str(_PORT), *targets, "--")
        return _Open(Way(path, before, self._environment()), proxy, server)

    def _listening(self, path: Path) -> socket.socket:
        if self._handle < 0:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            os.fchmod(self._handle, 0o700)
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A socket's own name has room for a hundred bytes; on Linux any folder has a short one.
            listening.bind(f"/proc/self/fd/{self._handle}/{path.name}" if sys.platform == "linux" else str(path))
            path.chmod(0o600)
        except BaseException:
            listening.close()
            raise
        return listening

    def _environment(self) -> dict[str, str]:
        proxy = f"http://127.0.0.1:{_PORT}"
        return {
            **self._certificates,
            **dict.fromkeys(_PROXY_NAMES, proxy),
            **dict.fromkeys(("NO_PROXY", "no_proxy", "npm_config_noproxy"), _OWN),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.proxy",
            "GIT_CONFIG_VALUE_0": proxy,
            "MAVEN_OPTS": _JAVA,
            "GRADLE_OPTS": _JAVA,
        }
