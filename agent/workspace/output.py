"""Owns what a command printed: the bounded part that is shown, and the file that keeps all of it."""

import asyncio
import codecs
import os
import re
import secrets
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

SHOWN = 32 << 10  # bytes that are shown, a quarter of them of the start
_SAMPLE = 8 << 10  # bytes that are looked at to know text from what is none
# More than is shown is kept as it came, so that a progress bar that folds into one line does not push out the lines before it.
_HEAD_KEPT = 64 << 10
_TAIL_KEPT = 256 << 10
_LINE = 2000  # characters of a line that are shown
_LARGEST_SPILL = 64 << 20
_FRESH_KEPT = 64 << 10
_TOLD_EVERY = 0.05  # seconds
_TOLD_AT_ONCE = 16 << 10  # characters

_DRESS = re.compile(r"\x1b\[[0-9;:]*[mK]")  # colours, and the erasing of line ends


class Spill:
    """A private file that takes bytes up to a cap, made when the first come. A full disk ends it, not the command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._size = 0
        self.path: Path | None = None

    def add(self, chunk: bytes | bytearray) -> None:
        """Write what still fits under the cap."""
        room = memoryview(chunk)[: _LARGEST_SPILL - self._size]
        if not room:
            return
        try:
            if self.path is None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                path = self._folder / f"output-{secrets.token_hex(6)}.txt"
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                self.path = path
            while room:
                written = os.write(self._file, room)
                self._size += written
                room = room[written:]
        except OSError:
            self._size = _LARGEST_SPILL

    def close(self) -> None:
        """Give the file back; its bytes stay."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Output:
    """Takes bytes as they come, in bounded memory, and shows the start and the end of them."""

    def __init__(self, spill: Spill, shown: int = SHOWN) -> None:
        self._shown = shown
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0
        self._spill = spill
        self.omitted = 0  # bytes that `text` left out

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._dropped:
            self._spill.add(chunk)
        room = _HEAD_KEPT - len(self._head)
        rest = chunk[room:] if room > 0 else chunk
        if room > 0:
            self._head += chunk[:room]
        excess = len(self._tail) + len(rest) - _TAIL_KEPT
        if excess > 0 and not self._dropped:
            for part in (self._head, self._tail, rest):
                self._spill.add(part)
        self._tail += rest
        if excess > 0:
            del self._tail[:excess]
            self._dropped += excess

    def text(self) -> str:
        """Return what is shown, folded and cut. Ends the taking: where some was left out, the file is whole now."""
        kept = bytes(self._head + self._tail)
        if _binary(self._head[:_SAMPLE]):
            shown, self.omitted = "[binary output]\n", self._dropped + len(kept)
        elif self._dropped:
            shown, self.omitted = _excerpt(_lines(bytes(self._head)), self._dropped, _lines(bytes(self._tail)), self._shown)
        elif len(kept) <= _LINE:
            shown = "".join(_lines(kept))
        else:
            shown, self.omitted = _excerpt(_lines(kept), 0, [], self._shown)
        if self.omitted and not self._dropped:
            self._spill.add(kept)
        self._spill.close()
        return shown

    def whole(self) -> str:
        """Return all that is kept, folded as a terminal shows it; a mark stands where the middle is not."""
        if not self._dropped:
            return "".join(_lines(bytes(self._head + self._tail)))
        gap = f"\n[… {self._dropped} bytes left out …]\n"
        return "".join([*_lines(bytes(self._head)), gap, *_lines(bytes(self._tail))])

    def keep(self) -> None:
        """Have the file hold all of it, also where `text` left nothing out."""
        if not self.omitted:
            self._spill.add(self._head + self._tail)
            self._spill.close()

    @property
    def spilled(self) -> Path | None:
        """Where all of it is, when `text` left some out, or it was kept."""
        return self._spill.path


