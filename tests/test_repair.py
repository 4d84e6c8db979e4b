"""What weak servers and models write wrong: set right where that is sure, told always, and never guessed."""

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.calls import read_arguments
from agent.config import Connection
from agent.endpoints import Protocol
from agent.errors import Fault, ModelError
from agent.messages import Call
from agent.model import CallDelta, Finished, ReasoningDelta, Request, TextDelta, ToolOffer
from agent.providers.anthropic import AnthropicModel
from agent.providers.merge import Merge
from agent.providers.openai import OpenAIModel
from agent.providers.sse import Events

CAPTURES = Path(__file__).parent / "captures"


def offer(name: str, *required: str, **optional: str) -> ToolOffer:
    properties = {key: {"type": "string"} for key in (*required, *optional)}
    return ToolOffer(name, "", {"type": "object", "properties": properties, "required": list(required)})


TOOLS = (offer("read", "path"), offer("write", "path", "content"), offer("shell", command=""), offer("read_file", "path"))


class Told:
    """An answer, and what was shown of it while it came."""

    def __init__(self, merge: Merge) -> None:
        self.merge = merge
        self.text = self.reasoning = ""
        self.calls: set[str] = set()
        self._last: Finished | None = None

    def hear(self) -> None:
        for chunk in self.merge.told():
            match chunk:
                case TextDelta():
                    self.text += chunk.text
                case ReasoningDelta():
                    self.reasoning += chunk.text
                case CallDelta():
                    self.calls.add(chunk.name)
                case _:
                    raise AssertionError(chunk)

    @property
    def last(self) -> Finished:
        if self._last is None:
            self.merge.close()
            self.hear()
            self._last = self.merge.finished([tool.name for tool in TOOLS], (), "m")
            assert self.text == self._last.answer.text
            assert self.reasoning == self._last.answer.reasoning
        return self._last

    @property
    def found(self) -> list[tuple[str, Any]]:
        """The calls, their arguments as the object that they are, or as the text where they are none."""
        return [(call.name, _read(call.arguments)) for call in self.last.answer.calls]

    @property
    def repairs(self) -> list[str]:
        return [repair.kind for repair in self.last.repairs]


def _read(arguments: str) -> Any:
    try:
        given, more = read_arguments(arguments)
    except ValueError:
        return arguments
    return arguments if more else given


def heard(*deltas: dict[str, Any], reason: str = "stop", tools: tuple[ToolOffer, ...] = TOOLS, thinking: bool = False) -> Told:
    told = Told(Merge(lambda error: ModelError(str(error), Fault.REFUSED), tools, thinking=thinking))
    for delta in deltas:
        told.merge.take({"choices": [{"delta": delta, "finish_reason": None}]})
        told.hear()
    told.merge.take({"choices": [{"delta": {}, "finish_reason": reason}]})
    return told


def said(text: str, *, key: str = "content", pieces: int = 3, **more: Any) -> Told:
    return heard(*({key: text[start : start + pieces]} for start in range(0, len(text), pieces)), **more)


def k2(name: str = "functions.read:0", arguments: str = '{"path": "a"}', end: str = "<|tool_call_end|>") -> str:
    return f"<|tool_call_begin|>{name}<|tool_call_argument_begin|>{arguments}{end}"


def k3(name: str = "read", **arguments: str) -> str:
    inner = "".join(
        f'<|open|>argument key="{key}" type="string"<|sep|>{value}<|close|>argument<|sep|>' for key, value in arguments.items()
    )
    return f'<|open|>call tool="{name}" index="1"<|sep|>{inner}<|close|>call<|sep|>'


