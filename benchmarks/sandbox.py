"""Owns the cost of confining: a bare start of a command, the same in each sandbox, and finding out which one holds.

`python benchmarks/sandbox.py [FOLDER]`; the folder is the work tree, else an empty repository is made.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agent.workspace.contract import WORKING
from agent.workspace.local import LocalWorkspace
from agent.workspace.sandbox.contract import Launch, Sandbox, Surroundings
from agent.workspace.sandbox.landlock import Landlock
from agent.workspace.sandbox.probe import holding

RUNS = 60
STARTED = 20.0  # milliseconds over a bare start, at most
PROBED = 150.0  # milliseconds, once a boot
COMMAND = ("/bin/bash", "--noprofile", "--norc", "-c", "true")
Row = tuple[str, list[float]]


def bare() -> float:
    """Start the command as it is; return milliseconds."""
    return timed(Launch(COMMAND, {"PATH": "/usr/bin:/bin"}))


def confined(sandbox: Sandbox, *, second: bool = True) -> float:
    """Start it confined, as a session does; return milliseconds, of what is done before and after too."""
    began = time.perf_counter()
    launch = sandbox.launch(COMMAND, WORKING, {"PATH": "/usr/bin:/bin"})
    if not second:
        launch = Launch((*launch.argv[: launch.argv.index("--") + 1], *COMMAND), launch.environment, launch.handles)
    prepared = (time.perf_counter() - began) * 1000
    ran = timed(launch)
    began = time.perf_counter()
    launch.check()
    return prepared + ran + (time.perf_counter() - began) * 1000


def timed(launch: Launch) -> float:
    """Run a launch to its end; return milliseconds."""
    began = time.perf_counter()
    subprocess.run(
        launch.argv, env=dict(launch.environment), stdin=subprocess.DEVNULL, pass_fds=launch.handles, check=True, close_fds=True
    )
    for handle in launch.handles:
        os.close(handle)
    return (time.perf_counter() - began) * 1000


def told(name: str, times: list[float], floor: float, goal: float = 0.0) -> str:
    """Return one line of the table."""
    times.sort()
    best, middle = times[0], times[len(times) // 2]
    over = f"   +{best - floor:5.1f} ms   x{best / floor:5.1f}" if floor and best != floor else ""
    return f"{name:32} best {best:6.1f} ms   p50 {middle:6.1f} ms{over}{f'   goal {goal:.0f} ms' if goal else ''}"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(dir=Path.home(), prefix=".jumar-benchmark-") as name:
        outer = Path(name)
        root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else outer / "root"
        if len(sys.argv) < 2:
            root.mkdir()
            subprocess.run(["git", "init", "-q", "."], cwd=root, check=True)
        around = Surroundings(root, root, (root,), (), Path.home(), outer / "cache")
        first, known = holding(around, outer / "own", "auto", None)
        ways: dict[str, list[float]] = {"bare": []}
        makers = {"bare": bare}
        if first is not None and known.name == "bubblewrap":
            makers["bubblewrap alone"] = lambda: confined(first, second=False)
            makers["bubblewrap and the second wall"] = lambda: confined(first)
        landlock = Landlock(around, outer / "own")
        makers["Landlock alone"] = lambda: confined(landlock)
        for _ in range(RUNS):  # by turns, so that what else the machine does is in all of them
            for way, run in makers.items():
                ways.setdefault(way, []).append(run())
        floor = min(ways["bare"])  # the machine has other things to do: the best run is the one that it left alone
        for way, times in ways.items():
            print(told(way, times, floor, 0.0 if way == "bare" else floor + STARTED), flush=True)
        probed: list[float] = []
        again: list[float] = []
        for number in range(9):
            memory = outer / f"known-{number}.json"
            for times in (probed, again):
                began = time.perf_counter()
                workspace = LocalWorkspace(
                    root, root, spill=outer / "spill", environment=dict(os.environ), sandbox="auto", known=memory
                )
                times.append((time.perf_counter() - began) * 1000)
                assert workspace.sandbox == known.name
        print(told("probe, once a boot", probed, 0.0, PROBED))
        print(told("what it found, remembered", again, 0.0))


if __name__ == "__main__":
    main()
