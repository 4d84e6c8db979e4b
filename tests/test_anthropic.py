"""The Messages provider against a real server on the loopback, with streams as Anthropic documents them."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.blocks import Image
from agent.config import Connection
from agent.endpoints import server_at
from agent.errors import Fault, ModelError
from agent.messages import Answer, Call, Message, Prompt, Reply, Usage
from agent.model import CallDelta, Chunk, Failed, Finished, ReasoningDelta, Request, TextDelta
from agent.providers.anthropic import AnthropicModel
from agent.providers.anthropic_body import MessagesBody
from agent.providers.anthropic_dialect import messages_dialect
from agent.providers.anthropic_merge import BlockMerge
from agent.providers.families import family_of
from agent.providers.sse import Events
from tests.asking import KEY, TOOL, asking
from tests.fakes import Response, ScriptedServer, answer, anthropic, block, event, failure, said

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


async def test_a_documented_stream_is_one_exact_answer() -> None:
    *deltas, last = await stream(events(*DOCUMENTED))
    assert isinstance(last, Finished)
    content = last.answer.sealed.content if last.answer.sealed else ""
    assert json.loads(content) == CONTENT
    assert last.answer == Answer(
        "Okay, let's look — 好 🌙", (READ, Call("toolu_2", "list", "{}")), "Let me see.\n\n1. 你好 🌙", "", last.answer.sealed
    )
    assert (last.finish, last.usage, last.model) == ("calls", Usage(1572, 89, 1000, 100), "m")
    assert "".join(chunk.text for chunk in deltas if isinstance(chunk, TextDelta)) == last.answer.text
    assert "".join(chunk.text for chunk in deltas if isinstance(chunk, ReasoningDelta)) == last.answer.reasoning
    assert {chunk.name for chunk in deltas if isinstance(chunk, CallDelta)} == {"read_file", "list"}


async def test_a_stream_cut_at_any_byte_is_never_taken_for_an_answer() -> None:
    body = b"".join(DOCUMENTED)
    whole = (await finished(Response((body,)))).answer
    enough = body.index(b"\n\n", body.index(b'"stop_reason"')) + 2
    for rude in (True, False):
        places = range(0 if rude else 1, len(body), 1 if rude else 3)
        async with ScriptedServer([Response((body[:place],), cut=rude) for place in places]) as server, model_of(server) as model:
            for place in places:
                last = [chunk async for chunk in model.stream(asking())][-1]
                if isinstance(last, Failed):
                    assert place < enough
                    assert last.error.fault is Fault.CUT, place
                else:
                    assert isinstance(last, Finished)
                    assert place >= enough - (0 if rude else 2), place
                    assert replace(last.answer, sealed=None) == replace(whole, sealed=None)
                    assert last.answer.sealed
                    assert whole.sealed
                    assert last.answer.sealed.content == whole.sealed.content


def folded(pieces: Sequence[bytes]) -> tuple[str, str, Finished]:
    """Take in pieces as a provider does; return the words and the reasoning that were told, and the answer."""
    merge, stream, told = BlockMerge(lambda error: ModelError(str(error), Fault.REFUSED)), Events(), []
    for piece in pieces:
        for payload in stream.feed(piece):
            merge.take(json.loads(payload))
        told += merge.told()
    for payload in stream.end():
        merge.take(json.loads(payload))
    told += merge.told()
    text = "".join(chunk.text for chunk in told if isinstance(chunk, TextDelta))
    reasoning = "".join(chunk.text for chunk in told if isinstance(chunk, ReasoningDelta))
    return text, reasoning, merge.finished(("read_file", "list"), (), "m", "here")


@given(st.lists(st.integers(1, 400), min_size=1), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_chunking_gives_the_same_chunks_and_the_same_answer(sizes: list[int], line_end: bytes) -> None:
    body = b": a comment\n\n" + b"\n\n".join(DOCUMENTED[:3]) + b":\n\n" + b"".join(DOCUMENTED[3:])
    whole = folded([body])
    body = body.replace(b"\n", line_end)
    pieces, place, number = [], 0, 0
    while place < len(body):
        pieces.append(body[place : place + sizes[number % len(sizes)]])
        place += len(pieces[-1])
        number += 1
    assert folded(pieces) == whole


SHAPES: dict[str, tuple[bytes, ...]] = {
    "no index": (
        said("content_block_start", content_block={"type": "text", "text": ""}),
        said("content_block_delta", delta={"type": "text_delta", "text": "Look"}),
        said("content_block_delta", delta={"type": "text_delta", "text": "ing."}),
        said("content_block_stop"),
        said("content_block_start", content_block={"type": "tool_use", "id": READ.id, "name": "read_file", "input": {}}),
        said("content_block_delta", delta={"type": "input_json_delta", "partial_json": READ.arguments}),
        said("content_block_stop"),
    ),
    "no stops": (
        said("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        said("content_block_delta", index=0, delta={"type": "text_delta", "text": "Looking."}),
        said("content_block_start", index=1, content_block={"type": "tool_use", "id": READ.id, "name": "read_file"}),
        said("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": READ.arguments}),
    ),
    "deltas before their start": (
        said("content_block_delta", index=0, delta={"type": "text_delta", "text": "Looking."}),
        said("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": READ.arguments}),
        said("content_block_start", index=1, content_block={"type": "tool_use", "id": READ.id, "name": "read_file", "input": {}}),
    ),
    "the input whole at its start": (
        words("Looking."),
        block(1, {"type": "tool_use", "id": READ.id, "name": "read_file", "input": {"path": "README.md"}}),
    ),
    "the input at its start and again in pieces": (
        words("Looking."),
        block(
            1,
            {"type": "tool_use", "id": READ.id, "name": "read_file", "input": {"path": "README.md"}},
            {"type": "input_json_delta", "partial_json": READ.arguments},
        ),
    ),
    "the words at their start": (
        block(0, {"type": "text", "text": "Looking."}),
        block(
            1,
            {"type": "tool_use", "id": READ.id, "name": "read_file", "input": {}},
            {"type": "input_json_delta", "partial_json": READ.arguments},
        ),
    ),
    "always index 0": (
        words("Looking."),
        block(
            0,
            {"type": "tool_use", "id": READ.id, "name": "read_file", "input": {}},
            {"type": "input_json_delta", "partial_json": READ.arguments},
        ),
    ),
    "deltas without a type, and citations": (
        said("content_block_start", index=0, content_block={"type": "text", "text": "", "citations": []}),
        said("content_block_delta", index=0, delta={"text": "Looking."}),
        said("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {"cited_text": "x"}}),
        said("content_block_start", index=1, content_block={"type": "tool_use", "id": READ.id, "name": "read_file", "input": {}}),
        said("content_block_delta", index=1, delta={"partial_json": READ.arguments}),
    ),
    "pings and what nobody knows between": (
        said("ping"),
        said("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        said("ping"),
        said("heartbeat", at=[1]),
        said("content_block_delta", index=0, delta={"type": "text_delta", "text": "Looking."}),
        b"data: 1\n\n",
        said("content_block_delta", index=["?"], delta={"type": ["?"]}),
        said("content_block_start", index=0, content_block="?"),
        said("content_block_delta", index=0),
        said("content_block_stop", index=7),
        block(
            1,
            {"type": "tool_use", "id": READ.id, "name": "read_file", "input": {}},
            {"type": "input_json_delta", "partial_json": READ.arguments},
        ),
    ),
    "no types at all": (
        b'data: {"index":0,"content_block":{"type":"text","text":""}}\n\n',
        b'data: {"index":0,"delta":{"type":"text_delta","text":"Looking."}}\n\n',
        b'data: {"index":1,"content_block":{"type":"tool_use","id":"%s","name":"read_file","input":{}}}\n\n' % READ.id.encode(),
        b'data: {"index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"path\\": \\"README.md\\"}"}}\n\n',
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("end", [stopped("tool_use"), said("message_stop"), stopped("end_turn")])
async def test_whatever_shape_a_gateway_gives_its_events_it_is_the_same_answer(shape: str, end: bytes) -> None:
    last = await finished(events(started(input_tokens=3), *SHAPES[shape], end))
    assert last.answer.text == "Looking."
    assert [(call.id, call.name, json.loads(call.arguments)) for call in last.answer.calls] == [
        (READ.id, "read_file", {"path": "README.md"})
    ]
    assert last.finish == "calls"


async def test_an_answer_that_is_not_streamed_is_taken_all_the_same() -> None:
    usage = {"input_tokens": 5, "output_tokens": 6}
    whole = {"type": "message", "role": "assistant", "model": "m", "content": CONTENT, "stop_reason": "tool_use", "usage": usage}
    last = await finished(failure(200, whole))
    assert (last.finish, last.usage) == ("calls", Usage(5, 6))
    assert last.answer.sealed
    assert json.loads(last.answer.sealed.content) == CONTENT
    assert (await finished(failure(200, {"role": "assistant", "content": "Hi", "stop_reason": "end_turn"}))).answer == Answer(
        "Hi"
    )


async def test_an_answer_in_the_other_protocol_is_taken_all_the_same() -> None:
    expected = (await finished(answer("Hi\nthere", [READ], reasoning="Hm."))).answer
    assert expected == Answer("Hi\nthere", (READ,), "Hm.", "reasoning_content")
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    assert (await finished(failure(200, {"choices": [choice]}))).answer.text == "Hi"
    assert (await failed(events(event({"content": "Hi"})))).fault is Fault.CUT


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("end_turn", "stop"), ("stop_sequence", "stop"), ("pause_turn", "stop"), ("max_tokens", "length"), ("tool_use", "stop")],
)
async def test_why_it_stopped_is_told(reason: str, finish: str) -> None:
    assert (await finished(events(started(), words("Hi"), stopped(reason)))).finish == finish


@pytest.mark.parametrize(("reason", "fault"), [("refusal", Fault.REFUSED), ("model_context_window_exceeded", Fault.CONTEXT)])
async def test_an_answer_that_was_stopped_for_its_own_sake_is_none(reason: str, fault: Fault) -> None:
    assert (await failed(events(started(), words("Hi"), stopped(reason)))).fault is fault


@pytest.mark.parametrize(
    ("start", "end", "usage"),
    [
        ({"input_tokens": 10, "output_tokens": 1}, {"output_tokens": 5}, Usage(10, 5)),
        ({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 10, "output_tokens": 5}, Usage(10, 5)),
        ({"input_tokens": 10, "cache_read_input_tokens": 90}, {"input_tokens": 0, "output_tokens": 5}, Usage(100, 5, 90)),
        (
            {"input_tokens": 10, "cache_creation_input_tokens": 7},
            {"input_tokens": 12, "cache_read_input_tokens": 5, "output_tokens": 5},
            Usage(24, 5, 5, 7),
        ),
        ({}, {}, Usage()),
    ],
)
async def test_usage_is_merged_from_where_it_stands(start: dict[str, int], end: dict[str, int], usage: Usage) -> None:
    assert (await finished(events(started(**start), words("Hi"), stopped("end_turn", **end)))).usage == usage


def refusal(kind: str, words: str = "No.") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("status", "kind", "words", "fault"),
    [
        (400, "invalid_request_error", "messages.1: roles must alternate", Fault.REFUSED),
        (400, "invalid_request_error", "prompt is too long: 213462 tokens > 200000 maximum", Fault.CONTEXT),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000",
            Fault.CONTEXT,
        ),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", Fault.QUOTA),
        (401, "authentication_error", "invalid x-api-key", Fault.AUTHENTICATION),
        (402, "billing_error", "Pay.", Fault.QUOTA),
        (403, "permission_error", "Your API key does not have permission.", Fault.AUTHENTICATION),
        (404, "not_found_error", "model: claude-nope", Fault.REFUSED),
        (413, "request_too_large", "Request exceeds the maximum allowed number of bytes.", Fault.CONTEXT),
        (429, "rate_limit_error", "This request would exceed your rate limit of 30,000 input tokens per minute.", Fault.RATE),
        (500, "api_error", "Internal server error", Fault.OVERLOADED),
        (504, "timeout_error", "Request timed out", Fault.OVERLOADED),
        (529, "overloaded_error", "Overloaded", Fault.OVERLOADED),
    ],
)
async def test_a_refusal_is_the_right_fault_wherever_it_comes(status: int, kind: str, words: str, fault: Fault) -> None:
    refused = refusal(kind, words)
    assert (await failed(failure(status, refused))).fault is fault
    assert (await failed(failure(200, refused))).fault is fault
    error = said("error", error=refused["error"])
    for before in ((), DOCUMENTED[:1], DOCUMENTED[:3], DOCUMENTED[:-1]):
        assert (await failed(events(*before, error))).fault is fault
    assert (await finished(events(*DOCUMENTED, error))).finish == "calls"


async def test_a_wait_that_the_server_asks_for_is_told() -> None:
    assert (await failed(failure(429, refusal("rate_limit_error"), {"retry-after": "7"}))).retry_after == 7.0


@pytest.mark.parametrize(
    "script",
    [
        failure(200, "<html>hello</html>"),
        failure(404, "<html>nothing</html>"),
        failure(405, refusal("api_error", "Method not allowed")),
        failure(200, {"error": "Unexpected endpoint or method. (POST /v1/messages)"}),
    ],
)
async def test_a_wrong_address_is_told_as_one(script: Response) -> None:
    error = await failed(script)
    assert error.fault is Fault.REFUSED
    assert "/anthropic" in str(error)
    assert "/chat/completions" not in str(error)


@pytest.mark.parametrize(
    "garbled", [b"data: {no json}\n\n", b'data: {"type":"content_block_delta"\n\n', b'{"type":"message","content":[']
)
async def test_what_is_no_json_is_told_as_such(garbled: bytes) -> None:
    assert (await failed(events(garbled))).fault is Fault.GARBLED


async def test_a_character_that_two_deltas_share_is_one_character() -> None:
    halves = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83c"}}\n\n'
    rest = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\udf19 \\ud83c"}}\n\n'
    thought = halves.replace(b"text_delta", b"thinking_delta").replace(b'"text"', b'"thinking"').replace(b":0,", b":1,")
    last = await finished(events(halves, rest, thought, stopped()))
    assert last.answer.text == "🌙 \ufffd"
    assert last.answer.sealed
    last.answer.sealed.content.encode()


async def test_words_before_and_after_thinking_do_not_run_into_each_other() -> None:
    thought = block(1, {"type": "thinking", "thinking": "Hm."}, {"type": "signature_delta", "signature": "s"})
    last = await finished(events(started(), words("One."), thought, words("Two", ".", number=2), stopped()))
    assert last.answer.text == "One.\n\nTwo."
    assert last.answer.sealed
    assert [block.get("text") for block in json.loads(last.answer.sealed.content)] == ["One.", None, "Two."]


async def test_thinking_that_was_cut_before_it_was_signed_is_not_kept() -> None:
    cut = said("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "I think and"})
    last = await finished(events(started(), cut, stopped("max_tokens")))
    assert (last.finish, last.answer) == ("length", Answer("", reasoning="I think and"))


async def test_two_calls_of_one_id_get_ids_of_their_own_in_what_is_kept_too() -> None:
    thought = block(0, {"type": "thinking", "thinking": "Hm."}, {"type": "signature_delta", "signature": "s"})
    calls = [block(number, {"type": "tool_use", "id": "a", "name": "read_file", "input": {"path": "x"}}) for number in (1, 2)]
    last = await finished(events(started(), thought, *calls, stopped("tool_use")))
    assert last.answer.sealed
    ids = [call.id for call in last.answer.calls]
    assert len(set(ids)) == 2
    assert [block["id"] for block in json.loads(last.answer.sealed.content)[1:]] == ids


# What goes out.


def body_of(model: str = CLAUDE, base_url: str = "https://api.anthropic.com", *, images: bool = True) -> MessagesBody:
    return MessagesBody(model, messages_dialect(server_at(base_url), model, family_of(model), images=images), f"here {model}")


def encoded(*messages: Message, body: MessagesBody | None = None, request: Request | None = None) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads((body or body_of()).encode(request or asking(*messages)))
    return whole


MARK = {"type": "ephemeral"}


def bare(messages: list[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Return roles and blocks without the marks for the cache."""
    return [
        (
            message["role"],
            [{key: value for key, value in block.items() if key != "cache_control"} for block in message["content"]],
        )
        for message in messages
    ]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def result(call_id: str, content: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def use(call_id: str, name: str, given: object) -> dict[str, object]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def test_a_history_is_sent_as_the_protocol_wants_it() -> None:
    picture = Image("image/png", "iVBORw0=")
    shown = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}
    messages = encoded(
        Prompt(""),
        Prompt("Look.", (picture,)),
        Answer(" \n", (Call("functions.read:0", "read", '{"path": "x"}'), Call("b", "bad name!", "[1]"))),
        Reply("b", "bad name!", "No such tool."),
        Prompt("And do hurry."),
        Reply("functions.read:0", "read", "", (picture,)),
        Answer("", (), "only thought", "reasoning"),
        Answer("Done.", (), "Hm."),
        Answer("Really."),
    )["messages"]
    assert bare(messages) == [
        ("user", [text("(nothing)"), text("Look."), shown]),
        ("assistant", [use("functions_read_0", "read", {"path": "x"}), use("b", "bad_name_", {})]),
        ("user", [result("functions_read_0", [shown]), result("b", "No such tool."), text("And do hurry.")]),
        ("assistant", [text("Done."), text("Really.")]),
        ("user", [text("(go on)")]),
    ]


