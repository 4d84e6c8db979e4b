"""What the model is told of names, outlines and single definitions."""

import os
from pathlib import Path

import pytest

from agent.errors import ToolFailure
from agent.tool import AnyTool, Context
from agent.workspace.contract import Located, View
from agent.workspace.local import LocalWorkspace
from tools.outline import Outline
from tools.read import Read
from tools.symbols import Symbols

FILES = {
    "lib/calc.py": '"""Adder."""\n\n\nclass Adder:\n    def value(self):\n        return add(1, 2)  # Adder\n\n\n'
    "def add(a, b):\n    return a + b\n",
    "main.py": "from lib.calc import Adder, add\n\n\ndef main():\n    one = Adder()\n    return add(one.value(), 'Adder')\n",
    "test_main.py": "from lib.calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
    "web/page.ts": "export class Adder { value(): number { return 1; } }\n",
    ".gitignore": "out\n",
    "out/copy.py": "class Adder: pass\n",
    "notes.txt": "Adder\n",
}


async def nobody(question: str, options: tuple[str, ...]) -> str:
    raise AssertionError(question)


@pytest.fixture
def place(tmp_path: Path) -> LocalWorkspace:
    root = tmp_path / "root"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    secret = root / "state"
    secret.mkdir()
    (secret / "log.py").write_text("class Adder: pass\n")
    return LocalWorkspace(root, root, spill=tmp_path / "spill", environment=os.environ, hidden=(secret,))


async def reply(tool: AnyTool, place: LocalWorkspace, **given: object) -> str:
    return (await tool.run(tool.arguments.model_validate(given), Context(place, lambda text: None, nobody))).text


async def test_a_name_is_told_with_its_definitions_and_uses(place: LocalWorkspace) -> None:
    assert await reply(Symbols(), place, name="Adder") == (
        "lib/calc.py:4-6: class: class Adder:\n"
        "web/page.ts:1: class: export class Adder\n"
        "2 uses in 1 file:\n"
        "main.py\n"
        "  1: from lib.calc import Adder, add\n"
        "  5 in main: one = Adder()"
    )


async def test_a_qualified_name_means_the_one_in_its_class(place: LocalWorkspace) -> None:
    text = await reply(Symbols(), place, name="Adder.value", what="definitions", path="lib")
    assert text == "lib/calc.py:5-6: method (Adder.value): def value(self):"
    text = await reply(Symbols(), place, name="Other::value(x)", what="definitions", path="lib")
    assert text.splitlines()[0] == "lib/calc.py:5-6: method (Adder.value): def value(self):"
    assert text.splitlines()[-1] == "[no value is known to stand in Other; these are called value]"


async def test_what_a_name_stands_in_may_be_a_module(place: LocalWorkspace) -> None:
    for folder in ("first", "second"):
        (place.root / folder).mkdir()
        (place.root / folder / "shop.py").write_text("class Till:\n    def count_coins(self): ...\n")
    (place.root / "third.py").write_text("def count_coins(): ...\n")
    for name in ("app.first.Till", "first.shop.Till.count_coins", "first/shop.py::Till"):
        assert "No definition" not in await reply(Symbols(), place, name=name)
    assert await reply(Symbols(), place, name="third.count_coins", what="definitions") == (
        "third.py:1: function: def count_coins():"
    )
    assert await reply(Symbols(), place, name="app.first.Till", what="definitions") == "first/shop.py:1-2: class: class Till:"


async def test_what_is_not_looked_up_is_said(place: LocalWorkspace) -> None:
    with pytest.raises(ToolFailure, match="name is empty"):
        await reply(Symbols(), place, name=" ()\n")
    (place.root / "g.py").write_text("G = 1\nprint(G)\n")
    assert await reply(Symbols(), place, name="G", what="uses") == (
        "Uses of names of one letter are not known; search finds them."
    )


async def test_uses_of_a_qualified_name_are_said_to_be_of_whatever_is_called_so(place: LocalWorkspace) -> None:
    text = await reply(Symbols(), place, name="Adder.value", path="main.py", what="uses")
    assert text == "1 use of any value, of Adder or not, in 1 file:\nmain.py\n  6 in main: return add(one.value(), 'Adder')"


async def test_uses_alone_can_be_asked_for_with_lines_around_them(place: LocalWorkspace) -> None:
    text = await reply(Symbols(), place, name="add", what="uses", context=1, path="test_main.py")
    assert text.splitlines()[-4:] == [
        "  5 in test_add: assert add(1, 2) == 3",
        "    4\tdef test_add():",
        "    5\t    assert add(1, 2) == 3",
        "    6\t",
    ]


async def test_more_uses_than_are_told_are_counted(place: LocalWorkspace) -> None:
    (place.root / "many.py").write_text("from lib.calc import add\n" + "add(1, 2)\n" * 50)
    text = await reply(Symbols(), place, name="add", what="uses", limit=5)
    assert text.splitlines()[-1] == "[5 of 56 uses told; narrow path, or raise limit]"


@pytest.mark.parametrize("name", ["adder", "AddEr", "Addr", "Addre"])
async def test_a_name_that_is_nearly_right_finds_what_is_meant(place: LocalWorkspace, name: str) -> None:
    lines = (await reply(Symbols(), place, name=name)).splitlines()
    assert lines[0] == f"No definition of {name}; called nearly so:"
    assert "lib/calc.py:4-6: class: class Adder:" in lines


