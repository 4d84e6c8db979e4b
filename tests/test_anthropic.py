"""The Messages provider against a real server on the loopback, with streams as Anthropic documents them."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.blocks import Image
from agent.config import Connection
from agent.errors import Fault, ModelError
from agent.messages import Answer, Call, Message, Prompt, Reply, Sealed, Usage
from agent.model import CallDelta, Capabilities, Failed, Finished, Model, Price, ReasoningDelta, TextDelta
from agent.providers.anthropic import AnthropicModel
from agent.providers.anthropic_merge import BlockMerge
from agent.providers.sse import Events
from tests.asking import KEY, asking
from tests.fakes import Response, ScriptedServer, answer, anthropic, block, event, failure, said
from tests.messaging import (
    CLAUDE,
    CONTENT,
    DOCUMENTED,
    READ,
    SIGNATURE,
    check,
    events,
    failed,
    finished,
    model_of,
    refusal,
    started,
    stopped,
    stream,
    words,
)


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


# The shortest stream with thinking, words and a call in it.
SHORT = re.sub(
    rb"event: .*\n",
    b"",
    block(0, {"type": "thinking"}, {"thinking": "Hm."}, {"signature": "c2ln"})
    + block(1, {"type": "text"}, {"text": "好"})
    + block(2, {"type": "tool_use", "id": "a", "name": "list"}, {"partial_json": '{"a":'}, {"partial_json": "1}"})
    + stopped("tool_use", output_tokens=9),
)


@pytest.mark.parametrize("rude", [True, False])
async def test_a_stream_cut_at_any_byte_is_never_taken_for_an_answer(rude: bool) -> None:
    async with ScriptedServer() as server, model_of(server) as model:
        server.script.append(Response((SHORT,)))
        whole = [chunk async for chunk in model.stream(asking())][-1]
        assert isinstance(whole, Finished)
        assert whole.answer.sealed
        assert whole.answer.calls == (Call("a", "list", '{"a":1}'),)
        last_event = SHORT.index(b"\n\n", SHORT.index(b'"stop_reason"'))
        enough = last_event + 2 if rude else last_event  # a stream that ends in good order needs no empty line
        for place in range(0, len(SHORT), 1 if rude else 5):
            server.script.append(Response((SHORT[:place],), cut=rude))
            last = [chunk async for chunk in model.stream(asking())][-1]
            if place >= enough:
                assert last == whole, place
            else:
                assert isinstance(last, Failed), place
                assert last.error.fault is Fault.CUT


def folded(pieces: Sequence[bytes]) -> tuple[str, str, Finished]:
    """Take in pieces as a provider does; return the words and the reasoning that were told, and the answer."""
    merge, stream, told = BlockMerge(lambda error: ModelError(str(error), Fault.REFUSED), "here"), Events(), []
    for piece in pieces:
        for payload in stream.feed(piece):
            merge.take(json.loads(payload))
        told += merge.told()
    for payload in stream.end():
        merge.take(json.loads(payload))
    told += merge.told()
    text = "".join(chunk.text for chunk in told if isinstance(chunk, TextDelta))
    reasoning = "".join(chunk.text for chunk in told if isinstance(chunk, ReasoningDelta))
    return text, reasoning, merge.finished(("read_file", "list"), (), "m")


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


async def test_a_block_whose_kind_is_no_word_is_passed_over() -> None:
    strange = block(3, {"type": [{"text": "text"}], "text": "x"})
    thought = block(0, {"type": "thinking", "thinking": "hm", "signature": "s"})
    last = await finished(Response((said("message_start", message={}), thought, strange, *anthropic("Hi").pieces[2:])))
    assert (last.answer.text, last.answer.reasoning) == ("Hi", "hm")


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
    "the input whole at its start, and no stops": (
        said("content_block_delta", index=0, delta={"type": "text_delta", "text": "Looking."}),
        said(
            "content_block_start",
            index=1,
            content_block={"type": "tool_use", "id": READ.id, "name": "read_file", "input": {"path": "README.md"}},
        ),
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


async def test_an_answer_of_nothing_is_an_answer_and_a_stream_of_nothing_none() -> None:
    assert (await finished(events(started(), stopped()))).answer == Answer("")
    thought = await finished(anthropic(thinking="Hm."))
    assert (thought.answer.text, thought.answer.calls, thought.answer.reasoning) == ("", (), "Hm.")
    assert (await failed(events())).fault is Fault.CUT
    assert (await failed(events(started()))).fault is Fault.CUT


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
    thought = halves.replace(b"text_delta", b"thinking_delta").replace(b'"text"', b'"thinking"')
    last = await finished(events(thought, halves.replace(b":0,", b":1,"), rest.replace(b":0,", b":1,"), stopped()))
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


async def test_words_of_nothing_do_not_go_back_beside_thinking() -> None:
    thought = block(0, {"type": "thinking", "thinking": "Hm."}, {"type": "signature_delta", "signature": "s"})
    call = block(2, {"type": "tool_use", "id": "a", "name": "list", "input": {}})
    last = await finished(events(started(), thought, words("\n\n", number=1), call, stopped("tool_use")))
    assert last.answer.sealed
    assert [one["type"] for one in json.loads(last.answer.sealed.content)] == ["thinking", "tool_use"]


async def test_blocks_that_all_have_one_index_are_told_apart_by_their_beginnings() -> None:
    thought = block(0, {"type": "thinking", "thinking": "Hm."}, {"type": "signature_delta", "signature": "s"})
    calls = [block(0, {"type": "tool_use", "id": name, "name": "list", "input": {}}, {"partial_json": "{}"}) for name in "ab"]
    last = await finished(events(thought, *calls, stopped("tool_use")))
    assert [call.id for call in last.answer.calls] == ["a", "b"]
    assert last.answer.sealed
    assert [one.get("id") for one in json.loads(last.answer.sealed.content)] == [None, "a", "b"]


async def test_thinking_with_nothing_behind_it_does_not_go_back() -> None:
    thought = block(1, {"type": "thinking", "thinking": "Hm."}, {"type": "signature_delta", "signature": "s"})
    assert (await finished(events(started(), words("One."), thought, stopped()))).answer.sealed is None
    assert (await finished(anthropic(thinking="Hm."))).answer.sealed is None


async def test_calls_that_stand_in_the_words_are_found_at_this_protocol_too() -> None:
    leaked = (
        '<|tool_calls_section_begin|><|tool_call_begin|>functions.read_file:0<|tool_call_argument_begin|>{"path": "x"}'
        "<|tool_call_end|><|tool_calls_section_end|>"
    )
    thought = block(0, {"type": "thinking", "thinking": "Hm."}, {"type": "signature_delta", "signature": "s"})
    last = await finished(events(started(), thought, words("Let me see. ", leaked, number=1), stopped()))
    assert [(call.name, json.loads(call.arguments)) for call in last.answer.calls] == [("read_file", {"path": "x"})]
    assert (last.answer.text.strip(), last.finish, last.answer.sealed) == ("Let me see.", "calls", None)
    assert [repair.kind for repair in last.repairs] == ["leaked_call"]


async def test_a_server_that_falls_silent_and_one_that_holds_on_after_the_end() -> None:
    held = asyncio.Event()
    async with ScriptedServer([Response(DOCUMENTED[:3], hold=held), Response(DOCUMENTED, hold=held)]) as server:
        model = AnthropicModel(Connection(server.base_url, KEY, "K", CLAUDE), silence=0.05)
        last = [chunk async for chunk in model.stream(asking())][-1]
        assert isinstance(last, Failed)
        assert last.error.fault is Fault.CUT
        await model.close()
        async with model_of(server) as patient, asyncio.timeout(3):
            assert isinstance([chunk async for chunk in patient.stream(asking())][-1], Finished)


async def test_leaving_a_stream_ends_its_connection_at_once() -> None:
    async with ScriptedServer([Response(DOCUMENTED[:5], hold=asyncio.Event())]) as server, model_of(server) as model:
        chunks = model.stream(asking())
        assert isinstance(await anext(chunks), ReasoningDelta)
        await chunks.aclose()
        await asyncio.wait_for(server.left.wait(), 5)


async def test_two_calls_of_one_id_get_ids_of_their_own_in_what_is_kept_too() -> None:
    thought = block(0, {"type": "thinking", "thinking": "Hm."}, {"type": "signature_delta", "signature": "s"})
    calls = [block(number, {"type": "tool_use", "id": "a", "name": "read_file", "input": {"path": "x"}}) for number in (1, 2)]
    last = await finished(events(started(), thought, *calls, stopped("tool_use")))
    assert last.answer.sealed
    ids = [call.id for call in last.answer.calls]
    assert len(set(ids)) == 2
    assert [block["id"] for block in json.loads(last.answer.sealed.content)[1:]] == ids


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


async def test_a_request_that_is_refused_for_its_form_is_sent_again_in_a_plainer_one() -> None:
    refused = failure(400, refusal("invalid_request_error", "system.0.cache_control: Extra inputs are not permitted"))
    picture = Image("image/png", "iVBORw0=")
    sealed = Sealed("elsewhere", json.dumps(CONTENT))
    history = (Prompt("Look.", (picture,)), Answer("", (READ,), "Hm.", sealed=sealed), Reply(READ.id, "read_file", "x"))
    async with ScriptedServer([refused, anthropic("One."), anthropic("Two.")]) as server, model_of(server) as model:
        ends = [[chunk async for chunk in model.stream(replace(asking(*history), effort="high"))][-1] for _ in range(2)]
    assert [[repair.kind for repair in end.repairs] for end in ends if isinstance(end, Finished)] == [["history"], []]
    rich, *plain = server.bodies()
    assert {"thinking", "output_config"} < rich.keys()
    assert plain[0] == plain[1]
    assert set(plain[0]) == {"model", "stream", "tools", "system", "messages", "max_tokens"}
    assert plain[0]["system"] == "Be brief."
    assert "cache_control" not in str(plain)
    assert "base64" not in str(plain)
    check(plain[0])


async def test_a_request_that_is_refused_in_every_form_fails_with_the_first_refusal() -> None:
    refused = [failure(400, refusal("invalid_request_error", why)) for why in ("thinking: the first", "the second")]
    async with ScriptedServer([*refused, anthropic("Hi")]) as server, model_of(server) as model:
        last = [chunk async for chunk in model.stream(asking())][-1]
        assert isinstance(last, Failed)
        assert "the first" in str(last.error)
        assert isinstance([chunk async for chunk in model.stream(asking())][-1], Finished)
        assert "thinking" in server.bodies()[-1]
    for status, why in ((401, "invalid x-api-key"), (400, "blocked by our content filter")):
        script = [failure(status, refusal("invalid_request_error", why))]
        async with ScriptedServer(script) as server, model_of(server) as model:
            assert isinstance([chunk async for chunk in model.stream(asking())][-1], Failed)
            assert len(server.heads) == 1


async def test_a_stream_that_held_nothing_of_what_was_counted_is_asked_for_once_more_whole() -> None:
    empty = events(started(input_tokens=5), stopped("end_turn", output_tokens=90))
    content = [{"type": "text", "text": "Hi"}]
    whole = failure(200, {"type": "message", "content": content, "stop_reason": "end_turn", "usage": {"output_tokens": 9}})
    async with ScriptedServer([empty, whole]) as server, model_of(server) as model:
        last = [chunk async for chunk in model.stream(asking())][-1]
        assert isinstance(last, Finished)
        assert (last.answer.text, last.usage, [repair.kind for repair in last.repairs]) == ("Hi", Usage(5, 99), ["resent"])
        assert [body["stream"] for body in server.bodies()] == [True, False]
    async with ScriptedServer([events(started(), stopped("end_turn", output_tokens=2))]) as server, model_of(server) as model:
        last = [chunk async for chunk in model.stream(asking())][-1]
        assert isinstance(last, Finished)
        assert (last.answer, len(server.heads)) == (Answer(""), 1)


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
    assert list(model.headers()) == [header]


async def test_what_the_server_lists_is_what_is_known_of_its_model() -> None:
    level = {"supported": True}
    entry = {
        "type": "model",
        "id": "some-model",
        "display_name": "Some Model",
        "max_input_tokens": 50_000,
        "capabilities": {
            "effort": {"supported": True, "low": level, "high": level, "max": {"supported": False}},
            "image_input": level,
        },
    }
    async with ScriptedServer(models=failure(200, {"data": [entry], "has_more": False})) as server:
        async with model_of(server, "some-model", base_url=server.base_url.removesuffix("/v1")) as model:
            assert model.capabilities.window == 131_072
            await model.ready()
            await model.ready()
            known = model.capabilities
            assert (known.window, known.images, known.efforts, known.answer) == (50_000, True, ("low", "high"), 12_500)
            assert await model.list_models() == ["some-model"]
        assert [head[":path"] for head in server.heads] == ["/v1/models", "/v1/models"]
    async with ScriptedServer(models=failure(404)) as server, model_of(server, "some-model") as model:
        await model.ready()
        assert model.capabilities.window == 131_072


def test_what_is_known_of_claude_by_its_name() -> None:
    def known(model: str, window: int | None = None) -> Capabilities:
        connection = Connection("https://api.anthropic.com", "k", "K", model, "anthropic", window=window)
        made: Model = AnthropicModel(connection)
        return made.capabilities

    assert (known("claude-opus-5-5").window, known("claude-sonnet-4-5-20250929").window) == (1_000_000, 200_000)
    assert (known("claude-opus-5-5").answer, known("claude-opus-5-5", 40_000).answer) == (64_000, 10_000)
    assert known("claude-haiku-4-5").price == Price(0.10, 1.00, 5.00, 1.25)
    assert known("claude-haiku-4-5").efforts == ("low", "medium", "high", "off")
    assert known("claude-opus-4-20250514").price == Price(1.50, 15.00, 75.00, 18.75)


async def test_tokens_are_counted_by_the_server_where_it_does() -> None:
    async with ScriptedServer() as server, model_of(server) as model:
        assert await model.count(asking()) is None
        server.tokens = 4321
        assert await model.count(asking()) == 4321
        assert await model.count(replace(asking(), effort="high", max_tokens=9)) == 4321
        assert set(json.loads(server.counted[-1])) == {"model", "tools", "system", "messages", "thinking"}
        server.tokens = 0
        assert await model.count(asking()) is None
    async with ScriptedServer() as server:
        gone = server.base_url
    async with model_of(server, base_url=gone) as model:
        assert await model.count(asking()) is None


async def test_a_server_that_takes_shorter_answers_is_asked_for_one() -> None:
    told = "max_tokens: 32768 > 8192, which is the maximum allowed number of output tokens for this model"
    refused = failure(400, {"type": "error", "error": {"type": "invalid_request_error", "message": told}})
    async with ScriptedServer([refused, anthropic("Hi"), anthropic("Again")]) as server:
        model = AnthropicModel(Connection(server.base_url, KEY, "K", "some-model"))
        first = [chunk async for chunk in model.stream(asking())][-1]
        second = [chunk async for chunk in model.stream(asking(max_tokens=20_000))][-1]
        await model.close()
        bodies = server.bodies()
    assert isinstance(first, Finished)
    assert isinstance(second, Finished)
    assert [repair.kind for repair in first.repairs] == ["history"]
    assert [body["max_tokens"] for body in bodies] == [32768, 8192, 8192]
    assert "system" in bodies[1]
    assert second.repairs == ()
    assert model.capabilities.answer == 8192


async def test_a_server_that_asks_for_ever_shorter_answers_is_not_asked_for_ever() -> None:
    told = [
        {"error": {"type": "invalid_request_error", "message": f"max_tokens: 9 > {most}"}} for most in range(9000, 8000, -100)
    ]
    async with ScriptedServer([failure(400, one) for one in told]) as server:
        model = AnthropicModel(Connection(server.base_url, KEY, "K", "some-model"))
        last = [chunk async for chunk in model.stream(asking())][-1]
        await model.close()
        assert len(server.bodies()) == 5
    assert isinstance(last, Failed)
    assert last.error.fault is Fault.REFUSED
