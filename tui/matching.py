"""Owns fuzzy matching of paths: which of many fit a few letters, the best first."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

_BLOCK = 2048  # paths that are looked through at once; between two blocks other threads run
_ENOUGH = 300  # candidates that are weighed
_EDGES = frozenset("/_-. ")


@dataclass(frozen=True, slots=True)
class Fit:
    """A path that fits, and where the letters that were typed stand in it."""

    path: str
    places: tuple[int, ...]


class _Block:
    """Some paths in one text, a line each, so that one regular expression looks through all of them."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        lower = [_lower(path).replace("\n", " ") for path in paths]
        names = [path[path.rfind("/", 0, -1) + 1 :] for path in lower]
        self._texts = tuple("\n" + "\n".join(texts) + "\n" for texts in (names, lower))
        self._starts = tuple(list(accumulate((len(text) + 1 for text in texts), initial=1)) for texts in (names, lower))

    def found(self, pattern: re.Pattern[str], whole: bool) -> Iterator[str]:
        """Yield the paths in whose name, or in which as a whole, the pattern is found."""
        starts, last = self._starts[whole], -1
        for match in pattern.finditer(self._texts[whole]):
            at = bisect_right(starts, match.end() - 1) - 1
            if at != last:
                yield self.paths[at]
                last = at


class Index:
    """Many paths, looked through in a few milliseconds."""

    def __init__(self, paths: Iterable[str]) -> None:
        # The shallow and short come first, so that of many that fit alike the likely ones are weighed.
        ordered = sorted(paths, key=lambda path: (path.count("/", 0, -1), len(path), path))
        self._count = len(ordered)
        self._blocks = [_Block(ordered[at : at + _BLOCK]) for at in range(0, self._count, _BLOCK)]

    def __len__(self) -> int:
        return self._count

    def best(self, query: str, most: int, stopped: Callable[[], bool] = lambda: False) -> list[Fit]:
        """Return the paths that fit best. `stopped` is asked now and then; once it holds, the answer is worth nothing."""
        if not query:
            return [Fit(path, ()) for block in self._blocks[:1] for path in block.paths[:most]]
        sought = _lower(query)
        candidates: dict[str, None] = {}
        for pattern, whole in _patterns(sought):
            for block in self._blocks:
                if stopped():
                    return []
                for path in block.found(pattern, whole):
                    candidates[path] = None
                    if len(candidates) == _ENOUGH:
                        break
                if len(candidates) == _ENOUGH:
                    break
            if len(candidates) >= most:  # what only looser patterns find fits worse
                break
        weighed = sorted((weigh(path, sought) for path in candidates), key=lambda one: (-one[0], len(one[1].path), one[1].path))
        return [fit for _, fit in weighed[:most]]


def weigh(path: str, sought: str) -> tuple[int, Fit]:
    """Say how well letters, which must be lower-case, fit a path that holds them in order, and where they stand."""
    lower = _lower(path)
    name = lower.rfind("/", 0, -1) + 1
    at = lower.find(sought, name)
    if at < 0:
        at = lower.rfind(sought)
    together = list(range(at, at + len(sought))) if at >= 0 else []
    places = together or _scattered(lower, sought, name) or _scattered(lower, sought, 0)
    score = -len(path)
    for number, place in enumerate(places):
        edge = place == 0 or lower[place - 1] in _EDGES or (path[place].isupper() and path[place - 1].islower())
        joined = number > 0 and places[number - 1] == place - 1
        score += (40 if joined else 0) + (30 if edge else 0) + (20 if place >= name else 0)
    if places and places[0] == name:
        score += 60
    if len(sought) == len(lower.rstrip("/")) - name:
        score += 60
    return score, Fit(path, tuple(places))


def _scattered(lower: str, sought: str, start: int) -> list[int]:
    """Return where letters stand one after the other, as far to the right and as close together as can be; empty if nowhere."""
    at, places = len(lower), []
    for letter in reversed(sought):
        at = lower.rfind(letter, start, at)
        if at < 0:
            return []
        places.append(at)
    return places[::-1]


def _patterns(sought: str) -> list[tuple[re.Pattern[str], bool]]:
    """Return what is looked for, the closest first, and whether in whole paths (else in names)."""
    plain = re.escape(sought)
    loose = "".join(f"[^\n{re.escape(letter)}]*+{re.escape(letter)}" for letter in sought)
    paths = [(re.compile(plain), True), (re.compile(f"\n{loose}"), True)]
    if "/" in sought.rstrip("/"):
        return paths
    return [(re.compile(f"\n{plain}"), False), (re.compile(plain), False), (re.compile(f"\n{loose}"), False), *paths]


def _lower(text: str) -> str:
    """Return the text in lower case, each letter in its place."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text
