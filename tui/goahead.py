"""Owns what is offered in place once a turn that only planned ended with a plan: work by it, change it, go on talking."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from agent.blocks import PlanBlock
from tui.asking import DEAF
from tui.draw import draw
from tui.hints import broken
from tui.story import Story
from tui.words import Words

if TYPE_CHECKING:
    from agent.policy import Mode

_MODES = ("ask", "edits", "auto")


class GoAhead(Static, can_focus=True):
    """Hidden while there is nothing to approve. Its first half second takes no key: that was meant for something else."""

    BINDINGS = [
        Binding("left,h", "choose(-1)", show=False),
        Binding("right,l", "choose(1)", show=False),
        Binding("enter", "approve", show=False),
        Binding("e", "edit", show=False),
        Binding("escape", "talk", show=False),
    ]

    @dataclass
    class Approved(Message):
        """The person wants the plan carried out, in this mode."""

        mode: "Mode"

    @dataclass
    class Edited(Message):
        """The person wants to change the plan first."""

    def __init__(self, words: Words) -> None:
        super().__init__("", id="goahead", markup=False)
        self._words = words
        self._talked = 0  # the turn after which the person went on talking
        self._turn = 0
        self._plan: PlanBlock | None = None  # where it cannot be seen beside the conversation
        self._at = 0
        self._since = 0.0
        self.display = False

    def follow(self, story: Story) -> None:
        """Offer it where there is something to offer."""
        offered = story.planned and story.turn != self._talked
        plan = None if self.screen.query_one("#side").display else story.checklist.plan
        if offered == self.display:
            if offered and plan != self._plan:
                self._plan = plan
                self._paint()
            return
        self._plan = plan
        focused = self.has_focus
        self.display = offered
        if not offered:
            if focused:
                self.screen.query_one("#prompt").focus()
            return
        self._turn, self._since = story.turn, time.monotonic()
        confined = story.started is not None and story.started.sandbox != "none"
        wanted = story.mode_before or ("auto" if confined else "ask")
        self._at = next((at for at, mode in enumerate(_MODES) if mode == wanted), 0)
        self._paint()
        prompt = self.screen.query_one("#prompt")
        if prompt.has_focus and not getattr(prompt, "text", ""):
            self.focus()

    def on_mount(self) -> None:
        """Begin to be seen once nothing lies over it any more."""
        self.app.screen_change_signal.subscribe(self, lambda _: self._come_to_sight())

    def _come_to_sight(self) -> None:
        if self.screen is self.app.screen:
            self._since = time.monotonic()

    def on_resize(self) -> None:
        """Fit the new width."""
        self._paint()

    def _paint(self) -> None:
        words = self._words
        modes = Content("   ").join(
            Content.styled(
                f"{'▸' if at == self._at else ' '} {words.mode(mode)}", "bold $text-accent" if at == self._at else "$text-muted"
            )
            for at, mode in enumerate(_MODES)
        )
        self.update(
            Content("\n").join(
                [
                    Content.styled(words("goahead.title"), "bold"),
                    *([draw(self._plan, words)] if self._plan is not None else []),
                    Content.assemble(f"{words('goahead.mode')} ", modes),
                    Content.styled(words(f"mode.{_MODES[self._at]}"), "$text-muted"),
                    broken(Content.styled(words("goahead.keys"), "$text-muted"), self.content_size.width),
                ]
            )
        )

    @property
    def is_deaf(self) -> bool:
        """Whether keys are passed over still: they were meant for something else."""
        return time.monotonic() - self._since < DEAF

    def action_choose(self, step: int) -> None:
        """Choose how much may run without asking."""
        self._at = min(max(self._at + step, 0), len(_MODES) - 1)
        self._paint()

    def action_approve(self) -> None:
        """Have the plan carried out."""
        if not self.is_deaf:
            from agent.policy import Mode  # loaded with the session, not before the first frame

            self.post_message(self.Approved(Mode(_MODES[self._at])))

    def action_edit(self) -> None:
        """Change the plan first."""
        if not self.is_deaf:
            self.post_message(self.Edited())

    def action_talk(self) -> None:
        """Go on talking."""
        self._talked, self.display = self._turn, False
        self.screen.query_one("#prompt").focus()