READ = '{"name": "read", "arguments": {"path": "a"}}'
MARKED = {
    "K2": f"<|tool_calls_section_begin|>{k2()}<|tool_calls_section_end|>",
    "K2, singular": f"<|tool_call_section_begin|>{k2()}<|tool_call_section_end|>",
    "K2, with white space": "<|tool_calls_section_begin|>\n"
    + k2("functions.read:0 ", ' {"path": "a"} ')
    + "\n<|tool_calls_section_end|>",
    "K2 without a section": k2(),
    "K2 with a bare name": f"<|tool_calls_section_begin|>{k2('read')}<|tool_calls_section_end|>",
    "K3": f"<|open|>tools<|sep|>{k3(path='a')}<|close|>tools<|sep|>",
    "K3 without a section": k3(path="a"),
    "K3 to its last mark": f"<|open|>tools<|sep|>{k3(path='a')}<|close|>tools<|sep|><|close|>message<|sep|>",
    "a tag": f"<tool_call>\n{READ}\n</tool_call>",
    "a tag on one line": f"<tool_call>{READ}</tool_call>",
    "a tag and a decorated name": '<tool_call>{"name": "functions.read:3", "arguments": {"path": "a"}}</tool_call>',
    "a tag and arguments as text": '<tool_call>{"name": "read", "arguments": "{\\"path\\": \\"a\\"}"}</tool_call>',
}
PLAIN = {
    "a fence of JSON": f"```json\n{READ}\n```",
    "a fence without a kind": f"```\n{READ}\n```\n",
    "a fence of tool_call": f"```tool_call\n{READ}\n```",
    "a fence on one line": f"```json {READ}```",
    "a longer fence": f"````json\n{READ}\n````",
    "a list in a fence": f"```json\n[{READ}]\n```",
    "parameters": '```json\n{"name": "read", "parameters": {"path": "a"}}\n```',
    "arguments first": '```json\n{"arguments": {"path": "a"}, "name": "read"}\n```',
    "as OpenAI writes it": '```json\n{"type": "function", "function": {"name": "read", "arguments": {"path": "a"}}}\n```',
    "arguments as text": '```json\n{"id": "x", "name": "read", "arguments": "{\\"path\\": \\"a\\"}"}\n```',
    "as Llama writes it": '```json\n{"type": "function", "name": "read", "parameters": {"path": "a"}}\n```',
    "a fence that ends with a token": f"```json\n{READ}\n```<|im_end|>",
}
BARE = {
    "bare JSON": READ,
    "bare JSON with white space": f"\n  {READ}\n",
    "bare JSON over lines": json.dumps(json.loads(READ), indent=2),
    "a bare list": f"[{READ}]",
    "bare JSON after a token": f"<|python_tag|>{READ}",
    "bare JSON before a token": f"{READ}<|im_end|>",
}
ONE = [("read", {"path": "a"})]
LEAKS = {**MARKED, **PLAIN, **BARE}


@pytest.mark.parametrize("form", LEAKS)
@pytest.mark.parametrize("key", ["content", "reasoning_content"])
def test_a_call_in_the_words_is_a_call_and_nothing_of_it_is_shown(form: str, key: str) -> None:
    told = said(LEAKS[form], key=key)
    assert told.found == ONE
    assert told.last.finish == "calls"
    assert (told.text + told.reasoning).strip() == ""
    assert told.repairs[0] == ("leaked_call" if form in MARKED else "fenced_call")
    assert told.calls <= {"read"}


@pytest.mark.parametrize("form", MARKED | PLAIN)
@pytest.mark.parametrize("key", ["content", "reasoning_content"])
def test_words_before_a_call_stay_what_they_are(form: str, key: str) -> None:
    told = said(f"I look first.\n\n{LEAKS[form]}", key=key)
    assert told.found == ONE
    assert (told.text, told.reasoning)[key != "content"] == "I look first.\n\n"


@pytest.mark.parametrize("form", LEAKS)
def test_a_call_of_a_tool_that_was_not_offered_is_words(form: str) -> None:
    for tools in ((offer("other"),), ()):
        told = said(LEAKS[form], tools=tools)
        assert told.found == []
        assert told.last.finish == "stop"
        assert "read" in told.text


@pytest.mark.parametrize("form", MARKED)
def test_marked_calls_may_stand_before_more_words(form: str) -> None:
    told = said(f"First.\n{LEAKS[form]}\nThen I wait.")
    assert told.found == ONE
    assert told.text == "First.\n\nThen I wait."


@pytest.mark.parametrize("form", PLAIN | BARE)
def test_json_with_more_words_after_it_is_an_example(form: str) -> None:
    text = f"{LEAKS[form].replace('<|im_end|>', '')}\nThat is how a call looks."
    told = said(text)
    assert told.found == []
    assert told.text == text.removeprefix("<|python_tag|>")