def test_a_model_without_eyes_is_told_that_there_was_an_image() -> None:
    messages = encoded(Prompt("Look.", (Image("image/png", "iVBORw0="),)), body=body_of(images=False))["messages"]
    assert bare(messages) == [("user", [text("Look."), text("(an image that this model cannot be shown)")])]


CALLS = st.builds(
    Call,
    st.sampled_from(["a", "b", "f.x:0", "f.x:1", "f_x_0", "", "é" * 80]),
    st.just("read"),
    st.sampled_from(["", "{}", '{"a":1}', "nope"]),
)
MESSAGES = st.lists(
    st.one_of(
        st.builds(Prompt, st.sampled_from(["", " ", "Hi"])),
        st.builds(
            Answer, st.sampled_from(["", "\n", "Yes."]), st.lists(CALLS, max_size=3).map(tuple), st.sampled_from(["", "Hm."])
        ),
        st.builds(
            Reply, st.sampled_from(["a", "b", "f.x:0", "f.x:1", "f_x_0", "", "?"]), st.just("read"), st.sampled_from(["", "out"])
        ),
    ),
    max_size=12,
)


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


@given(MESSAGES, st.sampled_from([CLAUDE, "kimi-k2.6"]))
def test_any_history_makes_a_valid_request(messages: list[Message], model: str) -> None:
    body = body_of(model)
    whole = body.encode(asking(*messages))
    check(json.loads(whole))
    assert body.encode(asking(*messages)) == whole
    later = encoded(*messages, Prompt("more"), body=body)["messages"]
    assert bare(later)[: len(json.loads(whole)["messages"]) - 1] == bare(json.loads(whole)["messages"])[:-1]


