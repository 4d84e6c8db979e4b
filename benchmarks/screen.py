"""Owns the figures of the screen, each on a real terminal. `python benchmarks/screen.py [NAME…]`."""

import asyncio
import os
import statistics
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.conversation import LAST, keep
from benchmarks.server import chunk
from benchmarks.terminal import Terminal, terminal

JUMAR = str(Path(sysconfig.get_path("scripts")) / "jumar")
RUNS = 7
EVENTS = 10_000
BLOCKS = 10_000
TOKENS = 20_000
# An app of Textual's with one widget that says one thing.
EMPTY = """
from textual.app import App
from textual.widgets import Static

class Empty(App):
    def compose(self):
        yield Static('ready-now')

Empty().run()
"""
FIRST = ("/command", "opening")  # what the first whole frame says at least
READY = "measured-one"  # the model, which the status line names once the session is open
KEYS = [chr(0x0410 + number) for number in range(60)]  # letters that nobody else writes


class Model:
    """A server of the chat protocol that streams so many tokens a second."""

    def __init__(self) -> None:
        self.tokens = 0
        self.pace = 1000.0  # tokens a second; 0 as fast as it goes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                await reader.readexactly(next((int(line[15:]) for line in lines if line.startswith(b"content-length")), 0))
                if lines[0].startswith(b"get"):
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                else:
                    await self._answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the last: what asked is measured, and gone
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(self.tokens):
            part = chunk({"content": token(number)})
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            if self.pace and (ahead := began + number / self.pace - loop.time()) > 0.005:
                await asyncio.sleep(ahead)
            await writer.drain()
        part = chunk({"content": f"\n\n{LAST}"}) + chunk({}, "stop") + b"data: [DONE]\n\n"
        writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n0\r\n\r\n")
        await writer.drain()


def token(number: int) -> str:
    """Return a token of an answer as models give them: paragraphs, lists and code."""
    place = number % 400
    if place == 399:
        return "\n\n"
    if 200 <= place < 300:  # code
        if place in {200, 299}:
            return "\n\n```python\n" if place == 200 else "\n```\n\n"
        return "\n" if place % 12 == 0 else f" value{number % 97}" if place % 2 else " +"
    if 300 <= place < 380:
        return "\n- " if place % 10 == 0 else f" point{number % 97}"
    return f" word{number % 977}"


@dataclass(frozen=True, slots=True)
class Bench:
    """A repository, a home and a model for the screens that are measured."""

    root: Path
    home: Path
    model: Model
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Return what a screen is started with."""
        model = {"JUMAR_BASE_URL": f"http://127.0.0.1:{self.port}/v1", "JUMAR_MODEL": READY, "JUMAR_API_KEY": "k"}
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.home), "JUMAR_HOME": str(self.home), **model}

    @asynccontextmanager
    async def screen(self, *arguments: str) -> AsyncIterator[Terminal]:
        """Run the screen."""
        async with terminal([JUMAR, "--trust", *arguments], self.root, self.environment) as shown:
            yield shown

    def session(self, events: int) -> str:
        """Keep a long session; return its id."""
        return keep(self.home / "state" / "sessions", self.root, events)


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Make one."""
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder) / "repository", Path(folder) / "home"
        root.mkdir()
        home.mkdir()
        (home / "config.toml").write_text('sandbox = "off"\n')
        git = await asyncio.create_subprocess_exec("git", "init", "-q", cwd=root)
        await git.wait()
        model = Model()
        listening = await asyncio.start_server(model.serve, "127.0.0.1", 0)
        async with listening:
            yield Bench(root.resolve(), home, model, listening.sockets[0].getsockname()[1])


def tell(name: str, figure: str, goal: str) -> None:
    print(f"{name:56} {figure:52} goal ≤ {goal}", flush=True)


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[18]


async def paint(on: Bench) -> None:
    """From exec to the first whole frame, against an app of Textual's with one widget."""

    async def ours() -> float:
        async with on.screen() as shown:
            return await shown.sees(*FIRST) - shown.began

    async def empty() -> float:
        async with terminal([sys.executable, "-c", EMPTY], on.root, on.environment) as shown:
            return await shown.sees("ready-now") - shown.began

    await ours()
    await empty()
    pairs = [(await ours(), await empty()) for _ in range(RUNS)]
    ratio = statistics.median(a / b for a, b in pairs)
    mine, floor = (statistics.median(one) * 1e3 for one in zip(*pairs, strict=True))
    tell("exec → first frame / an empty Textual app", f"{ratio:.2f}x ({mine:.0f} / {floor:.0f} ms)", "2.2x")


