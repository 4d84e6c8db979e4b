"""Owns the tool that changes parts of files."""

from itertools import groupby
from typing import ClassVar

from pydantic import Field

from agent.blocks import Block, DiffBlock
from agent.code.diff import diff
from agent.code.replacement import Replacement, replaced
from agent.code.syntax import state
from agent.effects import Change, Effect
from agent.errors import ToolFailure
from agent.tool import Arguments, Context, Result, Tool
from agent.workspace.contract import FileText

_MOST = 60  # lines of the diff that are told
_MOST_ADDED = 8  # lines that came, one after the other
_LONGEST = 200  # characters of each


class OneEdit(Arguments):
    """One replacement."""

    old: str
    new: str
    all: bool = False


class EditArguments(Arguments):
    """Which file, and what becomes what."""

    path: str
    edits: list[OneEdit] = Field([], description="Made one after the other, all or none.")
    old: str = Field("", description="In place of edits, for a single one.")
    new: str = ""
    all: bool = False


class Edit(Tool[EditArguments]):
    """Replace exact text in a file: each old must occur exactly once, white space included, unless all is set. Copy old from
    the output of read, without line numbers, and only as long as it must be to be unique. Returns the changed lines and
    whether the syntax is valid; after that the file need not be read again for the next edit."""

    arguments = EditArguments
    effect: ClassVar[Effect] = Effect.WRITE
    editable: ClassVar[str] = "new"
    selective: ClassVar[bool] = True

    def subject(self, arguments: EditArguments) -> str:
        """Return the path."""
        return arguments.path

    def paths(self, arguments: EditArguments) -> tuple[str, ...]:
        """Return the path."""
        return (arguments.path,)

    async def preview(self, arguments: EditArguments, context: Context) -> tuple[Block, ...]:
        """Show the difference. Raises ToolFailure."""
        before, text = _prepared(arguments, context)
        return (diff(before.path.shown, before.text, text),)

    async def run(self, arguments: EditArguments, context: Context) -> Result:
        """Edit. Raises ToolFailure."""
        before, text = _prepared(arguments, context)
        shown = before.path.shown
        block = diff(shown, before.text, text)
        text = context.chosen(block, before.text, text)
        if context.hunks is not None:
            block = diff(shown, before.text, text)
        file = context.workspace.write(before.path, text, before)
        change = Change(shown, "modified", before.digest, file.digest, block.added, block.removed)
        known = [f"Edited {shown}, +{block.added} -{block.removed}", await state(shown, text, before.text)]
        return Result(f"{'; '.join(part for part in known if part)}.\n{_mini(block)}", (block,), (change,))


def _prepared(arguments: EditArguments, context: Context) -> tuple[FileText, str]:
    """Return what stands there, and what will. Raises ToolFailure."""
    wanted = [Replacement(one.old, one.new, one.all) for one in arguments.edits]
    if arguments.old or arguments.new:
        wanted.append(Replacement(arguments.old, arguments.new, arguments.all))
    if not wanted:
        raise ToolFailure("Nothing to do: give edits, or old and new.")
    before = context.workspace.read(context.locate(arguments.path))
    if context.workspace.seen(before.path) not in {None, before.digest}:
        raise ToolFailure(f"{before.path.shown} has changed since it was read, nothing was written; read it again.")
    text = replaced(before.text, tuple(wanted), before.newline, before.path.shown)
    if text == before.text:
        raise ToolFailure(f"Nothing was written to {before.path.shown}: with these edits it would stay as it is.")
    return before, text


def _mini(block: DiffBlock) -> str:
    """Return the diff for the model, without the bulk of what it has just written itself."""
    lines: list[str] = []
    for added, run in groupby(block.diff.split("\n"), lambda line: line.startswith("+")):
        some = [line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in run]
        if added and len(some) > _MOST_ADDED:
            some[2:-1] = [f"[+{len(some) - 3} lines]"]
        lines += some
    if len(lines) > _MOST:
        lines[_MOST:] = [f"[{len(lines) - _MOST} more lines of the diff]"]
    return "\n".join(lines)
