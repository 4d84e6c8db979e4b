"""What the model has read: what has changed since is told, what has not is not told twice, what no longer holds goes first."""

from dataclasses import replace

import pytest

from agent.blocks import TextBlock
from agent.checks import Check
from agent.effects import Effect, Seen
from agent.ending import Checks
from agent.events.action import ActionFile, ActionRecorded
from agent.events.call import ToolFinished, ToolStarted
from agent.events.conversation import TurnStarted
from agent.events.event import Event
from agent.events.step import Compacted, ModelAnswered, Uncompacted
from agent.history import LEFT_OUT, History
from agent.messages import Answer, Call, Reply, Usage
from tests.fakes import answer
from tests.histories import fold, is_valid
from tests.test_compact import Bench as Small
from tests.test_compact import answering, asks_for_note, go, note, size
from tests.test_compact import bench as small
from tests.test_record import Bench, bench, run

__all__ = ["bench", "small"]

LONG = "".join(f"line {number} of the file, which is long enough to be worth it\n" for number in range(1, 40))


def read(path: str = "long.py", **more: int) -> tuple[str, dict[str, object]]:
    return ("read", {"path": path, **more})


def edit(old: str, new: str, path: str = "long.py") -> tuple[str, dict[str, object]]:
    return ("edit", {"path": path, "old": old, "new": new})


def replies(bench: Bench) -> list[str]:
    return [event.reply for event in bench.events if isinstance(event, ToolFinished)]


@pytest.fixture
def long(bench: Bench) -> Bench:
    (bench.root / "long.py").write_text(LONG)
    return bench


async def test_the_same_lines_are_told_once_and_whole_again_where_they_are_asked_for_once_more(long: Bench) -> None:
    asked = [answer(calls=[read()]), answer("x", calls=[read(offset=1, limit=39)]), answer("y", calls=[read(limit=5)])]
    await long.turn(*asked, answer("z", calls=[read()]), answer("u", calls=[read()]), answer("Done."))
    first, again, part, whole, once_more = replies(long)
    assert "\nline 39" not in first
    assert "39\tline 39" in first
    assert again.startswith("[long.py: unchanged since step 1 (lines 1-39)")
    assert "5\tline 5" in part
    shown = [
        block.text
        for event in long.events
        if isinstance(event, ToolFinished)
        for block in event.blocks
        if isinstance(block, TextBlock)
    ]
    assert shown[:2] == ["lines 1-39 of 39", "lines 1-39, unchanged since step 1"]
    assert whole == first
    assert once_more.startswith("[long.py: unchanged since step 4 (lines 1-39)")


async def test_lines_are_told_again_once_the_file_was_changed_whoever_did(long: Bench) -> None:
    async def change() -> None:
        (long.root / "long.py").write_text(LONG + "mine\n")

    await long.turn(
        answer(calls=[read()]), answer("", calls=[edit("line 7 of", "LINE 7 of")]), answer("", calls=[read()]), answer("D")
    )
    await long.session.hands.undo([long.records()[0].action])
    await long.turn(answer("back", calls=[read()]), answer("Done."))
    await change()
    await long.turn(answer("theirs", calls=[read()]), answer("Done."))
    told = [reply for reply in replies(long) if "39\tline 39" in reply]
    assert len(told) == 4  # of one version that was there twice too: what was told of it before no longer holds


async def test_a_session_that_goes_on_knows_what_its_model_was_told(long: Bench) -> None:
    await long.turn(answer(calls=[read()]), answer("Done."))
    await long.session.close()
    long.session = long.opened()
    await long.turn(answer(calls=[read()]), answer("x", calls=[read()]), answer("Done."))
    _, again, whole = replies(long)
    assert again.startswith("[long.py: unchanged since step 1")
    assert "39\tline 39" in whole


async def test_files_that_were_read_and_that_a_command_changes_are_named_in_its_reply_once(long: Bench) -> None:
    (long.root / "other.py").write_text("x\n")
    (long.root / "unread.py").write_text("x\n")
    change = run("sed -i s/line/LINE/ long.py; echo y | tee other.py unread.py")
    await long.turn(
        answer(calls=[read(), read("other.py")]), answer(calls=[change]), answer("", [run("echo z >> long.py")]), answer("D")
    )
    first, second = replies(long)[2:]
    assert "[changed since you read or wrote them: long.py, other.py (by this command, step 2)" in first
    assert "changed since" not in second  # that it does not know the file any more it was told
    await long.turn(answer(calls=[read()]), answer("D"))
    await long.session.hands.shell("echo mine >> long.py")
    await long.turn(answer("Done."))
    assert "[changed since you read or wrote them: long.py (by the person's command)" in "\n".join(long.asked())


async def test_what_the_model_wrote_it_knows_until_its_formatter_changes_it(bench: Bench) -> None:
    write = ("write", {"path": "new.py", "content": "x=1\n"})
    await bench.turn(answer(calls=[write]), answer(calls=[run("sed -i 's/=/ = /' new.py")]), answer("Done."))
    assert "new.py (by this command, step 2)" in replies(bench)[1]


async def test_what_a_check_of_the_person_changes_is_told_with_the_next_step(long: Bench) -> None:
    await long.session.close()
    long.session = long.opened(checks=Checks((Check("format", "sed -i s/LINE/line/ long.py", when="edit"),)))
    change = edit("line 7 of", "LINE 7 of")
    await long.turn(answer(calls=[change]), answer("", calls=[("find", {"glob": "*"})]), answer("Done."))
    told = [str(body["messages"]).count("long.py (by a check of the person)") for body in long.server.bodies()]
    assert told == [0, 1, 1]


