"""Owns the tool that finds files by name."""

import asyncio
from typing import ClassVar

from pydantic import Field

from agent.blocks import TextBlock
from agent.effects import Effect
from agent.tool import Arguments, Context, Result, Tool

_MOST = 200


class FindArguments(Arguments):
    """Which files, and where."""

    glob: str = Field(description="Such as *.py (at any depth), src/**/*.ts, or test_*.")
    path: str = Field(".", description="Folder to look in; default the current one.")


class Find(Tool[FindArguments]):
    """Find files by glob, the newest change first, without what .gitignore names."""

    arguments = FindArguments
    effect: ClassVar[Effect] = Effect.READ

    def subject(self, arguments: FindArguments) -> str:
        """Return the folder."""
        return arguments.path

    def title(self, arguments: FindArguments) -> str:
        """Return the glob, and where it is looked for unless that is everywhere."""
        return arguments.glob if arguments.path == "." else f"{arguments.glob} in {arguments.path}"

    def paths(self, arguments: FindArguments) -> tuple[str, ...]:
        """Return the folder."""
        return (arguments.path,)

    async def run(self, arguments: FindArguments, context: Context) -> Result:
        """Find. Raises ToolFailure."""
        folder = context.locate(arguments.path)
        found = await asyncio.to_thread(context.workspace.find, arguments.glob, folder, context.view, _MOST)
        lines = [path.replace("\n", "\\n") for path in found.paths]
        if not found.total:
            lines.append(f"No file in {arguments.path} matches {arguments.glob}.")
        if found.total > _MOST:
            lines.append(f"[the newest {_MOST} of {found.total} files; narrow glob or path]")
        if found.partial:
            lines.append("[some folders could not be read, or the time was up: there may be more]")
        return Result("\n".join(lines), (TextBlock(f"{arguments.glob}: {found.total} file{'' if found.total == 1 else 's'}"),))
