"""Owns reading a command into its parts. What is not understood is a fault, and the parts that can be found stand beside it."""

import re
import sys
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agent.command.parts import Part, Script, Word
from agent.command.words import RESERVED, Piece, Reading, Simple, Unclear, decoded

if TYPE_CHECKING:
    from tree_sitter import Node

_LONGEST = 8 << 10
_PARSED = 32 << 10  # beyond this a hostile text costs the parser seconds
_RUNNABLE = 128 << 10  # no system starts a program with a longer argument
_MOST = 64
_NEAR = 1024  # how far a command is read in a text that no parser understands
_NEAREST = 32  # the same in one with so many beginnings that it would take seconds
_READ = 1_000_000  # characters that are read of such a text, beginning after beginning
_DEEPEST = 8
# What lies beyond ASCII is part of a word to bash, and nothing else; the parser's own scanner reads out of bounds by it.
_LETTERS = bytes(byte if byte < 0x80 else ord(".") for byte in range(256))
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_COMMANDS = {"command", "declaration_command", "unset_command", "test_command", "variable_assignment", "variable_assignments"}
_INNER = {"command_substitution", "process_substitution"}
_OPAQUE = _INNER | {"expansion", "simple_expansion", "arithmetic_expansion", "array", "subscript"}
_REDIRECTS = {"file_redirect", "heredoc_redirect", "herestring_redirect"}
_DEAD = {"raw_string", "ansi_c_string", "comment", "heredoc_end", "heredoc_start"}
_KNOWN = frozenset(
    (
        *(*_COMMANDS, *_OPAQUE, *_REDIRECTS, *_DEAD),
        *("program", "list", "pipeline", "redirected_statement", "negated_command", "subshell", "compound_statement"),
        *("for_statement", "c_style_for_statement", "while_statement", "do_group", "if_statement", "elif_clause", "else_clause"),
        *("case_statement", "case_item", "function_definition", "command_name", "word", "number", "concatenation", "string"),
        *("string_content", "translated_string", "brace_expression", "variable_name", "special_variable_name"),
        *("file_descriptor", "heredoc_body", "heredoc_content", "test_operator", "regex", "extglob_pattern"),
        *("unary_expression", "binary_expression", "ternary_expression", "postfix_expression", "parenthesized_expression"),
    )
)
_CASES = {";;", ";&", ";;&"}
_SUBSTITUTES = re.compile(r"\$\(|`|[<>]\(")
_BEGINS = re.compile(r"[;&|()\n`{]+|\$\(|\b(?:then|do|else|elif|if|while|until|time|coproc)\b|!")
_BLANK = re.compile(r"\\[ \t]")
_FIRST = re.compile(r"\s*(\S+)")
_ENDS = re.compile(r"[;&|()\n`]")
_KEYWORD = re.compile(
    r"(?:time(?:[ \t]+-p)?(?:[ \t]+--)?[ \t]+(?:![ \t]+)*)*"
    r"(?:time(?:[ \t]+-p)?(?:[ \t]+--)?(?![^\s;|&()])"
    r"|coproc(?:[ \t]+[A-Za-z_]\w*(?=\s+(?:[{(]|(?:if|while|until|for|case|select)\b)))?(?=\s))"
)
_OPENS = re.compile(r"(?:^|[;(\n`{!)]|\|\||(?<!\|)&|\b(?:then|do|else|elif|if|while|until|-p|--))(?:[ \t]|\\\n)*$")
_NEVER = RESERVED - {"in", "time", "[["}  # no program is started by these names where a command begins
TWOFOLD = "it can be read in two ways"


@dataclass(slots=True)
class _Found:
    """What the tree says about a text."""

    starts: dict[int, tuple[str, int, bool]] = field(default_factory=dict)  # kind of command, its end, whether another runs it
    inside: dict[int, int] = field(default_factory=dict)
    redirects: dict[int, bool] = field(default_factory=dict)
    bodies: dict[int, Word] = field(default_factory=dict)
    dead: list[tuple[int, int]] = field(default_factory=list)
    strings: list[tuple[int, int]] = field(default_factory=list)
    ticks: list[tuple[int, int, bool]] = field(default_factory=list)  # `...` and whether it stands in double quotes
    open: list[tuple[int, int]] = field(default_factory=list)  # bodies of here-documents in which bash expands
    fault: str = ""


def read(text: str) -> Script:
    """Read a command. It never fails: what it does not understand is the script's fault."""
    return _read(text, 0)


