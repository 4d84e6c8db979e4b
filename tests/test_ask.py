"""Asking once: what streams is told in as few events as it came in, and at once."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from agent.ask import Asked, Patience, Pause, ask
from agent.config import Connection
from agent.events.event import Event
from agent.events.step import CallStreamed, ReasoningStreamed, StepStarted, TextStreamed
from agent.messages import Answer, Prompt, Usage
from agent.model import CallDelta, Capabilities, Chunk, Finished, Model, ReasoningDelta, Request, TextDelta
from agent.providers.openai import OpenAIModel
from tests.fakes import event

REQUEST = Request("", (Prompt("go"),), (), "s")


class Streaming:
    """A model whose chunks come in goes; before the last of these it waits."""

    name = "m"
    capabilities = Capabilities()

    def __init__(self, *goes: Sequence[Chunk]) -> None:
        self.goes = goes
        self.last = asyncio.Event()

    async def ready(self) -> None:
        pass

    async def count(self, request: Request) -> int | None:
        return None

    async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
        for go in self.goes:
            for chunk in go:
                yield chunk
            await asyncio.sleep(0)
        await self.last.wait()
        yield Finished(Answer("done"), "stop", Usage(), "m")

    async def close(self) -> None:
        pass


class Listener:
    """Hears what is told, and says when something of it was."""

    def __init__(self, awaited: Event | None = None) -> None:
        self.events: list[Event] = []
        self.heard = asyncio.Event()
        self._awaited = awaited

    def hear(self, event: Event) -> None:
        self.events.append(event)
        if event == self._awaited:
            self.heard.set()

    def asks(self, model: Model) -> asyncio.Task[Asked]:
        return asyncio.create_task(ask(model, REQUEST, 1, self.hear, Pause(Patience(tries=1))))


async def test_what_came_in_one_go_is_one_event_and_told_before_more_is_waited_for() -> None:
    first: list[Chunk] = [
        ReasoningDelta("a"),
        ReasoningDelta("b"),
        TextDelta("c"),
        TextDelta("d"),
        CallDelta("read", 1),
        CallDelta("read", 5),
    ]
    model = Streaming(first, [CallDelta("edit", 2), TextDelta("e")])
    listener = Listener(TextStreamed(text="e"))
    task = listener.asks(model)
    async with asyncio.timeout(5):
        await listener.heard.wait()
    assert listener.events == [
        StepStarted(step=1),
        ReasoningStreamed(text="ab"),
        TextStreamed(text="cd"),
        CallStreamed(tool="read", size=5),
        CallStreamed(tool="edit", size=2),
        TextStreamed(text="e"),
    ]
    model.last.set()
    await task
    assert len(listener.events) == 6


async def test_what_came_before_a_person_stopped_it_is_told() -> None:
    class Stopped(Streaming):
        async def stream(self, request: Request) -> AsyncGenerator[Chunk, None]:
            yield TextDelta("half")
            task.cancel()
            await self.last.wait()

    listener = Listener()
    task = listener.asks(Stopped())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert listener.events[1:] == [TextStreamed(text="half")]


async def test_who_cannot_hear_what_streams_ends_the_asking() -> None:
    def listen(event: Event) -> None:
        if isinstance(event, TextStreamed):
            raise BrokenPipeError("nobody listens")

    model = Streaming([TextDelta("a")], [TextDelta("b")])
    async with asyncio.timeout(5):
        with pytest.raises(BrokenPipeError):
            await ask(model, REQUEST, 1, listen, Pause(Patience(tries=1)))


async def test_words_that_come_fast_are_read_many_at_a_time_and_the_first_at_once() -> None:
    listener = Listener(TextStreamed(text="0 "))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + event({"content": "0 "}))
        await listener.heard.wait()  # the first is told while nothing else comes
        for number in range(1, 500):
            writer.write(event({"content": f"{number} "}))
            await asyncio.sleep(0)  # each comes by itself
        writer.write(event({}, "stop") + b"data: [DONE]\n\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        model = OpenAIModel(Connection(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", "", "", "m"))
        async with asyncio.timeout(5):
            await listener.asks(model)
        await model.close()
    told = [one.text for one in listener.events if isinstance(one, TextStreamed)]
    assert "".join(told) == "".join(f"{number} " for number in range(500))
    assert len(told) < 50
