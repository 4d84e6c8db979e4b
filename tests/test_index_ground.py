"""The index of names holds in every language, follows each edit exactly, and no file of a work tree can harm it."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.code.index import Index
from agent.code.lookup import Asked
from agent.code.store import Store
from agent.workspace.contract import EVERYTHING
from agent.workspace.local import LocalWorkspace
from tests.test_index import age, built, unsearched
from tests.test_shape import FILES, FOLDER, USED

# The first definition of each file: the file, kind and name, and its first line.
_FIRST = re.findall(r"^== (\S+)\n(\S+) (.+?) (\d+)-\d+: ", (FOLDER / "outlines.txt").read_text(), re.MULTILINE)
_SHIFT = 3


@pytest.fixture
def place(tmp_path: Path) -> LocalWorkspace:
    root = tmp_path / "root"
    (root / "state").mkdir(parents=True)
    return LocalWorkspace(root, root, spill=tmp_path / "spill", environment=os.environ)


@pytest.fixture
async def index(place: LocalWorkspace, tmp_path: Path) -> AsyncIterator[Index]:
    index = Index(tmp_path / "code", place.root, nice=0)
    yield index
    await index.close()


async def holds(index: Index, place: LocalWorkspace, shift: int) -> None:
    """Hold that of each language a use and a definition are found where they are, which only the index can tell."""
    asked = unsearched(place)
    for used in USED.splitlines():
        file, name, *lines = used.split()
        answer = await index.find(asked, Asked(name, place.locate(file), EVERYTHING))
        assert [(one.path, [number for number, *_ in one.lines]) for one in answer.uses] == [
            (file, [int(line) + shift for line in lines])
        ]
    for file, kind, name, first in _FIRST:
        answer = await index.find(asked, Asked(name, place.locate(file), EVERYTHING))
        assert (kind, int(first) + shift) in [(one.definition.kind, one.definition.first) for one in answer.definitions], file


async def test_a_definition_and_a_use_of_every_language_are_found_before_and_after_each_file_was_edited(
    place: LocalWorkspace, index: Index
) -> None:
    for path in FILES:
        shutil.copy(path, place.root)
    age(place.root)
    await built(index)
    assert len(_FIRST) == len(FILES) == len(USED.splitlines())
    await holds(index, place, 0)
    for path in FILES:
        (place.root / path.name).write_bytes(b"\n" * _SHIFT + path.read_bytes())
    os.utime(place.root / "calc.js", (1_000_000_000, 1_000_000_000))  # only its size tells
    index.note(path.name for path in FILES)
    await holds(index, place, _SHIFT)
    await built(index)
    await holds(index, place, _SHIFT)


async def test_no_file_harms_the_index_or_what_it_says_of_others(place: LocalWorkspace, index: Index) -> None:
    hostile = {
        "a_large.js": b"var a=1;\n" * 240_000,
        "b_minified.js": b"var a=1;" * 262_144,
        "c_binary.py": b"\x7fELF\0\0" + os.urandom(5000),
        "d_crash.yaml": b"- " * 600 + b"x\n",
        "d_letter.sh": "{\U0010fffd".encode(),
        "e_deep.json": b"[" * 60_000,
        "f_broken.py": b"def (((:\n  class = = )\n\n\ndef whole_one(): pass\n",
        "g_latin.py": "def gr\u00f6\u00dfe(): whole_one()\n".encode("latin-1"),
        "h_utf16.py": "def in_utf16(): whole_one()\n".encode("utf-16"),
        "i_nested.py": b"".join(b" " * depth + b"class A%d:\n" % depth for depth in range(90)),
        "j_last.py": b"def last_of_all(): whole_one()\n",
    }
    for name, content in hostile.items():
        (place.root / name).write_bytes(content)
    os.mkfifo(place.root / "k_fifo.py")
    (place.root / "l_folder.py").mkdir()
    (place.root / "m_loop.py").symlink_to("m_loop.py")
    await built(index)
    progress = index.progress()
    assert progress is not None
    assert progress.complete
    with Store.reading(index.path) as store:
        assert {"a_large.js", "b_minified.js", "c_binary.py", "d_crash.yaml"} <= set(store.refused())
        assert {one.path for one in store.holding("whole_one")} == {"f_broken.py", "g_latin.py", "h_utf16.py", "j_last.py"}
    answer = await index.find(place, Asked("last_of_all", place.locate("."), EVERYTHING))
    assert [one.path for one in answer.definitions] == ["j_last.py"]
