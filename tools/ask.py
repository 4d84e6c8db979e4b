"""Owns the tool that asks the person."""

from typing import ClassVar

from pydantic import Field

from agent.blocks import TextBlock
from agent.effects import Effect
from agent.errors import ToolFailure
from agent.tool import Arguments, Context, Result, Tool


class AskArguments(Arguments):
    """What to ask, and what they may choose from."""

    question: str
    options: list[str] = Field([], description="Answers to choose from, if there are some; they may answer otherwise.")


class Ask(Tool[AskArguments]):
    """Ask the person, when the task cannot go on without a decision that only they can take. Not for permission:
    what needs that is asked for by itself."""

    arguments = AskArguments
    effect: ClassVar[Effect] = Effect.READ
    needs_person: ClassVar[bool] = True

    def subject(self, arguments: AskArguments) -> str:
        """A question has no subject for rules."""
        return ""

    async def run(self, arguments: AskArguments, context: Context) -> Result:
        """Wait for their words. Raises ToolFailure."""
        if not arguments.question.strip():
            raise ToolFailure("Nothing was asked: question is empty.")
        words = await context.ask(arguments.question, tuple(arguments.options))
        return Result(words or "(They gave no answer.)", (TextBlock(f"{arguments.question}\n→ {words}"),))
