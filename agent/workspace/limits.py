"""Owns what a command may use of the machine: processes, memory and disk, looked at while it runs."""

import os
import resource
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_OFTEN = 0.1  # seconds between two looks: a fork bomb makes some thousands meanwhile
SELDOM = 0.5  # the same, of what runs for hours and is no command of a model's, once its processes have stayed the same
_SLOWER = 1.2
_MIB = 1 << 20


def _half() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (OSError, ValueError):
        return 4 << 30


@dataclass(frozen=True, slots=True)
class Allowance:
    """The most that one command and all that it started may use. `free` is what it must leave of the disk, all in bytes."""

    processes: int = 512
    threads: int = 4096
    memory: int = 0  # 0: half of the machine's
    free: int = 256 * _MIB
    longest_pause: float = _OFTEN  # seconds between two looks, where its processes stay the same

    @property
    def most_memory(self) -> int:
        """How much memory that is."""
        return self.memory or _half()


class Meter:
    """Measures one command. `living` lists its processes, not many more than it is asked for; `folders` are where it writes."""

    def __init__(self, allowance: Allowance, living: Callable[[int], Sequence[int]], folders: Sequence[Path]) -> None:
        self._allowance = allowance
        self._living = living
        self._pids: frozenset[int] = frozenset()
        self.pause = _OFTEN  # seconds until the next look
        # Where it was full before it wrote anything, that is not its doing.
        self._folders = [folder for folder in folders if _free(folder) >= allowance.free]
        self._shared = _shared()

    def exceeded(self) -> str:
        """Return which part of its allowance a command has used up, as a clause; empty where none."""
        allowance = self._allowance
        pids = self._living(allowance.processes)
        before, self._pids = self._pids, frozenset(pids)
        self.pause = min(self._allowance.longest_pause, _SLOWER * self.pause) if self._pids == before else _OFTEN
        if len(pids) > allowance.processes:
            return f"it had more than {allowance.processes} processes"
        if sum(map(_threads, pids)) > allowance.threads:
            return f"it had more than {allowance.threads} threads"
        memory, most = sum(map(_memory, pids)), allowance.most_memory
        if memory > most:
            return f"it took more than {most // _MIB} MiB of memory"
        if _shared() - self._shared > most:
            return f"more than {most // _MIB} MiB of shared memory were taken while it ran"
        if any(_free(folder) < allowance.free for folder in self._folders):
            return f"it left less than {allowance.free // _MIB} MiB of the disk"
        return ""


def leave_no_core() -> None:
    """Write no picture of our memory, nor of any command's, when one crashes: keys stand in ours."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _memory(pid: int) -> int:
    """Return what a process has for itself in memory, in bytes; what it shares counts for nobody."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:  # noqa: PTH123 - ten times as fast
            fields = file.read().split()
        return (int(fields[1]) - int(fields[2])) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0


def _threads(pid: int) -> int:
    """Return how many threads a process has: a folder each."""
    try:
        return os.stat(f"/proc/{pid}/task").st_nlink - 2  # noqa: PTH116 - ten times as fast
    except OSError:
        return 0


def _shared() -> int:
    """Return how much memory is in files without a disk and in segments, which no process has for itself, in bytes."""
    try:
        with open("/proc/meminfo", "rb", buffering=0) as file:  # noqa: PTH123 - ten times as fast
            return int(file.read().partition(b"\nShmem:")[2].split(None, 1)[0]) << 10
    except (OSError, IndexError, ValueError):
        return 0


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 62
