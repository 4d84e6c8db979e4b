"""Owns the timeline: every action with its state, what is known of it, and a line to search in."""

from typing import TYPE_CHECKING, Self

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from agent.errors import JumarError
from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.conversation import TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.news import Informed
from agent.safe import safe_line
from tui.acts import Act, Acts
from tui.entries import Answered, News, Thought
from tui.fields import Line
from tui.hints import broken
from tui.rows import Rows, cut
from tui.story import Story
from tui.words import Words

if TYPE_CHECKING:
    from agent.session import Session

_MOST_FILES = 3  # that are named below the list


class Timeline(Vertical):
    """The panel: the list, what is known of the action that keys are for, and a line to search in."""

    def __init__(self, words: Words) -> None:
        super().__init__(id="timeline")
        self.border_title = Content(words("timeline.title"))
        self._words = words
        self._session: Session | None = None
        self._stale = False  # the ledger may hold more
        self._turned = False  # something was taken back, or brought back
        self._new = False  # events changed what is listed
        self.acts = Acts()

    def compose(self) -> ComposeResult:
        """Lay it out."""
        line = Line(id="timeline-find", placeholder=self._words("timeline.find"), compact=True)
        line.display = False
        yield line
        yield Rows(self._words)
        yield Static("", id="timeline-about", markup=False)

    @property
    def rows(self) -> Rows:
        """The list."""
        return self.query_one(Rows)

    def focus(self, scroll_visible: bool = True) -> Self:
        """Have keys go to the list."""
        self.rows.focus(scroll_visible)
        return self

    # What happens.

    def restart(self, story: Story, session: "Session") -> None:
        """Show another session from its beginning."""
        self._session, self.acts = session, Acts(session.id)
        self.acts.take(story.entries)
        self._turned = True
        self.rows.restart(self.acts)
        self.settle()

    def only(self, items: frozenset[str], text: str = "") -> None:
        """Show only what was done for a step of the plan; for none, all."""
        self.acts.only(items)
        self.border_subtitle = Content(cut(safe_line(text), max(0, self.size.width - 6)))
        self.rows.restart(self.acts)

    def follow(self, news: News, event: Event) -> None:
        """Take in what an event changed."""
        if not news.gone and all(isinstance(entry, Answered | Thought) for entry in news.changed) and news.changed:
            return  # words that stream are no concern of the list
        self._new = True
        self.acts.take(news.changed)
        match event:
            case ActionsUndone():
                self._turned = True
            case ActionRecorded() | TurnStarted() | TurnFinished() | Informed(kind="outside" | "away"):
                self._stale = True
            case _:
                pass

    def settle(self) -> None:
        """Show what was taken in."""
        if not (self._new or self._turned or self._stale):
            return
        self._new = False
        if self._session is not None and (self._turned or self._stale):
            whole = self._turned or not self.acts.seal
            self._turned = self._stale = False
            try:
                self.acts.record(self._session.hands.actions("" if whole else self.acts.seal), whole=whole)
            except JumarError as error:
                self.border_subtitle = Content(safe_line(self._words.told(str(error))))
        self.rows.settle()
        self._tell()

    def _tell(self) -> None:
        """Say below the list what is known of what keys are for."""
        about = self.query_one("#timeline-about", Static)
        row = self.rows.current
        about.display = self.rows.has_focus and self.size.height > 12
        if about.display:
            width = self.size.width - 2
            lines = self._about(row) if isinstance(row, Act) else []
            keys = self._words("timeline.keys" if isinstance(row, Act) else "timeline.keys_turn")
            told = [*(Content(cut(line, width)) for line in lines), broken(Content.styled(keys, "$text-muted"), width)]
            about.update(Content("\n").join(told))

    def _about(self, act: Act) -> list[str]:
        words = self._words
        paths = [safe_line(path) for path in act.paths]
        more = [words("timeline.more", count=len(paths) - _MOST_FILES)] if len(paths) > _MOST_FILES else []
        lines = [" · ".join([words(f"timeline.{act.state}"), *([words("timeline.foreign")] if act.foreign else [])])]
        lines += [", ".join([*paths[:_MOST_FILES], *more])] if paths else []
        if act.undoable:
            unheld = [words("timeline.partly", count=len(act.unheld))] if act.unheld else []
            return [*lines, " · ".join([words("timeline.undoable"), *unheld])]
        if act.state in {"undone", "asked", "running"}:
            return lines
        why = next((f"{safe_line(path)}: {safe_line(words.told(why))}" for path, why in act.unheld.items()), "")
        if act.listed is not None and not act.listed.kept:
            why = words("timeline.pruned")
        return [*lines, words("timeline.not_undoable", why=why) if why else words("timeline.nothing")]

    def on_resize(self) -> None:
        """Say it where there is room for it now: a sheet has none before it is open."""
        self._tell()

    # What the person does.

    def on_rows_moved(self) -> None:
        """Say what is known of the next one."""
        self._tell()

    def on_descendant_focus(self) -> None:
        """Say what is known of it, and which keys there are."""
        self._tell()

    def on_descendant_blur(self) -> None:
        """Leave the list alone."""
        self.query_one("#timeline-about").display = False

    def on_rows_sought(self) -> None:
        """Let the person write what they look for."""
        line = self.query_one("#timeline-find", Input)
        line.display = True
        line.focus()

    def on_input_changed(self, changed: Input.Changed) -> None:
        """Show what fits."""
        changed.stop()
        self.acts.seek(changed.value.strip())
        self.rows.restart(self.acts)

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Go on in the list."""
        submitted.stop()
        submitted.input.display = bool(submitted.value.strip())
        self.rows.focus()

    def on_key(self, event: events.Key) -> None:
        """Leave the search with Escape."""
        line = self.query_one("#timeline-find", Input)
        if event.key == "escape" and (line.has_focus or self.acts.sought or self.acts.items):
            event.stop()
            self.only(frozenset())
            line.value = ""
            line.display = False
            self.acts.seek("")
            self.rows.restart(self.acts)
            self.rows.focus()
        elif event.key == "down" and line.has_focus:
            event.stop()
            self.rows.focus()
