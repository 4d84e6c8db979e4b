"""Owns the shape of a text of code: what it defines, line by line and one within another, and which names it uses where."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.code.grammars import WORDS, Grammar

if TYPE_CHECKING:
    from tree_sitter import Node

LARGEST = 1 << 20  # bytes of a text that is parsed
_MINIFIED = 100 << 10  # bytes of a text that may well have lines that no person wrote
_LONG_LINE = 5_000
_SIGNATURE = 160  # characters
_MOST = 20_000  # definitions of a text
_DEEPEST = 12  # levels within one another that are told apart
_LONGEST_NAME = 120
_ALIKE = 60  # lines of one name that are kept
_BODY = ("body", "block", "declaration_list", "field_declaration_list", "compound_statement")
_AROUND = frozenset(("decorated_definition", "export_statement", "template_declaration"))  # they belong to what they hold
_ONE_OR_MORE = frozenset(
    ("lexical_declaration", "variable_declaration", "type_declaration")
)  # as do these, where they hold nothing else
_TYPES = frozenset(
    ("class", "interface", "struct", "union", "trait", "impl", "enum", "record", "object", "protocol")
)  # a function in one is a method
SMALL = frozenset(("field", "variant", "variable", "constant", "property", "key", "declaration"))  # of little body
_BEFORE = re.compile(rb"[\w\s@'\"=.$-]{0,80}")  # what stands before a definition and belongs to it
_REMARK = re.compile(rb":[ \t]*\n\s*#")
_SPANS = re.compile(rb"`([^`\n]+)`")
_PARTS = re.compile(rb"[^\s\"'`,;(){}\[\]<>]+")


@dataclass(frozen=True, slots=True)
class Definition:
    """One thing that a text defines; lines count from 1, `depth` says within how many others it stands."""

    name: str
    kind: str
    first: int
    last: int
    depth: int
    signature: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What was found in a text. `broken` says that it has faults, and `refused` why it was not looked into."""

    definitions: tuple[Definition, ...] = ()
    uses: dict[str, list[int]] = field(default_factory=dict)
    broken: bool = False
    refused: str = ""


def packed(shape: Shape) -> list[Any]:
    """Return a shape as JSON has it."""
    rows = [[one.name, one.kind, one.first, one.last, one.depth, one.signature] for one in shape.definitions]
    return [rows, shape.uses, shape.broken, shape.refused]


def unpacked(told: list[Any]) -> Shape:
    """Return a shape that was packed."""
    return Shape(tuple(Definition(*row) for row in told[0]), told[1], told[2], told[3])


def refusal(raw: bytes) -> str:
    """Say why a text is not parsed; nothing where it can be."""
    if len(raw) > LARGEST:
        return f"too large to parse: {len(raw)} bytes"
    if b"\0" in raw[:8192]:
        return "no text"
    lines = raw.count(b"\n") + 1
    if len(raw) > _MINIFIED and len(raw) // lines > _LONG_LINE:
        return f"too large to parse: {len(raw)} bytes in {lines} lines, as made by a program"
    return ""


def shape(language: str, grammar: Grammar, raw: bytes) -> Shape:
    """Return what a text is made of. It is not gone through by recursion: a text may be nested as deep as it likes."""
    if why := refusal(raw):
        return Shape(refused=why)
    root = grammar.parser.parse(raw).root_node
    found = _definitions(language, grammar, root, raw)
    named = {place for place, *_ in found}
    return Shape(_nested(found, raw), _uses(language, grammar, root, raw, named), root.has_error)


