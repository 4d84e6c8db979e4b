"""Owns looking at pictures closely: each as large as the window, by the terminal's own means where these are certain."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.content import Content
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.widgets import Static

from agent.blocks import Image
from tui.hints import Hints
from tui.pictures import Gallery
from tui.words import Words

_PIECE = 4096  # characters of a picture that a terminal takes at once
_NUMBER = 7_077  # under which the terminal knows the picture
_KITTY = frozenset({"xterm-kitty", "xterm-ghostty"})
_KITTY_PROGRAMS = frozenset({"ghostty", "WezTerm"})


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the terminal can show, and how it is written to past the screen."""

    write: Callable[[str], None]
    coloured: bool
    kitty: bool  # it draws pictures by kitty's protocol


class Viewing(ModalScreen[None]):
    """Shows pictures, one at a time."""

    BINDINGS = [
        Binding("escape,q,enter,v", "leave", show=False),
        Binding("left,up,k,pageup", "turn(-1)", show=False),
        Binding("right,down,j,pagedown,space", "turn(1)", show=False),
    ]

    def __init__(self, words: Words, images: Sequence[Image], terminal: Terminal) -> None:
        super().__init__(classes="over")
        self._words = words
        self._images = images
        self._at = 0
        self._terminal = terminal
        self._gallery = Gallery(lambda _: self._paint())
        self._placed = False  # the terminal shows one of its own

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="over"):
            with Container(id="viewing-body"):
                yield Static("", id="viewing", markup=False)
            yield Hints(id="over-keys")

    def on_mount(self) -> None:
        """Show the first."""
        self.call_after_refresh(self._paint)

    def on_resize(self) -> None:
        """Fit the new size."""
        self._take_away()
        self.call_after_refresh(self._paint)

    def on_unmount(self) -> None:
        """Leave nothing behind."""
        self._gallery.close()
        self._take_away()

    def _paint(self) -> None:
        if not self.is_attached:
            return
        words, image = self._words, self._images[self._at]
        keys = [words("viewing.keys")] if len(self._images) > 1 else []
        keys.append(words("viewing.keys_leave"))
        self.query_one("#over-keys", Static).update(Content.styled(" · ".join(keys), "$text-muted"))
        title = words("prompt.picture", number=self._at + 1)
        self.query_one("#over").border_title = Content(f"{title} / {len(self._images)}" if len(self._images) > 1 else title)
        room = self.query_one("#viewing-body").content_region
        shown, drawn = self.query_one("#viewing", Static), self._gallery.drawn(image, (room.width, room.height), "")
        if not self._terminal.coloured:
            shown.update(Content.styled(words("viewing.colourless"), "$text-muted"))
        elif drawn is None:
            shown.update(Content.styled(words("viewing.drawn"), "$text-muted"))
        else:
            shown.update(drawn)
            if self._terminal.kitty and image.media_type == "image/png":
                self.call_after_refresh(self._place, image, shown)

    def _place(self, image: Image, shown: Static) -> None:
        """Have the terminal draw it over what we drew."""
        if self.is_current:
            self._take_away()
            self._terminal.write(placed(image.content, shown.region))
            self._placed = True

    def _take_away(self) -> None:
        if self._placed:
            self._terminal.write(TAKEN_AWAY)
            self._placed = False

    def action_turn(self, step: int) -> None:
        """Go to another."""
        if len(self._images) > 1:
            self._at = (self._at + step) % len(self._images)
            self._take_away()
            self._paint()

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss()


TAKEN_AWAY = f"\x1b_Ga=d,d=I,i={_NUMBER},q=2\x1b\\"


def knows_kitty(environment: Mapping[str, str]) -> bool:
    """Whether the terminal draws pictures by kitty's protocol for certain; what passes it on, as tmux does, may not."""
    if environment.get("TMUX") or environment.get("STY") or environment.get("ZELLIJ"):
        return False
    return environment.get("TERM", "") in _KITTY or environment.get("TERM_PROGRAM", "") in _KITTY_PROGRAMS


def placed(content: str, region: Region) -> str:
    """Return what has such a terminal draw a PNG picture over a region. Raises ValueError where it is no base64."""
    base64.b64decode(content, validate=True)  # nothing else is to come to the terminal
    pieces = [content[start : start + _PIECE] for start in range(0, len(content), _PIECE)]
    told = [f"\x1b7\x1b[{region.y + 1};{region.x + 1}H"]
    for number, piece in enumerate(pieces):
        more = int(number + 1 < len(pieces))
        head = f"a=T,f=100,t=d,i={_NUMBER},c={region.width},r={region.height},C=1,q=2," if number == 0 else ""
        told.append(f"\x1b_G{head}m={more};{piece}\x1b\\")
    return "".join([*told, "\x1b8"])
