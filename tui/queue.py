"""Owns prompts that wait for the running turn's end: their order, and the list above the prompt box."""

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from agent.safe import safe_line
from tui.chips import Written
from tui.words import Words


class Queue:
    """Prompts in the order in which they will be sent. While it is paused none is given out."""

    def __init__(self) -> None:
        self._waiting: list[Written] = []
        self.paused = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> tuple[Written, ...]:
        """Return all of them, the next first."""
        return tuple(self._waiting)

    def add(self, written: Written) -> None:
        """Put one at the end."""
        self._waiting.append(written)

    def next(self) -> Written | None:
        """Take out the one that is to be sent now."""
        return self._waiting.pop(0) if self._waiting and not self.paused else None

    def take(self, at: int = -1) -> Written | None:
        """Take one out, else the last, to edit or to drop it."""
        return self._waiting.pop(at) if -len(self._waiting) <= at < len(self._waiting) else None

    def pause(self) -> None:
        """Give none out until the person goes on; does nothing where none waits."""
        self.paused = bool(self._waiting)

    def go_on(self) -> None:
        """Give them out again."""
        self.paused = False


class QueueList(OptionList):
    """Shows what waits; Enter takes one back into the box, Delete drops it, Escape goes back to the box."""

    BINDINGS = [("delete,ctrl+x,backspace", "drop", ""), ("escape", "leave", "")]

    @dataclass
    class Taken(Message):
        """The person wants one back in the box."""

        at: int

    @dataclass
    class Dropped(Message):
        """The person wants one not to be sent."""

        at: int

    @dataclass
    class Left(Message):
        """The person goes back to the box."""

    def __init__(self, words: Words) -> None:
        super().__init__(id="queue", markup=False, compact=True)
        self._words = words
        self._shown: tuple[tuple[Written, ...], bool] = ((), False)
        self.display = False

    def follow(self, queue: Queue) -> None:
        """Show what waits now."""
        shown = (queue.waiting, queue.paused)
        if shown == self._shown:
            return
        self._shown = shown
        self.display = bool(queue)
        at = self.highlighted
        mark = "‖" if queue.paused else "›"
        self.set_options([Option(Content.assemble((f"{mark} ", "bold"), safe_line(one.typed))) for one in queue.waiting])
        self.highlighted = min(at, len(queue) - 1) if at is not None and queue else None
        words = self._words
        self.border_title = words("queue.paused" if queue.paused else "queue.title", count=len(queue))
        self.border_subtitle = words("queue.keys_paused" if queue.paused else "queue.keys")

    def on_focus(self) -> None:
        """Begin at the last."""
        if self.highlighted is None and self.option_count:
            self.highlighted = self.option_count - 1

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take one back."""
        event.stop()
        self.post_message(self.Taken(event.option_index))

    def action_drop(self) -> None:
        """Drop the highlighted one."""
        if self.highlighted is not None:
            self.post_message(self.Dropped(self.highlighted))

    def action_leave(self) -> None:
        """Go back to the box."""
        self.post_message(self.Left())
