"""Owns the tool that finds code by its structure, and rewrites it in many files at once."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from agent.blocks import Block, DiffBlock, TextBlock
from agent.code.diff import diff
from agent.code.patterns import HOW, Matched, Matches, Pattern, Scope, candidates, language_of, matches
from agent.code.syntax import state
from agent.effects import Change, Effect
from agent.errors import ToolFailure
from agent.tool import Arguments, Context, Result, Tool
from agent.workspace.contract import Located, Place

_MOST_FILES = 200  # that one call changes
_MOST_CHECKED = 24  # whose syntax is looked at
_TOGETHER = 4
_MOST_LINES = 60  # of the differences that are told
_MOST_NAMED = 20  # files
_LONGEST = 200  # characters of a line
_NAME = re.compile(r"[A-Za-z_]\w*")
_HEAD = re.compile(r"@@ -(\d+)\S* \+(\d+)")
Language = Literal[
    "",
    "bash",
    "c",
    "c_sharp",
    "cpp",
    "css",
    "go",
    "html",
    "java",
    "javascript",
    "kotlin",
    "lua",
    "php",
    "python",
    "ruby",
    "rust",
    "swift",
    "tsx",
    "typescript",
    "yaml",
]


class RewriteArguments(Arguments):
    """What to look for, what to put in its place, and where."""

    pattern: str = Field(min_length=1, max_length=4000, description="Code, such as old($A, $$$REST).")
    rewrite: str | None = Field(None, max_length=4000, description="What comes in its place; without it matches are only listed.")
    path: str = Field(".", description="File or folder; default the current folder.")
    glob: str = Field("", description="Only files that match, such as src/**/*.ts.")
    language: Language = Field("", description="Needed only where files of several could match.")
    limit: int = Field(100, ge=1, le=1000, description="Most matches listed; default 100.")


class Rewrite(Tool[RewriteArguments]):
    """Find code by its structure in all files of a language, and replace it everywhere at once, as one change. The pattern is
    code: $NAME stands for any one part, $$$NAME for any number, the same name twice for the same code; white space does not
    matter. The same names stand in rewrite. For what one edit does, use edit."""

    arguments = RewriteArguments
    effect: ClassVar[Effect] = Effect.WRITE
    editable: ClassVar[str] = "rewrite"
    selective: ClassVar[bool] = True

    def effect_of(self, arguments: RewriteArguments) -> Effect:
        """Only listing matches changes nothing."""
        return Effect.READ if arguments.rewrite is None else Effect.WRITE

    def subject(self, arguments: RewriteArguments) -> str:
        """Return the path, and what becomes what where something does."""
        if arguments.rewrite is None:
            return arguments.path
        return " ".join(f"{arguments.pattern} → {arguments.rewrite or 'nothing'} in {arguments.path}".split())

    def paths(self, arguments: RewriteArguments) -> tuple[str, ...]:
        """Return the path, where it is only read; what is changed must be looked for."""
        return (arguments.path,) if arguments.rewrite is None else ()

    async def reached(self, arguments: RewriteArguments, context: Context) -> tuple[str, ...]:
        """Return the files that have matches, where they are to be rewritten. Raises ToolFailure."""
        if arguments.rewrite is None:
            return ()
        where = context.locate(arguments.path)
        if where.place not in {Place.INSIDE, Place.PROTECTED}:
            raise ToolFailure(f"rewrite changes files of the workspace only, and {where.shown} is not in it.")
        _, found = await _look(arguments, context)
        changed = [one for one in found.files if one.text != one.file.text]
        if not changed:
            raise ToolFailure(f"Nothing was changed: with {_count(found.total, 'match', 'es')} all would stay as it is.")
        if len(changed) > _MOST_FILES:
            raise ToolFailure(
                f"Nothing was changed: {len(changed)} files would be, and at most {_MOST_FILES} are at once; "
                "take folder after folder, with path or glob."
            )
        return tuple(one.file.path.shown for one in changed)

    async def preview(self, arguments: RewriteArguments, context: Context) -> tuple[Block, ...]:
        """Show the differences. Raises ToolFailure."""
        prepared, _ = await _prepared(arguments, context)
        return tuple(block for _, _, block in prepared)

    async def run(self, arguments: RewriteArguments, context: Context) -> Result:
        """List the matches, or rewrite them. Raises ToolFailure."""
        if arguments.rewrite is None:
            _, found = await _look(arguments, context)
            return _listed(found, arguments.limit)
        prepared, notes = await _prepared(arguments, context)
        result = await _rewritten(prepared, (*notes, *await _elsewhere(arguments, context)), context)
        return replace(result, text=result.text + await _standing(arguments, context))


Prepared = tuple[Matched, str, DiffBlock]


async def _look(arguments: RewriteArguments, context: Context) -> tuple[Pattern, Matches]:
    """Look for the pattern in all files that it is asked of. Raises ToolFailure where it is nowhere."""
    scope = Scope(context.locate(arguments.path), arguments.glob, context.view)
    language, paths = await candidates(context.workspace, scope, arguments.pattern, arguments.language)
    pattern = Pattern(arguments.pattern, language, arguments.rewrite)
    pattern.check()
    found = await matches(context.workspace, pattern, {path: context.workspace.locate(path) for path in paths})
    if not found.files:
        notes = "".join(f"\n[{note}]" for note in found.notes)
        how = f"The pattern by itself is no whole code of {language}: complete it. {HOW}" if found.broken else HOW
        raise ToolFailure(f"No match in {_count(found.looked, 'file')} of {language} that could have one. {how}{notes}")
    if found.late and arguments.rewrite is not None:
        raise ToolFailure(f"Nothing was changed: {found.late}.")
    return pattern, found


async def _prepared(arguments: RewriteArguments, context: Context) -> tuple[list[Prepared], tuple[str, ...]]:
    """Return what each file that was located for the call becomes, and what may be missing. Raises ToolFailure."""
    paths: Mapping[str, Located] = context.located
    language = arguments.language or language_of(paths, arguments.path)
    found = await matches(context.workspace, Pattern(arguments.pattern, language, arguments.rewrite), paths)
    prepared: list[Prepared] = []
    for one in found.files:
        shown = one.file.path.shown
        if context.workspace.seen(one.file.path) not in {None, one.file.digest}:
            raise ToolFailure(f"{shown} has changed since it was read, nothing was written anywhere; read it again.")
        prepared.append((one, one.text, diff(shown, one.file.text, one.text)))
    if not prepared:
        raise ToolFailure("Nothing was written: the files have changed meanwhile, and nothing matches any more.")
    return prepared, found.notes


async def _elsewhere(arguments: RewriteArguments, context: Context) -> tuple[str, ...]:
    """Return what is to be said of the files that could hold matches and were not located for the call."""
    scope = Scope(context.locate(arguments.path), arguments.glob, context.view)
    try:
        language = arguments.language or language_of(context.located, arguments.path)
        _, paths = await candidates(context.workspace, scope, arguments.pattern, language)
        others = {path: context.workspace.locate(path) for path in paths if path not in context.located}
        return (await matches(context.workspace, Pattern(arguments.pattern, language, arguments.rewrite), others)).notes
    except ToolFailure:
        return ()


async def _rewritten(prepared: list[Prepared], notes: tuple[str, ...], context: Context) -> Result:
    """Write the files. Raises ToolFailure where none could be."""
    if context.approved and context.approved != tuple(block for _, _, block in prepared):
        raise ToolFailure("Nothing was written: files have changed since the person allowed that; send it again.")
    prepared = [(one, context.chosen(block, one.file.text, text), block) for one, text, block in prepared]
    if context.hunks is not None:
        prepared = [(one, text, diff(block.path, one.file.text, text)) for one, text, block in prepared if text != one.file.text]
    written: list[Prepared] = []
    changes: list[Change] = []
    left: list[str] = []
    for one, text, block in prepared:
        try:
            file = context.workspace.write(one.file.path, text, one.file)
        except ToolFailure as failure:  # each file is whole, the old or the new: the others need not wait for it
            left.append(str(failure).removeprefix("Nothing was written: ").replace(", nothing was written", ""))
            continue
        written.append((one, text, block))
        changes.append(Change(block.path, "modified", one.file.digest, file.digest, block.added, block.removed))
    if not written:
        raise ToolFailure("\n".join(["Nothing was written anywhere:", *left]))
    return Result(await _told(written, left, notes), tuple(block for _, _, block in written), tuple(changes))


async def _standing(arguments: RewriteArguments, context: Context) -> str:
    """Return a note on where a name that got another one still stands: texts are no code, and are not rewritten."""
    name = arguments.pattern.strip()
    if not _NAME.fullmatch(name) or re.search(rf"\b{name}\b", arguments.rewrite or ""):
        return ""
    where = [context.locate(arguments.path)]
    try:
        found = await context.workspace.search(
            rf"\b{name}\b", paths=where, glob="", context=0, ignore_case=False, limit=0, view=context.view
        )
    except ToolFailure:
        return ""
    if not found.total:
        return ""
    lines, files = _count(found.total, "line"), _count(len(found.counts), "file")
    return f"\n[{name} still stands in {lines} of {files}, as in comments, strings, texts or types; search shows them]"


async def _told(written: list[Prepared], left: list[str], notes: tuple[str, ...]) -> str:
    total = sum(len(one.spans) for one, _, _ in written)
    states = await _faults(written[:_MOST_CHECKED])
    lines = [f"Rewrote {_count(total, 'match', 'es')} in {_count(len(written), 'file')}, as one change."]
    lines += [f"NOT WRITTEN: {why}" for why in left]
    lines += [f"[{note}]" for note in notes]
    if len(written) > _MOST_CHECKED:
        lines.append(f"[syntax looked at in {_MOST_CHECKED} of the files]")
    lines.append("No new syntax fault was found." if not states else f"New faults in {_count(len(states), 'file')}.")
    named = sorted(written, key=lambda one: one[2].path not in states)  # those with faults before the others
    room, untold, unnamed = _MOST_LINES, 0, 0
    for number, (one, _, block) in enumerate(named):
        changed = list(_changed(block.diff))
        told, room = changed[:room], max(0, room - len(changed))
        untold += len(changed) - len(told)
        if not told and number >= max(_MOST_NAMED, len(states)):
            unnamed += 1
            continue
        fault = states.get(block.path)
        words = f"{block.path}: {_count(len(one.spans), 'match', 'es')}, +{block.added} -{block.removed}"
        lines += [f"{words}; {fault}" if fault else words, *told]
    if unnamed:
        lines.append(f"[and {_count(unnamed, 'file')} more]")
    if untold:
        lines.append(f"[{untold} more lines of differences; git diff, or read, shows them]")
    return "\n".join(lines)


def _changed(diff: str) -> Iterator[str]:
    """Yield the lines that went and came, numbered: what is around them the pattern tells."""
    old = new = 0
    for line in diff.split("\n"):
        if head := _HEAD.match(line):
            old, new = int(head[1]), int(head[2])
        elif line.startswith(("-", "+")):
            text = line[1:].removesuffix("\r") if len(line) <= _LONGEST else f"{line[1:_LONGEST]}…"
            yield f"{line[0]}{old if line[0] == '-' else new}\t{text}"
        old += line[:1] in {"-", " "}
        new += line[:1] in {"+", " "}


async def _faults(written: list[Prepared]) -> dict[str, str]:
    """Return what is wrong with the files now and was not before."""
    turns = asyncio.Semaphore(_TOGETHER)

    async def one(matched: Matched, text: str, block: DiffBlock) -> tuple[str, str]:
        async with turns:
            return block.path, await state(block.path, text, matched.file.text)

    told = await asyncio.gather(*(one(*each) for each in written))
    return {path: words for path, words in told if "SYNTAX FAULT" in words}


def _listed(found: Matches, limit: int) -> Result:
    """Return the places of matches with their first lines."""
    lines: list[str] = []
    for one in found.files:
        text = one.file.text
        for start, end, _ in one.spans[: limit - len(lines)]:
            first, last = text.count("\n", 0, start) + 1, text.count("\n", 0, end) + 1
            span = f"{first}-{last}" if last > first else str(first)
            line = text[text.rfind("\n", 0, start) + 1 :].partition("\n")[0].strip()
            lines.append(f"{one.file.path.shown}:{span}: {line[:_LONGEST]}".replace("\n", "\\n"))
    totals = f"{_count(found.total, 'match', 'es')} in {_count(len(found.files), 'file')}"
    lines.append(f"[{totals}; {len(lines)} told, raise limit]" if found.total > len(lines) else f"[{totals}]")
    lines += [f"[{note}]" for note in found.notes]
    return Result("\n".join(lines), (TextBlock(totals),))


def _count(number: int, word: str, more: str = "s") -> str:
    return f"{number} {word}{'' if number == 1 else more}"
