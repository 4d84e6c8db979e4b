"""Owns the parts that a part would itself start: as words, as a text for a shell, or as what nobody can tell."""

import re
from collections.abc import Iterator
from dataclasses import replace

from agent.command.options import Options, Taken, take
from agent.command.parts import Part, Word
from agent.command.script import read

_ASSIGNS = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")


def unknown(part: Part) -> Part:
    return Part(part.source, (Word(part.source, literal=False),), wrapped=True)


def start(part: Part, words: tuple[Word, ...], sure: bool = True, assigns: tuple[str, ...] = ()) -> Iterator[Part]:
    """Yield the command that these words are."""
    if not sure:
        yield unknown(part)
    if words and words[0].text == "--":
        words = words[1:]
    if words:
        yield Part(" ".join(word.text for word in words), words, assigns, (), wrapped=True)


def interpret(part: Part, words: tuple[Word, ...], sure: bool = True) -> Iterator[Part]:
    """Yield what a shell would run of these words."""
    text = " ".join(word.text if word.literal else _bared(word.text) for word in words)
    if sure and not text.strip():
        return
    script = read(text)
    if not sure or script.fault or not all(word.literal for word in words):
        yield unknown(part)
    yield from (replace(one, wrapped=True) for one in script.parts)


def _bared(text: str) -> str:
    """Return a word with expansions without its outer quotes, as a shell would see it if they came to nothing special."""
    return re.sub(r'\\(["\\`])', r"\1", text[1:-1]) if len(text) > 1 and text[0] == text[-1] == '"' else text


def permuted(words: tuple[Word, ...], options: Options) -> Taken:
    """Take options off wherever they stand."""
    given: list[tuple[str, Word | None]] = []
    operands: list[Word] = []
    sure = True
    while words:
        taken = take(words, options)
        given += taken.given
        sure &= taken.sure
        ended = len(taken.rest) < len(words) and words[len(words) - len(taken.rest) - 1].text == "--"
        operands += taken.rest if ended else taken.rest[:1]
        words = () if ended else taken.rest[1:]
    return Taken(tuple(given), tuple(operands), sure)


def assigned(words: tuple[Word, ...]) -> tuple[tuple[str, ...], tuple[Word, ...]]:
    names: list[str] = []
    for at, word in enumerate(words):
        found = _ASSIGNS.match(word.text.lstrip("'\""))
        if not found:
            return tuple(names), words[at:]
        names.append(found[1])
    return tuple(names), ()
