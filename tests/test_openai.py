"""Owns the proof of the Chat Completions provider: against a real server on the loopback, with captures byte for byte."""

import asyncio
import gzip
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config import Connection
from agent.errors import Fault, ModelError
from agent.messages import Answer, Call, Message, Prompt, Reply, Usage
from agent.model import CallDelta, Chunk, Failed, Finished, Request, TextDelta, ToolOffer
from agent.providers.body import Body
from agent.providers.faults import Faults
from agent.providers.kimi import dialect
from agent.providers.openai import OpenAIModel
from tests.fakes import Response, ScriptedServer, answer, event, failure, recorded

# Recorded byte for byte: vLLM 0.32 and llama.cpp, with Kimi K2's templates, parsers and markup, over small models.
CAPTURES = Path(__file__).parent / "captures"
KEY = "sk-very-secret-key-of-a-person"
TOOL = ToolOffer("read_file", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
README = Call("functions.read_file:0", "read_file", '{"path": "README.md"}')
HELLO = Call("functions.write_file:1", "write_file", '{"path": "hello.py", "content": "print(\\"hi — 你好 🌙\\")\\n"}')


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


def capture(name: str) -> bytes:
    return (CAPTURES / f"{name}.sse").read_bytes()


# What each server said, as one answer: text, calls, reasoning, its key, how it finished, usage.
PLAYED: dict[str, tuple[str, tuple[Call, ...], str, str, str, Usage]] = {
    "llamacpp-k2template-call": (
        "Repeat the following text exactly, character for character, and nothing else:\n",
        (README,), "", "", "calls", Usage(189, 62, 0),
    ),
    "llamacpp-qwen1.5b-auto-leaked-call": (
        '```json\n{\n  "name": "read_file",\n  "arguments": {\n    "path": "README.md"\n  }\n}\n```',
        (), "", "", "stop", Usage(350, 30, 18),
    ),
    "llamacpp-qwen1.5b-length": ("1, 2, 3, 4", (), "", "", "length", Usage(38, 10, 24)),
    "llamacpp-qwen1.5b-text": (
        "The moon is a celestial body that orbits Earth and is the only natural satellite of our planet.",
        (), "", "", "stop", Usage(37, 20, 5),
    ),
    "vllm0.32-k2-bad-json": (
        "", (Call("functions.read_file:0", "read_file", '{"path": "README.md'),), "", "", "calls", Usage(344, 17),
    ),
    "vllm0.32-k2-call-truncated": ("", (Call("functions.read_file:0", "read_file", '{"'),), "", "", "length", Usage(344, 9)),
    "vllm0.32-k2-nonstream-call": ("I'll read it. ", (README,), "", "", "calls", Usage(344, 24)),
    "vllm0.32-k2-one-call": ("", (README,), "", "", "calls", Usage(344, 18)),
    "vllm0.32-k2-text-after-call": ("", (README,), "", "", "calls", Usage(344, 20)),
    "vllm0.32-k2-text-then-call": ("I'll read the README first. ", (README,), "", "", "calls", Usage(344, 26)),
    "vllm0.32-k2-text": ("Hello! The answer is 42.\n\n```python\nprint('hi')\n```\n", (), "", "", "stop", Usage(33, 19)),
    "vllm0.32-k2-two-calls": ("Reading and writing. ", (README, HELLO), "", "", "calls", Usage(344, 55)),
    "vllm0.32-k2-unclosed": ("", (README,), "", "", "calls", Usage(344, 16)),
    "vllm0.32-k2-unknown-tool": (
        "", (Call("functions.no_such_tool:0", "no_such_tool", "{}"),), "", "", "calls", Usage(344, 14),
    ),
    "vllm0.32-k2t-nonstream-think-call": ("Text. ", (README,), "Reason.", "reasoning", "calls", Usage(344, 24)),
    "vllm0.32-k2t-nothink": ("Hello!", (), "", "", "stop", Usage(344, 3)),
    "vllm0.32-k2t-si8-short-call": ("", (README,), "Ok.", "reasoning", "calls", Usage(344, 21)),
    "vllm0.32-k2t-si8-think-two-calls": (
        "Let me look. ", (README, HELLO), "The user wants the README.", "reasoning", "calls", Usage(344, 62),
    ),
    "vllm0.32-k2t-think-call": (
        "Let me look. ", (README,), "The user wants the README. I will read it.", "reasoning", "calls", Usage(344, 35),
    ),
    "vllm0.32-k2t-think-only": ("", (), "I keep thinking and thinking", "reasoning", "length", Usage(344, 5)),
    "vllm0.32-k2t-think-text": ("Hello there!", (), "The user greets me.", "reasoning", "stop", Usage(33, 11)),
    "vllm0.32-qwen0.5b-free-text": (
        "Moon whispers secrets,\nWhispers of the night,\nMoon's light dances.", (), "", "", "stop", Usage(37, 16),
    ),
}  # fmt: skip
REFUSED: dict[str, Fault] = {
    "llamacpp-error-context": Fault.CONTEXT,
    "vllm0.32-k2-error-badrole": Fault.REFUSED,
    "vllm0.32-k2-error-context": Fault.CONTEXT,
    "vllm0.32-k2-error-maxtokens": Fault.REFUSED,
    "vllm0.32-k2-error-model": Fault.REFUSED,
    "vllm0.32-k2-odd-id": Fault.GARBLED,
}


def test_every_capture_is_played() -> None:
    assert {path.stem for path in CAPTURES.glob("*.sse")} == PLAYED.keys() | REFUSED.keys()


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
        assert after.startswith(before[:-2])
    body = server.bodies()[-1]
    assert list(body) == ["model", "stream", "stream_options", "tools", "messages"]
    assert body["stream_options"] == {"include_usage": True}
    assert "你好".encode() in server.requests[0]
    ids = [call["id"] for message in body["messages"] for call in message.get("tool_calls", ())]
    assert ids == [f"functions.read_file:{number}" for number in range(11)]


def encoded(*messages: Message, base_url: str = "http://127.0.0.1/v1", max_tokens: int | None = None) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(Body("m", dialect(base_url)).encode(asking(*messages, max_tokens=max_tokens)))
    return body


def test_a_message_is_encoded_once_and_a_changed_history_anew() -> None:
    body = Body("m", dialect("http://127.0.0.1/v1"))
    one, two, three = Prompt("one"), Prompt("two"), Prompt("three")
    first = body.encode(asking(one, two))
    assert body.encode(asking(one, two)) == first
    for messages in ((one, two, three), (one, three), (three,), (two, one, three)):
        assert body.encode(asking(*messages)) == Body("m", dialect("http://127.0.0.1/v1")).encode(asking(*messages))


def test_other_tools_or_another_limit_make_another_head() -> None:
    body = Body("m", dialect("http://127.0.0.1/v1"))
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
    assert list(body) == ["model", "stream", "stream_options", "max_completion_tokens", "prompt_cache_key", "tools", "messages"]
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


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (failure(404, {"detail": "Not Found"}), "/v1/models is not there (404): Not Found"),
        (failure(200, {"data": "none"}), "JUMAR_MODEL"),
        (failure(200, "\n<html>"), "answered with a web page and not as a model; is the base URL right?"),
        (failure(200, {"error": "Unexpected endpoint"}), "/v1/models is not there: Unexpected endpoint"),
        (failure(200, {"error": {"message": "invalid api key"}}), "does not accept the key in JUMAR_API_KEY"),
        (failure(200, {"error": {"message": "the server is overloaded"}}), "could not answer: the server is overloaded"),
        (failure(401, {"error": {"message": "no"}}), "JUMAR_API_KEY"),
    ],
)
async def test_a_server_that_lists_no_models_says_what_to_do(answered: Response, words: str) -> None:
    async with ScriptedServer(models=answered) as server, model_of(server) as model:
        with pytest.raises(ModelError) as caught:
            await model.list_models()
    assert words in str(caught.value)


