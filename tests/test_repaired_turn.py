"""What becomes of a weak model's calls in a turn: found in its words they pass the same gate, broken they never run."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.ask import Patience
from agent.config import Connection
from agent.events.call import ToolFinished, ToolStarted
from agent.events.conversation import TurnFinished
from agent.events.event import Event
from agent.events.step import Compacted, Repaired
from agent.log import Log
from agent.messages import Call
from agent.policy import Mode
from agent.providers.openai import OpenAIModel
from agent.session import Session
from agent.setting import Setting
from agent.workspace.local import LocalWorkspace
from jumar.wiring import find_tools
from tests.fakes import Response, ScriptedServer, answer, event
from tests.histories import fold, is_valid

DONE = answer("It is done.")


class Room:
    """A folder, a scripted server, and what turns there told."""

    def __init__(self, folder: Path, server: ScriptedServer) -> None:
        self.root = folder / "ws"
        self.root.mkdir()
        (self.root / "a").write_text("the text of a\n")
        self.server = server
        self.folder = folder
        self.events: list[Event] = []
        self.padding = ""  # of the system's words

    async def turn(self, *script: Response, mode: Mode = Mode.YOLO, window: int | None = None) -> TurnFinished:
        self.server.script.extend(script)
        setting = Setting(
            models=(OpenAIModel(Connection(self.server.base_url, "k", "K", "m", window=window)),),
            workspace=LocalWorkspace(self.root, self.root, spill=self.folder, environment=os.environ),
            tools=find_tools(),
            mode=mode,
            system=f"system {self.padding}",
            preface="",
            version="0",
            patience=Patience(base=0.0),
        )
        session = Session(setting, Log.create(self.folder / "sessions", "s"), lambda event, line: self.events.append(event))
        try:
            return await session.turn("go")
        finally:
            await session.close()
            assert is_valid(fold(self.events).messages)

    @property
    def replies(self) -> list[ToolFinished]:
        return [event for event in self.events if isinstance(event, ToolFinished)]

    @property
    def repairs(self) -> list[str]:
        return [event.kind for event in self.events if isinstance(event, Repaired)]

    @property
    def ran(self) -> Sequence[str]:
        return [event.tool for event in self.events if isinstance(event, ToolStarted)]


@pytest.fixture
def room(tmp_path: Path, server: ScriptedServer) -> Room:
    return Room(tmp_path, server)


TOUCH = '{"command": "touch ran"}'
WRITE = '{"path": "ran", "content": "x"}'
K2 = "<|tool_call_begin|>functions.{}:0<|tool_call_argument_begin|>{}"
BROKEN = {
    "cut": answer(calls=[Call("1", "shell", TOUCH[:-1])]),
    "more after it": answer(calls=[Call("1", "shell", f"{TOUCH} and so on")]),
    "two in one": answer(calls=[Call("1", "shell", TOUCH + TOUCH)]),
    "a brace too many": answer(calls=[Call("1", "write", WRITE + "}")]),
    "a trailing comma": answer(calls=[Call("1", "write", WRITE.replace('x"}', 'x",}'))]),
    "single quotes": answer(calls=[Call("1", "shell", TOUCH.replace('"', "'"))]),
    "a key twice": answer(calls=[Call("1", "shell", '{"command": "true", "command": "touch ran"}')]),
    "a fence around it": answer(calls=[Call("1", "shell", f"```json\n{TOUCH}\n```")]),
    "a number that is none": answer(calls=[Call("1", "shell", TOUCH.replace("}", ', "timeout": NaN}'))]),
    "leaked, cut": answer(K2.format("shell", TOUCH[:-1])),
    "leaked, more after it": answer(K2.format("write", WRITE + " so<|tool_call_end|>")),
    "leaked, cut in K3's form": answer(
        '<|open|>tools<|sep|><|open|>call tool="shell" index="1"<|sep|>'
        '<|open|>argument key="command" type="string"<|sep|>touch ran<|close|>argument<|sep|>'
    ),
    "in a tag, a brace short": answer('<tool_call>{"name": "shell", "arguments": ' + TOUCH + "</tool_call>"),
    "in a fence, a brace short": answer('So:\n```json\n{"name": "write", "arguments": ' + WRITE + "\n```"),
    "bare, cut": answer('{"name": "shell", "arguments": ' + TOUCH),
    "in thinking, cut": answer("", reasoning=f"I touch it.{K2.format('shell', TOUCH[:-1])}"),
}


@pytest.mark.parametrize("form", BROKEN)
async def test_a_broken_call_that_changes_something_is_answered_and_never_run(room: Room, form: str) -> None:
    finished = await room.turn(BROKEN[form], DONE)
    assert room.ran == []
    assert not (room.root / "ran").exists()
    [reply] = room.replies
    assert reply.status == "invalid"
    assert "nothing was run" in reply.reply
    assert finished.status == "done"
    assert "nothing was run" in room.server.bodies()[1]["messages"][-1]["content"]


LEAKED = {
    "K2": answer(
        f"I touch it. <|tool_calls_section_begin|>{K2.format('shell', TOUCH)}<|tool_call_end|><|tool_calls_section_end|>"
    ),
    "a fence": answer('I touch it. \n```json\n{"name": "shell", "arguments": ' + TOUCH + "}\n```"),
}


@pytest.mark.parametrize("form", LEAKED)
async def test_a_call_found_in_the_words_runs_and_passes_the_same_gate(room: Room, form: str) -> None:
    await room.turn(LEAKED[form], DONE)
    assert (room.root / "ran").exists()
    assert room.repairs == ["leaked_call" if form == "K2" else "fenced_call"]
    sent = room.server.bodies()[1]["messages"][-2]
    assert sent["content"].strip() == "I touch it."
    function = sent["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("shell", json.loads(TOUCH))


@pytest.mark.parametrize("form", LEAKED)
async def test_a_call_found_in_the_words_is_refused_where_any_is(room: Room, form: str) -> None:
    await room.turn(LEAKED[form], DONE, mode=Mode.PLAN)
    assert not (room.root / "ran").exists()
    assert [reply.status for reply in room.replies] == ["denied"]


async def test_what_stands_after_the_arguments_of_a_call_that_only_reads_is_cut_and_told(room: Room) -> None:
    await room.turn(answer(calls=[Call("1", "read", '{"path": "a"}{"path": "b"}')]), DONE)
    [reply] = room.replies
    assert reply.status == "done"
    assert "the text of a" in reply.reply
    assert "More stood after the arguments" in reply.reply
    assert room.repairs == ["arguments"]
    sent = room.server.bodies()[1]["messages"][-2]["tool_calls"][0]["function"]
    assert sent["arguments"] == '{"path":"a"}'


async def test_what_two_requests_cost_is_not_taken_for_the_size_of_one(room: Room) -> None:
    usage = {"prompt_tokens": 9_000, "completion_tokens": 5}
    empty = Response((event({"tool_calls": []}, "tool_calls", usage=usage), b"data: [DONE]\n\n"))
    message = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c", "function": {"name": "read", "arguments": '{"path": "a"}'}}],
    }
    whole = {"choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}
    room.padding = "word " * 6_000
    finished = await room.turn(empty, Response((json.dumps(whole).encode(),)), DONE, window=16_000)
    assert finished.status == "done"
    assert room.repairs == ["resent"]
    assert not any(isinstance(event, Compacted) for event in room.events)
    assert finished.usage.prompt >= 18_000


async def test_an_answer_that_came_empty_twice_is_nudged_and_the_turn_goes_on(room: Room) -> None:
    nothing = Response((event({"role": "assistant", "content": ""}), event({}, "tool_calls"), b"data: [DONE]\n\n"))
    finished = await room.turn(nothing, nothing, DONE)
    assert (finished.status, finished.text) == ("done", "It is done.")
    assert room.repairs == ["resent", "empty"]
