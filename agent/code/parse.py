"""Owns parsing texts for faults. It runs as a program of its own, for a hostile text can crash a parser or fill the memory."""

import ast
import json
import re
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from agent.code.grammars import checked, spoken

if TYPE_CHECKING:
    from tree_sitter import Node

_LARGEST = 1 << 20
_MEMORY = 1 << 30
_SECONDS = 2
_HEAD = re.compile(r" on line (\d+)$")
_MOST_COMPILED = 300_000  # characters
_NEAR = 60
_MOST = 200  # faults that are told apart
_OPTIONAL = "_implicit_end_tag"  # of a paragraph at the end of a page: it need not be written
_TYPE = re.compile(rb"""\btype\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
# What lies beyond ASCII is part of a word to bash, and nothing else; the parser's own scanner reads out of bounds by it.
_LETTERS = bytes(byte if byte < 0x80 else ord(".") for byte in range(256))
_SCRIPTS = {
    **dict.fromkeys((b"", b"module", b"text/javascript", b"application/javascript"), "javascript"),
    **dict.fromkeys((b"application/json", b"application/ld+json", b"importmap"), "json"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is not well-formed: its line, what it is, and the text of the line, by which it is known where lines have moved."""

    line: int
    words: str
    near: str


def faults(name: str, text: str) -> list[Fault] | None:
    """Return where a text is not well-formed, in order and not more than are worth it; None where that cannot be told."""
    language = checked(name)
    if not language or len(text) > _LARGEST:
        return None
    raw = text.encode("utf-8", "replace")
    root = _parsed(language, raw)
    found = list(islice(_wrong(root, raw, 0, ""), _MOST))
    if found and language == "c" and name.lower().endswith(".h"):  # it may well be C++
        found = min(found, list(islice(_wrong(_parsed("cpp", raw), raw, 0, ""), _MOST)), key=len)
    if language == "python" and not found and len(text) <= _MOST_COMPILED:
        found += _indentation(text)
    if language == "html":
        for inner, node in _embedded(root):
            part = raw[node.start_byte : node.end_byte]
            found += _wrong(_parsed(inner, part), part, node.start_point[0], f" ({inner})")
    return found[:_MOST]


def added(name: str, text: str, before: str) -> tuple[list[Fault], int] | None:
    """Return the faults of a text that were not there before, and how many of its others were; None where that cannot be told."""
    found = faults(name, text)
    if not found:
        return None if found is None else ([], 0)
    known = Counter((fault.words, fault.near) for fault in faults(name, before) or [])
    new = []
    for fault in found:
        if known[fault.words, fault.near]:
            known[fault.words, fault.near] -= 1
        else:
            new.append(fault)
    return new, len(found) - len(new)


def _parsed(language: str, raw: bytes) -> "Node":
    from tree_sitter import Parser

    if language == "bash":
        raw = raw.translate(_LETTERS)
    return Parser(spoken(language)).parse(raw).root_node


def _indentation(text: str) -> Iterator[Fault]:
    """Yield where a block of Python is missing or stands wrongly: the grammar takes a head without a body as it is.

    Of what Python itself finds this alone is the same whichever version the project is written for.
    """
    try:
        ast.parse(text)
    except IndentationError as error:
        head = _HEAD.search(error.msg)  # of which the body is missing: it is better known than what stands in its place
        line = int(head[1]) if head else error.lineno or 1
        near = text.splitlines()[line - 1 : line]
        yield Fault(line, _HEAD.sub("", error.msg), "".join(near).strip()[:_NEAR])
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return


def _embedded(root: "Node") -> Iterator[tuple[str, "Node"]]:
    """Yield the scripts and styles of a page, with their languages."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in {"script_element", "style_element"}:
            text = next((child for child in node.children if child.type == "raw_text"), None)
            kind = _TYPE.search(node.children[0].text or b"")
            inner = "css" if node.type == "style_element" else _SCRIPTS.get(kind[1].lower() if kind else b"")
            if text is not None and inner:
                yield inner, text
        else:
            waiting += reversed(node.children)


def _wrong(root: "Node", raw: bytes, above: int, where: str) -> Iterator[Fault]:
    """Yield what is wrong or missing, `above` lines further down, with what stands there; what lies in a fault is part of it."""
    lines = raw.split(b"\n")
    waiting = [root] if root.has_error else []
    while waiting:
        node = waiting.pop()
        row = node.start_point[0]
        near = lines[row].decode("utf-8", "replace").strip()[:_NEAR] if row < len(lines) else ""
        if node.is_missing and node.type != _OPTIONAL:
            yield Fault(above + row + 1, f"{node.type!r} is missing{where}", near)
        elif node.is_error:
            yield Fault(above + row + 1, f"near {near!r}{where}", near)
        else:
            waiting += reversed([child for child in node.children if child.has_error or child.is_missing])


def main() -> None:
    """Answer on stdout what stdin asks: the name of a file, its text, and the one before."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    name, text, before = json.load(sys.stdin)
    found = added(name, text, before)
    json.dump(None if found is None else [[[fault.line, fault.words] for fault in found[0]], found[1]], sys.stdout)
