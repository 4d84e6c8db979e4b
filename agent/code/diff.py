"""Owns the difference of two texts as a person and a model read it: a unified diff, and how many lines came and went."""

from typing import Literal

from agent.blocks import DiffBlock

_CONTEXT = 3
_FARTHEST = 800  # lines that may come and go until the middle that differs is told as replaced: the cost grows with the square

Change = tuple[int, int, int, int]  # old lines from, to; new lines from, to


def diff(path: str, before: str | None, after: str | None) -> DiffBlock:
    """Return what becomes of a file; None is no file."""
    change: Literal["created", "modified", "deleted"] = "modified"
    if before is None:
        change = "created"
    elif after is None:
        change = "deleted"
    old, new = _lines(before or ""), _lines(after or "")
    found = changes(old, new)
    told: list[str] = []
    for hunk in hunks(found):
        a1, b1 = max(0, hunk[0][0] - _CONTEXT), max(0, hunk[0][2] - _CONTEXT)
        a2, b2 = min(len(old), hunk[-1][1] + _CONTEXT), min(len(new), hunk[-1][3] + _CONTEXT)
        told.append(f"@@ -{_span(a1, a2)} +{_span(b1, b2)} @@")
        at = a1
        for old_from, old_to, new_from, new_to in hunk:
            told += [f" {line}" for line in old[at:old_from]]
            told += [f"-{line}" for line in old[old_from:old_to]] + [f"+{line}" for line in new[new_from:new_to]]
            at = old_to
        told += [f" {line}" for line in old[at:a2]]
    added = sum(new_to - new_from for _, _, new_from, new_to in found)
    removed = sum(old_to - old_from for old_from, old_to, _, _ in found)
    return DiffBlock(path, "\n".join(told), added, removed, change)


def told_apart(diff: str) -> tuple[str, ...]:
    """Return the hunks of a unified diff as they stand there, each with its head."""
    found: list[list[str]] = []
    for line in diff.split("\n"):
        if line.startswith("@@ "):  # what is of the texts begins with another character
            found.append([])
        if found:
            found[-1].append(line)
    return tuple("\n".join(lines) for lines in found)


def changes(old: list[str], new: list[str]) -> list[Change]:
    """Return what is to be changed, in order, as few lines as there can be."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    a, b = old[start : len(old) - end], new[start : len(new) - end]
    if not a and not b:
        return []
    steps = _shortest(a, b) if a and b else None
    if steps is None:
        return [(start, start + len(a), start, start + len(b))]
    found: list[Change] = []
    for x, y, is_new in steps:  # one line that comes or goes, each
        change = (start + x, start + x + (not is_new), start + y, start + y + is_new)
        if found and found[-1][1] == change[0] and found[-1][3] == change[2]:
            change = (found[-1][0], change[1], found[-1][2], change[3])
            found.pop()
        found.append(change)
    return found


def _shortest(a: list[str], b: list[str]) -> list[tuple[int, int, bool]] | None:
    """Return where each line comes (True) or goes, by the greedy algorithm of Myers; None where they are too different."""
    farthest = {1: 0}  # on each diagonal, how far in `a` the first steps can reach
    before: list[dict[int, int]] = []
    for step in range(min(len(a) + len(b), _FARTHEST) + 1):
        before.append({k: farthest[k] for k in range(-step - 1, step + 2) if k in farthest})
        for k in range(-step, step + 1, 2):
            down = k == -step or (k != step and farthest[k - 1] < farthest[k + 1])
            x = farthest[k + 1] if down else farthest[k - 1] + 1
            while x < len(a) and x - k < len(b) and a[x] == b[x - k]:
                x += 1
            farthest[k] = x
            if x >= len(a) and x - k >= len(b):
                return _walked(before, len(a), len(b))
    return None


def _walked(before: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int, bool]]:
    steps: list[tuple[int, int, bool]] = []
    for step in range(len(before) - 1, 0, -1):
        reached, k = before[step], x - y
        down = k == -step or (k != step and reached[k - 1] < reached[k + 1])
        k = k + 1 if down else k - 1
        x = reached[k]
        y = x - k
        steps.append((x, y, down))
    return steps[::-1]


def hunks(changes: list[Change]) -> list[list[Change]]:
    """Put together what is so near that the lines around it would meet: the hunks, as `diff` tells them."""
    found: list[list[Change]] = []
    for change in changes:
        if found and change[0] - found[-1][-1][1] <= 2 * _CONTEXT:
            found[-1].append(change)
        else:
            found.append([change])
    return found


def _lines(text: str) -> list[str]:
    """Return the lines without their ends; a last one that has none says so, for that is a difference too."""
    lines = text.split("\n")
    if not lines[-1]:
        return lines[:-1]
    return [*lines[:-1], f"{lines[-1]}\n\\ No newline at end of file"]


def _span(start: int, end: int) -> str:
    count = end - start
    return f"{start + 1 if count else start}" + ("" if count == 1 else f",{count}")
