"""Owns a run that a program leads: prompts and the other verbs come as lines on stdin until it ends."""

import asyncio

from agent.events import Warned
from agent.gate import Answered
from agent.session import Session
from jumar.inputs import AnswerMessage, AnyMessage, CancelMessage, DecideMessage, PromptMessage, SteerMessage, read_messages
from jumar.run import Run


async def converse(session: Session, run: Run) -> None:
    """Take messages until stdin ends and the last turn is over."""
    messages: asyncio.Queue[AnyMessage | str | None] = asyncio.Queue()
    prompts: asyncio.Queue[str | None] = asyncio.Queue()
    read_messages(messages)

    async def serve() -> None:
        while (text := await prompts.get()) is not None:
            await run.prompt(session, text)

    serving = asyncio.create_task(serve())
    try:
        while (message := await messages.get()) is not None:
            fault = _carry_out(session, message, prompts)
            if fault:
                session.tell(Warned(text=fault))
        prompts.put_nowait(None)
        await serving
    finally:
        serving.cancel()
        await asyncio.wait({serving})


def _carry_out(session: Session, message: AnyMessage | str, prompts: "asyncio.Queue[str | None]") -> str:
    """Carry out one message; return what is wrong with it, if anything is."""
    match message:
        case str():
            return message
        case PromptMessage():
            prompts.put_nowait(message.text)
        case SteerMessage():
            if not session.steer(message.text):
                prompts.put_nowait(message.text)
        case DecideMessage():
            if not session.decide(message.call_id, Answered(message.allow, message.words)):
                return f"no approval waits under the id {message.call_id!r}"
        case AnswerMessage():
            if not session.answer(message.call_id, message.text):
                return f"no question waits under the id {message.call_id!r}"
        case CancelMessage():
            session.cancel()
    return ""