@pytest.mark.parametrize("form", [form for form in LEAKS if not form.startswith("K")])
def test_where_models_run_as_their_makers_run_them_json_is_never_a_call(form: str) -> None:
    merge = Merge(lambda error: ModelError(str(error), Fault.REFUSED), TOOLS, as_json=False)
    merge.take({"choices": [{"delta": {"content": LEAKS[form]}, "finish_reason": "stop"}]})
    assert merge.finished((), (), "m").answer.calls == ()


@pytest.mark.parametrize(
    ("url", "protocol", "as_json"),
    [
        ("https://api.moonshot.ai/v1", "openai", False),
        ("https://api.moonshot.ai/anthropic", "anthropic", False),
        ("https://api.anthropic.com", "anthropic", False),
        ("http://127.0.0.1:8080/v1", "openai", True),
        ("https://openrouter.ai/api/v1", "openai", True),
    ],
)
def test_json_is_a_call_only_where_weak_models_write_it(url: str, protocol: Protocol, as_json: bool) -> None:
    connection = Connection(url, "k", "K", "m", protocol=protocol)
    model = AnthropicModel(connection) if protocol == "anthropic" else OpenAIModel(connection)
    merge = model.merge(Request("", (), TOOLS, "s"), thinking=False)
    merge.take({"choices": [{"delta": {"content": READ}, "finish_reason": "stop"}]})
    assert bool(merge.finished((), (), "m").answer.calls) is as_json


@pytest.mark.parametrize("form", LEAKS)
def test_in_an_example_nothing_is_a_call(form: str) -> None:
    text = f"An example:\n````markdown\n{LEAKS[form]}\n````\n"
    for after in ("", "That is how it looks."):
        told = said(text + after)
        if "````" not in LEAKS[form]:
            assert told.found == []
        if form.startswith("K") or ("````" not in LEAKS[form] and "<|" not in LEAKS[form]):
            assert told.text == text + after
            assert told.repairs == []


@pytest.mark.parametrize("form", MARKED)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("It says:\n\n> ", "\n\nI do not follow that."),
        ("The file says ", ", which I do not follow."),
        ('It says "', '".'),
        ("It says `", "`"),
        ("It says `", "` and again `" + MARKED["K2"] + "`"),
        ("<think>It says:\n", "\nThat is not what I was asked for.</think>I did nothing."),
    ],
)
def test_what_is_quoted_in_a_sentence_is_no_call(form: str, before: str, after: str) -> None:
    told = said(f"{before}{MARKED[form]}{after}")
    assert told.found == []
    assert told.last.finish == "stop"


@pytest.mark.parametrize("form", MARKED)
def test_what_is_quoted_in_thinking_is_no_call(form: str) -> None:
    for after in (" That is not what I was asked for.", ""):
        told = heard({"reasoning_content": f"It says:\n{MARKED[form]}{after}"}, {"content": "The file wants a call."})
        assert told.found == []
        assert told.text == "The file wants a call."


@pytest.mark.parametrize("form", MARKED)
def test_marked_calls_that_end_the_answer_count_wherever_they_stand(form: str) -> None:
    for before in ("I look. ", "An example:\n```\nx\n", "> ", "<think>I look. "):
        assert said(f"{before}{MARKED[form]}").found == (ONE if "```" not in before or form.startswith("K") else [])
    twice = said(f"I look. {MARKED[form]}\n{MARKED[form]}<|im_end|>")
    assert twice.found == ONE * 2


