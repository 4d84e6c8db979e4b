"""Owns the rows of the timeline: one line each, and the keys that are for the one that is marked."""

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from agent.safe import safe_line
from tui.acts import Act, Acts, Head
from tui.words import Words

_MARKS = {
    "asked": ("?", "$text-warning"),
    "running": ("▶", "$text-accent"),
    "done": ("✓", "$text-success"),
    "failed": ("✗", "$text-error"),
    "invalid": ("✗", "$text-error"),
    "denied": ("⊘", "$text-warning"),
    "skipped": ("–", "$text-muted"),
    "cancelled": ("■", "$text-warning"),
    "unknown": ("?", "$text-warning"),
    "undone": ("↶", "$text-muted"),
    "partly_undone": ("↶", "$text-warning"),
    "redone": ("↷", "$text-success"),
}


class Rows(ScrollView, can_focus=True):
    """The list itself: one line a row, and only those drawn that can be seen."""

    COMPONENT_CLASSES = {"rows--cursor"}
    BINDINGS = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("home,g", "move(-1000000)", show=False),
        Binding("end,G,upper_g", "move(1000000)", show=False),
        Binding("enter", "show", show=False),
        Binding("u", "undo", show=False),
        Binding("U,upper_u", "rewind", show=False),
        Binding("R,upper_r", "redo", show=False),
        Binding("f", "fork", show=False),
        Binding("slash", "seek", show=False),
        Binding("escape", "leave", show=False),
    ]

    @dataclass
    class Show(Message):
        """See what an action did."""

        act: Act

    @dataclass
    class Undo(Message):
        """Take these actions back."""

        actions: tuple[str, ...]

    @dataclass
    class Rewind(Message):
        """Go back to before this action."""

        action: str

    @dataclass
    class Redo(Message):
        """Bring back what was taken back last."""

    @dataclass
    class Fork(Message):
        """Go on in another session with what came before this turn."""

        turn: int

    @dataclass
    class Moved(Message):
        """Keys are for another row."""

    @dataclass
    class Sought(Message):
        """The person wants to look for something."""

    def __init__(self, words: Words) -> None:
        super().__init__(id="timeline-rows")
        self._words = words
        self._acts = Acts()
        self._at = -1
        self._row: Act | Head | None = None
        self._number = ""  # digits that were typed, one after the other

    @property
    def current(self) -> Act | Head | None:
        """What keys are for."""
        return self._row

    def restart(self, acts: Acts) -> None:
        """Show other acts, or others of them; the last is what keys are for."""
        self._acts, self._row, self._at = acts, None, -1
        self.settle()

    def settle(self) -> None:
        """Show the rows as they are now. The last stays what keys are for where it was."""
        rows = self._acts.rows
        last = len(rows) - 1
        followed = not self.has_focus or self._row is None
        if not followed and not (0 <= self._at <= last and rows[self._at] is self._row):
            self._at = next((at for at, row in enumerate(rows) if row is self._row), last)
        if followed:
            self._at = last
        self._row = rows[self._at] if rows else None
        size = Size(self.scrollable_content_region.width, max(1, len(rows)))
        if size != self.virtual_size:
            self.virtual_size = size
        self._see()
        self.refresh()

    def _see(self) -> None:
        height, top = self.scrollable_content_region.height, self.scroll_offset.y
        if self._at >= 0 and height and not top <= self._at < top + height:
            to = self._at if self._at < top else self._at - height + 1
            self.scroll_to(y=to - (to == 1), animate=False, immediate=True, force=True)

    def on_resize(self) -> None:
        """Fit the new width."""
        self.settle()

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        width, at, rows = self.scrollable_content_region.width, y + self.scroll_offset.y, self._acts.rows
        if not rows and y < len(empty := Content(self._words("timeline.empty")).wrap(max(1, width))):
            content = empty[y].stylize("$text-muted")
        elif at >= len(rows):
            return Strip.blank(width, self.rich_style)
        else:
            row = rows[at]
            cursor = "▸" if at == self._at and self.has_focus else " "
            content = self._head(row, width, cursor) if isinstance(row, Head) else self._act(row, width, cursor)
        strip = Visual.to_strips(self, content, width, 1, self.visual_style)[0]
        if at == self._at and rows and self.has_focus:
            ground = Style(bgcolor=self.get_component_rich_style("rows--cursor").bgcolor)
            strip = Strip(Segment.apply_style(strip, post_style=ground))
            return strip.extend_cell_length(width, ground)
        return strip.extend_cell_length(width, self.rich_style)

    def _head(self, head: Head, width: int, cursor: str) -> Content:
        if not head.turn:
            return Content.styled(cut(f"{cursor}◐ {safe_line(head.text)}", width), "$text-muted")
        name = cursor.strip() + self._words("timeline.turn", number=head.turn)
        return Content.assemble((f"{name} ", "bold"), (cut(safe_line(head.text), width - cell_len(name) - 1), "$text-muted"))

    def _act(self, act: Act, width: int, cursor: str) -> Content:
        state = act.state
        mark, colour = _MARKS.get(state, ("·", ""))
        added, removed = act.counts
        counts = f" +{added} −{removed}" if added or removed else ""
        unheld = " !" if act.unheld and state != "undone" else ""
        indent = f"{cursor}  " if act.item else cursor
        tool = self._words(f"timeline.kind_{act.kind}") if act.kind else safe_line(act.tool)
        number = f"{act.number} " if act.number else ""
        room = width - len(indent) - 2 - len(number) - cell_len(tool) - 1 - len(counts) - len(unheld)
        first, more, _ = act.title.partition("\n")
        title = set_cell_size(cut(safe_line(first) + (" …" if more else ""), room), max(0, room))
        gone = "$text-muted" if state == "undone" or act.foreign else ""
        return Content.assemble(
            (f"{indent}{mark} ", "$text-muted" if act.foreign else colour),
            (number, "$text-muted"),
            (f"{tool} ", gone or "bold"),
            (title.rstrip(), f"{gone} strike" if state == "undone" else gone),
            " " * (len(title) - len(title.rstrip())),
            (counts, "$text-muted"),
            (unheld, "$text-warning"),
        )

    # What the person does.

    def action_move(self, step: int) -> None:
        """Go to another row."""
        rows = self._acts.rows
        if rows:
            self._to(min(len(rows) - 1, max(0, self._at + step)))

    def _to(self, at: int) -> None:
        self._at, self._row = at, self._acts.rows[at]
        self._see()
        self.refresh()
        self.post_message(self.Moved())

    def on_key(self, event: events.Key) -> None:
        """Go to the action whose number is typed."""
        if event.character is None or not event.character.isdecimal() or not event.character.isascii():
            self._number = ""
            return
        event.stop()
        for number in (self._number + event.character, event.character):
            act = self._acts.find(number)
            if act is not None and act in self._acts.rows:
                self._to(next(at for at, row in enumerate(self._acts.rows) if row is act))
                self._number = number
                return
        self._number += event.character

    def on_click(self, event: events.Click) -> None:
        """Go to a row; once more, see what it did."""
        at = event.y + self.scroll_offset.y
        if at < len(self._acts.rows):
            self._to(at)
            if event.chain == 2:
                self.action_show()

    def on_focus(self) -> None:
        """Show where keys go."""
        self.refresh()

    def action_show(self) -> None:
        """See what the action did."""
        if isinstance(self._row, Act):
            self.post_message(self.Show(self._row))

    def action_undo(self) -> None:
        """Take it back; of a head, all that stands under it."""
        if isinstance(self._row, Act):
            if self._row.undoable:
                self.post_message(self.Undo((self._row.number,)))
            else:
                self.app.notify(self._words("timeline.cannot"), markup=False)
        elif self._row is not None and (numbers := [act.number for act in self._acts.under(self._row) if act.undoable]):
            self.post_message(self.Undo(tuple(numbers)))

    def action_rewind(self) -> None:
        """Go back to before it."""
        acts = [self._row] if isinstance(self._row, Act) else self._acts.under(self._row) if self._row is not None else []
        if number := next((act.number for act in acts if act.number), ""):
            self.post_message(self.Rewind(number))

    def action_redo(self) -> None:
        """Bring back what was taken back last."""
        self.post_message(self.Redo())

    def action_fork(self) -> None:
        """Go on in another session from before the turn."""
        if self._row is not None and self._row.turn:
            self.post_message(self.Fork(self._row.turn))

    def action_seek(self) -> None:
        """Look for something."""
        self.post_message(self.Sought())

    def action_leave(self) -> None:
        """Go back to the prompt."""
        self.screen.query_one("#prompt").focus()


def cut(text: str, width: int) -> str:
    """Return a line that is no wider."""
    return text if cell_len(text) <= width else f"{set_cell_size(text, max(0, width - 1)).rstrip()}…"
