"""Owns the words of the screen: one catalogue a language, chosen by the person or the locale."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tui.sentences import Sentences

_FOLDER = Path(__file__).parent / "catalogue"
LANGUAGES = tuple(sorted(path.stem for path in _FOLDER.glob("??.toml")))


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    language: str
    texts: Mapping[str, str]
    sentences: Sentences

    def __call__(self, key: str, **values: object) -> str:
        """Return the words under a key, with the values in their places."""
        return self.texts[key].format(**values) if values else self.texts[key]

    def counted(self, key: str, number: int, /, **values: object) -> str:
        """Return the words for so many: for one those under the key of one."""
        return self(f"{key}_one" if number == 1 else key, **values)

    def told(self, sentence: str) -> str:
        """Return a sentence of the engine's as the person reads it."""
        return self.sentences(sentence)

    def mode(self, mode: str) -> str:
        """Return what a mode is called."""
        return self.texts.get(f"mode.called_{mode}", mode)


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
    """Load the words of a language, and how it says the sentences of the engine, which are English."""
    texts = _texts(_FOLDER / f"{language}.toml")
    spoken = _FOLDER / f"sentences.{language}.toml"
    pairs = ((key.partition(".")[2], text) for key, text in _texts(spoken).items()) if spoken.is_file() else ()
    return Words(language, texts, Sentences(pairs, lambda mode: texts.get(f"mode.called_{mode}")))


def _texts(file: Path) -> dict[str, str]:
    raw = tomllib.loads(file.read_text("utf-8"))
    return {f"{table}.{key}": text for table, texts in raw.items() for key, text in texts.items()}


def words(environment: Mapping[str, str], chosen: str = "") -> Words:
    """Return the words that the person reads."""
    return catalogue(language_of(environment, chosen))
