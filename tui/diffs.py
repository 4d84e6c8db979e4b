"""Owns drawing differences: side by side where there is room, else under each other, and what changed within a line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import PurePath

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from agent.blocks import DiffBlock
from agent.safe import safe_line, safe_text
from tui.markdown import code
from tui.words import Words

WIDE = 110  # columns from which on two sides have room
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_LONGEST = 500  # characters of a line that are looked at for what changed in it
_ALIKE = 0.5  # less than this of a line in common: all of it changed
_LANGUAGES = {
    ".py": "python", ".js": "javascript", ".mjs": "javascript", ".ts": "typescript", ".tsx": "tsx", ".jsx": "jsx",
    ".go": "go", ".rs": "rust", ".java": "java", ".c": "c", ".h": "c", ".cpp": "cpp", ".hpp": "cpp", ".rb": "ruby",
    ".php": "php", ".sh": "bash", ".json": "json", ".yml": "yaml", ".yaml": "yaml", ".toml": "toml", ".md": "markdown",
    ".html": "html", ".css": "css", ".sql": "sql",
    ".kt": "kotlin", ".swift": "swift", ".lua": "lua", ".cs": "csharp", ".xml": "xml",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference: what it is, its numbers, and its text in colour."""

    kind: str  # " ", "+", "-" or "@"
    old: int
    new: int
    content: Content


def language_of(path: str) -> str:
    """Return the language that a file is in by its name, empty where it is none that is coloured."""
    return _LANGUAGES.get(PurePath(path).suffix.lower(), "")


def lines_of(block: DiffBlock) -> list[Line]:
    """Return the lines of a difference."""
    raw = [line for line in block.diff.split("\n") if line and not line.startswith(("---", "+++", "\\"))]
    plain = [safe_text(line[1:]).replace("\t", "    ") for line in raw]
    bodies = [text if line[0] != "@" else "" for line, text in zip(raw, plain, strict=True)]
    coloured = code("\n".join(bodies), language_of(block.path)).split("\n", allow_blank=True)
    lines: list[Line] = []
    old = new = 0
    for line, content in zip(raw, [*coloured, *[Content("")] * len(raw)], strict=False):
        kind = line[0] if line[0] in "+-@" else " "
        if kind == "@":
            found = _HUNK.match(line)
            old, new = (int(found[1]), int(found[2])) if found else (old, new)
            lines.append(Line("@", old, new, Content(safe_line(line))))
            continue
        lines.append(Line(kind, old, new, content))
        old += kind != "+"
        new += kind != "-"
    return _marked(lines)


def difference(block: DiffBlock, words: Words, width: int, split: str = "auto") -> Content:
    """Return a difference, under its file's name."""
    whole = "" if block.change == "modified" else f"{words(f'diff.{block.change}')}  "
    head = Content.assemble((safe_line(block.path), "bold"), (f"  {whole}+{block.added} −{block.removed}", "$text-muted"))
    lines = lines_of(block)
    beside = split == "split" or (split == "auto" and width >= WIDE)
    # What is new or gone as a whole has no other side.
    beside = beside and {"+", "-"} <= {line.kind for line in lines}
    return Content("\n").join([head, *(_beside(lines, width) if beside else _under(lines))])


_SIGNS = {"+": ("+", "$text-success", "on $success 12%"), "-": ("−", "$text-error", "on $error 12%"), " ": (" ", "", "")}


def _under(lines: list[Line]) -> list[Content]:
    digits = max((len(str(max(line.old, line.new))) for line in lines), default=1)
    told: list[Content] = []
    for number, line in enumerate(lines):
        if line.kind == "@":
            if number:
                told.append(Content.styled(f"{'⋯':>{digits}}", "$text-muted"))
            continue
        sign, colour, ground = _SIGNS[line.kind]
        at = line.new if line.kind != "-" else line.old
        row = Content.assemble((f"{at:>{digits}} ", "$text-muted"), (f"{sign} ", colour), line.content)
        told.append(row.stylize(ground) if ground else row)
    return told


def _beside(lines: list[Line], width: int) -> list[Content]:
    digits = max((len(str(max(line.old, line.new))) for line in lines), default=1)
    room = (width - 3) // 2 - digits - 3
    told: list[Content] = []
    for left, right in _pairs(lines):
        if left is not None and left.kind == "@":
            told.append(Content.styled(f"{'⋯':>{digits}}", "$text-muted")) if told else None
            continue
        told.append(Content.assemble(_side(left, "-", digits, room), (" │ ", "$text-muted"), _side(right, "+", digits, room)))
    return told


def _pairs(lines: list[Line]) -> Iterator[tuple[Line | None, Line | None]]:
    """Yield what stands beside each other."""
    gone: list[Line] = []
    come: list[Line] = []
    for line in [*lines, None]:
        if line is not None and line.kind == "-":
            gone.append(line)
        elif line is not None and line.kind == "+":
            come.append(line)
        else:
            for at in range(max(len(gone), len(come))):
                yield gone[at] if at < len(gone) else None, come[at] if at < len(come) else None
            gone, come = [], []
            if line is not None:
                yield line, line


def _side(line: Line | None, kind: str, digits: int, room: int) -> Content:
    if line is None:
        return Content(" " * (digits + 3 + room))
    sign, colour, ground = _SIGNS[line.kind]
    at = line.old if kind == "-" else line.new
    content = line.content
    if content.cell_length > room:
        cut = len(set_cell_size(content.plain, room - 1).rstrip())
        content = Content.assemble(content[:cut], ("…", "$text-muted"))
    padded = Content.assemble(content, " " * max(0, room - cell_len(content.plain)))
    row = Content.assemble((f"{at:>{digits}} ", "$text-muted"), (f"{sign} ", colour), padded)
    return row.stylize(ground) if ground else row


def _marked(lines: list[Line]) -> list[Line]:
    """Mark what changed within lines that were replaced one by one."""
    marked = list(lines)
    at = 0
    while at < len(lines):
        gone = at
        while at < len(lines) and lines[at].kind == "-":
            at += 1
        come = at
        while at < len(lines) and lines[at].kind == "+":
            at += 1
        if come > gone and at - come == come - gone:
            for old, new in zip(range(gone, come), range(come, at), strict=True):
                marked[old], marked[new] = _compared(lines[old], lines[new])
        at += at == gone
    return marked


def _compared(old: Line, new: Line) -> tuple[Line, Line]:
    before, after = old.content.plain, new.content.plain
    if max(len(before), len(after)) > _LONGEST:
        return old, new
    match = SequenceMatcher(None, before, after, autojunk=False)
    if match.ratio() < _ALIKE:
        return old, new
    left, right = old.content, new.content
    for tag, start, end, begin, stop in match.get_opcodes():
        if tag != "equal":
            left = left.stylize("on $error 35%", start, end) if end > start else left
            right = right.stylize("on $success 35%", begin, stop) if stop > begin else right
    return Line(old.kind, old.old, old.new, left), Line(new.kind, new.old, new.new, right)
