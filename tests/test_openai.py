"""The Chat Completions provider against a real server on the loopback, with captures byte for byte."""

import asyncio
import gzip
import json
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.config import Connection
from agent.endpoints import server_at
from agent.errors import Fault
from agent.messages import Answer, Call, Message, Prompt, Reply, Usage
from agent.model import CallDelta, Chunk, Failed, Finished, ReasoningDelta, Request, TextDelta
from agent.providers.body import Body
from agent.providers.dialects import dialect_of
from agent.providers.families import Family
from agent.providers.openai import OpenAIModel
from tests.asking import KEY, asking, failed, finished, model_of, stream
from tests.fakes import Response, ScriptedServer, answer, event, failure, recorded

# Recorded byte for byte: vLLM 0.32 and llama.cpp, with Kimi K2's templates, parsers and markup, over small models.
CAPTURES = Path(__file__).parent / "captures"


README = Call("functions.read_file:0", "read_file", '{"path": "README.md"}')


COMPACT = Call("functions.read_file:0", "read_file", '{"path":"README.md"}')


HELLO = Call("functions.write_file:1", "write_file", '{"path": "hello.py", "content": "print(\\"hi — 你好 🌙\\")\\n"}')


def capture(name: str) -> bytes:
    return (CAPTURES / f"{name}.sse").read_bytes()


# What each server said, as one answer: text, calls, reasoning, its key, how it finished, usage.
PLAYED: dict[str, tuple[str, tuple[Call, ...], str, str, str, Usage]] = {
    "llamacpp-k2template-call": (
        "Repeat the following text exactly, character for character, and nothing else:\n",
        (README,), "", "", "calls", Usage(189, 62, 0),
    ),
    "llamacpp-qwen1.5b-auto-leaked-call": (
        "", (COMPACT,), "", "", "calls", Usage(350, 30, 18),
    ),
    "llamacpp-qwen1.5b-length": ("1, 2, 3, 4", (), "", "", "length", Usage(38, 10, 24)),
    "llamacpp-qwen1.5b-required-call": ("", (COMPACT,), "", "", "calls", Usage(350, 64, 349)),
    "llamacpp-qwen1.5b-text": (
        "The moon is a celestial body that orbits Earth and is the only natural satellite of our planet.",
        (), "", "", "stop", Usage(37, 20, 5),
    ),
    "vllm0.32-k2-bad-json": (
        "", (Call("functions.read_file:0", "read_file", '{"path": "README.md'),), "", "", "calls", Usage(344, 17),
    ),
    "vllm0.32-k2-call-truncated": ("", (Call("functions.read_file:0", "read_file", '{"'),), "", "", "length", Usage(344, 9)),
    "vllm0.32-k2-no-section": ("", (README,), "", "", "calls", Usage(344, 16)),
    "vllm0.32-k2-nonstream-call": ("I'll read it. ", (README,), "", "", "calls", Usage(344, 24)),
    "vllm0.32-k2-one-call": ("", (README,), "", "", "calls", Usage(344, 18)),
    "vllm0.32-k2-text-after-call": ("", (README,), "", "", "calls", Usage(344, 20)),
    "vllm0.32-k2-text-then-call": ("I'll read the README first. ", (README,), "", "", "calls", Usage(344, 26)),
    "vllm0.32-k2-text": ("Hello! The answer is 42.\n\n```python\nprint('hi')\n```\n", (), "", "", "stop", Usage(33, 19)),
    "vllm0.32-k2-text-with-tools": ("Hello! The answer is 42.", (), "", "", "stop", Usage(344, 10)),
    "vllm0.32-k2-think": (
        "Let me look. ", (README,), "The user wants the README.", "", "calls", Usage(344, 31),
    ),
    "vllm0.32-k2-two-calls": ("Reading and writing. ", (README, HELLO), "", "", "calls", Usage(344, 55)),
    "vllm0.32-k2-unclosed": ("", (README,), "", "", "calls", Usage(344, 16)),
    "vllm0.32-k2-unknown-tool": (
        "", (Call("functions.no_such_tool:0", "no_such_tool", "{}"),), "", "", "calls", Usage(344, 14),
    ),
    "vllm0.32-k2t-nonstream-think-call": ("Text. ", (README,), "Reason.", "reasoning", "calls", Usage(344, 24)),
    "vllm0.32-k2t-nothink": ("Hello!", (), "", "", "stop", Usage(344, 3)),
    "vllm0.32-k2t-si8-short-call": ("", (README,), "Ok.", "reasoning", "calls", Usage(344, 21)),
    "vllm0.32-k2t-si8-text": (
        "Hello! The answer is 42 and nothing else matters today.", (), "Hi.", "reasoning", "stop", Usage(33, 18),
    ),
    "vllm0.32-k2t-si8-think-two-calls": (
        "Let me look. ", (README, HELLO), "The user wants the README.", "reasoning", "calls", Usage(344, 62),
    ),
    "vllm0.32-k2t-think-call": (
        "Let me look. ", (README,), "The user wants the README. I will read it.", "reasoning", "calls", Usage(344, 35),
    ),
    "vllm0.32-k2t-think-unclosed-call": ("", (README,), "I should read it", "reasoning", "calls", Usage(344, 23)),
    "vllm0.32-k2t-think-only": ("", (), "I keep thinking and thinking", "reasoning", "length", Usage(344, 5)),
    "vllm0.32-k2t-think-text": ("Hello there!", (), "The user greets me.", "reasoning", "stop", Usage(33, 11)),
    "vllm0.32-qwen0.5b-free-text": (
        "Moon whispers secrets,\nWhispers of the night,\nMoon's light dances.", (), "", "", "stop", Usage(37, 16),
    ),
}  # fmt: skip


