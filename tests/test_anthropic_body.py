"""The body of a Messages request: valid whatever the history, and a prefix of the next one."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.blocks import Image
from agent.endpoints import server_at
from agent.errors import ModelError
from agent.messages import Answer, Call, Message, Prompt, Reply, Sealed
from agent.model import Finished, Request
from agent.providers.anthropic_body import MessagesBody
from agent.providers.anthropic_dialect import messages_dialect
from agent.providers.families import family_of
from tests.asking import TOOL, asking
from tests.fakes import ScriptedServer, anthropic
from tests.messaging import CLAUDE, CONTENT, DOCUMENTED, READ, SIGNATURE, bare, check, events, finished, model_of, shared


def body_of(model: str = CLAUDE, base_url: str = "https://api.anthropic.com", *, images: bool = True) -> MessagesBody:
    return MessagesBody(
        model,
        messages_dialect(server_at(base_url), model, family_of(model), images=images, window=family_of(model).window or 131_072),
        f"here {model}",
    )


def encoded(*messages: Message, body: MessagesBody | None = None, request: Request | None = None) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads((body or body_of()).encode(request or asking(*messages)))
    return whole


MARK = {"type": "ephemeral"}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def result(call_id: str, content: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content}


def use(call_id: str, name: str, given: object) -> dict[str, object]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def test_a_history_is_sent_as_the_protocol_wants_it() -> None:
    picture = Image("image/png", "iVBORw0=")
    shown = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}
    again = "(what a call of bad_name_ returned, which is not shown here any more)\nOnce more."
    messages = encoded(
        Prompt(""),
        Prompt("Look.", (picture,)),
        Answer(" \n", (Call("functions.read:0", "read", '{"path": "x"}'), Call("b", "bad name!", "[1]"))),
        Reply("b", "bad name!", "No such tool."),
        Prompt("And do hurry."),
        Reply("b", "bad name!", "Once more."),
        Reply("functions.read:0", "read", "", (picture,)),
        Answer("", (), "only thought", "reasoning"),
        Answer("Done.", (), "Hm."),
        Answer("Really."),
    )["messages"]
    assert bare(messages) == [
        ("user", [text("(nothing)"), text("Look."), shown]),
        ("assistant", [use("functions_read_0", "read", {"path": "x"}), use("b", "bad_name_", {})]),
        ("user", [result("functions_read_0", [shown]), result("b", "No such tool."), text("And do hurry."), text(again)]),
        ("assistant", [text("Done."), text("Really.")]),
        ("user", [text("(go on)")]),
    ]


def test_an_answer_that_only_thought_is_left_out_even_where_it_is_sealed() -> None:
    thought = Answer("", reasoning="Hm.", sealed=Sealed(f"here {CLAUDE}", json.dumps(CONTENT[:1])))
    assert bare(encoded(Prompt("Hi"), thought, Prompt("Go on."))["messages"]) == [("user", [text("Hi"), text("Go on.")])]


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


def flat(whole: dict[str, Any]) -> list[tuple[str, Any, bool]]:
    """Return the blocks in the order in which they are read: whose, what, and whether there is a mark."""
    parts = [("tools", whole["tools"]), ("system", whole["system"])]
    parts += [(message["role"], message["content"]) for message in whole["messages"]]
    return [
        (place, {key: value for key, value in one.items() if key != "cache_control"}, "cache_control" in one)
        for place, blocks in parts
        for one in blocks
    ]


def reads_what_was_kept(before: bytes, after: bytes) -> bool:
    """Whether a request finds what the one before had the server keep, by Anthropic's rule: 20 blocks back from a mark."""
    kept, asked = flat(json.loads(before)), flat(json.loads(after))
    last = max(place for place, (*_, marked) in enumerate(kept) if marked)
    same = [one[:2] for one in kept[: last + 1]] == [one[:2] for one in asked[: last + 1]]
    return same and any(marked and last <= place < last + 20 for place, (*_, marked) in enumerate(asked))


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
        assert shared(before, after) / len(before) >= 0.97
        assert len(before) - shared(before, after) < 200
        assert reads_what_was_kept(before, after)
    for whole in server.bodies():
        check(whole)
        assert whole["tools"][-1]["cache_control"] == whole["system"][-1]["cache_control"] == MARK
        assert whole["messages"][-1]["content"][-1]["cache_control"] == MARK
        assert str(whole).count("'cache_control'") == 3


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=6))
def test_whatever_the_steps_each_reads_what_the_last_one_kept(steps: list[tuple[int, bool]]) -> None:
    body, number = body_of(), 0
    messages: list[Message] = [Prompt("Go.")]
    before = body.encode(asking(*messages))
    for size, steered in steps:
        calls = tuple(Call(f"c{number + one}", "read", "{}") for one in range(size))
        number += size
        messages += [Answer("Well.", calls), *(Reply(call.id, "read", "x") for call in calls)]
        if steered or not calls:
            messages.append(Prompt("And?"))
        after = body.encode(asking(*messages))
        assert reads_what_was_kept(before, after)
        check(json.loads(after))
        before = after


async def test_thinking_goes_back_unchanged_and_to_nobody_else() -> None:
    first = await finished(events(*DOCUMENTED))
    assert first.answer.sealed
    history: list[Message] = [Prompt("Hi"), first.answer, Reply(READ.id, "read_file", "x"), Reply("toolu_2", "list", "y")]
    same = MessagesBody(
        CLAUDE, messages_dialect("", CLAUDE, family_of(CLAUDE), images=True, window=200_000), first.answer.sealed.by
    )
    assert encoded(*history, body=same)["messages"][1]["content"] == CONTENT
    assert f'"signature":"{SIGNATURE}"'.encode() in same.encode(asking(*history))
    other = encoded(*history, body=body_of("claude-sonnet-4-6"))["messages"][1]["content"]
    assert [block["type"] for block in other] == ["text", "tool_use", "tool_use"]
    assert SIGNATURE not in json.dumps(other)


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
    thinking = encoded(body=body_of("kimi-k2.6", "http://127.0.0.1:8000"), request=replace(asking(), effort="on"))
    assert "temperature" not in thinking
    code = encoded(body=body_of("k3", "https://api.kimi.com/coding"), request=replace(asking(), effort="low"))
    assert (code["thinking"], code["output_config"]) == ({"type": "enabled"}, {"effort": "low"})


def test_a_history_with_calls_has_tools_even_where_none_is_on_offer() -> None:
    whole = encoded(request=asking(Prompt("Hi"), Answer("", (READ,)), Reply(READ.id, "read_file", "x"), tools=()))
    assert [tool["name"] for tool in whole["tools"]] == ["read_file"]
    assert whole["tool_choice"] == {"type": "none"}
    assert "tools" not in encoded(request=asking(tools=()))
