"""Owns saying that the window is too small: nothing can be pressed there that cannot be seen."""

from textual.app import App, ComposeResult
from textual.containers import Center, Middle
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.words import Words

_LEAST = Size(40, 10)


class Small(ModalScreen[None]):
    """Lies over everything until there is room again."""

    def __init__(self, words: Words) -> None:
        super().__init__(classes="small")
        self._words = words

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Middle(), Center():
            yield Static("", id="small", markup=False)

    def on_mount(self) -> None:
        """Say it."""
        self._follow()

    def on_screen_resume(self) -> None:
        """Go, where there was room again meanwhile."""
        self._follow()

    def on_resize(self) -> None:
        """Say it anew, or go."""
        self._follow()

    def _follow(self) -> None:
        size = self.app.size
        if fits(size):
            if self.is_current and self.is_attached:
                self.dismiss()
            return
        told = self._words("app.small", now=f"{size.width}×{size.height}", least=f"{_LEAST.width}×{_LEAST.height}")
        self.query_one("#small", Static).update(Content.styled(told, "$text-warning"))


def fits(size: Size) -> bool:
    """Whether all that matters can be seen."""
    return size.width >= _LEAST.width and size.height >= _LEAST.height


def guard(app: App[int], words: Words, size: Size) -> None:
    """Lay it over everything where the window is too small."""
    if not fits(size) and not any(isinstance(screen, Small) for screen in app.screen_stack):
        app.push_screen(Small(words))
