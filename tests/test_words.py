"""Owns the proof that every language says everything, and that the screen says nothing that no language has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import tui
from tui.words import LANGUAGES, catalogue, language_of

_CODE = sorted(Path(tui.__file__).parent.glob("*.py"))
_KEY = re.compile(r"([a-z]+)\.[a-z_]*")
_FILES = (".tcss", ".md")
_TABLES = {key.partition(".")[0] for key in catalogue("en").texts}


def _values(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _said(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yield each key that stands in code, and whether it is only the beginning of one."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and node.values and isinstance(first := node.values[0], ast.Constant):
            text, begins = str(first.value), True
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            text, begins = node.value, False
        else:
            continue
        if (found := _KEY.fullmatch(text)) is not None and found[1] in _TABLES and not text.endswith(_FILES):
            yield text, begins


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys_with_the_same_values(language: str) -> None:
    english, other = catalogue("en").texts, catalogue(language).texts
    assert list(other) == list(english)
    assert {key: _values(text) for key, text in other.items()} == {key: _values(text) for key, text in english.items()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_words_are_empty_or_left_in_two_lines(language: str) -> None:
    assert [key for key, text in catalogue(language).texts.items() if not text.strip() or "\n" in text] == []


def test_chinese_is_chinese() -> None:
    same = {key for key, text in catalogue("zh").texts.items() if not any("一" <= character <= "鿿" for character in text)}
    assert same <= {"help.back", "preview.keys_back", "language.en", "review.left", "review.counts"}


def test_there_are_at_least_english_and_chinese() -> None:
    assert {"en", "zh"} <= set(LANGUAGES)


@pytest.mark.parametrize("file", _CODE, ids=lambda file: file.stem)
def test_the_screen_says_only_what_the_catalogue_has(file: Path) -> None:
    texts = catalogue("en").texts
    for key, begins in _said(ast.parse(file.read_text("utf-8"))):
        assert any(known.startswith(key) for known in texts) if begins else key in texts, f"{file.name} says {key}"


def test_nothing_in_the_catalogue_is_never_said() -> None:
    said = {known for file in _CODE for known in _said(ast.parse(file.read_text("utf-8")))}
    whole = {key for key, begins in said if not begins}
    begun = tuple(key for key, begins in said if begins)
    known_by = [(key, key.removesuffix("_one")) for key in catalogue("en").texts]  # of one, where it is counted
    assert [key for key, many in known_by if not {key, many} & whole and not key.startswith(begun)] == []


@pytest.mark.parametrize(
    ("environment", "chosen", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "", "zh"),
        ({"LANG": "zh_CN.UTF-8"}, "en", "en"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "", "en"),
        ({"LANG": "de_DE.UTF-8"}, "", "en"),
        ({}, "zh", "zh"),
        ({}, "xx", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_locale_s(environment: dict[str, str], chosen: str, language: str) -> None:
    assert language_of(environment, chosen) == language
