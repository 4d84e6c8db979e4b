"""Owns what lies around the prompt box: what waits, what can be completed, and how a prompt is made ready to be sent."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList, TextArea

from agent.errors import JumarError
from agent.pictures import MOST as MOST_PICTURES
from agent.pictures import given, picture
from agent.safe import safe_line, safe_text
from tui.chips import Chips, Written, is_there, is_written_out, mentioned_pictures, pasted_pictures
from tui.completion import MOST, Completion, Offer, Wish, commands, earlier, files, wish
from tui.desk import Desk
from tui.editor import edited
from tui.files import Files
from tui.prompt import Prompt, kind_of
from tui.queue import Queue, QueueList
from tui.recall import Recall
from tui.words import Words

_KEPT = 2.0  # seconds after which a draft is kept


class Composer(Vertical):
    """The prompt box with its list of suggestions and the prompts that wait."""

    def __init__(self, words: Words, desk: Desk, queue: Queue, offers: Iterable[Offer] = ()) -> None:
        super().__init__(id="composer")
        self._words = words
        self._desk = desk
        self._queue = queue
        self._offers = {offer.name: offer for offer in offers}
        kept = desk.recall()
        self._draft, self._waiting = kept.draft, kept.queued
        self._chips = Chips(words)
        self._recall = Recall(safe_text(text) for text in kept.said)
        self._files = Files(desk.root, desk.cwd)
        self._completion = Completion()
        self._list = QueueList(words)
        self._prompt = Prompt(words, self._completion, self._chips, queue, self._recall, self._is_shown, self._catch_up)
        self._busy, self._runs = False, ""

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield self._list
        yield self._completion
        yield self._prompt

    def on_mount(self) -> None:
        """Put back what was not sent when jumar was quit."""
        if self._waiting:
            for text in self._waiting:
                self._queue.add(Written(text, typed=safe_text(text)))
            self._queue.pause()
        self._prompt.put(safe_text(self._draft))
        self.set_interval(_KEPT, self._keep)
        self._show()

    def on_unmount(self) -> None:
        """Keep what is not sent."""
        self._files.close()
        self._keep()

    def _keep(self) -> None:
        draft, waiting = self._chips.opened(self._prompt.text), tuple(one.text for one in self._queue.waiting)
        if (draft, waiting) != (self._draft, self._waiting):
            self._draft, self._waiting = draft, waiting
            self._tried(lambda: self._desk.keep_draft(draft, waiting))

    def follow(self, *, running: bool, command: str = "") -> None:
        """Show how things stand now: whether a turn runs, and which command of the person's."""
        self._busy, self._runs = running, command
        self._show()

    def _show(self) -> None:
        self._list.follow(self._queue)
        self._prompt.tell(running=self._busy, command=self._runs)

    def give_back(self, written: Written) -> None:
        """Put a prompt that came to nothing back into the box, before what stands there."""
        after = self._prompt.text
        self._prompt.put(f"{written.typed}\n{after}" if after.strip() else written.typed)

    def _tell(self, text: str) -> None:
        self.notify(text, severity="warning", markup=False)

    def _tried(self, work: Callable[[], None]) -> None:
        try:
            work()
        except JumarError as error:
            self._tell(self._words.told(str(error)))

    # Completion.

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Look what can be completed now."""
        event.stop()
        self._show()
        self._look()

    def _wish(self) -> Wish | None:
        text = self._prompt.text
        if self._prompt.recalling:
            return Wish("said", 0, text)
        if self._prompt.looking_back or self._prompt.selection.start != self._prompt.selection.end:
            return None
        return wish(text.split("\n"), *self._prompt.cursor_location)

    def _look(self) -> None:
        wished = self._wish()
        match wished:
            case None:
                self._completion.hide()
            case Wish(kind="file"):
                self.run_worker(self._look_for_files(wished), group="completion", exclusive=True)
            case Wish(kind="command"):
                written = [Offer(one.name, one.about, one.argument) for one in self._desk.customs()]
                self._completion.offer(wished, commands([*self._offers.values(), *written], wished.sought))
            case Wish():
                self._completion.offer(wished, earlier(self._recall.found(wished.sought, MOST)))

    def _catch_up(self) -> None:
        """Have the list be of what stands in the box: a key for it may come before we have heard of those before it."""
        if self._wish() != self._completion.wish:
            self._look()
        if self._completion.display and self._wish() != self._completion.wish:
            self._completion.hide()

    async def _look_for_files(self, wished: Wish) -> None:
        if not self._desk.trusted():
            return
        stopped = threading.Event()
        try:
            index = await self._files.index()
            fits = await asyncio.to_thread(index.best, wished.sought, MOST, stopped.is_set)
        except asyncio.CancelledError:
            stopped.set()
            raise
        if self._wish() == wished:
            self._completion.offer(wished, files(fits, self._prompt.size.width - 4))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the suggestion that was clicked."""
        event.stop()
        self._prompt.take("tab")
        self._prompt.focus()

    def on_prompt_took(self, took: Prompt.Took) -> None:
        """Go on after a suggestion: a picture is shown to the model, what was said before is in the box."""
        self._completion.hide()
        if took.kind == "file" and (named := mentioned_pictures(took.text)):
            self.run_worker(self._show_mentioned(named))
        else:
            self._look()

    def on_prompt_recalling(self) -> None:
        """Look through what was said before, or leave off."""
        self._show()
        self._look()

    # What waits.

    def on_prompt_unqueued(self) -> None:
        """Show what still waits."""
        self._queue_changed()

    def on_queue_list_taken(self, taken: QueueList.Taken) -> None:
        """Take a prompt that waits back into the box."""
        if (written := self._queue.take(taken.at)) is not None:
            self.give_back(written)
        self._queue_changed()
        self._prompt.focus()

    def on_queue_list_dropped(self, dropped: QueueList.Dropped) -> None:
        """Drop a prompt that waits."""
        self._queue.take(dropped.at)
        self._queue_changed()
        if not self._queue:
            self._prompt.focus()

    def on_queue_list_left(self) -> None:
        """Go back to the box."""
        self._prompt.focus()

    def _queue_changed(self) -> None:
        if not self._queue:
            self._queue.go_on()
        self._show()
        self.post_message(Prompt.Requeued())

    # Pictures and pastes.

    def _is_shown(self, text: str) -> bool:
        return is_written_out(text) or bool(pasted_pictures(text, self._desk.cwd, self._desk.environment))

    def on_prompt_pictured(self, pasted: Prompt.Pictured) -> None:
        """Make chips of pictures."""
        if is_written_out(pasted.text):
            self.run_worker(self._show_given(pasted.text))
        else:
            self.run_worker(self._show_pasted(pasted_pictures(pasted.text, self._desk.cwd, self._desk.environment)))

    async def _show_given(self, text: str) -> None:
        try:
            found = (await asyncio.to_thread(picture, given(text), shown=True)).image
        except JumarError as error:
            self._tell(self._words("prompt.no_picture", why=self._words.told(str(error))))
            return
        if found is not None and self._has_room():
            self._prompt.insert(f"{self._chips.picture(found, self._words('prompt.clipboard'))} ")

    async def _show_pasted(self, paths: list[Path]) -> None:
        for path in paths:
            if (marker := await self._picture(path)) is not None:
                self._prompt.insert(f"{marker} ")

    async def _show_mentioned(self, named: list[tuple[str, str]]) -> None:
        for words, path in named:
            if (marker := await self._picture(self._desk.cwd / path)) is not None:
                self._replace(words, marker)

    def _replace(self, words: str, marker: str) -> None:
        for row, line in enumerate(self._prompt.text.split("\n")):
            if (at := line.find(words)) >= 0:
                self._prompt.replace(marker, (row, at), (row, at + len(words)))
                return

    async def _picture(self, path: Path) -> str | None:
        """Return the chip of a picture; None where it cannot be shown, which is told."""
        if not self._has_room():
            return None
        try:
            image = await self._desk.picture(path)
        except JumarError as error:
            self._tell(self._words.told(str(error)))
            return None
        return self._chips.picture(image, path.name)

    def _has_room(self) -> bool:
        if self._chips.pictures_in(self._prompt.text) < MOST_PICTURES:
            return True
        self._tell(self._words("prompt.many_pictures", most=MOST_PICTURES))
        return False

    # Sending.

    def on_prompt_editing(self) -> None:
        """Write on in the person's editor, where long pastes are open."""
        self.run_worker(self._edit(), exclusive=True, group="editor")

    async def _edit(self) -> None:
        opened = self._chips.opened(self._prompt.text)
        try:
            text = await edited(self.app, self._words, opened, self._desk.environment, self._desk.cwd)
        except JumarError as error:
            self._tell(self._words.told(str(error)))
            return
        if text != opened:
            self._prompt.put(self._chips.closed(text))

    def on_prompt_entered(self, entered: Prompt.Entered) -> None:
        """Send what stood in the box as the kind of thing that it is."""
        entered.stop()
        self._completion.hide()
        typed = entered.typed
        if not typed.strip():
            if self._queue.paused:
                self._queue.go_on()
                self._queue_changed()
            else:
                self.post_message(Prompt.Hurried())
            return
        match kind_of(typed):
            case "command":
                self._command(typed, entered.steer)
            case "shell":
                if command := self._chips.opened(typed[1:]).strip():
                    self._remember(typed)
                    self.post_message(Prompt.Shell(command))
            case "note":
                if text := typed[1:].strip():
                    self._remember(typed)
                    self.post_message(Prompt.Noted(text))
            case "prompt" if mentioned_pictures(typed):
                self.run_worker(self._send_with_pictures(typed, entered.steer))
            case "prompt":
                self._send(typed, entered.steer)

    def _command(self, typed: str, steer: bool) -> None:
        opened = self._chips.opened(typed)
        name, _, argument = opened[1:].partition(" ")
        if name.strip() in self._offers:
            self._remember(typed)
            self.post_message(Prompt.Commanded(name.strip(), argument.strip()))
        elif opened[1:].split(None, 1)[:1] in [[one.name] for one in self._desk.customs()]:
            self._call(typed, steer)
        else:
            self._tell(self._words("prompt.no_command", name=safe_line(name.split("\n", 1)[0][:60])))
            self._prompt.put(typed)

    def _call(self, typed: str, steer: bool) -> None:
        """Say what a command of the person's or the project's says."""
        written = self._chips.written(typed)
        try:
            text = self._desk.said(written.text)
        except JumarError as error:
            self._tell(self._words.told(str(error)))
            self._prompt.put(typed)
            return
        self._remember(typed)
        self.post_message(Prompt.Sent(replace(written, text=text), steer))

    async def _send_with_pictures(self, typed: str, steer: bool) -> None:
        for words, path in mentioned_pictures(typed):
            if is_there(self._desk.cwd / path):
                marker = await self._picture(self._desk.cwd / path)
                if marker is None:
                    self.give_back(Written(typed, typed=typed))
                    return
                typed = typed.replace(words, marker, 1)
        self._send(typed, steer)

    def _send(self, typed: str, steer: bool) -> None:
        self._remember(typed)
        text = typed.strip()
        self.post_message(Prompt.Sent(self._chips.written(text[1:] if typed.startswith("//") else text), steer))

    def _remember(self, typed: str) -> None:
        text = self._chips.opened(typed)
        self._recall.add(text)
        self._tried(lambda: self._desk.remember(text))
