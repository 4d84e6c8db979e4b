"""What the person changes in their editor while a session runs is shown and told to the model; our own writes are not."""

import asyncio
from pathlib import Path

import pytest

from agent.events.action import ActionRecorded
from agent.events.event import Event
from agent.events.news import Informed
from agent.ledger.attending import _MOST, attend
from agent.ledger.capture import Capture
from agent.ledger.ledger import Ledger
from agent.ledger.store import Store
from agent.ledger.watch import Watch
from agent.log import now
from agent.record import About, Recorder
from tests.fakes import ScriptedServer, answer
from tests.repositories import git, repository
from tests.test_record import Bench, bench, edit, run

__all__ = ["bench"]


needs_watch = pytest.mark.skipif(Watch(Path("/tmp")).why_not != "", reason="no watch can be trusted here")


async def told(bench: Bench, times: int) -> None:
    """Wait until so many changes by somebody else were told."""
    heard = asyncio.Event()
    bench.when = lambda _: heard.set() if len(noticed(bench)) >= times else None
    if len(noticed(bench)) < times:
        await asyncio.wait_for(heard.wait(), 20 + _MOST)  # where a look takes long, it rests long before the next one


def noticed(bench: Bench) -> list[tuple[str, list[str]]]:
    return [
        (event.kind, [file.path for file in event.files])
        for event in bench.events
        if isinstance(event, Informed) and event.kind in {"outside", "away"}
    ]


async def test_what_the_person_changes_between_two_steps_is_told_with_the_next_request(bench: Bench) -> None:
    def change(event: object) -> None:
        if getattr(event, "type", "") == "tool.finished" and len(bench.server.requests) == 2:
            (bench.root / "a.py").write_text("one\nmine\n")

    bench.when = change
    await bench.turn(answer(calls=[run("true")]), answer(calls=[("read", {"path": "a.py"})]), answer("Done."))
    assert noticed(bench) == [("outside", ["a.py"])]
    [told] = [text for text in bench.asked() if "Noticed by jumar" in text]
    assert "1 file was changed" in told
    assert "a.py: modified, +1 -0 lines" in told
    assert "+mine" in told


async def test_our_own_writes_commands_and_undoings_are_not_told_as_somebody_elses(bench: Bench) -> None:
    await bench.turn(answer(calls=[edit(), run("echo x >> a.py")]), answer(calls=[edit("three")]), answer("Done."))
    await bench.session.hands.undo([bench.records()[0].action, bench.records()[2].action])
    await bench.session.hands.shell("echo y > own.txt")
    await bench.turn(answer(calls=[run("true")]), answer("Done."))
    assert noticed(bench) == []


async def test_ignored_files_are_not_told_and_a_secret_file_is_told_without_its_lines(bench: Bench) -> None:
    (bench.root / ".gitignore").write_text("*.log\n")
    await bench.turn(answer(calls=[run("true")]), answer("Done."))
    (bench.root / "x.log").write_text("noise\n")
    await bench.turn(answer("Done."))
    assert noticed(bench) == []
    (bench.root / "id_rsa").write_text("hidden words\n")
    (bench.root / "x.log").write_text("more noise\n")
    await bench.turn(answer("Done."))
    assert noticed(bench) == [("outside", ["id_rsa"])]
    assert "hidden words" not in bench.server.requests[-1].decode()


async def test_a_storm_is_told_as_one_line_with_its_count(bench: Bench) -> None:
    await bench.turn(answer(calls=[run("true")]), answer("Done."))
    for number in range(400):
        (bench.root / f"f{number}.txt").write_text("x\n")
    await bench.turn(answer("Done."))
    [event] = [event for event in bench.events if isinstance(event, Informed)]
    assert (event.count, len(event.files), event.title) == (400, 200, "400 files")
    assert "and 380 files more" in event.told
    assert event.told.count("\n") < 25


@needs_watch
async def test_what_the_person_changes_between_turns_is_told_at_once_and_to_the_model_with_the_next(bench: Bench) -> None:
    bench.session.attend()
    await bench.turn(answer(calls=[run("true"), edit()]), answer("Done."))
    (bench.root / "a.py").write_text("one\nmine\n")
    await told(bench, 1)
    assert noticed(bench) == [("outside", ["a.py"])]
    await bench.turn(answer("Done."))
    [words] = [text for text in bench.asked() if "Noticed by jumar" in text]
    assert "+mine" in words
    assert len(noticed(bench)) == 1


@needs_watch
async def test_what_our_own_calls_change_is_not_told_while_nothing_runs(bench: Bench) -> None:
    bench.session.attend()
    await bench.turn(answer(calls=[run("true"), edit(), run("echo x >> a.py")]), answer("Done."))
    await bench.session.hands.undo([bench.records()[0].action])
    await bench.session.hands.shell("echo y > own.txt")
    (bench.root / "mine.txt").write_text("x\n")
    await told(bench, 1)
    assert noticed(bench) == [("outside", ["mine.txt"])]


async def test_what_changes_while_a_command_runs_that_cannot_write_is_no_doing_of_it(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    repository(root)
    (root / "a.py").write_text("one\n")
    store, events = Store(tmp_path / "ledger", root), list[Event]()
    recorder = Recorder(Ledger(store.bare, root, now), Capture(store), "s", events.append, lambda: 1)
    recorder.go_live()

    async def run() -> None:
        (root / "a.py").write_text("one\nmine\n")

    await recorder.around(About("c1", "shell", "cat a.py", None, writes=False), run)
    assert [(event.kind, event.title) for event in events if isinstance(event, Informed)] == [("outside", "a.py (+1 −0)")]
    assert not [event for event in events if isinstance(event, ActionRecorded)]
    assert [one.action.kind for one in Ledger(store.bare, root, now).actions()] == ["outside"]
    await recorder.close()


async def test_a_storm_is_looked_at_ever_more_seldom() -> None:
    pauses: list[float] = []
    storm = asyncio.Event()
    storm.set()

    async def look() -> None:
        await asyncio.sleep(0)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 20:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await attend(storm.wait, look, pause)
    rests = pauses[1::2]
    assert rests[0] < 1
    assert rests == sorted(rests)
    assert rests[-1] == 60


async def test_what_changed_while_nobody_was_here_is_told_to_a_session_that_goes_on(tmp_path: Path) -> None:
    async with ScriptedServer() as server:
        bench = Bench(tmp_path, server)
        (bench.root / "before.txt").write_text("x\n")  # a session that begins has seen nothing before
        git(bench.root, "add", "-A")
        await bench.turn(answer(calls=[run("true")]), answer("Done."))
        await bench.session.close()
        assert noticed(bench) == []
        (bench.root / "a.py").write_text("one\nmine\n")
        bench.session = bench.opened()
        await bench.turn(answer("Done."))
        assert noticed(bench) == [("away", ["a.py"])]
        assert "while this session was not open" in bench.server.requests[-1].decode()
        await bench.session.close()
