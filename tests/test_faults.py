"""What a refusal means, and the one line that says what to do."""

import base64
import json
import socket
from typing import Any

import pytest

from agent.config import Connection
from agent.errors import Fault, ModelError
from agent.model import Failed
from agent.providers.faults import Faults
from agent.providers.openai import OpenAIModel
from tests.asking import KEY, asking, failed, model_of, saying
from tests.fakes import Response, ScriptedServer, event, failure


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
    (403, {"error": {"message": f"key {KEY} may not", "type": "permission_denied_error"}}, Fault.AUTHENTICATION, "key [masked]"),
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
    (429, {"error": {"message": "x, check your plan and billing", "code": "insufficient_quota"}}, Fault.QUOTA, "nothing left"),
    (429, {"error": {"message": "You are out: see billing", "type": "x"}}, Fault.QUOTA, "nothing left"),
    (429, {"error": {"message": "pay more at /account/billing", "code": "rate_limit_exceeded"}}, Fault.RATE, "no more requests"),
    (429, {"error": {"message": "see its usage limits", "type": "rate_limit_error"}}, Fault.RATE, "no more requests"),
    (429, {"error": {"message": "You reached your usage limit", "type": "rate_limit_error"}}, Fault.QUOTA, "nothing left"),
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
        ({"message": "considered high risk", "type": "content_filter"}, Fault.REFUSED),
        ({"message": "x", "type": "resource_not_found_error"}, Fault.REFUSED),
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
    encoded = f"{base64.b64encode(KEY.encode()).decode()} {KEY.encode().hex()}"
    hostile = f"\x1b[31mred\x07\n\u202e{KEY} {encoded} Bearer abcdefghijkl sk-abcdefghijkl " + "x" * 10_000
    words = str(faults.of_response("/chat/completions", 400, {}, json.dumps({"error": {"message": hostile}}).encode()))
    assert words.isprintable()
    assert len(words) < 400
    assert "abcdefghijkl" not in words
    assert not [form for form in (KEY, *encoded.split()) if form[:16] in words]


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
