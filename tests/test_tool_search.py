"""What the model is told of searches."""

import os
from pathlib import Path

import pytest

from agent.errors import ToolFailure
from agent.tool import Context
from agent.workspace.local import LocalWorkspace
from tools.search import Search, SearchArguments


async def nobody(question: str, options: tuple[str, ...]) -> str:
    raise AssertionError(question)


@pytest.fixture
def place(tmp_path: Path) -> LocalWorkspace:
    root = tmp_path / "root"
    for name, content in {
        "a.py": "one\nneedle = 1\nthree\nfour\nfive\nNeedle\n",
        "src/b.js": "needle\nneedle\n",
        ".gitignore": "out\n",
        "out/c.js": "needle\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    secret = root / "state"
    secret.mkdir()
    (secret / "log.txt").write_text("needle\n")
    return LocalWorkspace(root, root, spill=tmp_path / "spill", environment=os.environ, hidden=(secret,))


async def reply(place: LocalWorkspace, **given: object) -> str:
    arguments = SearchArguments.model_validate(given)
    return (await Search().run(arguments, Context(place, lambda text: None, nobody))).text


async def test_lines_are_told_with_path_and_number(place: LocalWorkspace) -> None:
    assert await reply(place, pattern="needle") == "a.py:2:needle = 1\nsrc/b.js:1:needle\nsrc/b.js:2:needle"


async def test_neighbours_are_told_apart_from_matches(place: LocalWorkspace) -> None:
    text = await reply(place, pattern="needle", path="a.py", context=1, ignore_case=True)
    assert text == "a.py-1-one\na.py:2:needle = 1\na.py-3-three\n--\na.py-5-five\na.py:6:Needle"


async def test_paths_or_counts_can_be_told_instead(place: LocalWorkspace) -> None:
    assert await reply(place, pattern="needle", mode="files") == "a.py\nsrc/b.js"
    assert await reply(place, pattern="needle", mode="count") == "a.py:1\nsrc/b.js:2"


async def test_totals_are_true_when_results_are_capped(place: LocalWorkspace) -> None:
    text = await reply(place, pattern="needle", limit=1)
    assert text.splitlines()[0] == "a.py:2:needle = 1"
    assert text.splitlines()[1].startswith("[1 line told; 3 lines in 2 files match; ")
    text = await reply(place, pattern="needle", limit=1, mode="files")
    assert text.splitlines()[0] == "a.py"
    assert text.splitlines()[1].startswith("[1 file told; 3 lines in 2 files match; ")


async def test_nothing_found_is_said(place: LocalWorkspace) -> None:
    assert await reply(place, pattern="needle", path="src", glob="*.py") == "No line matches in src of '*.py'."


async def test_a_path_that_is_not_there_or_hidden_is_a_failure(place: LocalWorkspace) -> None:
    with pytest.raises(ToolFailure, match="There is no nowhere"):
        await reply(place, pattern="x", path="nowhere")
    with pytest.raises(ToolFailure, match="hidden"):
        await reply(place, pattern="x", path="state")


async def test_a_bad_pattern_is_a_failure(place: LocalWorkspace) -> None:
    with pytest.raises(ToolFailure, match="no regular expression"):
        await reply(place, pattern="(")


def test_a_search_is_told_by_what_is_looked_for_and_ruled_by_where() -> None:
    tool, wide, narrow = Search(), SearchArguments(pattern="a.b"), SearchArguments(pattern="a.b", path="src")
    assert [tool.title(one) for one in (wide, narrow)] == ["a.b", "a.b in src"]
    assert [tool.subject(one) for one in (wide, narrow)] == [".", "src"]
