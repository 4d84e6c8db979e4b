"""Owns taking back what actions did, and bringing it back: not before the person has seen what that changes."""

from typing import TYPE_CHECKING

from textual.app import App

from tui.acts import Act
from tui.preview import Preview, Shown, Undoing, Work
from tui.stage import Stage
from tui.timeline import Timeline

if TYPE_CHECKING:
    from agent.session import Session


class Reversal:
    """Lays what they see over everything, and does what they then want."""

    def __init__(self, stage: Stage, app: App[int]) -> None:
        self._stage = stage
        self._app = app

    def show(self, act: Act, before: tuple[str, ...] = ()) -> None:
        """Show what an action did, upon what those before it did; from there it can be taken back."""
        stage = self._stage
        if stage.session is not None:
            undoing = Undoing("undo", (*before, act.number))
            shown = Shown(stage.words, stage.session, act, stage.desk.taste.diffs, before)
            self._app.push_screen(shown, lambda undo: self.preview(undoing) if undo else None)

    def look(self, numbers: tuple[str, ...]) -> None:
        """Show what actions did, by their numbers, the later ones upon the earlier."""
        *before, last = numbers
        if (act := self._app.query_one(Timeline).acts.find(last)) is not None:
            self.show(act, tuple(before))

    def preview(self, undoing: Undoing) -> None:
        """Show what taking something back would change, and do it where the person wants it."""
        if self._stage.session is not None:
            self._app.push_screen(Preview(self._stage.words, self._stage.session, undoing), self._take_back)

    def _take_back(self, work: Work | None) -> None:
        async def take() -> None:
            for conflict in (await work()).conflicts if work is not None else ():
                self._stage.say(f"{conflict.path}: {self._stage.words.told(conflict.why)}")

        self._stage.run_task(take())

    def redo(self) -> None:
        """Bring back what was taken back last."""
        if self._stage.session is not None:
            self._stage.run_task(self._redo(self._stage.session))

    async def _redo(self, session: "Session") -> None:
        if (await session.hands.redo()).conflicts:
            self.preview(Undoing("redo", (session.hands.to_redo(),)))