async def test_a_part_of_a_name_finds_the_whole(place: LocalWorkspace) -> None:
    (place.root / "deep.go").write_text("package a\n\nfunc ParseConfigFile() {}\n")
    assert "deep.go:3: function: func ParseConfigFile()" in await reply(Symbols(), place, name="config_file")


async def test_what_is_nowhere_is_said(place: LocalWorkspace) -> None:
    assert await reply(Symbols(), place, name="zzz_nothing_q") == "No definition of zzz_nothing_q, and no use of it."


async def test_what_a_call_may_not_show_is_not_told(place: LocalWorkspace) -> None:
    def visible(located: Located) -> bool:
        return located.shown != "web/page.ts"

    context = Context(place, lambda text: None, nobody, view=View(visible))
    both: list[tuple[AnyTool, dict[str, str]]] = [(Symbols(), {"name": "Adder"}), (Outline(), {"path": "."})]
    for tool, given in both:
        text = (await tool.run(tool.arguments.model_validate(given), context)).text
        assert "lib/calc.py" in text
        assert "page.ts" not in text
        assert "log.py" not in text


async def test_a_file_is_outlined_with_its_lines(place: LocalWorkspace) -> None:
    assert await reply(Outline(), place, path="lib/calc.py") == (
        "4-6 class Adder:\n  5-6 def value(self):\n9-10 def add(a, b):\n[10 lines]"
    )


async def test_one_class_of_a_file_is_outlined_alone(place: LocalWorkspace) -> None:
    (place.root / "two.py").write_text(
        "class A:\n    class B:\n        def f(self): ...\n\n    def g(self): ...\n\n\ndef f(): ...\n"
    )
    assert await reply(Outline(), place, path="two.py", symbol="A.B") == "2-3 class B:\n  3 def f(self):\n[8 lines]"
    assert await reply(Outline(), place, path="two.py", symbol="A", depth=2) == (
        "1-5 class A:\n  2-3 class B:\n  5 def g(self):\n[8 lines; 3 of 4 definitions told; read with symbol= shows one whole]"
    )
    with pytest.raises(ToolFailure, match=r"two\.py does not define a; called nearly so: A"):
        await reply(Outline(), place, path="two.py", symbol="a")


async def test_a_folder_is_outlined_file_by_file_without_ignored_ones(place: LocalWorkspace) -> None:
    text = await reply(Outline(), place, path=".")
    assert text.startswith("lib/calc.py\n  4-6 class Adder:\n    5-6 def value(self):\n  9-10 def add(a, b):\nmain.py\n")
    assert "copy.py" not in text


async def test_of_a_folder_what_small_files_do_not_need_the_large_ones_have(place: LocalWorkspace) -> None:
    many = place.root / "many"
    many.mkdir()
    for number in range(40):
        (many / f"small{number}.py").write_text("x = 1\n")
    (many / "large.py").write_text("".join(f"def f{number}(): ...\n" for number in range(60)))
    (many / "larger.py").write_text("".join(f"def some_name_{number}(): ...\n" for number in range(900)))
    text = await reply(Outline(), place, path="many")
    assert "many/large.py\n  1 function f0\n" in text
    assert "\n  60 function f59\nmany/larger.py (" in text
    assert 9000 < len(text) < 12_000


async def test_a_large_file_is_folded_to_what_fits_and_says_so(place: LocalWorkspace) -> None:
    body = "".join(f"class Class{n}:\n" + "".join(f"    def method{m}(self): pass\n" for m in range(20)) for n in range(200))
    (place.root / "large.py").write_text(body)
    text = await reply(Outline(), place, path="large.py")
    assert len(text) < 13_000
    assert "1-21 class Class0:" in text
    assert "[4200 lines; 200 of 4200 definitions told;" in text


async def test_what_cannot_be_outlined_is_a_failure_with_a_way_on(place: LocalWorkspace) -> None:
    with pytest.raises(ToolFailure, match=r"not parsed here\. Use search and read"):
        await reply(Outline(), place, path="notes.txt")
    with pytest.raises(ToolFailure, match="hidden"):
        await reply(Outline(), place, path="state/log.py")


async def test_one_definition_is_read_whole(place: LocalWorkspace) -> None:
    text = await reply(Read(), place, path="lib/calc.py", symbol="Adder.value")
    assert text == "5\t    def value(self):\n6\t        return add(1, 2)  # Adder\n[lines 5-6 of 10]"


async def test_a_definition_that_is_not_there_names_those_called_nearly_so(place: LocalWorkspace) -> None:
    with pytest.raises(ToolFailure, match="does not define adder; called nearly so: Adder"):
        await reply(Read(), place, path="lib/calc.py", symbol="adder")
    with pytest.raises(ToolFailure, match="in a language that is not parsed here"):
        await reply(Read(), place, path="notes.txt", symbol="Adder")


async def test_others_of_the_same_name_are_mentioned(place: LocalWorkspace) -> None:
    (place.root / "two.py").write_text("def f():\n    pass\n\n\ndef f():\n    return 1\n")
    assert (await reply(Read(), place, path="two.py", symbol="f")).endswith("others called so in lines 5-6]")
