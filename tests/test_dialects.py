"""What hosts and model families want otherwise than the rest, in the body of a request."""

import json
import re
from typing import Any

import pytest

from agent.blocks import Image
from agent.errors import Fault, ModelError
from agent.messages import Answer, Call, Message, Prompt, Reply
from agent.model import Request
from agent.providers.body import Body
from agent.providers.dialects import dialect_of
from agent.providers.families import family_of
from tests.asking import TOOL

PNG = Image("image/png", "iVBORw0KGgo=")
URL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def body_of(server: str, model: str, *, images: bool = False) -> Body:
    return Body(model, dialect_of(server, family_of(model), images=images))


def asking(*messages: Message, effort: str = "", max_tokens: int | None = None) -> Request:
    return Request("Be brief.", messages or (Prompt("Hi"),), (TOOL,), "session-1", max_tokens, effort)


def encoded(body: Body, *messages: Message, plain: bool = False, stream: bool = True, **more: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(body.encode(asking(*messages, **more), plain=plain, stream=stream))
    return value


def tail(server: str, model: str, effort: str = "") -> dict[str, Any]:
    """Return what a request carries beside what all carry."""
    whole = encoded(body_of(server, model), effort=effort)
    usual = {"model", "messages", "stream", "stream_options", "tools", "prompt_cache_key", "max_completion_tokens", "max_tokens"}
    return {key: value for key, value in whole.items() if key not in usual}


THINKS = {"thinking": {"type": "enabled", "keep": "all"}}
THINKS_NOT = {"thinking": {"type": "disabled"}}
AS_ADVISED = {"temperature": 1.0, "top_p": 0.95}


@pytest.mark.parametrize(
    ("server", "model", "effort", "carried"),
    [
        ("moonshot-intl", "kimi-k2.6", "", THINKS),
        ("moonshot-cn", "kimi-k2.6", "on", THINKS),
        ("moonshot-intl", "kimi-k2.6", "off", THINKS_NOT),
        ("moonshot-intl", "kimi-k2.6", "none", THINKS_NOT),
        ("moonshot-intl", "kimi-k2.7-code", "", {}),
        ("moonshot-intl", "kimi-k2.7-code-highspeed", "", {}),
        ("moonshot-intl", "kimi-k3", "", {}),
        ("moonshot-intl", "kimi-k3", "max", {"reasoning_effort": "max"}),
        ("moonshot-intl", "kimi-k3.1-pro", "low", {"reasoning_effort": "low"}),
        ("moonshot-intl", "kimi-k9", "", {}),
        ("kimi-code", "k3", "high", {"thinking": {"type": "enabled", "effort": "high", "keep": "all"}}),
        ("kimi-code", "k3", "", THINKS),
        ("kimi-code", "kimi-for-coding", "", THINKS),
        ("kimi-code", "kimi-for-coding", "off", THINKS_NOT),
        ("vllm", "moonshotai/Kimi-K2-Instruct-0905", "", {"temperature": 0.6}),
        ("vllm", "Kimi-K2-Thinking", "", {"temperature": 1.0}),
        ("sglang", "Kimi-K2.6", "", {**AS_ADVISED, "chat_template_kwargs": {"thinking": True, "preserve_thinking": True}}),
        ("vllm", "Kimi-K2.6", "off", {"temperature": 0.6, "top_p": 0.95, "chat_template_kwargs": {"thinking": False}}),
        ("vllm", "Kimi-K2.7-Code", "", AS_ADVISED),
        ("vllm", "Kimi-K3", "low", {"temperature": 1.0, "top_p": 1.0, "chat_template_kwargs": {"thinking_effort": "low"}}),
        ("llama.cpp", "unsloth/Kimi-K2.7-Code-GGUF:UD-Q4_K_XL", "", {**AS_ADVISED, "min_p": 0.01}),
        ("vllm", "Qwen/Qwen3-32B", "off", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("vllm", "zai-org/GLM-4.6", "on", {"chat_template_kwargs": {"enable_thinking": True}}),
        ("vllm", "openai/gpt-oss-120b", "high", {"reasoning_effort": "high"}),
        ("llama.cpp", "gpt-oss-20b", "high", {"chat_template_kwargs": {"reasoning_effort": "high"}}),
        ("ollama", "gpt-oss:20b", "low", {"reasoning_effort": "low"}),
        ("ollama", "qwen3:8b", "off", {"reasoning_effort": "none"}),
        ("ollama", "qwen3:8b", "on", {}),
        ("openai", "gpt-5", "minimal", {"reasoning_effort": "minimal"}),
        ("openrouter", "moonshotai/kimi-k2.6", "off", {"reasoning": {"enabled": False}}),
        ("openrouter", "moonshotai/kimi-k2.6", "", {}),
        ("openrouter", "moonshotai/kimi-k3", "max", {"reasoning": {"effort": "max"}}),
        ("", "moonshotai/Kimi-K2.6", "off", {"temperature": 0.6, "top_p": 0.95, "chat_template_kwargs": {"thinking": False}}),
        ("", "a-model", "", {}),
    ],
)  # fmt: skip
def test_a_request_carries_what_its_server_and_model_take(server: str, model: str, effort: str, carried: dict[str, Any]) -> None:
    assert tail(server, model, effort) == carried


@pytest.mark.parametrize(
    ("server", "model", "effort", "takes"),
    [
        ("moonshot-intl", "kimi-k3", "medium", "it takes low, high, max"),
        ("moonshot-intl", "kimi-k3", "none", "it takes low, high, max"),
        ("moonshot-intl", "kimi-k2.6", "high", "it takes on, off"),
        ("moonshot-intl", "kimi-k2.7-code", "off", "it takes none, as far as is known"),
        ("vllm", "a-model", "low", "it takes none, as far as is known"),
    ],
)
def test_an_effort_that_a_model_does_not_take_is_not_sent(server: str, model: str, effort: str, takes: str) -> None:
    with pytest.raises(ModelError, match=takes) as caught:
        body_of(server, model).encode(asking(effort=effort))
    assert caught.value.fault is Fault.REFUSED
    assert str(caught.value) == f"{model} does not take the effort {effort!r}: {takes}"


def test_a_spare_model_does_without_an_effort_that_was_meant_for_another() -> None:
    body = Body("kimi-k2.6", dialect_of("moonshot-intl", family_of("kimi-k2.6")), spare=True)
    assert encoded(body, effort="max")["thinking"] == THINKS["thinking"]
    assert encoded(body, effort="none")["thinking"] == THINKS_NOT["thinking"]


def test_what_the_person_says_of_a_model_counts_before_what_the_table_does() -> None:
    dialect = dialect_of("vllm", family_of("Kimi-K2.6"), efforts=("low",), sampling={"temperature": 0.2})
    whole = encoded(Body("m", dialect), effort="low")
    assert (whole["temperature"], whole["top_p"]) == (0.2, 0.95)
    assert dialect.words == ("low",)
    dialect = dialect_of("moonshot-intl", family_of("kimi-k2.6"), sampling={"temperature": 0.2})
    assert encoded(Body("m", dialect))["temperature"] == 0.2


def test_a_limit_has_its_hosts_name_and_stands_behind_the_messages() -> None:
    for server, model, key in (("moonshot-intl", "kimi-k2.6", "max_completion_tokens"), ("vllm", "m", "max_tokens")):
        whole = encoded(body_of(server, model), max_tokens=7)
        assert whole[key] == 7
        assert list(whole).index(key) > list(whole).index("messages")
    assert encoded(body_of("moonshot-intl", "kimi-k2.6"))["max_completion_tokens"] == 32_768
    assert "max_tokens" not in encoded(body_of("vllm", "m"))
    assert encoded(body_of("openai", "gpt-5"), max_tokens=7)["max_completion_tokens"] == 7


def steps(count: int, call_id: str = "call_{}") -> list[Message]:
    """Return a conversation of so many steps, of two calls each, whose ids are another server's."""
    history: list[Message] = [Prompt("Look around.")]
    for step in range(count):
        calls = tuple(Call(call_id.format(2 * step + part), "read_file", "{}") for part in (0, 1))
        history.append(Answer("", calls, "Hm.", "reasoning"))
        history += [Reply(call.id, call.name, "done") for call in reversed(calls)]
    return history


def ids(whole: dict[str, Any]) -> tuple[list[str], list[str]]:
    calls = [call["id"] for message in whole["messages"] for call in message.get("tool_calls", ())]
    return calls, [message["tool_call_id"] for message in whole["messages"] if message["role"] == "tool"]


@pytest.mark.parametrize("server", ["vllm", "sglang", "llama.cpp", "ollama", "openrouter", ""])
def test_k2_is_told_its_calls_by_the_names_that_it_gives_them(server: str) -> None:
    calls, replies = ids(encoded(body_of(server, "Kimi-K2.6"), *steps(3)))
    assert calls == [f"functions.read_file:{number}" for number in range(6)]
    assert replies == [f"functions.read_file:{number}" for number in (1, 0, 3, 2, 5, 4)]


@pytest.mark.parametrize(
    ("server", "model"), [("moonshot-intl", "kimi-k2.6"), ("vllm", "Kimi-K3"), ("vllm", "m"), ("openai", "gpt-5")]
)
def test_elsewhere_an_id_stays_what_it_is(server: str, model: str) -> None:
    calls, replies = ids(encoded(body_of(server, model), *steps(2, "toolu_{}")))
    assert calls == [f"toolu_{number}" for number in range(4)]
    assert replies == [f"toolu_{number}" for number in (1, 0, 3, 2)]


def test_an_id_that_is_none_is_made_one_for_the_call_and_its_reply_alike() -> None:
    strange = ["same", "same", "a b\n", "", "x" * 300, "x" * 299]
    history: list[Message] = [Prompt("Hi")]
    for call_id in strange:
        history += [Answer("", (Call(call_id, "read_file", "{}"),)), Reply(call_id, "read_file", "done")]
    for server, longest in (("vllm", 64), ("openai", 40)):
        calls, replies = ids(encoded(body_of(server, "m"), *history))
        assert calls == replies
        assert len(set(calls)) == len(strange)
        assert all(re.fullmatch(r"[\x21-\x7e]+", one) and len(one) <= longest for one in calls)


@pytest.mark.parametrize(("server", "model"), [("vllm", "Kimi-K2.6"), ("moonshot-intl", "kimi-k2.6"), ("openai", "gpt-4.1")])
def test_each_request_begins_with_the_one_before(server: str, model: str) -> None:
    body = body_of(server, model, images=True)
    history = steps(30)
    history[5] = Reply("call_3", "read_file", "seen", (PNG,))
    history.insert(4, Prompt("And this.", (PNG,)))
    ends = [at for at in range(1, len(history) + 1) if at == len(history) or not isinstance(history[at], Reply)]
    before = b""
    for end in ends:
        request = asking(*history[:end], max_tokens=1000 - end)
        whole = body.encode(request)
        assert whole == body_of(server, model, images=True).encode(request)
        assert whole.startswith(before)
        before = whole[: whole.rindex(b"]", 0, whole.rindex(b'"max_'))]
    assert len(before) > 0.95 * len(whole)


def test_a_picture_of_a_prompt_is_shown() -> None:
    whole = encoded(body_of("vllm", "Kimi-K2.6", images=True), Prompt("What is this?", (PNG,)), Prompt(" ", (PNG,)))
    assert whole["messages"][1]["content"] == [{"type": "text", "text": "What is this?"}, URL]
    assert whole["messages"][2]["content"] == [{"type": "text", "text": "(an image)"}, URL]


CALLS = (Call("a", "read", "{}"), Call("b", "read", "{}"))
SHOWN: list[Message] = [
    Prompt("Look."),
    Answer("", CALLS),
    Reply("a", "read", "", (PNG,)),
    Reply("b", "read", "words", (PNG, PNG)),
    Answer("Nice."),
]


def test_pictures_of_replies_stand_behind_all_replies_where_these_cannot_hold_any() -> None:
    messages = encoded(body_of("vllm", "m", images=True), *SHOWN)["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "tool", "user", "assistant"]
    assert [message["content"] for message in messages[3:5]] == ["(an image, see below)", "words"]
    returned = {"type": "text", "text": "(what read returned)"}
    assert messages[5]["content"] == [returned, URL, returned, URL, URL]
    first = encoded(body_of("vllm", "m", images=True), *SHOWN[:4])["messages"]
    assert first == messages[:6]


def test_moonshot_takes_pictures_in_replies() -> None:
    messages = encoded(body_of("moonshot-intl", "kimi-k2.6", images=True), *SHOWN)["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert messages[3]["content"] == [{"type": "text", "text": "(an image)"}, URL]
    assert messages[4]["content"] == [{"type": "text", "text": "words"}, URL, URL]


def test_a_model_that_sees_nothing_is_told_so() -> None:
    messages = encoded(body_of("moonshot-intl", "kimi-k2.6"), *SHOWN, Prompt("See?", (PNG,)))["messages"]
    note = "(an image that this model cannot be shown)"
    assert [messages[at]["content"] for at in (3, 4, 6)] == [note, f"words\n{note}\n{note}", f"See?\n{note}"]


def test_reasoning_goes_back_under_the_key_that_it_came_by_and_not_to_a_model_that_does_not_think() -> None:
    history: list[Message] = [Prompt("Hi"), Answer("", (Call("a", "read", "{}"),), "Hm.", "reasoning"), Reply("a", "read", "x")]
    bare: list[Message] = [Prompt("Hi"), Answer("", (Call("a", "read", "{}"),)), Reply("a", "read", "x")]
    assert encoded(body_of("vllm", "Kimi-K2.6"), *history)["messages"][2]["reasoning"] == "Hm."
    assert encoded(body_of("moonshot-intl", "kimi-k2.6"), *history)["messages"][2]["reasoning_content"] == "Hm."
    assert encoded(body_of("moonshot-intl", "kimi-k2.6"), *bare)["messages"][2]["reasoning_content"] == ""
    body = body_of("moonshot-intl", "kimi-k2.6")
    for effort, there in (("", True), ("off", False), ("on", True)):
        assert ("reasoning_content" in encoded(body, *history, effort=effort)["messages"][2]) is there
    assert encoded(body_of("openai", "gpt-5"), *history)["messages"][2].keys() == {"role", "content", "tool_calls"}


def test_a_plain_request_has_nothing_that_a_server_can_do_without() -> None:
    body = body_of("moonshot-intl", "kimi-k2.6", images=True)
    history: list[Message] = [
        Prompt("Hi", (PNG,)),
        Answer("", CALLS, "", ""),
        Reply("a", "read", ""),
        Reply("b", "read", "x", (PNG,)),
    ]
    whole = encoded(body, *history, Answer("", CALLS, "Hm.", "reasoning"), plain=True, stream=False)
    assert list(whole) == ["model", "stream", "tools", "messages", "max_completion_tokens"]
    assert whole["stream"] is False
    assert ids(whole) == ([f"call_{number}" for number in range(4)], ["call_0", "call_1"])
    assert all(isinstance(message["content"], str) and message["content"].strip() for message in whole["messages"])
    assert [message.get("reasoning_content") for message in whole["messages"]] == [None, None, ".", None, None, "Hm."]
    assert "name" not in whole["messages"][3]
    again = encoded(body, *history, stream=False)
    assert (again["stream"], "stream_options" in again, "prompt_cache_key" in again) == (False, False, True)
    assert encoded(body, *history) == encoded(body_of("moonshot-intl", "kimi-k2.6", images=True), *history)


@pytest.mark.parametrize(
    ("server", "model", "keys", "there"),
    [
        ("", "m", ["reasoning", ""], True),  # the second may be what is missed
        ("", "m", ["reasoning", "reasoning"], False),  # they may be what is refused
        ("", "m", ["", ""], False),
        ("", "Kimi-K2.6", ["", ""], True),
        ("moonshot-intl", "kimi-k2.6", ["reasoning", "reasoning"], True),
        ("openai", "gpt-5", ["reasoning", ""], False),
    ],
)
def test_a_plain_request_has_reasoning_where_that_may_be_what_was_missed(
    server: str, model: str, keys: list[str], there: bool
) -> None:
    history: list[Message] = [Prompt("Hi")]
    for key in keys:
        history += [Answer("", CALLS, "Hm." if key else "", key), Reply("a", "read", "x"), Reply("b", "read", "x")]
    answers = [
        message for message in encoded(body_of(server, model), *history, plain=True)["messages"] if "tool_calls" in message
    ]
    assert [any(name.startswith("reasoning") for name in message) for message in answers] == [there] * 2


def test_what_follows_a_changed_history_is_encoded_anew() -> None:
    body, history = body_of("vllm", "Kimi-K2.6"), steps(3)
    encoded(body, *history)
    shorter: list[Message] = [Prompt("What was before, in short."), *history[4:]]
    assert encoded(body, *shorter) == encoded(body_of("vllm", "Kimi-K2.6"), *shorter)
