"""Owns the look of an entry: what of it is seen closed, and what opened."""

import re
from dataclasses import dataclass
from typing import assert_never

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from agent.blocks import Block, DiffBlock, Image, PlanBlock, TerminalBlock, TextBlock
from agent.events.news import Informed
from agent.events.step import Compacted, ModelSwitched, RequestRetried, Uncompacted
from agent.safe import safe_line, safe_text
from tui.draw import draw
from tui.entries import Answered, Called, Checked, Entry, Noted, Over, Said, Thought
from tui.markdown import markdown
from tui.pictures import Gallery
from tui.words import Words

_MARKS = {
    "done": ("✓", "$text-success"),
    "failed": ("✗", "$text-error"),
    "invalid": ("✗", "$text-error"),
    "denied": ("⊘", "$text-warning"),
    "skipped": ("–", "$text-muted"),
    "cancelled": ("■", "$text-warning"),
    "unknown": ("?", "$text-warning"),
}
_STATES = {
    "written": ("…", "$text-muted"),
    "asked": ("?", "$text-warning"),
    "allowed": ("·", ""),
    "running": ("▶", "$text-accent"),
}
# What the model is told of a text that is not well-formed; lines of a difference are no such words.
_MALFORMED = re.compile(r"^[^ +-].*[;,] (?:possible )?SYNTAX FAULTS? at line \d", re.MULTILINE)
_SHORT = 14  # lines of a difference that are shown without being asked for
_NAMED = 3  # files of several that were changed
_MANY = 50  # files of which none is named
_TAIL = 4  # lines of a command's output that are shown while it runs, or where it failed


@dataclass(frozen=True, slots=True)
class Look:
    """How entries are drawn now."""

    words: Words
    width: int
    opened: bool
    split: str = "auto"  # whether differences are drawn side by side: auto, split or unified
    gallery: Gallery | None = None  # none where pictures cannot be drawn


def is_foldable(entry: Entry) -> bool:
    """Whether an entry can be opened and closed."""
    return isinstance(entry, Thought | Called) or (isinstance(entry, Noted) and isinstance(entry.event, Compacted))


def opened_at_first(entry: Entry) -> bool:
    """Whether an entry is open until the person closes it."""
    return not is_foldable(entry)


def look(entry: Entry, given: Look, part: str | None = None) -> Content:
    """Return what an entry looks like; `part` is the part of an answer that is drawn."""
    words = given.words
    match entry:
        case Said():
            mark = "» " if entry.steered else "❯ "
            lines = safe_text(entry.text).split("\n")
            text = [
                Content.assemble((mark if number == 0 else "  ", "bold $text-accent"), (line, "bold"))
                for number, line in enumerate(lines)
            ]
            return Content("\n").join([*text, *_pictures(entry, given)])
        case Thought():
            return _thought(entry, given)
        case Answered():
            return markdown(entry.text if part is None else part)
        case Called():
            return _call(entry, given)
        case Noted():
            return Content.styled(_note(entry, words), "$text-warning" if entry.kind == "warning" else "$text-muted")
        case Checked():
            passed = entry.event.exit_code == 0
            told = words(
                "note.check_passed" if passed else "note.check_failed",
                command=safe_line(entry.event.command),
                code=entry.event.exit_code,
            )
            return Content.styled(f"{'✓' if passed else '✗'} {told}", "$text-success" if passed else "$text-error")
        case Over():
            return _over(entry, words)
    assert_never(entry)


def pictures_of(entry: Entry) -> tuple[Image, ...]:
    """Return the pictures that an entry shows."""
    return entry.images if isinstance(entry, Said | Called) else ()


def _pictures(entry: Said | Called, given: Look) -> list[Content]:
    """Return the pictures of an entry, each under its number; where one cannot be drawn, the number stands for it."""
    shown: list[Content] = []
    for number, image in enumerate(entry.images, 1):
        shown.append(Content.styled(f"  [{given.words('prompt.picture', number=number)}]", "$text-muted"))
        drawn = given.gallery.small(image, given.width - 2, entry.key) if given.gallery is not None else None
        if drawn is not None:
            shown.append(_indented(drawn, given.width))
    return shown