@pytest.mark.parametrize(
    "text",
    [
        "Call it with `<tool_call>`, which opens a call.",
        f"Qwen writes `<tool_call>{READ}</tool_call>` there.",
        f"Qwen writes `<tool_call>` and then {READ}",
        "The marker `<|tool_calls_section_begin|>` opens a section, `<|tool_call_begin|>` a call.",
        "K3 begins with <|open|> and ends with <|close|>.",
        "a < b, <|, <|tool, <tool, ``, `x`, ◁ and <",
        f"Look:\n```json\n{READ}\n```\nand\n```json\n{{}}\n```\n",
        f"```python\nprint('hi')\n```\n\n```text\n{READ}\n```",
        '```json\n{"name": "my-app", "version": "1.0.0"}\n```',
        '```json\n{"name": "read", "arguments": {"file": "a"}}\n```',
        '```json\n{"name": "read", "arguments": {}}\n```',
        '```json\n{"name": "read", "arguments": {"path": "a"}, "why": "x"}\n```',
        '{"name": "Ada", "age": 36}',
        '{"answer": 42}',
        "[1, 2, 3]",
        "[a link](b) and {braces}",
        f"The call is {READ}",
        "It is done.</think",
        "I think `</think>` ends it.",
        "The parser strips </think> at the end, and <think>, too.",
        "What ends it is </think>.",
        "In HTML <think> is no element.",
        "```html\n<think>\n</think>\n```\n",
    ],
)
def test_words_that_only_look_alike_stay_words_to_the_letter(text: str) -> None:
    for pieces in (1, 7, len(text)):
        told = said(text, pieces=pieces)
        assert told.found == []
        assert told.text == text
        assert told.repairs == []


@pytest.mark.parametrize(
    "text",
    [
        "Plain words, as they come.",
        "```python\nprint(1)\n```\nThen `a` and <b> and {c}.",
        '{"answer": 42, "why": "it is"}',
        '```json\n{"name": "my-app", "version": "1.0.0"}\n```\nThat is it.',
        "<|tool_calls_section_begin|> is a mark, <|open|> is one too.",
        "<think>Hm.</think>So it is.",
        "[1](2) is a link, <tool_call> a tag.",
    ],
)
def test_words_are_told_as_soon_as_they_can_be_nothing_else(text: str) -> None:
    for end in range(len(text)):
        told = said(text[: end + 1], pieces=1)
        told.hear()
        behind = len(text[: end + 1]) - len(told.text) - len(told.reasoning)
        assert behind <= 45, text[: end + 1]
    told = said(f"{text} And more words.\n\nThe end", pieces=1)
    told.hear()
    assert told.text.endswith("The end")


TWO = {
    "K2": "<|tool_calls_section_begin|>" + k2() + k2("functions.shell:1", '{"command": "ls"}') + "<|tool_calls_section_end|>",
    "K2 without a section": k2() + k2("functions.shell:1", '{"command": "ls"}'),
    "K2 in two sections": MARKED["K2"] + MARKED["K2"].replace("read:0", "shell:1").replace('"path": "a"', '"command": "ls"'),
    "K3": f"<|open|>tools<|sep|>{k3(path='a')}{k3('shell', command='ls')}<|close|>tools<|sep|>",
    "tags": f'<tool_call>{READ}</tool_call>\n<tool_call>{{"name": "shell", "arguments": {{"command": "ls"}}}}</tool_call>',
    "a list": f'[{READ}, {{"name": "shell", "parameters": {{"command": "ls"}}}}]',
    "lines": f'{READ}\n{{"name": "shell", "parameters": {{"command": "ls"}}}}',
    "a fence": f'```json\n{READ}\n{{"name": "shell", "parameters": {{"command": "ls"}}}}\n```',
    "fences": f'```json\n{READ}\n```\n\n```json\n{{"name": "shell", "parameters": {{"command": "ls"}}}}\n```',
}


@pytest.mark.parametrize("form", TWO)
def test_two_calls_are_two_in_their_order(form: str) -> None:
    told = said(TWO[form])
    assert told.found == [*ONE, ("shell", {"command": "ls"})]
    assert told.text.strip() == ""
    assert len(told.repairs) == 1


def test_beside_an_offered_tool_one_that_is_none_is_answered_too() -> None:
    told = said(f"<|tool_calls_section_begin|>{k2()}{k2('functions.no_such:1', '{}')}<|tool_calls_section_end|>")
    assert told.found == [*ONE, ("functions.no_such:1", {})]


