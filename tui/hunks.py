"""Owns the hunks of a difference on the screen: where each stands, and which of them are kept."""

from textual.content import Content

from agent.blocks import DiffBlock
from agent.safe import safe_line, safe_text

_STYLES = {"+": "$text-success", "-": "$text-error", "@": "$text-muted"}


def hunks_of(diff: str) -> list[tuple[int, int]]:
    """Return the first line of each hunk, and the one after its last."""
    lines = diff.split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith("@@")]
    return list(zip(starts, [*starts[1:], len(lines)], strict=True))


def chosen_hunks(block: DiffBlock, kept: set[int], current: int) -> Content:
    """Return a difference with a mark before each hunk: kept or refused, and the one that keys are for."""
    lines = block.diff.split("\n")
    told = [Content.styled(f"{safe_line(block.path)}  +{block.added} −{block.removed}", "bold")]
    hunks = hunks_of(block.diff)
    for number, (start, end) in enumerate(hunks):
        mark = "☑" if number in kept else "☐"
        here = "▸" if number == current and len(hunks) > 1 else " "
        style = "bold $text-accent" if number == current else "$text-muted"
        told.append(Content.styled(f"{here}{mark} {safe_text(lines[start])}", style))
        for line in lines[start + 1 : end]:
            colour = _STYLES.get(line[:1], "") if number in kept else "dim strike"
            told.append(Content.styled(safe_text(line), colour))
    return Content("\n").join(told)
