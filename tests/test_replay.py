"""Owns the proof that a recording is a file that stays as it is, and a model that says what it holds."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from agent.errors import Fault, UsageError
from agent.messages import Answer, Call, Prompt, Usage
from agent.model import CallDelta, Chunk, Failed, Finish, Finished, ReasoningDelta, Request, TextDelta
from agent.providers.replay import Outcome, Recording, ReplayModel, Step, dump, load

RECORDING = Recording(
    "A typing game 打字游戏",
    ("Build it.", "And a score."),
    (
        Step(
            "I start with  the page.\n",
            "What does it need?",
            (Call("a", "write", json.dumps({"path": "x.html", "content": "<p>" * 200})), Call("b", "shell", "{}")),
            (Outcome("a", "done"), Outcome("b", "done", 1)),
        ),
        Step("完成了。" * 20),
    ),
)
ASKED = Request("", (Prompt("Build it."),), (), "s")


async def play(model: ReplayModel) -> list[Chunk]:
    return [chunk async for chunk in model.stream(ASKED)]


def test_a_recording_survives_its_file_and_its_file_survives_reading() -> None:
    file = dump(RECORDING)
    assert load(file) == RECORDING
    assert dump(load(file)) == file


def test_a_file_holds_its_words_readably_one_thing_a_line() -> None:
    file = dump(RECORDING).decode()
    assert list(json.loads(file)) == ["v", "title", "prompts", "steps"]
    assert '"A typing game 打字游戏"' in file
    assert max(len(line) for line in file.splitlines()) < 1000
    assert file.endswith("}\n")


def test_half_a_character_does_not_keep_a_session_from_being_recorded() -> None:
    assert load(dump(Recording("t", ("a\ud800",), (Step("b"),)))).prompts == ("a\ufffd",)


def spoiled(change: Callable[[dict[str, Any]], object]) -> bytes:
    file = json.loads(dump(RECORDING))
    change(file)
    return json.dumps(file).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no recording"),
        (b"\xff\xfe", "no recording"),
        (b"[]", "no recording"),
        (b"{}", "no recording"),
        (spoiled(lambda file: file.update(v=2)), "newer jumar"),
        (spoiled(lambda file: file.pop("v")), '"v": 1'),
        (spoiled(lambda file: file.update(titel="x")), "titel"),
        (spoiled(lambda file: file["steps"][1].update(text=7)), "steps.1.text"),
        (spoiled(lambda file: file["steps"][0]["calls"][1].update(id="a")), "step 1"),
        (spoiled(lambda file: file["steps"][0]["calls"][1].update(name="")), "step 1"),
        (spoiled(lambda file: file["steps"][0]["replies"][1].update(call_id="c")), "'c'"),
        (spoiled(lambda file: file["steps"][1].update(text=" ")), "step 2"),
        (spoiled(lambda file: file.update(steps=[])), "empty"),
        (spoiled(lambda file: file.update(prompts=[])), "empty"),
    ],
)
def test_a_file_that_is_no_recording_says_why_in_one_line(content: bytes, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(content)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_every_step_is_said_in_pieces_and_then_whole() -> None:
    model = ReplayModel(RECORDING)
    for step in RECORDING.steps:
        *deltas, last = await play(model)
        finish: Finish = "calls" if step.calls else "stop"
        assert last == Finished(Answer(step.text, step.calls, step.reasoning), finish, Usage(), "replay")
        assert "".join(chunk.text for chunk in deltas if isinstance(chunk, TextDelta)) == step.text
        assert "".join(chunk.text for chunk in deltas if isinstance(chunk, ReasoningDelta)) == step.reasoning
        assert sum(isinstance(chunk, TextDelta) for chunk in deltas) > 3
        for call in step.calls:
            sizes = [chunk.size for chunk in deltas if isinstance(chunk, CallDelta) and chunk.name == call.name]
            assert sizes == sorted(set(sizes))
            assert sizes[-1] == len(call.arguments)


async def test_after_its_last_step_a_recording_is_over_and_stays_so() -> None:
    model = ReplayModel(RECORDING)
    await play(model)
    await play(model)
    for _ in range(2):
        [last] = await play(model)
        assert isinstance(last, Failed)
        assert last.error.fault is Fault.REFUSED
        assert not last.error.retryable
        assert "2 steps" in str(last.error)
    await model.close()


async def test_the_pace_is_kept_at_every_piece() -> None:
    heard: list[str] = []

    async def pace(piece: str) -> None:
        heard.append(piece)

    deltas = await play(ReplayModel(RECORDING, pace=pace))
    step = RECORDING.steps[0]
    assert len(heard) == len(deltas) - 1
    assert "".join(heard) == step.reasoning + step.text + "".join(call.arguments for call in step.calls)


async def test_a_step_that_was_cancelled_is_said_again() -> None:
    model = ReplayModel(RECORDING, pace=3600.0)
    task = asyncio.create_task(play(model))
    await asyncio.wait({task}, timeout=0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    held = asyncio.Event()

    async def pace(_: str) -> None:
        held.set()

    again = ReplayModel(RECORDING, pace=pace)
    chunks = again.stream(ASKED)
    await anext(chunks)
    assert held.is_set()
    *_, last = await play(again)
    assert isinstance(last, Finished)
    assert last.answer.text == RECORDING.steps[0].text