def _definitions(language: str, grammar: Grammar, root: "Node", raw: bytes) -> "list[tuple[int, str, str, Node, Node]]":
    """Return where the name of each definition stands, the name, the kind, the node and all that belongs to it."""
    from tree_sitter import QueryCursor

    found: dict[int, tuple[int, str, str, Node, Node]] = {}
    for _, captures in QueryCursor(grammar.definitions, match_limit=4096).matches(root):
        names = captures.get("name")
        kind = next((kind for kind in captures if kind != "name" and not kind.startswith("_")), "")
        if not names or not kind:
            continue
        node = whole = captures[kind][0]
        while (around := whole.parent) is not None and (
            around.type in _AROUND or (around.type in _ONE_OR_MORE and around.named_child_count == 1)
        ):
            whole = around
        for name in names:
            place = name.start_byte
            known = found.get(place)
            if known is not None and (known[2] != "variable" or kind == "variable"):
                continue
            text = raw[place : name.end_byte].decode("utf-8", "replace")
            text = " ".join(text.split()).strip("\"'`[]" if language in WORDS else "")
            if text and len(found) < _MOST:
                found[place] = (place, text[:_LONGEST_NAME], kind, node, whole)
    return sorted(found.values(), key=lambda one: (one[4].start_byte, -one[4].end_byte))


def _nested(found: "list[tuple[int, str, str, Node, Node]]", raw: bytes) -> tuple[Definition, ...]:
    definitions: list[Definition] = []
    open_: list[tuple[int, int, str]] = []  # where those end and begin that we are within, and their kinds
    for _, name, kind, node, whole in found:
        # Several that one declaration names stand beside one another.
        while open_ and (open_[-1][0] < whole.end_byte or open_[-1][:2] == (whole.end_byte, whole.start_byte)):
            open_.pop()
        within = open_[-1][2] if open_ else ""
        kind = "method" if kind == "function" and within in _TYPES else kind
        end = whole.end_point
        first = whole.start_point[0] + 1
        last = max(first, end[0] + (end[1] > 0))
        definitions.append(Definition(name, kind, first, last, min(len(open_), _DEEPEST), _signature(node, kind, raw)))
        open_.append((whole.end_byte, whole.start_byte, kind))
    return tuple(definitions)


def _signature(node: "Node", kind: str, raw: bytes) -> str:
    """Return how a definition begins, as it stands there, on one line."""
    start = node.start_byte
    line = raw.rfind(b"\n", 0, start) + 1
    if _BEFORE.fullmatch(raw, line, start):
        start = line
    end = node.end_byte
    body = node.child_by_field_name("body")
    if body is None and kind not in {"variable", "constant", "field", "key", "property"}:
        body = next((child for child in node.named_children[:12] if child.type.endswith(_BODY)), None)
    if body is not None and body.start_byte > node.start_byte:
        end = body.start_byte
        if remark := _REMARK.search(raw, node.start_byte, end):
            end = remark.start() + 1  # it stands between the head and the body, and belongs to neither
    else:
        line = raw.find(b"\n", node.start_byte, end)
        end = end if line < 0 else line
    text = " ".join(raw[start : min(end, start + 4 * _SIGNATURE)].decode("utf-8", "replace").split()).rstrip("{ \t")
    return text if len(text) <= _SIGNATURE else f"{text[: _SIGNATURE - 1]}…"


def _uses(language: str, grammar: Grammar, root: "Node", raw: bytes, named: set[int]) -> dict[str, list[int]]:
    from tree_sitter import QueryCursor

    uses: dict[bytes, list[int]] = {}
    nodes = QueryCursor(grammar.uses).captures(root).get("use", [])
    lines = [0, *(match.end() for match in re.finditer(rb"\n", raw))]
    for node in nodes:
        start = node.start_byte
        if start in named:
            continue
        text = raw[start : node.end_byte]
        for name, at in _words(language, text) if language in WORDS else ((text, 0),):
            if 1 < len(name) <= _LONGEST_NAME:
                places = uses.setdefault(name, [])
                line = bisect_right(lines, start + at)
                if len(places) < _ALIKE and (not places or places[-1] != line):
                    places.append(line)
    return {name.lstrip(b":").decode("utf-8", "replace"): sorted(set(places)) for name, places in uses.items()}


def _words(language: str, text: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the names in a value of what is no program, and where they stand."""
    if language == "markdown":
        for span in _SPANS.finditer(text):
            for part in re.finditer(rb"[\w$]+", span[1]):
                yield part[0], span.start(1) + part.start()
        return
    for part in _PARTS.finditer(text):
        yield part[0].lstrip(b"#./*") or part[0], part.start()
