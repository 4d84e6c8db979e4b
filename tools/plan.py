"""Owns the tool that keeps the model's checklist."""

from typing import ClassVar, Literal

from pydantic import Field

from agent.blocks import PlanBlock, PlanItem
from agent.effects import Effect
from agent.tool import Arguments, Context, Result, Tool


class PlanLine(Arguments):
    """One line of the checklist."""

    text: str = Field(min_length=1)
    state: Literal["open", "doing", "done", "dropped"] = "open"


class PlanArguments(Arguments):
    """The checklist, whole."""

    items: list[PlanLine] = Field(description="The whole checklist, each time.")


class Plan(Tool[PlanArguments]):
    """Show the person your checklist for work of several steps: one item doing at a time. Send updates beside other calls,
    never as a step of their own; an item may be sent as done together with the call that checks it. Not for small tasks."""

    arguments = PlanArguments
    effect: ClassVar[Effect] = Effect.READ

    def subject(self, arguments: PlanArguments) -> str:
        """A plan has no subject for rules."""
        return ""

    async def run(self, arguments: PlanArguments, context: Context) -> Result:
        """Show it."""
        items = tuple(PlanItem(line.text, line.state) for line in arguments.items)
        left = [item for item in items if item.state in {"open", "doing"}]
        words = f"{len(items) - len(left)} of {len(items)} done."
        if left:
            current = next((item for item in left if item.state == "doing"), left[0])
            words += f" {'Now' if current.state == 'doing' else 'Next'}: {current.text}"
        return Result(words, (PlanBlock(items),))
