"""What the model is told of files by name."""

import os
from pathlib import Path

import pytest

from agent.tool import Context
from agent.workspace.local import LocalWorkspace
from tools.find import Find, FindArguments


async def nobody(question: str, options: tuple[str, ...]) -> str:
    raise AssertionError(question)


async def reply(root: Path, glob: str, path: str = ".") -> str:
    place = LocalWorkspace(root, root, spill=root.parent / "spill", environment=os.environ)
    return (await Find().run(FindArguments(glob=glob, path=path), Context(place, lambda text: None, nobody))).text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for age, name in enumerate(["new.py", "src/middle.py", "old.py", "other.txt", "out/ignored.py"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
        os.utime(root / name, (1_700_000_000 - age, 1_700_000_000 - age))
    (root / ".gitignore").write_text("out/\n")
    return root


async def test_files_come_newest_first(root: Path) -> None:
    assert await reply(root, "*.py") == "new.py\nsrc/middle.py\nold.py"
    assert await reply(root, "*.py", "src") == "src/middle.py"


async def test_nothing_found_is_said(root: Path) -> None:
    assert await reply(root, "*.rs") == "No file in . matches *.rs."


async def test_more_files_than_are_told_are_counted(root: Path) -> None:
    for number in range(250):
        (root / f"{number}.md").touch()
    lines = (await reply(root, "*.md")).splitlines()
    assert len(lines) == 201
    assert lines[-1] == "[the newest 200 of 250 files; narrow glob or path]"