REFUSED: dict[str, Fault] = {
    "llamacpp-error-badbody": Fault.REFUSED,
    "llamacpp-error-context": Fault.CONTEXT,
    "llamacpp-error-toolchoice": Fault.REFUSED,
    "vllm0.32-k2-error-badrole": Fault.REFUSED,
    "vllm0.32-k2-error-context": Fault.CONTEXT,
    "vllm0.32-k2-error-maxtokens": Fault.REFUSED,
    "vllm0.32-k2-error-model": Fault.REFUSED,
}


EMPTY = "vllm0.32-k2-odd-id"  # its parser lost the call


def test_every_capture_is_played() -> None:
    assert {path.stem for path in CAPTURES.glob("*.sse")} == PLAYED.keys() | REFUSED.keys() | {EMPTY}


@pytest.mark.parametrize("size", [None, 7])
@pytest.mark.parametrize("name", PLAYED)
async def test_what_a_real_server_said_is_one_exact_answer(name: str, size: int | None) -> None:
    *deltas, last = await stream(recorded(capture(name), size))
    text, calls, reasoning, key, finish, usage = PLAYED[name]
    assert isinstance(last, Finished)
    assert last.answer == Answer(text, calls, reasoning, key)
    assert (last.finish, last.usage) == (finish, usage)
    assert "".join(chunk.text for chunk in deltas if isinstance(chunk, TextDelta)) == text
    assert {chunk.name for chunk in deltas if isinstance(chunk, CallDelta)} == {call.name for call in calls}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_a_real_server_refused_is_the_right_fault(name: str) -> None:
    assert (await failed(recorded(capture(name)))).fault is REFUSED[name]


SHORT = capture("vllm0.32-k2t-si8-short-call")


async def streamed(*script: Response, request: Request | None = None) -> tuple[list[Chunk], list[dict[str, Any]]]:
    """Return what one request told, and the bodies that it took."""
    async with ScriptedServer(script) as server, model_of(server) as model:
        return [chunk async for chunk in model.stream(request or asking())], server.bodies()


NOTHING = Response((event({"role": "assistant"}), event({}, "tool_calls"), b"data: [DONE]\n\n"))


async def test_a_stream_that_held_nothing_is_asked_for_once_more_without_streaming() -> None:
    whole = recorded(capture("vllm0.32-k2-nonstream-call"))
    for empty in (recorded(capture(EMPTY)), NOTHING):
        chunks, bodies = await streamed(empty, whole)
        last = chunks[-1]
        assert isinstance(last, Finished)
        assert last.answer.calls == (README,)
        assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta)) == last.answer.text == "I'll read it. "
        assert [repair.kind for repair in last.repairs] == ["resent"]
        assert [body["stream"] for body in bodies] == [True, False]
        assert "stream_options" not in bodies[1]
        assert bodies[0]["messages"] == bodies[1]["messages"]
        assert last.usage.prompt in {344, 688}


