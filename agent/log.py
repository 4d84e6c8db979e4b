"""Owns the session file: append-only JSON lines, repaired when opened, one writer at a time."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agent.effects import Effect
from agent.errors import JumarError, UsageError
from agent.events.call import ToolFinished, ToolStarted
from agent.events.conversation import SessionRenamed, SessionStarted, Steered, TurnFinished, TurnStarted
from agent.events.event import Event, decode, encode
from agent.events.run import RunFinished
from agent.events.step import ModelAnswered

_FLAGS = os.O_APPEND | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_HEAD = 200  # bytes of a line that hold its envelope and its type
# These must survive a power cut before what follows them happens; what stands before them in the file survives with them.
_DURABLE = (TurnStarted, Steered, ModelAnswered, ToolFinished, TurnFinished)


def new_id() -> str:
    """Return a session id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def now() -> str:
    """Return the moment as logs write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class LogBroken(JumarError):
    """The session file could not be written: nothing more may run."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What was found in a session file: its events, and one line for each thing that was wrong."""

    events: tuple[Event, ...]
    faults: tuple[str, ...]


class Log:
    """One session's file, locked for as long as it is open."""

    def __init__(self, path: Path, fd: int, seq: int) -> None:
        self.path = path
        self.id = path.stem
        self.seq = seq
        self._fd = fd

    @classmethod
    def create(cls, folder: Path, session_id: str) -> "Log":
        """Begin a session's file. Raises UsageError where the folder cannot be written."""
        path = folder / f"{session_id}.jsonl"
        fd = _make(path)
        _lock(fd, path)
        return cls(path, fd, 0)

    @classmethod
    def open(cls, path: Path) -> tuple["Log", Opened]:
        """Open a session's file to go on with it, its torn tail moved aside. Raises UsageError."""
        try:
            fd = os.open(path, _FLAGS)
        except OSError as error:
            raise UsageError(f"cannot open session {path.stem}: {error.strerror}; see jumar sessions") from error
        _lock(fd, path)
        faults = []
        try:
            os.fchmod(fd, 0o600)
            torn = _cut_torn_tail(fd, path)
            lines = path.read_bytes().splitlines()
        except OSError as error:
            os.close(fd)
            raise UsageError(f"cannot go on with session {path.stem}: {error.strerror}", 1) from error
        if torn:
            faults.append(f"session {path.stem}: its last record was torn ({torn} bytes) and was moved to {path.stem}.torn")
        events, bad, seq = [], 0, 0
        for line in lines:
            seq += 1  # also for what cannot be read, for it has its number
            try:
                events.append(decode_line(line))
            except ValueError:
                bad += 1
        if bad:
            faults.append(f"session {path.stem}: {bad} unreadable records were passed over")
        return cls(path, fd, seq), Opened(tuple(events), tuple(faults))

    @classmethod
    def fork(cls, path: Path, session_id: str, before: int = 0) -> tuple["Log", Opened]:
        """Begin a session as a copy of another, which may be open elsewhere. Raises UsageError.

        With `before`, only of what came before that turn.
        """
        try:
            whole = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot open session {path.stem}: {error.strerror}; see jumar sessions") from error
        copy = path.with_name(f"{session_id}.jsonl")
        own, other = f'"session_id":"{session_id}"'.encode(), f'"session_id":"{path.stem}"'.encode()
        try:
            with os.fdopen(_make(copy), "wb") as file:
                file.write(_until(whole, before).replace(other, own))
        except OSError as error:
            copy.unlink(missing_ok=True)
            raise UsageError(f"cannot copy session {path.stem}: {error.strerror}", 1) from error
        return cls.open(copy)

    def line(self, event: Event) -> bytes:
        """Return an event as the line that would be the next."""
        return encode(event, seq=self.seq + 1, ts=now(), session_id=self.id) + b"\n"

    def append(self, event: Event) -> bytes:
        """Write one settled event with a single write, safe on disk where that matters; return its line. Raises LogBroken."""
        line = self.line(event)
        try:
            start = os.fstat(self._fd).st_size
            try:
                _write(self._fd, line)
                if isinstance(event, _DURABLE) or (isinstance(event, ToolStarted) and event.effect is not Effect.READ):
                    _sync(self._fd)
            except OSError:
                os.ftruncate(self._fd, start)  # what nobody heard of is not in it either
                raise
        except OSError as error:
            raise LogBroken(f"{self.path} could not be written ({error.strerror}); nothing more was run") from error
        self.seq += 1
        return line

    def close(self) -> None:
        """Give the file back. What is told later fails, for the number may be another file's by then."""
        fd, self._fd = self._fd, -1
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)  # a child that has not become its program yet would hold on to it
        os.close(fd)