BROKEN = {
    "K2, an open string": ("write", "<|tool_calls_section_begin|>" + k2("functions.write:0", '{"path": "a", "con')),
    "K2, cut": ("write", k2("functions.write:0", '{"path": "a", "content": "x', "")),
    "K2, cut before the arguments": ("shell", "<|tool_calls_section_begin|><|tool_call_begin|>functions.shell:0"),
    "K2, cut in a mark": ("shell", "<|tool_calls_section_begin|><|tool_call_begin|>functions.shell:0<|tool_call_argu"),
    "K2, no arguments at all": ("shell", k2("functions.shell:0", "{", "")),
    "K2, a key twice": ("shell", k2("functions.shell:0", '{"command": "ls", "command": "rm a"}')),
    "K2, more after it": ("shell", k2("functions.shell:0", '{"command": "ls"}}')),
    "K3, cut": ("shell", k3("shell", command="ls").replace("<|close|>call<|sep|>", "")),
    "K3, cut in a value": ("write", '<|open|>call tool="write" index="1"<|sep|><|open|>argument key="path"<|sep|>a'),
    "K3, cut before the arguments": ("shell", '<|open|>tools<|sep|><|open|>call tool="shell" index="1"<|sep|>'),
    "K3, a value that is no JSON": (
        "shell",
        k3("shell", command="{x").replace('"string"', '"object"'),
    ),
    "a tag, cut": ("write", '<tool_call>\n{"name": "write", "arguments": {"path": "a", "content": "'),
    "a tag, a brace short": ("shell", '<tool_call>{"name": "shell", "arguments": {"command": "ls"}</tool_call>'),
    "a fence, cut": ("write", '```json\n{"name": "write", "arguments": {"path": "a", "content": "x'),
    "a fence, a brace short": ("shell", '```json\n{"name": "shell", "arguments": {"command": "ls"}\n```'),
    "a fence, quotes amiss": ("shell", '```json\n{"name": "shell", "arguments": {"command": "say "hi""}}\n```'),
    "bare, cut": ("shell", '{"name": "shell", "parameters": {"command": "ls'),
    "bare, a trailing comma": ("shell", '{"name": "shell", "parameters": {"command": "ls",}}'),
}


@pytest.mark.parametrize("form", BROKEN)
def test_a_broken_call_is_never_guessed_but_answered(form: str) -> None:
    name, text = BROKEN[form]
    told = said(f"So:\n{text}" if not form.startswith("bare") else text)
    [(found, arguments)] = told.found
    assert found == name
    assert isinstance(arguments, str)
    assert told.text.strip() in {"So:", ""}


@pytest.mark.parametrize(
    "text",
    [
        f"<|tool_calls_section_begin|>{k2(end='')}",
        k2(end=""),
        k2(end="<|im_end|>"),
        f"<|tool_calls_section_begin|>{k2()}",
        f"<tool_call>{READ}",
        f"```json\n{READ}",
    ],
)
def test_arguments_that_are_whole_need_no_mark_after_them(text: str) -> None:
    told = said(text)
    assert told.found == ONE
    assert told.text == ""


HALF = '"\\ud83c"'


def test_half_a_character_in_a_call_is_never_replaced_by_another() -> None:
    arguments = f'{{"path": {HALF}}}'
    leaked = f'<tool_call>{{"name": "read", "arguments": {arguments}}}</tool_call>'
    twice = json.dumps(arguments)
    for told in (said(leaked), heard(call({"path": "\ud83c"}, "read")), heard(call(twice, "read"))):
        [(name, arguments)] = told.found
        assert name == "read"
        assert isinstance(arguments, str)
        assert "\ufffd" not in arguments


def test_a_text_of_marks_that_are_none_is_read_in_no_time() -> None:
    few = 20_000
    texts = [
        "<tool_call>{ " * few,
        "<|tool_call_begin|>functions.read:0<|tool_call_argument_begin|>{" * few,
        '<|open|>call tool="read"<|sep|><|open|>argument key="path"<|sep|>x<|close|>call<|sep|>' * few,
        "<|im_end|>x<|im_end|>\n" * few,
        "".join(("<|im_end|>", "<|end|>", "</s> ")[number * number % 7 % 3] for number in range(few)),
        "<think>" * few,
        "`` " * few,
        f"```json\n{READ}\n```\n" * few,
        f"[{','.join([READ] * few)}]",
        "".join(f"{' ' * 3000}x{number}" for number in range(200)),
    ]
    began = time.process_time()
    for text in texts:
        assert said(text, pieces=len(text)).last.model == "m"
    for text in texts:
        assert said(text[:100_000], pieces=50).last.model == "m"
    assert time.process_time() - began < 20