async def test_an_empty_list_of_models_is_one() -> None:
    async with ScriptedServer(models=()) as server, model_of(server) as model:
        assert await model.list_models() == []


HINT = "; does the base URL miss /v1 at its end?"
LOST = b'{"error": "Unexpected endpoint or method. (GET /models)"}'


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, LOST, f"is not there: Unexpected endpoint or method. (GET /models){HINT}"),
        (400, LOST, f"is not there (400): Unexpected endpoint or method. (GET /models){HINT}"),
        (404, b'{"detail": "Not Found"}', f"is not there (404): Not Found{HINT}"),
        (200, b"<!doctype html>", f"answered with a web page and not as a model{HINT}"),
    ],
)
@pytest.mark.parametrize("base", ["", "/", "/api", "/v1x", "/v1/api/"])
async def test_a_place_that_is_not_there_hints_at_the_base_url(status: int, body: bytes, words: str, base: str) -> None:
    async with saying(status, body) as port:
        model = OpenAIModel(Connection(f"http://127.0.0.1:{port}{base}", KEY, "JUMAR_API_KEY", "k2"))
        [chunk] = [chunk async for chunk in model.stream(asking())]
        with pytest.raises(ModelError) as caught:
            await model.list_models()
        await model.close()
    assert isinstance(chunk, Failed)
    for error in (chunk.error, caught.value):
        assert words in str(error)
        assert error.fault is Fault.REFUSED


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/api/paas/v4"])
def test_a_base_url_with_a_version_at_its_end_misses_none(path: str) -> None:
    faults = Faults(Connection(f"http://h{path}", KEY, "K", "k"), "h")
    assert "/v1 at its end" not in str(faults.of_response("/models", 404, {}, b""))


