"""Owns what a headless run prints: words for a person, or JSON for a program; the answer alone on stdout."""

import shlex
import shutil
import sys
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, TextIO

from agent.blocks import Block, DiffBlock, PlanBlock, TableBlock, TerminalBlock, TextBlock
from agent.effects import Effect
from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.call import ApprovalAsked, ApprovalDecided, CallStatus, QuestionAsked, ToolFinished, ToolProgressed, ToolStarted
from agent.events.conversation import SessionStarted, TurnFinished, TurnStarted
from agent.events.event import Event, encode
from agent.events.news import Informed, Warned
from agent.events.run import RunFinished, Verified
from agent.events.step import (
    CallStreamed,
    Compacted,
    ModelAnswered,
    ModelSwitched,
    ReasoningStreamed,
    Repaired,
    RequestRetried,
    StepStarted,
    TextStreamed,
    Uncompacted,
)
from agent.log import now
from agent.mask import without_keys
from agent.safe import lay_open, safe_json, safe_line, safe_text

Style = Literal["plain", "good", "bad", "warning", "running", "strong", "dim", "added", "removed"]
Line = tuple[Style, str]

_MARKS: dict[CallStatus, Line] = {
    "done": ("good", "✓"),
    "failed": ("bad", "✗"),
    "invalid": ("bad", "✗"),
    "denied": ("warning", "⊘"),
    "skipped": ("dim", "–"),
    "cancelled": ("warning", "■"),
    "unknown": ("warning", "?"),
}
_COLOURS: dict[Style, str] = {
    "plain": "",
    "good": "32",
    "bad": "31",
    "warning": "33",
    "running": "36",
    "strong": "1",
    "dim": "2",
    "added": "32",
    "removed": "31",
}
_PLAN_MARKS = {"open": "○", "doing": "◐", "done": "●", "dropped": "–"}
_SHOWN_LINES = 12
_WIDEST = 160  # characters of a line
_LIVE = 0.1  # seconds between two looks at what the model does
_WORTH = 0.1  # seconds from which on it is told how long a call took
_TO_THE_MODEL = " Do not try to reach"  # from here on a refusal speaks to the model alone


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
                self._live(f"writing a call of {_clip(event.tool)}, {event.size:,} characters")
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
        style, text = _ending(event)
        self.say((style, f"{text} · session {self._session_id}" if self._session_id else text), whole=True)
        if self._recorded and not event.reverted:
            self.say(("dim", f"undo: {self._undoing(event)}"), whole=True)
        if event.reverted:
            number = _count(len(event.reverted), "action")
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


def painted(told: Line, coloured: bool) -> str:
    """Return a line as a terminal shows it, in its colour where there are any."""
    style, text = told
    colour = _COLOURS[style] if coloured else ""
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def describe(event: Event) -> list[Line]:
    """Return the lines that tell a person of an event; all of them safe."""
    match event:
        case SessionStarted():
            went_on = " · going on" if event.resumed else ""
            return [("dim", safe_line(f"jumar {event.version} · {event.model} · {event.mode} mode · {event.root}{went_on}"))]
        case TurnStarted(by="check"):
            return [("warning", "» the check's failure goes back to the model")]
        case TurnStarted():
            first, *others = safe_text(event.prompt.strip()).split("\n")
            more = f" … +{_count(len(others), 'line')}" if others else ""
            return [("plain", ""), ("strong", f"❯ {first}{more}")]
        case ModelAnswered(answer=answer) if answer.calls and answer.text.strip():
            return [("plain", text) for text in ("", *safe_text(answer.text.strip()).split("\n"))]
        case ToolStarted(effect=Effect.EXEC | Effect.NET):
            laid = lay_open(event.subject)
            return [
                ("running", f"▸ {_clip(event.tool)} {_clip(laid.text)}"),
                *(("warning", f"  ! {note}") for note in laid.notes),
            ]
        case ApprovalDecided(by="person", allowed=True):
            return _decided(event)
        case ToolFinished():
            return _finished(event)
        case ActionsUndone():
            return [("warning", f"↶ {safe_line(event.title)} · {_count(len(event.files), 'file')} · the model will be told")]
        case Verified():
            return _verified(event)
        case Informed(kind="check" | "ending" | "problems"):
            return [("warning", f"» {safe_line(event.title)}")]
        case Informed(kind="instructions"):
            return [("dim", f"≡ told the model what {safe_line(event.title)} says for its folder")]
        case Warned():
            return [("warning", f"! {safe_line(event.text)}")]
        case TurnFinished(status="interrupted", reason=reason):
            return [("bad", f"■ {safe_line(reason)}")]
        case _:
            return _of_the_model(event)


