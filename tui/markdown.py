"""Owns turning the model's Markdown into content: hostile text stays text, links show where they lead, nothing is fetched."""

import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from agent.safe import safe_text

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)", re.MULTILINE)
_KEPT = 20  # lines at the end of growing code that are laid out again
_LONGEST_CODE = 20_000  # characters that are coloured; more would hold the screen up


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # not before the first frame is seen, which has nothing for it

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def markdown(text: str) -> Content:
    """Return the content of a whole text."""
    return Content("\n").join(_blocks(_parser().parse(safe_text(text))))


def sealed(text: str, start: int = 0, fence: str = "") -> tuple[int, str]:
    """Return how much of a text that still grows can change no more, and the line that opened the code in which it then goes on.

    All before `start` is sealed already, and stands in the code that the line `fence` opened, where it is none.
    """
    rest = fence + text[start:]
    fences = list(_FENCE.finditer(rest))
    inside = len(fences) % 2 == 1
    limit = fences[-1].start() if inside else len(rest)
    if inside and limit == 0:
        opening = rest.partition("\n")[0] + "\n"
        lines = rest[len(opening) :].split("\n")
        if fences[0].group() == fences[0].group(1) and len(lines) > 2 * _KEPT:
            return start + len(rest) - len(fence) - sum(len(line) + 1 for line in lines[-_KEPT:]) + 1, opening
        return start, fence
    end = limit if inside and fences[-1].group() == fences[-1].group(1) else rest.rfind("\n\n", 0, limit) + 2
    while end > 2 and rest[end : end + 1].isspace():  # what is indented or listed may go on after an empty line
        end = rest.rfind("\n\n", 0, end - 2) + 2
    return (start + end - len(fence), "") if end > 2 and end > len(fence) else (start, fence)


def code(text: str, language: str = "") -> Content:
    """Return coloured code, its own empty first and last lines kept."""
    if not language or len(text) > _LONGEST_CODE:
        return Content(text)
    lines = text.split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    if not filled:
        return Content(text)
    from textual.highlight import highlight  # as late, for the same reason

    from tui.colours import Colours

    first, last = filled[0], filled[-1] + 1
    coloured = list(highlight("\n".join(lines[first:last]), language=language, theme=Colours).split("\n", allow_blank=True))
    if [line.plain for line in coloured] != lines[first:last]:
        return Content(text)  # colours are worth less than the truth
    return Content("\n").join([*map(Content, lines[:first]), *coloured, *map(Content, lines[last:])])


def _blocks(tokens: "Sequence[Token]") -> list[Content]:
    page = _Page()
    for token in tokens:
        page.take(token)
    return page.lines


