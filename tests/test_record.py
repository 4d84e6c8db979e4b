"""What a session records of its calls, what is taken back while it runs, and what the model learns of it."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.ask import Patience
from agent.config import Connection
from agent.errors import UsageError
from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.call import ApprovalAsked, ToolFinished, ToolProgressed
from agent.events.event import Event
from agent.events.news import Warned
from agent.events.step import TextStreamed
from agent.gate import Answered
from agent.ledger.bare import Bare
from agent.ledger.capture import Capture
from agent.ledger.ledger import Ledger
from agent.ledger.store import Store
from agent.log import Log, now
from agent.policy import Mode
from agent.providers.openai import OpenAIModel
from agent.rules import Decision, Rule
from agent.session import Session
from agent.setting import Setting
from agent.workspace.local import LocalWorkspace
from jumar.wiring import find_tools
from tests.fakes import Response, ScriptedServer, answer
from tests.histories import fold, is_valid
from tests.repositories import git, repository


class Bench:
    """A session with a ledger, in a repository, against a scripted server; one of another name may share the folder."""

    def __init__(self, folder: Path, server: ScriptedServer, name: str = "s") -> None:
        self.folder, self.server, self.name = folder, server, name
        self.root = folder / "ws"
        if not self.root.exists():
            repository(self.root)
            (self.root / "a.py").write_text("one\n")
        self.events: list[Event] = []
        self.when: Callable[[Event], object] = lambda event: None
        self.session = self.opened()

    def opened(self, **more: Any) -> Session:
        def listen(event: Event, line: bytes) -> None:
            self.events.append(event)
            self.when(event)

        store = Store(self.folder / "ledger", self.root)
        setting = Setting(
            models=(OpenAIModel(Connection(self.server.base_url, "k", "K", "m")),),
            workspace=LocalWorkspace(
                self.root, self.root, spill=self.folder / "spill", environment=os.environ, add_dirs=[self.folder / "more"]
            ),
            tools=find_tools(),
            system="system",
            preface="",
            version="0",
            patience=Patience(base=0.0),
            ledger=Ledger(store.bare, self.root, now),
            capture=Capture(store),
            **{"mode": Mode.YOLO, **more},
        )
        logs = self.folder / f"sessions-{self.name}"
        path = next(iter(logs.glob("*.jsonl")), None) if logs.exists() else None
        if path is None:
            return Session(setting, Log.create(logs, self.name), listen)
        log, found = Log.open(path)
        return Session(setting, log, listen, found)

    async def turn(self, *script: Response, prompt: str = "go") -> None:
        self.server.script.extend(script)
        await asyncio.wait_for(self.session.turn(prompt), 30)

    def records(self) -> list[ActionRecorded]:
        return [event for event in self.events if isinstance(event, ActionRecorded)]

    @property
    def ledger(self) -> Ledger:
        """The ledger as another process sees it."""
        return Ledger(Bare(self.folder / "ledger", self.root), self.root, now)

    def asked(self) -> list[str]:
        """Return what the model was told in the last request, message by message."""
        return [str(message.get("content")) for message in self.server.bodies()[-1]["messages"]]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with ScriptedServer() as server:
        made = Bench(tmp_path, server)
        yield made
        await made.session.close()
        assert is_valid(fold(made.events).messages)


def edit(new: str = "two") -> tuple[str, dict[str, str]]:
    return ("write", {"path": "new.py", "content": f"{new}\n"})


def run(command: str) -> tuple[str, dict[str, str]]:
    return ("shell", {"command": command})


async def test_what_a_call_changed_is_recorded_with_who_let_it_and_where_it_came_from(bench: Bench) -> None:
    await bench.turn(answer(calls=[edit(), run("echo x >> a.py; mkdir d; echo y > d/z")]), answer("Done."), prompt="do it")
    wrote, ran = bench.records()
    assert [(file.path, file.kind, file.added, file.captured) for file in ran.files] == [
        ("a.py", "modified", 1, True),
        ("d/z", "created", 1, True),
    ]
    one = bench.ledger.find(wrote.action)
    action = one.action
    assert (action.session, action.turn, action.step, action.tool, action.title) == ("s", 1, 1, "write", "new.py")
    assert (action.prompt, action.model, action.approved_by, one.seal) == ("do it", "scripted", "policy", wrote.seal)
    order = [type(event).__name__ for event in bench.events if isinstance(event, ActionRecorded | ToolFinished)]
    assert order == ["ActionRecorded", "ToolFinished"] * 2


async def test_a_call_that_changed_nothing_is_no_action(bench: Bench) -> None:
    await bench.turn(answer(calls=[run("true"), ("read", {"path": "a.py"})]), answer("Done."))
    assert bench.records() == []
    assert bench.ledger.actions() == ()


async def test_a_command_that_fails_or_is_stopped_is_recorded_all_the_same(bench: Bench) -> None:
    await bench.turn(answer(calls=[run("echo x > b.py; exit 3")]), answer("Done."))
    bench.when = lambda event: bench.session.cancel() if isinstance(event, ToolProgressed) else None
    await bench.turn(answer(calls=[run("echo x > c.py; echo ready; sleep 60")]))
    assert [bench.ledger.find(record.action).action.status for record in bench.records()] == ["done", "cancelled"]
    assert [record.files[0].path for record in bench.records()] == ["b.py", "c.py"]


async def test_who_approved_is_in_the_record(bench: Bench) -> None:
    await bench.session.close()
    bench.session = bench.opened(mode=Mode.ASK, person=True)

    def approve(event: Event) -> None:
        if isinstance(event, ApprovalAsked):
            bench.session.decide(event.call_id, Answered(allowed=True))

    bench.when = approve
    await bench.turn(answer(calls=[edit()]), answer("Done."))
    assert bench.ledger.actions()[0].action.approved_by == "person"


async def test_what_a_person_changes_between_two_commands_is_told_as_nobodys_call(bench: Bench) -> None:
    await bench.turn(answer(calls=[run("echo x > b.py")]), answer("Done."))
    (bench.root / "mine.py").write_text("mine\n")
    await bench.turn(answer(calls=[run("echo x > c.py")]), answer("Done."))
    kinds = [(one.action.kind, [delta.path for delta in one.action.deltas]) for one in bench.ledger.actions()]
    assert kinds == [("call", ["b.py"]), ("outside", ["mine.py"]), ("call", ["c.py"])]


async def test_the_model_learns_of_an_undo_with_its_next_message_and_only_once(bench: Bench) -> None:
    await bench.turn(answer(calls=[edit()]), answer("Done."))
    plan = await bench.session.hands.undo(["1"])
    assert [step.path for step in plan.steps] == ["new.py"]
    assert not (bench.root / "new.py").exists()
    await bench.turn(answer("I see."), prompt="and now?")
    told = [text for text in bench.asked() if "From the ledger" in text]
    assert len(told) == 1
    assert "this was taken back with jumar: write new.py." in told[0]
    assert "new.py: is gone" in told[0]
    await bench.turn(answer("Yes."), prompt="well?")
    assert len([text for text in bench.asked() if "From the ledger" in text]) == 1


async def test_the_model_is_shown_what_an_undo_changed_in_a_file(bench: Bench) -> None:
    await bench.turn(answer(calls=[("edit", {"path": "a.py", "old": "one", "new": "two"})]), answer("Done."))
    await bench.session.hands.undo(["1"])
    await bench.turn(answer("I see."), prompt="and now?")
    [told] = [text for text in bench.asked() if "From the ledger" in text]
    assert told.endswith("a.py: was changed, +1 -1 lines\n--- a.py\n@@ -1 +1 @@\n-two\n+one")


async def test_an_undo_by_another_process_is_learned_of_when_the_session_is_gone_on_with(bench: Bench) -> None:
    await bench.turn(answer(calls=[edit()]), answer("Done."))
    await bench.session.close()
    await bench.ledger.take_back(["1"], "undo")
    bench.session = bench.opened()
    await bench.turn(answer("I see."), prompt="and now?")
    assert any("new.py: is gone" in text for text in bench.asked())
    [undone] = [event for event in bench.events if isinstance(event, ActionsUndone)]
    assert undone.undoes == ("1",)


async def test_what_is_changed_between_two_sessions_is_told_as_nobodys_call(bench: Bench) -> None:
    await bench.turn(answer(calls=[run("echo x > b.py; chmod 600 b.py; echo y > c.py"), edit()]), answer("Done."))
    (bench.root / "a.py").write_text("mine\n")
    (bench.root / "b.py").write_text("mine\n")
    (bench.root / "new.py").unlink()
    (bench.root / "mine.py").write_text("mine\n")
    for _ in range(2):
        await bench.session.close()
        bench.session = bench.opened()
        await bench.turn(answer(calls=[run("true")]), answer("Done."))
    actions = bench.ledger.actions()
    assert [one.action.kind for one in actions] == ["call", "call", "outside"]
    assert {delta.path: delta.kind for delta in actions[-1].action.deltas} == {
        "a.py": "modified",
        "b.py": "modified",
        "new.py": "deleted",
        "mine.py": "created",
    }
    await bench.ledger.take_back(["3"], "undo")
    assert contents(bench.root)["b.py"] == (b"x\n", stat.S_IFREG | 0o600)
    assert ((bench.root / "a.py").read_text(), (bench.root / "new.py").read_text()) == ("one\n", "two\n")


async def test_a_session_in_plan_mode_looks_at_nothing(bench: Bench) -> None:
    await bench.session.close()
    bench.session = bench.opened(mode=Mode.PLAN)
    await bench.turn(answer(calls=[("read", {"path": "a.py"}), run("echo x > b.py")]), answer("Done."))
    assert not any((bench.folder / "ledger").glob("*/index"))


async def test_an_undo_by_another_process_while_the_model_answers_is_told_and_is_nobody_elses(bench: Bench) -> None:
    await bench.turn(answer(calls=[edit()]), answer("Done."))
    thinking, hold = asyncio.Event(), asyncio.Event()
    bench.when = lambda event: thinking.set() if isinstance(event, TextStreamed) else None
    bench.server.script.extend([answer("I think", calls=[run("echo x > b.py")], hold=hold), answer("Done.")])
    turning = asyncio.create_task(bench.session.turn("go"))
    await asyncio.wait_for(thinking.wait(), 30)
    await bench.ledger.take_back(["1"], "undo")
    hold.set()
    await asyncio.wait_for(turning, 30)
    assert len([text for text in bench.asked() if "new.py: is gone" in text]) == 1
    assert [(one.action.kind, [delta.path for delta in one.action.deltas]) for one in bench.ledger.actions()] == [
        ("call", ["new.py"]),
        ("undo", ["new.py"]),
        ("call", ["b.py"]),
    ]


async def test_an_undo_by_another_process_while_a_command_runs_is_not_the_commands(bench: Bench) -> None:
    undoing: list[asyncio.Task[Any]] = []

    def undo(event: Event) -> None:
        if isinstance(event, ToolProgressed) and not undoing:
            undoing.append(asyncio.create_task(bench.ledger.take_back(["1"], "undo")))

    await bench.turn(answer(calls=[edit()]), answer("Done."))
    bench.when = undo
    await bench.turn(answer(calls=[run("echo ready; while test -e new.py; do sleep 0.01; done; echo x > b.py")]), answer("Done."))
    await undoing[0]
    assert len([text for text in bench.asked() if "new.py: is gone" in text]) == 1
    assert [[delta.path for delta in one.action.deltas] for one in bench.ledger.actions()] == [["new.py"], ["new.py"], ["b.py"]]


async def test_what_another_session_did_is_told_once(bench: Bench) -> None:
    async with ScriptedServer() as server:
        other = Bench(bench.folder, server, "t")
        for one in (bench, other):
            await one.turn(answer(calls=[run("true")]), answer("Done."))
        await bench.turn(answer(calls=[run("echo x > a1; mkdir -p n/m; echo y > n/m/a2"), edit()]), answer("Done."))
        await other.turn(answer(calls=[run("echo x > b1; rm -r n")]), answer("Done."))
        await bench.turn(answer(calls=[run("echo x > a3")]), answer("Done."))
        (bench.root / "mine").write_text("mine\n")
        await other.turn(answer(calls=[run("true")]), answer("Done."))
        assert [
            (one.action.kind, one.action.session, [delta.path for delta in one.action.deltas], one.action.folders)
            for one in bench.ledger.actions()
        ] == [
            ("call", "s", ["a1", "n/m/a2"], ("n", "n/m")),
            ("call", "s", ["new.py"], ()),
            ("call", "t", ["b1", "n/m/a2"], ()),
            ("call", "s", ["a3"], ()),
            ("outside", "t", ["mine"], ()),
        ]
        await other.session.close()


async def test_a_command_beside_another_sessions_calls_holds_all_that_it_changed_and_no_edit_of_theirs(bench: Bench) -> None:
    async with ScriptedServer() as server:
        other = Bench(bench.folder, server, "t")
        await other.turn(answer(calls=[run("true")]), answer("Done."))
        started = asyncio.Event()
        bench.when = lambda event: started.set() if isinstance(event, ToolProgressed) else None
        waiting = "echo 1 > a1; echo ready; while ! test -e go; do sleep 0.01; done; rm go; echo 2 >> a1; echo 2 > a2"
        bench.server.script.extend([answer(calls=[run(waiting)]), answer("Done.")])
        turning = asyncio.create_task(bench.session.turn("go"))
        await asyncio.wait_for(started.wait(), 30)
        await other.turn(answer(calls=[edit(), run("true")]), answer("Done."))
        (bench.root / "go").touch()  # only now: what the one command does before the other is looked at, either may have done
        await asyncio.wait_for(turning, 30)
        parts = [
            one.action for one in bench.ledger.actions() if one.action.session == "s" and one.action.title.startswith("echo")
        ]
        assert [[delta.path for delta in one.deltas if delta.path != "go"] for one in parts] == [["a1"], ["a1", "a2"]]
        assert [file.path for file in bench.records()[-1].files if file.path != "go"] == ["a1", "a2"]
        await bench.ledger.take_back([bench.records()[-1].action], "undo")
        assert not (bench.root / "a1").exists()
        assert not (bench.root / "a2").exists()
        assert (bench.root / "new.py").read_text() == "two\n"
        await other.session.close()


async def test_an_undo_waits_for_the_call_that_acts(bench: Bench) -> None:
    undoing: list[asyncio.Task[Any]] = []

    def undo(event: Event) -> None:
        if isinstance(event, ToolProgressed) and not undoing:
            undoing.append(asyncio.create_task(bench.session.hands.undo(["1"])))

    await bench.turn(answer(calls=[edit()]), answer("Done."))
    bench.when = undo
    await bench.turn(answer(calls=[run("echo ready; sleep 0.3; cp new.py copy.py")]), answer("Done."))
    await undoing[0]
    assert (bench.root / "copy.py").read_text() == "two\n"
    assert not (bench.root / "new.py").exists()
    kinds = [one.action.title.split(" ")[0] for one in bench.ledger.actions()]
    assert kinds == ["new.py", "echo", "undo"]


async def test_an_undo_may_interrupt_the_turn(bench: Bench) -> None:
    undoing: list[asyncio.Task[Any]] = []

    def undo(event: Event) -> None:
        if isinstance(event, ToolProgressed) and not undoing:
            undoing.append(asyncio.create_task(bench.session.hands.undo(["1"], interrupt=True)))

    await bench.turn(answer(calls=[edit()]), answer("Done."))
    bench.when = undo
    await bench.turn(answer(calls=[run("echo ready; sleep 60")]))
    await undoing[0]
    assert not (bench.root / "new.py").exists()


async def test_rewind_and_redo_are_verbs_of_a_session(bench: Bench) -> None:
    await bench.turn(answer(calls=[edit(), run("echo x > b.py")]), answer("Done."))
    await bench.session.hands.rewind("1")
    assert sorted(file.name for file in bench.root.glob("*.py")) == ["a.py"]
    await bench.session.hands.redo()
    assert sorted(file.name for file in bench.root.glob("*.py")) == ["a.py", "b.py", "new.py"]
    with pytest.raises(UsageError, match="nothing was undone"):
        await bench.session.hands.redo()


@pytest.mark.parametrize("by", ["session", "command"])
async def test_parts_that_were_taken_back_are_brought_back_from_wherever_it_is_asked(bench: Bench, by: str) -> None:
    lines = [f"line {number}\n" for number in range(20)]
    (bench.root / "a.py").write_text("".join(lines))
    await bench.turn(answer(calls=[run("sed -i 's/line 2$/two/; s/line 17$/seventeen/' a.py")]), answer("Done."))
    both = (bench.root / "a.py").read_text()
    (part,) = await bench.session.hands.contents(bench.records()[-1].action)
    await bench.session.hands.undo_parts([replace(part, hunks=(0,))], "one hunk of a.py")
    assert (bench.root / "a.py").read_text() == "".join(lines).replace("line 17", "seventeen")
    await (bench.session.hands.redo() if by == "session" else bench.ledger.redo())
    assert (bench.root / "a.py").read_text() == both
    with pytest.raises(UsageError, match="nothing was undone"):
        bench.session.hands.to_redo()


async def test_what_cannot_be_captured_is_told_and_edits_are_recorded_all_the_same(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        bench = Bench(tmp_path, server)
        (bench.root / "large").write_bytes(b"x" * (11 << 20))
        await bench.turn(answer(calls=[run("echo x > b.py")]), answer("Done."))
        [record] = bench.records()
        assert list(record.not_captured) == ["large"]
        assert [event for event in bench.events if isinstance(event, Warned)] == []
        await bench.session.close()


@pytest.mark.parametrize("order", ["12345", "54321", "35142", "41352", "24513"])
async def test_a_destructive_session_is_undone_action_by_action_in_any_order(bench: Bench, order: str) -> None:
    root = bench.root
    for number in range(30):
        (root / f"m{number}.txt").write_text(f"red {number}\n")
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "e" / "deep").write_bytes(b"\0deep")
    (root / ".gitignore").write_text(".env\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "second")
    (root / ".env").write_text("KEY=1\n")
    (root / ".env").chmod(0o600)
    (root / "a.py").write_text("one\nnot committed\n")
    before = contents(root)
    await bench.turn(
        answer(calls=[("edit", {"path": "a.txt", "old": "one", "new": "two"})]),
        answer(calls=[run("sed -i s/red/blue/ m*.txt")]),
        answer(calls=[run("rm -rf d")]),
        answer("Done."),
    )
    (root / "mine.md").write_text("the person's\n")
    await bench.turn(
        answer(calls=[run("git checkout -q a.py; git reset -q --hard")]),
        answer(calls=[run("echo KEY=2 > .env; chmod 644 .env")]),
        answer("Done."),
    )
    calls = [one.action for one in bench.ledger.actions() if one.action.kind == "call"]
    assert [action.tool for action in calls] == ["edit", "shell", "shell", "shell", "shell"]
    for position in order:
        plan = await bench.session.hands.undo([calls[int(position) - 1].id])
        assert plan.conflicts == ()
        assert (root / "mine.md").read_text() == "the person's\n"
    assert contents(root) == before | {"mine.md": (b"the person's\n", (root / "mine.md").stat().st_mode)}
    assert (await bench.ledger.audit([record.seal for record in bench.records()])).faults == ()


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    files = (file for file in root.rglob("*") if file.is_file() and ".git" not in file.relative_to(root).parts)
    return {str(file.relative_to(root)): (file.read_bytes(), file.stat().st_mode) for file in files}


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"mode": Mode.EDITS}, "denied"),
        ({"mode": Mode.EDITS, "rules": (Rule("write", "*", Decision.ALLOW, "test"),)}, "done"),
        ({"mode": Mode.YOLO}, "done"),
    ],
)
async def test_an_edit_that_no_ledger_keeps_asks_and_is_told(bench: Bench, more: dict[str, Any], status: str) -> None:
    await bench.session.close()
    (bench.folder / "more").mkdir()
    bench.session = bench.opened(**more)
    file = bench.folder / "more" / "x.txt"
    await bench.turn(answer(calls=[("write", {"path": str(file), "content": "x"}), edit()]), answer("Done."))
    first = next(event for event in bench.events if isinstance(event, ToolFinished))
    assert (first.status, file.exists()) == (status, status == "done")
    told = [event.text for event in bench.events if isinstance(event, Warned)]
    assert bool(told) == (status == "done")
    assert all("cannot be undone" in text and str(file) in text for text in told)
    assert ("could not be undone" in first.reply) == (status == "denied")


async def test_folders_that_were_empty_come_back_too_and_go_again(bench: Bench) -> None:
    (bench.root / "d" / "empty" / "deeper").mkdir(parents=True)
    (bench.root / "d" / "file").write_text("x")
    await bench.turn(answer(calls=[run("rm -rf d")]), answer(calls=[run("mkdir -p new/er")]), answer("Done."))
    await bench.session.hands.undo(["1"])
    assert (bench.root / "d" / "empty" / "deeper").is_dir()
    assert (bench.root / "d" / "file").read_text() == "x"
    await bench.session.hands.redo()
    assert not (bench.root / "d").exists()
    await bench.session.hands.undo(["2"])
    assert not (bench.root / "new").exists()
    await bench.session.hands.redo()
    assert (bench.root / "new" / "er").is_dir()


async def test_who_approves_a_command_is_told_first_what_of_it_could_not_be_undone(bench: Bench) -> None:
    (bench.root / "large").write_bytes(b"x" * (11 << 20))
    await bench.session.close()
    bench.session = bench.opened(mode=Mode.ASK, person=True)
    asked: list[ApprovalAsked] = []

    def approve(event: Event) -> None:
        if isinstance(event, ApprovalAsked):
            asked.append(event)
            bench.session.decide(event.call_id, Answered(allowed=True))

    bench.when = approve
    await bench.turn(answer(calls=[run("true")]), answer(calls=[run("echo x >> large")]), answer("Done."))
    assert asked[-1].irreversible == ("large (too large)",)
