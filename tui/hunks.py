"""Owns the hunks of a difference on the screen: where each stands, and which of them are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual.content import Content

from agent.blocks import DiffBlock
from agent.safe import safe_line, safe_text

if TYPE_CHECKING:
    from agent.ledger.partly import Part

_STYLES = {"+": "$text-success", "-": "$text-error", "@": "$text-muted"}
_MARKS = {True: "☑", False: "☐", None: "◪"}


def hunks_of(diff: str) -> list[tuple[int, int]]:
    """Return the first line of each hunk, and the one after its last."""
    lines = diff.split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith("@@")]
    return list(zip(starts, [*starts[1:], len(lines)], strict=True))


def rows_of(lines: Sequence[Content], width: int) -> list[int]:
    """Return the row at which each line begins where they are wrapped to a width; as they are where it is not known."""
    begun = [0]
    for line in lines[:-1]:
        begun.append(begun[-1] + (len(line.wrap(width)) if 0 < width < line.cell_length else 1))
    return begun


def seen_of(tops: Sequence[int], at: int, top: int, bottom: int) -> int:
    """Return which of what begins in these rows keys are for: it stays where its beginning can be seen, and no other else."""
    if at >= len(tops) or top <= tops[at] < bottom:
        return at
    begun = [number for number, row in enumerate(tops) if row < bottom]
    seen = [number for number in begun if tops[number] >= top]
    return (seen or begun[-1:] or [0])[0]


def chosen_hunks(block: DiffBlock, kept: set[int], current: int, *, mark: bool = True, several: bool = False) -> Content:
    """Return a difference with a mark before each hunk: kept or refused, and the one that keys are for; there may be several."""
    head = Content.styled(f"{safe_line(block.path)}  +{block.added} −{block.removed}", "bold")
    return Content("\n").join([head, *hunk_lines(block, kept, current, mark=mark, several=several)])


def hunk_lines(block: DiffBlock, kept: set[int], current: int, *, mark: bool, several: bool = False) -> list[Content]:
    """Return the lines of all hunks; with `mark`, each can be chosen."""
    lines = block.diff.split("\n")
    hunks = hunks_of(block.diff)
    told: list[Content] = []
    for number, (start, end) in enumerate(hunks):
        here = "▸" if number == current and (several or len(hunks) > 1) else " "
        style = "bold $text-accent" if number == current else "$text-muted"
        told.append(Content.styled(f"{here}{_MARKS[number in kept] if mark else ''} {safe_text(lines[start])}", style))
        told += [_line(safe_text(line), kept=number in kept) for line in lines[start + 1 : end]]
    return told


def _line(line: str, *, kept: bool) -> Content:
    sign = line[:1]
    if kept:
        return Content.styled(line, _STYLES.get(sign, ""))
    # A stroke through a blank, or through what stays anyway, would look like something that is gone.
    return Content.assemble((sign, "dim"), (line[1:], "dim strike" if sign in _STYLES else "dim"))


@dataclass(slots=True)
class Picked:
    """A changed file, and which of its hunks are chosen; one that has none to choose among is chosen whole or not."""

    part: "Part"
    block: DiffBlock
    count: int
    chosen: set[int] = field(default_factory=set)  # of a file without hunks: the number 0

    @classmethod
    def of(cls, part: "Part", *, chosen: bool = True) -> "Picked":
        """Return a changed file with all or nothing of it chosen."""
        count = part.count
        return cls(part, part.block, count, set(range(max(1, count))) if chosen else set())

    @property
    def whole(self) -> bool | None:
        """Whether all of it is chosen, or nothing; None where some of it is."""
        if not self.chosen:
            return False
        return True if len(self.chosen) >= max(1, self.count) else None

    @property
    def mark(self) -> str:
        """How much of it is chosen, as a box."""
        return _MARKS[self.whole]

    def turn(self, hunk: int = -1) -> None:
        """Choose a hunk, or choose it no more; without one, all of the file."""
        if hunk >= 0:
            self.chosen ^= {hunk}
        else:
            self.chosen = set() if self.whole else set(range(max(1, self.count)))

    def picked(self) -> "Part | None":
        """Return what is chosen of it."""
        if not self.chosen:
            return None
        return self.part if self.whole else replace(self.part, hunks=tuple(sorted(self.chosen)))
