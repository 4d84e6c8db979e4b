"""Owns the status line: what the session runs with, and what it has used."""

from textual.content import Content
from textual.widgets import Static

from agent.safe import safe_line
from tui.story import Story
from tui.words import Words


class StatusLine(Static):
    """One line at the bottom. It is repainted without a new layout."""

    def __init__(self, words: Words) -> None:
        super().__init__(words("app.opening"), id="status", markup=False)
        self._words = words

    def tell(self, story: Story, window: int, branch: str, queued: int) -> None:
        """Show how things stand."""
        words = self._words
        parts = [story.mode, story.model]
        if story.started is not None and story.started.sandbox != "none":
            parts.append(story.started.sandbox)
        if window and story.context:
            parts.append(words("status.context", percent=min(100, story.context * 100 // window)))
        if story.usage.prompt:
            parts.append(words("status.cache", percent=story.usage.cached * 100 // story.usage.prompt))
            parts.append(words("status.cost_unknown") if story.cost is None else f"${story.cost:.4f}")
        if branch:
            parts.append(branch)
        if queued:
            parts.append(words("status.queued", count=queued))
        self.update(Content(safe_line(" · ".join(part for part in parts if part))), layout=False)
