"""Owns the tool that searches files by regular expression."""

from heapq import nsmallest
from typing import ClassVar, Literal

from pydantic import Field

from agent.blocks import TextBlock
from agent.effects import Effect
from agent.tool import Arguments, Context, Result, Tool
from agent.workspace.contract import Found, Match


class SearchArguments(Arguments):
    """What to look for, and where."""

    pattern: str = Field(description="Regular expression, matched line by line.")
    path: str = Field(".", description="File or folder; default the current folder.")
    glob: str = Field("", description="Only files that match, such as *.py or src/**/*.{js,ts}.")
    context: int = Field(0, ge=0, le=20, description="Lines to show before and after each match.")
    ignore_case: bool = False
    mode: Literal["lines", "files", "count"] = Field("lines", description="Return lines (default), paths, or lines per path.")
    limit: int = Field(100, ge=1, le=1000, description="Most results; default 100.")


class Search(Tool[SearchArguments]):
    """Search the contents of files by regular expression, fast, without what .gitignore names.
    Returns path:line:text (path-line-text for context), and the true totals where that is not all."""

    arguments = SearchArguments
    effect: ClassVar[Effect] = Effect.READ

    def subject(self, arguments: SearchArguments) -> str:
        """Return the path."""
        return arguments.path

    def title(self, arguments: SearchArguments) -> str:
        """Return the pattern, and where it is looked for unless that is everywhere."""
        return arguments.pattern if arguments.path == "." else f"{arguments.pattern} in {arguments.path}"

    def paths(self, arguments: SearchArguments) -> tuple[str, ...]:
        """Return the path."""
        return (arguments.path,)

    async def run(self, arguments: SearchArguments, context: Context) -> Result:
        """Search. Raises ToolFailure."""
        found = await context.workspace.search(
            arguments.pattern,
            paths=(context.locate(arguments.path),),
            glob=arguments.glob,
            context=arguments.context,
            ignore_case=arguments.ignore_case,
            limit=arguments.limit if arguments.mode == "lines" else 0,
            view=context.view,
        )
        totals = f"{found.total} {_plural(found.total, 'line')} in {len(found.counts)} {_plural(len(found.counts), 'file')}"
        lines, left_out = _lines(found, arguments)
        if not found.total:
            where = f" of {arguments.glob!r}" if arguments.glob else ""
            lines.append(f"No line matches in {arguments.path}{where}.")
        lines += [f"[{_path(path)} is too large to show its lines here; search it in the shell]" for path in found.large]
        if left_out:
            lines.append(f"[{left_out}; {totals} match; narrow pattern, path or glob, or raise limit]")
        if found.partial:
            lines.append("[some files could not be read, or the time was up: more may match]")
        return Result("\n".join(lines), (TextBlock(f"{arguments.pattern}: {totals}"),))


def _lines(found: Found, arguments: SearchArguments) -> tuple[list[str], str]:
    """Return the results, and words for what was left out of them."""
    if arguments.mode == "lines":
        told = sum(not match.context for match in found.matches)
        return _grouped(
            found.matches, arguments.context > 0
        ), f"{told} {_plural(told, 'line')} told" if told < found.total else ""
    some = nsmallest(arguments.limit, found.counts)
    lines = [_path(path) if arguments.mode == "files" else f"{_path(path)}:{found.counts[path]}" for path in some]
    return lines, f"{len(some)} {_plural(len(some), 'file')} told" if len(some) < len(found.counts) else ""


def _grouped(matches: tuple[Match, ...], apart: bool) -> list[str]:
    """Return the lines, with a mark between those that are not neighbours where `apart`."""
    lines: list[str] = []
    before: Match | None = None
    for match in matches:
        if apart and before is not None and (before.path, before.line + 1) != (match.path, match.line):
            lines.append("--")
        mark = "-" if match.context else ":"
        lines.append(f"{_path(match.path)}{mark}{match.line}{mark}{match.text}")
        before = match
    return lines


def _path(path: str) -> str:
    return path.replace("\n", "\\n")


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
