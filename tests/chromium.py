"""Owns a browser for tests: a real Chromium without a window, driven over its DevTools protocol."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

_PATIENCE = 30.0  # seconds
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--window-size=1100,700"),
    *("--remote-debugging-port=0", "--disable-features=Translate,OptimizationHints,MediaRouter"),
)


def chromium() -> str:
    """Return the browser that is installed, or nothing."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = next((path for name in names if (path := shutil.which(name))), "")
    kept = sorted((Path.home() / ".cache" / "ms-playwright").glob("chromium*/chrome-*/*")) if not found else []
    return found or next((str(path) for path in kept if path.name in {"chrome", "headless_shell"}), "")


class Page:
    """One page, and all that it asked for."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.asked: list[str] = []  # addresses
        self._socket = socket
        self._count = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def listen(self) -> None:
        """Take in what the browser says."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Network.requestWillBeSent":
                self.asked.append(said["params"]["request"]["url"])
            elif said["method"] == "Network.webSocketCreated":
                self.asked.append(said["params"]["url"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Have the browser do something."""
        self._count += 1
        answer = self._answers[self._count] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._count, "method": method, "params": parameters})
        said = await asyncio.wait_for(answer, _PATIENCE)
        assert "error" not in said, said
        result: dict[str, Any] = said["result"]
        return result

    async def value(self, expression: str) -> Any:
        """Return what some JavaScript is worth in the page."""
        said = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def until(self, expression: str, holds: Callable[[Any], bool] = bool) -> Any:
        """Wait until some JavaScript is worth what it should."""
        async with asyncio.timeout(_PATIENCE):
            while not holds(found := await self.value(expression)):  # noqa: ASYNC110 - the page tells of no change
                await asyncio.sleep(0.02)
        return found


@asynccontextmanager
async def page_of(browser: str) -> AsyncIterator[Page]:
    """Run the browser with one empty page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        program = await asyncio.create_subprocess_exec(
            browser,
            *_OPTIONS,
            f"--user-data-dir={folder}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            said = Path(folder) / "DevToolsActivePort"
            async with asyncio.timeout(_PATIENCE):
                while not (said.exists() and said.read_text().count("\n") >= 1):  # noqa: ASYNC110 - the browser writes it
                    await asyncio.sleep(0.02)
            port = said.read_text().partition("\n")[0]
            async with ClientSession() as client:
                async with client.get(f"http://127.0.0.1:{port}/json/list") as listed:
                    address = next(one for one in await listed.json() if one["type"] == "page")["webSocketDebuggerUrl"]
                async with client.ws_connect(address, max_msg_size=0) as socket:
                    page = Page(socket)
                    listening = asyncio.create_task(page.listen())
                    try:
                        yield page
                    finally:
                        listening.cancel()
        finally:
            program.terminate()
            await program.wait()