async def test_of_many_changes_outside_those_of_files_that_were_read_are_named_first(long: Bench) -> None:
    await long.turn(answer(calls=[run("true")]), answer(calls=[read()]), answer("Done."))
    for number in range(60):
        (long.root / f"f{number}.txt").write_text("x\n")
    (long.root / "long.py").write_text("other\n")
    await long.turn(answer("Done."))
    [told] = [text for text in long.asked() if "Noticed by jumar" in text]
    assert told.split("\n")[1].startswith("long.py: modified, +1 -39 lines; you saw it at step 2")


def reading(*steps: tuple[str, Seen | None, tuple[str, ...]]) -> list[Event]:
    """Return a session of one call a step: its id, what it shows, and the files that it changes as a command."""
    events: list[Event] = [TurnStarted(turn=1, prompt="go")]
    for number, (call, seen, changes) in enumerate(steps, 1):
        tool, effect = ("read", Effect.READ) if seen else ("shell", Effect.EXEC)
        events.append(
            ModelAnswered(step=number, answer=Answer("", (Call(call, tool, "{}"),)), usage=Usage(), model="m", seconds=0)
        )
        events.append(ToolStarted(call_id=call, tool=tool, subject="", effect=effect))
        files = tuple(ActionFile(path=path, kind="modified", added=1, removed=1) for path in changes)
        if files:
            events.append(ActionRecorded(action=call, seal="", call_id=call, tool=tool, title="", files=files))
        reply = f"content of {call}"
        events.append(ToolFinished(call_id=call, tool=tool, status="done", reply=reply, seen=(seen,) if seen else ()))
    return events


def told(history: History) -> list[str]:
    return [message.text for message in history.messages if isinstance(message, Reply)]


A, B = Seen("a.py", "1", 1, 50), Seen("b.py", "1", 1, 50)


def test_what_no_longer_holds_is_left_out_with_the_reason_and_comes_back() -> None:
    later = replace(B, first=1, last=80)
    history = fold(reading(("r1", A, ()), ("r2", B, ()), ("c", None, ("a.py",)), ("r3", later, ()), ("r4", B, ())))
    before = list(history.messages)
    event = history.without(history.stale(history.whole), "no room")
    assert event is not None
    assert event.dropped == ("r1", "r2")
    history.apply(event)
    assert told(history) == [
        "(read of a.py, lines 1-50, at step 1: dropped, the file has changed since)",
        "(read of b.py, lines 1-50, at step 2: dropped, read again at step 4)",
        "content of c",
        "content of r3",
        "content of r4",
    ]
    assert is_valid(history.messages)
    assert history.without(history.stale(history.whole), "again") is None
    assert history.settled(ToolFinished(call_id="x", tool="read", status="done", reply="w" * 500, seen=(A,))).reply == "w" * 500
    history.apply(Uncompacted())
    assert history.messages == before


def test_leaving_out_more_keeps_what_stands_in_place_of_the_beginning() -> None:
    events = reading(("r1", A, ()), ("r2", B, ()), ("r3", A, ()))
    events.append(Compacted(reason="full", note="## Goal\nTHE NOTE", record="THE RECORD", kept=4, dropped=("r2",)))
    more = reading(("c", None, ("a.py",)), ("r4", replace(A, digest="2"), ()))[1:]
    history = fold([*events, *(replace(one, step=one.step + 3) if isinstance(one, ModelAnswered) else one for one in more)])
    event = history.without(history.stale(history.whole), "no room")
    assert event is not None
    history.apply(event)
    assert told(history) == [
        LEFT_OUT,
        "(read of a.py, lines 1-50, at step 3: dropped, the file has changed since)",
        "content of c",
        "content of r4",
    ]
    assert "THE NOTE" in str(history.messages[0])
    assert "THE RECORD" in str(history.messages[0])
    history.apply(Uncompacted())
    assert told(history)[1] == "content of r3"
    assert history.note == "## Goal\nTHE NOTE"


def test_lines_are_not_said_to_be_unchanged_where_their_reply_is_gone() -> None:
    events = reading(("r1", A, ()), ("c", None, ("z",)))
    asked = ToolFinished(call_id="x", tool="read", status="done", reply="w" * 500, seen=(A,))
    history = fold(events)
    assert history.settled(asked).seen[0].since == 1
    history.apply(Compacted(reason="full", note="n", kept=2))
    assert history.settled(asked) == asked
    history.apply(Uncompacted())
    assert history.settled(asked).seen[0].since == 1
    history.apply(Compacted(reason="full", note="", kept=5, dropped=("r1",)))
    assert history.settled(asked) == asked


async def test_stale_reads_make_room_before_a_note_is_asked_for(small: Small) -> None:
    notes, steps = 0, 0

    def model(body: dict[str, object]) -> object:
        nonlocal notes, steps
        usage = Usage(size(body), 50)
        if asks_for_note(body):
            notes += 1
            return answer(note(), usage=usage)
        steps += 1
        if steps > 12:
            return answer("Done.", usage=usage)
        (small.root / "numbers.txt").write_text("".join(f"{number} {steps}\n" for number in range(900)))
        return answer("", [("read", {"path": "numbers.txt", "limit": 900 + steps})], usage=usage)

    async with answering(model) as server:  # type: ignore[arg-type]
        assert (await go(small.open(server))).status == "done"
        bodies = server.bodies()
    assert notes == 0
    shortened = small.of(Compacted)
    assert 1 <= len(shortened) <= 6  # not at every step: what is in a cache stays there
    assert all(event.tokens_after < event.tokens_before and not event.note for event in shortened)
    assert all(size(body) <= 32_768 for body in bodies)
    assert "dropped, the file has changed since" in str(bodies[-1]["messages"])