def test_values_without_an_end_are_read_in_no_time() -> None:
    text = "".join(f'<|tool_call_begin|>functions.read:0<|tool_call_argument_begin|>{{"a":"{number}' for number in range(40_000))
    began = time.process_time()
    assert said(text, pieces=len(text)).last.model == "m"
    assert time.process_time() - began < 4


def test_a_mark_within_a_string_ends_nothing() -> None:
    content = "see <|tool_call_end|> and </tool_call> and\n```\n"
    arguments = json.dumps({"path": "a", "content": content})
    for text in (k2("functions.write:0", arguments), f'<tool_call>{{"name": "write", "arguments": {arguments}}}</tool_call>'):
        assert said(text).found == [("write", {"path": "a", "content": content})]


STRUCTURED = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "shell", "arguments": '{"command": "ls"}'}}]}


@pytest.mark.parametrize("form", LEAKS)
def test_where_calls_came_in_their_own_form_none_is_looked_for_in_the_words(form: str) -> None:
    told = heard({"content": LEAKS[form]}, STRUCTURED)
    assert told.last.answer.calls == (Call("c", "shell", '{"command": "ls"}'),)
    assert "<|" not in told.text
    assert "<tool_call>" not in told.text
    assert ("markup" in told.repairs) == (form in MARKED or "token" in form)


@pytest.mark.parametrize("form", MARKED)
def test_what_is_quoted_beside_a_call_stays_in_the_words(form: str) -> None:
    text = f"It says `{MARKED[form]}`, which I do not follow. I look first."
    told = heard({"content": text}, STRUCTURED)
    assert told.last.answer.calls == (Call("c", "shell", '{"command": "ls"}'),)
    assert told.text == text
    assert told.repairs == []


def test_ids_in_the_words_are_kept_where_they_can_be() -> None:
    calls = said(TWO["K2"]).last.answer.calls
    assert [call.id for call in calls] == ["functions.read:0", "functions.shell:1"]
    same = said(k2() + k2()).last.answer.calls
    assert [call.id for call in same] == ["functions.read:0", "functions.read:1"]


THOUGHTS = {
    "tags": ("<think>Hm, hm.</think>Hello.", "Hm, hm.", "Hello."),
    "tags on lines": ("<think>\nHm, hm.\n</think>\n\nHello.\n", "Hm, hm.\n", "Hello.\n"),
    "white space first": ("\n<think>Hm.</think>Hello.", "Hm.", "Hello."),
    "other tags": ("◁think▷Hm.◁/think▷Hello.", "Hm.", "Hello."),
    "K3": (
        "<|open|>think<|sep|>Hm.<|close|>think<|sep|><|open|>response<|sep|>Hello.<|close|>response<|sep|><|close|>message<|sep|>",
        "Hm.",
        "Hello.",
    ),
    "two": ("<think>Hm.</think>\n<think>Ah.</think>Hello.", "Hm.Ah.", "Hello."),
    "none in it": ("<think>\n\n</think>\n\nHello.", "", "Hello."),
    "only an end, at once": ("</think>\n\nHello.", "", "Hello."),
    "no end": ("<think>Hm.", "Hm.", ""),
    "a quoted end in it": ("<think>So `</think>` ends it.</think>Hello.", "So `</think>` ends it.", "Hello."),
    "an end after quotes": ('<think>I say "hi"</think>Hello.', 'I say "hi"', "Hello."),
}


@pytest.mark.parametrize("form", THOUGHTS)
def test_thinking_in_the_words_is_thinking(form: str) -> None:
    text, reasoning, words = THOUGHTS[form]
    told = said(text)
    assert (told.last.answer.reasoning, told.last.answer.text) == (reasoning, words)
    assert told.repairs == ["markup"]


def test_thinking_that_nothing_opened_is_known_by_its_end_and_taken_for_it_the_next_time() -> None:
    told = said("Hm, hm.</think>\nHello.")
    assert told.last.answer.text == "Hm, hm.Hello."
    assert told.merge.thinks_unopened
    told = said("Hm, hm.</think>\nHello.", thinking=True)
    assert (told.last.answer.reasoning, told.last.answer.text) == ("Hm, hm.", "Hello.")
    assert told.merge.thinks_unopened
    assert not said("Hello.").merge.thinks_unopened
    assert not said("<think>Hm.</think>Hello.").merge.thinks_unopened


