"""Owns parsing texts for faults. It runs as a program of its own, for a hostile text can crash a parser or fill the memory."""

import json
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.code.grammars import checked, spoken

if TYPE_CHECKING:
    from tree_sitter import Node

_LARGEST = 1 << 20
_MEMORY = 1 << 30
_SECONDS = 2
_NEAR = 60
_OPTIONAL = "_implicit_end_tag"  # of a paragraph at the end of a page: it need not be written
_TYPE = re.compile(rb"""\btype\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_SCRIPTS = {
    **dict.fromkeys((b"", b"module", b"text/javascript", b"application/javascript"), "javascript"),
    **dict.fromkeys((b"application/json", b"application/ld+json", b"importmap"), "json"),
}


def fault(name: str, text: str) -> str | None:
    """Return where a text is not well-formed and what stands there, "" where it is, None where that cannot be told."""
    language = checked(name)
    if not language or len(text) > _LARGEST:
        return None
    raw = text.encode("utf-8", "replace")
    root = _parsed(language, raw)
    if wrong := _first(root):
        return _place(wrong, raw, 0)
    for inner, node in _embedded(root) if language == "html" else ():
        part = raw[node.start_byte : node.end_byte]
        if wrong := _first(_parsed(inner, part)):
            return f"{_place(wrong, part, node.start_point[0])} ({inner})"
    return ""


def _parsed(language: str, raw: bytes) -> "Node":
    from tree_sitter import Parser

    return Parser(spoken(language)).parse(raw).root_node


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


def _first(root: "Node") -> "Node | None":
    """Return the first part that is wrong or missing."""
    waiting = [root] if root.has_error else []
    while waiting:
        node = waiting.pop()
        if node.is_error or (node.is_missing and node.type != _OPTIONAL):
            return node
        waiting += reversed([child for child in node.children if child.has_error or child.is_missing])
    return None


def _place(node: "Node", raw: bytes, above: int) -> str:
    """Return the line of what is wrong, `above` lines further down, and what stands there."""
    row = node.start_point[0]
    if node.is_missing:
        return f"line {above + row + 1}: {node.type!r} is missing"
    lines = raw.split(b"\n")
    near = lines[row].decode("utf-8", "replace").strip()[:_NEAR] if row < len(lines) else ""
    return f"line {above + row + 1}: near {near!r}"


def main() -> None:
    """Answer on stdout what stdin asks: the name of a file and its texts."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    name, texts = json.load(sys.stdin)
    json.dump([fault(name, text) for text in texts], sys.stdout)
