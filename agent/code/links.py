"""Owns how the files of an index lean on one another: who uses what whom defines, and which files most others lead to."""

import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from agent.code.grammars import WORDS, language
from agent.code.names import is_aside
from agent.code.store import Store

_MOST_DEFINING = 5  # files that define a name: one that more define says little of which is meant
_MOST_LINKS = 24  # of a file that are kept, the strongest
_ROUNDS = 15
_FOLLOWED = 0.85  # of what a file has goes on to what it uses
_STALE = 0.02  # of the files may have changed before all are ranked anew
_FINEST = 1e-4  # of what is spread from some files: less of it is not followed any further
_MOST_STEPS = 4_000
_FAMILIES = {"typescript": "javascript", "tsx": "javascript", "cpp": "c", "kotlin": "java"}  # that use each other's names
_FORGET = """
DROP TABLE IF EXISTS temp.spoken; DROP TABLE IF EXISTS temp.weights;
CREATE TEMP TABLE spoken(file INTEGER PRIMARY KEY, family TEXT);
CREATE TEMP TABLE weights(name INTEGER, family TEXT, weight REAL, PRIMARY KEY(name, family)) WITHOUT ROWID;
"""
# A name of several words is the surer to mean its definition the longer it is; what stands in a class is called on anything.
_WEIGHED = """
INSERT INTO weights SELECT firm.name, family, (CASE WHEN surest = 2 THEN 1.0 ELSE 0.05 END) / many
    * (CASE WHEN substr(names.name, 1, 1) = '_' THEN 0.1 ELSE 1.0 END)
    * (CASE WHEN length(names.name) < 5 THEN 0.2 WHEN length(names.name) < 8 THEN 0.6 ELSE 1.0 END)
    * (CASE WHEN names.name GLOB '?*_?*' OR names.name GLOB '*[a-z]*[A-Z]*' OR names.name GLOB '[A-Z]*' THEN 1.0 ELSE 0.1 END)
    FROM (SELECT name, family, max(defined) AS surest, count(*) AS many FROM places JOIN spoken ON spoken.file = places.file
        WHERE defined GROUP BY name, family HAVING count(*) <= ?) AS firm
    JOIN names ON names.id = firm.name WHERE length(names.name) > 2
"""
_LED = """
SELECT users.file, definers.file, sum(weights.weight) FROM weights
    JOIN places AS definers ON definers.name = weights.name AND definers.defined
    JOIN spoken AS theirs ON theirs.file = definers.file AND theirs.family = weights.family
    JOIN places AS users ON users.name = weights.name AND users.lines != ''
    JOIN spoken AS ours ON ours.file = users.file AND ours.family = weights.family
    WHERE users.file != definers.file
    GROUP BY users.file, definers.file ORDER BY users.file
"""


def rank(store: Store) -> None:
    """Rank the files by how much the others lean on them, where enough has changed since that was done. Raises sqlite3.Error."""
    connection = store.connection
    [[listed, unranked]] = connection.execute("SELECT listed, unranked FROM progress")
    if unranked <= listed * _STALE:
        return
    links = _links(connection)
    ranks = _ranked(links)
    with store.batch():
        connection.execute("DELETE FROM links")
        connection.executemany("INSERT INTO links VALUES(?, ?, ?)", links.rows(ranks))
        connection.execute("UPDATE progress SET unranked = 0")


def best(store: Store, most: int) -> dict[int, float]:
    """Return the files that the others lean on most, with their ranks, which are 1 in all. Raises sqlite3.Error."""
    return dict(store.connection.execute("SELECT file, rank FROM links ORDER BY rank DESC LIMIT ?", (most,)))


def spread(store: Store, seeds: Mapping[int, float]) -> dict[int, float]:
    """Return what files are worth to who begins at some of them, 1 in all: a PageRank of their own, as far as it counts.

    The work does not grow with the tree. Raises sqlite3.Error.
    """
    whole = sum(seeds.values()) or 1.0
    left = {file: weight / whole for file, weight in seeds.items()}
    worth: dict[int, float] = {}
    waiting = sorted(left, key=lambda file: -left[file])
    for _ in range(_MOST_STEPS):
        if not waiting:
            break
        file = waiting.pop(0)
        have = left.pop(file, 0.0)
        uses, weights = _unpacked(store, file)
        worth[file] = worth.get(file, 0.0) + (have * (1 - _FOLLOWED) if uses else have)
        for other, weight in zip(uses, weights, strict=True):
            had = left.get(other, 0.0)
            left[other] = had + have * _FOLLOWED * weight
            if had < _FINEST <= left[other]:
                waiting.append(other)
    return worth


@dataclass(slots=True)
class _Links:
    """Which files each file uses, and how much of its use each is: in one row, where `ends` says up to where each has its own."""

    files: "array[int]"
    ends: "array[int]" = field(default_factory=lambda: array("l"))
    uses: "array[int]" = field(default_factory=lambda: array("l"))  # places in `files`
    weights: "array[float]" = field(default_factory=lambda: array("f"))

    def rows(self, ranks: Sequence[float]) -> Iterator[tuple[int, float, bytes]]:
        """Yield each file with its rank and what is kept of it."""
        start = 0
        for file, end, rank in zip(self.files, self.ends, ranks, strict=True):
            others = array("q", (self.files[at] for at in self.uses[start:end]))
            yield file, rank, others.tobytes() + self.weights[start:end].tobytes()
            start = end


def _links(connection: sqlite3.Connection) -> _Links:
    connection.executescript(_FORGET)
    files, aside = array("q"), set()
    for file, path in connection.execute("SELECT id, path FROM files ORDER BY id"):
        files.append(file)
        if is_aside(path):
            aside.add(file)
        if (spoken := language(path)) not in WORDS:
            connection.execute("INSERT INTO spoken VALUES(?, ?)", (file, _FAMILIES.get(spoken, spoken)))
    connection.execute(_WEIGHED, (_MOST_DEFINING,))
    links = _Links(files)
    users = groupby(connection.execute(_LED), key=itemgetter(0))
    user, led = next(users, (0, iter(())))
    for file in files:
        if user == file:
            row = [(weight, other) for _, other, weight in led if other not in aside or file in aside]
            strongest = sorted(row, reverse=True)[:_MOST_LINKS]
            total = sum(weight for weight, _ in strongest)
            links.uses.extend(bisect_left(files, other) for _, other in strongest)
            links.weights.extend(weight / total for weight, _ in strongest)
            user, led = next(users, (0, iter(())))
        links.ends.append(len(links.uses))
    return links


def _ranked(links: _Links) -> "array[float]":
    """Return the PageRank of each file."""
    count = len(links.files)
    ranks = array("d", [1 / max(1, count)]) * count
    for _ in range(_ROUNDS):
        led = array("d", bytes(8 * count))
        passed, start = 0.0, 0
        for number, end in enumerate(links.ends):
            if start < end:
                have = ranks[number] * _FOLLOWED
                passed += have
                for at in range(start, end):
                    led[links.uses[at]] += have * links.weights[at]
                start = end
        rest = (1 - passed) / max(1, count)
        ranks = array("d", (value + rest for value in led))
    return ranks


def _unpacked(store: Store, file: int) -> tuple[Sequence[int], Sequence[float]]:
    """Return which files a file uses, and how much of its use each is."""
    row = store.connection.execute("SELECT uses FROM links WHERE file = ?", (file,)).fetchone()
    if row is None:
        return (), ()
    raw = bytes(row[0])
    cut = len(raw) // 12 * 8
    uses, weights = array("q", raw[:cut]), array("f", raw[cut : cut // 2 * 3])
    return uses, weights