async def opening(on: Bench) -> None:
    """From exec, and from the first frame, to the end of a session of 10,000 events."""
    session = on.session(EVENTS)
    whole, after = [], []
    for _ in range(RUNS):
        async with on.screen("-r", session) as shown:
            framed = await shown.sees(*FIRST)
            seen = await shown.sees(LAST)
            whole.append(seen - shown.began)
            after.append(seen - framed)
    tell(
        f"exec → a session of {EVENTS} events is seen",
        f"{statistics.median(whole):.2f} s ({statistics.median(after):.2f} s after the first frame)",
        "1 s",
    )


async def latencies(shown: Terminal) -> list[float]:
    """Press keys one after the other; return how long each took to be seen."""
    loop = asyncio.get_running_loop()
    took = []
    for key in KEYS:
        await asyncio.sleep(0.06)
        shown.forget()
        began = loop.time()
        shown.types(key)
        await shown.sees(key)
        took.append(loop.time() - began)
    return took


async def keys(on: Bench) -> None:
    """From a key to its letter on the terminal: nothing else happening, and while an answer streams."""
    session = on.session(BLOCKS * 14 // 9)
    async with on.screen("-r", session) as shown:
        await shown.sees(LAST)
        await shown.rests()
        calm = await latencies(shown)
        shown.types("\x15")
        on.model.tokens, on.model.pace = TOKENS, 300
        await shown.rests()
        shown.types("go\r")
        await shown.sees("word40")
        busy = await latencies(shown)
    for name, took in (("calm", calm), ("while 300 tokens/s stream", busy)):
        figure = f"p95 {p95(took) * 1e3:.1f} ms, median {statistics.median(took) * 1e3:.1f}, most {max(took) * 1e3:.1f}"
        tell(f"key → its letter, {BLOCKS} blocks, {name}", figure, "30 ms")


async def stream(on: Bench) -> None:
    """CPU that an answer of 20,000 tokens takes, fast and slow: frames cost it, and these are as many a second."""
    for pace in (0, 4000, 1000):
        async with on.screen() as shown:
            await shown.sees(READY)
            await shown.rests()
            on.model.tokens, on.model.pace = TOKENS, pace
            before = shown.cpu
            shown.types("go\r")
            began = asyncio.get_running_loop().time()
            await shown.sees(LAST)
            took = asyncio.get_running_loop().time() - began
            await shown.rests()
            name = f"{pace} tokens/s" if pace else "as they come"
            tell(f"CPU of an answer of {TOKENS} tokens, {name}", f"{shown.cpu - before:.2f} s (in {took:.1f} s)", "2 s")


async def idle(on: Bench) -> None:
    """CPU while nothing happens."""
    for events in (0, BLOCKS * 14 // 9):
        arguments = ("-r", on.session(events)) if events else ()
        async with on.screen(*arguments) as shown:
            await shown.sees(LAST if events else READY)
            await shown.rests(1.5)
            before, came = shown.cpu, shown.came
            await asyncio.sleep(15)
            figure = f"{(shown.cpu - before) / 15:.2%} ({shown.came - came} bytes)"
            tell(f"CPU while idle, {f'{BLOCKS} blocks' if events else 'empty'}", figure, "1 %")


async def memory(on: Bench) -> None:
    """What a screen holds."""
    for events in (0, BLOCKS * 14 // 9):
        arguments = ("-r", on.session(events)) if events else ()
        async with on.screen(*arguments) as shown:
            await shown.sees(LAST if events else READY)
            await shown.rests()
            tell(f"memory, {f'{BLOCKS} blocks' if events else 'empty'}", f"{shown.mib:.0f} MiB", "150 MB")


FIGURES: tuple[Callable[[Bench], Awaitable[None]], ...] = (paint, opening, keys, stream, idle, memory)


async def main(wanted: list[str]) -> None:
    async with bench() as on:
        for figure in FIGURES:
            if not wanted or figure.__name__ in wanted:
                await figure(on)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
