"""Owns the screen in a browser: who may see it, and one jumar for each page that is open."""

import asyncio
import hmac
import json
import os
import secrets
import signal
import sys
import tempfile
import webbrowser
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from agent.errors import UsageError

try:
    import textual_serve
    from aiohttp import WSMsgType, web
except ImportError:
    raise UsageError("the browser needs more: pip install 'jumar[web]'") from None

_HERE = "127.0.0.1"
_PAGES = 16  # that may be open at once
_LARGEST = 16 << 20  # bytes of what is pasted at once
_CELLS = range(1, 1000)  # columns or lines of a terminal
_PATIENCE = 5.0  # seconds that a jumar has to end by itself
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(options: Sequence[str], port: int, *, opens: bool) -> int:
    """Serve the screen until the person interrupts."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    pages = Pages((sys.executable, "-P", "-m", "jumar", *options), os.environ)
    runner = web.AppRunner(pages.app(), access_log=None, handle_signals=False, shutdown_timeout=_PATIENCE)
    await runner.setup()
    try:
        site = web.TCPSite(runner, _HERE, port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(f"cannot listen on {_HERE}:{port}: {error.strerror or error}") from error
        pages.port = runner.addresses[0][1]
        print(f"jumar is at {pages.url}\nonly who has this address can see it; Ctrl+C ends it", flush=True)
        if opens:
            with tempfile.TemporaryDirectory(prefix="jumar-") as folder:
                await asyncio.to_thread(_open, pages.url, Path(folder))
                await over.wait()
        else:
            await over.wait()
    finally:
        await pages.close()
        await runner.cleanup()
    return 0


def _open(url: str, folder: Path) -> None:
    """Open the address through a file that only the person can read: command lines can be read by others."""
    page = folder / "jumar.html"
    page.touch(0o600)
    page.write_text(f'<meta http-equiv="refresh" content="0; url={url}">')
    webbrowser.open(page.as_uri())


class Pages:
    """The pages that are open, each with a jumar of its own. Who comes must hold the token, and come from here."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.port = 0
        self._command = tuple(command)
        self._environment = environment
        self._token = secrets.token_urlsafe(32)
        self._open: set[web.WebSocketResponse] = set()

    @property
    def url(self) -> str:
        """Where the screen is, for who may see it."""
        return f"http://{_HERE}:{self.port}/?token={self._token}"

    def app(self) -> web.Application:
        """Return what answers requests."""
        app = web.Application(middlewares=[self._guard])
        static = Path(textual_serve.__file__).parent / "static"
        app.add_routes([web.get("/", self._page), web.get("/ws", self._socket), web.static("/static", static)])
        return app

    async def close(self) -> None:
        """Close all pages; what each showed ends, and is kept."""
        for socket in tuple(self._open):
            await socket.close()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Answer) -> web.StreamResponse:
        if not self._may(request):
            return web.Response(status=403, text="not for you\n", headers=_HEADERS)
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _may(self, request: web.Request) -> bool:
        """Whether a request comes from a page of ours, or from the person's own address bar."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or hosts[0] not in {f"{_HERE}:{self.port}", f"localhost:{self.port}"}:
            return False  # another name leads here, as a page does that would read from us
        socket = request.path == "/ws"
        origin = request.headers.get("Origin")
        if origin != f"http://{hosts[0]}" and (socket or origin is not None):
            return False
        held = request.cookies.get(self._cookie, "")
        if request.path == "/" and request.method == "GET":
            held = request.query.get("token", held)
        return hmac.compare_digest(held.encode(), self._token.encode())

    @property
    def _cookie(self) -> str:
        return f"jumar-{self.port}"  # cookies of one machine are shared by all its ports

    async def _page(self, request: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        text = files("jumar").joinpath("web.html").read_text("utf-8")
        for name, value in (("nonce", nonce), ("host", request.host), ("size", "16")):
            text = text.replace(f"{{{name}}}", value)
        response = web.Response(text=text, content_type="text/html")
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
            f"img-src 'self' data:; connect-src ws://{request.host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        response.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict", path="/")
        return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._open) >= _PAGES:
            return web.Response(status=503, text="too many pages are open\n")
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=_LARGEST)
        await socket.prepare(request)
        self._open.add(socket)
        try:
            size = (_cells(request.query.get("width")) or 80, _cells(request.query.get("height")) or 24)
            await _Behind(socket, self._command, self._environment, size).run()
        finally:
            self._open.discard(socket)
            await socket.close()
        return socket


class _Behind:
    """The jumar behind one page: what it draws goes there, what is typed there comes to it. It ends with the page."""

    def __init__(
        self, socket: web.WebSocketResponse, command: Sequence[str], environment: Mapping[str, str], size: tuple[int, int]
    ) -> None:
        self._socket = socket
        self._command = command
        self._environment = {
            **environment,
            "COLUMNS": str(size[0]),
            "ROWS": str(size[1]),
            "TERM": "xterm-256color",
            "TEXTUAL_COLOR_SYSTEM": "truecolor",
            "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
            "JUMAR_BROWSER": "1",
        }

    async def run(self) -> None:
        """Run it until either side ends."""
        pipe = asyncio.subprocess.PIPE
        program = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, env=self._environment, start_new_session=True
        )
        stdin, stdout = program.stdin, program.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("a program without pipes")
        told = asyncio.create_task(self._tell(stdin))
        drawn = asyncio.create_task(self._draw(stdout))
        try:
            await asyncio.wait({told, drawn}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await asyncio.shield(_end(program, stdin))
            told.cancel()
            await asyncio.gather(told, drawn, return_exceptions=True)

    async def _tell(self, stdin: asyncio.StreamWriter) -> None:
        """Give it what the page says."""
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                continue
            with suppress(ValueError):  # a page that says something else is not answered
                for packet in _packets(json.loads(message.data)):
                    if isinstance(packet, str):
                        await self._socket.send_json(["pong", packet])
                    else:
                        stdin.write(packet)
            await stdin.drain()

    async def _draw(self, out: asyncio.StreamReader) -> None:
        """Give the page what it draws, to its end."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await out.readuntil(b"__GANGLION__\n")
            while True:
                kind, size = await out.readexactly(1), int.from_bytes(await out.readexactly(4), "big")
                packet = await out.readexactly(size)
                if self._socket.closed:
                    continue  # it is on its way to its end, and shall not wait for us to read
                if kind == b"D":
                    await self._socket.send_bytes(packet)
                elif kind == b"M":
                    said = json.loads(packet)
                    if said.get("type") == "open_url" and str(said.get("url")).startswith(("http://", "https://")):
                        await self._socket.send_str(json.dumps(["open_url", {"url": said["url"], "new_tab": True}]))


def _packets(said: Any) -> list[bytes | str]:
    """Return what a page's message is for the program; a string is to be given back."""
    match said:
        case ["stdin", str(text)]:
            return [_packet(b"D", text.encode())]
        case ["resize", {"width": int(width), "height": int(height)}] if width in _CELLS and height in _CELLS:
            return [_packet(b"M", json.dumps({"type": "resize", "width": width, "height": height}).encode())]
        case ["ping", str(text)]:
            return [text[:64]]
        case ["focus" | "blur" as kind, *_]:
            return [_packet(b"M", json.dumps({"type": kind}).encode())]
        case _:
            return []


def _packet(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "big") + body


async def _end(program: asyncio.subprocess.Process, stdin: asyncio.StreamWriter) -> None:
    """Have it end: asked, then told, then killed. What it still draws is read meanwhile."""
    with suppress(OSError, RuntimeError):
        stdin.write(_packet(b"M", b'{"type": "quit"}'))
        stdin.close()
    for harder in (program.terminate, program.kill):
        try:
            async with asyncio.timeout(_PATIENCE):
                await program.wait()
                return
        except TimeoutError:
            with suppress(ProcessLookupError):
                harder()
    await program.wait()


def _cells(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and int(text[:6]) in _CELLS else 0
