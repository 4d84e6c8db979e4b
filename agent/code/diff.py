"""Owns the difference of two texts as a person and a model read it: a unified diff, and how many lines came and went."""

from difflib import SequenceMatcher
from typing import Literal

from agent.blocks import DiffBlock

_CONTEXT = 3
_LARGEST = 4000  # lines that are compared one by one; of more, the middle that differs is told as replaced


def diff(path: str, before: str | None, after: str | None) -> DiffBlock:
    """Return what becomes of a file; None is no file."""
    change: Literal["created", "modified", "deleted"] = "modified"
    if before is None:
        change = "created"
    elif after is None:
        change = "deleted"
    old, new = _lines(before or ""), _lines(after or "")
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    first = max(0, start - _CONTEXT)
    old, new = old[first : len(old) - max(0, end - _CONTEXT)], new[first : len(new) - max(0, end - _CONTEXT)]
    told: list[str] = []
    added = removed = 0
    for group in _groups(old, new, start - first, min(end, _CONTEXT)):
        told.append(_heading(group, first))
        for tag, a1, a2, b1, b2 in group:
            if tag == "equal":
                told += [f" {line}" for line in old[a1:a2]]
                continue
            told += [f"-{line}" for line in old[a1:a2]] + [f"+{line}" for line in new[b1:b2]]
            removed += a2 - a1
            added += b2 - b1
    return DiffBlock(path, "\n".join(told), added, removed, change)


_Group = list[tuple[str, int, int, int, int]]


def _groups(old: list[str], new: list[str], start: int, end: int) -> list[_Group]:
    if old == new:
        return []
    if len(old) + len(new) <= _LARGEST:
        return [list(group) for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_CONTEXT)]
    a, b = len(old) - end, len(new) - end
    return [[("equal", 0, start, 0, start), ("replace", start, a, start, b), ("equal", a, len(old), b, len(new))]]


def _lines(text: str) -> list[str]:
    """Return the lines without their ends; a last one that has none says so, for that is a difference too."""
    lines = text.split("\n")
    if not lines[-1]:
        return lines[:-1]
    return [*lines[:-1], f"{lines[-1]}\n\\ No newline at end of file"]


def _heading(group: _Group, first: int) -> str:
    a1, a2, b1, b2 = group[0][1], group[-1][2], group[0][3], group[-1][4]
    return f"@@ -{_span(a1 + first, a2 + first)} +{_span(b1 + first, b2 + first)} @@"


def _span(start: int, end: int) -> str:
    count = end - start
    return f"{start + 1 if count else start}" + ("" if count == 1 else f",{count}")
