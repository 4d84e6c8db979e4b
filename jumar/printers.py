"""Owns what a headless run prints: words for a person, or JSON for a program; the answer alone on stdout."""

import shlex
import shutil
import sys
import time
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TextIO

from agent.events.action import ActionRecorded
from agent.events.call import ApprovalAsked, QuestionAsked, ToolFinished, ToolProgressed, ToolStarted
from agent.events.conversation import SessionStarted, TurnFinished, TurnStarted
from agent.events.event import Event, encode
from agent.events.news import Informed, Warned
from agent.events.run import RunFinished
from agent.events.step import CallStreamed, ModelAnswered, ReasoningStreamed, RequestRetried, StepStarted, TextStreamed
from agent.log import now
from agent.mask import without_keys
from agent.safe import safe_json, safe_line, safe_text
from jumar.lines import Line, clip, count, describe, ending, painted

_LIVE = 0.1  # seconds between two looks at what the model does


class Printer(Protocol):
    """Something that hears every event of a run."""

    def hear(self, event: Event, line: bytes) -> None:
        """Print what is to be printed of one event."""
        ...


class TextPrinter:
    """Progress on stderr, in colours where that is a terminal; the final answer on stdout, or `each` as it comes."""

    def __init__(
        self,
        out: TextIO,
        progress: TextIO,
        *,
        quiet: bool = False,
        coloured: bool = False,
        session_id: str = "",
        each: bool = False,
    ) -> None:
        self._each = each
        self._out = out
        self._progress = progress
        self._quiet = quiet
        self._terminal = coloured
        self._session_id = session_id  # of one that is kept
        self._root = ""
        self._answer = ""  # of the turn before: the last one alone is the run's
        self._doing = ""  # what takes its time, as the last line of a terminal shows it
        self._since = 0.0
        self._until = 0.0  # when a wait is over
        self._recorded = False  # something that could be undone
        self._shown = 0.0  # when it was last shown; 0 where the line is clear

    def hear(self, event: Event, line: bytes) -> None:
        """Print one event."""
        if isinstance(event, SessionStarted):
            self._root = event.root
        self._recorded = self._recorded or isinstance(event, ActionRecorded)
        if self._each and isinstance(event, TurnFinished):
            self._print_answer(event.text)
        if self._quiet and not isinstance(event, RunFinished | Warned):
            return
        match event:
            case StepStarted():
                self._since, self._until = time.monotonic(), 0.0
                self._live("asking")
            case TextStreamed() | ReasoningStreamed():
                self._live("thinking" if isinstance(event, ReasoningStreamed) else "answering")
            case CallStreamed():
                self._live(f"writing a call of {clip(event.tool)}, {event.size:,} characters")
            case ToolProgressed():
                # Of a line that returns to its start, as progress bars do, the last state is what a terminal would show.
                last = event.text.rstrip().rpartition("\n")[2].rpartition("\r")[2]
                self._live(safe_line(last) or self._doing)
            case RunFinished():
                self._end(event)
            case _:
                self._tell(event)

    def _tell(self, event: Event) -> None:
        match event:
            case TurnStarted() | Informed(kind="check" | "ending") if self._answer:  # it was not the last
                self.say(("plain", safe_text(self._answer)))
                self._answer = ""
            case ModelAnswered():
                self._answer = "" if event.answer.calls or self._each else event.answer.text.strip()
                self._doing = ""
            case ToolFinished():
                self._doing = ""
            case ApprovalAsked() | QuestionAsked():  # nothing is written over where a person types
                self._doing = ""
                self._clear()
            case _:
                pass
        for told in describe(event):
            self.say(told, whole=isinstance(event, Warned | RequestRetried))
        if isinstance(event, ToolStarted):
            self._since = time.monotonic()
            self._doing = "running"
        if isinstance(event, RequestRetried):
            self._until = time.monotonic() + event.seconds
            self._live("waiting to try again", at_once=True)

    def _end(self, event: RunFinished) -> None:
        self._doing = ""
        self._clear()
        if not self._each:
            self._print_answer(event.text)
        style, text = ending(event)
        self.say((style, f"{text} · session {self._session_id}" if self._session_id else text), whole=True)
        if self._recorded and not event.reverted:
            self.say(("dim", f"undo: {self._undoing(event)}"), whole=True)
        if event.reverted:
            number = count(len(event.reverted), "action")
            self.say(("warning", f"↶ {number} put back; jumar redo brings what they changed again"), whole=True)

    def _print_answer(self, text: str) -> None:
        if text:
            if not self._quiet:
                self.say(("plain", ""))
            self._clear()
            print(safe_text(text.rstrip("\n")), file=self._out, flush=True)

    def _undoing(self, event: RunFinished) -> str:
        """Return the command that takes back what the run did: by the ledger, or by its patch where none is kept."""
        if self._session_id:
            return f"jumar undo --session {self._session_id} · one action: jumar actions"
        if event.patch_path:
            return safe_line(shlex.join(["git", "-C", self._root, "apply", "-R", str(Path(event.patch_path).absolute())]))
        return "not possible: an ephemeral session keeps nothing"

    def tick(self) -> None:
        """Show how long it takes already; call it about once a second."""
        if self._doing and not self._quiet:
            self._live(self._doing)

    def _live(self, doing: str, *, at_once: bool = False) -> None:
        """Show on a terminal what takes its time, in one line that is written over."""
        self._doing = doing
        moment = time.monotonic()
        if self._terminal and (at_once or moment - self._shown >= _LIVE):
            self._shown = moment
            left = self._until - moment
            took = f"{left:.0f} s left" if left > 0 else f"{moment - self._since:.0f} s"
            text = _within(doing, max(0, shutil.get_terminal_size().columns - 19))
            self._progress.write(f"\r\x1b[2K\x1b[2m… {text}, {took}\x1b[0m")
            self._progress.flush()

    def _clear(self) -> None:
        if self._terminal and self._shown:
            self._shown = 0.0
            self._progress.write("\r\x1b[2K")

    def say(self, told: Line, *, whole: bool = False) -> None:
        """Print a line; on a terminal what calls print is cut at its width, and nothing that a person needs `whole`."""
        self._clear()
        style, text = told
        if self._terminal and not whole:
            columns = shutil.get_terminal_size().columns
            fitting = text if style in {"plain", "strong"} else _within(text, columns - 1)
            text = text if fitting == text else f"{_within(text, columns - 2)}…"
        print(painted((style, text), self._terminal), file=self._progress, flush=True)


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
    """Write JSON as UTF-8, whatever the locale is; what a terminal would obey or hide is escaped, which means the same."""
    out.flush()
    out.buffer.write(safe_json(line.decode()).encode() if out.isatty() else line)
    out.buffer.flush()


def _within(text: str, columns: int) -> str:
    """Return as much of the beginning of a safe line as that many columns of a terminal hold."""
    if text.isascii():
        return text[: max(0, columns)]
    for place, letter in enumerate(text):
        columns -= 0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if columns < 0:
            return text[:place]
    return text


def stderr_line(text: str) -> None:
    """Tell a person one line on stderr, where anybody reads it; errors may quote anything, a key too."""
    with suppress(OSError):
        print(f"jumar: {safe_line(without_keys(text))}", file=sys.stderr, flush=True)
