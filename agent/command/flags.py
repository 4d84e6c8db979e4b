"""Owns taking flags strictly: what a list does not name, to the letter, is not understood."""

import re
from dataclasses import dataclass

from agent.command.parts import Word

_NUMBER = re.compile(r"-[0-9]+")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The flags that a program may be given. In both lists `n:` takes a value, `n@` one that is a path."""

    short: str = ""
    long: str = ""  # separated by blanks; `name:` takes its value glued by = or as the next word, `name::` only glued
    numbers: bool = False  # -20 is one of them
    bare: bool = False  # long ones begin with one dash too, there are no clusters, and behind an operand nothing is a flag


@dataclass(frozen=True, slots=True)
class Given:
    """Flags by their names, what stands beside them, and the paths among their values."""

    flags: frozenset[str]
    operands: tuple[Word, ...]
    values: tuple[tuple[str, Word], ...]
    paths: tuple[Word, ...]


def names(text: str) -> frozenset[str]:
    """Return the names that a text lists."""
    return frozenset(text.split())


def strict(words: tuple[Word, ...], allowed: Allowed) -> Given | None:
    """Take the flags off these words wherever they stand; None where one is not allowed, or is not known to the letter."""
    flags: list[str] = []
    operands: list[Word] = []
    values: list[tuple[str, Word]] = []
    paths: list[Word] = []
    at = 0
    while at < len(words):
        word = words[at]
        text = word.text
        at += 1
        if not text.startswith("-") or text == "-":
            operands.append(word)
            continue
        if not word.literal or (operands and allowed.bare):
            return None
        if text == "--":
            operands += words[at:]
            break
        if allowed.numbers and _NUMBER.fullmatch(text):
            flags.append("number")
            continue
        got = _long(text, allowed) if text.startswith("--") or allowed.bare else _cluster(text[1:], allowed)
        if got is None:
            return None
        names, mark, value = got
        flags += names
        if mark and value is None:
            if at >= len(words) or not words[at].literal or _is_flag(words[at].text):
                return None
            value = words[at].text
            at += 1
        if value is not None:
            values.append((names[-1], Word(value)))
            if mark == "@":
                paths.append(Word(value))
    return Given(frozenset(flags), tuple(operands), tuple(values), tuple(paths))


def _is_flag(text: str) -> bool:
    """Whether a value could be a flag after all, should the program that gets it not take it with the one before."""
    return len(text) > 1 and text.startswith("-") and not _NUMBER.fullmatch(text)


def _long(text: str, allowed: Allowed) -> tuple[list[str], str, str | None] | None:
    name, equals, value = text.lstrip("-").partition("=")
    entry = next((entry for entry in allowed.long.split() if entry.rstrip(":@") == name), "")
    mark = entry[len(name) :]
    if not entry or (equals and not mark):
        return None
    if mark == "::":
        return [name], "", value if equals else None
    return [name], mark, value if equals else None


def _cluster(letters: str, allowed: Allowed) -> tuple[list[str], str, str | None] | None:
    names: list[str] = []
    for at, letter in enumerate(letters):
        place = allowed.short.find(letter) if letter not in ":@" else -1
        if place < 0:
            return None
        names.append(letter)
        mark = allowed.short[place + 1 : place + 2]
        if mark in {":", "@"}:
            if allowed.short[place + 1 : place + 3] == "::":
                return names, "", letters[at + 1 :] or None
            return names, mark, letters[at + 1 :] or None
    return names, "", None
