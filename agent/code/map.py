"""Owns the map of a work tree: the files that its others lean on most, and those that a prompt is about, with how they begin."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from pathlib import Path

from agent.code.grammars import WORDS, language
from agent.code.links import best, spread
from agent.code.names import is_aside, parts
from agent.code.shape import SMALL, Definition
from agent.code.store import Progress, Store, mark_of
from agent.safe import safe_line

_MOST_RANKED = 120  # files that are looked at
_MOST_TOLD = 60  # files that may be told
_MOST_WORDS = 200  # of a prompt
_MOST_MEANT = 8  # files that a word may mean
_MOST_DEFINITIONS = 150  # of a file that are looked at
_MOST_USERS = 100  # that are counted
_OF_FILE = 8  # definitions that are told
_LONGEST = 100  # characters of a definition
_LONGEST_PATH = 200
_GENERAL = 0.4  # of a file's worth is what it is to all others
_MEANT = 0.4  # and this whether the prompt means it; the rest is what it is to those that the prompt means
_MAIN = frozenset(("__init__", "index", "mod"))  # files that are called by their folder
_WORD = re.compile(r"[\w./-]*\w")
_NAMED = re.compile(r"_|[a-z][A-Z]|\d|\.")  # what no word of a language has, but names have
Shown = Callable[[str], str]  # a path below the root, as it is told; nothing where it may not be


@dataclass(frozen=True, slots=True)
class Mapped:
    """A file of a map, with the first lines of what it defines, each with its number and how deep it stands."""

    path: str
    lines: tuple[tuple[int, int, str], ...] = ()
    changed: bool = False  # since it was looked into


@dataclass(frozen=True, slots=True)
class Map:
    """What is known of a work tree when a session begins; without `progress` there is no index."""

    files: tuple[Mapped, ...] = ()
    progress: Progress | None = None

    def told(self) -> str:
        """Return it as lines, a file or a definition each."""
        return "\n".join(line for one in self.files for line in _lines(one))


@dataclass(frozen=True, slots=True)
class Wish:
    """For which words a map is made, how large it may be, as `count` counts a text, and until when, by the clock.

    `anew` holds what is defined now in files that have changed since they were looked into.
    """

    prompt: str
    room: int
    count: Callable[[str], int]
    until: float
    anew: Mapping[str, tuple[Definition, ...]] = field(default_factory=dict)


def draw(index: Path, root: Path, wish: Wish, shown: Shown) -> Map:
    """Draw the map from an index. Raises sqlite3.Error where there is none, or the time is up."""
    with Store.reading(index) as store:
        store.connection.set_progress_handler(lambda: time.monotonic() > wish.until, 10_000)
        progress = store.progress()
        named = _named(store, wish.prompt)
        worth = {file: rank * _GENERAL for file, rank in best(store, _MOST_RANKED).items()}
        for file, value in spread(store, named).items():
            meant = named.get(file, 0.0) / sum(named.values())
            worth[file] = worth.get(file, 0.0) + meant * _MEANT + value * (1 - _GENERAL - _MEANT)
        asked = {word.rpartition(".")[2] for word in _words(wish.prompt)}
        rows = _choice(store, root, worth, named, shown)
        rows = [replace(row, changed=row.changed and row.path not in wish.anew) for row in rows]
        return Map(tuple(_fitting(store, rows, asked, wish)), progress)


@dataclass(frozen=True, slots=True)
class _Row:
    file: int
    path: str
    worth: float
    changed: bool


def _words(prompt: str) -> list[str]:
    return list(dict.fromkeys(_WORD.findall(prompt[:20_000])))[:_MOST_WORDS]


def _named(store: Store, prompt: str) -> dict[int, float]:
    """Return the files that the words of a prompt mean: by what they define, and by what they are called."""
    words = _words(prompt)
    found: dict[int, float] = {}
    for name in dict.fromkeys(one for word in words for one in (word, parts(word)[-1]) if len(one) > 2):
        sure = bool(_NAMED.search(name)) or name[0].isupper()
        some = [(file, path) for file, path in store.defining(name, _MOST_MEANT + 1) if language(path) not in WORDS]
        for file, path in some if len(some) <= _MOST_MEANT else ():
            if sure or not is_aside(path):
                weight = (1.0 if sure else 0.05) * (0.3 if is_aside(path) else 1.0)
                found[file] = found.get(file, 0.0) + weight / len(some)
    for weight, files in _called(store, words):
        for file in files if len(files) <= _MOST_MEANT else ():
            found[file] = found.get(file, 0.0) + weight / len(files)
    return found


def _called(store: Store, words: Sequence[str]) -> Iterator[tuple[float, list[int]]]:
    """Yield the files that words mean by their paths, and how surely: those first in whose folder another word is met."""
    stems: dict[str, list[tuple[int, bool]]] = {_bare(word): [] for word in words if len(word) > 2 and word.isalnum()}
    paths: dict[str, list[int]] = {word.lstrip("./"): [] for word in words if "/" in word or "." in word}
    ends = tuple(paths)
    for file, path in store.paths():
        folder, _, base = path.rpartition("/")
        stem = _bare(base.partition(".")[0])
        if stem in _MAIN:
            folder, _, base = folder.rpartition("/")
            stem = _bare(base)
        meant = stems.get(stem)
        if meant is not None and not is_aside(path):
            meant.append((file, _bare(folder.rpartition("/")[2]) in stems))
        if ends and path.endswith(ends):
            for end in ends:
                if path == end or path.endswith(f"/{end}"):
                    paths[end].append(file)
    for found in stems.values():
        sure = [file for file, both in found if both]
        yield (1.0 if sure else 0.5), sure or [file for file, _ in found]
    for files in paths.values():
        yield 3.0, files


def _bare(word: str) -> str:
    return word.lower().rstrip("s")


def _choice(store: Store, root: Path, worth: Mapping[int, float], named: Mapping[int, float], shown: Shown) -> list[_Row]:
    """Return the files that are worth most, the best first; no tests and no texts but those that are named."""
    rows: list[_Row] = []
    for file in sorted(worth, key=lambda file: (-worth[file], file)):
        known = store.file(file)
        if known is None or (file not in named and (is_aside(known[0]) or language(known[0]) in WORDS)):
            continue
        path, mark = known
        told = shown(path)
        if not told:
            continue
        try:
            changed = mark_of(os.lstat(root / path)) != mark
        except OSError:
            continue  # it is gone
        rows.append(_Row(file, told, worth[file], changed))
        if len(rows) == _MOST_TOLD:
            break
    return rows


def _fitting(store: Store, rows: Sequence[_Row], asked: set[str], wish: Wish) -> list[Mapped]:
    """Return as much as there is room for: of all definitions those first that are worth most, with what they stand in."""
    files = {row.file: row for row in rows}
    held = {row.file: _held(store, row, wish)[:_MOST_DEFINITIONS] for row in rows}
    scored = sorted(
        ((score * row.worth, row.file, at) for row in rows for score, at in _scored(store, held[row.file], asked)),
        key=lambda one: (-one[0], one[1], one[2]),
    )
    chosen: dict[int, set[int]] = {}
    left = wish.room
    for _, file, at in scored:
        definitions = held[file]
        some = chosen.get(file, set())
        more = {at, *_above(definitions, at)} - some
        if not more or len(some) + len(more) > _OF_FILE:
            continue
        cost = sum(wish.count(_line(*_first(definitions[one])) + "\n") for one in more)
        cost += 0 if some else wish.count(_path(files[file]) + "\n")
        if cost > left:
            continue
        left -= cost
        chosen[file] = some | more
    for row in rows:
        if row.changed and (cost := wish.count(_path(row) + "\n")) <= left:
            left -= cost
            chosen[row.file] = set()
    return [
        Mapped(row.path, tuple(_first(held[row.file][at]) for at in sorted(chosen[row.file])), row.changed)
        for row in rows
        if row.file in chosen
    ]


def _held(store: Store, row: _Row, wish: Wish) -> tuple[Definition, ...]:
    if row.changed:
        return ()
    return wish.anew[row.path] if row.path in wish.anew else store.definitions(row.file)


def _scored(store: Store, definitions: Sequence[Definition], asked: set[str]) -> Iterator[tuple[float, int]]:
    """Yield what each definition of a file is worth beside the others of it, by how many files use it and what was asked."""
    names = [parts(one.name)[-1] for one in definitions]
    some = [
        (at, name)
        for at, (one, name) in enumerate(zip(definitions, names, strict=True))
        if name in asked or (one.kind not in SMALL and one.depth < 2 and not name.startswith("_"))
    ]
    # Of several of one name the last is what the others are forms of, or as good as any.
    once = {(next(_above(definitions, at), -1), name): at for at, name in some}
    some = [(at, name) for (_, name), at in once.items()]
    users = store.users({name for _, name in some}, _MOST_USERS)
    most = 1 + max((users.get(name, 0) for _, name in some), default=0)
    for at, name in some:
        weight = sqrt((1 + users.get(name, 0)) / most) * (1.0 if definitions[at].depth == 0 else 0.4)
        yield weight * (5.0 if name in asked else 1.0 if _NAMED.search(name) or name[0].isupper() else 0.5), at


def _above(definitions: Sequence[Definition], at: int) -> Iterator[int]:
    """Yield the definitions that one stands in."""
    depth = definitions[at].depth
    for number in range(at - 1, -1, -1):
        if definitions[number].depth < depth:
            depth = definitions[number].depth
            yield number


def _first(one: Definition) -> tuple[int, int, str]:
    text = safe_line(one.signature or one.name).removesuffix(":")
    return one.first, one.depth, text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _path(one: Mapped | _Row) -> str:
    path = one.path if len(one.path) <= _LONGEST_PATH else f"…{one.path[1 - _LONGEST_PATH :]}"
    return f"{path} (changed since)" if one.changed else path


def _line(first: int, depth: int, text: str) -> str:
    return f"{'  ' * depth} {first} {text}"


def _lines(one: Mapped) -> Iterator[str]:
    yield _path(one)
    for line in one.lines:
        yield _line(*line)
