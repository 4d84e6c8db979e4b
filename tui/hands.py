"""Owns what every command does: to tell, to let choose, to open a session."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual.app import App

from agent.errors import JumarError
from agent.safe import safe_line
from tui.choosing import Choosing, Row, fixed
from tui.desk import Choice
from tui.stage import Stage

if TYPE_CHECKING:
    from agent.session import Session


class Hands:
    """What commands have in common."""

    def __init__(self, stage: Stage, app: App[int]) -> None:
        self._stage = stage
        self._app = app
        self._models: tuple[str, ...] = ()  # that the person chose for this and the sessions after it
        self._effort = ""

    def _tell(self, text: str) -> None:
        self._app.notify(safe_line(text), severity="warning", markup=False)

    def _usage(self, name: str) -> None:
        """Say how a command is written."""
        raise NotImplementedError

    @property
    def _session(self) -> "Session":
        session = self._stage.session
        assert session is not None  # noqa: S101 - `run` has looked
        return session

    def _open(self, **chosen: Any) -> None:
        if self._stage.turns.busy:
            self._tell(self._stage.words("commands.busy"))
        else:
            self._stage.run_task(self._stage.open(Choice(**{"models": self._models, "effort": self._effort, **chosen})))

    def _choose(self, title: str, rows: Sequence[Row], take: Callable[[str], None]) -> None:
        def taken(chosen: str | None) -> None:
            if chosen is not None:
                try:
                    take(chosen)
                except JumarError as error:
                    self._tell(self._stage.words.told(str(error)))

        self._app.push_screen(Choosing(self._stage.words, title, fixed(rows)), taken)
