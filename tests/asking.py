"""Owns asking a server on the loopback through the Chat Completions provider."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.config import Connection
from agent.errors import ModelError
from agent.messages import Message, Prompt
from agent.model import Chunk, Failed, Finished, Request, ToolOffer
from agent.providers.openai import OpenAIModel
from tests.fakes import Response, ScriptedServer

KEY = "sk-very-secret-key-of-a-person"


TOOL = ToolOffer("read_file", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})


def asking(*messages: Message, tools: tuple[ToolOffer, ...] = (TOOL,), max_tokens: int | None = None) -> Request:
    return Request("Be brief.", messages or (Prompt("Hi"),), tools, "session-1", max_tokens)


@asynccontextmanager
async def model_of(
    server: ScriptedServer, key: str = KEY, name: str = "k2", silence: float = 300.0
) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel(Connection(server.base_url, key, "JUMAR_API_KEY", name), silence=silence)
    try:
        yield model
    finally:
        await model.close()


@asynccontextmanager
async def saying(status: int, body: bytes) -> AsyncIterator[int]:
    """Answer whatever comes in the same way, be it HTTP or not."""

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(b"HTTP/1.1 %d Said\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (status, len(body), body))
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def stream(response: Response, request: Request | None = None) -> list[Chunk]:
    async with ScriptedServer([response]) as server, model_of(server) as model:
        return [chunk async for chunk in model.stream(request or asking())]


async def finished(response: Response, request: Request | None = None) -> Finished:
    last = (await stream(response, request))[-1]
    assert isinstance(last, Finished), last
    return last


async def failed(response: Response) -> ModelError:
    *before, last = await stream(response)
    assert isinstance(last, Failed), last
    assert not any(isinstance(chunk, Finished | Failed) for chunk in before)
    assert KEY not in str(last.error)
    assert "\n" not in str(last.error)
    return last.error
