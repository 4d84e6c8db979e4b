"""Two sessions in one workspace: each change is in one record, whatever runs beside it, and all of it can be taken back."""

import asyncio
import hashlib
import json
import os
import random
import stat
from collections.abc import AsyncIterator, Callable
from functools import partial
from itertools import permutations
from pathlib import Path

import pytest

from agent.errors import JumarError
from agent.events.call import ToolProgressed
from agent.events.conversation import TurnFinished
from agent.ledger.action import Action, Held
from agent.ledger.capture import Capture
from agent.ledger.ledger import Ledger
from agent.ledger.store import Store
from agent.ledger.together import PARTLY, Together
from agent.log import now
from agent.record import About, Recorder
from tests.fakes import ScriptedServer, answer
from tests.repositories import repository
from tests.runs import Person
from tests.test_record import Bench, edit, run


class Pair:
    """Two sessions in one workspace."""

    def __init__(self, one: Bench, other: Bench) -> None:
        self.one, self.other = one, other
        self.root, self.ledger = one.root, one.ledger

    async def begin(self, bench: Bench, command: str) -> "asyncio.Task[TurnFinished]":
        """Have a session run a command that says when it goes on; return its turn once it has said so."""
        started = asyncio.Event()
        bench.when = lambda event: started.set() if isinstance(event, ToolProgressed) else None
        bench.server.script.extend([answer(calls=[run(command)]), answer("Done.")])
        turning = asyncio.create_task(bench.session.turn("go"))
        await asyncio.wait_for(started.wait(), 30)
        return turning

    async def go_on(self, turning: "asyncio.Task[TurnFinished]", name: str) -> None:
        (self.root.parent / name).touch()
        await asyncio.wait_for(turning, 30)

    def calls(self) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
        return [
            (one.action.session, one.action.status, tuple(delta.path for delta in one.action.deltas), one.action.shared)
            for one in self.ledger.actions()
        ]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with ScriptedServer() as server, ScriptedServer() as another:
        both = Pair(Bench(tmp_path, server), Bench(tmp_path, another, "t"))
        for bench in (both.one, both.other):
            await bench.turn(answer(calls=[run("true")]), answer("Done."))
        yield both
        for bench in (both.one, both.other):
            await bench.session.close()


def waits(name: str) -> str:
    return f"echo ready; while ! test -e ../{name}; do sleep 0.01; done"


async def test_a_change_that_two_commands_might_have_made_is_in_one_record_which_says_so(pair: Pair) -> None:
    first = await pair.begin(pair.one, f"echo 1 > of-one; {waits('go1')}; echo 2 > of-one-too")
    second = await pair.begin(pair.other, f"echo 1 > of-other; {waits('go2')}")
    await pair.go_on(second, "go2")
    await pair.go_on(first, "go1")
    assert pair.calls() == [
        ("s", PARTLY, ("of-one",), ()),
        ("t", "done", ("of-other",), ("s",)),
        ("s", "done", ("of-one-too",), ("t",)),
    ]
    assert [[file.path for file in event.files] for event in pair.one.records()] == [["of-one", "of-one-too"]]


@pytest.mark.parametrize("order", list(permutations((0, 1))))
async def test_both_are_taken_back_to_the_byte_in_either_order(pair: Pair, order: tuple[int, int]) -> None:
    (pair.root / "shared.txt").write_text("".join(f"line {number}\n" for number in range(30)))
    (pair.root / "kept.sh").write_text("true\n")
    mode = stat.S_IMODE((pair.root / "kept.sh").stat().st_mode)
    before = files(pair.root)
    first = await pair.begin(
        pair.one, f"sed -i '2s/.*/of one/' shared.txt; echo 1 > n1; {waits('go1')}; sed -i '28s/.*/one/' shared.txt"
    )
    second = await pair.begin(pair.other, f"sed -i '15s/.*/of other/' shared.txt; rm a.py; {waits('go2')}; chmod 755 kept.sh")
    await pair.go_on(first, "go1")
    await pair.go_on(second, "go2")
    after = files(pair.root)
    ids = [bench.records()[-1].action for bench in (pair.one, pair.other)]
    for number in order:
        plan, _ = await pair.ledger.take_back([ids[number]], "undo")
        assert plan.conflicts == ()
    assert files(pair.root) == before
    assert stat.S_IMODE((pair.root / "kept.sh").stat().st_mode) == mode
    for _ in order:
        await pair.ledger.redo()
    assert files(pair.root) == after


