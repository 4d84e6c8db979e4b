"""One recorded list of events, of every kind there is, tells the same facts in all three front ends."""

import io
import json
from dataclasses import fields, replace
from types import UnionType
from typing import Any, get_args

import pytest

from agent.blocks import DiffBlock, Image, PlanBlock, PlanItem, TableBlock, TerminalBlock, TextBlock
from agent.effects import Effect
from agent.events.action import ActionFile, ActionRecorded, ActionsUndone
from agent.events.call import ApprovalAsked, ApprovalDecided, QuestionAsked, ToolFinished, ToolProgressed, ToolStarted
from agent.events.conversation import SessionRenamed, SessionStarted, Steered, TurnFinished, TurnStarted
from agent.events.event import Event, encode
from agent.events.news import Informed, Warned
from agent.events.run import RunFinished, Verified
from agent.events.step import (
    CallStreamed,
    Compacted,
    ModelAnswered,
    ModelSwitched,
    ReasoningStreamed,
    Repaired,
    RequestRetried,
    StepStarted,
    TextStreamed,
    Uncompacted,
)
from agent.messages import Answer, Call, Usage
from jumar.printers import StreamPrinter, TextPrinter
from tests.runs import valid
from tui.entries import Answered, Called, Checked, Entry, Noted, Over, Said, Thought
from tui.look import Look, look
from tui.story import Story
from tui.words import words

USAGE = Usage(100, 10, 50)
DIFF = DiffBlock("calc.py", "--- a/calc.py\n+++ b/calc.py\n@@ -1 +1 @@\n-old line\n+new line\n", 1, 1)
PLAN = PlanBlock((PlanItem("look", "done"), PlanItem("mend", "doing")))
PICTURE = Image("image/png", "iVBORw0KGgo=")
CALLS = (
    Call("read", "read", "{}"),
    Call("edit", "edit", "{}"),
    Call("push", "shell", "{}"),
    Call("list", "shell", "{}"),
    Call("plan", "plan", "{}"),
    Call("bad", "nonsense", "{}"),
    Call("ask", "ask", "{}"),
)


def answered(step: int, text: str, *calls: Call, reasoning: str = "") -> ModelAnswered:
    return ModelAnswered(step=step, answer=Answer(text, calls, reasoning), usage=USAGE, model="one", seconds=1.0, cost=0.01)


def ended(call: str, tool: str, subject: str, status: Any = "done", reply: str = "ok", **more: Any) -> ToolFinished:
    return ToolFinished(call_id=call, tool=tool, status=status, reply=reply, subject=subject, **more)


def began(call: str, tool: str, subject: str, effect: Effect) -> ToolStarted:
    return ToolStarted(call_id=call, tool=tool, subject=subject, effect=effect)


