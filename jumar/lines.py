"""Owns how events, and what calls show, read as lines at a plain terminal; all of them safe."""

from collections.abc import Sequence
from typing import Literal

from agent.blocks import Block, DiffBlock, PlanBlock, TableBlock, TerminalBlock, TextBlock
from agent.effects import Effect
from agent.events.action import ActionsUndone
from agent.events.call import ApprovalDecided, CallStatus, ToolFinished, ToolStarted
from agent.events.conversation import SessionStarted, TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.news import Informed, Warned
from agent.events.run import RunFinished, Verified
from agent.events.step import Compacted, ModelAnswered, ModelSwitched, Repaired, RequestRetried, Uncompacted
from agent.safe import lay_open, safe_line, safe_text

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
_WORTH = 0.1  # seconds from which on it is told how long a call took
_TO_THE_MODEL = " Do not try to reach"  # from here on a refusal speaks to the model alone


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
            more = f" … +{count(len(others), 'line')}" if others else ""
            return [("plain", ""), ("strong", f"❯ {first}{more}")]
        case ModelAnswered(answer=answer) if answer.calls and answer.text.strip():
            return [("plain", text) for text in ("", *safe_text(answer.text.strip()).split("\n"))]
        case ToolStarted(effect=Effect.EXEC | Effect.NET):
            laid = lay_open(event.subject)
            return [
                ("running", f"▸ {clip(event.tool)} {clip(laid.text)}"),
                *(("warning", f"  ! {note}") for note in laid.notes),
            ]
        case ApprovalDecided(by="person", allowed=True):
            return _decided(event)
        case ToolFinished():
            return _finished(event)
        case ActionsUndone():
            return [("warning", f"↶ {safe_line(event.title)} · {count(len(event.files), 'file')} · the model will be told")]
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
        lines.append(("warning", f"  ! changed before it was allowed: {clip(event.arguments)}"))
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
            return [("dim", "≡ what was shortened last is told to the model again")]
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
        whole: list[Line] = [(style, f"{mark} {clip(event.tool)} {first}"), *((style, f"  {text}") for text in others)]
        return [*whole, (style, f"  {clip(event.reply.partition(_TO_THE_MODEL)[0])}"), *inside]
    words = [mark, clip(event.tool), clip(event.subject)]
    diffs = [block for block in event.blocks if isinstance(block, DiffBlock)]
    words += [f"+{sum(one.added for one in diffs)} -{sum(one.removed for one in diffs)}"] if diffs else []
    lines: list[Line] = [(style, " ".join(word for word in words if word) + (f" · {took}" if event.seconds >= _WORTH else ""))]
    if event.status != "done":
        lines.append((style, f"  {clip(event.reply.partition(_TO_THE_MODEL)[0])}"))
    return lines + inside


def _verified(event: Verified) -> list[Line]:
    if event.exit_code == 0:
        return [("good", f"✓ check {clip(event.command)} · exit 0")]
    failed: Line = ("bad", f"✗ check {clip(event.command)} · exit {event.exit_code}")
    return [failed, *((style, f"  {text}") for style, text in _folded(event.output))]


def ending(event: RunFinished) -> Line:
    """Return the last line of a run: how it ended, and what it took."""
    spent = f" · {event.usage.prompt:,} + {event.usage.completion:,} tokens" if event.usage.prompt else ""
    cached = f", {event.usage.cached / event.usage.prompt:.0%} cached" if event.usage.cached and event.usage.prompt else ""
    cost = "" if not event.usage.prompt else " · cost unknown" if event.cost is None else f" · ${event.cost:.4f}"
    number = sum(event.repairs.values())
    repaired = f" · {count(number, 'repair')}" if number else ""
    changed = len(event.files_changed)
    files = f" · {count(changed, 'file')} changed" if changed else ""
    reason = f": {safe_line(event.reason)}" if event.reason else ""
    checked = {True: " · verified", False: " · not verified", None: ""}[event.verified]
    took = f"{event.duration_ms / 1000:.1f} s"
    return (
        "good" if event.exit_code == 0 else "bad",
        f"{event.status}{reason} · {count(event.steps, 'step')}{spent}{cached}{cost}{repaired} · {took}{files}{checked}",
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


def clip(text: str) -> str:
    """Return the first line, with a word of how many follow."""
    first, *others = text.strip("\n").split("\n")
    return _short(safe_line(first)) + (f" … +{count(len(others), 'line')}" if others else "")


def _short(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"


def count(number: int, word: str) -> str:
    """Return a number with its word, one or more."""
    return f"{number} {word}{'' if number == 1 else 's'}"
