"""Owns the screen of sessions: to search them, go on with one, fork it, give it another title, or delete it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from textual import events
from textual.binding import Binding

from agent.errors import JumarError
from agent.safe import safe_line
from tui.choosing import Listing, Row
from tui.desk import Choice, Desk
from tui.words import Words

if TYPE_CHECKING:
    from agent.log import Summary

Doing = Literal["looking", "renaming", "deleting"]


class Sessions(Listing[Choice]):
    """Answers with the session to open. A session is deleted only after a second key."""

    BINDINGS = [
        Binding("ctrl+f", "fork", priority=True, show=False),
        Binding("ctrl+r", "rename", priority=True, show=False),
        Binding("ctrl+d", "delete", priority=True, show=False),
    ]

    def __init__(self, words: Words, desk: Desk, current: str) -> None:
        super().__init__(words, words("sessions.title"), words("sessions.keys"))
        self._desk = desk
        self._current = current
        self._doing: Doing = "looking"
        self._sought = ""
        self._about: Row | None = None  # what is being renamed or deleted

    def begin(self) -> None:
        """Read what there is."""
        self.tell(self._words("choosing.looking"))
        self._again(self._keys)

    def _again(self, told: str) -> None:
        self.run_worker(self._look(told), exclusive=True)

    async def _look(self, told: str) -> None:
        summaries = await asyncio.to_thread(self._desk.sessions)
        self.offer([_row(one, self._words, current=one.id == self._current) for one in summaries])
        self.tell(told)

    @property
    def sought(self) -> str:
        """What the list is narrowed to, also while the line holds a title."""
        return self._sought if self._doing == "renaming" else self.line.value

    def take(self, row: Row) -> None:
        """Go on with a session, or keep the title that stands in the line."""
        if self._doing == "looking":
            self.dismiss(None if row.key == self._current else Choice(resume=row.key))

    def submit(self) -> None:
        """Take what stands in the line."""
        if self._doing != "renaming":
            super().submit()
            return
        title = " ".join(self.line.value.split())
        if title:
            self._tried("sessions.renamed", lambda row: self._desk.rename(row.key, title))
        else:
            self._stop()

    def on_key(self, event: events.Key) -> None:
        """Take the second key of a deletion."""
        if self._doing == "deleting":
            event.prevent_default()
            event.stop()
            if event.key == "y":
                self._tried("sessions.deleted", lambda row: self._desk.delete(row.key))
            else:
                self._stop()

    def action_fork(self) -> None:
        """Go on from a copy."""
        if self._doing == "looking" and (row := self.chosen) is not None:
            self.dismiss(Choice(resume=row.key, fork=True))

    def action_rename(self) -> None:
        """Write another title."""
        if self._doing == "looking" and (row := self.chosen) is not None:
            self._sought, self._doing, self._about = self.line.value, "renaming", row
            self.line.value = safe_line(row.name)
            self.line.cursor_position = len(self.line.value)
            self.tell(self._words("sessions.keys_renaming"), "$text-warning")

    def action_delete(self) -> None:
        """Ask whether to delete it."""
        if self._doing == "looking" and (row := self.chosen) is not None:
            if row.key == self._current:
                self.tell(self._words("sessions.is_open"), "$text-warning")
                return
            self._doing, self._about = "deleting", row
            self.set_focus(None)  # the next key is the answer, and no letter of the line
            self.tell(self._words("sessions.delete", title=row.name), "$text-warning")

    def action_leave(self) -> None:
        """Leave off what is being done, else the screen."""
        if self._doing == "looking":
            self.dismiss(None)
        else:
            self._stop()

    def _tried(self, done: str, work: Callable[[Row], None]) -> None:
        row = self._about
        told = self._words(done)
        if row is not None:
            try:
                work(row)
            except JumarError as error:
                told = str(error)
        self._stop()
        self._again(told)

    def _stop(self) -> None:
        if self._doing == "renaming":
            self.line.value = self._sought
        self._doing, self._about = "looking", None
        self.line.focus()
        self.tell(self._keys)


def _row(one: "Summary", words: Words, *, current: bool) -> Row:
    when = one.started[:16].replace("T", " ")
    parts = [
        when,
        words.counted("sessions.turns", one.turns, count=one.turns),
        one.model,
        words("sessions.open") if current else one.status,
    ]
    return Row(one.id, one.title or words("sessions.untitled"), " · ".join(part for part in parts if part), current=current)
