"""A command that takes too much of the machine is ended, whole, and harms nothing else."""

import asyncio
import os
import resource
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent.workspace.limits import SELDOM, Allowance, Meter
from agent.workspace.shell import Shell
from tests.runs import gone

Make = Callable[..., Shell]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Make shells with an allowance; confined ones where a sandbox holds."""
    made: list[Shell] = []

    def shell(**allowed: int) -> Shell:
        made.append(Shell(tmp_path, {"PATH": os.environ["PATH"]}, tmp_path / "spill", allowance=Allowance(**allowed)))
        return made[-1]

    yield shell
    for one in made:
        await one.close()


async def test_a_fork_bomb_is_ended_whole_and_everything_else_goes_on(make: Make) -> None:
    # It doubles as any does, but not without end: whatever else runs on this machine is to go on.
    bomb = "bomb() { sleep 84.125 & [ $1 = 0 ] || bomb $(($1 - 1)) | bomb $(($1 - 1)) & }; bomb 7; sleep 84.125"
    ended = await make(processes=40).run(bomb, 60, lambda _: None)
    assert ended.guarded == "it had more than 40 processes"
    assert (ended.exit_code, ended.timed_out) == (137, False)
    assert await gone("84.125")
    assert await gone("bomb()")


async def test_a_command_that_takes_the_memory_is_ended(make: Make) -> None:
    hog = "python3 -c \"import time; x = bytearray(b'x' * (200 << 20)); time.sleep(84.375)\""
    ended = await make(memory=100 << 20).run(hog, 20, lambda _: None)
    assert ended.guarded == "it took more than 100 MiB of memory"
    assert await gone("84.375")


async def test_memory_counts_over_all_that_it_started(make: Make) -> None:
    one = "python3 -c \"import time; x = bytearray(b'x' * (40 << 20)); time.sleep(84.5)\""
    ended = await make(memory=100 << 20).run(f"for n in 1 2 3 4; do {one} & done; wait", 20, lambda _: None)
    assert ended.guarded.startswith("it took more than")
    assert await gone("84.5")


async def test_memory_that_no_process_has_for_itself_counts_too(make: Make) -> None:
    hog = "import os, time; file = os.memfd_create('x'); os.write(file, bytes(60 << 20)); time.sleep(84.25)"
    ended = await make(memory=40 << 20).run(f'python3 -c "{hog}"', 20, lambda _: None)
    assert ended.guarded == "more than 40 MiB of shared memory were taken while it ran"
    assert await gone("84.25")


async def test_threads_are_counted_as_processes_are(make: Make) -> None:
    many = "import threading, time; [threading.Thread(target=time.sleep, args=(84.75,)).start() for _ in range(60)]"
    ended = await make(threads=50).run(f'python3 -c "{many}"', 20, lambda _: None)
    assert ended.guarded == "it had more than 50 threads"
    assert await gone("84.75")


async def test_a_command_that_fills_the_disk_is_ended_and_one_that_finds_it_full_is_not(make: Make, tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    free = status.f_bavail * status.f_frsize
    writes = "head -c 40000000 /dev/zero > filled; sleep 5"
    ended = await make(free=free - (20 << 20)).run(writes, 20, lambda _: None)
    if not ended.guarded:  # others gave space back meanwhile
        pytest.skip("the disk's free space moves too much here")
    assert ended.guarded.startswith("it left less than")
    (tmp_path / "filled").unlink()
    assert (await make(free=1 << 60).run("sleep 0.3; echo fine", 20, lambda _: None)).output == "fine\n"


def test_each_disk_that_a_command_writes_to_is_looked_at(tmp_path: Path) -> None:
    other = Path("/dev/shm")  # another file system than the tests' own
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    status = os.statvfs(other)
    with tempfile.NamedTemporaryFile(dir=other) as file:
        meter = Meter(Allowance(free=status.f_bavail * status.f_frsize - (40 << 20)), lambda most: [], [tmp_path, other])
        assert meter.exceeded() == ""
        file.write(bytes(60 << 20))
        file.flush()
        assert meter.exceeded().startswith("it left less than")


async def test_endless_output_and_endless_lines_cost_neither_memory_nor_time(make: Make) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shell = make()
    ended = await shell.run("yes | head -c 100000000; head -c 100000000 /dev/zero | tr '\\0' x", 60, lambda _: None)
    assert ended.exit_code == 0
    assert len(ended.output) < 100_000
    assert ended.omitted > 190_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


async def test_a_command_beside_the_turn_has_its_allowance_too(make: Make) -> None:
    shell = make(processes=20)
    started = await shell.start("for n in $(seq 60); do sleep 84.625 & done; wait")
    async with asyncio.timeout(20):
        while shell.background()[0].running:  # noqa: ASYNC110 - other processes end it
            await asyncio.sleep(0.02)
    assert "it was ended: it had more than 20 processes" in shell.output(started.id)
    assert await gone("84.625")


async def test_no_picture_of_memory_is_written_when_one_crashes(make: Make) -> None:
    assert (await make().run("ulimit -c", 10, lambda _: None)).output == "0\n"
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


def test_a_companion_that_stays_as_it_is_is_looked_at_more_seldom_until_it_changes_and_a_command_is_not(tmp_path: Path) -> None:
    living = [1]
    command = Meter(Allowance(), lambda most: living, [tmp_path])
    assert [(command.exceeded(), command.pause) for _ in range(20)] == [("", 0.1)] * 20
    meter = Meter(Allowance(longest_pause=SELDOM), lambda most: living, [tmp_path])
    pauses = []
    for _ in range(20):
        assert meter.exceeded() == ""
        pauses.append(meter.pause)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.1, 0.5)
    living.append(2)
    meter.exceeded()
    assert meter.pause == 0.1
