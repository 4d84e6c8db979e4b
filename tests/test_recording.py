"""Recordings: made of a session, and played again with tools that really run."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from agent.events.call import ToolFinished
from agent.events.conversation import TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.news import Informed
from agent.events.step import ModelAnswered
from agent.messages import Answer, Usage
from jumar.recording import recording_of
from tests.fakes import ScriptedServer, answer
from tests.runs import Ended, Person

CALLS: list[Any] = [
    ("write", {"path": "hello.py", "content": "print('hello')\n"}),
    ("shell", {"command": "python3 hello.py; exit 3"}),
]


async def _session(folder: Path) -> Path:
    """Hold a session of two turns, and return the home in which it is kept."""
    async with ScriptedServer([answer("First.", calls=CALLS), answer("It says hello."), answer("Again.")]) as server:
        person = Person(folder, server.base_url)
        assert (await person.trusted("-p", "say hello", "--mode", "yolo")).code == 0
        assert (await person.trusted("-p", "once more", "-c")).code == 0
        return person.home


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(_session(tmp_path_factory.mktemp("session")))


@pytest.fixture
def person(kept: Path, tmp_path: Path) -> Person:
    """Return somebody who has held that session, and has no server."""
    person = Person(tmp_path)
    shutil.copytree(kept, person.home, dirs_exist_ok=True)
    return person


async def recorded(person: Person) -> Path:
    file = person.home / "hello.json"
    assert (await person.run("record", person.logs[0].stem, str(file))).code == 0
    return file


async def replayed(person: Person, file: Path, *more: str) -> Ended:
    return await person.run("replay", str(file), "--trust", "--mode", "yolo", "--output-format", "stream-json", *more)


async def test_a_recording_plays_without_a_key_and_its_calls_really_run(person: Person) -> None:
    run = await replayed(person, await recorded(person))
    assert (run.code, run.result["status"], run.result["text"]) == (0, "done", "Again.")
    assert (person.root / "hello.py").read_text() == "print('hello')\n"
    assert [line["prompt"] for line in run.lines if line["type"] == "turn.started"] == ["say hello", "once more"]
    replies = [line["reply"] for line in run.lines if line["type"] == "tool.finished"]
    assert replies[1].startswith("hello\n[exit 3")


async def test_a_call_that_comes_out_differently_is_told_and_fails(person: Person) -> None:
    file = await recorded(person)
    (person.root / "hello.py").write_text("theirs\n")
    run = await replayed(person, file)
    assert (run.code, run.result["status"]) == (1, "failed")
    assert run.result["reason"].startswith("a call came out differently: write hello.py: failed, in the recording done")
    assert (person.root / "hello.py").read_text() == "theirs\n"


async def test_a_recording_is_a_file_that_people_can_read(person: Person) -> None:
    written = json.loads((await recorded(person)).read_text())
    assert written["prompts"] == ["say hello", "once more"]
    assert [len(step["calls"]) for step in written["steps"]] == [2, 0, 0]
    assert [reply["exit_code"] for reply in written["steps"][0]["replies"]] == [None, 3]
    printed = await person.run("record", person.logs[0].stem)
    assert json.loads(printed.out) == written


async def test_an_existing_file_is_not_written_over(person: Person) -> None:
    file = await recorded(person)
    before = file.read_bytes()
    assert (await person.run("record", person.logs[0].stem, str(file))).code == 2
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"v": 2}', '{"v":1,"title":"t","prompts":[],"steps":[]}'])
async def test_what_is_no_recording_is_refused_in_one_line(person: Person, content: str) -> None:
    (person.home / "bad.json").write_text(content)
    run = await replayed(person, person.home / "bad.json")
    assert run.code == 2
    assert run.err.count("\n") == 1


async def test_a_session_that_did_not_end_well_cannot_be_recorded(person: Person) -> None:
    log = person.logs[0]
    log.write_bytes(b"".join(line for line in log.read_bytes().splitlines(keepends=True) if b'"turn.finished"' not in line))
    run = await person.run("record", log.stem)
    assert run.code == 2
    assert run.err.count("\n") == 1


def test_a_turn_that_had_to_go_on_is_played_to_its_last_words_and_without_checks() -> None:
    def said(text: str) -> ModelAnswered:
        return ModelAnswered(step=1, answer=Answer(text), usage=Usage(), model="m", seconds=0)

    events: list[Event] = [
        TurnStarted(turn=1, prompt="one"),
        said("done"),
        ToolFinished(call_id="check-1-1", tool="shell", status="done", reply="", exit_code=1),
        Informed(kind="check", title="", told="mend it", step=2),
        said("mended"),
        TurnFinished(turn=1, status="done", text="mended"),
        TurnStarted(turn=2, prompt="two"),
        said("again"),
        TurnFinished(turn=2, status="done", text="again"),
    ]
    recording = recording_of(events, "t")
    assert [(step.text, step.replies) for step in recording.steps] == [("mended", ()), ("again", ())]