async def test_thinking_that_was_shown_stays_and_both_requests_are_counted() -> None:
    thought = Response(
        (
            event({"reasoning": "Hm."}),
            event({"tool_calls": [{"index": 0}]}),
            event({}, "tool_calls", usage={"prompt_tokens": 10, "completion_tokens": 1}),
        )
    )
    chunks, _ = await streamed(thought, recorded(capture("vllm0.32-k2t-nonstream-think-call")))
    last = chunks[-1]
    assert isinstance(last, Finished)
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, ReasoningDelta)) == last.answer.reasoning == "Hm."
    assert last.answer.calls == (README,)
    assert last.usage == Usage(354, 25)


async def test_calls_that_a_stream_lost_are_asked_for_once_more_without_streaming() -> None:
    message = {"content": "I read it.", "tool_calls": [{"id": README.id, "function": {"name": "read_file", "arguments": "{}"}}]}
    whole = Response((json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode(),))
    async with ScriptedServer([answer("I read it.", finish="tool_calls"), whole]) as server, model_of(server) as model:
        *before, last = [chunk async for chunk in model.stream(asking())]
    assert isinstance(last, Finished)
    assert last.answer == Answer("I read it.", (Call(README.id, "read_file", "{}"),))
    assert last.finish == "calls"
    assert [repair.kind for repair in last.repairs] == ["resent"]
    assert "".join(chunk.text for chunk in before if isinstance(chunk, TextDelta)) == last.answer.text


async def test_words_that_were_told_stay_where_asking_again_fails() -> None:
    chunks, bodies = await streamed(answer("I read it.", finish="tool_calls"), failure(503))
    assert isinstance(last := chunks[-1], Finished)
    assert (last.answer, last.repairs, len(bodies)) == (Answer("I read it."), (), 2)


async def test_where_nothing_comes_again_the_answer_is_empty() -> None:
    for second in (NOTHING, failure(400, {"error": {"message": "stream must be true"}})):
        chunks, bodies = await streamed(NOTHING, second)
        [last] = chunks
        assert isinstance(last, Finished)
        assert (last.answer.text, last.answer.calls, len(bodies)) == ("", (), 2)


async def test_thinking_alone_is_not_asked_for_again() -> None:
    chunks, bodies = await streamed(answer("", reasoning="Hm."))
    assert isinstance(last := chunks[-1], Finished)
    assert (last.answer.text, last.answer.reasoning, len(bodies)) == ("", "Hm.", 1)


OF_FORM = failure(400, {"error": {"message": "Invalid request: unsupported field", "type": "invalid_request_error"}})


async def test_what_is_refused_for_its_form_is_sent_once_more_in_a_plainer_one_and_so_from_then_on() -> None:
    async with ScriptedServer([OF_FORM, answer("Hi"), answer("Again")]) as server, model_of(server) as model:
        last = [chunk async for chunk in model.stream(asking())][-1]
        assert isinstance(last, Finished)
        assert last.answer.text == "Hi"
        assert [repair.kind for repair in last.repairs] == ["history"]
        assert "unsupported field" in last.repairs[0].words
        last = [chunk async for chunk in model.stream(asking())][-1]
        assert isinstance(last, Finished)
        assert last.repairs == ()
        first, plain, later = server.bodies()
        assert "stream_options" in first
        assert "stream_options" not in plain
        assert plain == later


@pytest.mark.parametrize(
    ("status", "message", "fault"),
    [
        (400, "This model's maximum context length is 10 tokens", Fault.CONTEXT),
        (400, "The request was rejected because it was considered high risk", Fault.REFUSED),
        (400, "content_filter: say it otherwise", Fault.REFUSED),
        (400, "The model `x` does not exist", Fault.REFUSED),
        (400, "model x is not available in your region", Fault.REFUSED),
        (400, "moonshotai/x is not a valid model ID", Fault.REFUSED),
        (401, "Invalid Authentication", Fault.AUTHENTICATION),
        (403, "not allowed", Fault.AUTHENTICATION),
    ],
)
async def test_what_a_person_must_see_is_not_sent_again(status: int, message: str, fault: Fault) -> None:
    chunks, bodies = await streamed(failure(status, {"error": {"message": message}}), answer("Hi"))
    [last] = chunks
    assert isinstance(last, Failed)
    assert (last.error.fault, len(bodies)) == (fault, 1)


