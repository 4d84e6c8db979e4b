"""Owns names of code: how one is written with what it stands in, which definitions it means, and which are called nearly so."""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher

from agent.code.shape import Definition

_BETWEEN = re.compile(r"::|->|[.#/\\]")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_TEST = re.compile(r"(?:^|/)(?:tests?|spec)s?/|(?:^|/)test_|_test\.|\.(?:test|spec)\.")
_ASIDE = re.compile(
    r"(?:^|/)(?:_?vendor(?:ed|s)?|third[_-]?party|node_modules|bower_components|site-packages|dist|examples?|migrations)/"
    r"|\.min\.|[._-]pb2?\.|_pb2_grpc\.|[._-]generated\."
)
_LIKE = 0.75


def parts(name: str) -> tuple[str, ...]:
    """Return a name as what it stands in, outermost first, and the name itself: `Class.method`, `mod::f`, `Class#method`."""
    found = tuple(part for part in _BETWEEN.split(name.strip().partition("(")[0].rstrip()) if part)
    return found or (name.strip(),)


def words(name: str) -> list[str]:
    """Return the words that a name is made of, in small letters: `parseHTTPHead` and `parse_http_head` alike."""
    return [word.lower() for word in _WORDS.findall(name)]


def called(definitions: Sequence[Definition]) -> Iterator[tuple[str, Definition]]:
    """Yield each definition of a text under its whole name, with what it stands in."""
    above: list[str] = []
    for one in definitions:
        del above[one.depth :]
        above.append(one.name)
        yield ".".join(above), one


def meant(name: str, definitions: Sequence[Definition]) -> list[tuple[str, Definition]]:
    """Return the definitions of a text that a name means."""
    wanted = parts(name)
    found = [(whole, one) for whole, one in called(definitions) if parts(one.name)[-1] == wanted[-1]]
    if len(wanted) == 1:
        return found
    # What it stands in may be told by its first line alone, as the receiver of a method in Go.
    within = [(whole, one) for whole, one in found if parts(whole)[-len(wanted) :] == wanted]
    return within or [
        (whole, one) for whole, one in found if re.search(rf"\b{re.escape(wanted[-2])}\b", f"{one.signature} {whole}")
    ]


def lies_in(path: str, owner: str) -> bool:
    """Whether a file, or a folder that it lies in, is called as what a name is said to stand in: a module."""
    *folders, base = path.split("/")
    return owner in {*folders, base.partition(".")[0]}


def near(name: str, others: Iterable[str], most: int = 10) -> list[str]:
    """Return the names that are most like one, the best first."""
    wanted, bare = set(words(name)), name.lower()
    scored: list[tuple[float, str]] = []
    for other in set(others):
        small = other.lower()
        matcher = SequenceMatcher(None, small, bare, autojunk=False)
        if small == bare:
            score = 3.0
        elif wanted and all(any(word.startswith(one) for word in words(other)) for one in wanted):
            score = 2.0 - len(other) / 1000
        elif bare in small and len(bare) > 2:
            score = 1.5 - len(other) / 1000
        elif matcher.real_quick_ratio() > _LIKE and matcher.quick_ratio() > _LIKE and (likeness := matcher.ratio()) > _LIKE:
            score = likeness
        else:
            continue
        scored.append((score, other))
    return [other for _, other in sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:most]]


def is_aside(path: str) -> bool:
    """Whether a file is called as those are that a project does not consist of: tests, what others wrote, what programs made."""
    return bool(_TEST.search(path) or _ASIDE.search(path))


def is_test(path: str) -> bool:
    """Whether a file is called as tests are."""
    return bool(_TEST.search(path))