@given(MESSAGES)
def test_a_history_that_grows_is_encoded_as_if_it_came_at_once(messages: list[Message]) -> None:
    body = body_of()
    for size in range(len(messages)):
        assert body.encode(asking(*messages[:size])) == body_of().encode(asking(*messages[:size]))


async def test_fifty_steps_are_each_a_prefix_of_the_next_and_read_what_the_last_one_kept() -> None:
    history: list[Message] = [Prompt("Look around. 你好")]
    tools = tuple(replace(TOOL, name=f"tool_{number}", description="What it does, and how. " * 20) for number in range(8))
    script = [anthropic("Step.", [Call(f"toolu_{step}", "tool_1", '{"path": "x"}')], thinking="Hm.") for step in range(50)]
    async with ScriptedServer(script) as server, model_of(server) as model:
        for step in range(50):
            last = [chunk async for chunk in model.stream(asking(*history, tools=tools))][-1]
            assert isinstance(last, Finished)
            history += [last.answer, *(Reply(call.id, call.name, f"line {step}\n" * 30) for call in last.answer.calls)]
    for before, after in zip(server.requests, server.requests[1:], strict=False):
        same = next(place for place, (one, other) in enumerate(zip(before, after, strict=False)) if one != other)
        assert same / len(before) >= 0.97
        # What stood before the mark of the last message stands in the next request too, mark or no mark.
        assert before[:same].endswith(b'"') or before[same - 1 : same] in b'"}]'
        assert len(before) - same < 200
    for whole in server.bodies():
        check(whole)
        assert whole["tools"][-1]["cache_control"] == whole["system"][-1]["cache_control"] == MARK
        assert whole["messages"][-1]["content"][-1]["cache_control"] == MARK
        assert str(whole).count("'cache_control'") == 3


