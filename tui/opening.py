"""Owns the commands that open sessions: others, copies, and the same one with another model."""

from collections.abc import Sequence
from functools import partial

from agent.safe import safe_line
from tui.choosing import Choosing, Row
from tui.desk import Choice, Offered
from tui.hands import Hands
from tui.models import efforts, models
from tui.sessions import Sessions


class Opening(Hands):
    """Each takes what follows its name."""

    def new(self, _: str) -> None:
        """Begin another session."""
        self._open()

    def resume(self, argument: str) -> None:
        """Go on with another session."""
        if argument:
            self._open(resume=argument)
            return
        current = self._stage.session.id if self._stage.session is not None else ""

        def opened(choice: Choice | None) -> None:
            if choice is not None:
                self._open(resume=choice.resume, fork=choice.fork)

        self._app.push_screen(Sessions(self._stage.words, self._stage.desk, current), opened)

    def fork(self, argument: str) -> None:
        """Go on from a copy of this session, or of what came before a turn."""
        if argument and not (argument.isdecimal() and 0 < int(argument) <= self._stage.story.turn):
            self._tell(self._stage.words("commands.no_turn", turn=safe_line(argument)[:40]))
        else:
            self._open(resume=self._session.id, fork=True, before_turn=int(argument or 0))

    def rename(self, argument: str) -> None:
        """Give this session another title."""
        if title := " ".join(argument.split()):
            self._session.rename(title)
            self._app.notify(self._stage.words("sessions.renamed"), markup=False)
        else:
            self._usage("rename")

    def model(self, argument: str) -> None:
        """Go on with another model."""
        name, _, effort = argument.partition(" ")
        if name:
            self._take_model(name, effort.strip())
            return
        offered: dict[str, Offered] = {}

        async def find() -> Sequence[Row]:
            current = self._stage.session.model if self._stage.session is not None else ""
            offered.update({one.name: one for one in await self._stage.desk.models()})
            return models(offered.values(), current, self._stage.words)

        def taken(chosen: str | None) -> None:
            if chosen is not None:
                self._choose_effort(offered[chosen])

        self._app.push_screen(Choosing(self._stage.words, self._stage.words("model.title"), find), taken)

    def _choose_effort(self, model: Offered) -> None:
        if not model.efforts:
            self._take_model(model.name, "")
            return
        words = self._stage.words
        rows = efforts(model, self._effort, words)
        self._choose(words("model.effort", model=model.name), rows, partial(self._take_model, model.name))

    def _take_model(self, name: str, effort: str) -> None:
        if self._stage.turns.busy:
            self._tell(self._stage.words("commands.busy"))
            return
        self._stage.run_task(self._reopen(name, effort))

    async def _reopen(self, name: str, effort: str) -> None:
        session = self._stage.session
        resumed = session.id if session is not None else ""
        mode = session.mode.value if session is not None else ""
        await self._stage.open(Choice(resume=resumed, models=(name,), effort=effort, mode=mode))
        self._models, self._effort = (name,), effort
