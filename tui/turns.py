"""Owns what runs for the person: the turn, the prompts that wait for its end, and commands of their own."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App

from agent.errors import JumarError
from agent.events.conversation import TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.step import ModelAnswered, TextStreamed
from agent.safe import safe_line
from tui import memory
from tui.chips import Written
from tui.composer import Composer
from tui.queue import Queue
from tui.stage import Stage

if TYPE_CHECKING:
    from agent.session import Session


class Turns:
    """Begins one turn after the other. `follow` shows how things stand."""

    def __init__(self, stage: Stage, app: App[int], follow: Callable[[], None]) -> None:
        self._stage = stage
        self._app = app
        self._follow = follow
        self.queue = Queue()
        self._turn: asyncio.Task[None] | None = None
        self._begun = 0  # its number, once it is told
        self._answered = False  # whether anything came back in it
        self._commands: dict[asyncio.Task[None], str] = {}  # that run

    @property
    def busy(self) -> bool:
        """Whether a turn runs, or what the model is told is being shortened."""
        return self._turn is not None

    @property
    def command(self) -> str:
        """The first of their commands that run."""
        return next(iter(self._commands.values()), "")

    @property
    def rests(self) -> bool:
        """Whether nothing runs, and nothing waits to."""
        return not (self.busy or self._commands or self.queue)

    def hear(self, event: Event) -> None:
        """Take note of what comes back."""
        self._answered = self._answered or isinstance(event, ModelAnswered | TextStreamed)
        self._begun = event.turn if isinstance(event, TurnStarted) else self._begun

    def send(self, written: Written, *, steer: bool) -> None:
        """Send a prompt, queue it, or steer the running turn with it."""
        session = self._stage.session
        if session is not None and written.images and not session.sees:
            self._app.query_one(Composer).give_back(written)
            told = self._stage.words("prompt.blind", model=safe_line(session.model))
            self._app.notify(told, severity="warning", markup=False)
        elif session is not None and steer and session.steer(written.text, written.images):
            return
        elif session is not None and self._turn is None and self.queue.paused:
            self._begin(session, written)
        else:
            self.queue.add(written)
            self.go_on()

    def prompt(self, text: str) -> None:
        """Say something to the model, now or once what runs is over."""
        self.queue.add(Written(text, typed=text))
        self.go_on()

    def go_on(self) -> None:
        """Go on with what waits, where nothing runs."""
        session = self._stage.session
        if session is not None and self._turn is None and (written := self.queue.next()) is not None:
            self._begin(session, written)
        self._follow()

    def _begin(self, session: "Session", written: Written) -> None:
        self._answered, self._begun = False, 0
        self._turn = self._stage.run_task(self._run(session, written))

    async def _run(self, session: "Session", written: Written) -> None:
        try:
            finished = await session.turn(written.text, images=written.images)
        except JumarError:  # then the next would come to nothing, too
            self.queue.pause()
            self._app.query_one(Composer).give_back(written)
            if self._begun:
                self._stage.tell(TurnFinished(turn=self._begun, status="failed", text="", reason=""))
            raise
        else:
            if finished.status != "done":
                self.queue.pause()
            if finished.status == "cancelled" and not self._answered:
                self._app.query_one(Composer).give_back(written)
                self._app.notify(self._stage.words("prompt.given_back"), markup=False)
        finally:
            self._turn = None
            self._app.call_later(self.go_on)
            if not self._app.is_headless:
                self._app.call_after_refresh(memory.end_turn)

    def compact(self, hint: str) -> None:
        """Shorten what the model is told; prompts wait until that is over."""
        if (session := self._stage.session) is not None:
            task = self._stage.run_task(self._compact(session, hint))
            self._turn = self._turn or task
            self._follow()

    async def _compact(self, session: "Session", hint: str) -> None:
        words = self._stage.words
        try:
            self._app.notify(words("commands.compacting"), markup=False)
            if why := await session.compact(hint):
                self._app.notify(safe_line(words.told(why)), severity="warning", markup=False)
        finally:
            if self._turn is asyncio.current_task():
                self._turn = None
                self._app.call_later(self.go_on)

    def shell(self, command: str) -> None:
        """Run a command of the person's."""
        if (session := self._stage.session) is not None:
            self._commands[self._stage.run_task(self._shell(session, command))] = command
            self._follow()

    async def _shell(self, session: "Session", command: str) -> None:
        try:
            await session.hands.shell(command)
        except asyncio.CancelledError:
            self._stage.say(self._stage.words("prompt.stopped", command=safe_line(command)))
            raise
        finally:
            self._commands = {task: text for task, text in self._commands.items() if task is not asyncio.current_task()}
            self._app.call_later(self._follow)

    def stop(self) -> None:
        """Stop the person's command that runs, else the turn."""
        session = self._stage.session
        if self._commands:
            for command in self._commands:
                command.cancel()
        elif session is not None:
            session.cancel()

    def hurry(self) -> None:
        """Try at once a request that waits to be tried again."""
        if self._stage.session is not None:
            self._stage.session.hurry()