def test_a_step_of_many_calls_is_marked_where_the_last_one_was_too() -> None:
    calls = tuple(Call(f"c{number}", "read", "{}") for number in range(12))
    messages = encoded(Prompt("Go."), Answer("", calls), *(Reply(call.id, "read", "x") for call in calls))["messages"]
    assert messages[0]["content"][-1]["cache_control"] == messages[2]["content"][-1]["cache_control"] == MARK
    check(encoded(Prompt("Go."), Answer("", calls)))


async def test_thinking_goes_back_unchanged_and_to_nobody_else() -> None:
    first = await finished(events(*DOCUMENTED))
    assert first.answer.sealed
    history: list[Message] = [Prompt("Hi"), first.answer, Reply(READ.id, "read_file", "x"), Reply("toolu_2", "list", "y")]
    same = MessagesBody(CLAUDE, messages_dialect("", CLAUDE, family_of(CLAUDE), images=True), first.answer.sealed.by)
    assert encoded(*history, body=same)["messages"][1]["content"] == CONTENT
    assert f'"signature":"{SIGNATURE}"'.encode() in same.encode(asking(*history))
    other = encoded(*history, body=body_of("claude-sonnet-4-6"))["messages"][1]["content"]
    assert [block["type"] for block in other] == ["text", "tool_use", "tool_use"]
    assert SIGNATURE not in json.dumps(other)


