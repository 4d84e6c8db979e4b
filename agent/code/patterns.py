"""Owns finding what a pattern of code matches in files, by parsing them in a program of its own, and what they would become."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.code.grammars import language
from agent.code.program import Gone, Program
from agent.code.shape import refusal
from agent.errors import ToolFailure
from agent.workspace.contract import FileText, Located, View, Workspace

UNFIT = frozenset({"json", "toml", "markdown"})  # a variable can stand nowhere in them, or no parser for patterns is there
_SECONDS = 2.0  # for one file
_ALL_SECONDS = 40.0
_MOST_FILES = 5000  # that are looked into
_MOST_SPANS = 20_000  # matches of one call
_VARIABLE = re.compile(r"\$\$\$[A-Z_][A-Z0-9_]*|\$\$?[A-Z_][A-Z0-9_]*")
_WORD = re.compile(r"\w\w+")
_DOLLARS = frozenset({"bash", "php"})  # names may begin with $ in them
HOW = "It is code with $NAME for one part of it, and $$$NAME for any number, such as old($A, $$$REST)."
_TELLING = 4  # files that are named where something is said of several
_MOST_BESIDE = 1000  # places of a file that are told beside its matches


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is looked for, in which language, and what comes in its place; None where it is only looked for."""

    code: str
    language: str
    rewrite: str | None = None

    def check(self) -> None:
        """Raise ToolFailure where what comes in its place names what the pattern does not catch."""
        caught = {name.lstrip("$"): name.startswith("$$$") for name in _VARIABLE.findall(self.code)}
        for name in _VARIABLE.findall(self.rewrite or ""):
            bare, several = name.lstrip("$"), name.startswith("$$$")
            if bare not in caught and self.language in _DOLLARS and not several:
                continue  # a variable of the code's own
            if bare not in caught:
                raise ToolFailure(f"Nothing was changed: rewrite has {name}, and pattern has not.")
            if bare.startswith("_"):
                raise ToolFailure(
                    f"Nothing was changed: {name} matches and is not kept, for it begins with _; call it otherwise."
                )
            if several != caught[bare]:
                raise ToolFailure(f"Nothing was changed: write {bare} in rewrite with as many $ as in pattern.")


@dataclass(frozen=True, slots=True)
class Matched:
    """A file with its matches: where each begins and ends, and what comes in its place."""

    file: FileText
    spans: tuple[tuple[int, int, str], ...]

    @property
    def text(self) -> str:
        """What the file becomes. What is beside the matches stays to the byte."""
        parts: list[str] = []
        at = 0
        for start, end, new in self.spans:
            parts += [self.file.text[at:start], new]
            at = end
        return "".join([*parts, self.file.text[at:]])


@dataclass(frozen=True, slots=True)
class Matches:
    """What was found. `late` and `unread` say what was not looked into, `beside` which places were left as they are; `broken`:
    the pattern is no code by itself."""

    files: tuple[Matched, ...]
    looked: int
    late: str = ""
    unread: str = ""
    beside: tuple[str, ...] = ()
    broken: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What may be missing."""
        return tuple(filter(None, (self.late, self.unread, *self.beside)))

    @property
    def total(self) -> int:
        """How many matches there are."""
        return sum(len(one.spans) for one in self.files)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where is looked: below a folder or in a file, in files of a glob, in what a call may show."""

    where: Located
    glob: str
    view: View


async def candidates(workspace: Workspace, scope: Scope, code: str, wanted: str) -> tuple[str, list[str]]:
    """Return the language, and the files of it that could hold a match; the language may be left to be seen from the files.

    Raises ToolFailure where it cannot be, or where no file of it is there.
    """
    words = _WORD.findall(_VARIABLE.sub(" ", code))
    longest = max(words, key=len, default="")
    if longest:
        found = await workspace.search(
            rf"\b{longest}\b",
            paths=(scope.where,),
            glob=scope.glob,
            context=0,
            ignore_case=False,
            limit=0,
            view=scope.view,
        )
        paths = list(found.counts)
    else:
        paths = await _all(workspace, scope)
    of = f" that match {scope.glob}" if scope.glob else ""
    if longest and not wanted and not any(map(language, paths)):
        raise ToolFailure(f"No match: no file of code in {scope.where.shown}{of} has the word {longest!r}.")
    wanted = wanted or language_of(paths, scope.where.shown)
    fitting = sorted(path for path in paths if spoken(path, wanted))
    if fitting:
        return wanted, fitting
    there = [path for path in await _all(workspace, scope) if spoken(path, wanted)] if longest else []
    if not there:
        raise ToolFailure(f"There is no file of {wanted} in {scope.where.shown}{of}; find names what there is.")
    raise ToolFailure(
        f"No match: none of the {_count(len(there), 'file')} of {wanted} in {scope.where.shown}{of} has the word {longest!r}."
    )


