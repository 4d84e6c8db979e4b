"""Hostile text reaches no terminal as it came."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.safe import safe_line, safe_text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
        ("\x1b[2K\rhidden", "␛[2K␍hidden"),
        ("a\u202eb", "a\\u{202e}b"),
        ("a\u200bb", "a\\u{200b}b"),
        ("\x9b2J", "\\u{9b}2J"),
        ("\U000e0041", "\\u{e0041}"),
        ("\ud800", "\\u{d800}"),
        ("line\r\nline\ttab", "line\nline\ttab"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_made_visible(hostile: str, shown: str) -> None:
    assert safe_text(hostile) == shown


@given(st.text())
def test_nothing_that_acts_or_hides_is_left(text: str) -> None:
    safe = safe_text(text)
    assert not [c for c in safe if c not in "\n\t" and unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not set(safe) & {chr(c) for c in (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)}
    assert "\n" not in safe_line(text)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert safe_text(text) == text