async def test_thinking_that_is_refused_is_left_out_and_the_request_sent_again() -> None:
    words = "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation."
    script = [
        anthropic("One.", [("read_file", {})], thinking="Hm.", signature=SIGNATURE),
        failure(400, refusal("invalid_request_error", words)),
        anthropic("Two.", [("list", {})], thinking="Ah.", signature="other"),
        anthropic("Three."),
    ]
    async with ScriptedServer(script) as server, model_of(server) as model:
        history: list[Message] = [Prompt("Hi")]
        ends = []
        for _ in range(3):
            last = [chunk async for chunk in model.stream(asking(*history))][-1]
            assert isinstance(last, Finished), last
            ends.append(last)
            history += [last.answer, *(Reply(call.id, call.name, "x") for call in last.answer.calls)]
    assert [[repair.kind for repair in end.repairs] for end in ends] == [[], ["history"], []]
    held = [SIGNATURE.encode() in request for request in server.requests]
    assert held == [False, True, False, False]
    assert b'"signature":"other"' in server.requests[-1]


async def test_a_refusal_of_anything_else_is_not_asked_again() -> None:
    assert "alternate" in str(await failed(failure(400, refusal("invalid_request_error", "thinking: roles must alternate"))))


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("claude-opus-5-5", "", {"thinking": {"type": "adaptive", "display": "summarized"}}),
        (
            "claude-fable-5-2",
            "max",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "max"}},
        ),
        ("claude-sonnet-4-6", "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("claude-opus-4-7", "none", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-4-5-20250929", "", {}),
        ("claude-sonnet-4-5-20250929", "high", {"thinking": {"type": "enabled", "budget_tokens": 24_576}}),
        ("claude-sonnet-4-20250514", "low", {"thinking": {"type": "enabled", "budget_tokens": 4_096}}),
        ("claude-3-7-sonnet-latest", "medium", {"thinking": {"type": "enabled", "budget_tokens": 12_288}}),
        ("anthropic.claude-opus-4-6-v1", "low", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("claude-3-5-haiku-20241022", "", {}),
        ("kimi-k3", "max", {"output_config": {"effort": "max"}}),
        ("kimi-k2.6", "", {}),
        ("kimi-k2.6", "off", {"thinking": {"type": "disabled"}}),
        ("kimi-k2.7-code", "", {}),
        ("some-model", "", {}),
    ],
)
def test_effort_is_said_as_the_family_takes_it(model: str, effort: str, sent: dict[str, Any]) -> None:
    whole = encoded(body=body_of(model, "https://gateway.example"), request=replace(asking(), effort=effort))
    assert {key: whole[key] for key in ("thinking", "output_config") if key in whole} == sent
    assert "temperature" not in whole or model.startswith("kimi-k")
    assert whole["max_tokens"] > sent.get("thinking", {}).get("budget_tokens", 0)


