"""Owns the timeline: every action with its state, and the keys that take any of them back."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual
from textual.widgets import Input, Static

from agent.errors import JumarError
from agent.events import ActionRecorded, ActionsUndone, Event, Informed, TurnFinished, TurnStarted
from agent.safe import safe_line
from tui.acts import Act, Acts, Head
from tui.fields import Line
from tui.hints import broken
from tui.story import Answered, News, Story, Thought
from tui.words import Words

if TYPE_CHECKING:
    from agent.session import Session

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
_MOST_FILES = 3  # that are named below the list


class Timeline(Vertical):
    """The panel: the list, what is known of the action that keys are for, and a line to search in."""

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

    def __init__(self, words: Words) -> None:
        super().__init__(id="timeline")
        self.border_title = Content(words("timeline.title"))
        self._words = words
        self._session: Session | None = None
        self._stale = False  # the ledger may hold more
        self._turned = False  # something was taken back, or brought back
        self._new = False  # events changed what is listed
        self.acts = Acts()

    def compose(self) -> ComposeResult:
        """Lay it out."""
        line = Line(id="timeline-find", placeholder=self._words("timeline.find"), compact=True)
        line.display = False
        yield line
        yield Rows(self._words)
        yield Static("", id="timeline-about", markup=False)

    @property
    def rows(self) -> "Rows":
        """The list."""
        return self.query_one(Rows)

    def focus(self, scroll_visible: bool = True) -> Self:
        """Have keys go to the list."""
        self.rows.focus(scroll_visible)
        return self

    # What happens.

    def restart(self, story: Story, session: "Session") -> None:
        """Show another session from its beginning."""
        self._session, self.acts = session, Acts(session.id)
        self.acts.take(story.entries)
        self._turned = True
        self.rows.restart(self.acts)
        self.settle()

    def only(self, items: frozenset[str], text: str = "") -> None:
        """Show only what was done for a step of the plan; for none, all."""
        self.acts.only(items)
        self.border_subtitle = Content(_cut(safe_line(text), max(0, self.size.width - 6)))
        self.rows.restart(self.acts)

    def follow(self, news: News, event: Event) -> None:
        """Take in what an event changed."""
        if not news.gone and all(isinstance(entry, Answered | Thought) for entry in news.changed) and news.changed:
            return  # words that stream are no concern of the list
        self._new = True
        self.acts.take(news.changed)
        match event:
            case ActionsUndone():
                self._turned = True
            case ActionRecorded() | TurnStarted() | TurnFinished() | Informed(kind="outside" | "away"):
                self._stale = True
            case _:
                pass

    def settle(self) -> None:
        """Show what was taken in."""
        if not (self._new or self._turned or self._stale):
            return
        self._new = False
        if self._session is not None and (self._turned or self._stale):
            whole = self._turned or not self.acts.seal
            self._turned = self._stale = False
            try:
                self.acts.record(self._session.hands.actions("" if whole else self.acts.seal), whole=whole)
            except JumarError as error:
                self.border_subtitle = Content(safe_line(self._words.told(str(error))))
        self.rows.settle()
        self._tell()

    def _tell(self) -> None:
        """Say below the list what is known of what keys are for."""
        about = self.query_one("#timeline-about", Static)
        row = self.rows.current
        about.display = self.rows.has_focus and self.size.height > 12
        if about.display:
            width = self.size.width - 2
            lines = self._about(row) if isinstance(row, Act) else []
            keys = self._words("timeline.keys" if isinstance(row, Act) else "timeline.keys_turn")
            told = [*(Content(_cut(line, width)) for line in lines), broken(Content.styled(keys, "$text-muted"), width)]
            about.update(Content("\n").join(told))

    def _about(self, act: Act) -> list[str]:
        words = self._words
        paths = [safe_line(path) for path in act.paths]
        more = [words("timeline.more", count=len(paths) - _MOST_FILES)] if len(paths) > _MOST_FILES else []
        lines = [" · ".join([words(f"timeline.{act.state}"), *([words("timeline.foreign")] if act.foreign else [])])]
        lines += [", ".join([*paths[:_MOST_FILES], *more])] if paths else []
        if act.undoable:
            unheld = [words("timeline.partly", count=len(act.unheld))] if act.unheld else []
            return [*lines, " · ".join([words("timeline.undoable"), *unheld])]
        if act.state in {"undone", "asked", "running"}:
            return lines
        why = next((f"{safe_line(path)}: {safe_line(words.told(why))}" for path, why in act.unheld.items()), "")
        if act.listed is not None and not act.listed.kept:
            why = words("timeline.pruned")
        return [*lines, words("timeline.not_undoable", why=why) if why else words("timeline.nothing")]

    def on_resize(self) -> None:
        """Say it where there is room for it now: a sheet has none before it is open."""
        self._tell()

    # What the person does.

    def on_rows_moved(self) -> None:
        """Say what is known of the next one."""
        self._tell()

    def on_descendant_focus(self) -> None:
        """Say what is known of it, and which keys there are."""
        self._tell()

    def on_descendant_blur(self) -> None:
        """Leave the list alone."""
        self.query_one("#timeline-about").display = False

    def on_rows_sought(self) -> None:
        """Let the person write what they look for."""
        line = self.query_one("#timeline-find", Input)
        line.display = True
        line.focus()

    def on_input_changed(self, changed: Input.Changed) -> None:
        """Show what fits."""
        changed.stop()
        self.acts.seek(changed.value.strip())
        self.rows.restart(self.acts)

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Go on in the list."""
        submitted.stop()
        submitted.input.display = bool(submitted.value.strip())
        self.rows.focus()

    def on_key(self, event: events.Key) -> None:
        """Leave the search with Escape."""
        line = self.query_one("#timeline-find", Input)
        if event.key == "escape" and (line.has_focus or self.acts.sought or self.acts.items):
            event.stop()
            self.only(frozenset())
            line.value = ""
            line.display = False
            self.acts.seek("")
            self.rows.restart(self.acts)
            self.rows.focus()
        elif event.key == "down" and line.has_focus:
            event.stop()
            self.rows.focus()


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
            return Content.styled(_cut(f"{cursor}◐ {safe_line(head.text)}", width), "$text-muted")
        name = cursor.strip() + self._words("timeline.turn", number=head.turn)
        return Content.assemble((f"{name} ", "bold"), (_cut(safe_line(head.text), width - cell_len(name) - 1), "$text-muted"))

    def _act(self, act: Act, width: int, cursor: str) -> Content:
        state = act.state
        mark, colour = _MARKS.get(state, ("·", ""))
        added, removed = act.counts
        counts = f" +{added} −{removed}" if act.paths else ""
        unheld = " !" if act.unheld and state != "undone" else ""
        indent = f"{cursor}  " if act.item else cursor
        tool = self._words(f"timeline.kind_{act.kind}") if act.kind else safe_line(act.tool)
        number = f"{act.number} " if act.number else ""
        room = width - len(indent) - 2 - len(number) - cell_len(tool) - 1 - len(counts) - len(unheld)
        first, more, _ = act.title.partition("\n")
        title = set_cell_size(_cut(safe_line(first) + (" …" if more else ""), room), max(0, room))
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
            self.post_message(Timeline.Show(self._row))

    def action_undo(self) -> None:
        """Take it back; of a head, all that stands under it."""
        if isinstance(self._row, Act):
            if self._row.undoable:
                self.post_message(Timeline.Undo((self._row.number,)))
            else:
                self.app.notify(self._words("timeline.cannot"), markup=False)
        elif self._row is not None and (numbers := [act.number for act in self._acts.under(self._row) if act.undoable]):
            self.post_message(Timeline.Undo(tuple(numbers)))

    def action_rewind(self) -> None:
        """Go back to before it."""
        acts = [self._row] if isinstance(self._row, Act) else self._acts.under(self._row) if self._row is not None else []
        if number := next((act.number for act in acts if act.number), ""):
            self.post_message(Timeline.Rewind(number))

    def action_redo(self) -> None:
        """Bring back what was taken back last."""
        self.post_message(Timeline.Redo())

    def action_fork(self) -> None:
        """Go on in another session from before the turn."""
        if self._row is not None and self._row.turn:
            self.post_message(Timeline.Fork(self._row.turn))

    def action_seek(self) -> None:
        """Look for something."""
        self.post_message(self.Sought())

    def action_leave(self) -> None:
        """Go back to the prompt."""
        self.screen.query_one("#prompt").focus()


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else f"{set_cell_size(text, max(0, width - 1)).rstrip()}…"
