"""Owns the tool that writes whole files."""

import os
from typing import ClassVar

from agent.blocks import Block
from agent.code.diff import diff
from agent.code.syntax import state
from agent.effects import Change, Effect
from agent.errors import ToolFailure
from agent.tool import Arguments, Context, Result, Tool
from agent.workspace.contract import FileText
from agent.workspace.text import with_line_ends


class WriteArguments(Arguments):
    """Which file, and all that will stand in it."""

    path: str
    content: str


class Write(Tool[WriteArguments]):
    """Write a whole file; folders above it are made. For a new file, or one to be replaced that you read or wrote before: a part
    of a file is changed with edit."""

    arguments = WriteArguments
    effect: ClassVar[Effect] = Effect.WRITE
    editable: ClassVar[str] = "content"
    selective: ClassVar[bool] = True

    def subject(self, arguments: WriteArguments) -> str:
        """Return the path."""
        return arguments.path

    def paths(self, arguments: WriteArguments) -> tuple[str, ...]:
        """Return the path."""
        return (arguments.path,)

    async def preview(self, arguments: WriteArguments, context: Context) -> tuple[Block, ...]:
        """Show the difference. Raises ToolFailure."""
        before, text = _prepared(arguments, context)
        shown = context.locate(arguments.path).shown
        return (diff(shown, None if before is None else before.text, text),)

    async def run(self, arguments: WriteArguments, context: Context) -> Result:
        """Write. Raises ToolFailure."""
        before, text = _prepared(arguments, context)
        shown = context.locate(arguments.path).shown
        old = None if before is None else before.text
        block = diff(shown, old, text)
        text = context.chosen(block, old or "", text)
        if context.hunks is not None:
            block = diff(shown, old, text)
        count = f"{len(text.splitlines())} line{'' if len(text.splitlines()) == 1 else 's'}"
        if before is not None and text == before.text:
            return Result(f"Unchanged {shown}: that is what stands there already, {count}.")
        file = context.workspace.write(context.locate(arguments.path), text, before)
        change = Change(shown, block.change, before.digest if before else None, file.digest, block.added, block.removed)
        known = [count, await state(shown, text, old)] if text else ["empty"]
        words = "Created" if before is None else "Replaced"
        return Result(f"{words} {shown}: {', '.join(part for part in known if part)}.", (block,), (change,))


def _prepared(arguments: WriteArguments, context: Context) -> tuple[FileText | None, str]:
    """Return what stands there, and what will, with the line ends of what stands there. Raises ToolFailure."""
    located, workspace = context.locate(arguments.path), context.workspace
    if not os.path.lexists(located.real):
        return None, arguments.content
    before = workspace.read(located)
    if workspace.seen(located) is None:
        raise ToolFailure(f"{located.shown} is there already and was not read; read it first, then edit or replace it.")
    if workspace.seen(located) != before.digest:
        raise ToolFailure(f"{located.shown} has changed since it was read, nothing was written; read it again.")
    return before, with_line_ends(arguments.content, before.newline)