@pytest.mark.parametrize(
    "message",
    [
        "this model does not support image input",
        "The model does not support messages with reasoning_content",
        "This model does not support the parameter temperature",
    ],
)
async def test_what_a_model_does_not_take_is_left_out_and_sent_again(message: str) -> None:
    chunks, bodies = await streamed(failure(400, {"error": {"message": message}}), answer("Hi"))
    assert isinstance(chunks[-1], Finished)
    assert len(bodies) == 2


async def test_what_is_refused_twice_fails_with_the_first_reason() -> None:
    chunks, bodies = await streamed(OF_FORM, failure(400, {"error": {"message": "another"}}))
    [last] = chunks
    assert isinstance(last, Failed)
    assert "unsupported field" in str(last.error)
    assert len(bodies) == 2


async def test_a_flood_ends_the_connection_at_once() -> None:
    pieces = (event({"content": "So:"}), *[event({"content": "\n" * 100})] * 60)
    async with ScriptedServer([Response(pieces, hold=asyncio.Event())]) as server, model_of(server) as model:
        async with asyncio.timeout(4):
            last = [chunk async for chunk in model.stream(asking())][-1]
            await server.left.wait()
    assert isinstance(last, Finished)
    assert last.answer.text.strip() == "So:"
    assert [repair.kind for repair in last.repairs] == ["flood"]


async def test_a_server_whose_thinking_nothing_opens_is_known_from_its_first_answer_on() -> None:
    script = [answer("Hm.</think>Hello."), answer("Ah.</think>Again."), answer("Plain."), answer("Plain.")]
    async with ScriptedServer(script) as server, model_of(server) as model:
        answers = []
        for _ in script.copy():
            last = [chunk async for chunk in model.stream(asking())][-1]
            assert isinstance(last, Finished)
            answers.append((last.answer.reasoning, last.answer.text))
    assert answers == [("", "Hm.Hello."), ("Ah.", "Again."), ("Plain.", ""), ("", "Plain.")]


async def test_a_stream_split_at_every_byte_is_the_same_answer() -> None:
    whole = await finished(recorded(SHORT))
    assert await finished(recorded(SHORT, 1)) == whole
    body = SHORT.partition(b"\r\n\r\n")[2]
    script = [Response((body[:place], body[place:])) for place in range(0, len(body), 5)]
    async with ScriptedServer(script) as server, model_of(server) as model:
        for _ in range(len(script)):
            assert [chunk async for chunk in model.stream(asking())][-1] == whole


@pytest.mark.parametrize("rude", [True, False])
async def test_a_stream_cut_at_any_byte_is_never_taken_for_an_answer(rude: bool) -> None:
    body = re.sub(rb'"id":"chatcmpl.*?"kimi-k2",|,"[a-z_]+":null(?=[,}])', b"", SHORT.partition(b"\r\n\r\n")[2])
    whole = (await finished(Response((body,)))).answer
    assert whole == (await finished(recorded(SHORT))).answer
    last_event = body.index(b"\n\n", body.index(b'"finish_reason":"tool_calls"'))
    enough = last_event + 2 if rude else last_event  # a stream that ends in good order needs no empty line
    places = range(len(body))
    script = [Response((body[:place],), cut=rude) for place in places]
    async with ScriptedServer(script) as server, model_of(server) as model:
        for place in places:
            last = [chunk async for chunk in model.stream(asking())][-1]
            if place >= enough:
                assert isinstance(last, Finished), place
                assert last.answer == whole
            else:
                assert isinstance(last, Failed), place
                assert last.error.fault is Fault.CUT


async def test_the_body_has_its_parts_in_the_order_that_keeps_a_prefix() -> None:
    history: list[Message] = [Prompt("Look around. 你好")]
    script = [answer(f"Step {step}.", [("read_file", {"path": f"f{step}"})], reasoning="Hm.") for step in range(12)]
    async with ScriptedServer(script) as server, model_of(server) as model:
        for step in range(12):
            last = [chunk async for chunk in model.stream(asking(*history))][-1]
            assert isinstance(last, Finished)
            history.append(last.answer)
            history += [Reply(call.id, call.name, f"line {step} \u2028") for call in last.answer.calls]
    for before, after in zip(server.requests, server.requests[1:], strict=False):
        assert before.endswith(b"]}")
        assert after.startswith(before.removesuffix(b"]}"))
    body = server.bodies()[-1]
    assert list(body) == ["model", "stream", "stream_options", "tools", "messages"]
    assert body["stream_options"] == {"include_usage": True}
    assert "你好".encode() in server.requests[0]
    ids = [call["id"] for message in body["messages"] for call in message.get("tool_calls", ())]
    assert ids == [f"functions.read_file:{number}" for number in range(11)]


