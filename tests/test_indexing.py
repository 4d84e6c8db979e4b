"""When the index of names is looked after in a session."""

import os
from pathlib import Path

from agent.code.index import Index
from agent.code.lookup import Asked
from agent.events import ActionFile, ActionRecorded, Event, StepStarted, TextStreamed, TurnStarted
from agent.workspace.local import LocalWorkspace
from jumar.indexing import indexing


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
    answer = await index.find(place, Asked("second", place.locate("."), lambda located: True))
    assert [one.path for one in answer.definitions] == ["b.py"]

    (root / "c.py").write_text("def third(): pass\n")
    second: list[Event] = [TurnStarted(turn=2, prompt="go on"), StepStarted(step=2), TextStreamed(text="Yes")]
    for event in second:
        hear(event, b"")
    await index.built()
    assert index.progress() == (3, 3, True)
    answer = await index.find(place, Asked("third", place.locate("."), lambda located: True))
    assert [one.path for one in answer.definitions] == ["c.py"]
    assert len(heard) == 8
    await index.close()
