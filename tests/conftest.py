"""Owns what all tests share: the same examples in every run, a model server, and a person with a repository."""

import gc
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fakes import ScriptedServer
from tests.pty import ALL
from tests.runs import Person

settings.register_profile("same", derandomize=True, database=None)
settings.load_profile("same")
gc.disable()  # while all tests are imported
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so shells start what they run beside them, and so it is handed on
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Have no collection go through all that was imported: it takes as long as many a test."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer([]) as running:
        yield running


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one commit, of which each person has a copy."""
    root = tmp_path_factory.mktemp("begun")
    (root / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (root / "test_calc.py").write_text("from calc import add\n\nassert add(1, 2) == 3\nprint('passed')\n")
    for command in (("init", "-q"), ("add", "-A"), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "begin")):
        subprocess.run(["git", *command], cwd=root, check=True)
    for sample in (root / ".git" / "hooks").glob("*.sample"):  # most of what each copy would copy
        sample.unlink()
    return root


@pytest.fixture
def person(tmp_path: Path, server: ScriptedServer, begun: Path) -> Person:
    person = Person(tmp_path, server.base_url)
    shutil.copytree(begun, person.root, dirs_exist_ok=True)
    subprocess.run(["git", "update-index", "-q", "--refresh"], cwd=person.root, check=True)
    return person


@pytest.fixture
def hostile(person: Person) -> Person:
    """A repository whose names are all hostile: its own, that of its branch and those of its files."""
    root = person.root.rename(person.root.with_name("re\x1b]0;owned\x07\x9b2J\u202e[@click=app.quit]x"))
    person.root = root
    for name in ("cl\x1b[2J.py", "over\rwritten.py", "c1\x9b.py", "bidi\u202e.py", "[@click=app.quit].py", "line\nbreak.py"):
        (root / name).write_text(f"x = 1\n# {ALL}\n")
    (root / os.fsdecode(b"half\xff\x9b.py")).write_text("x = 1\n")
    (root / "hostile.txt").write_bytes(ALL.encode() + b" raw \x9b2J\n")
    subprocess.run(["git", "checkout", "-q", "-b", "branch\x9b\u202e\U000e0041"], cwd=root, check=True)
    return person
