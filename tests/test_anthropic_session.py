"""Sessions over the Messages API: real tools, faults of the wire, cancelling, resuming."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.ask import Patience
from agent.config import Connection
from agent.events.call import ToolStarted
from agent.events.conversation import TurnFinished
from agent.events.event import Event
from agent.events.step import RequestRetried
from agent.log import Log
from agent.messages import Usage
from agent.policy import Mode
from agent.providers.anthropic import AnthropicModel
from agent.session import Session
from agent.setting import Setting
from agent.workspace.local import LocalWorkspace
from jumar.wiring import find_tools
from tests.fakes import Response, ScriptedServer, anthropic, failure, said
from tests.histories import fold, is_valid
from tests.messaging import CLAUDE, DOCUMENTED, SIGNATURE, check, events, refusal, shared
from tests.runs import Person


class Bench:
    """A session in a folder, with all tools, against a scripted server."""

    def __init__(self, folder: Path, server: ScriptedServer) -> None:
        self.root = folder / "ws"
        self.root.mkdir()
        self.folder = folder / "sessions"
        self.server = server
        self.events: list[Event] = []
        self.when: Callable[[Event], object] = lambda event: None
        self.session = self.opened()

    def opened(self) -> Session:
        def listen(event: Event, line: bytes) -> None:
            self.events.append(event)
            self.when(event)

        setting = Setting(
            models=(AnthropicModel(Connection(self.server.base_url, "k", "K", CLAUDE, "anthropic")),),
            workspace=LocalWorkspace(self.root, self.root, spill=self.folder, environment=os.environ),
            tools=find_tools(),
            system="You work in a folder. " * 200,
            preface="",
            version="0",
            mode=Mode.YOLO,
            patience=Patience(base=0.0),
        )
        path = next(iter(self.folder.glob("*.jsonl")), None) if self.folder.exists() else None
        if path is None:
            return Session(setting, Log.create(self.folder, "s"), listen)
        log, found = Log.open(path)
        return Session(setting, log, listen, found)

    async def turn(self, *script: Response) -> TurnFinished:
        self.server.script.extend(script)
        return await asyncio.wait_for(self.session.turn("go"), 20)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with ScriptedServer() as server:
        made = Bench(tmp_path, server)
        yield made
        await made.session.close()
        for whole in server.bodies():
            check(whole)
        assert is_valid(fold(made.events).messages)


async def test_a_whole_turn_runs_with_real_tools_through_faults_of_the_wire(bench: Bench) -> None:
    calls: list[Any] = [
        ("write", {"path": "a.txt", "content": "one\n"}),
        ("read", {"path": "a.txt"}),
        ("shell", {"command": "echo two >> a.txt"}),
    ]
    ended = await bench.turn(
        failure(529, refusal("overloaded_error")),
        events(*DOCUMENTED[:4], said("error", error={"type": "overloaded_error", "message": "Overloaded"})),
        anthropic("I write.", calls, thinking="Hm.", signature=SIGNATURE, usage=Usage(900, 20, 0, 800)),
        Response(anthropic("Look", [("read", {"path": "a.txt"})]).pieces[:-2], cut=True),
        anthropic(calls=[("read", {"path": "a.txt"})], usage=Usage(1000, 10, 900, 50)),
        anthropic("Done: two lines.", usage=Usage(1100, 10, 950, 90)),
    )
    assert (ended.status, ended.text) == ("done", "Done: two lines.")
    assert (bench.root / "a.txt").read_text() == "one\ntwo\n"
    assert ended.usage == Usage(3000, 40, 1850, 940)
    assert sum(isinstance(event, RequestRetried) for event in bench.events) == 3
    results = bench.server.bodies()[-1]["messages"][-1]["content"]
    assert "2\ttwo" in results[0]["content"]
    assert f'"signature":"{SIGNATURE}"'.encode() in bench.server.requests[-1]
    for before, after in zip(bench.server.requests[2:], bench.server.requests[3:], strict=False):
        same = shared(before, after)
        assert same / len(before) >= 0.97


async def test_a_turn_that_was_cancelled_and_a_session_that_was_resumed_go_on_validly(bench: Bench) -> None:
    begun = asyncio.Event()
    bench.when = lambda event: begun.set() if isinstance(event, ToolStarted) and event.tool == "shell" else None
    calls: list[Any] = [("read", {"path": "."}), ("shell", {"command": "sleep 30"}), ("shell", {"command": "echo x > never"})]
    running = asyncio.ensure_future(bench.turn(anthropic("I wait.", calls, thinking="Hm.", signature=SIGNATURE)))
    await asyncio.wait_for(begun.wait(), 10)
    bench.session.cancel()
    assert (await running).status == "cancelled"
    assert (await bench.turn(anthropic("Well."))).status == "done"
    assert not (bench.root / "never").exists()
    await bench.session.close()
    bench.session = bench.opened()
    assert (await bench.turn(anthropic("Again."))).status == "done"
    last = bench.server.bodies()[-1]["messages"]
    assert [message["role"] for message in last] == ["user", "assistant", "user", "assistant", "user"]
    assert last[1]["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE}
    assert [block["type"] for block in last[2]["content"]] == ["tool_result", "tool_result", "tool_result", "text"]


@pytest.mark.parametrize("end", ["/anthropic", "/anthropic/v1"])
async def test_a_person_points_jumar_at_such_an_address_and_it_works(person: Person, server: ScriptedServer, end: str) -> None:
    address = server.base_url.removesuffix("/v1") + end
    edit = ("edit", {"path": "calc.py", "old": "a - b", "new": "a + b"})
    server.script += [anthropic("I mend it.", [edit], thinking="Hm.", usage=Usage(900, 20)), anthropic("It adds now.")]
    asked = ("-p", "mend add()", "--trust", "--mode", "edits", "--output-format", "json")
    ended = await person.run(*asked, environment={"JUMAR_BASE_URL": address, "JUMAR_MODEL": CLAUDE})
    assert ended.code == 0, ended.err
    assert "a + b" in (person.root / "calc.py").read_text()
    assert {head[":path"] for head in server.heads if head[":path"] != "/anthropic/v1/models"} == {"/anthropic/v1/messages"}
    assert ended.result["text"] == "It adds now."
    for whole in server.bodies():
        check(whole)
    before, after = server.requests
    assert shared(before, after) / len(before) >= 0.97