async def _all(workspace: Workspace, scope: Scope) -> list[str]:
    if scope.where.real.is_file():
        return [scope.where.shown]
    found = await asyncio.to_thread(workspace.find, scope.glob or "*", scope.where, scope.view)
    return list(found.paths)


def language_of(paths: Iterable[str], where: str) -> str:
    """Return the one language of files. Raises ToolFailure where there is none, or more than one."""
    families = Counter(_FAMILY.get(one, one) for path in paths if (one := language(path)) and one not in UNFIT)
    if len(families) == 1:
        return next(iter(families))
    if not families:
        raise ToolFailure(f"No match: no file in {where} is of a language in which patterns are found; find names what there is.")
    told = ", ".join(f"{name} ({count})" for name, count in families.most_common())
    raise ToolFailure(f"Say which language: files of several could match: {told}.")


_FAMILY = {"tsx": "typescript"}


def spoken(path: str, wanted: str) -> str:
    """Return the language that a file is parsed as, where the wanted one is a name for it; else nothing."""
    own = language(path)
    if wanted == "cpp" and path.lower().endswith(".h"):
        return "cpp"
    return own if wanted in {own, _FAMILY.get(own, own)} else ""


async def matches(workspace: Workspace, pattern: Pattern, paths: Mapping[str, Located]) -> Matches:
    """Look for a pattern in files. Raises ToolFailure where it is none."""
    found: list[Matched] = []
    refused: list[str] = []
    partly: list[str] = []
    remarked: list[str] = []
    looked = spans = 0
    broken = False
    late = ""
    deadline = time.monotonic() + _ALL_SECONDS
    program = Program("agent.code.matcher", _SECONDS, "ast_grep_py")
    try:
        for path, located in paths.items():
            if time.monotonic() > deadline or looked == _MOST_FILES or spans > _MOST_SPANS:
                late = f"{_count(len(paths) - looked, 'file')} not looked into, it is too much at once: narrow path or glob"
                break
            looked += 1
            try:
                file = await _read(workspace, located)
                told = await program.ask(_asked(path, pattern, file), file.text.encode("utf-8"))
                one = Matched(file, _spans(told, file.text))
            except Gone as why:
                refused.append(f"{path} ({why})")
                continue
            if told[0]:
                raise ToolFailure(f"{pattern.code!r} is no pattern of {pattern.language}: {told[0]} {HOW}")
            broken = broken or not told[1]
            spans += len(one.spans)
            partly += _places(path, file.text, told[3])
            remarked += _places(path, file.text, told[4])
            if one.spans:
                found.append(one)
    finally:
        await program.end()
    beside = (
        _some(partly, "left, which the pattern tells in part only", "to have them too, write out what else they have"),
        _some(remarked, "left, in which a comment would be lost", "change them by edit"),
    )
    return Matches(tuple(found), looked, late, _unread(refused), tuple(filter(None, beside)), broken)


def _places(path: str, text: str, starts: Sequence[int]) -> Iterator[str]:
    """Yield where in a file something begins."""
    return (f"{path}:{text.count(chr(10), 0, start) + 1}" for start in starts[:_MOST_BESIDE])


def _some(places: Sequence[str], what: str, hint: str) -> str:
    """Say what is the matter with places, naming the first; nothing where there are none."""
    if not places:
        return ""
    more = f" and {len(places) - _TELLING} more" if len(places) > _TELLING else ""
    return f"{_count(len(places), 'place')} {what}: {', '.join(places[:_TELLING])}{more}; {hint}"


async def _read(workspace: Workspace, located: Located) -> FileText:
    """Read a file that can be parsed. Raises Gone."""
    try:
        file = await asyncio.to_thread(workspace.read, located)
        raw = file.text.encode("utf-8")
    except ToolFailure:
        raise Gone("it cannot be read") from None
    except UnicodeEncodeError:
        raise Gone("it has half a character in it") from None
    if why := refusal(raw):
        raise Gone(why)
    return file


def _asked(path: str, pattern: Pattern, file: FileText) -> list[str | None]:
    template = None if pattern.rewrite is None else pattern.rewrite.replace("\r\n", "\n")
    return [spoken(path, pattern.language), pattern.code, template, file.newline]


def _spans(told: Any, text: str) -> tuple[tuple[int, int, str], ...]:
    """Return the matches, one after the other. Raises Gone where they cannot be."""
    at = 0
    for start, end, _ in told[2]:
        if not at <= start <= end <= len(text):
            raise Gone("the parser gave up on it")
        at = end
    return tuple((start, end, new or "") for start, end, new in told[2])


def _unread(refused: list[str]) -> str:
    if not refused:
        return ""
    more = f" and {len(refused) - _TELLING} more" if len(refused) > _TELLING else ""
    return f"{_count(len(refused), 'file')} not looked into: {'; '.join(refused[:_TELLING])}{more}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
