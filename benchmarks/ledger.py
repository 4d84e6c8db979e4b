"""Owns the ledger's figures, as ratios to `git status` in the same minute: `python benchmarks/ledger.py [FILES] [IGNORED]`.

A repository is made in a temporary folder: 50,000 files of 200 MB in 5,000 folders, and 30,000 ignored ones. The targets stand
beside the figures.
"""

import asyncio
import gc
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from agent.ledger.action import Action
from agent.ledger.capture import Capture
from agent.ledger.ledger import Ledger
from agent.ledger.store import Store

FILES, IGNORED = 50_000, 30_000
SIZE = 200_000_000
RUNS = 7
EDITS = 1000


def git(root: Path, *arguments: str) -> None:
    words = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0", "-c", "core.bigFileThreshold=1")
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *words, *arguments], cwd=root, env=environment, check=True, capture_output=True)


def make(root: Path, files: int, ignored: int) -> None:
    """Make the repository: all of it committed, in one pack."""
    noise = random.Random(1).randbytes(1 << 19).hex().encode()
    offsets = random.Random(2)
    for number in range(files):
        folder = root / f"p{number // 2500:02}" / f"m{number // 50 % 50:02}" / f"s{number // 10 % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        start = offsets.randrange(len(noise) // 2)
        lines = (noise[at : at + 79] for at in range(start, start + SIZE // FILES, 79))
        (folder / f"f{number}.py").write_bytes(b"# %d\n" % number + b"\n".join(lines) + b"\n")
    for number in range(ignored):
        folder = root / "node_modules" / f"k{number // 60}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"i{number}.js").write_bytes(b"%d\n" % number)
    (root / ".gitignore").write_text("node_modules/\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    git(root, "status")


def clock(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def aclock(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


def size(folder: Path) -> int:
    """Return the bytes on the disk that are not shared with the person's repository."""
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*") if file.is_file() and file.lstat().st_nlink == 1)


def tell(name: str, seconds: float, status: float, target: str) -> None:
    print(f"{name:<52} {seconds * 1000:9.1f} ms {seconds / status:7.2f} x   {target}", flush=True)


async def command(capture: Capture) -> None:
    """Stand for a command that changes nothing."""
    await capture.after(await capture.before(None))


async def edit(capture: Capture, path: Path, text: str) -> float:
    """Edit one file as a tool does; return the seconds that capture took."""
    began = time.perf_counter()
    before = await capture.before([path])
    middle = time.perf_counter()
    path.write_text(text)
    written = time.perf_counter()
    captured = await capture.after(before)
    assert len(captured.deltas) == 1
    return time.perf_counter() - written + middle - began


async def measure(root: Path, state: Path) -> None:
    def status() -> float:
        return statistics.median(clock(lambda: git(root, "status")) for _ in range(5))

    print(f"{'git status':<52} {status() * 1000:9.1f} ms    1.00 x")
    store = Store(state, root)
    capture = Capture(store)
    first = await aclock(capture.start)
    assert capture.watching, capture.fault
    tell("first capture (in the background)", first, status(), "<= 8 x, or in the background")
    bare = Capture(Store(state, root), watched=False)
    await bare.start()
    for name, one, target in (("with", capture, "<= 0.2 x"), ("without", bare, "<= 1 x")):
        times = [await aclock(partial(command, one)) for _ in range(RUNS)]
        tell(f"command that changed nothing, {name} a watch", statistics.median(times), status(), target)
    tell("turn border (all looked at)", await aclock(capture.border), status(), "")
    files = sorted(root.glob("p00/*/*/*.py"))[:EDITS]
    many = [await edit(capture, file, f"{file.read_text()}edited\n") for file in files[:50]]
    synced = statistics.median(clock(partial(sync, state / f"sync{number}")) for number in range(50))
    tell("edit of one file, before and after", statistics.median(many), status(), "<= 5 ms")
    print(f"{'  of which two files are made to last':<52} {synced * 2000:9.1f} ms")
    before = await capture.before(None)
    for file in root.glob("p01/*/*/*.py"):
        file.write_bytes(file.read_bytes() + b"more\n")
    after = await aclock(lambda: capture.after(before))
    tell("look after a command that changed 2,500 files", after, status(), "")
    grown = size(state)
    ledger = Ledger(store.bare, root, lambda: "2026-01-01T00:00:00+00:00")
    for number in range(EDITS):
        file = files[number % 20]
        lines = file.read_text().split("\n")
        lines[number % len(lines)] = f"edit {number}"
        begun = await capture.before([file])
        file.write_text("\n".join(lines))
        await ledger.record(Action("", "call", "", "s", deltas=(await capture.after(begun)).deltas))
    print(f"{'store growth after 1,000 one-line edits':<52} {(size(state) - grown) / 1e6:9.1f} MB              <= 20 MB")
    last = ledger.actions()[-1].action.id
    tell("undo of one file", await aclock(lambda: ledger.take_back([last], "undo")), status(), "<= 30 ms")
    traced = str(files[(EDITS - 1) % 20].relative_to(root))
    tell("why of a line, through 50 edits of its file", await aclock(lambda: ledger.why(traced, 1)), status(), "<= 200 ms")
    changed = [*root.glob("p02/*/*/*.py")][:EDITS]
    begun = await capture.before(changed)
    for file in changed:
        file.write_bytes(file.read_bytes() + b"more\n")
    many_files = await ledger.record(Action("", "call", "", "s", deltas=(await capture.after(begun)).deltas))
    assert many_files is not None
    took = await aclock(lambda: ledger.take_back([many_files.action.id], "undo"))
    tell(f"undo of {len(changed):,} files", took, status(), "<= 1 s")
    capture.close()
    bare.close()
    gc.collect()
    tracemalloc.start()
    counted = Capture(Store(state, root))
    await counted.start()
    gc.collect()
    python, _ = tracemalloc.get_traced_memory()
    watches = 1080 * sum(1 for folder in root.rglob("*/") if "node_modules" not in folder.parts and ".git" not in folder.parts)
    told = f"{python / 1e6:.1f} MB and {watches / 1e6:.1f} MB of the kernel's"
    print(f"{'memory of the table and the watch':<52} {told}   <= 40 MB")
    counted.close()


def sync(path: Path) -> None:
    with path.open("wb") as opened:
        opened.write(b"x" * 3000)
        os.fsync(opened.fileno())
    path.unlink()


def main(files: int = FILES, ignored: int = IGNORED) -> None:
    """Make the repository, measure, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="jumar-ledger-"))
    try:
        (folder / "r").mkdir()
        make(folder / "r", files, ignored)
        asyncio.run(measure(folder / "r", folder / "state" / "ledger"))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
