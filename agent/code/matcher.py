"""Owns the program that finds in a text what a pattern of code matches, and what comes in its place: it runs for another one."""

import json
import re
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ast_grep_py import Pattern, SgNode

_MEMORY = 1 << 30
_NAMES = {"c_sharp": "csharp"}  # where the parsers call a language otherwise
# Where a part of code alone is read as something else, or not at all: what it is read within.
_WITHIN = {"c": "void f() { %s; }", "cpp": "void f() { %s; }", "go": "package p\nfunc f() { %s }", "css": "a { %s }"}
_VARIABLE = re.compile(r"\$\$?\$?([A-Z_][A-Z0-9_]*)")
_NAMELESS = re.compile(r"(?<!\$)(\$\$\$|\$)(?:_[A-Z0-9_]*|(?<=\$\$\$))(?![\w$])")  # a variable that is not kept
_DOLLARS = frozenset({"bash", "php"})  # what would be one is a name of the code's own in them
_LAST_OF_SEVERAL = re.compile(r"\s*,\s*\$\$\$\w+(?=\s*(?:[)\]}>]|$))")
_LAST_WORDS = re.compile(r"\s+\$\$\$\w+\s*$")
_MOST_FORMS = 8  # of one pattern
_LOOSE = re.compile(r"[\s,;()]+")  # what may stand in a match and not in its pattern, or the other way round
_FAULT = re.compile(r"^ *\d+: (.*)$", re.MULTILINE)
_LAST_COMMA, _FIRST_COMMA = re.compile(r",\s*\Z"), re.compile(r"\s*,\s*")
_REST = re.compile(r"[ \t]*(?:\r?\n|\Z)")
_INDENT = re.compile(r"[ \t]*")
_BREAK = re.compile(r"\r?\n(?=(.?))")  # and whether a line with something in it follows


def main() -> None:
    """Answer each question on stdin with a line on stdout until there is no more.

    A question is a line of JSON (language, length, seconds that may be computed, pattern, what comes in its place or null, the
    text's line end) and the text itself. The answer is the fault of the pattern, whether it is whole code by itself, and start,
    end and replacement of each match that is in no other, counted in characters; then where others begin that match in part
    only, and where those do in which a comment would be lost.
    """
    from ast_grep_py import SgRoot

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    while line := sys.stdin.buffer.readline():
        language, length, seconds, pattern, template, newline = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # it ends us, whatever a parser is about, and counts what we compute alone
        text = sys.stdin.buffer.read(length).decode("utf-8")
        spoken = _NAMES.get(language, language)
        told: list[Any] = ["", True, [], [], []]
        try:
            named = pattern if language in _DOLLARS else _named(pattern)
            alike = [_matcher(one, spoken) for one in _forms(named, language)]
            for node in _apart(SgRoot(text, spoken).root().find_all(any=[{"pattern": one} for one in alike])):
                start, end = node.range().start.index, node.range().end.index
                whole, bare = _is_whole(named, node, text)
                if not (whole or bare) or (not whole and template is not None):
                    told[4 if bare else 3].append(start)
                    continue
                if text[start:end].endswith(";") and not pattern.rstrip().endswith(";"):
                    end -= 1  # a mark that some grammars count as part of it, and the pattern does not name
                new = None if template is None else _filled(template, node, text, newline)
                if new == "":
                    start, end = _lines(text, start, end)
                told[2].append((start, end, new))
            told[1] = any(told[2:]) or not isinstance(alike[0], str) or not _is_broken(pattern, spoken)
        except RuntimeError as error:
            faults = _FAULT.findall(str(error).partition("Stack backtrace")[0])
            told = [faults[-1] if faults else "it is no pattern", False, [], [], []]
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def _matcher(pattern: str, language: str) -> "str | Pattern":
    """Return a pattern as the parser takes it: where it is read rightly only within other code, with this around it."""
    around = _WITHIN.get(language)
    bare = pattern.strip()
    kind = _kind(bare, around, language) if around and not re.fullmatch(r"[\w$]*", bare) else ""
    return {"context": around % bare, "selector": kind, "strictness": "smart"} if around and kind else pattern


def _named(pattern: str) -> str:
    """Return a pattern with a name of its own for each variable that is not kept, so that what it caught can be told."""
    numbers = count(1)
    return _NAMELESS.sub(lambda found: f"{found[1]}JUMAR{next(numbers)}", pattern)


def _forms(pattern: str, language: str) -> list[str]:
    """Return a pattern, and as it is where the last of several variables catch nothing: parsers want the comma before them."""
    forms = [pattern]
    for form in forms:
        for found in (_LAST_WORDS if language == "bash" else _LAST_OF_SEVERAL).finditer(form):
            if (less := form[: found.start()] + form[found.end() :]) not in forms and len(forms) < _MOST_FORMS:
                forms.append(less)
    return forms


def _is_whole(pattern: str, match: "SgNode", text: str) -> tuple[bool, bool]:
    """Say whether a match is all that its pattern says and no more, and whether it is so but for comments.

    Parsers take what begins as the pattern does for a match, too: with `else`, with `async`, with more names.
    """
    start, end = match.range().start.index, match.range().end.index
    parts: list[str] = []
    kept: list[tuple[int, int]] = []
    at = 0
    for found in _VARIABLE.finditer(pattern):
        nodes = _caught(match, found)
        if nodes is None:
            continue
        parts.append(pattern[at : found.start()])
        at = found.end()
        if nodes:
            kept.append((nodes[0].range().start.index, nodes[-1].range().end.index))
            parts.append(text[kept[-1][0] : kept[-1][1]])
    wanted = _LOOSE.sub("", "".join([*parts, pattern[at:]]))
    if _LOOSE.sub("", text[start:end]) == wanted:
        return True, True
    made, at = "", start
    for first, last in sorted(_comments(match)):
        if first >= at and not any(begin <= first and last <= close for begin, close in kept):
            made, at = made + text[at:first], last
    return False, _LOOSE.sub("", made + text[at:end]) == wanted


