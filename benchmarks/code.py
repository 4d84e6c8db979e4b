"""Owns the figures of the index of names: `python benchmarks/code.py [FILES]`, 50,000 where it is not said.

A tree of small files in three languages is made in a temporary folder. The goals stand beside the figures.
"""

import asyncio
import os
import random
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from agent.code.index import Index
from agent.code.lookup import Answer, Asked, look_up
from agent.estimate import tokens
from agent.workspace.contract import EVERYTHING
from agent.workspace.local import LocalWorkspace

FILES = 50_000
IN_FOLDER = 50
RUNS = 9
WORDS = (
    *("load", "parse", "config", "file", "node", "token", "stream", "value", "render"),
    *("query", "index", "cache", "user", "order", "batch", "state", "event", "client"),
)


def tell(name: str, figure: str, goal: str) -> None:
    print(f"{name:46} {figure:34} goal {goal}", flush=True)


def name(number: int) -> str:
    words = random.Random(number)
    return "".join(word.title() for word in words.choices(WORDS, k=3)) + str(number)


def text(number: int, count: int) -> tuple[str, str]:
    """Return how a file ends and what stands in it: a class with methods, a function, and uses of two other files."""
    others = [name(other) for other in random.Random(-number).choices(range(count), k=2)]
    if number % 5 == 3:
        calls = "\n".join(f"  step{n}(value: number) {{ return new {others[n % 2]}(value + {n}).run(); }}" for n in range(4))
        return "ts", f"export class {name(number)} {{\n  constructor(private value: number) {{}}\n{calls}\n}}\n"
    if number % 5 == 4:
        calls = "\n".join(
            f"func (o *{name(number)}) Step{n}(v int) int {{\n\treturn {others[n % 2]}Of(v + {n})\n}}\n" for n in range(4)
        )
        return "go", f"package p\n\ntype {name(number)} struct {{\n\tvalue int\n}}\n\n{calls}"
    calls = "\n".join(
        f"    def step{n}(self, value: int) -> int:\n        found = {others[n % 2]}(value + {n})\n"
        "        return found.run(self.value)\n"
        for n in range(4)
    )
    head = "".join(f"from package.module import {other}\n" for other in others)
    return "py", (
        f"{head}\n\nclass {name(number)}:\n    def __init__(self, value: int) -> None:\n        self.value = value\n\n{calls}\n\n"
        f"def make_{number}() -> {name(number)}:\n    return {name(number)}({number})\n"
    )


def make(root: Path, count: int) -> None:
    for number in range(count):
        folder = root / f"package{number // IN_FOLDER // 20:03}" / f"part{number // IN_FOLDER % 20:02}"
        if number % IN_FOLDER == 0:
            folder.mkdir(parents=True, exist_ok=True)
        suffix, content = text(number, count)
        path = folder / f"file{number}.{suffix}"
        path.write_text(content)
        os.utime(path, (1_000_000_000, 1_000_000_000))