def events_of(path: Path) -> Iterator[Event]:
    """Yield the events of a session's file that can be read, without opening it to go on."""
    for line in path.read_bytes().splitlines():
        with suppress(ValueError):
            yield decode_line(line)


def _until(whole: bytes, turn: int) -> bytes:
    """Return a log's whole lines, those before a turn where one is named."""
    lines = whole[: whole.rfind(b"\n") + 1].splitlines(keepends=True)
    if turn:
        for number, line in enumerate(lines):
            if b'"turn.started"' in line[:_HEAD]:
                event = decode_line(line)
                if isinstance(event, TurnStarted) and event.turn == turn:
                    return b"".join(lines[:number])
    return b"".join(lines)


def decode_line(line: bytes) -> Event:
    """Return a line's event without its envelope. Raises ValueError."""
    start = line.find(b'"type":"')
    if not line.startswith(b'{"v":1,') or start < 0:
        raise ValueError("no record of version 1")
    return decode(b"{" + line[start:])


def _make(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(
            f"cannot keep sessions in {path.parent}: {error.strerror}; set JUMAR_HOME to a folder of yours", 1
        ) from error


def _write(fd: int, line: bytes) -> None:
    if os.write(fd, line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync(fd: int) -> None:
    getattr(os, "fdatasync", os.fsync)(fd)


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise UsageError(f"session {path.stem} is open in another process; add --fork to go on from a copy") from error


def _cut_torn_tail(fd: int, path: Path) -> int:
    """Move what follows the last newline aside, and return its size."""
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    tail = whole[end:]
    if tail:
        aside = os.open(path.with_suffix(".torn"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(aside, "ab") as file:
            file.write(tail + b"\n")
            file.flush()
            os.fsync(aside)
        os.ftruncate(fd, end)
        _sync(fd)
    return len(tail)


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of the list of sessions."""

    id: str
    root: str
    model: str
    title: str
    started: str
    turns: int
    status: str
    path: Path


def sessions(folder: Path) -> Iterator[Summary]:
    """Tell of each session in the folder, newest first; what cannot be read is passed over."""
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        summary = _summarise(path)
        if summary is not None:
            yield summary


_SUMMED = (b'"session.started"', b'"session.renamed"', b'"turn.started"', b'"turn.finished"', b'"result"')


def _summarise(path: Path) -> Summary | None:
    first: SessionStarted | None = None
    title, named, turns, status, started = "", "", 0, "interrupted", ""
    try:
        with path.open("rb") as lines:
            for line in lines:
                if not any(kind in line[:_HEAD] for kind in _SUMMED):
                    continue
                try:
                    event = decode_line(line)
                except ValueError:
                    continue  # the last may be torn; the session can be gone on with all the same
                if isinstance(event, SessionStarted):
                    first = first or event
                    started = started or line.partition(b'"ts":"')[2][:24].decode("ascii", "replace")
                elif isinstance(event, TurnStarted):
                    turns, status = event.turn, "interrupted"
                    title = title or event.prompt.strip().split("\n")[0][:80]
                elif isinstance(event, SessionRenamed):
                    named = event.title
                elif isinstance(event, TurnFinished | RunFinished):
                    status = event.status
    except OSError:
        return None
    if first is None:
        return None
    return Summary(path.stem, first.root, first.model, named or title, started, turns, status, path)
