"""Owns the file that an index of names is kept in: which names stand in which files, and what each file defines."""

import json
import os
import sqlite3
import time
import zlib
from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from agent.code.names import parts, words
from agent.code.shape import SMALL, Definition, Shape

_LAYOUT = 4
_PATIENCE = 5.0  # seconds that another writer may take
_REMEMBERED = 60_000  # names whose numbers a writer keeps in mind
_MOST_ALIKE = 400
_NAMESPACES = frozenset(("namespace", "module"))
_TABLES = """
CREATE TABLE files(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, size INTEGER, time INTEGER, inode INTEGER,
    definitions TEXT NOT NULL, names BLOB NOT NULL, refused INTEGER NOT NULL);
CREATE INDEX refusals ON files(id) WHERE refused;
CREATE TABLE names(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE places(name INTEGER, file INTEGER, defined INTEGER NOT NULL, lines TEXT NOT NULL,
    PRIMARY KEY(name, file)) WITHOUT ROWID;
CREATE TABLE links(file INTEGER PRIMARY KEY, rank REAL NOT NULL, uses BLOB NOT NULL);
CREATE INDEX ranks ON links(rank);
CREATE TABLE progress(one INTEGER PRIMARY KEY CHECK(one = 1), listed INTEGER NOT NULL, complete INTEGER NOT NULL,
    unranked INTEGER NOT NULL, looked INTEGER NOT NULL);
CREATE VIRTUAL TABLE alike USING fts5(name, content='', detail='full', tokenize='trigram');
INSERT INTO progress VALUES(1, 0, 0, 0, 0);
"""


class Mark(NamedTuple):
    """By what a file is known again. A time of -1 is never met: it changed so late that it may have changed once more."""

    size: int
    time: int  # nanoseconds
    inode: int


def mark_of(status: os.stat_result) -> Mark:
    """Return by what a file is known again."""
    return Mark(status.st_size, status.st_mtime_ns, status.st_ino)


class Progress(NamedTuple):
    """How many files were listed and are held, and whether all of them ever were."""

    listed: int
    held: int
    complete: bool


class Holding(NamedTuple):
    """A file that holds a name: its number, whether it defines the name, and the lines that use it."""

    file: int
    path: str
    mark: Mark
    defined: bool
    told: str

    @property
    def lines(self) -> list[int]:
        """The lines that use it."""
        return [int(one) for one in self.told.split()]


@cache
def version() -> int:
    """Return a number that is another one whenever what is kept would be."""
    told = zlib.crc32(str(_LAYOUT).encode())
    here = Path(__file__).parent
    for path in (here / "shape.py", *sorted((here / "queries").glob("*.scm"))):
        told = zlib.crc32(path.read_bytes(), told)
    return (told & 0x7FFFFFFF) or 1


