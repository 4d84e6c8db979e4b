"""Owns an approval as it is told: what would be done, why it asks, and which hunks of it are taken."""

from textual.content import Content

from agent.blocks import DiffBlock
from agent.events.call import ApprovalAsked, RuleScope
from agent.safe import safe_line, safe_text
from tui.draw import draw
from tui.hunks import chosen_hunks, hunks_of, rows_of, seen_of
from tui.words import Words


class Approval:
    """One call that waits, and the hunks of it that are to be made: at first all."""

    def __init__(self, asked: ApprovalAsked, tool: str, words: Words) -> None:
        self.asked = asked
        self.hunk = 0  # that keys are for
        self._tool = tool
        self._words = words
        self._diffs = [block for block in asked.blocks if isinstance(block, DiffBlock)]
        self._hunks = self._found()
        self._kept = set(range(len(self._hunks)))

    def _found(self) -> list[tuple[int, int]]:
        """Return the hunks that can be chosen: of all differences that are shown, by the lines of what is shown of these."""
        if self.asked.hunks < 1:
            return []
        found: list[tuple[int, int]] = []
        above = 0
        for block in self._diffs:
            hunks = hunks_of(block.diff)
            above += 1 - (hunks[0][0] if hunks else 0)  # its head; what stands before its first hunk is not shown
            found += [(above + start, above + end) for start, end in hunks]
            above += hunks[-1][1] if hunks else 0
        return found

    @property
    def count(self) -> int:
        """How many hunks can be chosen."""
        return len(self._hunks)

    @property
    def chosen(self) -> tuple[int, ...] | None:
        """The hunks that are taken; None for all."""
        return None if len(self._kept) == self.count else tuple(sorted(self._kept))

    def turn(self) -> None:
        """Take the hunk that keys are for, or leave it."""
        self._kept ^= {self.hunk}

    def step(self, by: int) -> None:
        """Let keys be for the next hunk, or the one before."""
        self.hunk = (self.hunk + by) % self.count

    def see(self, tops: list[int], top: int, bottom: int) -> bool:
        """Let keys be for a hunk that begins within these rows, where theirs does not; tell whether it is another."""
        before, self.hunk = self.hunk, seen_of(tops, self.hunk, top, bottom)
        return self.hunk != before

    @property
    def head(self) -> Content:
        """What wants to act, on what, and why it asks."""
        named = f"{safe_line(self.asked.subject)} " if self.count else ""  # else what it is stands whole below
        title, tool = (self._words("asking.title"), "bold $warning"), (f"{safe_line(self._tool)} ", "bold")
        return Content.assemble(title, "  ", tool, named, (f"· {safe_line(self._words.told(self.asked.reason))}", "$text-muted"))

    def what(self, *, choosing: bool = True) -> Content:
        """Return what would be done; of a change, whether each hunk is taken, where that is chosen."""
        return Content("\n").join(self._blocks(choosing=choosing))

    def _blocks(self, *, choosing: bool) -> list[Content]:
        if not self._hunks:
            return [draw(block, self._words) for block in self.asked.blocks] or [Content(safe_text(self.asked.subject))]
        shown = [draw(one, self._words) for one in self.asked.blocks if one not in self._diffs]
        first = 0
        for block in self._diffs:
            count = len(hunks_of(block.diff))
            kept = {number - first for number in self._kept} if choosing else set(range(count))
            current = self.hunk - first if choosing else -1
            shown.append(chosen_hunks(block, kept, current, mark=choosing, several=self.count > 1))
            first += count
        return shown

    def tops(self, width: int, height: int) -> list[int]:
        """Return the row at which each hunk begins, laid out so wide and so high."""
        if not self._hunks or not width:
            return []
        lines = self.what().split("\n")
        lines = lines[len(lines) - self._hunks[-1][1] :]  # of the differences; what stands before them has its own height
        rows = rows_of([*lines, Content("")], width)
        above = height - rows[-1]
        return [above + rows[start] for start, _ in self._hunks]

    def facts(self, scope: RuleScope | None) -> list[Content]:
        """Return what else is known of it; with how long a rule would hold, where one is being written."""
        words, asked = self._words, self.asked
        facts: list[tuple[str, str]] = [(words("asking.where"), asked.cwd)] if asked.cwd else []
        facts += [(words("asking.confined"), words.told(asked.confined))] if asked.confined else []
        if len(asked.parts) > 1:
            facts += [(f"{'?' if part.asks else '✓'} {part.source}", words.told(part.why)) for part in asked.parts]
        facts += [(words("asking.irreversible"), _loss(text, words)) for text in asked.irreversible]
        lines = [Content.assemble((f"{safe_line(name)}  ", "$text-muted"), safe_line(text)) for name, text in facts]
        if scope is not None:
            lines.append(Content.assemble((f"{words('asking.scope')}  ", "$text-muted"), (words(f"asking.{scope}"), "bold")))
        return lines


def _loss(text: str, words: Words) -> str:
    """Return what could not be undone, and why, which stands in brackets after a path."""
    path, bracket, why = text.removesuffix(")").rpartition(" (")
    return f"{path} ({words.told(why)})" if bracket and text.endswith(")") else words.told(text)
