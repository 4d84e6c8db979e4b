"""Owns the proof that every server's way of sending an answer in pieces gives the same answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Fault, ModelError
from agent.messages import Answer, Call, Usage
from agent.model import CallDelta, Chunk, Finished, ReasoningDelta, TextDelta, ToolOffer
from agent.providers.merge import Merge

READ = Call("a", "read", '{"path":"x"}')
EDIT = Call("b", "edit", '{"path":"y"}')


def fault(error: object) -> ModelError:
    return ModelError(str(error), Fault.REFUSED)


def merged(*deltas: dict[str, Any], reason: str | None = "stop", taken: tuple[str, ...] = ()) -> Finished:
    merge = Merge(fault)
    for delta in deltas:
        merge.take({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    merge.take({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    return merge.finished(("read", "edit", "read_all"), taken, "m")


def part(arguments: object = None, name: str | None = None, **more: object) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"tool_calls": [{**more, "function": function}]}


def calls(*deltas: dict[str, Any], taken: tuple[str, ...] = ()) -> tuple[Call, ...]:
    return merged(*deltas, reason="tool_calls", taken=taken).answer.calls


SHAPES: dict[str, list[dict[str, Any]]] = {
    "as OpenAI sends them": [
        part("", "read", index=0, id="a", type="function"),
        part('{"path":', index=0),
        part('"x"}', index=0),
        part("", "edit", index=1, id="b", type="function"),
        part('{"path":"y"}', index=1),
    ],
    "interleaved": [
        part("", "read", index=0, id="a"),
        part("", "edit", index=1, id="b"),
        part('{"path":', index=0),
        part('{"path":', index=1),
        part('"y"}', index=1),
        part('"x"}', index=0),
    ],
    "two in one delta": [
        {
            "tool_calls": part('{"path":"x"}', "read", index=0, id="a")["tool_calls"]
            + part("", "edit", index=1, id="b")["tool_calls"]
        },
        part('{"path":"y"}', index=1),
    ],
    "an index from 1": [part('{"path":"x"}', "read", index=1, id="a"), part('{"path":"y"}', "edit", index=2, id="b")],
    "no index": [
        part("", "read", id="a"),
        part('{"path":"x"', None),
        part("}", None),
        part('{"path":"y"}', "edit", id="b"),
    ],
    "an index of null": [
        part('{"path":"x', "read", id="a", index=None),
        part('"}', id="a", index=None),
        part('{"path":"y"}', "edit", id="b", index=None),
    ],
    "always index 0": [
        part('{"path":"x"}', "read", index=0, id="a"),
        part('{"path":', "edit", index=0, id="b"),
        part('"y"}', index=0),
    ],
    "an index that counts the pieces": [
        part("", "read", index=0, id="a"),
        part('{"path":"x"}', index=1, id="a"),
        part('{"path":"y"', "edit", index=2, id="b"),
        part("}", index=3, id="b"),
    ],
    "id and name on every piece": [
        part('{"path":', "read", index=0, id="a"),
        part('"x"}', "read", index=0, id="a"),
        part("", "read", index=0, id="a"),
        part('{"path":"y"', "edit", index=1, id="b"),
        part("}", "edit", index=1, id="b"),
    ],
    "an empty id and name on later pieces": [
        part('{"path":', "read", index=0, id="a"),
        part('"x"}', "", index=0, id=""),
        part('{"path":"y"}', "edit", index=1, id="b"),
    ],
    "an id of null on later pieces": [
        part('{"path":', "read", index=0, id="a"),
        part('"x"}', index=0, id=None),
        part('{"path":"y"}', "edit", index=1, id="b"),
    ],
    "another id on every piece of a call": [
        part('{"path":', "read", index=0, id="a"),
        part('"x"}', index=0, id="a2"),
        part('{"path":"y"', "edit", index=1, id="b"),
        part("}", "edit", index=1, id="b2"),
    ],
    "the name in pieces": [
        part("", "re", index=0, id="a"),
        part("", "ad", index=0),
        part('{"path":"x"}', index=0),
        part('{"path":"y"}', "edit", index=1, id="b"),
    ],
    "a name that grows": [
        part("", "re", index=0, id="a"),
        part("", "read", index=0),
        part('{"path":"x"}', index=0),
        part('{"path":"y"}', "edit", index=1, id="b"),
    ],
    "the name after the arguments": [
        part('{"path":"x"}', index=0, id="a"),
        part(None, "read", index=0),
        part('{"path":"y"}', "edit", index=1, id="b"),
    ],
    "arguments as an object": [
        part({"path": "x"}, "read", index=0, id="a"),
        part({"path": "y"}, "edit", index=1, id="b"),
    ],
    "an object, again and again": [
        part({"path": "x"}, "read", id="a"),
        part({"path": "x"}, "read", id="a"),
        part({"path": "y"}, "edit", id="b"),
    ],
    "without the inner object": [
        {"tool_calls": {"id": "a", "name": "read", "arguments": '{"path":"x"}'}},
        {"tool_calls": {"id": "b", "name": "edit", "arguments": '{"path":"y"}'}},
    ],
    "names as the model itself writes them": [
        part('{"path":"x"}', "functions.read:0", index=0, id="a"),
        part('{"path":"y"}', " edit:1", index=1, id="b"),
    ],
    "with junk between": [
        part('{"path":"x"}', "read", index=0, id="a"),
        {"tool_calls": []},
        {"tool_calls": [None, 7, "x"]},
        {"tool_calls": [{"index": 5, "function": {"arguments": ""}}]},
        part('{"path":"y"}', "edit", index=1, id="b"),
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_two_calls_are_the_same_two_calls_in_every_shape(shape: str) -> None:
    assert calls(*SHAPES[shape]) == (READ, EDIT)


WITHOUT_IDS: dict[str, list[dict[str, Any]]] = {
    "whole, one after the other": [part('{"path":"x"}', "read"), part('{"path":"y"}', "edit")],
    "in pieces": [part('{"path":', "read"), part('"x"}'), part('{"path"', "edit"), part(':"y"}')],
    "always index 0": [part('{"path":"x"}', "read", index=0), part("", "edit", index=0), part('{"path":"y"}', index=0)],
    "empty ids": [part('{"path":"x"}', "read", index=0, id=""), part('{"path":"y"}', "edit", index=1, id="")],
    "ids that no server takes back": [
        part('{"path":"x"}', "read", index=0, id="a b"),
        part('{"path":"y"}', "edit", index=1, id="\ud800"),
    ],
    "ids of the history": [
        part('{"path":"x"}', "read", index=0, id="old"),
        part('{"path":"y"}', "edit", index=1, id="old"),
    ],
}


@pytest.mark.parametrize("shape", WITHOUT_IDS)
def test_calls_without_an_id_of_their_own_get_one_that_the_history_does_not_hold(shape: str) -> None:
    found = calls(*WITHOUT_IDS[shape], taken=("old", "functions.edit:2"))
    assert found == (Call("functions.read:2", "read", READ.arguments), Call("functions.edit:3", "edit", EDIT.arguments))


def test_one_tool_called_twice_without_ids_is_two_calls() -> None:
    found = calls(part('{"path":"x"}', "read"), part('{"path":"x"}', "read"))
    assert [call.id for call in found] == ["functions.read:0", "functions.read:1"]


def test_one_id_for_two_calls_of_an_answer_is_made_two() -> None:
    found = calls(part("{}", "read", index=0, id="a"), part("{}", "edit", index=1, id="a"))
    assert [call.id for call in found] == ["a", "functions.edit:1"]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert calls(part("", "read", index=0, id="a")) == (Call("a", "read", "{}"),)
    assert calls(part(None, "read", index=0, id="a")) == (Call("a", "read", "{}"),)


def test_a_name_that_only_the_id_tells_is_taken_from_there() -> None:
    assert calls(part("{}", index=0, id="functions.read_all:3")) == (Call("functions.read_all:3", "read_all", "{}"),)


def test_a_call_that_nothing_names_is_still_answerable() -> None:
    assert calls(part('{"path":"x"}', index=0)) == (Call("functions.unknown:0", "unknown", '{"path":"x"}'),)


def test_the_old_function_call_is_a_call() -> None:
    found = calls({"function_call": {"name": "read", "arguments": '{"path"'}}, {"function_call": {"arguments": ':"x"}'}})
    assert found == (Call("functions.read:0", "read", READ.arguments),)


def test_broken_arguments_stay_as_they_came() -> None:
    assert calls(part('{"path": nope', "read", index=0, id="a"))[0].arguments == '{"path": nope'


@pytest.mark.parametrize(
    ("reason", "delta", "finish"),
    [
        ("stop", part("{}", "read", index=0, id="a"), "calls"),
        ("tool_calls", {"content": "hi"}, "stop"),
        ("unexpected_state", {"content": "hi"}, "stop"),
        (None, {"content": "hi"}, "stop"),
        ("length", {"content": "hi"}, "length"),
        ("length", part('{"path', "read", index=0, id="a"), "length"),
        ("length", {"reasoning": "hm"}, "length"),
    ],
)
def test_how_it_finished_follows_from_what_came(reason: str | None, delta: dict[str, Any], finish: str) -> None:
    assert merged(delta, reason=reason).finish == finish


@pytest.mark.parametrize("delta", [{}, {"content": ""}, {"content": " \n"}, {"reasoning": "hm"}, {"tool_calls": [{}]}])
def test_an_answer_of_nothing_is_an_empty_one(delta: dict[str, Any]) -> None:
    last = merged(delta, reason="tool_calls")
    assert last.finish == "stop"
    assert not last.answer.text.strip()
    assert last.answer.calls == ()


def test_what_a_filter_stopped_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        merged({"content": "hi"}, reason="content_filter")
    assert caught.value.fault is Fault.REFUSED


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
def test_reasoning_keeps_the_key_it_came_under(key: str) -> None:
    other = "reasoning" if key == "reasoning_content" else "reasoning_content"
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": "", other: ""},
        {key: "Let "},
        {key: "me.", other: None},
        {"content": "Hi", key: ""},
    ]
    assert merged(*deltas).answer == Answer("Hi", (), "Let me.", key)


def test_reasoning_under_both_keys_counts_once() -> None:
    both = [{"reasoning_content": word, "reasoning": word} for word in ("a", "b")]
    assert merged(*both, {"content": "x"}).answer == Answer("x", (), "ab", "reasoning_content")


def test_a_key_that_was_always_empty_is_remembered() -> None:
    assert merged({"reasoning_content": "", "content": "x"}).answer == Answer("x", (), "", "reasoning_content")


def test_content_may_be_parts() -> None:
    parts: list[object] = [{"type": "text", "text": "Hel"}, "lo", {"type": "image"}, {"text": None}, 7]
    assert merged({"content": parts}, {"content": None}).answer.text == "Hello"


def test_a_whole_message_is_an_answer_unless_its_pieces_came_before() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning": None, "tool_calls": part("{}", "read", id="a")["tool_calls"]}
    merge = Merge(fault)
    merge.take({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    assert merge.finished((), (), "m").answer == Answer("Hi", (Call("a", "read", "{}"),))
    merge.take({"choices": [{"message": message}]})
    assert merge.finished((), (), "m").answer == Answer("Hi", (Call("a", "read", "{}"),))


USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        (USAGE, 0),
        ({**USAGE, "cached_tokens": 64}, 64),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 64}}, 64),
        ({**USAGE, "prompt_tokens_details": None, "cached_tokens": None}, 0),
        ({**USAGE, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, 64),
    ],
)
def test_usage_is_found_in_all_its_places(usage: dict[str, Any], cached: int) -> None:
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    places: list[list[dict[str, Any]]] = [
        [{"choices": [last], "usage": usage}],
        [{"choices": [{**last, "usage": usage}]}],
        [{"choices": [last], "usage": None}, {"choices": [], "usage": usage}],
    ]
    for events in places:
        merge = Merge(fault)
        merge.take({"choices": [{"delta": {"content": "hi"}}], "usage": {"prompt_tokens": 100, "completion_tokens": 0}})
        for event in events:
            merge.take(event)
        assert merge.finished((), (), "m").usage == Usage(100, 7, cached)


@pytest.mark.parametrize("key", ["cache_write_tokens", "cache_creation_tokens"])
def test_tokens_that_were_written_to_a_cache_are_counted(key: str) -> None:
    merge = Merge(fault)
    details = {"cached_tokens": 60, key: 30}
    last = {"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}
    merge.take({"choices": [last], "usage": {**USAGE, "prompt_tokens_details": details}})
    assert merge.finished((), (), "m").usage == Usage(100, 7, 60, 30)


def test_calls_without_end_are_cut_and_none_of_them_runs() -> None:
    merge = Merge(fault)
    for index in range(2000):
        call = {"index": index, "id": f"c{index}", "function": {"name": "read", "arguments": "{}"}}
        merge.take({"choices": [{"delta": {"tool_calls": [call]}}]})
        if merge.flooded:
            break
    last = merge.finished(("read",), (), "m")
    assert index < 300
    assert last.finish == "length"
    assert [repair.words for repair in last.repairs] == ["the answer ran into calls without end, and was cut there"]
    one = "<|tool_call_begin|>functions.read:0<|tool_call_argument_begin|>{}<|tool_call_end|>"
    merge = Merge(fault, (ToolOffer("read", "", {"type": "object", "properties": {}}),))
    merge.take({"choices": [{"delta": {"content": f"{one * 9}.\n" * 100}, "finish_reason": "stop"}]})
    assert merge.finished(("read",), (), "m").finish == "length"


def test_a_name_without_end_is_cut() -> None:
    merge = Merge(fault)
    for number in range(1000):
        merge.take({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": f"{number}" * 1000}}]}}]})
        merge.told()
    merge.take({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    [call] = merge.finished((), (), "m").answer.calls
    assert len(call.name) <= 200


def test_noughts_at_the_end_do_not_make_usage_untrue() -> None:
    merge = Merge(fault)
    merge.take({"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}], "usage": USAGE})
    merge.take({"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}})
    assert merge.finished((), (), "m").usage == Usage(100, 7)


def test_usage_that_is_none_counts_nothing() -> None:
    for usage in ("many", [1], {"prompt_tokens": "7", "completion_tokens": -3}, {"prompt_tokens": float("nan")}):
        merge = Merge(fault)
        merge.take({"choices": [{"delta": {"content": "hi"}}], "usage": usage})
        assert merge.finished((), (), "m").usage == Usage()


def test_an_error_among_the_events_is_raised() -> None:
    for event in ({"error": {"message": "x"}}, {"error": "x"}, {"object": "error", "message": "x"}):
        with pytest.raises(ModelError):
            Merge(fault).take(event)
    Merge(fault).take({"choices": [], "error": None})


def test_events_that_are_no_events_are_passed_over() -> None:
    merge = Merge(fault)
    events: list[object] = [None, 7, [], {}, {"choices": None}, {"choices": [None]}, {"choices": {}}, {"choices": [{"delta": 7}]}]
    for event in events:
        merge.take(event)
    assert merge.told() == []
    assert not merge.ended


KEYS = st.sampled_from([
    "choices", "delta", "message", "content", "text", "tool_calls", "function_call", "function", "id", "index", "name",
    "arguments", "reasoning", "reasoning_content", "finish_reason", "usage", "prompt_tokens", "prompt_tokens_details",
    "cached_tokens", "model",
])  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "}", '{"a":1}', "read", "a", "\ud83c", "stop"])
)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)
DELTAS = st.dictionaries(KEYS, JSON, max_size=4)
EVENTS = JSON | st.builds(lambda delta, more: {**more, "choices": [{"delta": delta, **more}]}, DELTAS, DELTAS)


@given(st.lists(EVENTS, max_size=5))
def test_no_event_whatever_is_in_it_breaks_the_merging(events: list[object]) -> None:
    merge = Merge(fault)
    told = ""
    try:
        for event in events:
            merge.take(event)
            chunks = merge.told()
            told += "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))
            "".join(chunk.name for chunk in chunks if isinstance(chunk, CallDelta)).encode()
        last = merge.finished(("read",), ("a",), "m")
    except ModelError:
        return
    answer = last.answer
    last.model.encode()
    assert answer.text.startswith(told)
    assert len({"a", *(call.id for call in answer.calls)}) == 1 + len(answer.calls)
    assert all(call.name for call in answer.calls)
    "".join((answer.text, answer.reasoning, *(part for call in answer.calls for part in (call.name, call.arguments)))).encode()


def test_what_came_together_is_told_together() -> None:
    merge = Merge(fault)
    for delta in ({"reasoning": "a"}, {"reasoning": "b"}, {"content": "c"}, {"content": "d"}, part('{"pa', "read", index=0)):
        merge.take({"choices": [{"delta": delta}]})
    told: list[Chunk] = [ReasoningDelta("ab"), TextDelta("cd"), CallDelta("read", 4)]
    assert merge.told() == told
    assert merge.told() == []
    merge.take({"choices": [{"delta": part('th"', index=0)}]})
    assert merge.told() == [CallDelta("read", 7)]


def test_a_character_cut_in_two_is_one_again_and_half_a_one_does_no_harm() -> None:
    merge = Merge(fault)
    told = ""
    for content in ("moon \ud83c", "\udf19!", " \udf19 \ud83c"):
        merge.take({"choices": [{"delta": {"content": content}}]})
        told += "".join(chunk.text for chunk in merge.told() if isinstance(chunk, TextDelta))
    assert told == "moon 🌙! \ufffd "
    assert merge.finished((), (), "m").answer.text == "moon 🌙! \ufffd \ufffd"


def test_the_model_is_the_one_that_the_server_names() -> None:
    merge = Merge(fault)
    merge.take({"model": "kimi-k2.6", "choices": [{"delta": {"content": "hi"}}]})
    assert merge.finished((), (), "m").model == "kimi-k2.6"
    assert merged({"content": "hi"}).model == "m"


def test_half_a_character_does_no_harm_in_a_name_either() -> None:
    merge = Merge(fault)
    merge.take({"model": "k2\ud800", "choices": [{"delta": part('{"a":"\ud800"}', "read\ud800", index=0, id="a")}]})
    assert merge.told() == [CallDelta("read\ufffd", 9)]
    last = merge.finished((), (), "m")
    assert last.model == "k2\ufffd"
    assert last.answer.calls == (Call("a", "read\ufffd", '{"a":"\ufffd"}'),)
