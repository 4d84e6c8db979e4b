"""Every way in which a call can end, and be taken back, is told in its own words, live and from the log."""

from typing import get_args

import pytest

from agent.events import ActionFile, ActionRecorded, ActionsUndone, CallStatus, Event, ModelAnswered, ToolFinished, TurnStarted
from agent.messages import Answer, Call, Usage
from tui.look import Look, look
from tui.story import Called, Story
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