@pytest.mark.parametrize(("limit", "budget"), [(40_000, 24_576), (20_000, 18_976), (2_048, 1_024), (1_500, None)])
def test_a_budget_of_thinking_always_leaves_room_for_the_answer(limit: int, budget: int | None) -> None:
    whole = encoded(body=body_of("claude-opus-4-1"), request=replace(asking(), effort="high", max_tokens=limit))
    assert whole["max_tokens"] == limit
    assert whole.get("thinking", {}).get("budget_tokens") == budget


def test_a_budget_is_not_asked_for_where_the_last_calls_came_without_thinking() -> None:
    history = (Prompt("Hi"), Answer("", (READ,)), Reply(READ.id, "read_file", "x"))
    asked = replace(asking(*history), effort="high")
    assert "thinking" not in encoded(body=body_of("claude-sonnet-4-5"), request=asked)
    later = replace(asking(*history, Prompt("And now?")), effort="high")
    assert "thinking" in encoded(body=body_of("claude-sonnet-4-5"), request=later)


@pytest.mark.parametrize(
    ("model", "effort"), [("claude-fable-5", "off"), ("kimi-k3", "medium"), ("kimi-k2.7-code", "high"), ("claude-3-haiku", "low")]
)
def test_an_effort_that_a_model_does_not_take_is_said(model: str, effort: str) -> None:
    with pytest.raises(ModelError, match=f"{model} does not take the effort '{effort}'"):
        body_of(model).encode(replace(asking(), effort=effort))


