"""Every way in which a call can end, and be taken back, is told in its own words, live and from the log."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from agent.blocks import DiffBlock, PlanBlock, PlanItem, TerminalBlock
from agent.effects import Effect
from agent.events.action import ActionFile, ActionRecorded, ActionsUndone
from agent.events.call import CallStatus, ToolFinished, ToolStarted
from agent.events.conversation import TurnStarted
from agent.events.event import Event
from agent.events.news import ActionPart, Informed
from agent.events.step import ModelAnswered
from agent.gate import Answered
from agent.messages import Answer, Call, Usage
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import screen_of
from tui.entries import Called
from tui.look import Look, look
from tui.story import Story
from tui.words import words

LOOK = Look(words({}, "en"), 100, opened=False)


def began() -> tuple[Event, ...]:
    answer = Answer("", (Call("c", "write", "{}"),))
    return TurnStarted(turn=1, prompt="x"), ModelAnswered(step=1, answer=answer, usage=Usage(), model="m", seconds=0)


def ended(status: CallStatus = "done") -> ToolFinished:
    return ToolFinished(call_id="c", tool="write", status=status, reply="so it was", subject="a.txt")


def recorded(number: str, *paths: str) -> ActionRecorded:
    files = tuple(ActionFile(path=path, kind="modified", added=1, removed=0) for path in paths)
    return ActionRecorded(action=number, seal=number, call_id="c", tool="write", title="x", files=files)


def undone(number: str, of: str, *only: str) -> ActionsUndone:
    return ActionsUndone(action=number, title="x", undoes=(of,), files=(), seal=number, step=2, told="x", only=only)


def call_of(*events: Event) -> Called:
    story = Story()
    story.replay((*began(), *events))
    found = story.call("c")
    assert found is not None
    return found


@pytest.mark.parametrize(("language", "said"), [("en", "syntax fault"), ("zh", "语法错误")])
def test_a_text_that_is_not_well_formed_is_seen_in_the_line_of_its_call(language: str, said: str) -> None:
    started = ToolStarted(call_id="c", tool="edit", subject="a.py", effect=Effect.WRITE)
    for reply, seen in (
        ("Edited a.py, +1 -1; SYNTAX FAULT at line 1: near 'x'.\n+x", True),
        ("a.py: 1 match, +1 -1\nb.kt: 1 match; possible SYNTAX FAULTS at line 1: near 'x'.", True),
        ("Edited a.py, +1 -1; no new syntax fault (1 fault there before).\n+told, SYNTAX FAULT at line 1", False),
    ):
        entry = call_of(started, replace(ended(), reply=reply))
        assert (said in look(entry, replace(LOOK, words=words({}, language))).plain.partition("\n")[0]) is seen


def test_a_call_is_told_in_the_persons_language_and_a_failed_one_with_the_end_of_what_it_printed() -> None:
    printed = TerminalBlock("make", "".join(f"line {number}\n" for number in range(9)), exit_code=2, seconds=1.5)
    new = DiffBlock("a.txt", "@@ -0,0 +1 @@\n+x\n", change="created", added=1, removed=0)
    finished = replace(ended(), exit_code=2, seconds=1.5, blocks=(printed, new))
    chinese = replace(LOOK, words=words({}, "zh"))
    closed = look(call_of(finished), chinese).plain
    assert "退出码 2" in closed
    assert "line 8" in closed
    assert "line 4" not in closed
    opened = look(call_of(finished), replace(chinese, opened=True)).plain
    assert "退出码 2 · 1.5 秒" in opened
    assert "a.txt  新建  +1 −0" in opened


def test_of_a_long_failure_the_first_line_is_told_in_the_persons_language() -> None:
    reply = "Nothing was written to a.txt. old is nowhere in it. Nearest is line 3:\n3\tx\nIt differs."
    entry = call_of(replace(ended("failed"), reply=reply))
    assert "a.txt 没有改动。找不到原文，最相近的是第 3 行" in look(entry, replace(LOOK, words=words({}, "zh"))).plain


def test_every_ending_has_words_of_its_own() -> None:
    heads = [look(call_of(ended(status)), LOOK).plain.partition("\n")[0] for status in get_args(CallStatus)]
    assert len({head.split("a.txt")[1] for head in heads}) == len(heads)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ((undone("3", "1"),), "partly undone"),
        ((undone("3", "1"), undone("4", "2")), "undone"),
        ((undone("3", "1", "a"),), "partly undone"),
        ((undone("3", "1"), undone("4", "3")), "undone, and brought back"),
        ((undone("3", "1"), undone("4", "3"), undone("5", "4")), "partly undone"),
        ((undone("3", "1"), undone("4", "2"), undone("5", "4", "c")), "partly undone"),
    ],
)
def test_a_call_of_two_actions_tells_how_much_of_it_is_undone(events: tuple[Event, ...], state: str) -> None:
    called = call_of(recorded("1", "a", "b"), recorded("2", "c"), ended(), *events)
    assert [file.path for file in called.files] == ["a", "b", "c"]
    head = look(called, LOOK).plain.partition("\n")[0]
    assert head.rstrip().endswith(f"{state}  #2")


def took_parts(by: str, *parts: tuple[str, str, bool]) -> list[Event]:
    """Return what is told when the person takes parts of changes back, which is an action of its own."""
    made = tuple(ActionPart(action=action, path=path, whole=whole) for action, path, whole in parts)
    own = replace(recorded(by, *{path for _, path, _ in parts}), call_id=f"person-{by}", tool="files")
    return [own, Informed(kind="files", title="parts", told="x", step=2, call_id=f"person-{by}", parts=made)]


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (took_parts("3", ("1", "a", False)), "partly undone"),
        (took_parts("3", ("1", "a", True)), "partly undone"),
        (took_parts("3", ("1", "a", True), ("1", "b", True), ("2", "c", True)), "undone"),
        ([*took_parts("3", ("1", "a", False)), undone("4", "3")], "undone, and brought back"),
        ([*took_parts("3", ("1", "a", False)), undone("4", "3"), undone("5", "4")], "partly undone"),
        ([*took_parts("3", ("1", "a", False)), *took_parts("4", ("2", "c", True)), undone("5", "4")], "partly undone"),
        ([*took_parts("3", ("1", "a", False)), undone("4", "1"), undone("5", "2")], "undone"),
    ],
)
def test_a_call_of_which_parts_were_taken_back_says_so(events: list[Event], state: str) -> None:
    called = call_of(recorded("1", "a", "b"), recorded("2", "c"), ended(), *events)
    head = look(called, LOOK).plain.partition("\n")[0]
    assert head.rstrip().endswith(f"{state}  #2")


def plain(story: Story) -> list[object]:
    """Return the entries, but for their keys, which count what was on the screen for a while."""
    return [(type(entry).__name__, replace(entry, key="")) for entry in story.entries]


async def test_a_live_story_is_the_story_of_its_log(person: Person, server: ScriptedServer) -> None:
    mine = person.root / "mine.txt"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("write", {"path": "a.txt", "content": "a\n"}),
        ("shell", {"command": "echo b > b.txt"}),
        ("write", {"path": "../out.txt", "content": "x"}),
        ("write", {"content": "no path"}),
        ("plan", {"items": [{"text": "one", "state": "doing"}, {"text": "two"}]}),
    ]
    async with screen_of(person, mode="auto", allow=("shell(echo *)",)) as screen:
        app = screen.app
        server.script += [*(answer("", calls=[call]) for call in calls), answer("Half done.")]
        await screen.say("work")
        while "Half done." not in screen.text:
            if app.story.waiting and app.session is not None:
                app.session.decide(app.story.waiting[0], Answered(allowed=False, words="no"))
            await screen.pilot.pause(0.02)
        session = app.session
        assert session is not None
        mine.write_text("mine\n")
        session.set_plan(PlanBlock((PlanItem("one", "doing"), PlanItem("two", "dropped"))))
        number = session.hands.actions()[0].action.id
        await session.hands.undo([number])
        await session.hands.redo()
        await session.hands.undo([number])
        server.script.append(answer("All done."))
        await screen.say("go on")
        await screen.see("All done.", "changed mine.txt (+1 −0)", "you struck from the plan: two")
        again = Story()
        again.replay(app.desk.events(session.id))
        assert plain(again) == plain(app.story)
        assert (again.checklist, again.mode, again.ended) == (app.story.checklist, app.story.mode, app.story.ended)
        states = {(entry.status, entry.undone) for entry in again.entries if isinstance(entry, Called)}
        assert {("done", True), ("done", False)} < states
