"""Owns the arguments of a call as a text to write in: each value under its name, words as words, and all of it read back."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from agent.safe import safe_line, safe_text

_RULE = "─"
_Path = tuple[str | int, ...]  # names of an object, and numbers of a list from 1 on


class Unreadable(ValueError):
    """The name of the value that cannot be read."""


@dataclass(slots=True)
class Form:
    """The arguments of a call. Whole values, and parts of lists, may be left out or added by their names."""

    arguments: dict[str, Any]
    _values: dict[str, tuple[_Path, Any]] = field(default_factory=dict)  # by their names
    _rule: str = ""

    def __post_init__(self) -> None:
        """Give each value its name, and find a rule that no line of them begins with."""
        for path, value in _leaves(self.arguments) if self.arguments else []:
            self._values[".".join(safe_line(str(part)) for part in path)] = path, value
        lines = {line for _, value in self._values.values() for line in _shown(value).split("\n")}
        length = 2
        while any(line.startswith(_RULE * length) for line in lines):
            length += 1
        self._rule = f"{_RULE * length} "

    @property
    def text(self) -> str:
        """All of it, to be changed."""
        return "\n".join(f"{self._rule}{name}\n{_shown(value)}" for name, (_, value) in self._values.items())

    def read(self, text: str) -> dict[str, Any]:
        """Return the arguments as they were changed. Raises Unreadable."""
        made: dict[Any, Any] = {}
        first, *rest = f"\n{text}".split(f"\n{self._rule}")
        if first.strip():
            raise Unreadable(first.strip().partition("\n")[0])
        for part in rest:
            name, _, shown = part.partition("\n")
            name = name.strip()
            _put(made, self._path(name), self._value(name, shown), name)
        return {str(name): _listed(one) for name, one in made.items()}

    def _path(self, name: str) -> _Path:
        if name in self._values:
            return self._values[name][0]
        return tuple(int(part) if part.isascii() and part.isdecimal() else part for part in name.split("."))

    def _value(self, name: str, shown: str) -> Any:
        like = self._values.get(name) or next((one for other, one in self._values.items() if _kind(other) == _kind(name)), None)
        if name in self._values and shown == _shown(self._values[name][1]):
            return self._values[name][1]  # to the letter, with what cannot be seen
        if like is None or isinstance(like[1], str):
            return shown
        try:
            return json.loads(shown)
        except ValueError:
            raise Unreadable(name) from None


def _kind(name: str) -> str:
    """Return a name without the numbers in it."""
    return re.sub(r"(?<=\.)[0-9]+(?=\.|$)", "", name)


def _leaves(value: Any, path: _Path = ()) -> list[tuple[_Path, Any]]:
    if isinstance(value, dict) and value:
        return [leaf for name, one in value.items() for leaf in _leaves(one, (*path, name))]
    if isinstance(value, list) and value:
        return [leaf for number, one in enumerate(value, 1) for leaf in _leaves(one, (*path, number))]
    return [(path, value)]


def _shown(value: Any) -> str:
    return safe_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _put(made: dict[Any, Any], path: _Path, value: Any, name: str) -> None:
    *above, last = path
    for part in above:
        made = made.setdefault(part, {})
        if not isinstance(made, dict):
            raise Unreadable(name)
    if last in made:
        raise Unreadable(name)
    made[last] = value


def _listed(made: Any) -> Any:
    """Return it with lists in place of what has numbers for its names; the numbers say the order alone."""
    if not isinstance(made, dict):
        return made
    if made and all(isinstance(name, int) for name in made):
        return [_listed(made[number]) for number in sorted(made)]
    return {str(name): _listed(one) for name, one in made.items()}