def _decided(event: ApprovalDecided) -> list[Line]:
    """Return the lines that tell what a person made of a call, and what holds by their word from now on."""
    lines: list[Line] = []
    if event.arguments is not None:
        lines.append(("warning", f"  ! changed before it was allowed: {_clip(event.arguments)}"))
    if event.hunks is not None:
        chosen = ", ".join(str(number + 1) for number in event.hunks)
        lines.append(("warning", f"  ! of its change only {'hunk' if len(event.hunks) == 1 else 'hunks'} {chosen}"))
    return [*lines, *(("dim", f"  + allowed from now on ({event.scope}): {safe_line(rule)}") for rule in event.remembered)]


def _of_the_model(event: Event) -> list[Line]:
    """Return the lines that tell of what went wrong or was changed between the model and us."""
    match event:
        case RequestRetried():
            return [("warning", f"… {safe_line(event.reason)}; trying again in {event.seconds:.1f} s")]
        case Repaired():
            return [("warning", f"~ repaired: {safe_line(event.words)}")]
        case ModelSwitched():
            return [("warning", safe_line(f"! {event.reason}; {event.after} goes on in place of {event.before}"))]
        case Compacted():
            tokens = f"about {event.tokens_before:,} → {event.tokens_after:,} tokens"
            return [("dim", f"≡ shortened what the model is told, {tokens} ({safe_line(event.reason)}); the log keeps all of it")]
        case Uncompacted():
            return [("dim", "≡ the model is told everything again")]
        case _:
            return []


def _finished(event: ToolFinished) -> list[Line]:
    style, mark = _MARKS[event.status]
    inside: list[Line] = [(style, f"  {text}") for style, text in drawn(event.blocks)]
    took = f"{event.seconds:.2f} s"
    if event.exit_code is not None:  # its command was told when it began
        ended: Style = "good" if event.exit_code == 0 else "bad"
        return [*inside, (ended, f"{'✓' if event.exit_code == 0 else '✗'} exit {event.exit_code} · {took}")]
    if event.status == "denied" and event.subject:
        # Whoever would have to allow it sees all of it.
        first, *others = lay_open(event.subject).text.split("\n")
        whole: list[Line] = [(style, f"{mark} {_clip(event.tool)} {first}"), *((style, f"  {text}") for text in others)]
        return [*whole, (style, f"  {_clip(event.reply.partition(_TO_THE_MODEL)[0])}"), *inside]
    words = [mark, _clip(event.tool), _clip(event.subject)]
    diffs = [block for block in event.blocks if isinstance(block, DiffBlock)]
    words += [f"+{sum(one.added for one in diffs)} -{sum(one.removed for one in diffs)}"] if diffs else []
    lines: list[Line] = [(style, " ".join(word for word in words if word) + (f" · {took}" if event.seconds >= _WORTH else ""))]
    if event.status != "done":
        lines.append((style, f"  {_clip(event.reply.partition(_TO_THE_MODEL)[0])}"))
    return lines + inside


def _verified(event: Verified) -> list[Line]:
    if event.exit_code == 0:
        return [("good", f"✓ check {_clip(event.command)} · exit 0")]
    failed: Line = ("bad", f"✗ check {_clip(event.command)} · exit {event.exit_code}")
    return [failed, *((style, f"  {text}") for style, text in _folded(event.output))]