def encoded(*messages: Message, base_url: str = "http://127.0.0.1/v1", max_tokens: int | None = None) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(
        Body("m", dialect_of(server_at(base_url), Family())).encode(asking(*messages, max_tokens=max_tokens))
    )
    return body


def test_a_message_is_encoded_once_and_a_changed_history_anew() -> None:
    body = Body("m", dialect_of("", Family()))
    one, two, three = Prompt("one"), Prompt("two"), Prompt("three")
    first = body.encode(asking(one, two))
    assert body.encode(asking(one, two)) == first
    for messages in ((one, two, three), (one, three), (three,), (two, one, three)):
        assert body.encode(asking(*messages)) == Body("m", dialect_of("", Family())).encode(asking(*messages))


async def test_a_long_history_which_is_encoded_in_portions_goes_out_whole() -> None:
    messages: list[Message] = [Prompt("look")]
    for number in range(300):
        messages += [Answer("I look.", (Call(str(number), "read", "{}"),)), Reply(str(number), "read", f"{number} " * 1000)]
    grown = [*messages, Answer("done"), Prompt("go on")]
    histories = (messages, grown, [Prompt("a note"), *grown[-201:]])
    async with ScriptedServer([answer("done")] * 3) as server, model_of(server) as model:
        for number, history in enumerate(histories):
            assert isinstance([chunk async for chunk in model.stream(asking(*history))][-1], Finished)
            async with model_of(server) as fresh:
                assert server.requests[number] == fresh.encode(asking(*history), stream=True, plain=False)


def test_other_tools_or_another_limit_make_another_head() -> None:
    body = Body("m", dialect_of("", Family()))
    assert b"tools" in body.encode(asking())
    assert b"tools" not in body.encode(asking(tools=()))
    assert b'"max_tokens":7' in body.encode(asking(max_tokens=7))


def test_a_history_is_sent_as_servers_take_it() -> None:
    messages = encoded(
        Prompt(""),
        Answer(" \n", (Call("a", "read", '{"path": "x"}'), Call("b", "bad name!", "nope"))),
        Reply("a", "read", ""),
        Reply("b", "bad name!", "There is no such tool."),
        Answer("", (), "only thought", "reasoning"),
        Answer("Done.", (), "Hm.", "reasoning"),
    )["messages"]
    assert messages[1:] == [
        {"role": "user", "content": "(nothing)"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "read", "arguments": '{"path": "x"}'}},
                {"id": "b", "type": "function", "function": {"name": "bad_name_", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "name": "read", "content": "(no output)"},
        {"role": "tool", "tool_call_id": "b", "name": "bad_name_", "content": "There is no such tool."},
        {"role": "assistant", "content": "Done.", "reasoning": "Hm."},
    ]


@pytest.mark.parametrize(
    ("came", "sent"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('{"a": "x\ny"}', '{"a":"x\\ny"}'),
        ("", "{}"),
        ("null", "{}"),
        ("[1]", "{}"),
        ('{"a": NaN}', "{}"),
        (' {"a": 1} and so', '{"a":1}'),
        ('{"a": "cut', "{}"),
        ("[" * 100_000, "{}"),
        ('{"a": "\\ud83c"}', '{"a":"\ufffd"}'),
        ('{"a": "\\ud83c\\udf19"}', '{"a":"🌙"}'),
    ],
)
def test_arguments_in_a_history_are_always_a_json_object(came: str, sent: str) -> None:
    message = encoded(Answer("", (Call("a", "read", came),)))["messages"][1]
    assert message["tool_calls"][0]["function"]["arguments"] == sent


def test_half_a_character_goes_out_as_a_sign_for_it() -> None:
    assert encoded(Prompt("a\ud800b \ud83c\udf19"))["messages"][1]["content"] == "a\ufffdb 🌙"


