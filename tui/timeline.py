"""Owns the timeline: every action with its state, and taking any of them back."""

from dataclasses import dataclass

from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from agent.safe import safe_line
from tui.story import Called, Story
from tui.words import Words


class Timeline(OptionList):
    """Lists the actions of the session; u undoes the highlighted one, U goes back to before it, R redoes."""

    BINDINGS = [("u", "undo", "undo"), ("U", "rewind", "rewind"), ("R", "redo", "redo")]

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

    def __init__(self, words: Words) -> None:
        super().__init__(id="timeline", markup=False)
        self.border_title = words("timeline.title")

    def follow(self, story: Story) -> None:
        """List what is there now."""
        at = self.highlighted
        self.clear_options()
        for entry in story.entries:
            if isinstance(entry, Called) and entry.action:
                mark = "↶" if entry.undone else "✓"
                self.add_option(Option(f"{mark} {entry.action} {entry.tool} {safe_line(entry.subject)}", id=entry.action))
        if self.option_count:
            self.highlighted = min(at if at is not None else self.option_count - 1, self.option_count - 1)

    def _chosen(self) -> str:
        return self.get_option_at_index(self.highlighted).id or "" if self.highlighted is not None else ""

    def action_undo(self) -> None:
        """Take the highlighted action back."""
        if action := self._chosen():
            self.post_message(self.Undo((action,)))

    def action_rewind(self) -> None:
        """Go back to before it."""
        if action := self._chosen():
            self.post_message(self.Rewind(action))

    def action_redo(self) -> None:
        """Bring back what was taken back last."""
        self.post_message(self.Redo())
