"""Whether a text is well-formed, in every language whose parser is installed."""

import time

import pytest

from agent.code.parse import fault
from agent.code.syntax import state

GOOD_AND_BAD = {
    "a.py": ("def f():\n    return 1\n", "def f(:\n"),
    "a.js": ("let a = {b: 1};\n", "let a = {b: ;\n"),
    "a.ts": ("const a: number = 1;\n", "const a: = ;\n"),
    "a.tsx": ("const a = <b>c</b>;\n", "const a = <b>c;\n"),
    "a.json": ('{"a": [1]}\n', '{"a": [1}\n'),
    "a.html": ("<p>x</p>\n", "<p <<x\n"),
    "a.css": ("a { color: red; }\n", "a { color: red; \n"),
    "a.sh": ("if true; then echo x; fi\n", "if true; then echo x\n"),
    "a.go": ("package a\n", "package a\nfunc {\n"),
    "a.rs": ("fn main() {}\n", "fn main( {}\n"),
    "A.java": ("class A {}\n", "class A {\n"),
    "a.c": ("int main() { return 0; }\n", "int main() { return 0;\n"),
    "a.cpp": ("class A {};\n", "class A {\n"),
    "a.rb": ("def a\nend\n", "def a(\n"),
    "a.php": ("<?php echo 1;\n", "<?php echo (;\n"),
    "a.toml": ("a = 1\n", "a = \n"),
    "a.yaml": ("a: [1]\n", "a: [1\n"),
}


@pytest.mark.parametrize("name", GOOD_AND_BAD)
def test_a_fault_is_found_with_its_line(name: str) -> None:
    good, bad = GOOD_AND_BAD[name]
    assert fault(name, good) == ""
    assert (fault(name, bad) or "").startswith("line ")


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<p>\n<script>\nlet a = ;\n</script>", "line 3: near 'let a = ;' (javascript)"),
        ('<p>\n<script type="application/json">{"a": }</script>', "(json)"),
        ("<style>a { color: red; </style>", "(css)"),
        ('<script type="text/template">{{ no script }}</script>', ""),
        ("<script>let a = 1;</script><style>a { color: red; }</style>", ""),
    ],
)
def test_what_a_page_holds_is_looked_at_too(page: str, words: str) -> None:
    found = fault("a.html", page)
    assert found is not None
    assert words in found
    assert bool(words) == bool(found)


async def test_what_cannot_be_told_is_not_told() -> None:
    assert fault("notes.txt", "((") is None
    assert await state("notes.txt", "((") == ""


async def test_a_fault_that_was_there_before_is_told_as_one() -> None:
    assert "there was one before" in await state("a.py", "def f(:\n", "def g(:\n")
    assert await state("a.py", "def f(:\n", "x = 1\n") == "SYNTAX FAULT at line 1: ')' is missing"
    assert await state("a.py", "x = '\ud800'\n") == "syntax ok"


@pytest.mark.parametrize(
    ("name", "text"),
    [("deep.yaml", "- " * 600 + "x\n"), ("Generic.java", "a<" * 30_000), ("heredocs.sh", "<<A\n" * 25_000)],
)
async def test_a_parser_that_crashes_or_finds_no_end_says_nothing(name: str, text: str) -> None:
    began = time.monotonic()
    assert await state(name, text) == ""
    assert time.monotonic() - began < 10