async def test_a_server_without_tls_is_asked_for_by_another_address() -> None:
    async with saying(400, b"") as port:
        model = OpenAIModel(Connection(f"https://127.0.0.1:{port}/v1", KEY, "JUMAR_API_KEY", "k2"))
        [chunk] = [chunk async for chunk in model.stream(asking())]
        await model.close()
    assert isinstance(chunk, Failed)
    assert str(chunk.error) == f"127.0.0.1:{port} does not speak TLS there; does the base URL begin with http://?"
    assert chunk.error.fault is Fault.REFUSED


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


ERROR = {"message": "no", "type": "x"}
CLASSES: list[tuple[int, dict[str, Any] | str, Fault, str]] = [
    (400, {"error": {"message": "considered high risk", "type": "content_filter"}}, Fault.REFUSED, "high risk"),
    (400, {"error": {"message": "Input token length too long", "type": "x"}}, Fault.CONTEXT, "no longer fits"),
    (400, {"error": {"message": "Your request exceeded model token limit: 262144"}}, Fault.CONTEXT, "no longer fits"),
    (400, {"error": {"message": "prompt tokens + max_tokens exceeds the model specification"}}, Fault.CONTEXT, "no longer fits"),
    (400, {"error": {"message": "x", "code": "context_length_exceeded"}}, Fault.CONTEXT, "no longer fits"),
    (400, {"error": {"message": "invalid temperature: only 1 is allowed"}}, Fault.REFUSED, "only 1 is allowed"),
    (401, {"error": ERROR}, Fault.AUTHENTICATION, "JUMAR_API_KEY"),
    (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, Fault.AUTHENTICATION, "JUMAR_API_KEY"),
    (403, {"error": {"message": f"key {KEY} may not", "type": "permission_denied_error"}}, Fault.AUTHENTICATION, "key … may not"),
    (402, {"error": {"message": "Insufficient Balance"}}, Fault.QUOTA, "nothing left to spend"),
    (404, {"error": {"message": "The model `k2` does not exist", "type": "NotFoundError"}}, Fault.REFUSED, "JUMAR_MODEL"),
    (404, {"detail": "Not Found"}, Fault.REFUSED, "/chat/completions is not there"),
    (408, "", Fault.OVERLOADED, "(408)"),
    (409, {"error": ERROR}, Fault.OVERLOADED, "(409)"),
    (413, "<html>", Fault.CONTEXT, "no longer fits"),
    (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, Fault.REFUSED, "(422)"),
    (429, {"error": {"message": "try later", "type": "engine_overloaded_error"}}, Fault.OVERLOADED, "overloaded"),
    (429, {"error": {"message": "request reached TPM rate limit", "type": "rate_limit_reached_error"}}, Fault.RATE, "TPM"),
    (429, {"error": {"message": "request reached TPD rate limit", "type": "rate_limit"}}, Fault.QUOTA, "day's limit"),
    (429, {"error": {"message": "x", "type": "exceeded_current_quota_error"}}, Fault.QUOTA, "nothing left to spend"),
    (429, {"error": {"message": "Your account is in arrears, please recharge"}}, Fault.QUOTA, "nothing left to spend"),
    (429, "", Fault.RATE, "no more requests"),
    (500, {"error": {"message": "boom", "type": "server_error"}}, Fault.OVERLOADED, "boom"),
    (502, "<html><body>Bad Gateway</body></html>", Fault.OVERLOADED, "(502)"),
    (503, "no healthy upstream", Fault.OVERLOADED, "no healthy upstream"),
    (504, "<!DOCTYPE html><p>late", Fault.OVERLOADED, "(504)"),
    (529, {"error": {"type": "overloaded_error"}}, Fault.OVERLOADED, "(529)"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "fault", "words"), CLASSES)
