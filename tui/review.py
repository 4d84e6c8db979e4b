"""Owns the review: all changes of a session or a turn, file by file, of which each hunk is kept, undone or committed."""

import asyncio
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static, TextArea

from agent.blocks import DiffBlock
from agent.errors import JumarError
from agent.safe import mended, safe_line, safe_text
from prompts import words as said
from tui.editor import opened
from tui.fields import Area
from tui.hints import Hints
from tui.hunks import Picked, hunk_lines, hunks_of, rows_of, seen_of
from tui.words import Words

if TYPE_CHECKING:
    from agent.ledger.partly import Part
    from agent.session import Session

_NARROW = 90  # columns below which the files stand above the difference
_MOST_SENT = 12_000  # characters of a difference that a message is proposed for
_START = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the changes lie, and who the person is there."""

    root: Path
    environment: Mapping[str, str]
    turn: int  # the last one


class Review(Screen[None]):
    """Files left, the difference right. What is marked is kept: Enter takes the rest back, c commits the marked."""

    AUTO_FOCUS = ""  # keys are for the screen until a message is written
    BINDINGS = [
        Binding("escape,q", "leave", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("left,p", "file(-1)", show=False),
        Binding("right,n", "file(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("space", "turn", show=False),
        Binding("enter", "undo", show=False),
        Binding("tab", "scope", show=False, priority=True),
        Binding("e", "edit", show=False),
        Binding("c", "commit", show=False),
        Binding("R,upper_r", "redo", show=False),
    ]

    def __init__(self, words: Words, session: "Session", place: Place, turn: int = 0, *, commits: bool = False) -> None:
        super().__init__(id="review")
        self._words = words
        self._session = session
        self._place = place
        self._commits = commits  # at once, once it is known what there is
        self._turn = turn  # whose changes are seen; 0 for all
        self._picked: list[Picked] = []
        self._stops: list[tuple[int, int]] = []
        self._at = 0
        self._notes: list[str] = []
        self._ready = False
        self._writes = False  # a message is being written
        self._busy = False  # something is being changed

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static("", id="review-head", markup=False)
        with Horizontal(id="review-body"):
            with VerticalScroll(id="review-files", can_focus=False):
                yield Static("", id="review-tree", markup=False)
            with VerticalScroll(id="review-right", can_focus=False):
                yield Static("", id="review-diff", markup=False)
        with Vertical(id="review-commit"):
            yield Static("", id="review-what", markup=False)
            yield Area("", id="review-message", soft_wrap=True, show_line_numbers=False, compact=True)
        yield Static("", id="review-notes", markup=False)
        yield Hints(id="review-keys")

    def on_mount(self) -> None:
        """Look at what there is."""
        self.query_one("#review-commit").display = False
        self.set_class(self.size.width < _NARROW, "narrow")
        self._again(self._begin())

    async def _begin(self) -> None:
        await self._look()
        if self._commits:
            self.action_commit()

    def on_resize(self, event: events.Resize) -> None:
        """Stand beside or below each other, as there is room."""
        self.set_class(event.size.width < _NARROW, "narrow")

    async def _look(self) -> None:
        """Find out what is changed; what was not marked stays so where it is still there."""
        self._ready = False
        self._paint()
        unmarked = {(one.part.path, one.block.diff) for one in self._picked if one.whole is False}
        try:
            parts, conflicts = await self._session.hands.changes(self._turn)
        except JumarError as error:
            parts, conflicts = [], ()
            self._notes = [safe_line(self._words.told(str(error)))]
        parts.sort(key=lambda part: ("/" in part.path, part.path))
        picked = await asyncio.to_thread(lambda: [Picked.of(part) for part in parts])
        for one in picked:
            if (one.part.path, one.block.diff) in unmarked:
                one.turn()
        self._picked = picked
        self._stops = [stop for number, one in enumerate(picked) for stop in _stops(number, one)]
        self._at = min(self._at, max(0, len(self._stops) - 1))
        self._notes += [self._words("review.apart", path=safe_line(mended(one.path))) for one in conflicts]
        self._ready = True
        self._paint()

    # What is shown.

    @property
    def _here(self) -> tuple[int, int]:
        return self._stops[self._at] if self._stops else (-1, -1)

    def _paint(self) -> None:
        if not self.query("#review-head"):
            return  # the screen is being taken down
        words = self._words
        head, tree, diff, notes, keys = (
            self.query_one(f"#review-{name}", Static) for name in ("head", "tree", "diff", "notes", "keys")
        )
        scope = words("review.turn", number=self._turn) if self._turn else words("review.session")
        added, removed = (sum(getattr(one.block, name) for one in self._picked) for name in ("added", "removed"))
        files = words.counted("review.files", len(self._picked), count=len(self._picked))
        counts = words("review.counts", files=files, added=added, removed=removed) if self._picked else ""
        head.update(Content.assemble((f"{words('review.title')}  ", "bold $primary"), scope, (f"  {counts}", "$text-muted")))
        if not self._picked:
            tree.update("")
            diff.update(Content.styled(words("review.nothing" if self._ready else "review.looking"), "$text-muted"))
        else:
            tree.update(Content("\n").join(self._tree()))
            diff.update(Content("\n").join(self._file()))
        lines = [Content.styled(note, "$text-warning") for note in self._notes]
        if (left := self._left()) and not self._writes:
            hunks = sum(len(part.hunks) if part.hunks is not None else 1 for part in left)
            lines.append(Content.styled(words("review.undo", **_counted(words, hunks, len(left))), "bold $text-warning"))
        notes.display = bool(lines)
        notes.update(Content("\n").join(lines))
        may = words("review.keys_commit") if self._has_repository else words("review.no_repository")
        told = words("review.keys_message") if self._writes else f"{may} · {words('review.keys')}"
        keys.update(Content.styled(told, "$text-muted"))

    def _tree(self) -> list[Content]:
        lines: list[Content] = []
        folder = ""
        for number, one in enumerate(self._picked):
            above, _, name = one.block.path.rpartition("/")
            if above != folder:
                folder = above
                lines.append(Content.styled(f"  {safe_line(folder)}/" if folder else "", "$text-muted"))
            here = self._here[0] == number
            sign = "" if one.block.change == "modified" else self._words(f"diff.{one.block.change}")
            lines.append(
                Content.assemble(
                    (f"{'▸' if here else ' '}{one.mark} {'  ' if folder else ''}", "bold $text-accent" if here else ""),
                    (safe_line(name), "bold" if here else ""),
                    (f"  {sign} +{one.block.added} −{one.block.removed}".replace("   ", "  "), "$text-muted"),
                )
            )
        return lines

    def _file(self) -> list[Content]:
        number, hunk = self._here
        one = self._picked[number]
        title = Content.styled(f"{one.mark} {safe_line(one.block.path)}", "bold $text-accent" if hunk < 0 else "bold")
        facts = [Content.styled(text, "$text-muted") for text in self._facts(one)]
        kept = one.chosen if one.count else set(range(len(one.block.diff))) if one.chosen else set()
        return [title, *facts, *hunk_lines(one.block, kept, hunk, mark=one.count > 1)]

    def _facts(self, one: Picked) -> list[str]:
        """Say what the lines do not."""
        before, after = one.part.before, one.part.after
        facts = [self._words("review.opaque" if one.part.is_opaque else "review.same")] if not one.block.diff else []
        if before is not None and after is not None and before.mode != after.mode:
            facts.append(self._words("review.mode", before=f"{before.mode & 0o7777:o}", after=f"{after.mode & 0o7777:o}"))
        return facts

    def _left(self) -> "list[Part]":
        """Return what is not marked, which Enter takes back."""
        return [part for one in self._picked if (part := _rest(one)) is not None]

    def _marked(self) -> "list[Part]":
        return [part for one in self._picked if (part := one.picked()) is not None]

    @property
    def _has_repository(self) -> bool:
        return (self._place.root / ".git").exists()

    # What the person does.

    def _again(self, work: Awaitable[None]) -> None:
        self.run_worker(work, exclusive=False, group="review")

    def action_move(self, step: int) -> None:
        """Go to the next hunk or file."""
        if self._stops and not self._writes:
            self._at = min(len(self._stops) - 1, max(0, self._at + step))
            self._see()

    def action_file(self, step: int) -> None:
        """Go to the next file."""
        if self._stops and not self._writes:
            number = min(len(self._picked) - 1, max(0, self._here[0] + step))
            self._at = self._stops.index((number, -1))
            self._see()

    def _see(self) -> None:
        self._paint()
        number, hunk = self._here
        top = self._tops()[hunk + 1]
        self.query_one("#review-right", VerticalScroll).scroll_to(y=max(0, top - 2), animate=False)
        files = self.query_one("#review-files", VerticalScroll)
        folders = {one.block.path.rpartition("/")[0] for one in self._picked[: number + 1]}
        line = number + len(folders - {""})
        if not files.scroll_offset.y <= line < files.scroll_offset.y + files.size.height:
            files.scroll_to(y=max(0, line - files.size.height // 2), animate=False)

    def _tops(self) -> list[int]:
        """Return the rows at which the file and its hunks begin."""
        number, _ = self._here
        one = self._picked[number]
        rows = rows_of(self._file(), self.query_one("#review-diff", Static).size.width)
        hunks = hunks_of(one.block.diff)
        return [0, *(rows[start - hunks[0][0] + 1 + len(self._facts(one))] for start, _ in hunks)]

    def action_page(self, step: int) -> None:
        """Scroll the difference by a page; keys are for what can be seen there."""
        right = self.query_one("#review-right", VerticalScroll)
        right.scroll_relative(y=step * right.size.height, animate=False, immediate=True)
        if self._stops and not self._writes:
            number, hunk = self._here
            seen = seen_of(self._tops(), hunk + 1, right.scroll_offset.y, right.scroll_offset.y + right.size.height) - 1
            if (number, seen) in self._stops and seen != hunk:
                self._at = self._stops.index((number, seen))
                self._paint()

    def action_turn(self) -> None:
        """Mark a hunk or a file, or not."""
        if self._stops and not self._writes:
            number, hunk = self._here
            self._picked[number].turn(hunk)
            self._notes = []
            self._paint()

    def action_scope(self) -> None:
        """See the last turn's changes, or all."""
        if not self._writes and self._place.turn:
            self._turn = 0 if self._turn else self._place.turn
            self._at, self._notes = 0, []
            self._again(self._look())

    def action_undo(self) -> None:
        """Take back what is not marked."""
        if (left := self._left()) and not self._writes and not self._busy:
            self._again(self._undo(left))

    async def _undo(self, left: "list[Part]") -> None:
        title = f"in review: {', '.join(mended(part.path) for part in left)}"

        async def work() -> None:
            planned = await self._session.hands.undo_parts(left, title)
            told = [f"{safe_line(mended(one.path))}: {safe_line(self._words.told(one.why))}" for one in planned.conflicts]
            self._notes = told or [self._words("review.undone")]

        await self._changing(work())

    def action_redo(self) -> None:
        """Bring back what was taken back last."""

        async def work() -> None:
            planned = await self._session.hands.redo()
            self._notes = [f"{safe_line(mended(one.path))}: {safe_line(self._words.told(one.why))}" for one in planned.conflicts]

        if not self._writes and not self._busy:
            self._again(self._changing(work()))

    async def _changing(self, work: Awaitable[None]) -> None:
        self._busy = True
        self._notes = [self._words("preview.waits")] if self._session.running else []
        self._paint()
        try:
            await work
            self._notes = [note for note in self._notes if note != self._words("preview.waits")]
        except JumarError as error:
            self._notes = [safe_line(self._words.told(str(error)))]
        finally:
            self._busy = False
        await self._look()

    def action_edit(self) -> None:
        """Open the file in the person's editor, at the hunk."""
        if self._stops and not self._writes and not self._busy:
            number, hunk = self._here
            one = self._picked[number]
            arguments = (f"+{first_line(one.block, max(0, hunk))}", str(self._place.root / one.part.path))
            self._again(self._changing(opened(self.app, self._words, arguments, self._place.environment, self._place.root)))

    # Committing.

    def action_commit(self) -> None:
        """Have the model propose a message, which the person may change, for what is marked."""
        if self._writes or self._busy or not self._has_repository:
            return
        marked = self._marked()
        if not marked:
            self._notes = [self._words("review.nothing_chosen")]
            self._paint()
            return
        self._writes, self._notes = True, []
        parts = sum(len(part.hunks) if part.hunks is not None else max(1, part.count) for part in marked)
        what = self._words("review.commit", **_counted(self._words, parts, len(marked)))
        self.query_one("#review-what", Static).update(Content.styled(what, "bold"))
        self.query_one("#review-commit").display = True
        area = self.query_one("#review-message", TextArea)
        area.text, area.placeholder = "", self._words("review.proposing")
        area.focus()
        self._paint()
        self._again(self._propose(marked, area))

    async def _propose(self, marked: "list[Part]", area: TextArea) -> None:
        blocks = await asyncio.to_thread(lambda: [_alone(part) for part in marked])
        diffs = "\n\n".join(f"--- {block.path} ({block.change})\n{block.diff}" for block in blocks)
        try:
            message = await self._session.propose(f"{said('commit')}\n\n{safe_text(diffs)[:_MOST_SENT]}")
        except JumarError as error:
            area.placeholder = Content(self._words("review.not_proposed", why=safe_line(self._words.told(str(error)))))
            return
        if self._writes and not area.text:  # else the person was quicker
            area.text = safe_text(message).strip("`\n ")

    def on_key(self, event: events.Key) -> None:
        """Commit, or leave the message."""
        if not self._writes:
            return
        if event.key == "ctrl+s":
            event.stop()
            message = self.query_one("#review-message", TextArea).text
            if message.strip() and not self._busy:
                self._again(self._commit(message))
        elif event.key == "escape":
            event.stop()
            event.prevent_default()
            self._leave_message()

    def _leave_message(self) -> None:
        self._writes = False
        self.query_one("#review-commit").display = False
        self.set_focus(None)
        self._paint()

    async def _commit(self, message: str) -> None:
        marked = self._marked()

        async def work() -> None:
            self._notes = [self._words("review.committing")]
            self._paint()
            done = await self._session.hands.commit(marked, message, self._place.environment)
            told = [self._words("review.left", path=safe_line(mended(path)), why=why) for path, why in done.left]
            first = done.printed.partition("\n")[0]
            self._notes = [f"{self._words('review.committed')}  {safe_line(first)}", *told]
            self._leave_message()

        await self._changing(work())

    def action_leave(self) -> None:
        """Go back."""
        if self._writes:
            self._leave_message()
        else:
            self.dismiss(None)