class Fresh:
    """Keeps what a background process printed since the last look, in bounded memory, and all of it in a file."""

    def __init__(self, spill: Spill, shown: int = SHOWN) -> None:
        self._shown = shown
        self._bytes = bytearray()
        self._dropped = 0
        self._spill = spill
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._closed = False

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._spill.add(chunk)
        self._bytes += chunk
        if (excess := len(self._bytes) - _FRESH_KEPT) > 0:
            del self._bytes[:excess]
            self._dropped += excess

    def take(self) -> str:
        """Return what came since the last look, and where all is when some of it is gone."""
        if self._dropped:
            self._decoder.reset()  # the rest of the character that it waits for is gone
        if _binary(self._bytes[:_SAMPLE]):
            self._decoder.reset()
            shown, omitted = "[binary output]\n", len(self._bytes)
        else:
            shown, omitted = _excerpt(_folded(self._decoder.decode(bytes(self._bytes), final=self._closed)), 0, [], self._shown)
        omitted += self._dropped
        self._bytes.clear()
        self._dropped = 0
        where = f"; all of it: {self._spill.path}" if self._spill.path is not None else ""
        return f"{shown}\n[{omitted} bytes left out{where}]" if omitted else shown

    def close(self) -> None:
        """Give the file back: nothing comes any more."""
        self._closed = True
        self._spill.close()


class Telling:
    """Tells output as it comes, decoded, at most twenty times a second, and not more of it than a person could read."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = ""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._waiting = (self._waiting + self._decoder.decode(chunk))[-_TOLD_AT_ONCE:]
        if self._timer is None:
            self._tell()
            self._timer = asyncio.get_running_loop().call_later(_TOLD_EVERY, self._due)

    def close(self) -> None:
        """Tell what is left."""
        if self._timer is not None:
            self._timer.cancel()
        self._waiting += self._decoder.decode(b"", final=True)
        self._tell()

    def _due(self) -> None:
        self._timer = None
        if self._waiting:
            self.add(b"")

    def _tell(self) -> None:
        if self._waiting:
            words, self._waiting = self._waiting, ""
            self._told(words)


def _lines(raw: bytes) -> list[str]:
    return _folded(raw.decode(errors="replace"))


def _folded(text: str) -> list[str]:
    """Return the lines as a terminal shows them: of a line that returns to its start, the last state stays."""
    text = _DRESS.sub("", text)
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    if "\r" in text:
        lines = [line.rstrip("\r\n").rsplit("\r", 1)[-1] + line[len(line.rstrip("\n")) :] for line in lines]
    return [line for line in lines if line]


def _binary(sample: bytes | bytearray) -> bool:
    if b"\0" not in sample:
        return False
    bad = sample.count(0) + sample.decode(errors="replace").count("\ufffd")
    return bad * 10 > len(sample)


def _excerpt(first: list[str], gap: int, last: list[str], most: int) -> tuple[str, int]:
    """Return the lines that fit into `most` bytes, with a mark where some are missing, and how many bytes are."""
    lines = first + last
    short = [_cut(line) for line in lines]
    sizes = [len(line.encode()) for line in short]
    start, end = len(lines), len(lines)
    if gap or sum(sizes) > most:
        start = _fitting(sizes[: len(first)], most // 4)
        end = len(lines) - _fitting(sizes[max(start, len(first) if gap else 0) :][::-1], most - most // 4)
    left = sum(len(line.encode()) for line in lines[start:end])
    shown = [*zip(lines[:start], sizes[:start], strict=True), *zip(lines[end:], sizes[end:], strict=True)]
    cut = sum(max(0, len(line.encode()) - size) for line, size in shown)
    omitted = gap + left + cut
    if not gap and start == end:
        return "".join(short), omitted
    begin = "".join(short[:start])
    fresh = "" if not begin or begin.endswith("\n") else "\n"
    return f"{begin}{fresh}[… {gap + left} bytes left out …]\n{''.join(short[end:])}", omitted


def _fitting(sizes: list[int], budget: int) -> int:
    """Return how many, from the first on, fit the budget together."""
    for count, total in enumerate(accumulate(sizes)):
        if total > budget:
            return count
    return len(sizes)


def _cut(line: str) -> str:
    if len(line) <= _LINE:
        return line
    return f"{line[: _LINE - 200]}[… {len(line) - _LINE} characters …]{line[-200:]}"