def test_moonshot_gets_what_moonshot_wants() -> None:
    history = (Prompt("Hi"), Answer("", (READ,)), Reply(READ.id, "read_file", "x"), Answer("", (READ,), "Hm."))
    old = encoded(*history, body=body_of("kimi-k2-0905-preview", "https://api.moonshot.ai/anthropic"))
    assert (old["temperature"], old["max_tokens"], old["metadata"]) == (1.0, 32_768, {"user_id": "session-1"})
    assert "thinking" not in str(old["messages"])
    new = encoded(*history, body=body_of("kimi-k2.6", "https://api.moonshot.cn/anthropic"))
    assert "temperature" not in new
    assert [message["content"][0].get("thinking") for message in new["messages"] if message["role"] == "assistant"] == [
        "(no thinking was kept)",
        "Hm.",
    ]
    assert encoded(body=body_of("kimi-k3", "https://api.moonshot.ai/anthropic"))["cache_control"] == MARK
    own = encoded(body=body_of("kimi-k2-instruct", "http://127.0.0.1:8000"))
    assert own["temperature"] == 0.6
    code = encoded(body=body_of("k3", "https://api.kimi.com/coding"), request=replace(asking(), effort="low"))
    assert (code["thinking"], code["output_config"]) == ({"type": "enabled"}, {"effort": "low"})