def test_moonshot_gets_what_moonshot_wants() -> None:
    call = Answer("", (README,))
    body = encoded(Prompt("Hi"), call, Answer("", (README,), "Hm.", "reasoning"), base_url="https://api.moonshot.ai/v1")
    assert list(body) == ["model", "stream", "stream_options", "prompt_cache_key", "tools", "messages", "max_completion_tokens"]
    assert body["prompt_cache_key"] == "session-1"
    assert [message["reasoning_content"] for message in body["messages"][2:]] == ["", "Hm."]
    assert all("content" not in message for message in body["messages"][2:])
    assert encoded(Prompt("Hi"), base_url="https://api.kimi.com/coding/v1", max_tokens=9)["max_completion_tokens"] == 9
    assert "prompt_cache_key" not in encoded(Prompt("Hi"), base_url="https://notmoonshot.ai/v1")


async def test_the_key_goes_into_its_header_and_nowhere_else() -> None:
    async with ScriptedServer([answer("Hi")]) as server:
        async with model_of(server) as model:
            assert await model.list_models() == ["scripted"]
            assert [chunk async for chunk in model.stream(asking())]
        assert [head["authorization"] for head in server.heads] == [f"Bearer {KEY}"] * 2
        assert [head["accept-encoding"] for head in server.heads] == ["identity"] * 2
        assert [head[":path"] for head in server.heads] == ["/v1/models", "/v1/chat/completions"]
        assert KEY not in repr(model.__dict__["_http"].__dict__)
        async with model_of(server, key="") as model:
            await model.list_models()
        assert "authorization" not in server.heads[-1]


@pytest.mark.parametrize("key", ["sk-a b", "sk-ü", "sk-a\nx: y"])
async def test_a_key_that_cannot_be_one_is_never_sent(key: str) -> None:
    async with ScriptedServer([answer("Hi")]) as server, model_of(server, key=key) as model:
        [chunk] = [chunk async for chunk in model.stream(asking())]
        assert isinstance(chunk, Failed)
        assert chunk.error.fault is Fault.AUTHENTICATION
        assert "JUMAR_API_KEY" in str(chunk.error)
        assert key not in str(chunk.error)
        assert server.heads == []


async def test_steps_share_one_connection() -> None:
    script = [answer("one"), recorded(SHORT), failure(429, {"error": {"message": "slow"}}), answer("three")]
    async with ScriptedServer(script) as server, model_of(server) as model:
        for _ in range(4):
            assert [chunk async for chunk in model.stream(asking())]
        assert server.connections == 1


async def test_a_model_of_the_servers_choice_is_not_named_and_can_be_learned() -> None:
    async with ScriptedServer([answer("Hi")], models=("a", "b")) as server, model_of(server, name="") as model:
        last = [chunk async for chunk in model.stream(asking())][-1]
        assert "model" not in server.bodies()[0]
        assert isinstance(last, Finished)
        assert last.model == "scripted"
        assert await model.list_models() == ["a", "b"]


async def test_a_server_with_a_certificate_is_believed_when_the_person_does(monkeypatch: pytest.MonkeyPatch) -> None:
    secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secured.load_cert_chain(CAPTURES / "localhost.pem")
    async with ScriptedServer([answer("Hi")], secured=secured) as server:
        assert server.base_url.startswith("https:")
        async with model_of(server) as model:
            [chunk] = [chunk async for chunk in model.stream(asking())]
            assert isinstance(chunk, Failed)
            assert chunk.error.fault is Fault.REFUSED
            assert "SSL_CERT_FILE" in str(chunk.error)
        monkeypatch.setenv("SSL_CERT_FILE", str(CAPTURES / "localhost.pem"))
        async with model_of(server) as model:
            last = [chunk async for chunk in model.stream(asking())][-1]
            assert isinstance(last, Finished)


async def test_a_proxy_for_the_world_is_not_asked_for_a_plain_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await finished(answer("Hi"))).answer.text == "Hi"