ASKED = ApprovalAsked(
    call_id="edit",
    tool="edit",
    subject="calc.py",
    reason="it changes a file",
    blocks=(DIFF,),
    digest="d",
    suggested=("edit calc.py",),
)
EDITED = (ActionFile(path="calc.py", kind="modified", added=1, removed=1),)
EVENTS: tuple[Event, ...] = (
    SessionStarted(version="1", root="/r", cwd="/r", model="one", mode="ask", sandbox="none", tools=("read", "edit", "shell")),
    TurnStarted(turn=1, prompt="mend calc.py", images=(PICTURE,)),
    StepStarted(step=1),
    RequestRetried(step=1, attempt=1, seconds=2.0, reason="the server was busy"),
    ReasoningStreamed(text="let me "),
    TextStreamed(text="I lo"),
    CallStreamed(tool="read", size=5),
    answered(1, "I look first.", *CALLS, reasoning="let me see"),
    Repaired(step=1, kind="arguments", words="a trailing comma was taken out"),
    began("read", "read", "calc.py", Effect.READ),
    ended("read", "read", "calc.py", blocks=(TextBlock("def add", "python"), TableBlock(("a", "b"), (("1", "2"),)))),
    ASKED,
    ApprovalDecided(
        call_id="edit", allowed=True, by="person", reason="", digest="d", remembered=("edit calc.py",), scope="session"
    ),
    began("edit", "edit", "calc.py", Effect.WRITE),
    ended("edit", "edit", "calc.py", blocks=(DIFF,)),
    ActionRecorded(action="1", seal="s", call_id="edit", tool="edit", title="edit calc.py", files=EDITED),
    ApprovalAsked(call_id="push", tool="shell", subject="git push", reason="it leaves this machine", blocks=(), digest="e"),
    ApprovalDecided(call_id="push", allowed=False, by="person", reason="they said no", digest="e", words="not today"),
    ended("push", "shell", "git push", "denied", "The person refused: not today."),
    began("list", "shell", "ls missing", Effect.EXEC),
    ToolProgressed(call_id="list", text="ls: cannot access\n"),
    ended("list", "shell", "ls missing", "done", blocks=(TerminalBlock("ls missing", "ls: cannot access", 2, 0.1),), exit_code=2),
    began("plan", "plan", "2 steps", Effect.READ),
    ended("plan", "plan", "2 steps", blocks=(PLAN,)),
    ended("bad", "nonsense", "", "invalid", "there is no tool nonsense"),
    QuestionAsked(call_id="ask", question="which one?", choices=("this", "that")),
    ended("ask", "ask", "which one?", reply="this"),
    Steered(text="and be quick", step=2),
    StepStarted(step=2),
    ModelSwitched(step=2, before="one", after="two", reason="the key was refused"),
    replace(answered(2, "It is **mended**."), model="two"),
    Verified(command="make check", exit_code=1, output="1 failed", round=1),
    TurnFinished(turn=1, status="done", text="It is **mended**.", steps=2, usage=USAGE, seconds=3.0),
    ActionsUndone(action="2", title="undo 1", undoes=("1",), files=EDITED, seal="t", step=3, told="1 was undone"),
    Informed(kind="mode", title="mode: auto", told="the mode is auto", step=3, mode="auto"),
    Compacted(reason="it was full", note="what was done", kept=2, tokens_before=9000, tokens_after=1000),
    Uncompacted(),
    SessionRenamed(title="the mending"),
    Warned(text="the disk is nearly full"),
    TurnStarted(turn=2, prompt="and again"),
    TurnFinished(
        turn=2, status="failed", text="", reason="the server is gone", fault="server", steps=0, usage=USAGE, seconds=1.0
    ),
    RunFinished(status="failed", exit_code=75, text="", reason="the server is gone"),
)
# Where each kind of event is seen on the screen, or why it is not.
ON_SCREEN: dict[type[Event], type[Entry] | str] = {
    SessionStarted: "the status line",
    SessionRenamed: "the title",
    TurnStarted: Said,
    Steered: Said,
    StepStarted: "the count of steps",
    TextStreamed: Answered,
    ReasoningStreamed: Thought,
    CallStreamed: Called,
    RequestRetried: Noted,
    ModelAnswered: Answered,
    Repaired: Noted,
    ModelSwitched: Noted,
    Compacted: Noted,
    Uncompacted: Noted,
    ApprovalAsked: Called,
    ApprovalDecided: Called,
    QuestionAsked: Called,
    ToolStarted: Called,
    ToolProgressed: Called,
    ToolFinished: Called,
    ActionRecorded: Called,
    ActionsUndone: Noted,
    Informed: Noted,
    Warned: Noted,
    Verified: Checked,
    TurnFinished: Over,
    RunFinished: "the end of a run without a screen",
}


def kinds(union: UnionType | Any) -> set[type[Any]]:
    return set(get_args(union))


def lines_of() -> list[bytes]:
    """Return each event's line as the log holds it; what streams has none."""
    lines, seq = [], 0
    for event in EVENTS:
        seq += event.settled
        lines.append(encode(event, seq=seq, ts="2026-01-01T00:00:00.000Z", session_id="s") + b"\n" if event.settled else b"")
    return lines


def streamed(*, deltas: bool) -> list[dict[str, Any]]:
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    printer = StreamPrinter(out, "s", deltas=deltas)
    for event, line in zip(EVENTS, lines_of(), strict=True):
        printer.hear(event, line)
    raw = out.buffer
    assert isinstance(raw, io.BytesIO)
    return [json.loads(line) for line in raw.getvalue().splitlines()]


