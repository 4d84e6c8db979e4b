"""What keys there are is said in whole hints, whatever the width; one is one, and not ones."""

import pytest
from textual.content import Content

from tui.hints import broken
from tui.words import catalogue

KEYS = Content("Enter diff · u undo · U rewind · f fork · / find")


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (0, [KEYS.plain]),
        (80, [KEYS.plain]),
        (40, ["Enter diff · u undo · U rewind · f fork", "/ find"]),
        (19, ["Enter diff · u undo", "U rewind · f fork", "/ find"]),
        (4, ["Enter diff", "u undo", "U rewind", "f fork", "/ find"]),
    ],
)
def test_hints_break_between_each_other_alone(width: int, lines: list[str]) -> None:
    assert broken(KEYS, width).plain.split("\n") == lines


def test_wide_characters_count_twice() -> None:
    assert broken(Content("撤销 · 恢复"), 9).plain.split("\n") == ["撤销", "恢复"]


def test_one_is_one() -> None:
    words = catalogue("en")
    parts = {name: words.counted(f"review.{name}", 1, count=1) for name in ("parts", "files")}
    assert words("review.undo", **parts) == "Enter takes back what is not marked: 1 part of 1 file"
