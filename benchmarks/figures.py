"""Owns the figures: whole processes, as ratios to floors that run in the same minute. `python benchmarks/figures.py [NAME…]`."""

import json
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
JUMAR = str(Path(sysconfig.get_path("scripts")) / "jumar")
RUNS = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """One run of an agent against the server: its times, its bodies, its own cost."""

    spawned: float
    arrived: list[float]
    answered: list[float]
    bodies: list[str]
    cpu: float
    peak_mib: float


def run(command: Callable[[str], list[str]], cwd: Path, *, steps: int = 0, tokens: int = 1) -> Seen:
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), str(steps), str(tokens)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    base_url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    environment = {**os.environ, "JUMAR_BASE_URL": base_url, "JUMAR_MODEL": "m", "JUMAR_HOME": str(cwd.parent / "home")}
    spawned = time.monotonic()
    agent = subprocess.Popen(
        command(base_url), cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, status, usage = os.wait4(agent.pid, 0)
    if status:
        assert agent.stderr is not None
        sys.exit(f"{command(base_url)} ended with {status}: {agent.stderr.read().decode()}")
    seen = json.loads(server.communicate()[0])
    scale = 1024 if sys.platform == "linux" else 1024 * 1024
    return Seen(
        spawned, seen["arrived"], seen["answered"], seen["bodies"], usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale
    )


def jumar(_: str) -> list[str]:
    return [JUMAR, "--trust", "--mode", "yolo", "-q", "-p", "go"]


def floor(base_url: str) -> list[str]:
    return [sys.executable, str(HERE / "floor.py"), base_url]


def tell(name: str, figure: str, goal: str) -> None:
    print(f"{name:46} {figure:34} goal {goal}", flush=True)


def pairs(measure: Callable[[Callable[[str], list[str]]], float]) -> tuple[float, float, float]:
    """Return the medians of ours and of the floor, and the median of their ratios pair by pair."""
    ours, floors = [], []
    for _ in range(RUNS):
        ours.append(measure(jumar))
        floors.append(measure(floor))
    ratio = statistics.median(a / b for a, b in zip(ours, floors, strict=True))
    return statistics.median(ours), statistics.median(floors), ratio


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def version(_: Path) -> None:
    seconds([JUMAR, "--version"])
    ratios = [seconds([JUMAR, "--version"]) / seconds([sys.executable, "-c", "pass"]) for _ in range(4 * RUNS)]
    tell("jumar --version / bare python", f"{statistics.median(ratios):.2f}x", "2.5x")


def first_request(cwd: Path) -> None:
    def measure(command: Callable[[str], list[str]]) -> float:
        seen = run(command, cwd)
        return seen.arrived[0] - seen.spawned

    measure(jumar)
    ours, floors, ratio = pairs(measure)
    tell("exec → first request / floor", f"{ratio:.2f}x ({ours * 1000:.0f} / {floors * 1000:.0f} ms)", "2.5x")


def step(cwd: Path) -> None:
    def measure(command: Callable[[str], list[str]]) -> float:
        seen = run(command, cwd, steps=51)
        return statistics.median(after - before for before, after in zip(seen.answered[1:51], seen.arrived[2:52], strict=True))

    ours, floors, ratio = pairs(measure)
    tell("one step, median of 50 / floor", f"{ratio:.2f}x ({ours * 1000:.1f} / {floors * 1000:.1f} ms)", "3x")


def drift(cwd: Path) -> None:
    ratios = []
    for _ in range(3):
        seen = run(jumar, cwd, steps=200)
        gaps = [after - before for before, after in zip(seen.answered[:200], seen.arrived[1:201], strict=True)]
        ratios.append(statistics.median(gaps[-5:]) / statistics.median(gaps[1:6]))
    tell("last 5 of 200 steps / first 5", f"{statistics.median(ratios):.2f}x", "1.2x")


def memory(cwd: Path) -> None:
    tell(
        "peak memory, 50 steps",
        f"{run(jumar, cwd, steps=50).peak_mib:.0f} MiB (floor {run(floor, cwd, steps=50).peak_mib:.0f})",
        "75 MiB",
    )


def stream(cwd: Path) -> None:
    def cost(command: Callable[[str], list[str]]) -> float:
        return statistics.median((run(command, cwd, tokens=20_000).cpu - run(command, cwd).cpu) / 20_000 for _ in range(RUNS))

    tell("CPU a streamed token", f"{cost(jumar) * 1e6:.1f} µs (floor {cost(floor) * 1e6:.1f})", "15 µs")


def large(cwd: Path) -> None:
    big = cwd.parent / "big"
    for number in range(500):
        folder = big / f"package{number:03}"
        folder.mkdir(parents=True)
        for name in range(100):
            (folder / f"file{name:02}.py").write_text(f"VALUE = {number * name}\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "all"]):
        subprocess.run(["git", *arguments], cwd=big, check=True)

    def measure(place: Path) -> float:
        seen = run(jumar, place)
        return seen.arrived[0] - seen.spawned

    measure(big)
    ratios = [measure(big) / measure(cwd) for _ in range(2 * RUNS)]
    tell("exec → first request, 50,000 files / empty", f"{statistics.median(ratios):.2f}x", "1.1x")


def tokens(text: str) -> int:
    """Estimate tokens as code and JSON cost them: within some tenths of a real tokenizer."""
    return len(re.findall(r"[A-Za-z]{1,8}|\d{1,3}|[^\sA-Za-z\d\x00-\x1f]{1,2}|\n+", text))


def prompt(cwd: Path) -> None:
    body: dict[str, Any] = json.loads(run(jumar, cwd).bodies[0])
    offers = tokens(json.dumps(body["tools"], ensure_ascii=False))
    said = sum(tokens(str(message["content"])) for message in body["messages"])
    tell("first prompt, estimated tokens (of them tools)", f"{offers + said} ({offers})", "4500 (2500)")


def prefix(cwd: Path) -> None:
    bodies = run(jumar, cwd, steps=10).bodies
    kept = [after.startswith(before.removesuffix("]}")) for before, after in pairwise(bodies)]
    tell("byte-stable prefix from step to step", f"{sum(kept) / len(kept):.3f}", "1.000")


# Memory comes first: what a child is told to have used at most includes what we ourselves held when it was started.
FIGURES = (memory, version, first_request, step, drift, stream, large, prompt, prefix)


def main(wanted: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cwd = Path(folder) / "empty"
        cwd.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=cwd, check=True)
        for figure in FIGURES:
            if not wanted or figure.__name__ in wanted:
                figure(cwd)


if __name__ == "__main__":
    main(sys.argv[1:])