class Store:
    """An open index. Every method may raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._numbers: dict[str, int] = {}

    @classmethod
    @contextmanager
    def reading(cls, path: Path) -> Iterator["Store"]:
        """Open it to read. Raises sqlite3.Error where there is none, or one of another version."""
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_PATIENCE)
        with closing(connection):
            connection.execute("PRAGMA query_only=1")
            _demand_version(connection)
            yield cls(connection)

    @classmethod
    @contextmanager
    def writing(cls, path: Path) -> Iterator["Store"]:
        """Open it to write; make it where there is none. Raises sqlite3.Error where it is damaged or of another version."""
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        with closing(connection):
            path.chmod(0o600)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # what a failing machine takes away is built again
            connection.execute("PRAGMA cache_size=-24000")
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version={version()};COMMIT")
            _demand_version(connection)
            yield cls(connection)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Write all that is written within, or nothing of it."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            self._numbers.clear()
            raise
        self.connection.execute("COMMIT")

    def progress(self) -> Progress:
        """Return how far it is."""
        [[listed, complete]] = self.connection.execute("SELECT listed, complete FROM progress")
        held = listed if complete else self.connection.execute("SELECT count(*) FROM files").fetchone()[0]
        return Progress(listed, held, bool(complete))

    def marks(self) -> dict[str, Mark]:
        """Return all files that are held."""
        rows = self.connection.execute("SELECT path, size, time, inode FROM files")
        return {path: Mark(size, time, inode) for path, size, time, inode in rows}

    def mark(self, path: str) -> Mark | None:
        """Return by what a file is known, None where it is not held."""
        row = self.connection.execute("SELECT size, time, inode FROM files WHERE path = ?", (path,)).fetchone()
        return row and Mark(*row)

    def holds_below(self, folder: str) -> bool:
        """Whether any file of a folder, or the file itself, is held."""
        query = "SELECT 1 FROM files WHERE path = ? OR (path > ? AND path < ?) LIMIT 1"
        return self.connection.execute(query, (folder, f"{folder}/", f"{folder}0")).fetchone() is not None

    def refused(self) -> list[str]:
        """Return the files that could not be parsed."""
        return [path for (path,) in self.connection.execute("SELECT path FROM files WHERE refused")]

    def holding(self, name: str, most: int = -1) -> list[Holding]:
        """Return the files that define or use a name; where only so many are wanted, those first that define it."""
        rows = self.connection.execute(
            "SELECT files.id, path, size, time, inode, defined, lines FROM (SELECT file, defined, lines FROM places "
            "WHERE name = (SELECT id FROM names WHERE name = ?) ORDER BY min(defined, 1) DESC LIMIT ?) AS found "
            "JOIN files ON files.id = found.file",
            (name, most),
        )
        return [Holding(file, path, Mark(*mark), bool(defined), lines) for file, path, *mark, defined, lines in rows]

    def defining(self, name: str, most: int) -> list[tuple[int, str]]:
        """Return some files that define a name."""
        rows = self.connection.execute(
            "SELECT files.id, path FROM names JOIN places ON places.name = names.id JOIN files ON files.id = places.file "
            "WHERE names.name = ? AND defined LIMIT ?",
            (name, most),
        )
        return rows.fetchall()

    def users(self, names: Collection[str], most: int) -> dict[str, int]:
        """Return how many files use each of some names, of `most` that have it."""
        query = (
            "SELECT name, (SELECT sum(used) FROM (SELECT lines != '' AS used FROM places WHERE places.name = names.id LIMIT ?)) "
            "FROM names WHERE name IN (SELECT value FROM json_each(?))"
        )
        return dict(self.connection.execute(query, (most, json.dumps(list(names)))))

    def paths(self) -> Iterator[tuple[int, str]]:
        """Yield all files that are held."""
        yield from self.connection.execute("SELECT id, path FROM files INDEXED BY sqlite_autoindex_files_1")

    def file(self, file: int) -> tuple[str, Mark] | None:
        """Return where a file is, and by what it is known."""
        row = self.connection.execute("SELECT path, size, time, inode FROM files WHERE id = ?", (file,)).fetchone()
        return (row[0], Mark(*row[1:])) if row else None

    def definitions(self, file: int) -> tuple[Definition, ...]:
        """Return what a file defines, in order."""
        rows = self.connection.execute("SELECT definitions FROM files WHERE id = ?", (file,))
        return tuple(Definition(*told) for (packed,) in rows for told in json.loads(packed))

    def alike(self, name: str) -> list[str]:
        """Return defined names that have three letters in a row as this one has, the likest first."""
        some = {name.lower(), *words(name)}
        grams = sorted({one[at : at + 3] for one in some for at in range(len(one) - 2)})
        if not grams:
            return []
        asked = " OR ".join('"' + gram.replace('"', '""') + '"' for gram in grams[:60])
        rows = self.connection.execute(
            "SELECT names.name FROM (SELECT rowid FROM alike WHERE alike MATCH ? ORDER BY rank LIMIT ?) AS found "
            "JOIN names ON names.id = found.rowid",
            (asked, _MOST_ALIKE),
        )
        return [one for (one,) in rows]

    def listed(self, count: int) -> None:
        """Keep how many files there are."""
        self.connection.execute("UPDATE progress SET listed = ?", (count,))

    def complete(self) -> None:
        """Keep that all files are held, and when that was so."""
        self.connection.execute("UPDATE progress SET complete = 1, looked = ?", (int(time.time()),))

    def looked(self) -> int:
        """Return when all files were last held as they were, in seconds since 1970."""
        [[looked]] = self.connection.execute("SELECT looked FROM progress")
        return int(looked)

    def drop(self, path: str) -> None:
        """Forget a file."""
        file = self._empty(path)
        if file is not None:
            self.connection.execute("DELETE FROM links WHERE file = ?", (file,))
            self.connection.execute("UPDATE progress SET unranked = unranked + 1")

    def _empty(self, path: str) -> int | None:
        """Forget what a file is made of, and return the number that it had."""
        row = self.connection.execute("SELECT id, names FROM files WHERE path = ?", (path,)).fetchone()
        if row is None:
            return None
        file = int(row[0])
        numbers = array("q", row[1])
        self.connection.executemany("DELETE FROM places WHERE name = ? AND file = ?", ((number, file) for number in numbers))
        self.connection.execute("DELETE FROM files WHERE id = ?", (file,))
        return file

    def put(self, path: str, mark: Mark, shape: Shape) -> None:
        """Keep what a file is made of, in the place of what it was."""
        number_before = self._empty(path)
        lines = {name: " ".join(map(str, found)) for name, found in shape.uses.items()}
        defined = {parts(one.name)[-1] for one in shape.definitions}
        outer = _outer(shape.definitions)
        numbers = {name: self._number(_text(name)) for name in {*lines, *defined}}
        packed = json.dumps([[o.name, o.kind, o.first, o.last, o.depth, o.signature] for o in shape.definitions])
        file = self.connection.execute(
            "INSERT INTO files(id, path, size, time, inode, definitions, names, refused) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            (number_before, path, *mark, packed, array("q", set(numbers.values())).tobytes(), bool(shape.refused)),
        ).lastrowid
        self.connection.executemany(
            "INSERT OR REPLACE INTO places VALUES(?, ?, ?, ?)",
            sorted((number, file, (name in defined) + (name in outer), lines.get(name, "")) for name, number in numbers.items()),
        )
        self.connection.execute("UPDATE progress SET unranked = unranked + 1")
        self._let_be_found([numbers[name] for name in defined], [_text(name) for name in defined])

    def _let_be_found(self, numbers: Sequence[int], names: Sequence[str]) -> None:
        for number, name in zip(numbers, names, strict=True):
            known = self.connection.execute("SELECT 1 FROM alike WHERE rowid = ?", (number,)).fetchone()
            if known is None:
                self.connection.execute("INSERT INTO alike(rowid, name) VALUES(?, ?)", (number, name))

    def _number(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            row = self.connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
            number = row[0] if row else self.connection.execute("INSERT INTO names(name) VALUES(?)", (name,)).lastrowid or 0
            if len(self._numbers) >= _REMEMBERED:
                self._numbers.clear()
            self._numbers[name] = number
        return number


def _outer(definitions: Sequence[Definition]) -> set[str]:
    """Return the names that a text gives to others: of what stands in nothing but namespaces, and is no key or value."""
    open_: list[bool] = []  # whether each of those that we are within is a namespace
    found: set[str] = set()
    for one in definitions:
        del open_[one.depth :]
        if all(open_) and one.kind not in SMALL:
            found.add(parts(one.name)[-1])
        open_.append(one.kind in _NAMESPACES)
    return found


def _text(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def _demand_version(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if not found:
        raise sqlite3.OperationalError("it is being made")
    if found != version():
        raise sqlite3.DatabaseError("it was made by another version")