def _thought(entry: Thought, given: Look) -> Content:
    title = given.words("thought.live" if entry.streaming else "thought.title")
    if given.opened:
        return Content.styled(f"∴ {title}\n{safe_text(entry.text)}", "$text-muted italic")
    last = next((line for line in reversed(entry.text.strip().split("\n")) if line.strip()), "")
    return Content.styled(_cut(f"∴ {title}  {safe_line(last)}", given.width), "$text-muted italic")


def _call(entry: Called, given: Look) -> Content:
    words = given.words
    broken = entry.state == "over" and entry.status == "done" and bool(entry.exit_code)  # it ran, and says that it failed
    mark, style = _MARKS["failed" if broken else entry.status] if entry.state == "over" else _STATES[entry.state]
    if entry.undone:
        mark, style = "↶", "$text-muted"
    elif entry.partly or entry.redone:
        mark, style = ("↶", "$text-warning") if entry.partly else ("↷", "$text-success")
    counts = [f"+{block.added} −{block.removed}" for block in entry.blocks if isinstance(block, DiffBlock)]
    told = (
        [words("status.seconds", seconds=f"{entry.seconds:.1f}")] if entry.seconds >= 1 and entry.status != "denied" else []
    )  # else: what the person took
    told += [words("call.written", size=entry.size)] if entry.state == "written" and entry.size else []
    told += [words(f"timeline.{entry.status}")] if entry.state == "over" and entry.status != "done" else []
    told += [words("call.exit", code=entry.exit_code)] if broken else []
    turned = "undone" if entry.undone else "partly_undone" if entry.partly else "redone" if entry.redone else ""
    told += [words(f"timeline.{turned}")] if turned else []
    told += [f"#{entry.action}"] if entry.action else []
    tail = "  ".join([*counts, *told])
    fault = words("call.malformed") if entry.effect == "write" and _MALFORMED.search(entry.reply) else ""
    subject = safe_text(entry.subject) or _progress(entry)
    first, more = subject.partition("\n")[0], "\n" in subject
    room = max(10, given.width - len(entry.tool) - cell_len(tail) - (cell_len(fault) + 2 if fault else 0) - 7)
    head = Content.assemble(
        (f"{mark} ", style),
        (f"{safe_line(entry.tool)} ", "bold"),
        (_cut(first, room) + (" …" if more else ""), "strike $text-muted" if entry.undone else ""),
        (f"  {fault}" if fault else "", "$text-warning"),
        (f"  {tail}" if tail else "", "$text-muted"),
    )
    return Content("\n").join([head, *_inside(entry, given)])


def _progress(entry: Called) -> str:
    """Say how far a plan is, in a line; all of it stands beside the conversation."""
    plan = next((block for block in entry.blocks if isinstance(block, PlanBlock)), None)
    if plan is None:
        return ""
    done = sum(item.state == "done" for item in plan.items)
    current = next((f" · {safe_line(item.text)}" for item in plan.items if item.state == "doing"), "")
    return f"{done}/{len(plan.items)}{current}"