def _read(text: str, depth: int) -> Script:
    fault = _unreadable(text)
    if len(text) > _RUNNABLE or depth > _DEEPEST:
        return Script(text, (Part(text[:_LONGEST], (Word(text[:_LONGEST], literal=False),)),), fault or "it is nested too deep")
    raw = text.encode("utf-8", "replace" if fault else "surrogateescape")
    written = raw.decode("latin-1")
    if len(raw) > _PARSED:
        return Script(text, tuple(_loose(written)), fault)
    found, flat = _parsed(raw, written)
    simples = Reading(written).flat()
    same = flat == written and not found.inside and not found.bodies
    parts = _placed(flat, found, {one.start: one for one in simples or ()} if same else {})
    unsure = found.fault
    for begin, end, quoted in found.ticks:
        got = _read(decoded(_unticked(flat[begin:end], quoted)), depth + 1)
        unsure = unsure or got.fault
        parts += ((begin, replace(part, wrapped=True)) for part in got.parts)
    parts.sort(key=lambda pair: pair[0])
    every = [part for _, part in parts]
    plain = bool(simples) and [_part(written, one, wrapped=False) for one in simples or ()] == every
    if simples is not None and not plain:
        unsure = unsure or TWOFOLD
    if unsure or "invisible" in fault:
        known = {part.argv for part in every}
        every += (part for part in _loose(flat) if part.argv not in known)
    fault = fault or unsure or (f"it has more than {_MOST} commands" if len(parts) > _MOST else "")
    return Script(text, tuple(every), fault, plain and not fault)


def _placed(flat: str, found: _Found, known: dict[int, Simple]) -> list[tuple[int, Part]]:
    """Return the parts that the tree shows and where they stand, and note what it does not show.

    `known` are commands that were read already, by where they start: as nothing but the text says what is read from there.
    """
    reading = Reading(flat, found.inside, found.bodies)
    parts: list[tuple[int, Part]] = []
    spans: list[tuple[int, int]] = []
    seen: set[int] = set()
    places = [(start, *rest) for start, rest in sorted(found.starts.items())]
    for start, kind, end, wrapped in places + [(at, "", at, wrapped) for at, wrapped in sorted(found.redirects.items())]:
        if not kind and start in seen:
            continue
        try:
            if kind == "[[":
                one = reading.test(start)
            elif kind == "((":
                one = _arithmetic(reading, start, end)
            else:
                one = known.get(start) or reading.simple(start)
        except Unclear:
            found.fault = found.fault or TWOFOLD
            unread = decoded(flat[start : end if kind else flat.find("\n", start)])
            parts.append((start, Part(unread, (Word(unread, literal=False),), wrapped=wrapped)))
            continue
        if one.pieces and one.pieces[0].start == start and one.pieces[0].shadow in _NEVER and kind == "command":
            found.fault = found.fault or "it is no well-formed bash"
        seen |= one.seen
        spans.append((start, one.end))
        parts.append((start, _part(flat, one, wrapped)))
    read_so_far = _Spans(_merged([*spans, *found.inside.items(), *found.dead, *found.strings]))
    missed = _missed(flat, found)
    found.ticks += missed
    # The parser takes a quoted blank for none, and so may not see the word that begins with it.
    if missed or any(not read_so_far.end(match.start()) for match in _BLANK.finditer(flat)):
        found.fault = found.fault or TWOFOLD
    return parts


def _unreadable(text: str) -> str:
    """Return why a text is refused before it is parsed: what a person may not see, or two parsers see differently."""
    if len(text) > _LONGEST:
        return f"it is longer than {_LONGEST >> 10} KiB"
    if text.isascii() and text.isprintable():
        return ""
    for char in text:
        if char in "\n\t" or " " <= char <= "~":
            continue
        if unicodedata.category(char)[0] in "CZ" or char == "\x7f" or _INVISIBLE.match(char):
            return f"it has an invisible character, U+{ord(char):04X}"
    return ""


def _parsed(raw: bytes, flat: str) -> tuple[_Found, str]:
    """Return what the tree says, and the text without the words `time` and `coproc`, which the parser takes for programs."""
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    parser = Parser(Language(tree_sitter_bash.language()))
    found = _searched(parser.parse(raw.translate(_LETTERS)).root_node, flat)
    for _ in range(_DEEPEST):
        words = [
            word
            for start, (kind, _, _) in found.starts.items()
            if kind == "command" and (word := _KEYWORD.match(flat, start)) and _OPENS.search(flat[max(0, start - 99) : start])
        ]
        if not words:
            break
        for word in words:
            flat = f"{flat[: word.start()]}{' ' * len(word[0])}{flat[word.end() :]}"
        found = _searched(parser.parse(flat.encode("latin-1").translate(_LETTERS)).root_node, flat)
    else:
        found.fault = found.fault or TWOFOLD
    return found, flat


