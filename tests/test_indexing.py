"""When the index of names is looked after in a session."""

import asyncio
import json
import os
import re
import sqlite3
from pathlib import Path

import pytest

from agent.code.index import Index
from agent.code.lookup import Asked
from agent.events.action import ActionFile, ActionRecorded
from agent.events.conversation import TurnStarted
from agent.events.event import Event
from agent.events.step import StepStarted, TextStreamed
from agent.workspace.contract import EVERYTHING
from agent.workspace.local import LocalWorkspace
from jumar.home import home
from jumar.indexing import indexing
from jumar.status import told
from tests.runs import Person


async def test_the_index_is_built_once_the_first_request_is_answered_and_never_before(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.py").write_text("def first(): pass\n")
    place = LocalWorkspace(root, root, spill=tmp_path / "spill", environment={"PATH": os.environ["PATH"]})
    index = Index(tmp_path / "code", root, nice=0)
    heard: list[Event] = []
    hear = indexing(index, lambda event, line: heard.append(event))
    first: list[Event] = [TurnStarted(turn=1, prompt="go"), StepStarted(step=1)]
    for event in first:
        hear(event, b"")
    await index.built()
    assert not (tmp_path / "code").exists()

    hear(TextStreamed(text="I"), b"")
    await index.built()
    progress = index.progress()
    assert progress == (1, 1, True)

    hear(TextStreamed(text=" look"), b"")
    (root / "b.py").write_text("def second(): pass\n")
    files = (ActionFile(path="b.py", kind="created", added=1, removed=0),)
    hear(ActionRecorded(action="1", seal="", call_id="1", tool="write", title="write b.py", files=files), b"")
    answer = await index.find(place, Asked("second", place.locate("."), EVERYTHING))
    assert [one.path for one in answer.definitions] == ["b.py"]

    (root / "c.py").write_text("def third(): pass\n")
    second: list[Event] = [TurnStarted(turn=2, prompt="go on"), StepStarted(step=2), TextStreamed(text="Yes")]
    for event in second:
        hear(event, b"")
    await index.built()
    assert index.progress() == (3, 3, True)
    answer = await index.find(place, Asked("third", place.locate("."), EVERYTHING))
    assert [one.path for one in answer.definitions] == ["c.py"]
    assert len(heard) == 8
    await index.close()


async def test_it_is_begun_while_a_person_still_writes(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    index = Index(tmp_path / "code", tmp_path / "root", nice=0)
    indexing(index, lambda event, line: None, early=0)
    while index.progress() is None:  # noqa: ASYNC110 - of what another program does there is no event
        await asyncio.sleep(0)
    await index.close()


async def test_status_says_how_the_index_stands(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(person.home))
    monkeypatch.delenv("JUMAR_HOME", raising=False)

    def said() -> str:
        return dict(told(str(person.root)))["index"]

    assert said() == "none yet: the first session builds it"
    (person.root / "a.py").write_text("def first(): pass\n")
    index = Index(home(os.environ).code, person.root, nice=0)
    index.start()
    await index.built()
    assert re.fullmatch(r"\d files · looked over \d+ s ago · 0\.\d MiB", said())
    with sqlite3.connect(index.path) as connection:
        connection.execute("UPDATE progress SET complete = 0, listed = 70")
    connection.close()
    assert re.fullmatch(r"unfinished: \d of 70 files · 0\.\d MiB", said())
    row = json.loads((await person.run("status", "--json")).out)["index"]
    assert (row["listed"], row["whole"], row["age"]) == (70, False, None)
    await index.close()
