"""What a call was sent with is shown as a text, and what is made of that text is what would run."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.forms import Form, Unreadable

EDITS = {"path": "a.py", "edits": [{"old": "one\n", "new": "two\n  three"}, {"old": "x", "new": "", "all": True}]}
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
NAMES = st.text("abc", min_size=1, max_size=3)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)


def test_each_value_stands_under_its_name_and_words_are_no_json() -> None:
    assert Form(EDITS).text == (
        "── path\na.py\n── edits.1.old\none\n\n── edits.1.new\ntwo\n  three\n"
        "── edits.2.old\nx\n── edits.2.new\n\n── edits.2.all\ntrue"
    )


def test_what_is_changed_is_changed_and_nothing_else() -> None:
    form = Form(EDITS)
    made = form.read(form.text.replace("  three", "  four\n").replace("true", "false"))
    assert made == {"path": "a.py", "edits": [{"old": "one\n", "new": "two\n  four\n"}, {"old": "x", "new": "", "all": False}]}


def test_an_edit_may_be_left_out_and_another_added() -> None:
    form = Form(EDITS)
    first = form.text.partition("\n── edits.2.old")[0]
    assert form.read(first) == {"path": "a.py", "edits": EDITS["edits"][:1]}
    more = form.read(f"{form.text}\n── edits.3.old\nq\n── edits.3.new\nr\n── edits.3.all\ntrue")
    assert more["edits"][2] == {"old": "q", "new": "r", "all": True}


def test_no_line_of_a_value_is_taken_for_a_name() -> None:
    hostile = {"old": "── edits.1.new\nmine", "new": "─── x"}
    form = Form(hostile)
    assert form.text.startswith("──── old\n")
    assert form.read(form.text) == hostile


def test_what_cannot_be_seen_stays_where_it_is_not_changed() -> None:
    form = Form({"old": "a\rb\u200b", "new": "c"})
    assert "\r" not in form.text
    assert form.read(form.text.replace("\nc", "\nd")) == {"old": "a\rb\u200b", "new": "d"}


@pytest.mark.parametrize(
    ("change", "named"),
    [(("true", "yes"), "edits.2.all"), (("── path", "path"), "path"), (("edits.1.new", "edits.1.old"), "edits.1.old")],
)
def test_what_cannot_be_read_is_named(change: tuple[str, str], named: str) -> None:
    form = Form(EDITS)
    with pytest.raises(Unreadable, match=named):
        form.read(form.text.replace(*change))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_what_is_not_changed_comes_back(arguments: dict[str, Any]) -> None:
    form = Form(arguments)
    assert json.dumps(form.read(form.text)) == json.dumps(arguments)
