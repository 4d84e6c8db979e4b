"""Owns what is read and left again: a text over everything else, and the help with its commands and keys."""

from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.completion import Offer
from tui.hints import Hints
from tui.keys import Place
from tui.words import Words

_WIDEST = 30  # columns of what stands left
_GAP = 2

Text = Callable[[int], Content]  # as wide as it may be
Pairs = Sequence[tuple[str, str]]


class Telling(ModalScreen[None]):
    """A text to read."""

    BINDINGS = [
        Binding("escape,q,enter,f1", "leave", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
    ]

    def __init__(self, words: Words, title: str, text: Text) -> None:
        super().__init__(classes="over")
        self._words = words
        self._title = title
        self._text = text

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="over"):
            with VerticalScroll(id="over-body", can_focus=False):
                yield Static("", id="over-what", markup=False)
            yield Hints(Content.styled(self._words("help.back"), "$text-muted"), id="over-keys")

    def on_mount(self) -> None:
        """Name it."""
        self.query_one("#over").border_title = Content(self._title)
        self.call_after_refresh(self._paint)

    def on_resize(self) -> None:
        """Fit the new width."""
        self.call_after_refresh(self._paint)

    def _paint(self) -> None:
        width = self.query_one("#over-body").size.width - _GAP
        self.query_one("#over-what", Static).update(self._text(max(20, width)))

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


def help_text(words: Words, offers: Iterable[Offer], places: Iterable[Place]) -> Text:
    """Return all that can be typed and pressed."""
    commands = [(f"/{offer.name} {offer.argument}".rstrip(), offer.help) for offer in offers]
    signs = [(sign, words(f"help.{name}")) for sign, name in (("@", "file"), ("!", "shell"), ("#", "note"), ("//", "slash"))]
    parts: list[tuple[str, Pairs]] = [(words("help.commands"), [*commands, *signs])]
    parts += [
        (words(f"keys.in_{place.words}"), [(key.shown, words(f"keys.{key.words}")) for key in place.keys]) for place in places
    ]
    return lambda width: Content("\n\n").join(paired(title, pairs)(width) for title, pairs in parts)


def paired(title: str, pairs: Pairs) -> Text:
    """Return lines of two columns below a title; what stands left is bold, and what stands right is wrapped in its column."""

    def drawn(width: int) -> Content:
        widest = min(_WIDEST, width // 3, max((cell_len(left) for left, _ in pairs), default=0))
        lines = [Content.styled(title, "bold $text-accent")] if title else []
        for left, right in pairs:
            first, *more = Content(right).wrap(width - widest - _GAP) or [Content("")]
            gap = widest + _GAP - cell_len(left)
            if gap < 1:  # it has a line of its own
                lines.append(Content.styled(left, "bold"))
                left, gap = "", widest + _GAP
            lines.append(Content.assemble((left, "bold"), " " * gap, first))
            lines += [Content.assemble(" " * (widest + _GAP), line) for line in more]
        return Content("\n").join(lines)

    return drawn
