"""Owns choosing one of many: a list with a line to search in, over everything else."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from agent.errors import JumarError
from agent.safe import safe_line
from tui.asking import DEAF
from tui.fields import Line
from tui.hints import Hints
from tui.punctual import Punctual
from tui.words import Words

T = TypeVar("T")
_WIDEST = 40  # columns of what stands first in a row


@dataclass(frozen=True, slots=True)
class Row:
    """Something that can be chosen: what it is known by, its name, and what is said of it."""

    key: str
    name: str
    about: str = ""
    current: bool = False  # it is what holds now

    def fits(self, sought: str) -> bool:
        """Whether all these words occur in it."""
        text = f"{self.name} {self.about}".casefold()
        return all(word in text for word in sought.casefold().split())


Rows = Callable[[], Awaitable[Sequence[Row]]]


class Listing(ModalScreen[T | None], Generic[T]):
    """A list and a line: what is typed narrows the list, arrows go through it, Enter chooses, Escape leaves."""

    BINDINGS = [
        Binding("escape", "leave", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
    ]

    def __init__(self, words: Words, title: str, keys: str = "") -> None:
        super().__init__(classes="over")
        self._words = words
        self._title = title
        self._keys = keys or words("choosing.keys")
        self._rows: Sequence[Row] = ()
        self._shown: list[Row] = []

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="over"):
            yield Line(id="choosing-line", placeholder=self._words("choosing.find"), compact=True)
            yield OptionList(id="choosing-rows", markup=False, compact=True)
            yield Hints(id="over-keys")

    def on_mount(self) -> None:
        """Show what there is."""
        self.query_one("#over").border_title = Content(safe_line(self._title))
        self.query_one("#choosing-rows").can_focus = False
        self.tell(self._keys)
        self.query_one("#choosing-line", Input).focus()
        self.begin()

    def begin(self) -> None:
        """Find what there is to choose among."""
        raise NotImplementedError

    @property
    def line(self) -> Input:
        """The line to write in."""
        return self.query_one("#choosing-line", Input)

    @property
    def chosen(self) -> Row | None:
        """The row that keys are for."""
        at = self.query_one("#choosing-rows", OptionList).highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    def tell(self, text: str, style: str = "$text-muted") -> None:
        """Say something below the list."""
        self.query_one("#over-keys", Static).update(Content.styled(safe_line(text), style))

    def offer(self, rows: Sequence[Row]) -> None:
        """Show these rows; what holds now is chosen first."""
        before = self.chosen
        self._rows = rows
        self._narrow(before.key if before is not None else next((row.key for row in rows if row.current), ""))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow the list."""
        event.stop()
        self._narrow("")

    def _narrow(self, key: str) -> None:
        rows = self.query_one("#choosing-rows", OptionList)
        self._shown = [row for row in self._rows if row.fits(self.sought)]
        widest = min(_WIDEST, max((cell_len(safe_line(row.name)) for row in self._shown), default=0))
        rows.set_options([Option(_label(row, widest)) for row in self._shown])
        if self._shown:
            rows.highlighted = next((at for at, row in enumerate(self._shown) if row.key == key), 0)

    @property
    def sought(self) -> str:
        """What the list is narrowed to."""
        return self.line.value

    def action_move(self, step: int) -> None:
        """Go through the list; single steps go around its ends."""
        rows = self.query_one("#choosing-rows", OptionList)
        if self._shown:
            at = (rows.highlighted or 0) + step
            rows.highlighted = at % len(self._shown) if abs(step) == 1 else min(max(0, at), len(self._shown) - 1)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the row that is chosen."""
        event.stop()
        self.submit()

    def submit(self) -> None:
        """Do what Enter means."""
        if (row := self.chosen) is not None:
            self.take(row)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the row that was clicked."""
        event.stop()
        self.take(self._shown[event.option_index])

    def take(self, row: Row) -> None:
        """Do what choosing a row means."""
        raise NotImplementedError

    def action_leave(self) -> None:
        """Choose nothing."""
        self.dismiss(None)


class Choosing(Listing[str]):
    """Answers with the key of the row that was chosen. `seen` is told the row that keys are for, while one looks."""

    def __init__(self, words: Words, title: str, rows: Rows, seen: Callable[[str], None] | None = None) -> None:
        super().__init__(words, title)
        self._find = rows
        self._seen = seen

    def begin(self) -> None:
        """Find what there is to choose among."""
        self.run_worker(self._look(), exclusive=True)

    async def _look(self) -> None:
        self.tell(self._words("choosing.looking"))
        try:
            rows = await self._find()
        except JumarError as error:
            self.tell(self._words.told(str(error)), "$text-error")
            return
        self.offer(rows)
        self.tell(self._keys if rows else self._words("choosing.nothing"))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Let what is chosen be seen."""
        event.stop()
        if self._seen is not None and (row := self.chosen) is not None:
            self._seen(row.key)

    def take(self, row: Row) -> None:
        """Answer."""
        self.dismiss(row.key)


class Question(Punctual, ModalScreen[bool]):
    """Something that must be answered before anything else: one key says yes, others no. Keys typed ahead are no answer."""

    def __init__(self, title: str, body: Content, keys: str, yes: str = "y", no: Sequence[str] = ("n", "q", "escape")) -> None:
        super().__init__(classes="over")
        self._title = title
        self._body = body
        self._keys = keys
        self._yes, self._no = yes, no
        self.is_deaf = True

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="over"):
            yield Static(self._body, id="over-what", markup=False)
            yield Hints(Content.styled(self._keys, "$text-muted"), id="over-keys")

    def on_mount(self) -> None:
        """Listen once it can have been read."""
        self.query_one("#over").border_title = Content(self._title)
        self.set_timer(DEAF, self._listen)

    def _listen(self) -> None:
        self.is_deaf = False

    def on_key(self, event: events.Key) -> None:
        """Take the answer."""
        event.stop()
        if not self.is_deaf and event.key in {self._yes, *self._no}:
            self.dismiss(event.key == self._yes)


def fixed(rows: Sequence[Row]) -> Rows:
    """Return rows that are known already, as what finds them."""

    async def found() -> Sequence[Row]:
        return rows

    return found


def _label(row: Row, widest: int) -> Content:
    name = safe_line(row.name)
    return Content.assemble(
        "● " if row.current else "  ",
        (name, "bold"),
        " " * max(2, widest - cell_len(name) + 2),
        (safe_line(row.about), "$text-muted"),
    )