async def test_what_a_command_has_written_when_an_undo_takes_in_the_same_file_stays_the_commands(pair: Pair) -> None:
    lines = "".join(f"line {number}\n" for number in range(30))
    (pair.root / "shared.txt").write_text(lines)
    await pair.one.turn(answer(calls=[run("sed -i '2s/.*/of one/' shared.txt")]), answer("Done."))
    running = await pair.begin(pair.other, f"sed -i '28s/.*/of other/' shared.txt; {waits('go')}; echo x > last")
    plan, _ = await pair.ledger.take_back([pair.one.records()[-1].action], "undo")
    assert [step.path for step in plan.steps] == ["shared.txt"]
    await pair.go_on(running, "go")
    written = pair.other.records()[-1]
    assert [(file.path, file.added, file.removed) for file in written.files] == [("last", 1, 0), ("shared.txt", 1, 1)]
    plan, _ = await pair.ledger.take_back([written.action], "undo")
    assert (plan.conflicts, (pair.root / "shared.txt").read_text()) == ((), lines)
    assert not (pair.root / "last").exists()


async def test_what_both_wrote_on_one_line_goes_in_order_or_not_at_all(pair: Pair) -> None:
    first = await pair.begin(pair.one, f"echo of one > a.py; {waits('go1')}")
    second = await pair.begin(pair.other, f"echo of other > a.py; {waits('go2')}")
    await pair.go_on(second, "go2")
    await pair.go_on(first, "go1")
    of_one, of_other = (bench.records()[-1].action for bench in (pair.one, pair.other))
    plan, done = await pair.ledger.take_back([of_one], "undo")
    assert (plan.conflicts[0].later, done) == ((of_other,), None)
    assert (pair.root / "a.py").read_text() == "of other\n"
    await pair.ledger.take_back([of_other], "undo")
    assert (pair.root / "a.py").read_text() == "of one\n"
    await pair.ledger.take_back([of_one], "undo")
    assert (pair.root / "a.py").read_text() == "one\n"


async def test_an_edit_of_one_beside_a_command_of_the_other_is_in_its_own_record_alone(pair: Pair) -> None:
    turning = await pair.begin(pair.other, f"echo 1 > of-other; {waits('go')}")
    await pair.one.turn(answer(calls=[edit()]), answer("Done."))
    await pair.go_on(turning, "go")
    assert pair.calls() == [("t", PARTLY, ("of-other",), ()), ("s", "done", ("new.py",), ())]
    assert [[file.path for file in event.files] for event in pair.other.records()] == [["of-other"]]


async def test_a_person_who_writes_during_a_command_loses_no_byte(pair: Pair) -> None:
    turning = await pair.begin(pair.one, f"echo 1 > n1; {waits('go')}; echo 2 > n2")
    (pair.root / "a.py").write_text("the person's\n")
    await pair.go_on(turning, "go")
    (pair.root / "a.py").write_text("the person's\nand more\n")
    (pair.root / "n2").write_text("the person's own\n")
    mine = pair.one.records()[-1].action
    plan, done = await pair.ledger.take_back([mine], "undo")
    assert ({one.path for one in plan.conflicts}, done) == ({"a.py", "n2"}, None)
    assert (pair.root / "a.py").read_text() == "the person's\nand more\n"
    await pair.ledger.take_back([mine], "undo", preference="ours")
    assert files(pair.root)["a.py"] == b"the person's\nand more\n"
    assert files(pair.root)["n2"] == b"the person's own\n"
    assert "n1" not in files(pair.root)


async def test_a_command_of_which_the_session_died_is_waited_for_by_nobody(tmp_path: Path) -> None:
    one, other = Together(tmp_path), Together(tmp_path)
    one.begin(Action("", "call", "", "dead"))
    assert [action.session for action in other.running("t")] == ["dead"]
    assert one.running("dead") == []
    end = one.begin(Action("", "call", "", "s"))
    end()
    assert [action.session for action in other.running("t")] == ["dead"]
    (tmp_path / "running" / "00000000000000000001-of-nobody").write_text(json.dumps({"session": "x"}))
    assert [action.session for action in other.running("t")] == ["dead"]
    assert len(list((tmp_path / "running").iterdir())) == 1


async def test_only_one_looks_at_a_time(tmp_path: Path) -> None:
    told: list[str] = []
    inside = asyncio.Event()

    async def look(name: str) -> None:
        async with Together(tmp_path).alone():
            told.append(f"{name} in")
            inside.set()
            await asyncio.sleep(0)
            told.append(f"{name} out")

    await asyncio.gather(look("a"), look("b"))
    assert told in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JumarError, match="cannot be kept"):
        async with Together(tmp_path / "file").alone():
            pass


