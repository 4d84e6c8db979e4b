"""Sessions in which changes bring problems: the model is told and the person sees it, at once or with a later step."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path

from agent.blocks import DiffBlock, TextBlock
from agent.diagnostics.diagnostics import Diagnostics
from agent.diagnostics.finding import Finding
from agent.workspace.local import LocalWorkspace
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.test_session import Bench
from tui.entries import Called
from tui.look import Look, look
from tui.words import catalogue

SERVER = Path(__file__).with_name("languageserver.py")


async def test_the_model_is_told_of_new_problems_with_its_change_or_as_soon_as_they_are_known(
    person: Person, server: ScriptedServer, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "ty"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S {SERVER}\n")
    program.chmod(0o755)
    person.environment["PATH"] = f"{program.parent}:{person.environment['PATH']}"
    (person.root / "a.py").write_text("x = 1\n")
    (person.root / "c.py").write_text("LATE\n")
    changes = [("edit", {"path": "a.py", "old": "x = 1", "new": "x = 1\nBAD = 2"}), ("write", {"path": "b.py", "content": "y\n"})]
    waits = "touch go; until [ -e said ]; do sleep 0.01; done; sleep 0.1"
    server.script += [
        answer("", calls=changes),
        answer("", calls=[("edit", {"path": "c.py", "old": "LATE", "new": "LATE = BAD"})]),
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


async def test_a_turn_that_is_stopped_while_it_waits_for_problems_tells_its_change_as_made(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "ty"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S {SERVER} hang\n")
    program.chmod(0o755)
    async with ScriptedServer() as server:
        bench = Bench(tmp_path, server)
        await bench.session.close()
        environment = {"PATH": str(program.parent)}
        workspace = LocalWorkspace(bench.root, bench.root, spill=tmp_path / "spill", environment=environment)
        diagnostics = Diagnostics(workspace, Finding(bench.root, environment, sandboxed=False), 60)
        bench.session = bench.opened(diagnostics=diagnostics)
        calls = [("write", {"path": "b.py", "content": "BAD\n"}), ("read", {"path": "b.py"})]
        running = asyncio.create_task(bench.turn(answer("", calls=calls)))
        async with asyncio.timeout(20):
            while diagnostics.standing() != [("ty", "running")]:  # noqa: ASYNC110 - another program makes it
                await asyncio.sleep(0.005)
        bench.session.cancel()
        assert (await running).status == "cancelled"
        assert bench.statuses() == ["done", "cancelled"]
        assert bench.replies()[0].reply == "Created b.py: 1 line, syntax ok."
        await bench.session.close()
        assert diagnostics.standing() == [("ty", "not started")]
        await workspace.close()


def test_the_screen_shows_the_problems_of_a_change_below_it_without_its_being_opened() -> None:
    blocks = (DiffBlock("a.py", "@@ -1 +1 @@\n-x\n+y", 1, 1), TextBlock("b.py:3: error: x is gone (ty)"))
    changed = Called("e", "c", "edit", "a.py", "over", "done", blocks=blocks, effect="write")
    assert "x is gone" in look(changed, Look(catalogue("en"), 80, opened=False)).plain
    assert "x is gone" not in look(replace(changed, effect="read"), Look(catalogue("en"), 80, opened=False)).plain
