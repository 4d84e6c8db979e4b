"""Hostile text reaches no terminal as it came."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.safe import lay_open, safe_json, safe_line, safe_text


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
        ("a\u200db", "a\\u{200d}b"),
        ("\U0001f469\u200d\u200d\U0001f4bb", "\U0001f469\\u{200d}\\u{200d}\U0001f4bb"),
        ("x\ufe0f", "x\\u{fe0f}"),
        ("1\ufe0f", "1\\u{fe0f}"),
        ("\u2764\ufe0f\ufe0f", "\u2764\ufe0f\\u{fe0f}"),
        ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4\\u{e0067}\\u{e007f}"),
        ("a\U000e0101b\ufe01", "a\\u{e0101}b\\u{fe01}"),
        ("\u034f\u115f\u1160\u3164\uffa0", "\\u{34f}\\u{115f}\\u{1160}\\u{3164}\\u{ffa0}"),
        ("\u2028\u2029\ufff9\u00ad", "\\u{2028}\\u{2029}\\u{fff9}\\u{ad}"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_made_visible(hostile: str, shown: str) -> None:
    assert safe_text(hostile) == shown


@given(st.text())
def test_nothing_that_acts_or_hides_is_left(text: str) -> None:
    safe = safe_text(text)
    assert not [c for c in safe if c not in "\n\t" and unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not set(safe) & {chr(c) for c in (0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF)}
    assert not re.search("[\u200c\u200d\ufe0f]{2}|^[\u200c\u200d\ufe0f]|[\u200c\u200d]$|[a-z][\u200c\u200d\ufe0f]", safe)
    assert "\n" not in safe_line(text)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert safe_text(text) == text


def test_no_character_that_only_formats_is_left_but_what_is_seen_or_joins() -> None:
    seen = {0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x600, 0x606)}  # they are drawn
    formats = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf" and code not in seen]
    assert not [letter for letter in formats if letter in safe_text(f"a{letter}b")]


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f469\u200d\U0001f4bb",
        "\U0001f642\u200d\u2194\ufe0f",
        "\u2764\ufe0f",
        "1\ufe0f\u20e3",
        "打字游戏，好。",
        "می\u200cخواهم",
        "क्\u200dष",
    ],
)
def test_emoji_and_other_scripts_stay_readable(text: str) -> None:
    assert safe_text(text) == text


@given(st.text())
def test_json_that_is_made_safe_means_the_same(text: str) -> None:
    written = safe_json(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(written) == {"text": text}
    assert safe_text(written) == written


@pytest.mark.parametrize(
    ("command", "text", "words"),
    [
        ("git commit -m '修复，好了（测试） — ok'", "git commit -m '修复，好了（测试） — ok'", ()),
        (f"ls{' ' * 500}; rm -rf ~", "ls ␠×500 ; rm -rf ~", ("padded with 40",)),
        (f"ls{chr(9) * 300}; rm -rf ~", "ls ⇥×300 ; rm -rf ~", ("padded with 40",)),
        (f"ls{chr(10) * 60}rm -rf ~", "ls ⏎×60\nrm -rf ~", ("padded with 40",)),
        ("ls\rid\x1b[2K", "ls␍id␛[2K", ("2 characters made visible",)),
        ("ls\r\nid", "ls␍\nid", ("1 character made visible",)),
        ("rm\u00a0x\u3000y\u2800z", "rm\\u{a0}x\\u{3000}y\\u{2800}z", ("3 characters made visible",)),
        ("echo \U0001f469\u200d\U0001f4bb", "echo \U0001f469\\u{200d}\U0001f4bb", ("1 character made visible",)),
        ("\u0441url x", "\u0441url x", ("U+0441 CYRILLIC SMALL LETTER ES",)),
        ("rm \u2013rf", "rm \u2013rf", ("U+2013 EN DASH",)),
        ("cat /etc\u2215passwd", "cat /etc\u2215passwd", ("U+2215 DIVISION SLASH",)),
        ("\uff43url", "\uff43url", ("U+FF43 FULLWIDTH LATIN SMALL LETTER C",)),
        ("git commit -m 'привет, мир'", "git commit -m 'привет, мир'", ()),
    ],
)
def test_a_command_is_laid_open_to_who_allows_it(command: str, text: str, words: tuple[str, ...]) -> None:
    laid = lay_open(command)
    assert laid.text == text
    assert len(laid.notes) == len(words)
    assert all(word in note for word, note in zip(words, laid.notes, strict=True))


@given(st.text())
def test_nothing_of_a_command_that_is_laid_open_is_hidden_or_missing(command: str) -> None:
    laid = lay_open(command)
    assert not [c for c in laid.text if c not in "\n\t" and unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not set(laid.text) & {"\u00a0", "\u200b", "\u200c", "\u200d", "\u202e", "\u3000", "\ufe0f", "\ufeff"}
    letters = iter(laid.text)
    assert all(letter in letters for letter in command if letter.isalnum() and safe_text(letter) == letter)
