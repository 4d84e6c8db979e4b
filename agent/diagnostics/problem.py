"""Owns what a problem in a file is, which of them are new, and the words in which they are told."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.safe import safe_line

_LONGEST = 300  # characters of a message
_LONGEST_NEAR = 200  # of a line by which a problem is known again
_MOST_TOLD = 8  # problems

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a program finds wrong with a line. `near` is what stands there, "" where nobody looked."""

    line: int
    message: str
    code: str = ""
    grave: bool = True
    near: str = ""

    @property
    def key(self) -> Key:
        """What it is known by where lines have moved."""
        return self.code, self.message, self.near

    @property
    def words(self) -> str:
        """It as a model and a person read it, without where it is."""
        code = f" [{self.code}]" if self.code else ""
        return f"{'error' if self.grave else 'warning'}: {self.message}{code}"


def problem(line: int, message: str, code: str, lines: Sequence[str], *, grave: bool) -> Problem:
    """Return a problem of what a program said, bounded; `line` counts from one."""
    near = lines[line - 1].strip()[:_LONGEST_NEAR] if 0 < line <= len(lines) else ""
    what = message.partition("\nhelp: ")[0]  # some add what would mend it, which says it once more
    return Problem(max(line, 1), _short(what, _LONGEST), _short(code, 80), grave, near)


def fresh(known: Counter[Key], found: Iterable[Problem]) -> list[Problem]:
    """Return what is found and not known, as often as it is found more often than known."""
    left = known.copy()
    new = []
    for one in found:
        if left[one.key] > 0:
            left[one.key] -= 1
        else:
            new.append(one)
    return new


def keys(found: Iterable[Problem]) -> Counter[Key]:
    """Return what problems are known by."""
    return Counter(one.key for one in found)


@dataclass(frozen=True, slots=True)
class Told:
    """New problems of one file, with who found them."""

    file: str  # as the model knows it
    by: str
    problems: tuple[Problem, ...]


def lines(found: Sequence[Told]) -> list[str]:
    """Return new problems as lines, errors first in each file; few of many, and how many more there are."""
    told = [
        safe_line(f"{one.file}:{problem.line}: {problem.words} ({one.by})")
        for one in found
        for problem in sorted(one.problems, key=lambda problem: (not problem.grave, problem.line))
    ]
    if len(told) > _MOST_TOLD:
        told[_MOST_TOLD:] = [f"and {len(told) - _MOST_TOLD} more"]
    return told


def _short(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