def _inside(entry: Called, given: Look) -> list[Content]:
    words = given.words
    if entry.state == "asked" and not given.opened:
        return [Content.styled(f"  {words('call.asked')}", "$text-warning")]
    if entry.live:
        return [_indented(Content.styled(_last(entry.live), "$text-muted"), given.width)]
    if given.opened:
        blocks = [draw(block, words, given.width - 2, given.split) for block in entry.blocks]
        if not blocks and entry.reply:
            blocks = [Content.styled(safe_text(entry.reply), "$text-muted")]
        left_out = [
            Content.styled(words("call.not_captured", path=safe_line(path), why=safe_line(words.told(why))), "$text-warning")
            for path, why in entry.not_captured.items()
        ]
        return [*(_indented(content, given.width) for content in (*blocks, *left_out)), *_pictures(entry, given)]
    if entry.state == "over" and entry.status != "done":
        first = entry.reply.partition("\n")[0]
        known = next((one for one in (first, entry.reply) if words.told(one) != one), first)
        why = words.told(known)
        return [Content.styled(_cut(f"  {safe_line(why)}", given.width), "$text-muted")]
    if entry.exit_code:
        printed = [block.output for block in entry.blocks if isinstance(block, TerminalBlock) and block.output.strip()]
        return [_indented(Content.styled(_last(printed[-1]), "$text-muted"), given.width)] if printed else []
    shown = [draw(block, words, given.width - 2, given.split) for block in entry.blocks if _is_short(block, entry)]
    return [_indented(content, given.width) for content in shown]


def _is_short(block: Block, entry: Called) -> bool:
    match block:
        case DiffBlock():
            return not entry.undone and block.diff.count("\n") <= _SHORT
        case TextBlock():  # of a change: the problems that it brought
            return entry.effect == "write" and not entry.undone and block.text.count("\n") <= _SHORT
        case _:
            return False


def _last(text: str) -> str:
    return "\n".join(safe_text(text).rstrip("\n").split("\n")[-_TAIL:])


def _indented(content: Content, width: int) -> Content:
    room = max(10, width - 2)
    lines = content.split("\n", allow_blank=True)
    folded = (part for line in lines for part in (line.wrap(room) if line.cell_length > room else [line]))
    return Content("\n").join(Content.assemble("  ", line) for line in folded)


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else f"{set_cell_size(text, max(1, width - 1)).rstrip()}…"


def _over(entry: Over, words: Words) -> Content:
    event = entry.event
    reason = f": {safe_line(words.told(event.reason))}" if event.reason else ""
    took = words.counted("turn.took", event.steps, steps=event.steps, seconds=round(event.seconds))
    told = event.verified is not None and event.status == "done"
    checked = f" · {words('turn.verified' if event.verified else 'turn.not_verified')}" if told else ""
    style = {"done": "$text-muted", "failed": "$text-error"}.get(event.status, "$text-warning")
    style = "$text-warning" if event.failing else style
    return Content.styled(f"── {words(f'turn.{event.status}')}{reason} · {took}{checked}", style)


def _note(entry: Noted, words: Words) -> str:
    text = safe_line(words.told(entry.text))
    match entry.event:
        case RequestRetried():
            return "↻ " + words("note.retry", seconds=round(entry.seconds), reason=text)
        case Compacted(tokens_before=before, tokens_after=after):
            return "≡ " + words("note.compacted", before=before, after=after, reason=text)
        case ModelSwitched(before=before, after=after):
            return "! " + words("note.switched", before=safe_line(before), reason=text, after=safe_line(after))
        case Informed(kind="outside" | "away" as kind, files=files, count=count):
            first = ", ".join(f"{safe_line(file.path)} (+{file.added} −{file.removed})" for file in files[:_NAMED])
            more = words("note.more", count=count - _NAMED) if count > _NAMED else ""
            named = words("note.files", count=count) if count > _MANY else f"{first} {more}".rstrip()
            return "✎ " + words(f"note.{kind}", files=named)
        case Informed(kind="instructions"):
            return "≡ " + words("note.instructions", file=text)
        case Uncompacted():
            return "≡ " + words("note.uncompacted")
        case _:
            pass
    if entry.kind == "plan":
        told = [words(f"plan.told_{one.kind}", text=safe_line(one.text), new=safe_line(one.new)) for one in entry.changes]
        told += [words(f"plan.told_{step.mark}", text=safe_line(step.text)) for step in entry.against]
        return "\n".join(f"☰ {line}" for line in told) or f"· {text}"
    if entry.kind == "repair":
        return "· " + words("note.repair", words=text)
    if entry.kind == "undone":
        return "↶ " + words("note.undone", title=text)
    return f"! {text}" if entry.kind == "warning" else f"· {text}"
