"""The index of names says what the files say, whatever has become of them."""

import asyncio
import fcntl
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.code.builder import look
from agent.code.index import Index
from agent.code.lookup import Answer, Asked, look_up
from agent.code.store import Store
from agent.workspace.contract import EVERYTHING, Found, Located, View
from agent.workspace.local import LocalWorkspace
from agent.workspace.search import Query, Stop

FILES = {
    "lib/calc.py": '"""Adder."""\n\n\nclass Adder:\n    def value(self):\n        return add(1, 2)  # Adder\n\n\n'
    "def add(a, b):\n    return a + b\n",
    "main.py": "from lib.calc import Adder, add\r\n\r\n\r\ndef main():\r\n    one = Adder()\r\n"
    "    return add(one.value(), 'Adder')\r\n",
    "test_main.py": "from lib.calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
    "web/page.py": "class Adder:\n    def value(self):\n        return Other().value()\n",
    "deep.py": "def ParseConfigFile():\n    add(1)\n",
    ".gitignore": "out\n",
    "out/copy.py": "class Adder: pass\n",
    "notes.txt": "Adder\n",
}
IN_OTHER_LANGUAGES = {
    "web/page.ts": "export class Adder { value(): number { return new Other().value(); } }\n",
    "deep.go": "package a\n\nfunc (c *Config) Load() {}\nfunc ParseConfigFile() { add(1) }\n",
    "settings.yaml": "adder:\n  Adder: add\n",
}
NAMES = ("Adder", "add", "value", "Adder.value", "Config.Load", "Other", "main", "test_add", "ParseConfigFile")


def age(root: Path) -> None:
    """Make all files older than what may change once more in the same instant."""
    for path in root.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


@pytest.fixture
def place(tmp_path: Path) -> LocalWorkspace:
    root = tmp_path / "root"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode())
    hidden = root / "state"
    hidden.mkdir()
    (hidden / "log.py").write_text("class Hidden: pass\n")
    (tmp_path / "beyond").mkdir()
    (tmp_path / "beyond" / "far.py").write_text("class Far: pass\n")
    (root / "linked").symlink_to(tmp_path / "beyond")
    (root / "far.py").symlink_to(tmp_path / "beyond" / "far.py")
    age(root)
    return LocalWorkspace(root, root, spill=tmp_path / "spill", environment=os.environ, hidden=(hidden,))


class Silent:
    """An engine that is not to be asked."""

    def search(self, query: Query, stop: Stop) -> Found:
        raise AssertionError(query)

    def files(self, query: Query, stop: Stop) -> tuple[list[str], bool]:
        raise AssertionError(query)


def unsearched(place: LocalWorkspace) -> LocalWorkspace:
    """Return the workspace without a search: there only the index can answer."""
    hidden = (place.root / "state",)
    return LocalWorkspace(
        place.root, place.cwd, spill=place.root / "spill", environment=os.environ, hidden=hidden, engine=Silent()
    )


@pytest.fixture
async def index(place: LocalWorkspace, tmp_path: Path) -> AsyncIterator[Index]:
    index = Index(tmp_path / "code", place.root, (place.root / "state",), nice=0)
    yield index
    await index.close()


def running() -> list[int]:
    """Return the builders that we have started."""
    children = [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]
    found = []
    for pid in children:
        with suppress(OSError):  # it has ended meanwhile
            if b"agent.code.builder" in Path(f"/proc/{pid}/cmdline").read_bytes() and os.getpgid(pid) == pid:
                found.append(pid)
    return found


async def built(index: Index) -> None:
    index.start()
    await index.built()


def asked(place: LocalWorkspace, name: str, where: str = ".") -> Asked:
    return Asked(name, place.locate(where), EVERYTHING)


def told(answer: Answer) -> tuple[object, ...]:
    """Return an answer in an order of its own: which files come first is a matter of taste."""
    return sorted(map(repr, answer.definitions)), sorted(map(repr, answer.uses)), answer.notes


async def test_it_says_of_every_name_what_the_files_say(place: LocalWorkspace, index: Index) -> None:
    for path, content in IN_OTHER_LANGUAGES.items():
        (place.root / path).write_text(content)
    age(place.root)
    await built(index)
    for name in NAMES:
        direct = await look_up(place, asked(place, name))
        assert direct.definitions or direct.uses
        assert told(await index.find(unsearched(place), asked(place, name))) == told(direct)
    assert index.progress() == (8, 8, True)


async def test_of_the_uses_beyond_what_is_asked_for_the_lines_are_not_read(place: LocalWorkspace, index: Index) -> None:
    for number in range(4):
        use = place.root / f"use{number}.py"
        use.write_text("def using():\n    return grand_total(1)\n" + "grand_total(2)\n" * number)
        os.utime(use, (1, 1))  # what changed a moment ago is read anew
    (place.root / "whole.py").write_text("def grand_total(x):\n    return x\n")
    await built(index)
    answer = await index.find(place, Asked("grand_total", place.locate("."), EVERYTHING, 2))
    assert [one.path for one in answer.definitions] == ["whole.py"]
    assert [[text for _, _, text in one.lines] for one in answer.uses] == [
        ["return grand_total(1)"],
        ["return grand_total(1)", "grand_total(2)"],
        ["", "", ""],
        ["", "", "", ""],
    ]
    assert answer.uses[1].lines[0] == (2, "using", "return grand_total(1)")


