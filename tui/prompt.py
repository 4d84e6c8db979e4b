"""Owns the prompt: where the person writes, several lines if they want."""

from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from agent.blocks import Image
from tui.words import Words

_NEW_LINE = frozenset({"shift+enter", "shift+\r", "alt+enter", "ctrl+j"})


class Prompt(TextArea):
    """Enter sends, or queues while a turn runs; Ctrl+Enter steers."""

    @dataclass
    class Sent(Message):
        """The person said something."""

        text: str
        images: tuple[Image, ...] = ()
        steer: bool = False

    def __init__(self, words: Words) -> None:
        super().__init__(
            id="prompt", soft_wrap=True, show_line_numbers=False, placeholder=words("prompt.placeholder"), compact=True
        )

    async def _on_key(self, event: events.Key) -> None:
        if event.key in _NEW_LINE:
            event.prevent_default()
            event.stop()
            self.insert("\n")
        elif event.key in {"enter", "ctrl+enter"}:
            event.prevent_default()
            event.stop()
            if text := self.text.strip():
                self.post_message(self.Sent(text, steer=event.key == "ctrl+enter"))
                self.clear()
        else:
            await super()._on_key(event)
