"""Owns what is read and left again: a text over everything else, and the help with its commands and keys."""

from collections.abc import Iterable

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.completion import Offer
from tui.keys import PLACES
from tui.words import Words

_WIDEST = 30  # columns of what stands left


class Telling(ModalScreen[None]):
    """A text to read."""

    BINDINGS = [
        Binding("escape,q,enter,f1", "leave", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
    ]

    def __init__(self, words: Words, title: str, text: Content) -> None:
        super().__init__(classes="over")
        self._words = words
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="over"):
            with VerticalScroll(id="over-body", can_focus=False):
                yield Static(self._text, id="over-what", markup=False)
            yield Static(Content.styled(self._words("help.back"), "$text-muted"), id="over-keys", markup=False)

    def on_mount(self) -> None:
        """Name it."""
        self.query_one("#over").border_title = Content(self._title)

    def action_scroll(self, step: int) -> None:
        """Scroll by a line."""
        self.query_one("#over-body", VerticalScroll).scroll_relative(y=step, animate=False)

    def action_page(self, step: int) -> None:
        """Scroll by a page."""
        body = self.query_one("#over-body", VerticalScroll)
        body.scroll_relative(y=step * body.size.height, animate=False)

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss()


def help_text(words: Words, offers: Iterable[Offer]) -> Content:
    """Return all that can be typed and pressed."""
    commands = [(f"/{offer.name} {offer.argument}".rstrip(), offer.help) for offer in offers]
    signs = [(sign, words(f"help.{name}")) for sign, name in (("@", "file"), ("!", "shell"), ("#", "note"), ("//", "slash"))]
    parts = [paired(words("help.commands"), [*commands, *signs])]
    for place in PLACES:
        keys = [(key.shown, words(f"keys.{key.words}")) for key in place.keys]
        parts.append(paired(words(f"keys.in_{place.words}"), keys))
    return Content("\n\n").join(parts)


def paired(title: str, pairs: Iterable[tuple[str, str]]) -> Content:
    """Return lines of two columns below a title; what stands left is bold."""
    known = list(pairs)
    widest = min(_WIDEST, max((cell_len(left) for left, _ in known), default=0))
    lines = [Content.styled(title, "bold $text-accent")] if title else []
    lines += [Content.assemble((left, "bold"), " " * max(2, widest - cell_len(left) + 2), right) for left, right in known]
    return Content("\n").join(lines)
