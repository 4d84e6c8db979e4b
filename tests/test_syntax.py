"""Whether a text is well-formed, in every language whose parser is installed."""

import time

import pytest

from agent.code.grammars import LANGUAGES, language
from agent.code.parse import faults
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
    "a.h": ("class A { int b; };\n", "int a( {\n"),
    "a.cs": ("class A { int B => 1; }\n", "class A { int B( }\n"),
    "a.kt": ("fun main() { println(1) }\n", "fun main( {\n"),
    "a.swift": ("func f() -> Int { return 1 }\n", "func f( {\n"),
    "a.lua": ("local a = 1\n", "local a = \n"),
    "A.java": ("class A {}\n", "class A {\n"),
    "a.c": ("int main() { return 0; }\n", "int main() { return 0;\n"),
    "a.cpp": ("class A {};\n", "class A {\n"),
    "a.rb": ("def a\nend\n", "def a(\n"),
    "a.php": ("<?php echo 1;\n", "<?php echo (;\n"),
    "a.toml": ("a = 1\n", "a = \n"),
    "a.yaml": ("a: [1]\n", "a: [1\n"),
}


def told(name: str, text: str) -> list[str] | None:
    found = faults(name, text)
    return None if found is None else [f"line {fault.line}: {fault.words}" for fault in found]


@pytest.mark.parametrize("name", GOOD_AND_BAD)
def test_a_fault_is_found_with_its_line(name: str) -> None:
    good, bad = GOOD_AND_BAD[name]
    assert told(name, good) == []
    assert (told(name, bad) or [""])[0].startswith("line ")


def test_every_language_but_markdown_is_looked_at() -> None:
    assert {language(name) for name in GOOD_AND_BAD} == LANGUAGES - {"markdown"}


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
    found = told("a.html", page)
    assert found is not None
    assert words in "; ".join(found)
    assert bool(words) == bool(found)


async def test_what_cannot_be_told_is_not_told() -> None:
    assert faults("notes.txt", "((") is None
    assert await state("notes.txt", "((") == ""


async def test_a_fault_that_was_there_before_is_told_as_one_and_only_what_is_new_with_its_line() -> None:
    assert await state("a.py", "def g(:\n", "x = 1\n") == "SYNTAX FAULT at line 1: ')' is missing"
    assert await state("a.py", "x = 1\n\ndef g(:\n", "def g(:\n") == "no new syntax fault (1 fault there before)"
    found = await state("a.py", "x = 1 ? 2\n\n\ndef g(:\n", "def g(:\n")
    assert found == "SYNTAX FAULT at line 1: near 'x = 1 ? 2' (1 fault there before)"
    assert await state("a.py", "x = '\ud800'\n") == "syntax ok"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class A:\n    # to come\n\nx = 1\n", "line 1: expected an indented block after class definition"),
        ("if x:\n    y\n  z\n", "line 3: unindent does not match any outer indentation level"),
        ("if x:\n    def f(): pass\n        y = 1\n", "line 3: unexpected indent"),
        ("type X[T] = int\ndef f[T](): f'{f'{x}'}'\nprint 1\n", ""),
    ],
)
def test_blocks_of_python_are_where_they_belong_whichever_version_it_is_written_for(text: str, words: str) -> None:
    assert words in "; ".join(told("a.py", text) or [""])
    if not words:
        assert not any("indent" in one for one in told("a.py", text) or [])


async def test_few_of_many_faults_are_told_and_the_others_are_counted() -> None:
    found = await state("a.json", "".join(f'{{"a": {number}]}}\n' for number in range(9)))
    assert found.startswith("SYNTAX FAULTS at line 1: ")
    assert found.count("line ") == 5
    assert found.endswith("; and 4 more")


async def test_a_young_grammar_is_not_sure() -> None:
    assert (await state("a.kt", "fun main( {\n")).startswith("possible SYNTAX FAULT at line 1: ")


async def test_no_letter_takes_the_parser_of_shell_scripts_down() -> None:
    assert (await state("a.sh", "{\U0010fffd")).startswith("SYNTAX FAULT at line 1: near '{\\U0010fffd'")
    assert await state("a.sh", "\U0010fffd() { echo \u4e2d; }\n") == "syntax ok"


@pytest.mark.parametrize(
    ("name", "text"),
    [("deep.yaml", "- " * 600 + "x\n"), ("Generic.java", "a<" * 30_000), ("heredocs.sh", "<<A\n" * 25_000)],
)
async def test_a_parser_that_crashes_or_finds_no_end_says_nothing(name: str, text: str) -> None:
    began = time.monotonic()
    assert await state(name, text) == ""
    assert time.monotonic() - began < 10