def _ending(event: RunFinished) -> Line:
    spent = f" · {event.usage.prompt:,} + {event.usage.completion:,} tokens" if event.usage.prompt else ""
    cached = f", {event.usage.cached / event.usage.prompt:.0%} cached" if event.usage.cached and event.usage.prompt else ""
    cost = "" if not event.usage.prompt else " · cost unknown" if event.cost is None else f" · ${event.cost:.4f}"
    number = sum(event.repairs.values())
    repaired = f" · {_count(number, 'repair')}" if number else ""
    changed = len(event.files_changed)
    files = f" · {_count(changed, 'file')} changed" if changed else ""
    reason = f": {safe_line(event.reason)}" if event.reason else ""
    checked = {True: " · verified", False: " · not verified", None: ""}[event.verified]
    took = f"{event.duration_ms / 1000:.1f} s"
    return (
        "good" if event.exit_code == 0 else "bad",
        f"{event.status}{reason} · {_count(event.steps, 'step')}{spent}{cached}{cost}{repaired} · {took}{files}{checked}",
    )


def drawn(blocks: Sequence[Block], *, whole: bool = False) -> list[Line]:
    """Return blocks as safe lines; of several differences each is named."""
    named = sum(isinstance(block, DiffBlock) for block in blocks) > 1
    lines: list[Line] = []
    for block in blocks:
        if named and isinstance(block, DiffBlock):
            lines.append(("strong", f"{safe_line(block.path)} +{block.added} -{block.removed}"))
        lines += draw(block, whole=whole)
    return lines


def draw(block: Block, *, whole: bool = False) -> list[Line]:
    """Return a block as safe lines; long ones are folded, unless it is wanted whole."""
    folded = _whole if whole else _folded
    match block:
        case TextBlock():
            return folded(block.text)
        case DiffBlock():
            lines = block.diff.split("\n", 1)[1] if block.change == "created" and block.diff else block.diff
            return [(_DIFF.get(text[:1], "dim"), text) for _, text in folded(lines)]
        case TerminalBlock():
            return folded(block.output)
        case TableBlock():
            return [("plain", " · ".join(safe_line(cell) for cell in row)) for row in (block.head, *block.rows)]
        case PlanBlock():
            return [("plain", f"{_PLAN_MARKS[item.state]} {safe_line(item.text)}") for item in block.items]


_DIFF: dict[str, Style] = {"+": "added", "-": "removed"}


def _whole(text: str) -> list[Line]:
    lines = safe_text(text).rstrip("\n").split("\n")
    return [] if lines == [""] else [("dim", line) for line in lines]


def _folded(text: str) -> list[Line]:
    lines = safe_text(text).rstrip("\n").split("\n")
    if lines == [""]:
        return []
    shown: list[Line] = [("dim", _short(line)) for line in lines]
    if len(lines) > _SHOWN_LINES:
        half = _SHOWN_LINES // 2
        return [*shown[:half], ("dim", f"… {len(lines) - 2 * half} more lines …"), *shown[-half:]]
    return shown


def _clip(text: str) -> str:
    """Return the first line, with a word of how many follow."""
    first, *others = text.strip("\n").split("\n")
    return _short(safe_line(first)) + (f" … +{_count(len(others), 'line')}" if others else "")


def _short(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"


def _within(text: str, columns: int) -> str:
    """Return as much of the beginning of a safe line as that many columns of a terminal hold."""
    if text.isascii():
        return text[: max(0, columns)]
    for place, letter in enumerate(text):
        columns -= 0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if columns < 0:
            return text[:place]
    return text


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def stderr_line(text: str) -> None:
    """Tell a person one line on stderr; errors may quote anything, a key too."""
    print(f"jumar: {safe_line(without_keys(text))}", file=sys.stderr, flush=True)
