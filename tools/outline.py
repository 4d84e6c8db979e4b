"""Owns the tool that tells the shape of a file or a folder."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import ClassVar

from pydantic import Field

from agent.blocks import TextBlock
from agent.code.grammars import WORDS, language
from agent.code.names import meant, near
from agent.code.parsing import Parsing, Text
from agent.code.shape import SMALL, Definition, Shape
from agent.effects import Effect
from agent.errors import ToolFailure
from agent.tool import Arguments, Context, Result, Tool
from agent.workspace.contract import Located

_MOST = 12_000  # characters that are told
_FILES = 150  # of a folder that are parsed
_LESS = ((13, True), (3, True), (13, False), (2, True), (2, False), (1, True), (1, False))  # levels, and whether small ones too


class OutlineArguments(Arguments):
    """Which file or folder."""

    path: str = Field(".", description="File or folder; default the current folder.")
    symbol: str = Field("", max_length=200, description="Of a file only this class or function and what stands in it.")
    depth: int = Field(0, ge=0, le=12, description="Levels within one another; default as many as fit.")


class Outline(Tool[OutlineArguments]):
    """Tell the shape of a file: classes, functions and their like, nested, each as first-last line and how it begins.
    Of a folder: what each file defines. Cheaper than read for finding the lines that matter."""

    arguments = OutlineArguments
    effect: ClassVar[Effect] = Effect.READ

    def subject(self, arguments: OutlineArguments) -> str:
        """Return the path."""
        return arguments.path

    def paths(self, arguments: OutlineArguments) -> tuple[str, ...]:
        """Return the path."""
        return (arguments.path,)

    async def run(self, arguments: OutlineArguments, context: Context) -> Result:
        """Outline it. Raises ToolFailure."""
        located = context.locate(arguments.path)
        if located.real.is_dir():
            return await self._folder(arguments, located, context)
        file = await asyncio.to_thread(context.workspace.read, located)
        text = file.text.replace("\r\n", "\n")
        async with Parsing() as parsing:
            shape = await parsing.shape(Text(located.real.name, text.encode("utf-8", "replace")), ())
        if shape.refused:
            raise ToolFailure(f"{located.shown}: {shape.refused}. Use search and read.")
        definitions = _below(arguments.symbol, shape.definitions, located) if arguments.symbol else shape.definitions
        lines = _folded(definitions, arguments.depth or 13, _MOST)
        count = text.removesuffix("\n").count("\n") + 1
        notes = [f"{count} lines", *(["it has syntax faults: there may be more"] if shape.broken else [])]
        if not shape.definitions:
            notes.append("nothing is defined in it")
        elif len(lines) < len(definitions):
            notes.append(f"{len(lines)} of {len(definitions)} definitions told; read with symbol= shows one whole")
        return Result("\n".join([*lines, f"[{'; '.join(notes)}]"]), (TextBlock(f"{located.shown}: {len(lines)} definitions"),))

    async def _folder(self, arguments: OutlineArguments, folder: Located, context: Context) -> Result:
        found = await asyncio.to_thread(context.workspace.find, "*", folder, context.view)
        names = sorted(filter(language, found.paths))
        names.sort(key=lambda path: (language(path) in WORDS, path.count("/")))
        shapes: list[tuple[str, Shape]] = []
        async with Parsing() as parsing:
            for name in names[:_FILES]:
                try:
                    file = await asyncio.to_thread(context.workspace.read, context.workspace.locate(name))
                except ToolFailure:
                    continue
                shapes.append((name, await parsing.shape(Text(name, file.text.encode("utf-8", "replace")), ())))
        lines = _files(shapes, arguments.depth)
        if not names:
            lines.append(f"No file in {arguments.path} is in a language that is parsed here; find lists what there is.")
        if len(names) > _FILES:
            lines.append(f"[{_FILES} of {len(names)} files told; give a folder below]")
        if found.partial:
            lines.append("[some folders could not be read: there may be more]")
        return Result("\n".join(lines), (TextBlock(f"{arguments.path}: {len(shapes)} file{'' if len(shapes) == 1 else 's'}"),))


def _below(symbol: str, definitions: Sequence[Definition], located: Located) -> tuple[Definition, ...]:
    """Return the definitions that a name means, each with what stands in it. Raises ToolFailure."""
    tops = [one for _, one in meant(symbol, definitions)]
    if not tops:
        like = near(symbol, (one.name for one in definitions))
        hint = f"called nearly so: {', '.join(like)}" if like else "outline without symbol tells what it defines"
        raise ToolFailure(f"{located.shown} does not define {symbol}; {hint}.")
    return tuple(
        replace(one, depth=one.depth - top.depth)
        for top in tops
        for one in definitions
        if one is top or (top.first <= one.first and one.last <= top.last and one.depth > top.depth)
    )


def _files(shapes: Sequence[tuple[str, Shape]], depth: int) -> list[str]:
    """Return each file with what it defines, less of it the more files there are; what some do not need the others have."""
    short = 600 * len(shapes) > _MOST
    whole = {name: _folded(shape.definitions, depth or 2, sys.maxsize, short=short) for name, shape in shapes}
    rooms: dict[str, int] = {}
    left = _MOST
    for name, needed in sorted(((name, len(name) + 20 + _size(lines)) for name, lines in whole.items()), key=itemgetter(1)):
        rooms[name] = min(needed, left // (len(whole) - len(rooms)))
        left -= rooms[name]
    lines: list[str] = []
    for name, shape in sorted(shapes):
        head = name.replace("\n", "\\n")
        if shape.refused:
            lines.append(f"{head} ({shape.refused})")
            continue
        inside = _folded(shape.definitions, depth or 2, rooms[name] - len(name) - 20, short=short)
        more = len(shape.definitions) - len(inside)
        lines.append(f"{head}{f' ({more} more)' if more else ''}")
        lines += [f"  {line}" for line in inside]
    return lines


def _folded(definitions: Sequence[Definition], depth: int, room: int, *, short: bool = False) -> list[str]:
    """Return a line for each definition, the outer and the greater ones where there is no room for all."""
    for deepest, small in _LESS:
        some = [one for one in definitions if one.depth < min(depth, deepest) and (small or one.kind not in SMALL)]
        lines = [_line(one, short) for one in some]
        if _size(lines) <= room:
            return lines
    told: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        told.append(line)
    return told


def _size(lines: Sequence[str]) -> int:
    return sum(len(line) + 3 for line in lines)  # each stands two deep, and ends


def _line(one: Definition, short: bool) -> str:
    span = f"{one.first}-{one.last}" if one.last > one.first else str(one.first)
    return f"{'  ' * one.depth}{span} {f'{one.kind} {one.name}' if short else one.signature or one.name}"
