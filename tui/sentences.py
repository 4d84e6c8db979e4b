"""Owns the engine's own sentences in the language of the person: what is known of them is said anew, the rest as it is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from string import Formatter

_SENTENCES = frozenset({"why", "then"})  # values that are sentences themselves
_MODE = "mode"
_LONGEST = 4000  # characters of a sentence
_DEEPEST = 4  # sentences within sentences


@dataclass(frozen=True, slots=True)
class _Sentence:
    """One sentence: what stands between its values, their names, and how it is said."""

    between: tuple[str, ...]
    names: tuple[str, ...]
    said: str

    def values(self, text: str) -> dict[str, str] | None:
        """Return what stands in the places of its values; None where the text is another sentence.

        It takes as long as the text is long, whatever stands in it: much of it is no word of ours.
        """
        first, last = self.between[0], self.between[-1]
        if not self.names:
            return {} if text == first else None
        if not text.startswith(first) or not text.endswith(last):
            return None
        start, end = len(first), len(text) - len(last)
        found: dict[str, str] = {}
        for name, following in zip(self.names[:-1], self.between[1:-1], strict=True):
            at = text.find(following, start + 1, end)
            if at < 0:
                return None
            found[name], start = text[start:at], at + len(following)
        found[self.names[-1]] = text[start:end]
        return found if start < end else None


class Sentences:
    """The sentences of one language, looked through in their order. `called` says what a mode is called."""

    def __init__(self, pairs: Iterable[tuple[str, str]], called: Callable[[str], str | None]) -> None:
        read = [_sentence(english, said) for english, said in pairs]
        self._plain = {one.between[0]: one.said for one in read if not one.names}
        self._others = [one for one in read if one.names]
        self._called = called

    def __call__(self, text: str, depth: int = 0) -> str:
        """Return a sentence in this language; one that is not known as it is."""
        if (said := self._plain.get(text)) is not None:
            return said
        if len(text) > _LONGEST or depth > _DEEPEST:
            return text
        for one in self._others:
            values = one.values(text)
            if values is not None and (_MODE not in values or self._called(values[_MODE])):
                return one.said.format(**{name: self._value(name, value, depth) for name, value in values.items()})
        return text

    def _value(self, name: str, value: str, depth: int) -> str:
        if name == _MODE:
            return self._called(value) or value
        return self(value, depth + 1) if name in _SENTENCES else value


def _sentence(english: str, said: str) -> _Sentence:
    between: list[str] = []
    names: list[str] = []
    for text, name, _, _ in Formatter().parse(english):
        between.append(text)
        if name is not None:
            names.append(name)
    if len(between) == len(names):
        between.append("")
    return _Sentence(tuple(between), tuple(names), said)
