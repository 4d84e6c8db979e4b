"""Owns the plan panel: the model's checklist."""

from textual.content import Content
from textual.widgets import Static

from tui.draw import draw
from tui.story import Story
from tui.words import Words


class PlanPanel(Static):
    """Shows the plan; hidden while there is none."""

    def __init__(self, words: Words) -> None:
        super().__init__("", id="plan", markup=False)
        self.border_title = words("plan.title")
        self.display = False

    def follow(self, story: Story) -> None:
        """Show the plan as it is now."""
        self.display = story.plan is not None
        self.update(draw(story.plan) if story.plan is not None else Content(""))
