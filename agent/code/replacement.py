"""Owns replacing exact text in a file's text: where it stands, and what stands nearest where it does not."""

import bisect
import re
import time
from dataclasses import dataclass
from difflib import SequenceMatcher

from agent.errors import ToolFailure

_LINE_NUMBERS = re.compile(r"(?:\s*\d+\t.*(?:\n|\Z))+")
_MOST_LINES = 20_000
_SHOWN = 12
_MOST_PLACES = 10
_SECONDS = 0.5  # that the nearest text is looked for


@dataclass(frozen=True, slots=True)
class Replacement:
    """What is to be replaced by what; `all` wherever it stands, else it must stand in one place."""

    old: str
    new: str
    all: bool = False


def replaced(text: str, wanted: tuple[Replacement, ...], newline: str, shown: str) -> str:
    """Return the text with everything replaced, one after the other. Bytes beside what is replaced stay. Raises ToolFailure."""
    now = text
    for number, one in enumerate(wanted, 1):
        try:
            now = _one(now, one, newline)
        except ToolFailure as failure:
            words = str(failure)
            if number > 1 and isinstance(failure, _Nowhere):  # its lines are told as they are in the file
                words = _nearest(text.replace("\r\n", "\n"), one.old.replace("\r\n", "\n"))
            if len(wanted) > 1:
                words = f"Of the {len(wanted)} edits, number {number} does not fit, so none was made: {words}"
            raise ToolFailure(f"Nothing was written to {shown}. {words}") from None
    return now


class _Nowhere(ToolFailure):
    """What is to be replaced is not there."""


def _one(text: str, wanted: Replacement, newline: str) -> str:
    old, new = wanted.old.replace("\r\n", "\n"), wanted.new.replace("\r\n", "\n")
    if not old:
        raise ToolFailure("old is empty: give the text beside which something is added, or use write for the whole file.")
    if old == new:
        raise ToolFailure("old and new are the same.")
    if wanted.all and "\r" not in text and old in text:
        return text.replace(old, new)
    view = text.replace("\r\n", "\n")
    places = _places(view, old, apart=wanted.all)
    if not places:
        raise _Nowhere(_nearest(view, old))
    if len(places) > 1 and not wanted.all:
        lines = ", ".join(str(view.count("\n", 0, place) + 1) for place in places[:_MOST_PLACES])
        times = f"{len(places)} times" if len(places) <= _MOST_PLACES else f"more than {_MOST_PLACES} times"
        raise ToolFailure(f"old stands there {times}, in lines {lines}: add lines around the one that is meant, or set all.")
    marks = _line_ends_before(text)
    # What old and new have in common stays as it is, to its line ends.
    same = _common(old, new)
    tail = _common(old[same:][::-1], new[same:][::-1])
    middle = new[same : len(new) - tail]
    parts: list[str] = []
    done = 0
    for place in places:
        start, end = place + same, place + len(old) - tail
        start += bisect.bisect_left(marks, start)
        end += bisect.bisect_left(marks, end)
        ends = _ends_at(text, start, end, newline)
        parts += [text[done:start], middle.replace("\n", ends) if ends != "\n" else middle]
        done = end
    return "".join([*parts, text[done:]])


def _places(view: str, old: str, *, apart: bool) -> list[int]:
    """Return where it stands: all places apart from each other, or a few more than one, be it that they overlap."""
    places: list[int] = []
    at = view.find(old)
    while at >= 0 and (apart or len(places) <= _MOST_PLACES):
        places.append(at)
        at = view.find(old, at + (len(old) if apart else 1))
    return places


def _common(one: str, other: str) -> int:
    """Return how many characters both begin with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _ends_at(text: str, start: int, end: int, newline: str) -> str:
    """Return the line end of what stands there, else of the line that it stands in, else of the file."""
    region = text[start:end]
    if "\n" in region:
        return "\r\n" if region.count("\r\n") * 2 >= region.count("\n") else "\n"
    if "\r" in region and newline == "\r":
        return newline
    following = re.compile(r"\r\n|\n").search(text, end)
    return following[0] if following else newline


def _line_ends_before(text: str) -> list[int]:
    """Return where, in the text with plain newlines, those stand that were two characters."""
    return [match.start() - number for number, match in enumerate(re.finditer("\r\n", text))]


def _nearest(view: str, old: str) -> str:
    """Say what stands nearest to what was not found, and what differs."""
    if old in view:
        return "an earlier one of them changed the text that it is for."
    if _LINE_NUMBERS.fullmatch(old):
        return "old is nowhere in it: it begins with line numbers, which read adds; leave them out."
    lines, wanted = view.split("\n")[:_MOST_LINES], old.strip("\n").split("\n")
    start = _best(lines, wanted)
    if start is None:
        return "old is nowhere in it, and nothing like it; read it again."
    near = lines[start : start + len(wanted)]
    differs = next(((mine, theirs) for mine, theirs in zip(wanted, near, strict=False) if mine != theirs), None)
    told = "\n".join(f"{number}\t{line}" for number, line in enumerate(near[:_SHOWN], start + 1))
    first, last = start + 1, start + len(near)
    where = f"line {first}" if first == last else f"lines {first}-{last}"
    words = [f"old is nowhere in it. Nearest is {where}:", told]
    if len(near) > _SHOWN:
        words.append(f"[{len(near) - _SHOWN} more lines]")
    if differs is not None:
        only = " (only white space differs)" if [one.split() for one in wanted] == [one.split() for one in near] else ""
        words.append(f"It differs{only}: old has {differs[0]!r}, the file has {differs[1]!r}.")
    else:
        words.append("It differs in what is before or after these lines: in blank lines, or in where a line ends.")
    return "\n".join(words)


def _best(lines: list[str], wanted: list[str]) -> int | None:
    """Return where the lines begin that are most like the wanted ones, if any are."""
    bare = [line.strip() for line in wanted]
    offsets: dict[str, list[int]] = {}
    for offset, line in enumerate(bare):
        if line:
            offsets.setdefault(line, []).append(offset)
    votes: dict[int, int] = {}
    for at, line in enumerate(lines):
        for offset in offsets.get(line.strip(), ())[:20]:
            if at >= offset:
                votes[at - offset] = votes.get(at - offset, 0) + 1
    if votes:
        return max(votes, key=lambda start: (votes[start], -start))
    offset, longest = max(enumerate(bare), key=lambda pair: len(pair[1]))
    matcher = SequenceMatcher(None, b=longest[:400], autojunk=False)
    best, likeness = None, 0.6
    deadline = time.monotonic() + _SECONDS
    for at, line in enumerate(lines):
        if time.monotonic() > deadline:
            break
        matcher.set_seq1(line.strip()[:400])
        if matcher.real_quick_ratio() > likeness and matcher.quick_ratio() > likeness and matcher.ratio() > likeness:
            best, likeness = max(0, at - offset), matcher.ratio()
    return best