def test_a_history_with_calls_has_tools_even_where_none_is_on_offer() -> None:
    whole = encoded(request=asking(Prompt("Hi"), Answer("", (READ,)), Reply(READ.id, "read_file", "x"), tools=()))
    assert [tool["name"] for tool in whole["tools"]] == ["read_file"]
    assert whole["tool_choice"] == {"type": "none"}
    assert "tools" not in encoded(request=asking(tools=()))


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/messages"])
async def test_an_address_is_taken_with_and_without_its_version(end: str) -> None:
    async with ScriptedServer([anthropic("Hi")]) as server:
        base = server.base_url.removesuffix("/v1")
        async with model_of(server, base_url=f"{base}/anthropic{end}") as model:
            assert isinstance([chunk async for chunk in model.stream(asking())][-1], Finished)
        assert server.heads[0][":path"] == "/anthropic/v1/messages"


async def test_the_key_goes_into_its_header_and_nowhere_else() -> None:
    async with ScriptedServer([anthropic("Hi")]) as server:
        async with model_of(server) as model:
            assert isinstance([chunk async for chunk in model.stream(asking())][-1], Finished)
        head = server.heads[0]
        assert head.pop("authorization") == f"Bearer {KEY}"
        assert (head["anthropic-version"], head["user-agent"]) == ("2023-06-01", "jumar")
        assert KEY not in str(head) + server.requests[0].decode()


@pytest.mark.parametrize(
    ("base_url", "source", "header"),
    [
        ("https://api.anthropic.com", "ANTHROPIC_API_KEY", "x-api-key"),
        ("https://api.anthropic.com/v1", "K", "x-api-key"),
        ("https://api.anthropic.com", "ANTHROPIC_AUTH_TOKEN", "authorization"),
        ("https://api.moonshot.ai/anthropic", "MOONSHOT_API_KEY", "authorization"),
        ("https://anthropic.com.example", "K", "authorization"),
    ],
)
def test_a_key_is_sent_as_its_host_takes_it(base_url: str, source: str, header: str) -> None:
    model = AnthropicModel(Connection(base_url, "secret", source, CLAUDE, "anthropic"))
    assert list(model._headers()) == [header]


async def test_tokens_are_counted_by_the_server_where_it_does() -> None:
    async with ScriptedServer() as server, model_of(server) as model:
        assert await model.count(asking()) is None
        server.tokens = 4321
        assert await model.count(asking()) == 4321
        assert set(json.loads(server.counted[-1])) == {"model", "tools", "system", "messages", "thinking"}
        server.tokens = 0
        assert await model.count(asking()) is None
    async with ScriptedServer() as server:
        gone = server.base_url
    async with model_of(server, base_url=gone) as model:
        assert await model.count(asking()) is None
