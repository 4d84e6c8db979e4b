"""Owns asking a server on the loopback through the Messages provider, and what its protocol wants of a request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agent.config import Connection
from agent.errors import ModelError
from agent.messages import Call
from agent.model import Chunk, Failed, Finished, Request
from agent.providers.anthropic import AnthropicModel
from tests.asking import KEY, asking
from tests.fakes import Response, ScriptedServer, block, said

CLAUDE = "claude-opus-4-6"
READ = Call("toolu_01T1x1fJ34qAmk2tNTrN7Up6", "read_file", '{"path": "README.md"}')
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk+/=="


@asynccontextmanager
async def model_of(
    server: ScriptedServer, model: str = CLAUDE, *, base_url: str = "", key: str = KEY
) -> AsyncIterator[AnthropicModel]:
    made = AnthropicModel(Connection(base_url or server.base_url, key, "ANTHROPIC_API_KEY", model, "anthropic"))
    try:
        yield made
    finally:
        await made.close()


async def stream(*script: Response, request: Request | None = None, model: str = CLAUDE) -> list[Chunk]:
    async with ScriptedServer(script) as server, model_of(server, model) as asked:
        return [chunk async for chunk in asked.stream(request or asking())]


async def finished(*script: Response, request: Request | None = None) -> Finished:
    last = (await stream(*script, request=request))[-1]
    assert isinstance(last, Finished), last
    return last


async def failed(*script: Response) -> ModelError:
    *before, last = await stream(*script)
    assert isinstance(last, Failed), last
    assert not any(isinstance(chunk, Finished | Failed) for chunk in before)
    assert KEY not in str(last.error)
    assert "\n" not in str(last.error)
    return last.error


def events(*parts: bytes) -> Response:
    return Response(parts)


def started(**usage: int) -> bytes:
    return said("message_start", message={"type": "message", "role": "assistant", "content": [], "model": "m", "usage": usage})


def stopped(reason: str = "end_turn", **usage: int) -> bytes:
    return said("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage) + said("message_stop")


def words(*pieces: str, number: int = 0) -> bytes:
    return block(number, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


# A stream as the documents show it: thinking that is signed, thinking that is not told, words in two scripts, two calls.
DOCUMENTED = (
    started(input_tokens=472, cache_creation_input_tokens=100, cache_read_input_tokens=1000, output_tokens=2),
    said("ping"),
    block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Let me see.\n\n"},
        {"type": "thinking_delta", "thinking": "1. 你好 🌙"},
        {"type": "signature_delta", "signature": SIGNATURE},
    ),
    block(1, {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4a"}),
    words("Okay", ", let's look — 好 🌙", number=2),
    block(
        3,
        {"type": "tool_use", "id": READ.id, "name": "read_file", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"path":'},
        {"type": "input_json_delta", "partial_json": ' "README'},
        {"type": "input_json_delta", "partial_json": '.md"}'},
    ),
    block(
        4, {"type": "tool_use", "id": "toolu_2", "name": "list", "input": {}}, {"type": "input_json_delta", "partial_json": ""}
    ),
    stopped("tool_use", output_tokens=89),
)
CONTENT = [
    {"type": "thinking", "thinking": "Let me see.\n\n1. 你好 🌙", "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4a"},
    {"type": "text", "text": "Okay, let's look — 好 🌙"},
    {"type": "tool_use", "id": READ.id, "name": "read_file", "input": {"path": "README.md"}},
    {"type": "tool_use", "id": "toolu_2", "name": "list", "input": {}},
]


def refusal(kind: str, words: str = "No.") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_1"}


def bare(messages: list[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Return roles and blocks without the marks for the cache."""
    return [
        (
            message["role"],
            [{key: value for key, value in block.items() if key != "cache_control"} for block in message["content"]],
        )
        for message in messages
    ]


def check(whole: dict[str, Any]) -> None:
    """Hold what the protocol wants of a request."""
    messages = whole["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"]
    due: list[str] = []
    seen: set[str] = set()
    for message in messages:
        assert message["content"]
        results = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        assert results == due
        assert all(block["type"] == "tool_result" for block in message["content"][: len(due)])
        due = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        assert not seen & set(due)
        assert len(set(due)) == len(due)
        seen |= set(due)
        for one in message["content"]:
            assert one["type"] != "text" or one["text"].strip()
            assert one["type"] != "tool_use" or isinstance(one["input"], dict)
            assert one["type"] != "tool_result" or one["content"]
    assert all(len(made) <= 64 and made.replace("-", "").replace("_", "").isascii() for made in seen)
    assert str(whole).count("'cache_control'") <= 4


def shared(before: bytes, after: bytes) -> int:
    """Return how many bytes are the same before the first that is not."""
    return next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), len(before))
