"""Owns what all tests share: the same examples in every run, a model server, and a person with a repository."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fakes import ScriptedServer
from tests.runs import Person

settings.register_profile("same", derandomize=True, database=None)
settings.load_profile("same")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer([]) as running:
        yield running


@pytest.fixture
def person(tmp_path: Path, server: ScriptedServer) -> Person:
    person = Person(tmp_path, server.base_url)
    (person.root / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (person.root / "test_calc.py").write_text("from calc import add\n\nassert add(1, 2) == 3\nprint('passed')\n")
    for command in (("init", "-q"), ("add", "-A"), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "begin")):
        subprocess.run(["git", *command], cwd=person.root, check=True)
    return person