class _Page:
    """Lays block after block under each other."""

    def __init__(self) -> None:
        self.lines: list[Content] = []
        self._lists: list[int | None] = []  # the next number of each open list, None where it has none
        self._quotes = 0
        self._mark = ""  # that the next line begins with
        self._rows: list[list[Content]] | None = None
        self._right: set[int] = set()  # columns of a table whose cells stand at their right
        self._style = ""

    def take(self, token: "Token") -> None:
        """Lay out what a token brings."""
        kind, _, edge = token.type.rpartition("_")
        if edge == "open":
            self._open(kind, token)
        elif edge == "close":
            self._close(kind)
        elif token.type == "inline":
            content = _inline(token)
            if self._rows is not None:
                self._rows[-1].append(content)
            else:
                self._add(content.stylize(self._style) if self._style else content)
        elif token.type in {"fence", "code_block"}:
            self._gap()
            language = token.info.strip().partition(" ")[0]
            for line in code(token.content.rstrip("\n"), language).split("\n", allow_blank=True):
                self._add(Content.assemble("  ", line))
        elif token.type == "hr":
            self._gap()
            self._add(Content.styled("─" * 24, "$text-muted"))

    def _open(self, kind: str, token: "Token") -> None:
        match kind:
            case "heading":
                self._gap()
                self._style = "bold underline" if token.tag == "h1" else "bold"
            case "paragraph":
                self._gap()
            case "bullet_list" | "ordered_list":
                self._gap()
                self._lists.append(int(token.attrGet("start") or 1) if kind == "ordered_list" else None)
            case "list_item":
                number = self._lists[-1]
                self._mark = "• " if number is None else f"{number}. "
                self._lists[-1] = None if number is None else number + 1
            case "blockquote":
                self._gap()
                self._quotes += 1
            case "table":
                self._gap()
                self._rows = []
                self._right = set()
            case "th" if self._rows and "right" in str(token.attrGet("style")):
                self._right.add(len(self._rows[-1]))
            case "tr" if self._rows is not None:
                self._rows.append([])
            case _:
                pass

    def _close(self, kind: str) -> None:
        match kind:
            case "heading":
                self._style = ""
            case "bullet_list" | "ordered_list":
                self._lists.pop()
            case "blockquote":
                self._quotes -= 1
            case "table":
                rows, self._rows = self._rows or [], None
                for line in table(rows, self._right):
                    self._add(line)
            case _:
                pass

    def _add(self, content: Content) -> None:
        indent = "  " * max(0, len(self._lists) - 1) + "▎ " * self._quotes
        mark, self._mark = self._mark, ""
        hang = " " * cell_len(mark) if mark else "  " * bool(self._lists)
        for number, line in enumerate(content.split("\n", allow_blank=True)):
            self.lines.append(Content.assemble((f"{indent}{mark if number == 0 and mark else hang}", "$text-muted"), line))

    def _gap(self) -> None:
        if self.lines and self.lines[-1].plain and not self._lists:
            self.lines.append(Content(""))


def _inline(token: "Token") -> Content:
    parts: list[Content] = []
    styles: list[str] = []
    target = ""
    for child in token.children or []:
        match child.type:
            case "text":
                parts.append(Content.styled(child.content, " ".join(styles)))
            case "code_inline":
                parts.append(Content.styled(child.content, "bold $text-accent"))
            case "softbreak" | "hardbreak":
                parts.append(Content("\n"))
            case "strong_open":
                styles.append("bold")
            case "em_open":
                styles.append("italic")
            case "s_open":
                styles.append("strike")
            case "link_open":
                target = str(child.attrGet("href") or "")
                styles.append("underline")
            case "link_close":
                styles.pop()
                if target and not any(part.plain == target for part in parts[-1:]):
                    parts.append(Content.styled(f" ({safe_text(target)})", "$text-muted"))
            case "image":
                parts.append(Content.styled(f"[{child.content}] ({safe_text(str(child.attrGet('src') or ''))})", "$text-muted"))
            case kind if kind.endswith("_close") and styles:
                styles.pop()
            case _:
                if child.content:
                    parts.append(Content(child.content))
    return Content("").join(parts)


def table(rows: Sequence[Sequence[Content]], right: Collection[int] = ()) -> list[Content]:
    """Return a table's lines; the first row is its head. `right` are the columns whose cells stand at their right."""
    if not rows:
        return []
    count = max(len(row) for row in rows)
    widths = [max((row[at].cell_length for row in rows if at < len(row)), default=0) for at in range(count)]
    told: list[Content] = []
    for number, row in enumerate(rows):
        cells = [(row[at] if at < len(row) else Content("")) for at in range(count)]
        blanks = [" " * (width - cell.cell_length) for cell, width in zip(cells, widths, strict=True)]
        padded = [
            Content.assemble(*((blank, cell) if at in right else (cell, blank)))
            for at, (cell, blank) in enumerate(zip(cells, blanks, strict=True))
        ]
        line = Content("  ").join(padded)
        told.append(line.stylize("bold") if number == 0 else line)
        if number == 0:
            told.append(Content.styled("  ".join("─" * width for width in widths), "$text-muted"))
    return told