async def test_two_processes_of_jumar_share_a_workspace(tmp_path: Path) -> None:
    async with ScriptedServer() as server, ScriptedServer() as another:
        person = Person(tmp_path, server.base_url)
        before = files(person.root)
        server.script.extend(
            [answer(calls=[run("echo 1 > n1; mkfifo ../a ../b; echo > ../ready; cat ../a; echo 2 > n2")]), answer("Done.")]
        )
        another.script.extend([answer(calls=[run("echo 1 > m1; echo > ../a; cat ../b; echo 2 >> n2")]), answer("Done.")])
        os.mkfifo(tmp_path / "ready")
        first = asyncio.create_task(person.trusted("-p", "go", "--mode", "yolo"))
        await asyncio.to_thread((tmp_path / "ready").read_bytes)
        away = {"JUMAR_BASE_URL": another.base_url}
        second = asyncio.create_task(person.run("-p", "go", "--trust", "--mode", "yolo", environment=away))
        assert (await asyncio.wait_for(first, 60)).code == 0
        await asyncio.to_thread((tmp_path / "b").write_bytes, b"\n")
        assert (await asyncio.wait_for(second, 60)).code == 0
        rows = [json.loads(line) for line in (await person.run("actions", "--json")).out.splitlines()]
        assert [(row["status"], [file["path"] for file in row["files"]]) for row in rows] == [
            (PARTLY, ["n1"]),
            ("done", ["m1", "n2"]),
            ("done", ["n2"]),
        ]
        assert (await person.run("undo", rows[2]["id"])).code == 0
        assert files(person.root)["n2"] == b"2\n"
        assert (rows[0]["shared"], rows[1]["shared"]) == ([], [rows[2]["session"]])
        assert f"ran beside it: {rows[2]['session']}: some" in (await person.run("show", rows[1]["id"])).out
        undo = await person.run("undo", rows[1]["id"])
        assert (undo.code, "ran beside action 2: some of it may be theirs" in undo.out) == (0, True)
        assert files(person.root) == before


def files(root: Path) -> dict[str, bytes]:
    """Return all files of a work tree."""
    found = (path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


class Beside:
    """A session whose commands are steps that a test takes when it likes."""

    def __init__(self, root: Path, state: Path, name: str) -> None:
        store = Store(state, root)
        self.ledger = Ledger(store.bare, root, now)
        self.recorder = Recorder(self.ledger, Capture(store, watched=name == "s"), name, lambda _: None, lambda: 1, eager=False)
        self.steps: asyncio.Queue[Callable[[], None] | None] = asyncio.Queue()
        self.turn: asyncio.Task[None] | None = None
        self._commands = 0

    async def begin(self) -> None:
        begun = asyncio.Event()

        async def command() -> None:
            begun.set()
            while (step := await self.steps.get()) is not None:
                step()
                self.steps.task_done()
            self.steps.task_done()

        self._commands += 1
        about = About(f"c{self._commands}", "shell", "a command", None)
        self.turn = asyncio.create_task(self.recorder.around(about, command))
        await asyncio.wait_for(begun.wait(), 30)

    async def end(self) -> None:
        assert self.turn is not None
        self.steps.put_nowait(None)
        await asyncio.wait_for(self.turn, 30)
        self.turn = None

    async def edit(self, file: Path, work: Callable[[], None]) -> None:
        async def change() -> None:
            work()

        await self.recorder.around(About("e", "edit", "an edit", (file,)), change)


@pytest.mark.parametrize("seed", range(5))
async def test_however_two_sessions_and_a_person_mix_the_records_tell_one_story(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    root = repository(tmp_path / "ws")
    sessions = [Beside(root, tmp_path / "ledger", name) for name in ("s", "t")]
    for one in sessions:
        await one.begin()
        await one.end()
    first = story = dict(walked(root))
    for _ in range(24):
        one = chance.choice(sessions)
        file = root / chance.choice(("a.txt", "b.txt", "n/c.txt", "n/d.txt"))
        work = partial(change, file, chance.randbytes(3), chance.randrange(5))
        match chance.randrange(5):
            case 0:
                await (one.begin() if one.turn is None else one.end())
            case 1 if one.turn is None:
                await one.edit(file, work)
            case 2:
                work()  # a person
            case _ if one.turn is not None:
                one.steps.put_nowait(work)
                await one.steps.join()
            case _:
                await one.begin()
    for one in sessions:
        await (one.end() if one.turn is not None else asyncio.sleep(0))
    for one in sessions:
        await one.recorder.border()
    ledger = sessions[0].ledger
    for listed in ledger.actions():
        for delta in listed.action.deltas:
            assert story.get(delta.path) == delta.before, (listed.action.id, delta.path)
            story = {**story, delta.path: delta.after} if delta.after else {k: v for k, v in story.items() if k != delta.path}
    assert story == walked(root)
    for listed in ledger.actions():  # each alone, or nothing
        last = walked(root)
        _, done = await ledger.take_back([listed.action.id], "undo")
        if done is not None:
            await ledger.redo()
        assert walked(root) == last
    plan, _ = await ledger.take_back([one.action.id for one in ledger.actions() if not one.action.undoes], "undo")
    assert plan.conflicts == ()
    assert walked(root) == first
    for one in sessions:
        await one.recorder.close()


def change(file: Path, content: bytes, how: int) -> None:
    """Change a file in one of several ways."""
    if how == 0:
        file.unlink(missing_ok=True)
    elif how == 1 and file.exists():
        file.chmod(0o755)
    else:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content.hex().encode() + b"\n")


def walked(root: Path) -> dict[str, Held]:
    """Return what the ledger should say of every file."""
    found = {}
    for name, content in files(root).items():
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        found[name] = Held(blob, (root / name).lstat().st_mode)
    return found