def _searched(root: "Node", flat: str) -> _Found:
    found = _Found(fault="it is no well-formed bash" if root.has_error else "")
    waiting: list[tuple[Node, bool, bool]] = [
        (root, False, False)
    ]  # a node, whether another part runs it, whether it is inside one
    while waiting:
        node, wrapped, within = waiting.pop()
        kind, start, end = node.type, node.start_byte, node.end_byte
        if kind in _CASES and (node.parent is None or node.parent.type != "case_item"):
            found.fault = found.fault or "it is no well-formed bash"  # which the parser lets pass
        if node.is_named and kind not in _KNOWN and not node.is_error:
            found.fault = found.fault or f"it has what is not known here, {kind}"
        if kind in _OPAQUE and end > start:
            at = start
            found.inside[at] = max(end, found.inside.get(at, 0))
        if kind in _INNER:
            wrapped = True
            within = False
            if flat[start] == "`":
                found.ticks.append((start + 1, end - 1 if flat[end - 1 : end] == "`" else end, _quoted(node)))
                continue
        elif kind in _COMMANDS and not within:
            opened = flat[start : start + 2]
            found.starts[start] = (opened if kind == "test_command" and opened in {"[[", "(("} else "command", end, wrapped)
        elif kind == "compound_statement" and flat.startswith("((", start) and flat.startswith("))", end - 2):
            found.starts[start] = ("((", end, wrapped)
        else:
            _noted(node, flat, found, wrapped)
        if kind in _COMMANDS:
            within = True
        elif kind in {"compound_statement", "subshell", "pipeline", "list", "redirected_statement"}:
            within = False
        waiting += ((child, wrapped, within) for child in node.children)
    return found


def _noted(node: "Node", flat: str, found: _Found, wrapped: bool) -> None:
    """Note a redirection, or a stretch in which nothing, or little, is expanded."""
    kind, start, end = node.type, node.start_byte, node.end_byte
    if kind in _REDIRECTS:
        found.redirects[start] = wrapped
        if kind == "heredoc_redirect":
            _here(node, flat, found)
    elif kind == "raw_string" and _SUBSTITUTES.search(flat, start, end) and _calculates(node, flat):
        pass  # quotes do not keep bash from evaluating it
    elif kind in _DEAD:
        line = flat.find("\n", start, end) if kind == "comment" else -1
        found.dead.append((start, end if line < 0 else line))
        if line >= 0:  # the parser goes on after a backslash at the end, bash does not
            found.fault = found.fault or TWOFOLD
    elif kind in {"string_content", "heredoc_content", "regex"}:
        found.strings.append((start, end))


def _calculates(node: "Node", flat: str) -> bool:
    """Whether bash reads what stands there as an expression of numbers."""
    above = node.parent
    while above is not None and above.type not in {"arithmetic_expansion", "c_style_for_statement", "command", "program"}:
        if above.type == "compound_statement" and flat.startswith("((", above.start_byte):
            return True
        above = above.parent
    return above is not None and above.type in {"arithmetic_expansion", "c_style_for_statement"}


def _quoted(node: "Node") -> bool:
    above = node.parent
    while above is not None and above.type in {"expansion", "concatenation"}:
        above = above.parent
    return above is not None and above.type in {"string", "heredoc_body"}


def _here(node: "Node", flat: str, found: _Found) -> None:
    """Note the here-document of a redirection, and whether it ends where bash ends it."""
    kinds = {child.type: child for child in node.children}
    begin, body, end = kinds.get("heredoc_start"), kinds.get("heredoc_body"), kinds.get("heredoc_end")
    operator = next((child for child in node.children if child.type in {"<<", "<<-"}), None)
    if begin is None or operator is None:
        found.fault = found.fault or TWOFOLD
        return
    try:
        delimiter = Reading(flat).piece(begin.start_byte)
    except Unclear:
        found.fault = found.fault or TWOFOLD
        return
    inner = flat[body.start_byte : body.end_byte] if body is not None else ""
    tabs = operator.type == "<<-"
    lines = [line.lstrip("\t") if tabs else line for line in inner.split("\n")]
    close = delimiter.word.text.encode("utf-8", "surrogateescape").decode("latin-1")
    after = flat[end.start_byte :].split("\n", 1)[0] if end is not None else ""
    if close in lines[:-1] or after != close or not delimiter.word.literal:
        found.fault = found.fault or TWOFOLD
    quoted = "\0" in delimiter.shadow
    if quoted and body is not None:
        found.dead.append((body.start_byte, body.end_byte))
    elif body is not None:
        found.open.append((body.start_byte, body.end_byte))
    text = "\n".join(lines) if tabs else inner
    found.bodies[operator.start_byte] = Word(decoded(text), quoted or not re.search(r"[$`\\]", text))


