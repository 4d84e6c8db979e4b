"""Owns the tool that reads skills: how kinds of work are done, as the person and the project wrote it down."""

from collections.abc import Callable
from typing import ClassVar

from pydantic import Field

from agent.blocks import TextBlock
from agent.effects import Effect
from agent.errors import ToolFailure
from agent.tool import Arguments, Context, Result, Tool

Reading = Callable[[str, str], str]  # of a skill by its name, and of a file of its where one is named; raises ToolFailure


def _nothing(name: str, file: str) -> str:
    raise ToolFailure(f"There is no skill {name!r}; there is none at all.")


class SkillArguments(Arguments):
    """Which skill, and which of its files."""

    name: str = Field(min_length=1, max_length=64)
    file: str = Field(
        "", max_length=400, description="A file of the skill's, by its path in its folder; without one, what it says."
    )


class Skill(Tool[SkillArguments]):
    """Read a skill: how a kind of work is done here, and which files it has for that. Read it before you do such work."""

    arguments = SkillArguments
    effect: ClassVar[Effect] = Effect.READ

    def __init__(self, read: Reading = _nothing) -> None:
        self._read = read

    def subject(self, arguments: SkillArguments) -> str:
        """Return the name, and the file of one."""
        return f"{arguments.name}/{arguments.file}" if arguments.file else arguments.name

    async def run(self, arguments: SkillArguments, context: Context) -> Result:
        """Read it. Raises ToolFailure."""
        text = self._read(arguments.name, arguments.file)
        return Result(text, (TextBlock(f"{text.count(chr(10)) + 1} lines"),))
