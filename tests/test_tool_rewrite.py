"""What is found by its structure, and what a rewrite of many files makes of them."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agent.blocks import DiffBlock
from agent.code.patterns import language_of, spoken
from agent.code.program import Gone, Program
from agent.effects import Effect
from agent.errors import ToolFailure
from agent.tool import Context, Result
from agent.workspace.contract import Located, View
from agent.workspace.local import LocalWorkspace
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tools.rewrite import Rewrite, RewriteArguments


async def nobody(question: str, options: tuple[str, ...]) -> str:
    raise AssertionError(question)


class Bench:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = LocalWorkspace(root, root, spill=root.parent / "spill", environment={})
        self.context = Context(self.place, lambda text: None, nobody)

    def holds(self, files: Mapping[str, str]) -> None:
        for name, content in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())

    async def located(self, arguments: RewriteArguments) -> Context:
        """Return what the call may use, once what it reaches is located."""
        paths = await Rewrite().reached(arguments, self.context)
        return replace(self.context, located={path: self.place.locate(path) for path in paths})

    async def rewrite(self, pattern: str, rewrite: str | None = None, **more: str | int) -> Result:
        arguments = RewriteArguments.model_validate({"pattern": pattern, "rewrite": rewrite, **more})
        context = await self.located(arguments)
        return await Rewrite().run(arguments, context)

    def read(self, name: str) -> str:
        return (self.root / name).read_bytes().decode()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "ws").mkdir()
    return Bench(tmp_path / "ws")


async def test_of_a_name_that_got_another_one_it_is_told_where_it_still_stands(bench: Bench) -> None:
    code = "def old(): ...\n\n\nold()  # old\n'see old'\n"
    bench.holds({"a.py": code, "b.py": "older = 1\n", "notes.md": "old\n"})
    note = "\n[old still stands in 3 lines of 2 files, as in comments, strings, texts or types; search shows them]"
    assert (await bench.rewrite("old", "new")).text.endswith(note)
    assert bench.read("a.py") == "def new(): ...\n\n\nnew()  # old\n'see old'\n"
    assert "still stands" not in (await bench.rewrite("new()", "old()")).text
    assert "still stands" not in (await bench.rewrite("older", "newer")).text


async def test_all_places_of_one_shape_become_another_and_nothing_else_does(bench: Bench) -> None:
    bench.holds(
        {
            "a.py": 'import log\n\nlog.warn("é%s", x,  y)  # log.warn\nif a:\n    log.warn(\n        "b",\n        c,\n    )\n',
            "b.py": "\ufefflog.warn('x')\r\nlog.warn( y )\r\n",
            "c.js": "log.warning(1)",
            "d.py": "text = 'log.warn(1)'",
            ".gitignore": "out\n",
            "out/e.py": "log.warn(1)\n",
        }
    )
    arguments = RewriteArguments(pattern="log.warn($$$ARGS)", rewrite="log.warning($$$ARGS)")
    context = await bench.located(arguments)
    blocks = await Rewrite().preview(arguments, context)
    result = await Rewrite().run(arguments, context)
    assert result.blocks == blocks  # what is shown before is what is made
    assert bench.read("a.py") == (
        'import log\n\nlog.warning("é%s", x,  y)  # log.warn\nif a:\n    log.warning(\n        "b",\n        c,\n    )\n'
    )
    assert bench.read("b.py") == "\ufefflog.warning('x')\r\nlog.warning(y)\r\n"
    assert bench.read("d.py") == "text = 'log.warn(1)'"
    assert bench.read("out/e.py") == "log.warn(1)\n"
    assert result.text.split("\n") == [
        "Rewrote 4 matches in 2 files, as one change.",
        "No new syntax fault was found.",
        "a.py: 2 matches, +2 -2",
        '-3\tlog.warn("é%s", x,  y)  # log.warn',
        '+3\tlog.warning("é%s", x,  y)  # log.warn',
        "-5\t    log.warn(",
        "+5\t    log.warning(",
        "b.py: 2 matches, +2 -2",
        "-1\tlog.warn('x')",
        "-2\tlog.warn( y )",
        "+1\tlog.warning('x')",
        "+2\tlog.warning(y)",
    ]
    assert [change.path for change in result.changes] == ["a.py", "b.py"]


async def test_what_was_not_rewritten_is_told_and_only_that(bench: Bench) -> None:
    bench.holds({"a.py": "f(1)\nfoo(1)\n", "b.py": f"foo('{'x' * 900_000}')\n"})
    (bench.root / "c.py").write_bytes(b"# caf\xe9\nfoo(1)\n")
    result = await bench.rewrite("foo($A)", "bar('λ', $A)")
    assert result.text.split("\n")[:3] == [
        "Rewrote 1 match in 1 file, as one change.",
        "NOT WRITTEN: c.py is no UTF-8, so it cannot take 'λ'; convert it with iconv first.",
        "[1 file not looked into: b.py (too large to parse: 900008 bytes in 2 lines, as made by a program)]",
    ]


LANGUAGES = [
    ("a.c", "int main(){ foo(1); int x = foo(2); }", "foo($A)", "bar($A, 0)", "int main(){ bar(1, 0); int x = bar(2, 0); }"),
    ("a.css", "a { color: red; b: c }", "color: $C", "color: blue", "a { color: blue; b: c }"),
    ("a.go", "package m\nfunc f() { fmt.Println(1, 2) }", "fmt.Println($$$A)", "p($$$A)", "package m\nfunc f() { p(1, 2) }"),
    ("a.java", "class A { void f() { foo(1); } }", "foo($A)", "bar($A)", "class A { void f() { bar(1); } }"),
    ("a.cs", "class A { void F() { Foo(1); } }", "Foo($A)", "Bar($A)", "class A { void F() { Bar(1); } }"),
    ("a.tsx", "const b = foo<T>(<A/>)", "foo<$T>($A)", "bar<$T>($A)", "const b = bar<T>(<A/>)"),
    ("a.rs", "fn f() { a(x.unwrap()) }", "$A.unwrap()", "$A?", "fn f() { a(x?) }"),
    ("a.rb", "foo 1\n", "foo $A", "bar $A", "bar 1\n"),
    ("a.php", "<?php\n$x = foo($y);\n", "foo($A)", "bar($A, $z, $HOME)", "<?php\n$x = bar($y, $z, $HOME);\n"),
    ("a.sh", "foo 1\n", "foo $A", "bar $HOME $A", "bar $HOME 1\n"),
    ("a.h", "int f() { foo<int>(1); }", "foo<$T>($A)", "bar<$T>($A)", "int f() { bar<int>(1); }"),
    ("a.py", "foo()\nfoo(a, b,)\n", "foo($$$A)", "bar(ctx, $$$A)", "bar(ctx)\nbar(ctx, a, b,)\n"),
    ("a.py", "foo()\nfoo(a, b,)\n", "foo($$$A)", "bar($$$A, ctx)", "bar(ctx)\nbar(a, b, ctx)\n"),
    ("a.py", "f(f(1))\n", "f($A)", "g($A)", "g(f(1))\n"),
    ("a.py", "if x:\n  a = 1\n", "$A = 1", "with l:\n    $A = 2\n\n    b()", "if x:\n  with l:\n      a = 2\n\n      b()\n"),
]


async def test_each_language_is_read_as_it_is() -> None:
    program = Program("agent.code.matcher", 30.0, "ast_grep_py")
    for name, text, pattern, rewrite, after in LANGUAGES:
        language = spoken(name, "cpp") or spoken(name, language_of([name], "."))
        fault, _, spans, *_ = await program.ask([language, pattern, rewrite, "\n"], text.encode())
        assert not fault
        made = text
        for start, end, new in reversed(spans):
            made = made[:start] + new + made[end:]
        assert made == after, name
    await program.end()


@pytest.mark.parametrize(
    ("name", "pattern", "rewrite", "before", "after"),
    [
        ("a.py", "f($A, $$$B)", "g($A, $$$B)", "f(1)\nf(1, 2)\nf()\n", "g(1)\ng(1, 2)\nf()\n"),
        ("a.py", "from m import $$$A, p, $$$B", "from m import $$$A, $$$B", "from m import x, p\n", "from m import x\n"),
        ("a.py", "f(1, $$$)", "g()", "f(1)\nf(1, 2)\nf(2)\n", "g()\ng()\nf(2)\n"),
        ("a.go", "f($A, $$$B)", "g($A, $$$B)", "package p\n\nfunc x() { f(1) }\n", "package p\n\nfunc x() { g(1) }\n"),
        ("a.sh", "f $A $$$B", "g $A $$$B", "f 1\nf 1 2\n", "g 1\ng 1 2\n"),
    ],
)
async def test_the_last_of_several_may_be_none(
    bench: Bench, name: str, pattern: str, rewrite: str, before: str, after: str
) -> None:
    bench.holds({name: before})
    await bench.rewrite(pattern, rewrite)
    assert bench.read(name) == after


@pytest.mark.parametrize(
    ("name", "pattern", "more"),
    [
        ("a.py", "raise $A", "raise {0} from error"),
        ("a.py", "from m import $$$A, p", "from m import {0}, p, q"),
        ("a.py", "def $A(): pass", "async def {0}(): pass"),
        ("a.js", "const $A = 1", "const {0} = 1, b = 2"),
        ("a.js", "if ($A) {{ $$$B }}", "if ({0}) {{ x() }} else {{ y() }}"),
        ("a.php", "f($_GET, $A)", "f($_POST, {0})"),
    ],
)
async def test_what_has_more_than_the_pattern_says_is_left_and_named(bench: Bench, name: str, pattern: str, more: str) -> None:
    whole = pattern.replace("$$$A", "a").replace("$$$B", "x()").replace("$A", "a").format()
    start = "<?php\n" if name == "a.php" else "\n"
    text = f"{start}{more.format('a')};\n"
    bench.holds({name: text})
    with pytest.raises(ToolFailure, match=rf"1 place left, which the pattern tells in part only: {name}:2;"):
        await bench.rewrite(pattern.format(), "gone")
    bench.holds({name: text, f"b{Path(name).suffix}": f"{start}{whole};\n"})
    told = (await bench.rewrite(pattern.format(), "gone")).text
    assert "Rewrote 1 match in 1 file" in told
    assert f"[1 place left, which the pattern tells in part only: {name}:2;" in told
    assert bench.read(name) == text


async def test_what_is_taken_away_leaves_no_empty_line_and_a_head_without_a_body_is_told(bench: Bench) -> None:
    bench.holds({"a.py": "def f():\r\n    log(1)\r\n    return 2\r\n\r\n\r\ndef g():\r\n    log(\r\n        2)\r\n"})
    told = (await bench.rewrite("log($A)", "")).text
    assert bench.read("a.py") == "def f():\r\n    return 2\r\n\r\n\r\ndef g():\r\n"
    assert "a.py: 2 matches, +0 -3; SYNTAX FAULT at line 5: expected an indented block after function definition\n" in told


async def test_a_comment_is_not_lost_by_a_rewrite(bench: Bench) -> None:
    text = "f(a,  # why\n  b)\nf(1, 2)  # after\nf([  # kept\n  1], 2)\n"
    bench.holds({"a.py": text})
    assert "[3 matches in 1 file]" in (await bench.rewrite("f($A, $B)")).text
    told = (await bench.rewrite("f($A, $B)", "g($A, $B)")).text
    assert "[1 place left, in which a comment would be lost: a.py:1; change them by edit]" in told
    assert bench.read("a.py") == "f(a,  # why\n  b)\ng(1, 2)  # after\ng([  # kept\n  1], 2)\n"


async def test_what_moves_inwards_keeps_the_white_space_of_its_strings(bench: Bench) -> None:
    bench.holds({"a.py": 'class A:\n    def f(self):\n        x = """a\n        b"""\n        if x:\n            return 1\n'})
    await bench.rewrite("def $F($$$A):\n    $$$BODY", "def $F($$$A):\n    with lock:\n        $$$BODY")
    assert bench.read("a.py") == (
        'class A:\n    def f(self):\n        with lock:\n            x = """a\n        b"""\n'
        "            if x:\n                return 1\n"
    )


async def test_without_a_rewrite_matches_are_listed_and_nothing_is_changed(bench: Bench) -> None:
    bench.holds({"a.py": "x = foo(1)\n", "b.py": "y\nfoo(2,\n    3)\n", "c.py": "a == a\na == b\n"})
    arguments = RewriteArguments(pattern="foo($$$A)")
    assert Rewrite().effect_of(arguments) is Effect.READ
    assert (await bench.rewrite("foo($$$A)")).text == "a.py:1: x = foo(1)\nb.py:2-3: foo(2,\n[2 matches in 2 files]"
    assert (await bench.rewrite("foo($$$A)", limit=1)).text.endswith("\n[2 matches in 2 files; 1 told, raise limit]")
    assert (await bench.rewrite("$A == $A")).text == "c.py:1: a == a\n[1 match in 1 file]"


@pytest.mark.parametrize(
    ("pattern", "rewrite", "words"),
    [
        ("gone($A)", "x", "No match: no file of code in . has the word 'gone'."),
        ("foo($A, $B, $C)", "x", "No match in 1 file of python that could have one. It is code with $NAME"),
        ("foo($A", "x", "No match in 1 file of python that could have one. The pattern by itself is no whole code of python"),
        ("foo($A); foo()", "x", "is no pattern of python: Multiple AST nodes are detected."),
        ("foo($A)", "bar($B)", "Nothing was changed: rewrite has $B, and pattern has not."),
        ("foo($$$A)", "bar($A)", "write A in rewrite with as many $ as in pattern"),
        ("foo($_A)", "bar($_A)", "it begins with _"),
        ("foo($A)", "foo($A)", "Nothing was changed: with 1 match all would stay as it is."),
        ("both($A)", "x", "Say which language: files of several could match: python (1), javascript (1)."),
    ],
)
async def test_what_cannot_be_done_says_what_would_help(bench: Bench, pattern: str, rewrite: str, words: str) -> None:
    bench.holds({"a.py": "foo(1)\n", "b.py": "both(1)\n", "c.js": "both(1)\n"})
    with pytest.raises(ToolFailure) as failed:
        await bench.rewrite(pattern, rewrite)
    assert words in str(failed.value)


async def test_files_of_a_language_are_counted_where_none_has_the_word(bench: Bench) -> None:
    bench.holds({"a.py": "foo(1)\n", "b.py": "", "c.js": "gone(1)"})
    with pytest.raises(ToolFailure, match=r"none of the 2 files of python in \. has the word 'gone'"):
        await bench.rewrite("gone($A)", "x", language="python")
    with pytest.raises(ToolFailure, match="There is no file of ruby in "):
        await bench.rewrite("gone($A)", "x", language="ruby")


async def test_new_faults_are_told_and_old_ones_are_not(bench: Bench) -> None:
    bench.holds({"a.py": "foo(1)\n", "b.py": "foo(2)\ndef (\n"})
    text = (await bench.rewrite("foo($A)", "bar(($A)")).text
    assert "a.py: 1 match, +1 -1; SYNTAX FAULT at line 1" in text
    assert "New faults in " in text


async def test_a_file_that_changed_since_it_was_read_is_not_touched_nor_any_other(bench: Bench) -> None:
    bench.holds({"a.py": "foo(1)\n", "b.py": "foo(2)\n"})
    bench.place.saw(bench.place.read(bench.place.locate("b.py")))
    bench.holds({"b.py": "foo(2)\nmine\n"})
    with pytest.raises(ToolFailure, match=r"b\.py has changed since it was read, nothing was written anywhere"):
        await bench.rewrite("foo($A)", "bar($A)")
    assert (bench.read("a.py"), bench.read("b.py")) == ("foo(1)\n", "foo(2)\nmine\n")


async def test_what_came_after_the_call_was_judged_is_not_touched(bench: Bench) -> None:
    bench.holds({"a.py": "foo(1)\n"})
    arguments = RewriteArguments(pattern="foo($A)", rewrite="bar($A)")
    context = await bench.located(arguments)
    bench.holds({"b.py": "foo(2)\n"})
    await Rewrite().run(arguments, context)
    assert (bench.read("a.py"), bench.read("b.py")) == ("bar(1)\n", "foo(2)\n")


async def test_what_was_approved_is_what_is_written(bench: Bench) -> None:
    bench.holds({"a.py": "foo(1)\n", "b.py": "foo(2)\n"})
    arguments = RewriteArguments(pattern="foo($A)", rewrite="bar($A)")
    context = await bench.located(arguments)
    approved = replace(context, approved=await Rewrite().preview(arguments, context))
    bench.holds({"b.py": "foo(3)\n"})
    with pytest.raises(ToolFailure, match="changed since the person allowed"):
        await Rewrite().run(arguments, approved)
    assert bench.read("a.py") == "foo(1)\n"


async def test_hunks_of_a_file_alone_can_be_chosen(bench: Bench) -> None:
    between = "".join(f"x{number} = 1\n" for number in range(20))
    bench.holds({"a.py": f"foo(1)\n{between}foo(2)\n"})
    arguments = RewriteArguments(pattern="foo($A)", rewrite="bar($A)")
    context = await bench.located(arguments)
    shown = await Rewrite().preview(arguments, context)
    result = await Rewrite().run(arguments, replace(context, approved=shown, hunks=frozenset({1})))
    assert bench.read("a.py") == f"foo(1)\n{between}bar(2)\n"
    [block] = result.blocks
    assert isinstance(block, DiffBlock)
    assert (block.added, block.removed) == (1, 1)


async def test_outside_of_the_workspace_and_in_what_may_not_be_shown_nothing_is_looked_for(bench: Bench) -> None:
    bench.holds({"a.py": "foo(1)\n", "private/b.py": "foo(2)\n"})
    (bench.root.parent / "other.py").write_text("foo(3)\n")
    for path in ("..", "../other.py"):
        with pytest.raises(ToolFailure, match="of the workspace only"):
            await bench.rewrite("foo($A)", "bar($A)", path=path)

    def visible(path: Located) -> bool:
        return "private" not in path.shown

    arguments = RewriteArguments(pattern="foo($A)", rewrite="bar($A)")
    assert await Rewrite().reached(arguments, replace(bench.context, view=View(visible))) == ("a.py",)


async def test_hostile_files_are_passed_over_and_named(bench: Bench) -> None:
    bench.holds({"a.py": "foo(1)\n", "deep.py": "foo(" * 20_000, "long.py": "x = [" + "foo(1)," * 100_000 + "]"})
    (bench.root / "binary.py").write_bytes(b"foo(1)\0\xff")
    (bench.root / "link").symlink_to(bench.root.parent)
    text = (await bench.rewrite("foo($A)")).text
    assert text.startswith("a.py:1: foo(1)\n")
    assert "long.py (too large to parse" in text
    (bench.root / "letter.sh").write_text("foo 1\n{\U0010fffd")
    try:
        told = (await bench.rewrite("foo $A", language="bash")).text
    except ToolFailure as failure:  # the parser reads beyond what it has, so that what it comes to is another each time
        told = str(failure)
    assert "letter.sh" in told


async def test_a_parser_that_hangs_or_dies_is_started_anew(tmp_path: Path) -> None:
    program = Program("agent.code.matcher", 30.0, "ast_grep_py")
    with pytest.raises(Gone, match="gave up"):
        await program.ask(["no language", "x", None, "\n"], b"x")
    assert await program.ask(["python", "x", "y", "\n"], b"x") == ["", True, [[0, 1, "y"]], [], []]
    await program.end()
    slow = Program("agent.code.matcher", 0.05, "ast_grep_py")
    for _ in range(3):  # whoever comes first to hear of its end
        with pytest.raises(Gone, match="too long"):
            await slow.ask(["python", "f($$$A)", None, "\n"], b"f(1, 2)\n" * 100_000)


async def test_a_rewrite_is_one_action_that_is_undone_alone_and_by_file(person: Person, server: ScriptedServer) -> None:
    for name in ("one", "two", "three"):
        (person.root / f"{name}.py").write_text(f"from calc import add\n\nprint(add({len(name)}, 1))\n")
    before = {path.name: path.read_text() for path in person.root.glob("*.py")}
    server.script += [
        answer("", calls=[("rewrite", {"pattern": "add($A, $B)", "rewrite": "add($B, $A)", "glob": "*.py"})]),
        answer("Turned."),
    ]
    allowed = ("--mode", "ask", "--allow", "rewrite(*.py)")
    run = await person.trusted("-p", "turn them", *allowed, "--output-format", "stream-json")
    assert run.code == 0, run
    recorded = [line for line in run.lines if line["type"] == "action.recorded"]
    assert [[file["path"] for file in line["files"]] for line in recorded] == [["one.py", "test_calc.py", "three.py", "two.py"]]
    assert (person.root / "one.py").read_text().endswith("print(add(1, 3))\n")
    assert (await person.run("undo", recorded[0]["action"], "--file", "two.py")).code == 0
    now = {path.name: path.read_text() for path in person.root.glob("*.py")}
    assert now["two.py"] == before["two.py"]
    assert now["one.py"] != before["one.py"]


async def test_a_rewrite_is_judged_by_the_files_that_it_would_change(person: Person, server: ScriptedServer) -> None:
    (person.root / ".github").mkdir()
    (person.root / ".github" / "tool.py").write_text("add(1, 2)\n")
    calls = [("rewrite", {"pattern": "add($A, $B)", "rewrite": "sub($A, $B)"})]
    server.script += [answer("", calls=calls), answer("No.")]
    run = await person.trusted("-p", "turn them", "--mode", "edits")
    assert run.code == 4, run
    assert "other programs act on" in json.loads(server.requests[1])["messages"][-1]["content"]
    assert (person.root / ".github" / "tool.py").read_text() == "add(1, 2)\n"
    assert "add(1, 2)" in (person.root / "test_calc.py").read_text()
