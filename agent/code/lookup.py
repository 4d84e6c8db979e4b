"""Owns finding where a name is defined and who uses it, by a search for it and a parse of the files that have it."""

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from agent.code.grammars import WORDS, language
from agent.code.names import called, is_test, lies_in, meant, near, parts, words
from agent.code.parsing import Parsing, Text
from agent.code.shape import Definition, Shape
from agent.errors import ToolFailure
from agent.workspace.contract import Located, View, Workspace

MOST_FILES = 300  # that are parsed for one answer
_SECONDS = 10.0
_LEADING = (
    "class|def|fn|func|fun|function|struct|enum|interface|trait|type|typedef|const|let|var|val|object|module|mod|macro_rules!"
    "|record|protocol|extension|namespace|package|static|impl|local|alias|union|define"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for: a name, in a file or folder, in what a call may show; of how many uses more than the line is told."""

    name: str
    where: Located
    view: View
    most: int = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """A definition that was found; `called` is its name with what it stands in."""

    path: str
    called: str
    definition: Definition


@dataclass(frozen=True, slots=True)
class Used:
    """The lines of one file that use a name, each with what it stands in; of those beyond what was asked for the number alone."""

    path: str
    lines: tuple[tuple[int, str, str], ...]  # number, the whole name of the definition around it, the line


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found. `near` holds what is called nearly so, where nothing is called so; `notes` say what may be missing."""

    definitions: tuple[Place, ...] = ()
    uses: tuple[Used, ...] = ()
    near: tuple[Place, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Read:
    """A file that was read and parsed."""

    path: str
    lines: list[str]
    shape: Shape


@dataclass(slots=True)
class _Candidates:
    paths: list[str]
    notes: list[str] = field(default_factory=list)


async def look_up(workspace: Workspace, asked: Asked) -> Answer:
    """Answer from the files themselves. Raises ToolFailure where they cannot be searched."""
    answer = await look_up_exactly(workspace, asked)
    if answer.definitions or answer.uses:
        return answer
    like, more = await _like(workspace, asked, parts(asked.name)[-1])
    return Answer((), (), like, (*answer.notes, *more))


async def look_up_exactly(workspace: Workspace, asked: Asked) -> Answer:
    """Answer from the files themselves, with nothing that is called nearly so. Raises ToolFailure."""
    wanted = parts(asked.name)[-1]
    found = await _having(workspace, asked, rf"(?:\b|^){re.escape(wanted)}(?:\b|$)", wanted)
    reads, late = await read_all(workspace, found.paths, (wanted,))
    answer = answered(asked.name, reads)
    return Answer(answer.definitions, answer.uses, (), (*answer.notes, *found.notes, *late))


def answered(name: str, reads: Sequence[Read]) -> Answer:
    """Return what parsed files say of a name."""
    *owner, wanted = parts(name)
    places = _places(name, reads)
    notes: tuple[str, ...] = ()
    if owner and not places:
        places = _places(wanted, [one for one in reads if lies_in(one.path, owner[-1])])
    if owner and not places and (places := _places(wanted, reads)):
        notes = (f"no {wanted} is known to stand in {'.'.join(owner)}; these are called {wanted}",)
    uses = [used(one.path, numbers, one.lines, one.shape.definitions) for one in reads if (numbers := one.shape.uses.get(wanted))]
    places.sort(key=lambda place: (place.definition.kind in {"declaration", "variable", "key"}, is_test(place.path), place.path))
    return Answer(tuple(places), tuple(uses), (), notes)


def _places(name: str, reads: Sequence[Read]) -> list[Place]:
    return [Place(one.path, whole, definition) for one in reads for whole, definition in meant(name, one.shape.definitions)]


def used(path: str, numbers: Sequence[int], lines: Sequence[str], definitions: Sequence[Definition]) -> Used:
    """Return the uses of a file with their lines and what they stand in."""
    told = []
    names = tuple(called(definitions))
    for number in numbers:
        within = ""
        for whole, one in names:
            if one.first <= number <= one.last and one.last > one.first:
                within = whole
        told.append((number, within, lines[number - 1].strip() if number <= len(lines) else ""))
    return Used(path, tuple(told))


async def read_all(
    workspace: Workspace, paths: Sequence[str], wanted: Sequence[str], parsing: Parsing | None = None
) -> tuple[list[Read], list[str]]:
    """Read and parse files, as many as there is time for; return notes on those that were not.

    `parsing` is one that goes on living.
    """
    reads: list[Read] = []
    unread = 0
    deadline = time.monotonic() + _SECONDS
    async with nullcontext(parsing) if parsing else Parsing() as parser:
        for number, path in enumerate(paths):
            if time.monotonic() > deadline:
                return reads, [f"the time was up: {len(paths) - number} files that have the name were not looked into"]
            try:
                file = await asyncio.to_thread(workspace.read, workspace.locate(path))
            except ToolFailure:
                unread += 1
                continue
            text = file.text.replace("\r\n", "\n")
            found = await parser.shape(Text(path, text.encode("utf-8", "replace")), wanted)
            unread += bool(found.refused)
            reads.append(Read(path, text.split("\n"), found))
    return reads, unparsed(unread)


def unparsed(count: int) -> list[str]:
    """Say of how many files that have a name nothing more can be told."""
    if count == 1:
        return ["1 file that has the name could not be parsed; search shows its lines"]
    return [f"{count} files that have the name could not be parsed; search shows their lines"] if count else []


async def _having(workspace: Workspace, asked: Asked, pattern: str, wanted: str) -> _Candidates:
    """Return the files that hold what could be the name, those first in which it seems to be defined."""
    (leading, _), (having, partial) = await asyncio.gather(
        _search(workspace, asked, rf"\b(?:{_LEADING})\b.{{0,80}}\b{re.escape(wanted)}\b"), _search(workspace, asked, pattern)
    )
    first = set(leading)
    paths = sorted((path for path in having if language(path)), key=lambda path: (path not in first, rank(path), path))
    notes = ["some files could not be searched: there may be more"] if partial else []
    if len(paths) > MOST_FILES:
        notes.append(f"{len(paths)} files have the name; {MOST_FILES} were looked into: narrow it with path")
    return _Candidates(paths[:MOST_FILES], notes)


async def _search(workspace: Workspace, asked: Asked, pattern: str, ignore_case: bool = False) -> tuple[list[str], bool]:
    found = await workspace.search(
        pattern, paths=(asked.where,), glob="", context=0, ignore_case=ignore_case, limit=0, view=asked.view
    )
    return sorted(found.counts), found.partial


async def _like(workspace: Workspace, asked: Asked, wanted: str) -> tuple[tuple[Place, ...], list[str]]:
    """Return definitions whose names have the words of the name, else those that begin or end as it does."""
    some = words(wanted)
    patterns = [r"\w*".join(re.escape(word) for word in some)] if some else []
    if len(wanted) > 3:
        alike = rf"(?:{re.escape(wanted[:3])}\w+|\w+{re.escape(wanted[-4:])})\b"
        patterns += [rf"\b(?:{_LEADING})\s+{alike}", rf"\b{alike}"]  # those that seem to define it first: there may be many
    for pattern in patterns:
        paths, _ = await _search(workspace, asked, pattern, ignore_case=True)
        chosen = sorted((path for path in paths if language(path)), key=lambda path: (rank(path), path))[: MOST_FILES // 2]
        reads, notes = await read_all(workspace, chosen, ())
        places = [Place(one.path, whole, d) for one in reads for whole, d in called(one.shape.definitions)]
        best = near(wanted, (place.definition.name for place in places))
        if best:
            order = {name: number for number, name in enumerate(best)}
            like = sorted((place for place in places if place.definition.name in order), key=lambda p: order[p.definition.name])
            return tuple(like[: len(best)]), notes
    return (), []


def rank(path: str) -> int:
    """Return how far behind the others the uses of a file are told: texts that are no program, and tests."""
    return (language(path) in WORDS) * 2 + is_test(path)
