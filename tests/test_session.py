"""A session: the order of calls, steering, cancelling, and a history that stays valid."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from agent.ask import Patience
from agent.config import Connection
from agent.effects import Effect
from agent.events.call import ApprovalAsked, ToolFinished, ToolStarted
from agent.events.conversation import Steered, TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.step import ModelAnswered, RequestRetried
from agent.gate import Answered
from agent.log import Log, events_of
from agent.loop import Limits
from agent.messages import Call
from agent.policy import Mode
from agent.providers.openai import OpenAIModel
from agent.rules import Decision, Rule
from agent.session import Session
from agent.setting import Setting
from agent.tool import Arguments, Context, Result, Tool
from agent.workspace.contract import View
from agent.workspace.local import LocalWorkspace
from jumar.wiring import find_tools
from tests.fakes import Response, ScriptedServer, answer, failure
from tests.histories import fold, is_valid
from tests.runs import gone


class MeetArguments(Arguments):
    """How many others to wait for."""

    others: int


class Meet(Tool[MeetArguments]):
    """Waits until so many run at the same time: alone, it would wait for ever."""

    arguments = MeetArguments
    effect: ClassVar[Effect] = Effect.READ

    def __init__(self) -> None:
        self._here = 0
        self._all = asyncio.Event()

    def subject(self, arguments: MeetArguments) -> str:
        return ""

    async def run(self, arguments: MeetArguments, context: Context) -> Result:
        self._here += 1
        if self._here > arguments.others:
            self._all.set()
        await self._all.wait()
        return Result("met")


class Bench:
    """A session in a folder, with all tools, against a scripted server."""

    def __init__(self, folder: Path, server: ScriptedServer) -> None:
        self.root = folder / "ws"
        self.root.mkdir()
        self.server = server
        self.folder = folder / "sessions"
        self.events: list[Event] = []
        self.when: Callable[[Event], object] = lambda event: None
        self.session = self.opened()

    def opened(self, **more: Any) -> Session:
        def listen(event: Event, line: bytes) -> None:
            self.events.append(event)
            self.when(event)

        model = OpenAIModel(Connection(self.server.base_url, "k", "K", "m"))
        given: dict[str, Any] = {"mode": Mode.YOLO, "models": (model,), **more}
        setting = Setting(
            workspace=LocalWorkspace(self.root, self.root, spill=self.folder, environment=os.environ),
            tools={**find_tools(), "meet": Meet()},
            system="system",
            preface="",
            version="0",
            patience=Patience(base=0.0),
            **given,
        )
        path = next(iter(self.folder.glob("*.jsonl")), None) if self.folder.exists() else None
        if path is None:
            return Session(setting, Log.create(self.folder, "s"), listen)
        log, found = Log.open(path)
        return Session(setting, log, listen, found)

    async def turn(self, *script: Response, limits: Limits | None = None) -> TurnFinished:
        self.server.script.extend(script)
        return await self.session.turn("go", limits)

    def replies(self) -> list[ToolFinished]:
        return [event for event in self.events if isinstance(event, ToolFinished)]

    def statuses(self) -> list[str]:
        return [event.status for event in self.replies()]

    def holds(self) -> None:
        """Hold what holds however a turn ended: a reply to each call, and a history that the next request can use."""
        for body in self.server.bodies():
            due: list[str] = []
            for message in body["messages"]:
                if message["role"] == "tool":
                    assert due.pop(0) == message["tool_call_id"]
                else:
                    assert not due
                due += [call["id"] for call in message.get("tool_calls", ())]
            assert not due
        assert is_valid(fold(self.events).messages)
        calls = [call.id for event in self.events if isinstance(event, ModelAnswered) for call in event.answer.calls]
        assert sorted(calls) == sorted(reply.call_id for reply in self.replies())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with ScriptedServer() as server:
        made = Bench(tmp_path, server)
        yield made
        await made.session.close()
        made.holds()


async def test_reads_run_together_and_changes_in_the_models_order(bench: Bench) -> None:
    calls: list[Any] = [
        ("meet", {"others": 1}),
        ("meet", {"others": 1}),
        ("shell", {"command": "sleep 0.2; echo one >> log"}),
        ("shell", {"command": "echo two >> log"}),
        ("read", {"path": "log"}),
    ]
    ended = await asyncio.wait_for(bench.turn(answer(calls=calls), answer("done")), 20)
    assert ended.status == "done"
    assert (bench.root / "log").read_text() == "one\ntwo\n"
    assert "2\ttwo" in bench.replies()[-1].reply
    names = [message.get("name") for message in bench.server.bodies()[1]["messages"] if message["role"] == "tool"]
    assert names == ["meet", "meet", "shell", "shell", "read"]


async def test_after_a_change_that_was_not_made_the_later_ones_of_the_step_are_not_run(bench: Bench) -> None:
    calls: list[Any] = [
        ("edit", {"path": "missing.py", "old": "a", "new": "b"}),
        ("shell", {"command": "touch ran"}),
        ("find", {"glob": "*"}),
    ]
    await bench.turn(answer(calls=calls), answer("done"))
    assert bench.statuses() == ["failed", "skipped", "done"]
    assert not (bench.root / "ran").exists()


async def test_a_read_that_cannot_be_read_itself_stops_no_change(bench: Bench) -> None:
    calls: list[Any] = [("read", {"file_path": "a"}), ("shell", {"command": "touch ran"}), ("write", {"file": "b"})]
    await bench.turn(answer(calls=[*calls, ("shell", {"command": "touch not"})]), answer("done"))
    assert bench.statuses() == ["invalid", "done", "invalid", "skipped"]
    assert (bench.root / "ran").exists()
    assert not (bench.root / "not").exists()


async def test_a_command_that_fails_is_a_result_and_stops_nothing(bench: Bench) -> None:
    await bench.turn(answer(calls=[("shell", {"command": "exit 3"}), ("shell", {"command": "touch ran"})]), answer("done"))
    assert bench.statuses() == ["done", "done"]
    assert bench.replies()[0].exit_code == 3
    assert (bench.root / "ran").exists()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            Call("1", "bash", "{}"),
            "There is no tool 'bash'. The tools are: edit, find, meet, outline, plan, read, rewrite, search, shell, skill,",
        ),
        (Call("1", "read", '{"path": 3}'), "path: Input should be a valid string"),
        (Call("1", "read", '{"path": "a", "lines": 3}'), "lines: Extra inputs are not permitted"),
        (Call("1", "read", '{"path": "a"'), "no JSON object"),
        (Call("1", "read", '["a"]'), "they are a list"),
        (Call("1", "read", '{"path": "a", "path": "b"}'), "twice"),
        (Call("1", "shell", '{"command": "touch ran", "sandbox": false}'), "sandbox"),
        (Call("1", "shell", '{"command": "touch ran \\\\ud800"}'.replace("\\\\", "\\")), "half a character"),
    ],
)
async def test_a_bad_call_gets_a_reply_that_names_the_fault(bench: Bench, call: Call, words: str) -> None:
    await bench.turn(answer(calls=[call]), answer("done"))
    (reply,) = bench.replies()
    assert reply.status == "invalid"
    assert words in reply.reply
    assert not (bench.root / "ran").exists()


async def test_a_question_that_nobody_can_answer_is_told_so_and_stops_nothing(bench: Bench) -> None:
    await bench.turn(answer(calls=[("ask", {"question": "Which?"}), ("shell", {"command": "touch ran"})]), answer("done"))
    assert bench.statuses() == ["failed", "done"]
    assert bench.replies()[0].reply.startswith("Nobody can answer here: decide yourself")
    assert "ask" not in {tool["function"]["name"] for tool in bench.server.bodies()[0]["tools"]}


async def test_an_answer_cut_at_the_limit_runs_nothing(bench: Bench) -> None:
    cut = answer(calls=[("shell", {"command": "touch ran"}), ("read", {"path": "a"})], finish="length")
    await bench.turn(cut, answer("done"))
    assert bench.statuses() == ["invalid", "invalid"]
    assert not (bench.root / "ran").exists()


async def test_a_broken_stream_is_asked_again_and_nothing_of_it_runs(bench: Bench) -> None:
    whole = answer(calls=[("shell", {"command": "touch ran"})])
    half = Response(whole.pieces[:2], cut=True)
    await bench.turn(half, failure(503, "busy"), answer("done"))
    assert [event.attempt for event in bench.events if isinstance(event, RequestRetried)] == [1, 2]
    assert not (bench.root / "ran").exists()
    first, *others = bench.server.requests
    assert all(other == first for other in others)


async def test_what_is_said_while_a_turn_runs_reaches_the_model_with_the_next_step(bench: Bench) -> None:
    bench.when = lambda event: isinstance(event, ToolStarted) and bench.session.steer("hurry")
    assert not bench.session.steer("nobody listens")
    await bench.turn(answer(calls=[("shell", {"command": "true"})]), answer("done"))
    told = bench.server.bodies()[1]["messages"]
    assert [message["role"] for message in told[-2:]] == ["tool", "user"]
    assert told[-1]["content"] == "hurry"


async def test_what_is_said_while_the_last_answer_comes_is_answered_too(bench: Bench) -> None:
    bench.when = lambda event: (
        event.type == "text.streamed" and len(bench.server.requests) == 1 and bench.session.steer("more") and None
    )
    ended = await bench.turn(answer("first"), answer("second"))
    assert ended.text == "second"
    assert [message["content"] for message in bench.server.bodies()[1]["messages"][1:]] == ["go", "first", "more"]


def hear_first(bench: Bench, kind: str) -> asyncio.Event:
    """Return what is set when the first event of a type comes."""
    heard = asyncio.Event()

    def hear(event: Event) -> None:
        if event.type == kind:
            heard.set()

    bench.when = hear
    return heard


@pytest.mark.parametrize(
    ("command", "mark"),
    [
        ("sleep 75.11", "75.11"),
        ("trap '' INT TERM; sleep 75.12 & sleep 75.12", "75.12"),
        ("setsid sleep 75.13 & disown; sleep 75.13", "75.13"),
    ],
)
async def test_cancelling_ends_a_command_and_all_it_started_at_once(bench: Bench, command: str, mark: str) -> None:
    began = hear_first(bench, "tool.progressed")
    bench.server.script.append(answer(calls=[("shell", {"command": f"echo go; {command}"}), ("read", {"path": "x"})]))
    running = asyncio.create_task(bench.session.turn("go"))
    await began.wait()
    at = time.monotonic()
    bench.session.cancel()
    assert (await running).status == "cancelled"
    assert time.monotonic() - at < 5, "it is 0.2 s, as tests of the shell hold, and more where the processor is with others"
    assert await gone(mark)
    assert bench.statuses() == ["cancelled", "cancelled"]
    assert [reply.reply.split(";")[0] for reply in bench.replies()] == ["Cancelled", "Cancelled before it was run"]
    assert (await bench.turn(answer("all is well"))).status == "done"


async def test_closing_while_a_command_runs_ends_the_turn_and_its_log(bench: Bench) -> None:
    began = hear_first(bench, "tool.progressed")
    bench.server.script.append(answer(calls=[("shell", {"command": "echo go; sleep 75.14"})]))
    running = asyncio.create_task(bench.session.turn("go"))
    await began.wait()
    await bench.session.close()
    assert await gone("75.14")
    assert (await running).status == "cancelled"
    told = [event.type for event in events_of(bench.folder / "s.jsonl")]
    assert told[-2:] == ["tool.finished", "turn.finished"]
    bench.session = bench.opened()


async def test_cancelling_while_the_model_answers_leaves_the_prompt_and_no_half_answer(bench: Bench) -> None:
    asked = hear_first(bench, "text.streamed")
    bench.server.script.append(Response(answer("half a\nsentence").pieces[:2], hold=asyncio.Event()))
    running = asyncio.create_task(bench.session.turn("first"))
    await asked.wait()
    bench.session.cancel()
    assert (await running).status == "cancelled"
    await asyncio.wait_for(bench.server.left.wait(), 5)
    await bench.turn(answer("done"))
    assert [message["content"] for message in bench.server.bodies()[-1]["messages"][1:]] == ["first", "go"]


async def test_a_person_approves_what_is_shown_and_refuses_with_words(bench: Bench) -> None:
    await bench.session.close()
    bench.session = bench.opened(mode=Mode.ASK, person=True)
    asked: list[ApprovalAsked] = []

    def decide(event: Event) -> None:
        if isinstance(event, ApprovalAsked):
            asked.append(event)
            answered = Answered(len(asked) == 1, "" if len(asked) == 1 else "use git mv")
            asyncio.get_running_loop().call_soon(bench.session.decide, event.call_id, answered)

    bench.when = decide
    calls: list[Any] = [
        ("write", {"path": "a", "content": "x\n"}),
        ("shell", {"command": "mv a b"}),
        ("shell", {"command": "true"}),
    ]
    await bench.turn(answer(calls=calls), answer("done"))
    assert bench.statuses() == ["done", "denied", "skipped"]
    assert [event.subject for event in asked] == ["a", "mv a b"]
    assert "use git mv" in bench.replies()[1].reply
    assert (bench.root / "a").exists()


@pytest.mark.parametrize("mode", [Mode.PLAN, Mode.ASK, Mode.EDITS])
async def test_what_nobody_approved_is_not_even_looked_at(bench: Bench, mode: Mode) -> None:
    outside = bench.root.parent / "outside.txt"
    outside.write_text("hunter2 is here\n")
    await bench.session.close()
    bench.session = bench.opened(mode=mode)
    calls: list[Any] = [("edit", {"path": str(outside), "old": "hunter3 is here", "new": "x"}), ("read", {"path": str(outside)})]
    await bench.turn(answer(calls=calls), answer("done"))
    assert bench.statuses() == ["denied", "denied"]
    assert not [reply for reply in bench.replies() if "hunter2" in reply.reply]


async def test_what_a_command_of_the_same_step_moves_outside_is_judged_there(bench: Bench) -> None:
    outside = bench.root.parent / "outside"
    outside.mkdir()
    (outside / "k").write_text("hunter2\n")
    (bench.root / "link.sh").write_text(f"ln -s {outside} out\n")
    await bench.session.close()
    bench.session = bench.opened(mode=Mode.ASK, rules=(Rule.read("shell", Decision.ALLOW, "--allow"),))
    calls: list[Any] = [
        ("shell", {"command": "sh link.sh"}),
        ("search", {"pattern": ".", "path": "out"}),
        ("find", {"glob": "*", "path": "out"}),
        ("read", {"path": "out/k"}),
    ]
    await bench.turn(answer(calls=calls), answer("done"))
    assert bench.statuses() == ["done", "denied", "denied", "denied"]
    assert not [reply for reply in bench.replies() if "hunter2" in reply.reply]


async def test_what_may_not_be_read_is_not_shown_by_any_tool(bench: Bench) -> None:
    for name in ("secrets/k", "open/k"):
        (bench.root / name).parent.mkdir()
        (bench.root / name).write_text("hunter2\n")
    await bench.session.close()
    bench.session = bench.opened(rules=(Rule.read("read(secrets/*)", Decision.DENY, "--deny"),))
    calls: list[Any] = [
        ("search", {"pattern": "hunter"}),
        ("find", {"glob": "k"}),
        ("search", {"pattern": "hunter", "path": "secrets"}),
        ("edit", {"path": "secrets/k", "old": "hunter3", "new": "x"}),
    ]
    await bench.turn(answer(calls=calls), answer("done"))
    assert bench.statuses() == ["done", "done", "denied", "denied"]
    assert [reply.reply for reply in bench.replies()[:2]] == ["open/k:1:hunter2", "open/k"]
    assert not [reply for reply in bench.replies()[2:] if "hunter2" in reply.reply]


async def test_what_lies_outside_is_told_of_only_after_a_person_allowed_it(bench: Bench) -> None:
    outside = bench.root.parent / "outside.txt"
    outside.write_text("hunter2 is here\n")
    await bench.session.close()
    bench.session = bench.opened(mode=Mode.ASK, person=True)

    def refuse(event: Event) -> None:
        if isinstance(event, ApprovalAsked):
            asyncio.get_running_loop().call_soon(bench.session.decide, event.call_id, Answered(allowed=False))

    bench.when = refuse
    await bench.turn(answer(calls=[("edit", {"path": str(outside), "old": "hunter3 is here", "new": "x"})]), answer("done"))
    assert bench.statuses() == ["denied"]
    assert "hunter2" not in bench.replies()[0].reply


async def test_what_changed_while_a_person_thought_is_asked_again(bench: Bench) -> None:
    (bench.root / "a").write_text("one\n")
    await bench.session.close()
    bench.session = bench.opened(mode=Mode.ASK, person=True)
    diffs: list[str] = []

    def decide(event: Event) -> None:
        if isinstance(event, ApprovalAsked):
            (block,) = event.blocks
            diffs.append(getattr(block, "diff", ""))
            if len(diffs) == 1:
                (bench.root / "a").write_text("zero\none\n")
            asyncio.get_running_loop().call_soon(bench.session.decide, event.call_id, Answered(allowed=True))

    bench.when = decide
    await bench.turn(answer(calls=[("edit", {"path": "a", "old": "one", "new": "two"})]), answer("done"))
    assert len(diffs) == 2
    assert diffs[0] != diffs[1]
    assert (bench.root / "a").read_text() == "zero\ntwo\n"


async def test_a_turn_that_is_cancelled_before_it_began_ends_as_such(bench: Bench) -> None:
    running = asyncio.create_task(bench.session.turn("go"))
    await asyncio.sleep(0)
    bench.session.cancel()
    assert (await running).status == "cancelled"
    assert isinstance(bench.events[-1], TurnFinished)
    assert (await bench.turn(answer("done"))).status == "done"


@pytest.mark.parametrize("stopped", [False, True])
async def test_what_is_said_before_a_prompt_is_told_stands_behind_it(bench: Bench, stopped: bool) -> None:
    looking, seen = asyncio.Event(), asyncio.Event()

    async def survey(prompt: str, view: View) -> str:
        looking.set()
        await seen.wait()
        return "the map"

    await bench.session.close()
    for log in bench.folder.glob("*.jsonl"):
        log.unlink()
    bench.session, bench.events = bench.opened(survey=survey), []
    bench.server.script.append(answer("done"))
    running = asyncio.create_task(bench.session.turn("go"))
    await looking.wait()
    assert bench.session.steer("no, wait")
    if stopped:
        bench.session.cancel()
    seen.set()
    await running
    said = [event for event in bench.events if isinstance(event, TurnStarted | Steered)]
    assert [type(event) for event in said] == [TurnStarted, Steered]
    if not stopped:
        assert [message["content"][-8:] for message in bench.server.bodies()[-1]["messages"][1:]] == ["ords\n\ngo", "no, wait"]


async def test_cancelling_again_and_again_changes_nothing(bench: Bench) -> None:
    began = hear_first(bench, "tool.progressed")
    bench.server.script.append(answer(calls=[("shell", {"command": "trap '' TERM INT; echo go; while :; do sleep 0.05; done"})]))
    running = asyncio.create_task(bench.session.turn("go"))
    await began.wait()
    for _ in range(5):
        running.cancel()
        await asyncio.sleep(0.005)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.statuses() == ["cancelled"]
    assert isinstance(bench.events[-1], TurnFinished)


async def test_a_record_that_is_lost_leaves_a_valid_history(bench: Bench) -> None:
    await bench.turn(answer(calls=[("find", {"glob": "*"}), ("plan", {"items": []})]), answer("done"))
    await bench.session.close()
    log = next(bench.folder.glob("*.jsonl"))
    lines = log.read_bytes().splitlines(keepends=True)
    lost = next(number for number, line in enumerate(lines) if b'"tool.finished"' in line)
    log.write_bytes(b"".join([*lines[:lost], b"garbage\n", *lines[lost + 1 :]]))
    events, bench.events = bench.events, []
    bench.session = bench.opened()
    await bench.turn(answer("I see."))
    replies = [message["content"] for message in bench.server.bodies()[-1]["messages"] if message["role"] == "tool"]
    assert replies[0].startswith("Unknown")
    bench.events = events + bench.events


async def test_limits_end_a_turn_with_a_valid_history(bench: Bench) -> None:
    look = answer(calls=[("find", {"glob": "*"})])
    assert (await bench.turn(look, look, limits=Limits(steps=2))).status == "limit"
    ended = await bench.turn(answer(calls=[("shell", {"command": "sleep 75.2"})]), limits=Limits(seconds=1.5))
    assert (ended.status, ended.reason) == ("limit", "the time was up")
    assert await gone("75.2")
    assert (await bench.turn(answer("done"))).status == "done"


async def test_a_wait_of_jumars_own_that_ends_is_no_limit_of_the_persons(bench: Bench) -> None:
    class Late(OpenAIModel):
        async def ready(self) -> None:
            raise TimeoutError

    await bench.session.close()
    bench.session = bench.opened(models=(Late(Connection(bench.server.base_url, "k", "K", "m")),))
    with pytest.raises(TimeoutError):
        await bench.turn(limits=Limits(seconds=60))
    assert [event.status for event in bench.events if isinstance(event, TurnFinished)] == ["failed"]


async def test_a_log_opened_again_gives_the_same_request(bench: Bench) -> None:
    await bench.turn(answer("", calls=[("shell", {"command": "echo 打字"})], reasoning="hm"), answer("done"))
    await bench.session.close()
    bench.session = bench.opened()
    await bench.turn(answer("again"))
    before, after = bench.server.requests[-2:]
    assert after.startswith(before.removesuffix(b"]}"))


async def test_a_log_that_ends_anywhere_can_be_gone_on_with(bench: Bench) -> None:
    first: list[Any] = [
        ("shell", {"command": "echo x >> ran"}),
        ("read", {"path": "ran"}),
        ("shell", {"command": "echo y >> ran"}),
    ]
    await bench.turn(answer("First.", calls=first), answer("Then.", calls=[("read", {"path": "ran"})]), answer("done"))
    await bench.session.close()
    events, bench.events = bench.events, []
    log = next(bench.folder.glob("*.jsonl"))
    lines = log.read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines)):
        kept = [json.loads(line) for line in lines[:count]]
        finished, started = (
            {line["call_id"] for line in kept if line["type"] == kind} for kind in ("tool.finished", "tool.started")
        )
        for torn in (b"", lines[count][: len(lines[count]) // 2]):
            log.write_bytes(b"".join(lines[:count]) + torn)
            bench.session = bench.opened()
            assert (await bench.turn(answer("I see."))).status == "done"
            await bench.session.close()
            for message in bench.server.bodies()[-1]["messages"]:
                if message["role"] == "tool" and message["tool_call_id"] not in finished:
                    assert ("unknown" in message["content"]) is (message["tool_call_id"] in started)
    assert (bench.root / "ran").read_text() == "x\ny\n"
    bench.session, bench.events = bench.opened(), events


PROPER = answer(calls=[("find", {"glob": "*"})])
LEAKED = (
    "I write it.\n<|tool_calls_section_begin|><|tool_call_begin|>functions.write:0<|tool_call_argument_begin|>"
    '{"path": "made", "content": "x"}<|tool_call_end|><|tool_calls_section_end|>'
)


@pytest.mark.parametrize(
    ("before", "mode", "status"),
    [
        ([], Mode.EDITS, "done"),  # a server that leaves all calls in the words
        ([PROPER], Mode.EDITS, "denied"),  # one that does not: it may be a quotation
        ([PROPER], Mode.YOLO, "done"),
        (
            [answer(LEAKED.replace("write", "find").replace('{"path": "made", "content": "x"}', '{"glob": "*"}'))],
            Mode.EDITS,
            "done",
        ),
    ],
)
async def test_a_change_in_the_words_of_a_model_that_sends_calls_otherwise_is_asked_about(
    bench: Bench, before: list[Response], mode: Mode, status: str
) -> None:
    await bench.session.close()
    bench.session = bench.opened(mode=mode)
    await bench.turn(*before, answer(LEAKED), answer("done"))
    assert bench.statuses()[-1] == status
    assert (bench.root / "made").exists() == (status == "done")
    # The fold of the log knows it too.
    assert fold(bench.events).sends_calls == (PROPER in before)