def _arithmetic(reading: Reading, start: int, end: int) -> Simple:
    rest = reading.simple(end)
    inner = reading.text[start + 2 : end - 2]
    words = (Word("(("), Word(decoded(inner), literal=False), Word("))"))
    return replace(rest, start=start, pieces=tuple(Piece(word, start, end, "") for word in words) + rest.pieces)


def _part(flat: str, one: Simple, wrapped: bool) -> Part:
    return Part(
        decoded(flat[one.start : one.end].rstrip(" \t")),
        tuple(piece.word for piece in one.pieces),
        one.assigns,
        one.redirects,
        wrapped,
    )


def _missed(flat: str, found: _Found) -> list[tuple[int, int, bool]]:
    """Return the insides of substitutions that the tree does not have, so that none is ever missed."""
    missed: list[tuple[int, int, bool]] = []
    dead = _Spans(found.dead)
    texts = _Spans(found.strings)
    ticks = _Spans([(begin - 1, end + 1) for begin, end, _ in found.ticks])
    bodies = _Spans(found.open)
    reach = -1
    for match in _SUBSTITUTES.finditer(flat):
        at, after = match.span()
        if at < reach or at in found.inside or dead.end(at) or ticks.end(at):
            continue
        if match[0][0] in "<>" and texts.end(at):
            continue
        if match[0][0] not in "<>" and (at - len(flat[max(0, at - _LONGEST) : at].rstrip("\\")) + max(0, at - _LONGEST)) % 2:
            continue
        if match[0] == "`" and (end := bodies.end(at)):
            reach = _close(flat, after, end) + 1
            found.ticks.append((after, reach - 1, False))
            continue
        close = flat.find("`" if match[0] == "`" else ")", after)
        reach = close + 1 if close >= 0 else len(flat)
        missed.append((after, close if close >= 0 else len(flat), False))
    return missed


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return stretches that do not overlap and cover the same."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


class _Spans:
    """Stretches of a text that do not overlap."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self._spans = sorted(spans)

    def end(self, at: int) -> int:
        """Return where the stretch that holds this place ends, or 0."""
        place = bisect_right(self._spans, (at, sys.maxsize)) - 1
        return end if place >= 0 and at < (end := self._spans[place][1]) else 0


def _close(flat: str, begin: int, end: int) -> int:
    """Return where a backtick closes what begins here, at the latest at the end."""
    found = re.compile(r"(?:[^`\\]|\\.)*", re.DOTALL).match(flat, begin, end)
    return found.end() if found else end


def _unticked(inner: str, quoted: bool) -> str:
    """Return what bash runs of what stands between backticks."""
    return re.sub(r'\\([$`\\"])' if quoted else r"\\([$`\\])", r"\1", inner)


def _loose(flat: str) -> Iterator[Part]:
    """Yield whatever could be a simple command in a text that no parser understands: rules that deny must see it."""
    starts = sorted({0, *(match.end() for match in _BEGINS.finditer(flat))})
    near = min(_NEAR, max(_NEAREST, _READ // len(starts)))
    for start in starts:
        first = _FIRST.match(flat, start, start + near)
        if first and first[1] in RESERVED:
            continue  # what follows it is looked at by itself
        piece = flat[start : start + near]
        try:
            one = Reading(piece).simple(0)
        except Unclear:
            close = _ENDS.search(flat, start, start + near)
            written = flat[start : close.start() if close else start + near]
            texts = [re.sub(r"[\\'\"]", "", word) for word in written.split()]
            words = tuple(Word(decoded(word), not re.search(r"[$*?\[{~<>]", word)) for word in texts)
            part = Part(decoded(written.strip()), words)
        else:
            part = _part(piece, one, wrapped=False)
        if part.words and part.words[0].text not in RESERVED:
            yield part
