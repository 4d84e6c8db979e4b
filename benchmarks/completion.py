"""Owns the cost of `@`: what each key takes on 50,000 files. `python benchmarks/completion.py`."""

import asyncio
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tui.files import Files

FILES = 50_000
FOLDERS = 3_000
GOAL = 0.030  # seconds, of 95 keys in 100
WORDS = (
    *("agent", "tools", "session", "prompt", "timeline", "ledger", "model", "render", "widget", "parse", "event"),
    *("queue", "story", "index", "screen", "test", "api", "core"),
)
ENDS = ("py", "ts", "md", "toml", "json", "rs")


def tree(root: Path) -> list[str]:
    """Make a repository of many empty files; return their names."""
    chance = random.Random(7)
    names: set[str] = set()
    places = [[f"{chance.choice(WORDS)}{chance.randrange(6)}" for _ in range(chance.randrange(1, 6))] for _ in range(FOLDERS)]
    while len(names) < FILES:
        folders = chance.choice(places)
        names.add(
            "/".join([*folders, f"{chance.choice(WORDS)}_{chance.choice(WORDS)}{chance.randrange(90)}.{chance.choice(ENDS)}"])
        )
    for folder in {str(Path(name).parent) for name in names}:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / name).touch()
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    return sorted(names)


def queries(names: list[str]) -> list[str]:
    """Return what a person types, key by key: names, parts of paths, scattered letters, and what is nowhere."""
    chance = random.Random(8)
    whole: list[str] = []
    for name in chance.sample(names, 40):
        base = name.rpartition("/")[2]
        whole += [base[:10], name[:14], "".join(letter for letter in name if chance.random() < 0.35)[:12]]
    whole += ["zzzz", "qqqqqqqq", "testtesttestx", "aaaaaaaaaaaa", "e", "/", "....", "agent0/agent1/x", "/////////"]
    return [text[:end] for text in whole for end in range(1, len(text) + 1)]


async def main() -> None:
    """Print what listing and each key take."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        names = tree(root)
        files = Files(root, root)
        began = time.perf_counter()
        index = await files.index()
        print(f"listing and indexing {len(index)} files and folders   {time.perf_counter() - began:.2f} s, in a thread")
        took: list[float] = []
        waited: list[float] = []  # how long the loop was held up meanwhile
        for query in queries(names):
            began = time.perf_counter()
            searching = asyncio.create_task(asyncio.to_thread(index.best, query, 50))
            while not searching.done():
                before = time.perf_counter()
                await asyncio.sleep(0.001)
                waited.append(time.perf_counter() - before)
            took.append(time.perf_counter() - began)
        p50, p95 = statistics.median(took) * 1e3, statistics.quantiles(took, n=20)[18] * 1e3
        print(
            f"{len(took)} keys   p50 {p50:.1f} ms   p95 {p95:.1f} ms   most {max(took) * 1e3:.1f} ms   goal {GOAL * 1e3:.0f} ms"
        )
        p95 = statistics.quantiles(waited, n=20)[18] * 1e3
        print(f"the loop meanwhile   p95 {p95:.1f} ms   most {max(waited) * 1e3:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
