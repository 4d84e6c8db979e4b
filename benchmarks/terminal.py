"""Owns a terminal for the screen's figures: a program on a pty, what it wrote and when, what it cost."""

import asyncio
import fcntl
import os
import pty
import struct
import termios
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

COLUMNS, LINES = 120, 40
_PATIENCE = 60.0  # seconds
_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, program: asyncio.subprocess.Process, primary: int, began: float) -> None:
        self.program = program
        self.began = began
        self.came = 0  # bytes
        self._raw = bytearray()
        self._primary = primary
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(primary, self._read)

    def _read(self) -> None:
        try:
            more = os.read(self._primary, 1 << 16)
        except OSError:  # so Linux tells the end
            more = b""
        if not more:
            asyncio.get_running_loop().remove_reader(self._primary)
        self._raw += more
        self.came += len(more)
        self._more.set()

    async def sees(self, *words: str) -> float:
        """Wait until all the words came since `forget`; return the moment."""
        wanted = [word.encode() for word in words]
        try:
            async with asyncio.timeout(_PATIENCE):
                while not all(word in self._raw for word in wanted):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"{words} did not come; the last was {bytes(self._raw[-2000:])!r}") from None
        return time.perf_counter()

    async def rests(self, seconds: float = 0.5) -> None:
        """Wait until it does next to nothing for so long; its cursor may blink."""
        took = 1.0
        while took > seconds / 20:
            before = self.cpu
            await asyncio.sleep(seconds)
            took = self.cpu - before

    def forget(self) -> None:
        """Look only at what comes from now on."""
        self._raw.clear()

    def types(self, keys: str) -> None:
        """Press keys."""
        os.write(self._primary, keys.encode())

    @property
    def cpu(self) -> float:
        """Seconds of CPU that the program took so far."""
        fields = Path(f"/proc/{self.program.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def mib(self) -> float:
        """Memory that it holds now."""
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@asynccontextmanager
async def terminal(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """Run a program on a terminal of 120 columns and 40 lines."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    began = time.perf_counter()
    program = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**environment, "TERM": "xterm-256color"},
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        start_new_session=True,
    )
    os.close(secondary)
    shown = Terminal(program, primary, began)
    try:
        yield shown
    finally:
        if program.returncode is None:
            program.kill()
        await program.wait()
        asyncio.get_running_loop().remove_reader(primary)
        os.close(primary)
