"""Owns what the screen looks like as text: its characters, a map of its styles, and whether both are what is kept of it."""

import asyncio
import difflib
import os
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from rich.cells import cell_len
from rich.color import Color
from rich.style import Style

from tests.screens import Screen

FOLDER = Path(__file__).with_name("snapshots")
_WRITING = os.environ.get("JUMAR_SNAPSHOTS") == "write"
_COMMAND = "JUMAR_SNAPSHOTS=write pytest tests/test_snapshots.py"
_STILL = 6.0  # seconds without a change, after which what is seen is what will be seen
_PATIENCE = 20.0  # seconds
_POLL = 0.05  # seconds
_FLAGS = ("bold", "dim", "italic", "underline", "strike", "reverse")
_INKED = ("underline", "strike", "reverse")  # what is seen of a blank too
# What is another with each run, or with what the model is told, and what stands for it. A row stays as wide as it was.
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"), "2026-01-01 12:00"),
    (re.compile(r"\d{8}-\d{6}-[0-9a-f]+"), "session-id"),
    (re.compile(r"(?:▶|\?) [^·]*( · \d+ (?:s|秒))(?=  )"), ""),  # how long something runs already
    (re.compile(r"^ [✓✗■⊘↶↷] .*(  [1-9]\d*\.\d (?:s|秒))(?=  )"), ""),  # what a call took, where that is told
    (re.compile(r"(?<= · )\d+\.\d (?=s|秒)"), "0.1 "),
    (re.compile(r"(?<= · )\d+ (?=(?:s|秒)\b)"), "0 "),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:8000"),
    (re.compile(r"[█▓▒░·] \D+ +([\d,]+ +\d+\.\d %)"), "1,000   1.0 %"),  # what fills the window
    (re.compile(r"([\d,]+)(?= of 1,000,000)"), "1,000"),
)

Cell = tuple[str, Style]


async def looks_as_kept(screen: Screen, name: str, *words: str) -> None:
    """Wait until the words can be seen; hold that all looks as it is kept under the name, or keep it."""
    await screen.see(*words)
    file = FOLDER / f"{name}.txt"
    kept = file.read_text(encoding="utf-8") if file.exists() else ""
    seen, since, ends = "", _now(), _now() + _PATIENCE
    while _now() < ends:
        before, seen = seen, drawn(screen)
        if seen == kept:
            return
        if seen != before:
            since = _now()
        elif _now() - since > _STILL:
            break
        await screen.pilot.pause(_POLL)
    if _WRITING:
        file.write_text(seen, encoding="utf-8")
        return
    told = difflib.unified_diff(kept.splitlines(), seen.splitlines(), f"kept {name}", "seen now", lineterm="", n=2)
    raise AssertionError("\n".join([f"{name} looks otherwise; if it shall: {_COMMAND}", *told]))


def drawn(screen: Screen) -> str:
    """Return what is seen: a line a row, then which cells of which rows are not plain, and how."""
    variables = screen.app.theme_variables
    grounds = variables["foreground"][:7], variables["background"][:7]
    plain = Style.parse("default on default" if screen.app.no_color else " on ".join(grounds))
    rows = [list(_settled(row, str(screen.app.desk.root))) for row in _rows(screen)]
    text = ["".join(character for character, _ in row).rstrip() for row in rows]
    styles: list[str] = []
    told = [_styles(row, plain) for row in rows]
    at = 1
    for line, same in groupby(told):
        last = at + len(list(same)) - 1
        if line:
            styles.append(f"{at if at == last else f'{at}-{last}'}: {line}")
        at = last + 1
    width, height = screen.app.size
    return "\n".join([*text, f"──── {width}×{height}, plain is {plain}", *styles, ""])


def _rows(screen: Screen) -> Iterator[list[Cell]]:
    for strip in screen.strips:
        yield [(character, one.style or Style()) for one in strip for character in one.text]


def _settled(row: list[Cell], root: str) -> list[Cell]:
    """Return a row without what is another with each run."""
    varying = [(re.compile(re.escape(root)), "/home/ann/repository"), *_VARYING]
    for pattern, instead in varying:
        for found in reversed(list(pattern.finditer("".join(character for character, _ in row)))):
            start, end = found.span(pattern.groups)  # of its last group, or of all of it
            new: list[Cell] = [(character, row[start][1]) for character in instead]
            row = [*row[:start], *new, *_moved(row[end:], cell_len(found[pattern.groups]) - cell_len(instead))]
    return row


def _moved(rest: list[Cell], columns: int) -> list[Cell]:
    """Return the rest of a row that moved, the next blanks that set something apart as much longer or shorter."""
    text = "".join(character for character, _ in rest)
    gap = re.search(r" {4,}", text) or re.search(r" {2,}", text)
    at = gap.start() if gap else len(rest) - 1
    return [*rest[:at], *[rest[at]] * columns, *rest[at + max(0, -columns) :]]


def _styles(row: list[Cell], plain: Style) -> str:
    told: list[str] = []
    column = 0
    for name, cells in groupby(_named(row, plain), key=lambda one: one[0]):
        wide = sum(width for _, width in cells)
        if name:
            told.append(f"{column}-{column + wide - 1} {name}" if wide > 1 else f"{column} {name}")
        column += wide
    return "; ".join(told)


def _named(row: list[Cell], plain: Style) -> Iterator[tuple[str, int]]:
    """Yield the name of each cell's style and its width. A blank is like the cell before it where nobody sees a difference."""
    last = plain
    for character, style in row:
        if character == " " and not _is_inked(style):
            same = style.bgcolor == last.bgcolor and not _is_inked(last)
            style = last if same else Style(color=plain.color, bgcolor=style.bgcolor)
        last = style
        yield _name(style, plain), cell_len(character)


def _is_inked(style: Style) -> bool:
    return any(getattr(style, flag) for flag in _INKED)


def _name(style: Style, plain: Style) -> str:
    colour = _colour(style.color) if style.color not in {plain.color, None} else ""
    ground = f"on {_colour(style.bgcolor)}" if style.bgcolor not in {plain.bgcolor, None} else ""
    return " ".join(part for part in (colour, ground, *(flag for flag in _FLAGS if getattr(style, flag))) if part)


def _colour(colour: Color | None) -> str:
    return "" if colour is None else colour.name


def _now() -> float:
    return asyncio.get_running_loop().time()
