"""Owns looking before taking back: what an action did, and what undoing it would change, of which parts can be left out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from agent.blocks import DiffBlock
from agent.errors import JumarError
from agent.safe import mended, safe_line, safe_text
from tui.acts import Act
from tui.diffs import difference
from tui.draw import draw
from tui.hints import Hints
from tui.hunks import Picked, hunk_lines, rows_of, seen_of
from tui.words import Words

if TYPE_CHECKING:
    from agent.ledger.merge import Preference
    from agent.ledger.partly import Part
    from agent.ledger.undo import Plan, Step
    from agent.session import Session

Work = Callable[[], Awaitable["Plan"]]
_MOST_LINES = 3000  # of a preview; the rest is named by its number


@dataclass(frozen=True, slots=True)
class Undoing:
    """What shall be taken back: these actions, all from one on, or what was taken back last."""

    kind: Literal["undo", "rewind", "redo"]
    ids: tuple[str, ...]

    @property
    def title(self) -> str:
        """Their numbers."""
        return ", ".join(self.ids)


class Preview(ModalScreen[Work | None]):
    """Shows what taking actions back would change; Enter answers with the work to be done. Nothing is changed before."""

    BINDINGS = [
        Binding("escape,q", "leave", show=False),
        Binding("enter", "carry_out", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("space", "turn", show=False),
        Binding("o", "prefer('ours')", show=False),
        Binding("t", "prefer('theirs')", show=False),
        Binding("m", "prefer('markers')", show=False),
        Binding("l", "with_later", show=False),
        Binding("i", "interrupt", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
    ]

    def __init__(self, words: Words, session: "Session", undoing: Undoing) -> None:
        super().__init__(classes="over")
        self._words = words
        self._session = session
        self._undoing = undoing
        self._picked: list[Picked] = []  # of one action alone parts can be chosen
        self._stops: list[tuple[int, int]] = []  # where keys can go: a file, and a hunk of it or -1
        self._tops: list[int] = []  # the row of each
        self._at = 0
        self._preference: Preference = ""
        self._interrupts = False
        self._plan: Plan | None = None
        self._fault = ""

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="over"):
            with VerticalScroll(id="over-body", can_focus=False):
                yield Static("", id="over-what", markup=False)
            yield Hints(id="over-keys")

    def on_mount(self) -> None:
        """Find out what would be changed."""
        self.query_one("#over").border_title = Content(self._words(f"preview.{self._undoing.kind}", title=self._undoing.title))
        self.run_worker(self._begin(), exclusive=True)

    async def _begin(self) -> None:
        if self._undoing.kind == "undo" and len(self._undoing.ids) == 1:
            try:
                parts = await self._session.hands.contents(self._undoing.ids[0])
            except JumarError as error:
                self._fault = str(error)
            else:
                self._picked = await asyncio.to_thread(lambda: [Picked.of(part) for part in parts])
        for number, one in enumerate(self._picked):
            self._stops += [(number, -1), *((number, hunk) for hunk in range(one.count if one.count > 1 else 0))]
        await self._look()

    async def _look(self) -> None:
        """Plan anew, and show it."""
        self._plan = None
        try:
            if parts := self._parts():
                self._plan = await self._session.hands.plan_undo_parts(parts, preference=self._preference)
            else:
                ids = self._session.hands.later(self._undoing.ids[0]) if self._undoing.kind == "rewind" else self._undoing.ids
                self._plan = await self._session.hands.plan_undo(ids, only=self._only(), preference=self._preference)
            self._fault = ""
        except JumarError as error:
            self._fault = str(error)
        await self._paint()

    def _parts(self) -> "list[Part]":
        """Return what is chosen, where that is less than whole files."""
        if all(one.whole is not None for one in self._picked):
            return []
        return [part for one in self._picked if (part := one.picked()) is not None]

    def _only(self) -> tuple[str, ...]:
        """Return the files that are chosen, where these are not all."""
        chosen = tuple(one.part.path for one in self._picked if one.chosen)
        return () if len(chosen) == len(self._picked) else chosen

    @property
    def _is_empty(self) -> bool:
        return bool(self._picked) and not any(one.chosen for one in self._picked)

    # What is shown.

    async def _paint(self) -> None:
        what, keys = self.query_one("#over-what", Static), self.query_one("#over-keys", Static)
        lines = self._facts()
        lines += [Content("")] if lines else []
        self._tops = []
        if self._picked:
            for number, one in enumerate(self._picked):
                lines += self._file(number, one, len(lines))
        elif self._plan is not None:
            steps, width = self._plan.steps, what.size.width
            lines += await asyncio.to_thread(lambda: [line for step in steps for line in _step(step, width, self._words)])
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES:] = [Content.styled(self._words("preview.more", count=len(lines) - _MOST_LINES), "$text-muted")]
        rows = rows_of(lines, what.size.width) if lines else []
        self._tops = [rows[line] for line in self._tops if line < len(rows)]
        what.update(Content("\n").join(lines))
        keys.update(Content.styled(self._keys(), "$text-muted"))

    def _file(self, number: int, one: Picked, line: int) -> list[Content]:
        here = self._stops[self._at] if self._stops else (-1, -1)
        style = "bold $text-accent" if here == (number, -1) else "bold"
        cursor = "▸" if here == (number, -1) and len(self._stops) > 1 else " "
        becomes = self._becomes(one.part.path)
        head = Content.assemble(
            (f"{cursor}{one.mark} {safe_line(one.block.path)}", style),
            (f"  +{one.block.added} −{one.block.removed}{becomes}", "$text-muted"),
        )
        kept = one.chosen if one.count else set(range(len(one.block.diff))) if one.chosen else set()
        hunks = hunk_lines(one.block, kept, here[1] if here[0] == number else -1, mark=one.count > 1)
        self._tops.append(line)
        if one.count > 1:
            self._tops += [line + 1 + at for at, text in enumerate(one.block.diff.split("\n")) if text.startswith("@@")]
        return [head, *hunks]

    def _becomes(self, path: str) -> str:
        """Say what becomes of a file."""
        step = next((step for step in self._plan.steps if step.path == path), None) if self._plan is not None else None
        return f"  · {_becoming(step, self._words)}" if step is not None else ""

    def _facts(self) -> list[Content]:
        words, plan = self._words, self._plan
        lines: list[Content] = []
        if self._fault:
            return [Content.styled(safe_line(words.told(self._fault)), "$text-error")]
        if plan is None:
            return [Content.styled(words("preview.looking"), "$text-muted")]
        for conflict in plan.conflicts:
            why = safe_line(words.told(conflict.why))
            lines.append(Content.styled(f"✗ {safe_line(mended(conflict.path))}: {why}", "$text-error"))
            lines += [Content(f"  {line}") for line in safe_text(conflict.lines).split("\n") if line]
            if conflict.later:
                lines.append(Content.styled(f"  {words('preview.later', numbers=', '.join(conflict.later))}", "$text-warning"))
        lines += [
            Content.styled(words("preview.unheld", path=safe_line(mended(path)), why=safe_line(words.told(why))), "$text-warning")
            for path, why in plan.unheld
        ]
        if not self._is_empty and not (plan.steps or plan.conflicts or plan.folders or plan.revived):
            lines.append(Content.styled(words("preview.nothing"), "$text-warning"))
        if self._preference:
            lines.append(Content.styled(words(f"preview.{self._preference}"), "$text-warning"))
        if self._session.running:
            lines.append(Content.styled(words("preview.interrupts" if self._interrupts else "preview.waits"), "$text-warning"))
        return lines

    def _keys(self) -> str:
        words, plan = self._words, self._plan
        keys = [words("preview.keys")] if self._may else [words("preview.nothing_chosen")] if self._is_empty else []
        keys += [words("preview.keys_parts")] if len(self._stops) > 1 else []
        if plan is not None and (plan.conflicts or self._preference):
            keys.append(words("preview.keys_conflict"))
        if plan is not None and any(conflict.later for conflict in plan.conflicts):
            keys.append(words("preview.keys_later"))
        keys += [words("preview.keys_running")] if self._session.running else []
        return " · ".join([*keys, words("preview.keys_leave")])

    @property
    def _may(self) -> bool:
        plan = self._plan
        return plan is not None and not plan.conflicts and not self._is_empty

    # What the person does.

    def action_move(self, step: int) -> None:
        """Go to the next hunk or file, or scroll where there is nothing to choose."""
        body = self.query_one("#over-body", VerticalScroll)
        if len(self._stops) < 2:
            body.scroll_relative(y=step, animate=False)
            return
        self._at = (self._at + step) % len(self._stops)
        self._repaint()
        if self._at < len(self._tops):
            body.scroll_to(y=max(0, self._tops[self._at] - 2), animate=False)

    def action_page(self, step: int) -> None:
        """Scroll by a page; keys are for what can be seen there."""
        body = self.query_one("#over-body", VerticalScroll)
        body.scroll_relative(y=step * body.size.height, animate=False, immediate=True)
        at = seen_of(self._tops, self._at, body.scroll_offset.y, body.scroll_offset.y + body.size.height)
        if at != self._at:
            self._at = at
            self._repaint()

    def action_turn(self) -> None:
        """Take a hunk or a file back after all, or leave it."""
        if self._stops:
            number, hunk = self._stops[self._at]
            self._picked[number].turn(hunk)
            self._again(self._look())

    def action_prefer(self, wanted: "Preference") -> None:
        """Say what shall stand where both changed the same lines."""
        if self._plan is not None and (self._plan.conflicts or self._preference):
            self._preference = "" if self._preference == wanted else wanted
            self._again(self._look())

    def action_with_later(self) -> None:
        """Take back, too, the later actions that are in the way."""
        if self._plan is None or self._undoing.kind != "undo":
            return
        later = {number for conflict in self._plan.conflicts for number in conflict.later}
        if later:
            ids = tuple(dict.fromkeys([*self._undoing.ids, *sorted(later, key=int)]))
            self._undoing = Undoing("undo", ids)
            self._picked, self._stops, self._at = [], [], 0
            self.query_one("#over").border_title = Content(self._words("preview.undo", title=self._undoing.title))
            self._again(self._look())

    def action_interrupt(self) -> None:
        """Wait for the running call, or stop the turn."""
        if self._session.running:
            self._interrupts = not self._interrupts
            self._repaint()

    def _again(self, work: Awaitable[None]) -> None:
        self.run_worker(work, exclusive=True)

    def _repaint(self) -> None:
        self.run_worker(self._paint(), exclusive=True, group="paint")  # a plan that is being made goes on

    def action_carry_out(self) -> None:
        """Have it done."""
        if self._may:
            self.dismiss(self._work())

    def action_leave(self) -> None:
        """Change nothing."""
        self.dismiss(None)

    def _work(self) -> Work:
        session, undoing, preference, interrupt = self._session, self._undoing, self._preference, self._interrupts
        if undoing.kind == "redo":
            return lambda: session.hands.redo(preference=preference, interrupt=interrupt)
        if undoing.kind == "rewind":
            return lambda: session.hands.rewind(undoing.ids[0], preference=preference, interrupt=interrupt)
        if parts := self._parts():
            title = f"parts of {undoing.ids[0]}: {', '.join(part.path for part in parts)}"
            return lambda: session.hands.undo_parts(parts, mended(title), undoing.ids, preference=preference, interrupt=interrupt)
        only = self._only()
        return lambda: session.hands.undo(undoing.ids, only=only, preference=preference, interrupt=interrupt)


class Shown(ModalScreen[bool]):
    """Shows all that an action did; `u` answers that it shall be taken back."""

    BINDINGS = [
        Binding("escape,q,enter", "leave", show=False),
        Binding("u", "undo", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
    ]

    def __init__(self, words: Words, session: "Session", act: Act, split: str = "auto", before: tuple[str, ...] = ()) -> None:
        super().__init__(classes="over")
        self._words = words
        self._session = session
        self._act = act
        self._split = split
        self._before = before  # actions that are shown with it, as one

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="over"):
            with VerticalScroll(id="over-body", can_focus=False):
                yield Static("", id="over-what", markup=False)
            yield Hints(id="over-keys")

    def on_mount(self) -> None:
        """Show it once its width is known."""
        act = self._act
        title = " ".join(filter(None, [act.number, safe_line(act.tool), safe_line(act.title)]))
        self.query_one("#over").border_title = Content(title[:80])
        keys = self._words("preview.keys_shown") if act.undoable else self._words("preview.keys_back")
        self.query_one("#over-keys", Static).update(Content.styled(keys, "$text-muted"))
        self.call_after_refresh(lambda: self.run_worker(self._paint(), exclusive=True))

    def on_resize(self) -> None:
        """Fit the new width."""
        self.run_worker(self._paint(), exclusive=True)

    async def _paint(self) -> None:
        act, words = self._act, self._words
        what = self.query_one("#over-what", Static)
        width = self.query_one("#over-body").size.width - 2
        blocks: list[DiffBlock] = []
        fault = ""
        if act.number:
            try:
                parts = _joined(
                    [part for number in (*self._before, act.number) for part in await self._session.hands.contents(number)]
                )
                blocks = await asyncio.to_thread(lambda: [part.block for part in parts])
            except JumarError as error:
                fault = str(error)
        called = act.called
        others = [block for block in called.blocks if not (isinstance(block, DiffBlock) and blocks)] if called is not None else []
        lines = [Content.styled(text, "$text-muted") for text in self._facts()]
        lines += [Content.styled(safe_line(words.told(fault)), "$text-error")] if fault else []
        split = self._split
        drawn = await asyncio.to_thread(
            lambda: [
                *(draw(block, words, width, split) for block in others),
                *(difference(block, words, width, split) for block in blocks),
            ]
        )
        if not (drawn or fault):
            drawn = [Content.styled(words("timeline.nothing"), "$text-muted")]
        told = [f"! {safe_line(path)}: {safe_line(words.told(why))}" for path, why in act.unheld.items()]
        unheld = [Content.styled(line, "$text-warning") for line in told]
        what.update(
            Content("\n\n").join([part for part in [Content("\n").join(lines), *drawn, Content("\n").join(unheld)] if part])
        )

    def _facts(self) -> list[str]:
        act, words = self._act, self._words
        facts = [words(f"timeline.{act.state}")]
        facts += [words("timeline.foreign")] if act.foreign else []
        if act.listed is None:
            return [" · ".join(facts)]
        action = act.listed.action
        facts += [action.model] if action.model else []
        facts += [words("preview.rule", rule=action.rule)] if action.rule else []
        facts += [words("preview.approved", by=words(f"preview.by_{action.approved_by}"))] if action.approved_by else []
        prompt = action.prompt.strip().partition("\n")[0]
        return [safe_line(" · ".join(facts)), *([safe_line(f"❯ {prompt}")] if prompt else [])]

    def action_scroll(self, step: int) -> None:
        """Scroll by a line."""
        self.query_one("#over-body", VerticalScroll).scroll_relative(y=step, animate=False)

    def action_page(self, step: int) -> None:
        """Scroll by a page."""
        body = self.query_one("#over-body", VerticalScroll)
        body.scroll_relative(y=step * body.size.height, animate=False)

    def action_undo(self) -> None:
        """Take it back."""
        if self._act.undoable:
            self.dismiss(True)  # noqa: FBT003 - the answer

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(False)  # noqa: FBT003 - the answer


def _joined(parts: "Sequence[Part]") -> "list[Part]":
    """Return changes, one after the other, as one a file."""
    found: dict[str, Part] = {}
    for part in parts:
        found[part.path] = replace(part, before=found.get(part.path, part).before)
    return list(found.values())


def _step(step: "Step", width: int, words: Words) -> list[Content]:
    """Return a file of a plan: what is there now, and what will be."""
    from agent.ledger.partly import Part  # not before the first frame is seen: the ledger comes with it

    block = Part(step.path, step.now, step.then).block
    head, *rest = difference(block, words, width).split("\n", allow_blank=True)
    return [Content.assemble(head, (f"  · {_becoming(step, words)}", "$text-muted")), *rest]


def _becoming(step: "Step", words: Words) -> str:
    if step.then is None:
        return words("preview.removed")
    if step.now is None:
        return words("preview.recreated")
    return words("preview.merged" if step.merged else "preview.restored")
