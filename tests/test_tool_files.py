"""What the model is told when it reads, writes and edits."""

import hashlib
import os
from pathlib import Path

import pytest

from agent.blocks import DiffBlock
from agent.errors import ToolFailure
from agent.tool import AnyTool, Arguments, Context, Result
from agent.workspace.contract import EVERYTHING, Found, Listed
from agent.workspace.local import LocalWorkspace
from agent.workspace.placing import digest_of
from tools.edit import Edit, EditArguments
from tools.read import Read, ReadArguments
from tools.write import Write, WriteArguments


class Bench:
    def __init__(self, root: Path) -> None:
        self.root = root
        place = LocalWorkspace(root, root, spill=root.parent / "spill", environment={})
        self.context = Context(place, lambda text: None, self.nobody)

    async def nobody(self, question: str, options: tuple[str, ...]) -> str:
        raise AssertionError(question)

    async def read(self, path: str, **more: int) -> Result:
        return await Read().run(ReadArguments(path=path, **more), self.context)

    async def write(self, path: str, content: str) -> Result:
        return await self.shown_first(Write(), WriteArguments(path=path, content=content))

    async def edit(self, path: str, old: str, new: str) -> Result:
        return await self.shown_first(Edit(), EditArguments(path=path, old=old, new=new))

    async def shown_first(self, tool: AnyTool, arguments: Arguments) -> Result:
        """Run a tool, and hold that what it shows before is what it shows after."""
        blocks = await tool.preview(arguments, self.context)
        result = await tool.run(arguments, self.context)
        assert blocks == result.blocks
        return result


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "ws").mkdir()
    return Bench(tmp_path / "ws")


async def test_a_window_of_lines_is_told_with_the_total_and_how_to_go_on(bench: Bench) -> None:
    (bench.root / "f").write_text("".join(f"line {number}\n" for number in range(1, 11)))
    assert (await bench.read("f", offset=3, limit=2)).text == "3\tline 3\n4\tline 4\n[lines 3-4 of 10; go on with offset=5]"
    assert (await bench.read("f", offset=10)).text == "10\tline 10\n[lines 10-10 of 10]"
    with pytest.raises(ToolFailure, match="10 lines only"):
        await bench.read("f", offset=11)


async def test_a_long_file_is_told_in_parts(bench: Bench) -> None:
    (bench.root / "f").write_text("x" * 5000 + "\n" + ("y" * 99 + "\n") * 3000)
    text = (await bench.read("f")).text
    assert "… [3000 more characters]" in text
    assert len(text) < 70_000
    assert "go on with offset=" in text.splitlines()[-1]


async def test_what_is_particular_of_a_file_is_told(bench: Bench) -> None:
    (bench.root / "f").write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert (await bench.read("f")).text.splitlines()[-1] == (
        "[lines 1-2 of 2; line ends \\r\\n, kept by edit and write; utf-8 with byte order mark, kept by edit and write; "
        "no newline at the end]"
    )
    (bench.root / "empty").touch()
    assert (await bench.read("empty")).text == "[empty file]"


async def test_a_new_file_is_created_and_an_old_one_replaced_only_when_it_was_read(bench: Bench) -> None:
    created = await bench.write("src/a.py", "x = 1\n")
    assert created.text == "Created src/a.py: 1 line, syntax ok."
    assert created.changes[0].kind == "created"
    (bench.root / "b.py").write_bytes(b"y = 1\r\n")
    with pytest.raises(ToolFailure, match="read it first"):
        await bench.write("b.py", "y = 2\n")
    await bench.read("b.py")
    replaced = await bench.write("b.py", "y = (\n")
    assert replaced.text.startswith("Replaced b.py: 1 line, SYNTAX FAULT at line 1")
    assert (bench.root / "b.py").read_bytes() == b"y = (\r\n"


async def test_an_edit_tells_the_lines_it_changed(bench: Bench) -> None:
    (bench.root / "a.py").write_text("import os\n\n\ndef f():\n    return 1\n")
    await bench.read("a.py")
    result = await bench.edit("a.py", "return 1", "return 2")
    assert result.text == ("Edited a.py, +1 -1; syntax ok.\n@@ -2,4 +2,4 @@\n \n \n def f():\n-    return 1\n+    return 2")
    assert result.blocks == (DiffBlock("a.py", result.text.split("\n", 1)[1], 1, 1),)
    assert (await bench.edit("a.py", "return 2", "return 3")).text.startswith("Edited a.py")