@pytest.mark.parametrize(
    ("name", "value"), [("SSL_CERT_FILE", "/nowhere.pem"), ("HTTPS_PROXY", "gopher://h"), ("HTTPS_PROXY", "http://h:port")]
)
async def test_surroundings_that_cannot_be_used_are_told_and_nothing_is_raised(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    model = OpenAIModel(Connection("https://127.0.0.1:9/v1", KEY, "JUMAR_API_KEY", "k2"))
    [chunk] = [chunk async for chunk in model.stream(asking())]
    assert isinstance(chunk, Failed)
    assert name in str(chunk.error)


@pytest.mark.parametrize("url", ["http://ä.\ud800/v1", "gopher://h/v1", "http://h:99999/v1"])
async def test_an_address_that_is_none_is_told_and_nothing_is_raised(url: str) -> None:
    model = OpenAIModel(Connection(url, KEY, "JUMAR_API_KEY", "k2"))
    [chunk] = [chunk async for chunk in model.stream(asking())]
    await model.close()
    assert isinstance(chunk, Failed)


async def test_a_body_that_was_packed_unasked_is_unpacked() -> None:
    packed = gzip.compress(b"".join(answer("Hi").pieces))
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    assert (await finished(Response((packed[:20], packed[20:]), headers=headers))).answer.text == "Hi"
    assert (await failed(Response((b"data: no gzip\n\n",), headers=headers))).fault is Fault.GARBLED


async def test_a_connection_that_ends_before_anything_came_may_be_tried_again() -> None:
    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(leave, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        model = OpenAIModel(Connection(f"http://127.0.0.1:{port}/v1", "", "", "k2"))
        [chunk] = [chunk async for chunk in model.stream(asking())]
        await model.close()
    assert isinstance(chunk, Failed)
    assert chunk.error.fault is Fault.CONNECT


@pytest.mark.parametrize(
    ("first", "again", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", b": ping\n\n", Fault.CUT),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", b'data: {"choices": []}\n\n', Fault.CUT),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", b"\n", Fault.CUT),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n", Fault.CONNECT),
    ],
)
async def test_signs_of_life_without_an_answer_have_a_limit_too(first: bytes, again: bytes, fault: Fault) -> None:
    async def live(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.write(first)
        with suppress(ConnectionError):
            while True:
                writer.write(again)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async with asyncio.timeout(20), await asyncio.start_server(live, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        model = OpenAIModel(Connection(f"http://127.0.0.1:{port}/v1", KEY, "K", "k2"), silence=0.05)
        [chunk] = [chunk async for chunk in model.stream(asking())]
        await model.close()
    assert isinstance(chunk, Failed)
    assert chunk.error.fault is fault


async def test_silence_has_a_limit() -> None:
    script = [Response((event({"content": "Hel"}),), hold=asyncio.Event())]
    async with ScriptedServer(script) as server, model_of(server, silence=0.05) as model:
        *_, last = [chunk async for chunk in model.stream(asking())]
        assert isinstance(last, Failed)
        assert last.error.fault is Fault.CUT


async def test_a_whole_answer_does_not_wait_long_for_the_end_of_its_stream() -> None:
    whole = answer("Hi", hold=asyncio.Event())
    async with ScriptedServer([whole]) as server, model_of(server) as model:
        async with asyncio.timeout(4):
            last = [chunk async for chunk in model.stream(asking())][-1]
        assert isinstance(last, Finished)
        assert last.answer.text == "Hi"


@pytest.mark.parametrize("more", [b"data: {}}\n\n", b'data: {"error": {"message": "overloaded"}}\n\n'])
async def test_a_whole_answer_is_not_lost_to_what_comes_after_it_in_the_same_piece(more: bytes) -> None:
    whole = b"".join(answer("Hi").pieces[:-1])
    assert (await finished(Response((whole + more,)))).answer.text == "Hi"


@pytest.mark.parametrize("pieces", [(), (event({"content": "Hel"}),)])
async def test_cancelling_ends_the_connection_at_once(pieces: tuple[bytes, ...]) -> None:
    async with ScriptedServer([Response(pieces, hold=asyncio.Event())]) as server, model_of(server) as model:

        async def listen() -> None:
            async for _ in model.stream(asking()):
                pass

        task = asyncio.create_task(listen())
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await server.left.wait()


async def test_closing_the_stream_ends_the_connection_at_once() -> None:
    async with (
        ScriptedServer([Response((event({"content": "Hel"}),), hold=asyncio.Event())]) as server,
        model_of(server) as model,
    ):
        chunks = model.stream(asking())
        assert await anext(chunks) == TextDelta("Hel")
        await chunks.aclose()
        async with asyncio.timeout(5):
            await server.left.wait()
