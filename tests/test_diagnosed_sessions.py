"""A whole session in which changes bring problems: the model is told and the person sees it, at once or with the next step."""

import json
import sys
from pathlib import Path

from tests.fakes import ScriptedServer, answer
from tests.runs import Person

SERVER = Path(__file__).with_name("languageserver.py")


async def test_the_model_is_told_of_new_problems_with_its_change_or_as_soon_as_they_are_known(
    person: Person, server: ScriptedServer, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "ty"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -I {SERVER}\n")
    program.chmod(0o755)
    person.environment["PATH"] = f"{program.parent}:{person.environment['PATH']}"
    (person.root / "a.py").write_text("x = 1\n")
    changes = [("edit", {"path": "a.py", "old": "x = 1", "new": "x = 1\nBAD = 2"}), ("write", {"path": "b.py", "content": "y\n"})]
    waits = "touch go; until [ -e said ]; do sleep 0.01; done; sleep 0.1"
    server.script += [
        answer("", calls=changes),
        answer("", calls=[("write", {"path": "c.py", "content": "LATE = BAD\n"})]),
        answer("", calls=[("shell", {"command": waits})]),
        answer("", calls=[("shell", {"command": "true"})]),
        answer("Done."),
    ]
    ran = await person.trusted("--mode", "yolo", "--output-format", "stream-json", "-p", "go")
    assert ran.code == 0, ran.err
    edited, written, late, *_ = (m["content"] for m in server.bodies()[-1]["messages"] if m["role"] == "tool")
    assert "problems" not in edited
    assert written.endswith("New problems since this step's changes:\na.py:2: error: it is bad [bad] (ty)")
    assert late.endswith("ty has not answered yet: what it finds is told with a later step.")
    [finished] = [line for line in ran.lines if line["type"] == "tool.finished" and line["subject"] == "b.py"]
    assert finished["blocks"][-1]["text"] == "a.py:2: error: it is bad [bad] (ty)"
    [informed] = [line for line in ran.lines if line["type"] == "model.informed" and line["kind"] == "problems"]
    assert informed["title"] == "c.py:1: error: it is bad [bad] (ty)"
    assert informed["title"] in json.dumps(server.bodies()[-1])