def _comments(match: "SgNode") -> Iterator[tuple[int, int]]:
    """Yield where comments stand."""
    waiting = [match]
    while waiting:
        node = waiting.pop()
        if node.kind().endswith("comment"):
            yield node.range().start.index, node.range().end.index
        else:
            waiting += node.children()


def _kind(pattern: str, around: str, language: str) -> str:
    """Return what a pattern is, read within other code; nothing where it is no one thing there."""
    from ast_grep_py import SgRoot

    begin = around.index("%s")
    end = begin + len(pattern)
    node = SgRoot(around % _plain(pattern), language).root()
    while (node.range().start.index, node.range().end.index) != (begin, end):
        inner = [one for one in node.children() if one.range().start.index <= begin and one.range().end.index >= end]
        if not inner:
            return ""
        node = inner[0]
    if node.find(kind="ERROR") is not None:
        return ""
    while len(node.children()) == 1:
        node = node.children()[0]
    return node.kind()


def _plain(pattern: str) -> str:
    """Return a pattern with names, as long as they were, in place of its variables."""
    return _VARIABLE.sub(lambda found: "z" * (len(found[0]) - len(found[1])) + found[1], pattern)


def _is_broken(pattern: str, language: str) -> bool:
    """Whether a pattern, by itself, is no code of its language."""
    from ast_grep_py import SgRoot

    return SgRoot(_plain(pattern), language).root().find(kind="ERROR") is not None


def _apart(nodes: "Sequence[SgNode]") -> "Iterator[SgNode]":
    """Yield those that stand in no other."""
    last = -1
    for node in sorted(nodes, key=lambda one: (one.range().start.index, -one.range().end.index)):
        if node.range().start.index >= last:
            last = node.range().end.index
            yield node


def _lines(text: str, start: int, end: int) -> tuple[int, int]:
    """Return where whole lines begin and end that hold nothing else, so that none is left empty; else what was given."""
    first = text.rfind("\n", 0, start) + 1
    rest = _REST.match(text, end)
    return (start, end) if rest is None or text[first:start].strip(" \t") else (first, rest.end())


def _filled(template: str, match: "SgNode", text: str, newline: str) -> str:
    """Return what comes in place of a match: the template with what its variables caught, at the indentation of the match."""
    base = _indent(text, match.range().start.index)
    template = _BREAK.sub(lambda found: newline + (base if found[1] else ""), template)
    made = ""
    at = 0
    for found in _VARIABLE.finditer(template):
        nodes = _caught(match, found)
        if found.start() < at or nodes is None:
            continue
        made += template[at : found.start()]
        at = found.end()
        followed = _FIRST_COMMA.match(template, at)
        if nodes and (whole := _spread(nodes, text, made, template[at : at + 1])):
            made += whole
        elif nodes:
            value = _moved(nodes, text, (_INDENT.match(made.rpartition("\n")[2]) or found)[0] if "\n" in made else base)
            made += _LAST_COMMA.sub("", value) if followed and found[0].startswith("$$$") else value
        elif _LAST_COMMA.search(made):  # of nothing among others no comma is left
            made = _LAST_COMMA.sub("", made)
        elif followed:
            at = followed.end()
        elif at == len(template):
            made = made.rstrip(" \t")
    return made + template[at:]


def _caught(match: "SgNode", found: re.Match[str]) -> "list[SgNode] | None":
    """Return what a variable of the pattern caught; None where it has none of that name."""
    if found[0].startswith("$$$"):
        return match.get_multiple_matches(found[1])
    node = match.get_match(found[1])
    return None if node is None else [node]


def _spread(nodes: "list[SgNode]", text: str, before: str, after: str) -> str:
    """Return what was caught as it stands on lines of its own, where it comes between the same marks again; else nothing."""
    start, end = nodes[0].range().start.index, nodes[-1].range().end.index
    first, last = start, end
    while text[first - 1 : first].isspace():
        first -= 1
    while text[last : last + 1].isspace():
        last += 1
    same = before[-1:] == text[first - 1 : first] and after == text[last : last + 1]
    return text[first:last] if same and after and "\n" not in before and "\n" in text[first:start] else ""


def _moved(nodes: "list[SgNode]", text: str, indent: str) -> str:
    """Return the text of what was caught with its lines at another indentation, but for those inside of strings."""
    start, end = nodes[0].range().start.index, nodes[-1].range().end.index
    own = _indent(text, start)
    if own == indent or "\n" not in text[start:end]:
        return text[start:end]
    kept = list(_strings(nodes))
    made = ""
    at = start
    for found in re.finditer(r"\n", text[start:end]):
        begin = start + found.end()
        if begin < end and text.startswith(own, begin) and not any(first < begin <= last for first, last in kept):
            made += text[at:begin] + indent
            at = begin + len(own)
    return made + text[at:end]


def _strings(nodes: "list[SgNode]") -> Iterator[tuple[int, int]]:
    """Yield where strings stand: the white space in them is theirs."""
    waiting = [*nodes]
    while waiting:
        node = waiting.pop()
        if "\n" not in node.text():
            continue
        if re.search("string|heredoc", node.kind()):
            yield node.range().start.index, node.range().end.index
        else:
            waiting += node.children()


def _indent(text: str, place: int) -> str:
    """Return the white space that the line of a place begins with."""
    found = _INDENT.match(text, text.rfind("\n", 0, place) + 1)
    return found[0] if found else ""
