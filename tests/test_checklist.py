"""The plan is made by two: what the person changed in it stays visible, and can be taken back."""

from collections.abc import Sequence
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from agent.blocks import PlanBlock, PlanItem
from agent.checklist import Checklist, carried_out, compared, objected, told
from agent.events.call import ToolFinished
from agent.events.news import Informed
from agent.events.step import ModelAnswered
from agent.messages import Answer, Call, Prompt, Usage
from tests.histories import fold

State = Literal["open", "doing", "done", "dropped"]
STATES: tuple[State, ...] = ("open", "doing", "done", "dropped")
ITEMS = st.builds(PlanItem, st.sampled_from("abcde"), st.sampled_from(STATES))
PLANS = st.lists(ITEMS, max_size=7, unique_by=lambda item: item.text).map(lambda items: PlanBlock(tuple(items)))


def plan(*texts: str) -> PlanBlock:
    """Return a plan of steps that are written with their marks: -struck, *doing, +done."""
    states: dict[str, State] = {"-": "dropped", "*": "doing", "+": "done"}
    return PlanBlock(tuple(PlanItem(text.lstrip("-*+"), states.get(text[0], "open")) for text in texts))


def sent(block: PlanBlock, step: int = 1) -> tuple[ModelAnswered, ToolFinished]:
    answer = Answer("", (Call("1", "plan", "{}"),))
    return (
        ModelAnswered(step=step, answer=answer, usage=Usage(), model="m", seconds=0),
        ToolFinished(call_id="1", tool="plan", status="done", reply="ok", blocks=(block,)),
    )


def edited(block: PlanBlock, step: int = 2) -> Informed:
    return Informed(kind="plan", title="x", told="changed", step=step, plan=block)


def marks(checklist: Checklist) -> list[tuple[str, str]]:
    return [(step.text, step.mark) for step in checklist.steps]


def after(*events: ModelAnswered | ToolFinished | Informed) -> Checklist:
    checklist = Checklist()
    for event in events:
        checklist.apply(event)
    return checklist


def test_what_the_person_changed_is_told_step_by_step() -> None:
    before = plan("a", "b", "c")
    cases: Sequence[tuple[PlanBlock, str]] = (
        (plan("a", "x", "b", "c"), "added a step: “x” (it is step 2 now)"),
        (plan("a", "-b", "c"), "struck a step: “b”. Do not do it."),
        (plan("a", "c"), "took a step out: “b”. Do not do it."),
        (plan("a", "bee", "c"), "reworded a step: “b” is now “bee”"),
        (plan("b", "a", "c"), "moved a step: “b” is step 1 now"),
    )
    for changed, words in cases:
        assert told(compared(before, changed)) == f"The person changed your plan: {words}"
    assert compared(before, before) == ()


@given(PLANS, PLANS)
def test_changes_carried_out_give_the_plan_they_were_made_of(before: PlanBlock, wanted: PlanBlock) -> None:
    now = before
    for change in compared(before, wanted):
        now = carried_out(now, change) or now
    assert [item.text for item in now.items] == [item.text for item in wanted.items]
    dropped = [item.state == "dropped" for item in wanted.items]
    if {item.text for item in before.items} == {item.text for item in wanted.items}:
        assert [item.state == "dropped" for item in now.items] == dropped


@given(PLANS, PLANS)
def test_an_edit_that_is_taken_back_leaves_what_was_before(before: PlanBlock, wanted: PlanBlock) -> None:
    checklist = after(*sent(before), edited(wanted))
    back = checklist.taken_back()
    assert back == (before if compared(before, wanted) else None)
    if back is not None:
        checklist.apply(edited(back))
        assert checklist.taken_back() is None


def test_an_edit_is_taken_back_though_the_model_went_on() -> None:
    checklist = after(*sent(plan("a", "b", "c")), edited(plan("a", "-b", "c")), *sent(plan("+a", "-b", "*c"), 3))
    assert checklist.taken_back() == plan("+a", "b", "*c")


def test_a_struck_step_that_comes_back_is_marked_and_objected_to_once() -> None:
    events = (*sent(plan("a", "b")), edited(plan("a", "-b")), *sent(plan("a", "b"), 2))
    checklist = after(*events)
    assert marks(checklist) == [("a", ""), ("b", "back")]
    assert "“b” is in it again" in objected(checklist.objections)
    assert after(*events, *sent(plan("+a", "b"), 3)).objections == ()


def test_an_answer_that_was_under_way_is_not_objected_to() -> None:
    checklist = after(*sent(plan("a", "b")), edited(plan("a", "-b"), 3), *sent(plan("a", "b"), 2))
    assert marks(checklist) == [("a", ""), ("b", "back")]
    assert checklist.objections == ()
    checklist = after(*sent(plan("a", "b")), edited(plan("a", "-b"), 3), *sent(plan("a", "b"), 2), *sent(plan("a", "b"), 3))
    assert [step.text for step in checklist.objections] == ["b"]


def test_a_step_of_the_persons_stays_where_the_models_plan_lacks_it() -> None:
    checklist = after(*sent(plan("a", "b")), edited(plan("a", "mine", "b")), *sent(plan("+a", "*b"), 2))
    assert marks(checklist) == [("a", ""), ("mine", "missing"), ("b", "")]
    assert after(*sent(plan("a")), edited(plan("a", "mine")), *sent(plan("a", "mine"), 2)).steps[1].mark == "added"
    assert marks(after(*sent(plan("a", "b")), edited(plan("A", "b")), *sent(plan("A", "b"), 2)))[0] == ("A", "reworded")


def test_the_plan_of_another_task_owes_nothing_to_the_last() -> None:
    checklist = after(*sent(plan("a", "b")), edited(plan("a", "b", "mine")), *sent(plan("x", "y"), 2))
    assert marks(checklist) == [("x", ""), ("y", "")]
    assert checklist.taken_back() is None


def test_the_model_learns_of_several_edits_at_once_and_the_plan_whole_once() -> None:
    history = fold([*sent(plan("a", "b")), edited(plan("a", "-b")), edited(plan("a", "-b", "c"))])
    history.deliver()
    last = history.messages[-1]
    assert isinstance(last, Prompt)
    assert last.text.count("changed") == 2
    assert last.text.count("whole:") == 1
    assert "- [dropped] b\n- [open] c" in last.text
    assert [item.text for item in history.deeds.plan] == ["a", "b", "c"]
