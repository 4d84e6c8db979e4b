"""The checklist, and questions to the person."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.blocks import PlanBlock, PlanItem
from agent.errors import ToolFailure
from agent.tool import Context
from agent.workspace.local import LocalWorkspace
from tools.ask import Ask, AskArguments
from tools.plan import Plan, PlanArguments


class Person:
    """Answers, and remembers what was asked."""

    def __init__(self, folder: Path, answer: str) -> None:
        self._answer = answer
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.context = Context(
            LocalWorkspace(folder, folder, spill=folder / "spill", environment=os.environ), lambda text: None, self.hear
        )

    async def hear(self, question: str, options: tuple[str, ...]) -> str:
        self.asked.append((question, options))
        return self._answer


async def test_a_plan_is_shown_whole_and_told_short(tmp_path: Path) -> None:
    items = [{"text": "read", "state": "done"}, {"text": "write", "state": "doing"}, {"text": "check"}]
    result = await Plan().run(PlanArguments.model_validate({"items": items}), Person(tmp_path, "").context)
    assert result.blocks == (PlanBlock((PlanItem("read", "done"), PlanItem("write", "doing"), PlanItem("check"))),)
    assert result.text == "1 of 3 done. Now: write"


async def test_a_plan_without_a_current_item_names_the_next(tmp_path: Path) -> None:
    context = Person(tmp_path, "").context
    result = await Plan().run(
        PlanArguments.model_validate({"items": [{"text": "a", "state": "dropped"}, {"text": "b"}]}), context
    )
    assert result.text == "1 of 2 done. Next: b"
    assert (await Plan().run(PlanArguments(items=[]), context)).text == "0 of 0 done."


@pytest.mark.parametrize("items", [[{"text": ""}], [{"text": "x", "state": "finished"}], [{"state": "done"}], "x"])
def test_a_plan_that_is_none_is_refused(items: object) -> None:
    with pytest.raises(ValidationError):
        PlanArguments.model_validate({"items": items})


async def test_a_question_brings_back_the_words_of_the_person(tmp_path: Path) -> None:
    person = Person(tmp_path, "the second")
    result = await Ask().run(AskArguments(question="Which?", options=["a", "b"]), person.context)
    assert result.text == "the second"
    assert person.asked == [("Which?", ("a", "b"))]
    assert Ask.needs_person


async def test_no_words_are_told_as_such_and_no_question_is_a_failure(tmp_path: Path) -> None:
    person = Person(tmp_path, "")
    assert (await Ask().run(AskArguments(question="Which?"), person.context)).text == "(They gave no answer.)"
    with pytest.raises(ToolFailure):
        await Ask().run(AskArguments(question=" "), person.context)