def pages(folder: Path) -> int:
    """Return the memory of a program in KiB, by its folder below /proc, each page that others have too counted in part."""
    rollup = (folder / "smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def cpu() -> float:
    """Return the processor time that we and what we started took: a clock tells little on a machine that others use too."""
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


async def least(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return the least time by the clock and the least processor time of some runs, in milliseconds."""
    clock, spent = [], []
    for _ in range(RUNS):
        before = cpu()
        clock.append(await took(work))
        spent.append(cpu() - before)
    return 1000 * min(clock), 1000 * min(spent)


async def beside_ripgrep(place: LocalWorkspace) -> None:
    """Tell what `search` and `find` take beside bare ripgrep, on what few and what many files have."""
    program = str(Path(sysconfig.get_path("scripts")) / "rg")

    async def compared(told: str, ours: Callable[[], Awaitable[object]], *arguments: str) -> None:
        async def bare() -> None:
            command = [program, "--hidden", "--no-config", *arguments]
            await asyncio.to_thread(subprocess.run, command, cwd=place.root, stdin=subprocess.DEVNULL, capture_output=True)

        (clock, spent), (bare_clock, bare_spent) = await least(ours), await least(bare)
        figure = f"{clock:.0f} ms to {bare_clock:.0f}, {clock / bare_clock:.2f} ({spent / bare_spent:.2f} by CPU)"
        tell(told, figure, "1.2")

    here = place.locate(".")

    def search(pattern: str) -> Callable[[], Awaitable[object]]:
        return lambda: place.search(pattern, paths=(here,), glob="", context=0, ignore_case=False, limit=100, view=EVERYTHING)

    def find(glob: str) -> Callable[[], Awaitable[object]]:
        return lambda: asyncio.to_thread(place.find, glob, here, EVERYTHING, 200)

    await compared("search, a name that few files have", search(name(7)), "-n", name(7), ".")
    await compared("search, what most files have", search("return"), "-n", "return", ".")
    await compared("find, one file of a hundred", find("*77.py"), "--files", "--sortr=modified", "-g", "*77.py")
    await compared("find, all files", find("*"), "--files", "--sortr=modified")


class Watcher:
    """Looks at what the builders need, beside them: the most memory at once, each page counted once, and their CPU time."""

    def __init__(self) -> None:
        self.peak = 0.0
        self.cpu = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        spent: dict[str, float] = {}
        while not self._over.wait(0.1):
            held = 0
            for folder in Path("/proc").iterdir():
                try:
                    if not folder.name.isdigit() or b"agent.code.builder" not in (folder / "cmdline").read_bytes():
                        continue
                    held += pages(folder)
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    spent[folder.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                except (OSError, StopIteration):
                    continue
            self.peak = max(self.peak, held / 1024)
        self.cpu = sum(spent.values())


async def took(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def build(index: Index) -> None:
    index.start()
    await index.built()


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, kept = Path(folder) / "root", Path(folder) / "code"
        make(root, count)
        place = LocalWorkspace(root, root, spill=Path(folder) / "spill", environment={"PATH": os.environ["PATH"]})

        def ask(index: Index, wanted: str) -> Callable[[], Awaitable[Answer]]:
            return lambda: index.find(place, Asked(wanted, place.locate("."), EVERYTHING, 40))

        index = Index(kept, root)
        with Watcher() as watcher:
            first = await took(lambda: build(index))
        progress = index.progress()
        assert progress is not None
        assert progress.complete
        assert progress.held == count
        scale = count / FILES
        size = sum(path.stat().st_size for path in index.path.parent.iterdir()) / 2**20
        tell(f"first index of {count} files", f"{first:.1f} s ({watcher.cpu:.1f} s CPU, {size:.0f} MiB)", f"{60 * scale:.0f} s")
        tell("cores while it is built", f"{watcher.cpu / first:.2f}", "1")
        tell("memory of the builder at most", f"{watcher.peak:.0f} MiB", "120 MiB in all")
        held = pages(Path("/proc/self"))
        await index.close()

        again = [await took(ask(Index(kept, root), name(number))) for number in range(RUNS)]
        tell("re-open, to the first answer", f"{statistics.median(again) * 1000:.1f} ms", "300 ms")
        index = Index(kept, root)
        scans = [await took(lambda: build(index)) for _ in range(3)]
        tell("nothing changed: the look at all files, beside", f"{statistics.median(scans) * 1000:.0f} ms", "-")

        changed = []
        for number in range(RUNS):
            path = next(root.rglob(f"file{number * 5}.py"))
            path.write_text(path.read_text() + f"\n\ndef added_{number}() -> None:\n    make_{number * 5}()\n")
            index.note([str(path.relative_to(root))])
            answer = ask(index, f"added_{number}")
            changed.append(await took(answer))
            assert (await answer()).definitions
            await index.built()
        tell("one changed file, to the answer that has it", f"{statistics.median(changed) * 1000:.1f} ms", "20 ms")
        await build(index)

        for told, wanted, goal in (
            ("symbols, a class with some uses", [name(number * 7) for number in range(RUNS)], "30 ms"),
            ("symbols, a name that all files have", ["value"] * RUNS, "30 ms"),
            ("symbols, a slip of the pen", [name(number * 7).replace("a", "aa", 1) for number in range(RUNS)], "-"),
        ):
            spent = [await took(ask(index, one)) for one in wanted]
            tell(told, f"{statistics.median(spent) * 1000:.1f} ms", goal)
        wish = f"make {name(7)} load faster, see file777.py"
        drawn = [await least(lambda: index.draw(place, wish, 1200, tokens, EVERYTHING)) for _ in range(3)]
        tell("map", f"{min(clock for clock, _ in drawn):.1f} ms ({min(spent for _, spent in drawn):.1f} ms CPU)", "200 ms")
        tell("memory of the session for it", f"{(pages(Path('/proc/self')) - held) / 1024:.0f} MiB", "120 MiB in all")
        direct = await took(lambda: look_up(place, Asked(name(7), place.locate("."), EVERYTHING)))
        tell("the same class without the index", f"{direct * 1000:.0f} ms", "-")
        await index.close()
        await beside_ripgrep(place)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else FILES))
