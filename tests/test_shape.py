"""What a text of code is made of, in every language: its definitions, their nesting and lines, and where names are used."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from agent.code.grammars import LANGUAGES, grammar, language
from agent.code.parsing import Parsing, Text, shapes
from agent.code.shape import Shape, shape

FOLDER = Path(__file__).parent / "languages"
FILES = sorted(FOLDER.glob("calc.*"), key=lambda path: path.name.lower()) + sorted(FOLDER.glob("Calc.*"))
USED = """\
calc.pyw add 9
calc.js add 1 5 8
calc.ts Shape 4
calc.tsx Props 1
calc.go Add 14
calc.rs LIMIT 6
Calc.java total 7 9
calc.c adder 3 6
calc.cpp add 6 8
Calc.cs Add 8
calc.rb LIMIT 5
calc.php add 8
calc.kt add 11
calc.swift add 6
calc.sh LIMIT 7
calc.lua add 4 5
calc.html total 6
calc.css adder 2 8
calc.json calc 2 4
calc.md add 3
calc.yaml base 4
calc.toml name 3
"""


def parsed(name: str, raw: bytes) -> Shape:
    spoken = language(name)
    return shape(spoken, grammar(spoken), raw)


def told(found: Shape) -> str:
    return "\n".join(
        f"{'  ' * one.depth}{one.kind} {one.name} {one.first}-{one.last}: {one.signature}" for one in found.definitions
    )


def test_there_is_a_file_of_every_language() -> None:
    assert {language(path.name) for path in FILES} == LANGUAGES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_definitions_and_uses_of_every_language_are_found_with_faults_around_them_too(path: Path) -> None:
    expected = dict(part.split("\n", 1) for part in (FOLDER / "outlines.txt").read_text().removeprefix("== ").split("\n== "))
    raw, spoken = path.read_bytes(), language(path.name)
    loaded = grammar(spoken)  # once: some take a third of a second
    found = shape(spoken, loaded, raw)
    assert told(found) == expected[path.name].rstrip("\n")
    assert not found.broken
    [(name, *lines)] = [used.split()[1:] for used in USED.splitlines() if used.startswith(f"{path.name} ")]
    assert found.uses[name] == [int(line) for line in lines]
    half = shape(spoken, loaded, raw[: len(raw) // 2])
    assert half.definitions or half.uses
    assert shape(spoken, loaded, raw + b"\n((( \xff\xfe {{{ \n").definitions
    without = shape(spoken, loaded, raw.replace(b"(", b"", 1))
    assert without.definitions or without.uses


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("a.go", "type (\n\tA struct {\n\t\tx, y int\n\t}\n\tB = A\n)", ["A 2-4 0", "x 3-3 1", "y 3-3 1", "B 5-5 0"]),
        ("a.go", "type (\n\tA int\n)", ["A 1-3 0"]),
        ("a.c", "struct s {\n  struct s *next, **prev;\n  int b[4];\n};", ["s 1-4 0", "next 2-2 1", "prev 2-2 1", "b 3-3 1"]),
        ("a.c", "struct s {\n  int (*op)(void);\n};\ntypedef int (*cb)(int);", ["s 1-3 0", "op 2-2 1", "cb 4-4 0"]),
        (
            "a.c",
            "extern char **environ;\nint *p, q[3];\nchar *const n[] = {0};",
            ["environ 1-1 0", "p 2-2 0", "q 2-2 0", "n 3-3 0"],
        ),
        ("a.hpp", "class V {\n  ~V();\n  V& f();\n  int *p;\n};", ["V 1-5 0", "~V 2-2 1", "f 3-3 1", "p 4-4 1"]),
        ("a.d.ts", "export declare const a: number;\ndeclare let b, c: string;", ["a 1-1 0", "b 2-2 0", "c 2-2 0"]),
    ],
)
def test_each_of_several_that_are_defined_together_is_told_by_itself(name: str, raw: str, expected: list[str]) -> None:
    found = parsed(name, raw.encode()).definitions
    assert [f"{one.name} {one.first}-{one.last} {one.depth}" for one in found] == expected


def test_a_remark_below_a_head_is_no_part_of_it() -> None:
    [one] = parsed("a.py", b"class A:\n    # It is: {this}.\n    pass\n").definitions
    assert (one.signature, one.last) == ("class A:", 3)


def test_what_is_no_utf_8_is_read_all_the_same() -> None:
    found = parsed("a.py", "def größe():\n    return grösse\n".encode("latin-1"))
    assert [one.kind for one in found.definitions] == ["function"]


def test_a_decorated_definition_begins_with_its_decorator() -> None:
    [one] = parsed("a.py", b"@first\n@second(1)\nasync def f(\n    a,\n    b,\n):\n    pass\n").definitions
    assert (one.first, one.last, one.signature) == (1, 7, "async def f( a, b, ):")


@pytest.mark.parametrize(
    ("name", "raw", "why"),
    [
        ("a.js", b"var a=1;" * 262_144, "too large to parse: 2097152 bytes"),
        ("a.js", b"var a=1;" * 50_000, "too large to parse: 400000 bytes in 1 lines, as made by a program"),
        ("a.py", b"\x7fELF\0\0", "no text"),
        ("a.txt", b"words", "in a language that is not parsed here"),
    ],
)
async def test_what_is_not_parsed_says_why(name: str, raw: bytes, why: str) -> None:
    assert await shapes([Text(name, raw)]) == [Shape(refused=why)]


async def test_texts_that_crash_a_parser_or_find_no_end_harm_no_other() -> None:
    deep = [Text("deep.yaml", b"- " * 600 + b"x\n"), Text("deep.sh", b"<<A\n" * 25_000), Text("deep.json", b"[" * 60_000)]
    async with asyncio.timeout(20), Parsing(seconds=0.5) as parsing:
        found = [await parsing.shape(text) for text in deep]
        after = await parsing.shape(Text("a.py", b"def f(): pass\n"))
    assert {one.refused for one in found[:2]} <= {"the parser gave up on it", "it takes too long to parse"}
    assert [one.name for one in after.definitions] == ["f"]


async def test_a_parser_that_the_processor_is_not_with_is_waited_for() -> None:
    async with Parsing(seconds=0.5) as parsing:
        await parsing.shape(Text("a.py", b"x = 1\n"))
        program = parsing._program._running
        assert program is not None
        os.kill(program.pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(0.7, os.kill, program.pid, signal.SIGCONT)
        found = await parsing.shape(Text("a.py", b"def f(): pass\n"))
    assert [one.name for one in found.definitions] == ["f"]


def test_deep_nesting_is_told_without_recursion() -> None:
    found = parsed("a.py", b"".join(b" " * depth + b"class A%d:\n" % depth for depth in range(90)))
    assert len(found.definitions) > 80
    assert max(one.depth for one in found.definitions) == 12
