"""Owns the words of the screen: one catalogue a language, chosen by the person or the locale."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "catalogue"
LANGUAGES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    language: str
    texts: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return the words under a key, with the values in their places."""
        return self.texts[key].format(**values) if values else self.texts[key]

    def counted(self, key: str, number: int, /, **values: object) -> str:
        """Return the words for so many: for one those under the key of one."""
        return self(f"{key}_one" if number == 1 else key, **values)


def language_of(environment: Mapping[str, str], chosen: str = "") -> str:
    """Return the language: the chosen one, else that of the locale, else English."""
    if chosen in LANGUAGES:
        return chosen
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name, ""):
            language = value[:2].lower()
            return language if language in LANGUAGES else "en"
    return "en"


@cache
def catalogue(language: str) -> Words:
    """Load the words of a language."""
    raw = (_FOLDER / f"{language}.toml").read_text("utf-8")
    return Words(language, {f"{table}.{key}": text for table, texts in tomllib.loads(raw).items() for key, text in texts.items()})


def words(environment: Mapping[str, str], chosen: str = "") -> Words:
    """Return the words that the person reads."""
    return catalogue(language_of(environment, chosen))