async def test_it_answers_for_a_folder_alone_and_for_what_may_be_shown(place: LocalWorkspace, index: Index) -> None:
    await built(index)
    assert [one.path for one in (await index.find(place, asked(place, "Adder", "lib"))).definitions] == ["lib/calc.py"]

    def visible(located: Located) -> bool:
        return located.shown != "lib/calc.py"

    answer = await index.find(place, Asked("Adder", place.locate("."), View(visible)))
    assert [one.path for one in answer.definitions] == ["web/page.py"]


def test_nothing_is_parsed_beyond_a_folder_that_became_a_link(tmp_path: Path) -> None:
    for folder in ("root/own", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.py").write_text("def own(): pass\n")
    (tmp_path / "root/led").symlink_to(tmp_path / "elsewhere")
    assert look(str(tmp_path / "root"), "own/a.py", {}, "") is not None
    assert look(str(tmp_path / "root"), "led/a.py", {}, "") is None


async def test_nothing_ignored_hidden_or_linked_is_in_it(place: LocalWorkspace, index: Index) -> None:
    await built(index)
    with Store.reading(index.path) as store:
        assert sorted(store.marks()) == ["deep.py", "lib/calc.py", "main.py", "test_main.py", "web/page.py"]
        assert not store.holding("Hidden")
        assert not store.holding("Far")
    assert (index.path.stat().st_mode | index.path.parent.stat().st_mode) & 0o077 == 0
    ignored = await index.find(place, asked(place, "Adder", "out"))  # by its name it may be asked for
    assert [one.path for one in ignored.definitions] == ["out/copy.py"]


async def test_what_files_are_called_like_secrets_hold_is_not_kept(place: LocalWorkspace, index: Index) -> None:
    (place.root / "credentials.json").write_text('{"add": "hunter2hunter2"}\n')
    await built(index)
    with Store.reading(index.path) as store:
        assert store.refused() == ["credentials.json"]
        assert not store.holding("hunter2hunter2")
    notes = (await index.find(place, asked(place, "add"))).notes
    assert notes == ("1 file that has the name could not be parsed; search shows its lines",)


async def test_an_edit_is_seen_before_and_after_the_index_knows_of_it(place: LocalWorkspace, index: Index) -> None:
    await built(index)
    (place.root / "lib/calc.py").write_text("\n\nclass Adder: pass\n\n\ndef fresh(): pass\n")
    first = await index.find(unsearched(place), asked(place, "Adder", "lib"))
    assert [(one.path, one.definition.first) for one in first.definitions] == [("lib/calc.py", 3)]
    index.note(["lib/calc.py"])
    fresh = await index.find(place, asked(place, "fresh"))
    assert [one.path for one in fresh.definitions] == ["lib/calc.py"]
    age(place.root)
    await index.built()
    await built(index)
    with Store.reading(index.path) as store:
        assert [one.path for one in store.holding("fresh")] == ["lib/calc.py"]
        assert "lib/calc.py" not in [one.path for one in store.holding("add")]


async def test_a_new_file_is_heard_of_unless_it_is_ignored(place: LocalWorkspace, index: Index) -> None:
    await built(index)
    for name in ("out/new.py", "web/new.py"):
        (place.root / name).write_text("class New: pass\n")
    index.note(["out/new.py", "web/new.py"])
    answer = await index.find(unsearched(place), asked(place, "New"))
    assert [one.path for one in answer.definitions] == ["web/new.py"]


async def test_a_new_file_that_nobody_told_of_is_found_before_a_name_is_said_to_be_nowhere(
    place: LocalWorkspace, index: Index
) -> None:
    await built(index)
    (place.root / "new.py").write_text("class New: pass\n")
    assert [one.path for one in (await index.find(place, asked(place, "New"))).definitions] == ["new.py"]


async def stopped(index: Index) -> int:
    """Stop the builder at its work and return its id; none where it was over before."""
    state, pid = "", 0
    while state not in {"T", "Z"}:
        if not index._building.owed:
            return 0
        await asyncio.sleep(0)
        for pid in running():
            with suppress(OSError):
                os.kill(pid, signal.SIGSTOP)
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return pid if state == "T" else 0


async def test_it_says_when_it_could_not_yet_look_at_what_has_changed(place: LocalWorkspace, index: Index) -> None:
    builder = 0
    while not builder:  # it may be over before it is stopped
        await built(index)
        index.start()
        builder = await stopped(index)
    answer = await index.find(place, asked(place, "Adder"))
    assert [one.path for one in answer.definitions] == ["lib/calc.py", "web/page.py"]
    assert answer.notes == ("the index of names is still being made right: what changed since the last turn may be missing",)
    os.kill(builder, signal.SIGCONT)
    await index.built()
    assert not (await index.find(place, asked(place, "Adder"))).notes


async def test_a_name_that_very_many_files_have_is_told_of_some_and_that_is_said(place: LocalWorkspace, index: Index) -> None:
    for number in range(320):
        (place.root / f"one{number}.py").write_text("from lib.calc import add\n")
    await built(index)
    answer = await index.find(place, asked(place, "add"))
    assert [one.path for one in answer.definitions] == ["lib/calc.py"]
    assert answer.notes == ("more than 300 files have the name; as many were looked into: narrow it with path",)


async def test_a_file_that_is_gone_or_has_another_name_is_seen(place: LocalWorkspace, index: Index) -> None:
    await built(index)
    (place.root / "web/page.py").unlink()
    (place.root / "lib/calc.py").rename(place.root / "lib/sums.py")
    index.note(["lib/calc.py", "lib/sums.py"])
    answer = await index.find(place, asked(place, "Adder.value"))
    assert [one.path for one in answer.definitions] == ["lib/sums.py"]
    await built(index)
    with Store.reading(index.path) as store:
        assert sorted(store.marks()) == ["deep.py", "lib/sums.py", "main.py", "test_main.py"]
    assert [one.path for one in (await index.find(place, asked(place, "Adder.value"))).definitions] == ["lib/sums.py"]


@pytest.mark.parametrize(("name", "meant"), [("adderr", "Adder"), ("config_file", "ParseConfigFile"), ("tets_add", "test_add")])
async def test_a_name_that_is_nearly_right_finds_what_is_meant(
    place: LocalWorkspace, index: Index, name: str, meant: str
) -> None:
    await built(index)
    answer = await index.find(place, asked(place, name))
    assert meant in [one.definition.name for one in answer.near]
    assert not answer.notes


async def test_until_it_is_whole_the_files_answer_and_what_may_be_missing_is_said(place: LocalWorkspace, index: Index) -> None:
    await built(index)
    with sqlite3.connect(index.path) as connection:
        connection.execute("UPDATE progress SET complete = 0, listed = 10")
    connection.close()
    with index.path.with_name("build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as another session that builds it
        whole = await index.find(place, asked(place, "Adder"))
        assert told(whole) == told(await look_up(place, asked(place, "Adder")))
        missing = await index.find(place, asked(place, "zzz_nothing_q"))
    assert missing.notes == ("the index of names holds 50 % of the files yet: there may be more; ask again later",)


async def test_a_builder_gives_way_to_all_else_and_one_that_is_killed_harms_nothing(
    place: LocalWorkspace, tmp_path: Path
) -> None:
    index = Index(tmp_path / "code", place.root)
    for number in range(200):
        (place.root / f"one{number}.py").write_text(f"def one{number}(): return add(1, 2)\n" * 5)
    index.start()
    while not index.path.exists():  # noqa: ASYNC110 - of what another program does there is no event
        await asyncio.sleep(0)
    for pid in running():
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
        os.killpg(pid, signal.SIGKILL)
    await index.built()
    answer = await index.find(place, asked(place, "one7"))
    assert {one.path for one in answer.definitions} == {"one7.py"}
    await index.built()
    progress = index.progress()
    assert progress is not None
    assert progress.complete
    assert len((await index.find(place, asked(place, "add"))).uses) > 150
    await index.close()


@pytest.mark.parametrize("harm", ["rubbish", "older", "middle"])
async def test_an_index_that_is_damaged_or_of_another_version_is_built_again(
    place: LocalWorkspace, index: Index, harm: str
) -> None:
    await built(index)
    if harm == "older":
        with sqlite3.connect(index.path) as connection:
            connection.execute("PRAGMA user_version=1")
        connection.close()
    else:
        with index.path.open("r+b") as file:
            file.seek(0 if harm == "rubbish" else 4096)
            file.write(b"rubbish!" * 4000)
    direct = told(await look_up(place, asked(place, "Adder")))
    assert told(await index.find(place, asked(place, "Adder")))[:2] == direct[:2]
    await index.built()
    await built(index)
    with Store.reading(index.path) as store:
        assert len(store.marks()) == 5
    assert told(await index.find(place, asked(place, "Adder"))) == direct


async def test_two_sessions_share_it(place: LocalWorkspace, index: Index, tmp_path: Path) -> None:
    other = Index(tmp_path / "code", place.root, nice=0)
    index.start()
    other.start()
    await index.built()
    await other.built()
    direct = told(await look_up(place, asked(place, "Adder")))
    assert told(await index.find(place, asked(place, "Adder"))) == direct
    assert told(await other.find(place, asked(place, "Adder"))) == direct
    await other.close()
