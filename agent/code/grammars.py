"""Owns the languages that jumar reads: their files' names, their grammars, and what stands in them as a definition or a use."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Parser, Query

_LANGUAGES = {
    "python": ".py .pyi .pyw",
    "javascript": ".js .mjs .cjs .jsx",
    "typescript": ".ts .mts .cts",
    "tsx": ".tsx",
    "json": ".json",
    "html": ".html .htm",
    "css": ".css",
    "bash": ".sh .bash",
    "go": ".go",
    "rust": ".rs",
    "java": ".java",
    "c": ".c .h",
    "cpp": ".cc .cpp .cxx .hpp .hh .hxx",
    "c_sharp": ".cs",
    "ruby": ".rb .rake",
    "php": ".php",
    "kotlin": ".kt .kts",
    "swift": ".swift",
    "lua": ".lua",
    "toml": ".toml",
    "yaml": ".yaml .yml",
    "markdown": ".md .markdown",
}
_BY_SUFFIX = {suffix: language for language, suffixes in _LANGUAGES.items() for suffix in suffixes.split()}
_BY_NAME = {
    "Rakefile": "ruby",
    "Gemfile": "ruby",
    ".bashrc": "bash",
    ".bash_profile": "bash",
    "Pipfile": "toml",
    "Cargo.lock": "toml",
}
_SPECIAL = {
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "php": ("tree_sitter_php", "language_php"),
}
_QUERY = {"tsx": "typescript"}
_UNCHECKED = "markdown"  # every text is Markdown
YOUNG = frozenset(("c_sharp", "kotlin", "swift"))  # grammars that do not know all that their languages have
LANGUAGES = frozenset(_LANGUAGES)
WORDS = frozenset(("json", "yaml", "toml", "html", "css", "markdown"))  # what is no program: names in it are read as they stand


@dataclass(frozen=True, slots=True)
class Grammar:
    """What reads one language."""

    parser: "Parser"
    definitions: "Query"
    uses: "Query"


def language(name: str) -> str:
    """Return the language of a file by its name, or nothing."""
    base = name.rpartition("/")[2]
    stem, _, suffix = base.rpartition(".")
    return _BY_NAME.get(base) or (_BY_SUFFIX.get(f".{suffix.lower()}", "") if stem else "")


def checked(name: str) -> str:
    """Return the language of a file whose faults can be told, or nothing."""
    spoken = language(name)
    return "" if spoken == _UNCHECKED else spoken


def spoken(language: str) -> "Language":
    """Return the grammar of a language; only this one is loaded."""
    from tree_sitter import Language

    module, attribute = _SPECIAL.get(language, (f"tree_sitter_{language}", "language"))
    return Language(getattr(importlib.import_module(module), attribute)())


def grammar(language: str) -> Grammar:
    """Return what reads a language."""
    from tree_sitter import Parser, Query

    loaded = spoken(language)
    text = (Path(__file__).parent / "queries" / f"{_QUERY.get(language, language)}.scm").read_text(encoding="utf-8")
    definitions, _, uses = text.partition(";; uses\n")
    return Grammar(Parser(loaded), Query(loaded, definitions), Query(loaded, uses))