def _stops(number: int, one: Picked) -> list[tuple[int, int]]:
    """Return where keys can go in a file: to it, and to each of its hunks where there are several."""
    return [(number, -1), *((number, hunk) for hunk in range(one.count if one.count > 1 else 0))]


def first_line(block: DiffBlock, hunk: int) -> int:
    """Return the line, in the file as it is now, at which a hunk changes something first."""
    hunks = hunks_of(block.diff)
    if not hunks:
        return 1
    start, *lines = block.diff.split("\n")[slice(*hunks[hunk])]
    found = _START.match(start)
    same = next((number for number, line in enumerate(lines) if not line.startswith(" ")), 0)
    return (int(found[1]) if found else 1) + same


def _rest(one: Picked) -> "Part | None":
    """Return what is not chosen of a file."""
    every = set(range(max(1, one.count)))
    return Picked(one.part, one.block, one.count, every - one.chosen).picked()


def _alone(part: "Part") -> DiffBlock:
    """Return the difference that these hunks alone make."""
    return replace(part, after=part.alone(), hunks=None).block


def _counted(words: Words, parts: int, files: int) -> dict[str, str]:
    """Say how many parts there are, and of how many files."""
    return {
        "parts": words.counted("review.parts", parts, count=parts),
        "files": words.counted("review.files", files, count=files),
    }
