"""Owns taking options off the front of arguments, as getopt does: clusters, glued values, shortened names."""

import re
from dataclasses import dataclass

from agent.command.parts import Word

_HOME = re.compile(r"~[\w.-]*(?:/[\w./-]*)?")  # somebody's home, and what lies there


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a program, as getopt writes them: `n:` takes a value, `i::` only one that is glued to it."""

    short: str = ""
    long: str = ""  # separated by blanks
    bare: bool = False  # long options begin with one dash


@dataclass(frozen=True, slots=True)
class Taken:
    """Options as they were given, by their names, and what stands behind them."""

    given: tuple[tuple[str, Word | None], ...]
    rest: tuple[Word, ...]
    sure: bool  # whether all of them were known, and none can expand to something else

    def values(self, *names: str) -> tuple[Word, ...]:
        """Return the values of these options."""
        return tuple(value for name, value in self.given if name in names and value is not None)

    def has(self, *names: str) -> bool:
        """Return whether one of these was given."""
        return any(name in names for name, _ in self.given)


def take(words: tuple[Word, ...], options: Options) -> Taken:
    """Take the options off the front of these words."""
    given: list[tuple[str, Word | None]] = []
    sure, at = True, 0
    while at < len(words):
        word = words[at]
        text = word.text
        sure &= word.literal
        if not text.startswith("-") or text == "-":
            break
        at += 1
        if text == "--":
            break
        if text.startswith("--") or (options.bare and len(text) > 1):
            name, equals, value = text.lstrip("-").partition("=")
            name, arity = _long(name, options)
            glued = Word(value, word.literal) if equals else None
        else:
            name, arity, glued, flags = _short(text[1:], options, word.literal)
            given += ((flag, None) for flag in flags)
        sure &= arity is not None
        if arity == 1 and glued is None and at < len(words):
            glued = words[at]
            sure &= single(glued)
            at += 1
        given.append((name, glued))
    return Taken(tuple(given), words[at:], sure)


def single(word: Word) -> bool:
    """Return whether a word is one word whatever it expands to."""
    text = word.text
    return word.literal or (text[:1] == text[-1:] == '"' and "@" not in text) or bool(_HOME.fullmatch(text))


def _long(name: str, options: Options) -> tuple[str, int | None]:
    """Return the whole name of a long option that may be shortened, and whether it takes the next word; None if unknown."""
    known = {entry.rstrip(":"): 1 if entry.endswith(":") and not entry.endswith("::") else 0 for entry in options.long.split()}
    if name in known:
        return name, known[name]
    near = [entry for entry in known if entry.startswith(name)]
    if name and near and len({known[entry] for entry in near}) == 1:
        return near[0], known[near[0]]
    return name, None


def _short(letters: str, options: Options, literal: bool) -> tuple[str, int | None, Word | None, list[str]]:
    """Return the last option of a cluster, whether it takes the next word, a value that is glued to it, and the others."""
    flags: list[str] = []
    for at, letter in enumerate(letters):
        place = options.short.find(letter) if letter != ":" else -1
        if place < 0:
            return letter, None, None, flags
        if options.short[place + 1 : place + 2] == ":":
            glued = letters[at + 1 :]
            optional = options.short[place + 2 : place + 3] == ":"
            return letter, 0 if optional else 1, Word(glued, literal) if glued else None, flags
        flags.append(letter)
    return flags.pop(), 0, None, flags
