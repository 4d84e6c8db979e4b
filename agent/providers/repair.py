"""Owns what may be set right in a call's arguments without guessing, and the words that tell of repairs."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from agent.model import Repair, RepairKind
from agent.safe import mended

_NOTHING = {"", "null", '"null"', '""'}


def settled(text: str) -> tuple[str, str]:
    """Return a call's arguments and what was set right; where only a guess could help, they stay as they came."""
    if text.strip() in _NOTHING:
        return "{}", "empty"
    try:
        value = json.loads(text)
    except RecursionError:
        return text, ""
    except ValueError:
        return text, "with raw control characters" if isinstance(_loaded(text), dict) else ""
    if isinstance(value, str):
        if value.strip() in _NOTHING:
            return "{}", "empty"
        if isinstance(_loaded(value), dict) and mended(value) == value:
            return value, "encoded twice"
    return text, ""


def as_text(value: object) -> str:
    """Return arguments that came as an object as the text that they should have been, half characters escaped as they were."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if mended(text) == text else json.dumps(value)


class Repairs:
    """Collects what was set right in one answer: one repair a kind, however often it was needed."""

    __slots__ = ("_counts", "_whole")

    def __init__(self) -> None:
        self._counts: dict[RepairKind, Counter[str]] = {}
        self._whole: list[Repair] = []

    def count(self, kind: RepairKind, words: str) -> None:
        """Count one more call of which the words are true."""
        if words:
            self._counts.setdefault(kind, Counter())[words] += 1

    def add(self, kind: RepairKind, words: str) -> None:
        """Add what is told once."""
        self._whole.append(Repair(kind, words))

    def told(self) -> tuple[Repair, ...]:
        """Return them all."""
        return (*self._whole, *(Repair(kind, _sentence(kind, counts)) for kind, counts in self._counts.items()))


_OF: Mapping[str, str] = {"identity": "calls came", "arguments": "calls had arguments"}


def _sentence(kind: RepairKind, counts: Counter[str]) -> str:
    return f"{_OF[kind]} " + ", ".join(f"{words} ({number})" if number > 1 else words for words, number in counts.items())


def _loaded(text: str) -> object:
    loaded: object = None
    with suppress(ValueError, RecursionError):
        loaded = json.loads(text, strict=False)
    return loaded