async def test_an_edit_does_not_say_back_all_that_it_was_given(bench: Bench) -> None:
    (bench.root / "a.txt").write_text("begin\nend\n")
    added = "".join(f"line {number}\n" for number in range(30))
    result = await bench.edit("a.txt", "end", f"{added}end")
    assert "+line 0\n+line 1\n[+27 lines]\n+line 29\n end" in result.text
    assert result.changes[0].added == 30


async def test_an_edit_of_what_changed_since_it_was_read_is_refused_until_it_is_read_again(bench: Bench) -> None:
    (bench.root / "a.txt").write_text("a\n")
    await bench.read("a.txt")
    (bench.root / "a.txt").write_text("a\ntheirs\n")
    for _ in range(2):
        with pytest.raises(ToolFailure, match="read it again"):
            await bench.edit("a.txt", "a", "b")
        with pytest.raises(ToolFailure, match="read it again"):
            await bench.write("a.txt", "b\n")
    await bench.read("a.txt")
    await bench.edit("a.txt", "a\n", "b\n")
    assert (bench.root / "a.txt").read_text() == "b\ntheirs\n"


async def test_editing_without_reading_does_not_make_a_file_known(bench: Bench) -> None:
    (bench.root / "a.txt").write_text("a\nunseen\n")
    await bench.edit("a.txt", "a", "b")
    with pytest.raises(ToolFailure, match="read it first"):
        await bench.write("a.txt", "gone\n")


def found(workspace: LocalWorkspace, glob: str, folder: str) -> Listed:
    return workspace.find(glob, workspace.locate(folder), EVERYTHING)


async def searched(workspace: LocalWorkspace, pattern: str, path: str, glob: str) -> Found:
    start = workspace.locate(path)
    return await workspace.search(pattern, paths=[start], glob=glob, context=0, ignore_case=False, limit=10, view=EVERYTHING)


def test_a_pipe_that_was_put_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"")
    folder = os.open(tmp_path, os.O_RDONLY)
    assert digest_of(folder, "pipe") == ""
    assert digest_of(folder, "file") == hashlib.sha256(b"").hexdigest()
    os.close(folder)


def test_the_newest_are_told_first_and_of_one_moment_by_name(tmp_path: Path) -> None:
    workspace = LocalWorkspace(tmp_path, tmp_path, spill=tmp_path / "spill", environment={})
    times = {"f": 1, "e": 2, "d": 3, "c": 3, "b": 3, "a": 4}
    for name, when in times.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(when, when))
    for most in range(1, 8):
        listed = workspace.find("*", workspace.locate("."), EVERYTHING, most)
        assert listed == Listed(tuple("abcdef"[:most]), 6)
    assert sorted(workspace.find("*", workspace.locate("."), EVERYTHING).paths) == list("abcdef")


async def test_credentials_are_never_touched(tmp_path: Path) -> None:
    root = tmp_path / "home"
    (root / ".ssh").mkdir(parents=True)
    (root / ".ssh/id").write_text("secret")
    workspace = LocalWorkspace(root, root, spill=tmp_path / "spill", environment={"HOME": str(root)})
    assert found(workspace, "*", ".") == Listed((), 0)
    with pytest.raises(ToolFailure, match="hidden"):
        workspace.read(workspace.locate(".ssh/id"))
    assert (await searched(workspace, "secret", ".", "")).total == 0


async def test_paths_are_told_and_taken_from_the_current_folder(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    (root / "app[1]/src").mkdir(parents=True)
    (root / "app[1]/src/a.py").write_text("needle\n")
    (root / "b.py").write_text("needle\n")
    workspace = LocalWorkspace(root, root / "app[1]", spill=tmp_path / "spill", environment={})
    assert found(workspace, "src/*.py", ".").paths == ("src/a.py",)
    assert sorted(found(workspace, "*.py", "..").paths) == ["../b.py", "src/a.py"]
    assert found(workspace, f"{root}/app[1]/src/*.py", ".").paths == ("src/a.py",)
    with pytest.raises(ToolFailure, match="globs are relative"):
        found(workspace, "../*.py", ".")
    for glob, paths in (("src/*.py", ["src/a.py"]), (f"{root}/b.py", ["../b.py"]), ("", ["../b.py", "src/a.py"])):
        hits = await searched(workspace, "needle", "..", glob)
        assert sorted(hits.counts) == paths
        assert all(workspace.read(workspace.locate(match.path)).text == "needle\n" for match in hits.matches)
