"""Owns a run that a program leads: prompts and the other verbs come as lines on stdin until it ends."""

import asyncio
from collections import deque
from collections.abc import Callable

from agent.errors import JumarError, UsageError
from agent.events.news import Warned
from agent.session import Session
from jumar.inputs import (
    AnswerMessage,
    AnyMessage,
    CancelMessage,
    CompactMessage,
    DecideMessage,
    HurryMessage,
    PromptMessage,
    RedoMessage,
    RewindMessage,
    SteerMessage,
    UncompactMessage,
    UndoMessage,
    read_messages,
)
from jumar.pictures import blind
from jumar.run import Run


class Conversation:
    """Runs one prompt after the other, and hears the other messages meanwhile."""

    def __init__(self, session: Session, run: Run, said: Callable[[str], str]) -> None:
        self._session = session
        self._run = run
        self._said = said  # what a prompt that may call a command says; raises UsageError
        self._prompts: deque[PromptMessage | SteerMessage] = deque()
        self._turn: asyncio.Task[None] | None = None
        self._taking_back: set[asyncio.Task[None]] = set()

    async def lead(self) -> None:
        """Take messages until stdin ends and the last turn is over."""
        messages: asyncio.Queue[AnyMessage | str | None] = asyncio.Queue()
        read_messages(messages)
        getting: asyncio.Task[AnyMessage | str | None] | None = asyncio.create_task(messages.get())
        try:
            while getting is not None or self._turn is not None or self._prompts or self._taking_back:
                if self._turn is None and self._prompts and not self._taking_back:
                    said = self._prompts.popleft()
                    self._turn = asyncio.create_task(self._run.prompt(self._session, said.text, said.images))
                waiting = [task for task in (getting, self._turn, *self._taking_back) if task is not None]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if self._turn is not None and self._turn.done():
                    self._end(self._turn)
                if getting is not None and getting.done():
                    message = getting.result()
                    if message is None:
                        getting = None
                        self._session.leave()
                        continue
                    getting = asyncio.create_task(messages.get())
                    if fault := self._carry_out(message):
                        self._session.tell(Warned(text=fault))
        finally:
            for task in (getting, self._turn, *self._taking_back):
                if task is not None:
                    task.cancel()
                    await asyncio.wait({task})

    def _end(self, turn: asyncio.Task[None]) -> None:
        self._turn = None
        if turn.cancelled():
            self._run.stopped()
        else:
            turn.result()

    def _reshape(self, message: CompactMessage | UncompactMessage) -> str:
        if self._turn is not None or self._prompts:
            return f"a turn is running; {message.type} when it is over"
        if isinstance(message, UncompactMessage):
            return self._session.uncompact()
        self._turn = asyncio.create_task(self._compact(message.hint))
        return ""

    async def _compact(self, hint: str) -> None:
        if fault := await self._session.compact(hint):
            self._session.tell(Warned(text=fault))

    async def _take_back(self, message: UndoMessage | RewindMessage | RedoMessage) -> None:
        session, preference, interrupt = self._session, message.preference, message.interrupt
        try:
            match message:
                case UndoMessage():
                    plan = await session.hands.undo(
                        message.actions, only=message.files, preference=preference, interrupt=interrupt
                    )
                case RewindMessage():
                    plan = await session.hands.rewind(message.action, preference=preference, interrupt=interrupt)
                case RedoMessage():
                    plan = await session.hands.redo(preference=preference, interrupt=interrupt)
        except JumarError as error:
            session.tell(Warned(text=str(error)))
            return
        for conflict in plan.conflicts:
            session.tell(Warned(text=f"nothing was taken back: {conflict.path}: {conflict.why}"))

    def _say(self, message: PromptMessage | SteerMessage) -> str:
        if message.images and not self._session.sees:
            return f"a message was passed over: {blind(self._session.model)}"
        if isinstance(message, PromptMessage):
            try:
                self._prompts.append(message.model_copy(update={"text": self._said(message.text)}))
            except UsageError as error:
                return str(error)
        elif not self._session.steer(message.text, message.images):
            self._prompts.append(message)
        return ""

    def _carry_out(self, message: AnyMessage | str) -> str:
        """Carry out one message; return what is wrong with it, if anything is."""
        match message:
            case str():
                return message
            case PromptMessage() | SteerMessage():
                return self._say(message)
            case DecideMessage():
                return self._decide(message)
            case AnswerMessage():
                if not self._session.answer(message.call_id, message.text):
                    return f"no question waits under the id {message.call_id!r}"
            case HurryMessage():
                if not self._session.hurry():
                    return "no request waits to be tried again"
            case CompactMessage() | UncompactMessage():
                return self._reshape(message)
            case UndoMessage() | RewindMessage() | RedoMessage():
                task = asyncio.create_task(self._take_back(message))
                self._taking_back.add(task)
                task.add_done_callback(self._taking_back.discard)
            case CancelMessage():
                return self._cancel()
        return ""

    def _decide(self, message: DecideMessage) -> str:
        try:
            if self._session.decide(message.call_id, message.answered):
                return ""
        except UsageError as error:
            return f"{error}; the approval {message.call_id!r} still waits"
        return f"no approval waits under the id {message.call_id!r}"

    def _cancel(self) -> str:
        if self._turn is not None:
            self._turn.cancel()
        elif self._prompts:
            self._prompts.clear()
            self._run.stopped()
        else:
            return "nothing runs that could be cancelled"
        return ""