def printed() -> str:
    out, progress = io.StringIO(), io.StringIO()
    printer = TextPrinter(out, progress, session_id="s")
    for event, line in zip(EVENTS, lines_of(), strict=True):
        printer.hear(event, line)
    return out.getvalue() + progress.getvalue()


def told(language: str = "en", *, opened: bool = False) -> tuple[Story, dict[str, str]]:
    """Return the screen's story, and what is seen of each entry."""
    story = Story()
    story.replay(EVENTS)
    given = Look(words({}, language), 100, opened=opened)
    return story, {entry.key: look(entry, given).plain for entry in story.entries}


def test_the_recording_has_every_kind_of_event_and_the_screen_a_place_for_each() -> None:
    assert {type(event) for event in EVENTS} == kinds(Event), "a new kind of event needs a place in this recording"
    assert set(ON_SCREEN) == kinds(Event), "a new kind of event needs a place on the screen"
    story = Story()
    for event in EVENTS:
        seen = {type(entry) for entry in story.apply(event).changed}
        place = ON_SCREEN[type(event)]
        assert not seen if isinstance(place, str) else place in seen, event


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("opened", [False, True])
def test_every_entry_looks_like_something(language: str, opened: bool) -> None:
    story, seen = told(language, opened=opened)
    assert {type(entry) for entry in story.entries} == kinds(Entry)
    assert all(text.strip() for text in seen.values())


def test_the_program_that_listens_gets_every_event_whole() -> None:
    lines = streamed(deltas=True)
    valid(lines)
    assert [line["type"] for line in lines] == [event.type for event in EVENTS]
    assert [line["type"] for line in streamed(deltas=False)] == [event.type for event in EVENTS if event.settled]
    for line, event in zip(lines, EVENTS, strict=True):
        assert {field.name for field in fields(event)} <= line.keys()


def test_each_call_ends_alike_in_all_three() -> None:
    story, seen = told()
    text = printed()
    for line in streamed(deltas=False):
        if line["type"] != "tool.finished":
            continue
        called = story.call(line["call_id"])
        assert called is not None
        assert (called.tool, called.state, called.status) == (line["tool"], "over", line["status"])
        assert called.exit_code == line["exit_code"]
        screen = seen[called.key]
        for place in (screen, text):
            assert line["tool"] in place
            assert line["subject"] in place
        if line["status"] != "done":
            assert line["reply"].rstrip(".") in screen
            assert line["reply"].rstrip(".") in text


def test_each_action_has_its_files_and_is_undone_in_all_three() -> None:
    story, seen = told()
    text, lines = printed(), streamed(deltas=False)
    [recorded] = [line for line in lines if line["type"] == "action.recorded"]
    [undone] = [line for line in lines if line["type"] == "actions.undone"]
    called = next(one for one in story.entries if isinstance(one, Called) and one.action == recorded["action"])
    assert [file.path for file in called.files] == [file["path"] for file in recorded["files"]]
    assert undone["undoes"] == [recorded["action"]]
    assert called.undone
    assert "undone" in seen[called.key]
    assert "↶ undo 1" in text
    assert "+1 −1" in seen[called.key]
    assert "edit calc.py +1 -1" in text


def test_verdicts_and_ends_are_the_same_in_all_three() -> None:
    story, seen = told()
    screen, text, lines = "\n".join(seen.values()), printed(), streamed(deltas=False)
    for fact in ("the server was busy", "a trailing comma was taken out", "the key was refused", "make check", "it was full"):
        assert fact in screen
        assert fact in text
        assert any(fact in json.dumps(line) for line in lines)
    for fact in ("the disk is nearly full", "the server is gone", "mend calc.py", "I look first.", "not today", "undo 1"):
        assert fact in screen
        assert fact in text
    assert [line["status"] for line in lines if line["type"] == "turn.finished"] == [
        entry.event.status for entry in story.entries if isinstance(entry, Over)
    ]
    assert [(line["command"], line["exit_code"]) for line in lines if line["type"] == "verified"] == [
        (entry.event.command, entry.event.exit_code) for entry in story.entries if isinstance(entry, Checked)
    ]
    assert (story.title, story.mode, story.model) == ("the mending", "auto", "two")