def test_where_thinking_comes_on_its_own_an_end_in_the_words_opens_nothing() -> None:
    told = heard({"reasoning_content": "Hm."}, {"content": "It strips\n</think>\nthere."})
    assert told.last.finish == "stop"
    assert not told.merge.thinks_unopened


def test_a_call_out_of_thinking_that_never_ended_is_one() -> None:
    told = said(f"<think>I look.{MARKED['K2']}")
    assert (told.found, told.reasoning, told.text) == (ONE, "I look.", "")


def test_json_in_thinking_is_no_call_where_words_follow() -> None:
    told = heard({"reasoning_content": f"I could send\n```json\n{READ}\n```"}, {"content": "No need."})
    assert told.found == []
    assert told.reasoning.endswith("```")
    told = heard({"content": "Looking."}, {"reasoning_content": f"I look.{MARKED['K2']}"})
    assert told.found == ONE


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Done.<|im_end|>", "Done."),
        ("Done.<|im_end|>\n<|endoftext|>\n", "Done."),
        ("<|im_start|>Done.", "Done."),
        ("Done.</s>", "Done."),
        ("<|im_end|>", ""),
        ("Write <|im_end|> there.", "Write <|im_end|> there."),
        ("Done.<|im_e", "Done.<|im_e"),
    ],
)
def test_special_tokens_at_the_edges_are_left_out(text: str, kept: str) -> None:
    told = said(text)
    assert told.last.answer.text == kept
    assert told.repairs == (["markup"] if kept != text else [])


@pytest.mark.parametrize("key", ["content", "reasoning_content"])
@pytest.mark.parametrize("blank", ["\n", " ", "\t\n"])
def test_endless_white_space_ends_the_answer(key: str, blank: str) -> None:
    for pieces in (1, 7, 30_000):
        told = said(f"Here it is:{blank * 12_000}", key=key, pieces=pieces)
        assert told.merge.flooded
        assert (told.text + told.reasoning).strip() == "Here it is:"
        assert len(told.text + told.reasoning) < 300
        assert told.last.finish == "stop"
        assert told.repairs == ["flood"]


def test_the_same_words_without_end_end_the_answer() -> None:
    for pieces in (3, 40_000):
        told = said("So:\n" + "The same line.\n" * 4000, pieces=pieces)
        assert told.merge.flooded
        assert len(told.text) < 40_000
        assert told.repairs == ["flood"]
    table = "".join(f"| {number} | the same words |\n" for number in range(3000))
    assert said(table, pieces=50).last.answer.text == table


@pytest.mark.parametrize("blank", ["\n", "\\n", " ", "\\r\\n"])
def test_a_call_of_endless_white_space_is_not_run(blank: str) -> None:
    arguments = '{"path": "a", "content": "x' + blank * 20_000
    parts = [arguments[start : start + 999] for start in range(0, len(arguments), 999)]
    head = {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "write", "arguments": ""}}]}
    told = heard(head, *({"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in parts))
    assert told.merge.flooded
    assert told.last.finish == "length"
    assert told.repairs == ["flood"]
    assert len(told.last.answer.calls[0].arguments) < 10_000


@pytest.mark.parametrize("text", ["So:" + "\n" * 9000, "a b\n" * 9000, "x" * 20_000 + " " * 5000, f"{READ}\n" + " \n" * 5000])
def test_a_flood_is_cut_at_the_same_place_wherever_it_was_cut(text: str) -> None:
    whole = said(text, pieces=len(text))
    assert whole.merge.flooded
    for pieces in (1, 13, 4096):
        assert said(text, pieces=pieces).last == whole.last


def test_white_space_that_means_something_is_kept() -> None:
    text = f"a{' ' * 3000}b{chr(10) * 3000}"
    for pieces in (1, 250, 9000):
        assert said(text, pieces=pieces).last.answer.text == text


def call(arguments: object, name: str = "shell", call_id: str = "c") -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "id": call_id, "function": {"name": name, "arguments": arguments}}]}