async def test_every_refusal_is_classified_and_says_what_it_is(
    status: int, body: dict[str, Any] | str, fault: Fault, words: str
) -> None:
    error = await failed(failure(status, body))
    assert error.fault is fault
    assert words in str(error)
    assert "127.0.0.1" in str(error)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ({"message": "boom", "type": "InternalServerError", "code": 500}, Fault.OVERLOADED),
        ({"message": "boom"}, Fault.OVERLOADED),
        ("boom", Fault.OVERLOADED),
        ({"message": "Rate limit exceeded", "code": 429}, Fault.RATE),
        ({"message": "x", "type": "rate_limit_reached_error"}, Fault.RATE),
        ({"message": "x", "type": "engine_overloaded_error"}, Fault.OVERLOADED),
        ({"message": "x", "code": "insufficient_quota"}, Fault.QUOTA),
        ({"message": "maximum context length is 10 tokens", "code": 400}, Fault.CONTEXT),
        ({"message": "bad tool", "code": 400}, Fault.REFUSED),
        ({"message": "x", "type": "invalid_authentication_error"}, Fault.AUTHENTICATION),
    ],
)
async def test_an_error_with_the_status_of_success_is_classified_too(error: object, fault: Fault) -> None:
    line = b"data: " + json.dumps({"error": error}).encode()
    begun = event({"content": "Hel"})
    for pieces in ((begun, line + b"\n\n"), (line + b"\n\n", b"data: [DONE]\n\n"), (begun, line)):
        assert (await failed(Response(pieces))).fault is fault
    assert (await failed(failure(200, {"error": error}))).fault is fault


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Mon, 23 Nov 2026 15:20:12 GMT", "date": "Mon, 23 Nov 2026 15:19:42 GMT"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 15:19:12 GMT", "date": "Mon, 23 Nov 2026 15:19:42 GMT"}, 0.0),
        ({"retry-after": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
async def test_the_wait_that_a_server_asks_for_is_told(headers: dict[str, str], seconds: float | None) -> None:
    assert (await failed(failure(429, {"error": ERROR}, headers))).retry_after == seconds


async def test_a_server_that_wants_a_key_says_where_to_put_one() -> None:
    async with ScriptedServer([failure(401, {"error": ERROR})]) as server, model_of(server, key="") as model:
        [chunk] = [chunk async for chunk in model.stream(asking())]
        assert isinstance(chunk, Failed)
        assert "set JUMAR_API_KEY" in str(chunk.error)


def test_a_key_for_another_of_moonshots_hosts_is_explained() -> None:
    faults = Faults(Connection("https://api.moonshot.ai/v1", KEY, "MOONSHOT_API_KEY", "k"), "api.moonshot.ai")
    words = str(faults.of_response("/chat/completions", 401, {}, b"{}"))
    assert "MOONSHOT_API_KEY" in words
    assert "not interchangeable" in words


def test_what_a_server_says_is_shown_in_one_short_line_without_the_key() -> None:
    faults = Faults(Connection("http://h/v1", KEY, "K", "k"), "h")
    hostile = f"\x1b[31mred\x07\n\u202e{KEY} Bearer abcdefghijkl sk-abcdefghijkl " + "x" * 10_000
    words = str(faults.of_response("/chat/completions", 400, {}, json.dumps({"error": {"message": hostile}}).encode()))
    assert words.isprintable()
    assert len(words) < 400
    assert "abcdefghijkl" not in words
    assert KEY not in words


async def test_a_web_page_in_place_of_an_answer_hints_at_the_base_url() -> None:
    async with ScriptedServer([Response((b"\n<!doctype html>",), headers={"content-type": "text/html"})]) as server:
        model = OpenAIModel(Connection(server.base_url.removesuffix("/v1"), KEY, "JUMAR_API_KEY", "k2"))
        [chunk] = [chunk async for chunk in model.stream(asking())]
        await model.close()
    assert isinstance(chunk, Failed)
    assert chunk.error.fault is Fault.REFUSED
    assert "/v1" in str(chunk.error)


async def test_a_redirect_is_not_followed_with_the_key() -> None:
    error = await failed(failure(308, "", {"location": "https://elsewhere.example/v1/chat/completions?secret"}))
    assert error.fault is Fault.REFUSED
    assert "elsewhere.example;" in str(error)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"hello": 1}', Fault.GARBLED),
        (b"[]", Fault.GARBLED),
        (b'{"choices": [', Fault.GARBLED),
        (b"data: {nope}\n\n", Fault.GARBLED),
        (b"data: " + b"[" * 100_000 + b"\n\n", Fault.GARBLED),
        (b"data: [DONE]\n\n", Fault.GARBLED),
        (b"", Fault.CUT),
        (b": nothing but a comment\n\n", Fault.CUT),
    ],
)
async def test_a_body_that_is_no_answer_fails_and_may_be_tried_again(body: bytes, fault: Fault) -> None:
    error = await failed(Response((body,)))
    assert error.fault is fault
    assert error.retryable


async def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        model = OpenAIModel(Connection(f"http://person:word@127.0.0.1:{port}/v1", KEY, "JUMAR_API_KEY", "k2"))
        [chunk] = [chunk async for chunk in model.stream(asking())]
        await model.close()
    assert isinstance(chunk, Failed)
    assert chunk.error.fault is Fault.CONNECT
    assert f"127.0.0.1:{port}" in str(chunk.error)
    assert "refused" in str(chunk.error)
    assert "word" not in str(chunk.error)


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
