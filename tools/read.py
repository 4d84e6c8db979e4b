"""Owns the tool that reads files."""

from typing import ClassVar

from pydantic import Field

from agent.blocks import TextBlock
from agent.code.names import meant, near
from agent.code.parsing import Text, shapes
from agent.code.shape import Definition
from agent.effects import Effect
from agent.errors import ToolFailure
from agent.tool import Arguments, Context, Result, Tool
from agent.workspace.contract import FileText

_LONGEST = 2000  # characters of a line that are told
_MOST = 60_000  # characters that are told


class ReadArguments(Arguments):
    """Which file, and which of its lines."""

    path: str
    offset: int = Field(1, ge=0, description="First line; default 1.")
    limit: int = Field(1000, ge=1, description="Most lines; default 1000.")
    symbol: str = Field("", max_length=200, description="Instead of offset: the function, class or Class.method told whole.")


class Read(Tool[ReadArguments]):
    """Read a text file: number, tab, line; then the total, with the offset to go on where there is more. Or look at a picture."""

    arguments = ReadArguments
    effect: ClassVar[Effect] = Effect.READ

    def subject(self, arguments: ReadArguments) -> str:
        """Return the path."""
        return arguments.path

    def paths(self, arguments: ReadArguments) -> tuple[str, ...]:
        """Return the path."""
        return (arguments.path,)

    async def run(self, arguments: ReadArguments, context: Context) -> Result:
        """Read. Raises ToolFailure."""
        file = await context.workspace.look(context.locate(arguments.path), pictures=context.pictures)
        if not isinstance(file, FileText):
            if file.image is None:
                raise ToolFailure(
                    f"{arguments.path} is a {file.words}, and this model cannot be shown pictures. Work from what names, code "
                    "and programs in the shell tell of it, or say that a model that sees is needed."
                )
            return Result(f"{file.words}; shown to you{file.remarks}", (TextBlock(file.words),), images=(file.image,))
        lines = file.text.replace("\r\n", "\n").removesuffix("\n").split("\n") if file.text else []
        first, limit, others, end = max(arguments.offset, 1), arguments.limit, "", 0
        if arguments.symbol:
            one, others = await _defined(arguments.symbol, file)
            first, limit, end = one.first, min(limit, one.last - one.first + 1), one.last
        if first > max(len(lines), 1):
            raise ToolFailure(f"{file.path.shown} has {len(lines)} lines only; offset {first} is beyond its end.")
        told: list[str] = []
        left = _MOST
        for number, line in enumerate(lines[first - 1 : first - 1 + limit], first):
            shown = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}… [{len(line) - _LONGEST} more characters]"
            left -= len(shown)
            if told and left < 0:
                break
            told.append(f"{number}\t{shown}")
        last = first + len(told) - 1
        seen = context.seen(file, first, last)
        notes = _notes(file, first, last, len(lines), end or len(lines)) + others
        return Result("\n".join([*told, f"[{notes}]"]), (TextBlock(notes.split(";", 1)[0]),), seen=(seen,))


async def _defined(symbol: str, file: FileText) -> tuple[Definition, str]:
    """Return the definition that a name means, and words for the others that it could mean. Raises ToolFailure."""
    text = file.text.replace("\r\n", "\n").encode("utf-8", "replace")
    [shape] = await shapes([Text(file.path.real.name, text)], ())
    if shape.refused:
        raise ToolFailure(f"{file.path.shown}: {shape.refused}. Read it by offset; search finds the line.")
    found = [one for _, one in meant(symbol, shape.definitions)]
    if not found:
        like = near(symbol, (one.name for one in shape.definitions))
        hint = f"called nearly so: {', '.join(like)}" if like else "outline tells what it defines, symbols where the name is"
        raise ToolFailure(f"{file.path.shown} does not define {symbol}; {hint}.")
    found.sort(key=lambda one: (one.kind == "declaration", one.first))
    others = ", ".join(f"{one.first}-{one.last}" for one in found[1:])
    return found[0], f"; others called so in lines {others}" if others else ""


def _notes(file: FileText, first: int, last: int, total: int, end: int) -> str:
    """Say what of a file was told; `end` is the last line of what was asked for."""
    if not total:
        return "empty file"
    notes = [f"lines {first}-{last} of {total}"]
    if last < end:
        notes.append(f"go on with offset={last + 1}")
    if file.newline != "\n":
        notes.append(f"line ends {file.newline.encode('unicode_escape').decode()}, kept by edit and write")
    if file.encoding == "latin-1":
        notes.append("no UTF-8: shown byte by byte, kept by edit; for another encoding convert it with iconv first")
    elif file.encoding != "utf-8" or file.bom:
        notes.append(f"{file.encoding}{' with byte order mark' if file.bom else ''}, kept by edit and write")
    if not file.text.endswith(("\n", "\r")):
        notes.append("no newline at the end")
    return "; ".join(notes)
