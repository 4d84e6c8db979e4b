"""Owns the tool that tells where a name is defined and who uses it."""

from collections.abc import Awaitable, Callable
from typing import ClassVar, Literal

from pydantic import Field

from agent.blocks import TextBlock
from agent.code.lookup import Answer, Asked, Place, Used, look_up
from agent.code.names import parts
from agent.effects import Effect
from agent.errors import ToolFailure
from agent.tool import Arguments, Context, Result, Tool
from agent.workspace.contract import Workspace

_LONGEST = 200  # characters of a line
Finding = Callable[[Workspace, Asked], Awaitable[Answer]]


class SymbolsArguments(Arguments):
    """Which name, and where."""

    name: str = Field(min_length=1, max_length=200, description="Name, or Class.method; part of one finds what is called so.")
    path: str = Field(".", description="File or folder; default the current folder.")
    what: Literal["both", "definitions", "uses"] = "both"
    context: int = Field(0, ge=0, le=10, description="Lines to show before and after each use.")
    limit: int = Field(40, ge=1, le=400, description="Most uses told; default 40.")


class Symbols(Tool[SymbolsArguments]):
    """Tell where a name is defined and who uses it, by parsing: not in comments, strings or longer names.
    Definitions as path:first-last; uses as line, what it stands in, and its text. Read one whole with read and symbol=."""

    arguments = SymbolsArguments
    effect: ClassVar[Effect] = Effect.READ

    def __init__(self, find: Finding = look_up) -> None:
        self._find = find

    def subject(self, arguments: SymbolsArguments) -> str:
        """Return the path."""
        return arguments.path

    def title(self, arguments: SymbolsArguments) -> str:
        """Return the name, and where it is looked for unless that is everywhere."""
        return arguments.name if arguments.path == "." else f"{arguments.name} in {arguments.path}"

    def paths(self, arguments: SymbolsArguments) -> tuple[str, ...]:
        """Return the path."""
        return (arguments.path,)

    async def run(self, arguments: SymbolsArguments, context: Context) -> Result:
        """Look it up. Raises ToolFailure."""
        if not arguments.name.strip(" ()\t\r\n"):
            raise ToolFailure("Nothing was looked up: name is empty.")
        asked = Asked(arguments.name, context.locate(arguments.path), context.view, arguments.limit)
        answer = await self._find(context.workspace, asked)
        lines = _definitions(answer, arguments) if arguments.what != "uses" or answer.near else []
        if arguments.what != "definitions" and not answer.near:
            lines += _uses(answer.uses, arguments, context)
        lines += [f"[{note}]" for note in answer.notes]
        total = sum(len(one.lines) for one in answer.uses)
        shown = f"{arguments.name}: {len(answer.definitions)} defined, {total} used"
        return Result("\n".join(lines), (TextBlock(shown),))


def _definitions(answer: Answer, arguments: SymbolsArguments) -> list[str]:
    if answer.definitions:
        told = [_place(one) for one in answer.definitions[: arguments.limit]]
        left = len(answer.definitions) - len(told)
        return [*told, f"[{left} more definitions; narrow path]"] if left else told
    words = f"No definition of {arguments.name}" + ("" if arguments.path == "." else f" in {arguments.path}")
    if answer.near:
        return [f"{words}; called nearly so:", *map(_place, answer.near)]
    return [f"{words}." if answer.uses else f"{words}, and no use of it."]


def _place(place: Place) -> str:
    one = place.definition
    span = f"{one.first}-{one.last}" if one.last > one.first else str(one.first)
    name = f" ({place.called})" if place.called != one.name else ""
    return f"{_path(place.path)}:{span}: {one.kind}{name}: {one.signature}"


def _uses(uses: tuple[Used, ...], arguments: SymbolsArguments, context: Context) -> list[str]:
    total = sum(len(one.lines) for one in uses)
    if not total and len(parts(arguments.name)[-1]) == 1:
        return ["Uses of names of one letter are not known; search finds them."]
    if not total:
        return ["No use of it."] if arguments.what == "uses" else []
    # Parsing tells no types: whose method is called is not known.
    *owner, name = parts(arguments.name)
    which = f" of any {name}, of {'.'.join(owner)} or not," if owner else ""
    lines = [f"{total} use{'s' if total > 1 else ''}{which} in {len(uses)} file{'s' if len(uses) > 1 else ''}:"]
    left = arguments.limit
    for one in uses:
        if left <= 0:
            break
        lines.append(_path(one.path))
        around = _around(one, arguments.context, context) if arguments.context else {}
        for number, within, text in one.lines[:left]:
            lines.append(f"  {number}{f' in {within}' if within else ''}: {text[:_LONGEST]}")
            lines += around.get(number, [])
        left -= len(one.lines)
    if left < 0 or total > arguments.limit:
        lines.append(f"[{arguments.limit} of {total} uses told; narrow path, or raise limit]")
    return lines


def _around(one: Used, count: int, context: Context) -> dict[int, list[str]]:
    """Return the lines around each use, numbered."""
    text = context.workspace.read(context.workspace.locate(one.path)).text.replace("\r\n", "\n").split("\n")
    found = {}
    for number, _, _ in one.lines:
        span = range(max(1, number - count), min(len(text), number + count) + 1)
        found[number] = [f"    {at}\t{text[at - 1][:_LONGEST]}" for at in span]
    return found


def _path(path: str) -> str:
    return path.replace("\n", "\\n")
