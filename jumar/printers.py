"""Owns what a headless run prints: words for a person, or JSON for a program; the answer alone on stdout."""

import sys
from typing import Protocol, TextIO

from agent.blocks import Block, DiffBlock, PlanBlock, TableBlock, TerminalBlock, TextBlock
from agent.events import (
    ApprovalDecided,
    Event,
    ModelAnswered,
    RequestRetried,
    RunFinished,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    Verified,
    Warned,
    encode,
)
from agent.log import now
from agent.safe import safe_line, safe_text

_MARKS = {"done": "✓", "failed": "✗", "invalid": "✗", "denied": "⊘", "skipped": "–", "cancelled": "■", "unknown": "?"}
_PLAN_MARKS = {"open": "○", "doing": "◐", "done": "●", "dropped": "–"}
_SHOWN_LINES = 12


class Printer(Protocol):
    """Something that hears every event of a run."""

    def hear(self, event: Event, line: bytes) -> None:
        """Print what is to be printed of one event."""
        ...


class TextPrinter:
    """Progress on stderr, the final answer on stdout."""

    def __init__(self, out: TextIO, progress: TextIO, *, quiet: bool = False) -> None:
        self._out = out
        self._progress = progress
        self._quiet = quiet

    def hear(self, event: Event, line: bytes) -> None:
        """Print one event."""
        if isinstance(event, RunFinished):
            if event.text:
                print(safe_text(event.text.rstrip("\n")), file=self._out, flush=True)
            self._end(event)
        elif not self._quiet:
            for text in describe(event):
                self._say(text)
        elif isinstance(event, Warned):
            self._say(f"! {safe_line(event.text)}")

    def _end(self, event: RunFinished) -> None:
        usage = f"{event.usage.prompt:,} + {event.usage.completion:,} tokens"
        cached = f", {event.usage.cached / event.usage.prompt:.0%} cached" if event.usage.cached and event.usage.prompt else ""
        files = f" · {len(event.files_changed)} files changed" if event.files_changed else ""
        reason = f": {safe_line(event.reason)}" if event.reason else ""
        self._say(f"{event.status}{reason} · {event.steps} steps · {usage}{cached} · {event.duration_ms / 1000:.1f} s{files}")

    def _say(self, text: str) -> None:
        print(text, file=self._progress, flush=True)


class JsonPrinter:
    """The result alone, as one JSON object, on stdout."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def hear(self, event: Event, line: bytes) -> None:
        """Print the result."""
        if isinstance(event, RunFinished):
            _write_line(self._out, line)


class StreamPrinter:
    """Every settled event as the line that the log holds; with `deltas` also what streams."""

    def __init__(self, out: TextIO, session_id: str, *, deltas: bool) -> None:
        self._out = out
        self._session_id = session_id
        self._deltas = deltas
        self._seq = 0

    def hear(self, event: Event, line: bytes) -> None:
        """Print one line."""
        if line:
            self._seq = int(line.split(b",", 2)[1].rpartition(b":")[2])
            _write_line(self._out, line)
        elif self._deltas:
            _write_line(self._out, encode(event, seq=self._seq, ts=now(), session_id=self._session_id) + b"\n")


def _write_line(out: TextIO, line: bytes) -> None:
    """Write JSON as UTF-8, whatever the locale is."""
    out.flush()
    out.buffer.write(line)
    out.buffer.flush()


def describe(event: Event) -> list[str]:
    """Return the lines that tell a person of an event; all of them safe."""
    match event:
        case TurnStarted(by="check"):
            return ["» the check's failure goes back to the model"]
        case ModelAnswered(answer=answer) if answer.calls and answer.text.strip():
            return [safe_text(answer.text.strip())]
        case ToolStarted():
            return [f"▸ {event.tool} {_clip(event.subject)}"]
        case ApprovalDecided(allowed=False):
            return [f"⊘ {safe_line(event.reason)}"]
        case ToolFinished():
            return _finished(event)
        case RequestRetried():
            return [f"… {safe_line(event.reason)}; trying again in {event.seconds:.1f} s"]
        case Verified():
            return [f"{'✓' if event.exit_code == 0 else '✗'} check {_clip(event.command)} ended with {event.exit_code}"]
        case Warned():
            return [f"! {safe_line(event.text)}"]
        case TurnFinished(status=status, reason=reason) if status in {"failed", "limit", "interrupted"}:
            return [f"■ {safe_line(reason)}"]
        case _:
            return []


def _finished(event: ToolFinished) -> list[str]:
    code = f" · exit {event.exit_code}" if event.exit_code is not None else ""
    lines = [f"{_MARKS[event.status]} {event.tool} {_clip(event.subject)}{code} · {event.seconds:.2f} s"]
    if event.status not in {"done", "denied"}:
        lines.append(f"  {safe_line(event.reply.split(chr(10), 1)[0])}")
    for block in event.blocks:
        lines.extend(f"  {text}" for text in draw(block))
    return lines


def draw(block: Block) -> list[str]:
    """Return a block as safe lines, long ones folded."""
    match block:
        case TextBlock():
            return _folded(block.text)
        case DiffBlock():
            return [f"{safe_line(block.path)} +{block.added} -{block.removed}", *_folded(block.diff)]
        case TerminalBlock():
            return _folded(block.output)
        case TableBlock():
            return [" · ".join(safe_line(cell) for cell in row) for row in (block.head, *block.rows)]
        case PlanBlock():
            return [f"{_PLAN_MARKS[item.state]} {safe_line(item.text)}" for item in block.items]


def _folded(text: str) -> list[str]:
    lines = safe_text(text).rstrip("\n").split("\n")
    if lines == [""]:
        return []
    if len(lines) > _SHOWN_LINES:
        half = _SHOWN_LINES // 2
        return [*lines[:half], f"… {len(lines) - 2 * half} more lines …", *lines[-half:]]
    return lines


def _clip(text: str, width: int = 160) -> str:
    line = safe_line(text)
    return line if len(line) <= width else f"{line[: width - 1]}…"


def stderr_line(text: str) -> None:
    """Tell a person one line on stderr."""
    print(f"jumar: {safe_line(text)}", file=sys.stderr, flush=True)
