"""Replacing exact text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.code.replacement import Replacement, replaced
from agent.errors import ToolFailure


def one(text: str, old: str, new: str, *, everywhere: bool = False, newline: str = "\n") -> str:
    return replaced(text, (Replacement(old, new, everywhere),), newline, "f")


def fault(text: str, old: str) -> str:
    with pytest.raises(ToolFailure) as caught:
        one(text, old, "new")
    return str(caught.value)


def test_a_replacement_takes_the_line_ends_of_what_it_replaces() -> None:
    assert one("a\r\nb\r\nc\r\n", "b\nc\n", "x\ny\nz\n", newline="\r\n") == "a\r\nx\r\ny\r\nz\r\n"
    assert one("a\r\nb\r\nc\r\n", "b", "x\ny", newline="\r\n") == "a\r\nx\r\ny\r\nc\r\n"
    assert one("a\r\nb\nc\n", "b\nc", "x\ny", newline="\n") == "a\r\nx\ny\n"
    assert one("a\r\nb\r\nc\nd\ne\n", "b\nc\nd\n", "b\nC\nd\n") == "a\r\nb\r\nC\nd\ne\n"
    assert one("a\r\nb", "b", "x\ny", newline="\r\n") == "a\r\nx\r\ny"
    assert one("a\r\nb\n", "a", "a\nx") == "a\r\nx\r\nb\n"
    assert one("x\na\rb\nc\n", "a\rb", "a\nb") == "x\na\nb\nc\n"
    assert one("a\rb\rc", "a\rb", "x\ny", newline="\r") == "x\ry\rc"


def test_several_are_made_one_after_the_other_or_not_at_all() -> None:
    wanted = (Replacement("a", "b"), Replacement("b\n", "c\n"))
    assert replaced("a\n", wanted, "\n", "f") == "c\n"
    with pytest.raises(ToolFailure, match="number 2 does not fit, so none was made"):
        replaced("a\n", (Replacement("a", "b"), Replacement("nowhere to be seen", "c")), "\n", "f")


def test_lines_are_told_as_they_are_in_the_file() -> None:
    text = "a = 1\nb = 2\nlong_name = compute(3)\n"
    with pytest.raises(ToolFailure, match="Nearest is line 3"):
        replaced(text, (Replacement("a = 1\n", "a = 1\nx\ny\nz\n"), Replacement("long_name = compute(4)", "c")), "\n", "f")
    with pytest.raises(ToolFailure, match="an earlier one of them changed"):
        replaced(text, (Replacement("b = 2", "c = 2"), Replacement("b = 2", "d = 2")), "\n", "f")


def test_what_stands_there_more_than_once_is_named_with_its_lines() -> None:
    assert "2 times, in lines 1, 3" in fault("x = 1\ny\nx = 1\n", "x = 1")
    assert one("x\ny\nx\n", "x", "z", everywhere=True) == "z\ny\nz\n"


def test_the_nearest_text_is_told_with_its_lines_and_what_differs() -> None:
    words = fault("import os\n\ndef f(a, b):\n\treturn a\n", "def f(a, b):\n    return a")
    assert "lines 3-4" in words
    assert "3\tdef f(a, b):\n4\t\treturn a" in words
    assert "only white space differs" in words
    assert repr("    return a") in words
    words = fault("alpha = 1\nbeta_value = compute(1)\n", "beta_value = compute(2)")
    assert "line 2" in words
    assert "old has 'beta_value = compute(2)', the file has 'beta_value = compute(1)'" in words
    assert "line numbers" in fault("a\nb\n", "1\ta\n2\tb\n")
    assert "nothing like it" in fault("a\n", "entirely different words")
    assert "old is empty" in fault("a\n", "")


def test_places_that_overlap_are_more_than_one() -> None:
    assert "2 times" in fault("aaaa", "aaa")
    assert "more than 10 times" in fault("x\n" * 100_000, "x")


def test_looking_for_the_nearest_text_has_an_end() -> None:
    letters = "".join(chr(97 + number % 26) for number in range(390))
    text = "\n".join(letters[number % 390 :] + letters[: number % 390] for number in range(5000))
    began = time.process_time()
    assert "old is nowhere in it" in fault(text, letters[::-1])
    assert time.process_time() - began < 3


@given(
    st.lists(st.sampled_from(["a", "b", "\n", "\r\n"]), max_size=30).map("".join),
    st.text("ab\n", min_size=1, max_size=4),
    st.text("xy\n", max_size=4),
)
def test_nothing_but_what_is_replaced_changes(text: str, old: str, new: str) -> None:
    view = text.replace("\r\n", "\n")
    if view.count(old) != 1 or old == new:
        return
    after = one(text, old, new)
    assert after.replace("\r\n", "\n") == view.replace(old, new, 1)
    kept = 0
    while text[:kept].replace("\r\n", "\n") != view[: view.index(old)]:
        kept += 1
    assert after[:kept] == text[:kept]
