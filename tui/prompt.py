"""Owns the prompt box: writing in it, its keys, and which kind of thing stands in it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from rich.text import Text
from textual import events
from textual.actions import SkipAction
from textual.binding import Binding
from textual.content import Content
from textual.document._document import Location, Selection
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult

from agent.safe import safe_line, safe_text
from tui.chips import LONGEST, Chips, Written
from tui.completion import Completion
from tui.queue import Queue
from tui.recall import Recall
from tui.words import Words

Kind = Literal["prompt", "command", "shell", "note"]
_NEW_LINE = frozenset({"shift+enter", "shift+\r", "alt+enter", "ctrl+j"})
_SEND = frozenset({"enter", "ctrl+enter", "ctrl+s"})
_SHOWN = 40  # characters of a command that runs
_LISTED = frozenset({"up", "down", "ctrl+p", "ctrl+n", "tab", "enter"})  # keys for the list above the box
_STEER = _SEND - {"enter"}


def kind_of(text: str) -> Kind:
    """Return what a text is. A blank before it, or a second slash, makes anything a prompt."""
    if text.startswith("/") and not text.startswith("//"):
        return "command"
    if text.startswith("!"):
        return "shell"
    if text.startswith("#") and "\n" not in text:
        return "note"
    return "prompt"


class Prompt(TextArea):
    """Enter sends, or queues while a turn runs; Ctrl+Enter and Ctrl+S steer."""

    COMPONENT_CLASSES = {"prompt--chip"}
    BINDINGS = [
        Binding("f6", "pass_on", show=False),  # a text area would select its line
        Binding("ctrl+underscore", "undo", show=False),  # Ctrl+Z puts jumar into the background
    ]

    @dataclass
    class Sent(Message):
        """The person said something."""

        written: Written
        steer: bool = False

    @dataclass
    class Commanded(Message):
        """The person gave a command."""

        name: str
        argument: str

    @dataclass
    class Shell(Message):
        """The person runs a command of their own."""

        command: str

    @dataclass
    class Noted(Message):
        """The person wants something kept in AGENTS.md."""

        text: str

    class Requeued(Message):
        """What waits is other than before, or goes on."""

    class Hurried(Message):
        """The person wants a request that waits to be tried again at once."""

    @dataclass
    class Entered(Message):
        """What stood in the box is to be sent."""

        typed: str
        steer: bool

    @dataclass
    class Took(Message):
        """A suggestion was taken."""

        kind: str
        text: str

    class Recalling(Message):
        """The person looks for what they said before, or no longer does."""

    class Editing(Message):
        """The person wants to write in their editor."""

    @dataclass
    class Pictured(Message):
        """Pictures came from the clipboard, or their paths."""

        text: str

    class Unqueued(Message):
        """The last prompt that waited came back into the box, or was dropped."""

    def __init__(
        self,
        words: Words,
        completion: Completion,
        chips: Chips,
        queue: Queue,
        recall: Recall,
        is_shown: Callable[[str], bool],
        catch_up: Callable[[], None],
    ) -> None:
        super().__init__(
            id="prompt",
            soft_wrap=True,
            show_line_numbers=False,
            placeholder=words("prompt.placeholder"),
            compact=True,
            highlight_cursor_line=False,
        )
        self._words = words
        self._completion = completion
        self._chips = chips
        self._queue = queue
        self._recall = recall
        self._is_shown = is_shown  # whether what was pasted is pictures
        self._catch_up = catch_up  # has the list be of what stands here now
        self._column = 0
        self.recalling = False  # what stands here is looked for in what was said before
        self._before_recall = ""
        self.looking_back = False  # what stands here was put here, and has not been changed since
        self._told: tuple[str, str, Kind] | None = None

    def put(self, text: str) -> None:
        """Put a text in place of all that stands in the box; undo brings that back. Nothing in it is completed."""
        self.looking_back = True
        self.replace(text, (0, 0), self.document.end)
        self.move_cursor(self.document.end)

    def tell(self, *, running: bool, command: str) -> None:
        """Show what Enter does now, and which kind of thing is being written."""
        words = self._words
        kind: Kind = "prompt" if self.recalling else kind_of(self.text)
        title = words("prompt.recall") if self.recalling else words(f"prompt.{kind}") if kind != "prompt" else ""
        if command:
            below = words("prompt.shell_runs", command=safe_line(command)[:_SHOWN])
        else:
            below = words("prompt.running") if running and kind == "prompt" and not self.recalling else ""
        if self._told != (told := (title, below, kind)):
            self._told = told
            self.border_title, self.border_subtitle = Content(title), Content(below)
            for one in get_args(Kind):
                self.set_class(one == kind, f"-{one}")

    # Keys.

    def action_pass_on(self) -> None:
        """Leave a key to the app."""
        raise SkipAction

    async def _on_key(self, event: events.Key) -> None:
        if event.key in _LISTED and not self.looking_back:
            self._catch_up()
        if event.key not in {"up", "down"}:
            self.looking_back = False
        if self._acted(event.key):
            event.prevent_default()
            event.stop()
        else:
            await super()._on_key(event)

    def _acted(self, key: str) -> bool:
        """Act on a key that is not only text; say whether it was one."""
        if self._completion.display and self._completed(key):
            return True
        if self.recalling and key in {"escape", *_SEND}:
            self._leave_recall()
            return True
        if self._led(key):
            return True
        if key in _NEW_LINE:
            self.insert("\n")
        elif key == "enter" and self._ends_in_backslash():
            row, column = self.cursor_location
            self.replace("\n", (row, column - 1), (row, column))
        elif key in _SEND:
            self._enter(steer=key in _STEER)
        elif key in {"up", "down"}:
            return self._went(key)
        elif key == "ctrl+x" and not self.text:
            self._unqueue()
        elif key == "ctrl+u":
            self.put("")
        elif key == "ctrl+underscore":
            self.undo()
        elif key == "ctrl+r":
            if not self.recalling:
                self.recalling, self._before_recall = True, self.text
            self.post_message(self.Recalling())
        elif key == "ctrl+g":
            self.post_message(self.Editing())
        else:
            return False
        return True

    def _led(self, key: str) -> bool:
        """Lead a key to what stands above; say whether it is for that."""
        if key == "tab" and (asking := self.screen.query_one("#asking")).display:
            asking.focus()
        elif key in {"pageup", "pagedown"} and not self.max_scroll_y:
            transcript = self.screen.query_one("#transcript")
            (transcript.scroll_page_up if key == "pageup" else transcript.scroll_page_down)(animate=False)
        else:
            return False
        return True

    def _completed(self, key: str) -> bool:
        completion = self._completion
        if key in {"up", "ctrl+p"}:
            completion.move(-1)
        elif key in {"down", "ctrl+n"}:
            completion.move(1)
        elif key in {"tab", "enter"}:
            if completion.wish is not None and completion.wish.kind == "command" and key == "enter" and self._is_whole():
                completion.hide()
                return False
            self.take(key)
        elif key == "escape":
            completion.dismiss()
            if self.recalling:
                self._leave_recall()
        else:
            return False
        return True

    def take(self, key: str) -> None:
        """Take the suggestion that is chosen; Enter sends what nothing can follow."""
        chosen, wished = self._completion.chosen, self._completion.wish
        self._completion.hide()
        if chosen is None or wished is None:
            return
        if wished.kind == "said":
            self.recalling = False
            self.put(chosen.text)
        else:
            row, column = self.cursor_location
            self.replace(chosen.text, (row, wished.column), (row, column))
        self.post_message(self.Took(wished.kind, chosen.text))
        if chosen.final and key == "enter":
            self._enter(steer=False)

    def _leave_recall(self) -> None:
        self.recalling = False
        self.put(self._before_recall)
        self.post_message(self.Recalling())

    def _enter(self, *, steer: bool) -> None:
        typed = self.text
        self.load_text("")
        self._recall.leave()
        self.post_message(self.Entered(typed, steer))

    def _unqueue(self) -> Written | None:
        taken = self._queue.take()
        self.post_message(self.Unqueued())
        return taken

    def _is_whole(self) -> bool:
        """Whether the command that is chosen is what stands in the box already."""
        chosen = self._completion.chosen
        return chosen is not None and chosen.text.strip() == self.text.strip()

    def _ends_in_backslash(self) -> bool:
        row, column = self.cursor_location
        return column > 0 and self.document.get_line(row)[column - 1] == "\\"

    def _went(self, key: str) -> bool:
        """Go to what was said before or after, at the first or last line of what stands here."""
        if key == "up":
            if not self.navigator.is_first_wrapped_line(self.cursor_location):
                return False
            if not self.text and self._queue and (taken := self._unqueue()) is not None:
                self.put(taken.typed)
                return True
            found = self._recall.earlier(self.text)
        else:
            if not self.navigator.is_last_wrapped_line(self.cursor_location):
                return False
            found = self._recall.later()
        if found is not None:
            self.put(found)
            if key == "up":
                self.move_cursor((0, len(self.document.get_line(0))))
        return found is not None

    # Chips are one letter, so to say.

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        if self._is_shown(event.text):
            self.post_message(self.Pictured(event.text))
        else:  # at once: what is typed next may be Enter
            self.paste(event.text)

    def paste(self, text: str) -> None:
        """Insert what was pasted, as a chip where it is long."""
        if len(text) > LONGEST:
            size, most = f"{len(text) / 1e6:.1f}", LONGEST // 1_000_000
            self.notify(self._words("prompt.too_long", size=size, most=most), severity="warning", markup=False)
            return
        shown = self._chips.fold(safe_text(text.replace("\r\n", "\n").replace("\r", "\n")))
        self.replace(shown, *self.selection)

    def edit(self, edit: Edit) -> EditResult:
        """Make a change; a chip that it would cut goes as a whole."""
        start, end = sorted((edit.from_location, edit.to_location))
        if start == end:
            start = end = self._outside(start, end=True)
        else:
            start, end = self._outside(start, end=False), self._outside(end, end=True)
        return super().edit(replace(edit, text=safe_text(edit.text), from_location=start, to_location=end))

    def _outside(self, location: Location, *, end: bool) -> Location:
        """Return the place itself, or the beginning or end of the chip that it is in."""
        row, column = location
        if row < self.document.line_count:
            for left, right in self._chips.spans(self.document.get_line(row)):
                if left < column < right:
                    return row, right if end else left
        return location

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """Step over chips."""
        start, cursor = event.selection
        outside = self._outside(cursor, end=cursor[1] > self._column)
        self._column = outside[1]
        if outside != cursor:
            self.selection = Selection(start if start != cursor else outside, outside)

    def get_line(self, line_index: int) -> Text:
        """Return a line, its chips marked."""
        line = super().get_line(line_index)
        for left, right in self._chips.spans(line.plain):
            line.stylize(self.get_component_rich_style("prompt--chip"), left, right)
        return line