@pytest.mark.parametrize(
    ("came", "kept"),
    [
        ({"command": "ls"}, '{"command":"ls"}'),
        ("", "{}"),
        (None, "{}"),
        ("null", "{}"),
        ('"null"', "{}"),
        ('""', "{}"),
        (json.dumps('{"command": "ls"}'), '{"command": "ls"}'),
        ('{"command": "a\nb"}', '{"command": "a\nb"}'),
    ],
)
def test_arguments_are_set_right_where_nothing_is_lost(came: object, kept: str) -> None:
    told = heard(call(came))
    assert told.last.answer.calls == (Call("c", "shell", kept),)
    assert isinstance(told.found[0][1], dict)
    assert told.repairs == ["arguments"]


@pytest.mark.parametrize(
    "came",
    [
        '{"command": "ls"} and so',
        '{"command": "ls"',
        '{"command": "ls",}',
        json.dumps(json.dumps('{"command": "ls"}')),
        "[]",
        "ls",
        "1",
    ],
)
def test_arguments_stay_as_they_came_where_only_a_guess_could_help(came: str) -> None:
    told = heard(call(came))
    assert told.last.answer.calls == (Call("c", "shell", came),)
    assert told.repairs == []


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (call("{}", call_id=""), "without an id"),
        (call("{}", call_id="a b"), "an id that is none"),
        (call("{}", "functions.shell:0"), "a decorated name"),
        (call("{}", "", "functions.shell:0"), "without a name"),
    ],
)
def test_a_name_or_an_id_that_was_set_right_is_told(delta: dict[str, Any], words: str) -> None:
    told = heard(delta)
    assert told.found == [("shell", {})]
    [repair] = told.last.repairs
    assert repair.kind == "identity"
    assert words in repair.words


def test_repairs_of_one_kind_are_told_once() -> None:
    parts = [{"function": {"name": "shell", "arguments": {"command": str(number)}}} for number in range(5)]
    told = heard({"tool_calls": parts})
    assert len(told.found) == 5
    assert sorted(told.repairs) == ["arguments", "identity"]
    assert all("(5)" in repair.words for repair in told.last.repairs)


STREAMS = [*LEAKS.values(), *TWO.values(), *(text for _, text in BROKEN.values()), *(text for text, _, _ in THOUGHTS.values())]
PARTS = st.one_of(
    st.sampled_from(STREAMS),
    st.sampled_from(
        [
            "Look: ",
            "\n\n",
            "```\n",
            "`",
            "<|im_end|>",
            "\ud83c",
            "\udf19",
            " " * 190,
            "\n```json\n",
            "<think>",
            "</think>",
            "{",
            "x",
        ]
    ),
)


@given(
    st.lists(PARTS, min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=30), st.sampled_from(["content", "reasoning"])
)
@example([":```json\n{}\n```<|im_end|>```", MARKED["a tag"], "|>"], [], "content")
def test_words_give_the_same_answer_wherever_they_are_cut(parts: list[str], places: list[int], key: str) -> None:
    text = "".join(parts)
    whole = heard({key: text})
    cuts = sorted({0, len(text), *(place for place in places if place < len(text))})
    cut = heard(*({key: text[start:end]} for start, end in pairwise(cuts)))
    assert cut.last == whole.last
    for pieces in (1, 5):
        assert said(text, key=key, pieces=pieces).last == whole.last


def folded(pieces: list[bytes]) -> Finished:
    events, told = Events(), Told(Merge(lambda error: ModelError(str(error), Fault.REFUSED), TOOLS))
    for piece in pieces:
        for payload in events.feed(piece):
            if payload != b"[DONE]":
                told.merge.take(json.loads(payload))
        told.hear()
    return told.last


RECORDED = sorted(path.stem for path in CAPTURES.glob("*.sse") if b"text/event-stream" in path.read_bytes()[:600])


@given(st.sampled_from(RECORDED), st.lists(st.integers(0, 20_000), max_size=40), st.integers(1, 997))
def test_a_recorded_stream_gives_the_same_answer_wherever_it_is_cut(name: str, places: list[int], size: int) -> None:
    body = (CAPTURES / f"{name}.sse").read_bytes().partition(b"\r\n\r\n")[2]
    cuts = sorted({0, len(body), *(place for place in places if place < len(body))})
    whole = folded([body])
    assert folded([body[start:end] for start, end in pairwise(cuts)]) == whole
    assert folded([body[start : start + size] for start in range(0, len(body), size)]) == whole
