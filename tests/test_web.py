"""The screen in a browser: who may see it, that it works in a real one, and that nothing of it stays behind."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("textual_serve", reason="the extra `web` is not installed")

from aiohttp import ClientSession, CookieJar, WSMsgType, WSServerHandshakeError
from yarl import URL

from tests.chromium import chromium, page_of
from tests.fakes import ScriptedServer, answer
from tests.runs import Person, processes


@dataclass(frozen=True, slots=True)
class Served:
    """What `jumar web` serves, and the program."""

    url: str
    program: asyncio.subprocess.Process

    @property
    def root(self) -> str:
        return self.url.partition("/?")[0]

    @property
    def token(self) -> str:
        return self.url.partition("token=")[2]

    @property
    def children(self) -> list[str]:
        return [words for _, parent, words in processes() if parent == self.program.pid]


@asynccontextmanager
async def served(person: Person, *arguments: str) -> AsyncIterator[Served]:
    program = await person.start("web", "--trust", *arguments)
    assert program.stdout is not None
    try:
        line = (await asyncio.wait_for(program.stdout.readline(), 30)).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S{40,}", line)
        assert found, line
        yield Served(found.group(), program)
    finally:
        if program.returncode is None:
            program.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(program.wait(), 30) == 0


def visitor() -> ClientSession:
    """Return somebody who keeps cookies, also those of an address of numbers."""
    return ClientSession(cookie_jar=CookieJar(unsafe=True))


async def gone(pid: int) -> None:
    """Wait until a process and all that it started have ended. Who has, may wait to be asked for, by whoever took it in."""
    async with asyncio.timeout(30):
        while any(pid in (one, parent) and not is_over(one) for one, parent, _ in processes()):  # noqa: ASYNC110 - others end
            await asyncio.sleep(0.02)


def is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] == "Z"
    except OSError:  # gone, or there is no such place here
        return False


async def test_only_who_holds_the_token_and_comes_from_here_is_served(person: Person) -> None:
    async with served(person) as site, visitor() as client:

        async def status(path: str, **headers: str) -> int:
            async with client.get(f"{site.root}{path}", headers=headers) as response:
                return response.status

        whole = f"/?token={site.token}"
        assert await status("/") == 403
        assert await status("/?token=guessed") == 403
        assert await status("/static/js/textual.js") == 403
        assert await status(f"/static/js/textual.js?token={site.token}") == 403
        assert await status(whole, Host="evil.example") == 403
        assert await status(whole, Host="127.0.0.1") == 403
        assert await status(whole, Origin="http://evil.example") == 403
        assert await status(whole, Origin="null") == 403
        async with client.get(site.url) as response:
            assert response.status == 200
            [cookie] = response.headers.getall("Set-Cookie")
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert response.headers["X-Frame-Options"] == "DENY"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert site.token not in await response.text()
        assert await status("/static/js/textual.js") == 200
        assert await status("/static/") in {403, 404}
        assert await status("/static/../../../etc/passwd") in {403, 404}
        assert site.children == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", None])
async def test_no_other_page_can_type_into_it(person: Person, origin: str | None) -> None:
    async with served(person) as site, visitor() as client:
        async with client.get(site.url):
            pass
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect(f"{site.root}/ws", headers={"Origin": origin} if origin else {})
        assert refused.value.status == 403
        client.cookie_jar.clear()
        with pytest.raises(WSServerHandshakeError):
            await client.ws_connect(f"{site.root}/ws?token={site.token}", headers={"Origin": site.root})
        assert site.children == []


async def test_a_page_has_a_jumar_of_its_own_that_ends_with_it(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("All is well."))
    async with served(person) as site, visitor() as client:
        async with client.get(site.url):
            pass
        async with client.ws_connect(
            f"{site.root}/ws?width=100&height=30", headers={"Origin": site.root}, max_msg_size=0
        ) as socket:

            async def sees(words: str) -> None:
                held = ""
                async with asyncio.timeout(30):
                    while words not in held:
                        message = await socket.receive()
                        assert message.type is WSMsgType.BINARY, message
                        held += message.data.decode("utf-8", "replace")

            await sees("test-model")
            [child] = [pid for pid, parent, _ in processes() if parent == site.program.pid]
            for words in (*site.children, *(words for pid, _, words in processes() if pid == site.program.pid)):
                assert site.token not in words
            assert site.token.encode() not in Path(f"/proc/{child}/environ").read_bytes()
            await socket.send_json(["focus"])
            await socket.send_json(["stdin", "\x1b[200~how are\nyou?\x1b[201~"])
            await sees("you?")
            await socket.send_json(["resize", {"width": 70, "height": 20}])
            await socket.send_json(["resize", {"width": -1, "height": 1 << 40}])
            await socket.send_str("no json")
            await socket.send_json(["stdin", "\r"])
            await sees("well")
        await gone(child)
        run = await person.run("sessions")
        assert "1 turn" in run.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_no_jumar_stays_behind(person: Person, number: signal.Signals) -> None:
    program = await person.start("web", "--trust")
    assert program.stdout is not None
    url = URL((await program.stdout.readline()).decode().split()[-1])
    root = str(url.origin())
    async with visitor() as client:
        async with client.get(url):
            pass
        async with client.ws_connect(f"{root}/ws", headers={"Origin": root}, max_msg_size=0) as socket:
            await socket.receive()
            [child] = [pid for pid, parent, _ in processes() if parent == program.pid]
            os.kill(program.pid, number)
            assert await program.wait() == (0 if number is signal.SIGINT else -number)
            await gone(child)


async def test_what_is_no_option_of_the_screen_is_refused(person: Person) -> None:
    for wrong in (["-p", "x"], ["--port", "70000"], ["--nonsense"]):
        run = await person.run("web", *wrong)
        assert run.code == 2
        assert len(run.err.splitlines()) == 1


async def test_a_real_browser_shows_it_and_asks_nobody_else(person: Person, server: ScriptedServer) -> None:
    browser = chromium()
    if not browser:
        pytest.skip("no Chromium is installed")
    server.script.append(answer("The answer is forty-two."))
    async with served(person) as site, page_of(browser) as page:
        await page.call("Network.enable")
        await page.call("Page.enable")
        # What xterm.js draws is seen where it comes in: the bytes of the websocket, as text.
        await page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            source="window.seen = ''; const Real = WebSocket; window.WebSocket = class extends Real { constructor(...all) {"
            "super(...all); this.addEventListener('message', e => { if (e.data instanceof ArrayBuffer)"
            "window.seen += new TextDecoder().decode(e.data) }) } }",
        )
        await page.call("Page.navigate", url=site.url)
        await page.until("window.seen.includes('test-model') && document.body.classList.contains('-first-byte')")
        await page.value("document.querySelector('.xterm-helper-textarea').focus()")
        await page.call("Input.insertText", text="what is it?")
        await page.until("window.seen.includes('it?')")
        for kind in ("rawKeyDown", "char", "keyUp"):
            more = {"text": "\r"} if kind == "char" else {}
            await page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, **more)
        await page.until("window.seen.includes('forty-two')")
        assert await page.value("location.href") == f"{site.root}/"
        assert await page.value("document.cookie") == ""
        near = (site.root, site.root.replace("http", "ws"), "data:", "blob:", "about:")
        assert [url for url in page.asked if not url.startswith(near)] == []
        assert any("/fonts/" in url for url in page.asked)
