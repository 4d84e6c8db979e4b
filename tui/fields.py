"""Owns what a person writes in: nothing in it acts or hides, so that what is seen is what is taken."""

from dataclasses import replace

from textual.app import App
from textual.widgets import Input, TextArea
from textual.widgets.text_area import Edit, EditResult

from agent.safe import safe_line, safe_text


class Line(Input):
    """One line."""

    def on_focus(self) -> None:
        """Blink only where things may move."""
        self.cursor_blink = _moves(self.app)

    def validate_value(self, value: str) -> str:
        """Return it with everything visible, wherever it comes from."""
        return safe_line(value)


class Area(TextArea):
    """Several lines."""

    def on_focus(self) -> None:
        """Blink only where things may move."""
        self.cursor_blink = _moves(self.app)

    def load_text(self, text: str) -> None:
        """Put a text in place of all that stands here."""
        super().load_text(safe_text(text))

    def edit(self, edit: Edit) -> EditResult:
        """Make a change, be it typed or pasted."""
        return super().edit(replace(edit, text=safe_text(edit.text)))


def _moves(app: App[object]) -> bool:
    return app.animation_level != "none"
