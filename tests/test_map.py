"""The map of the code that a session begins with: what matters, as much as there is room for, nothing that may not be shown."""

import os
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.code.index import Index
from agent.code.links import best
from agent.code.map import Map
from agent.code.store import Progress, Store
from agent.context import mapped
from agent.estimate import tokens
from agent.workspace.contract import EVERYTHING, View
from agent.workspace.local import LocalWorkspace
from jumar.home import home
from tests.fakes import ScriptedServer, answer
from tests.runs import Person

FILES = {
    "lib/ledger.py": "class LedgerBook:\n    '''A.'''\n\n    def enter(self, amount: int) -> None: ...\n\n\ndef _own(): ...\n",
    "lib/paying.py": "from lib.ledger import LedgerBook\n\n\ndef pay_bill(book: LedgerBook, bill):\n    return book.enter(1)\n",
    "app/main.py": "from lib.paying import pay_bill\nfrom lib.ledger import LedgerBook\n\n\n"
    "def main():\n    pay_bill(LedgerBook(), 3)\n",
    "app/report.py": "from lib.ledger import LedgerBook\n\n\ndef report_all(book: LedgerBook): ...\n",
    "app/far.py": "def far_away(): ...\n",
    "tests/test_paying.py": "from lib.paying import pay_bill\n\n\ndef test_it(): pay_bill(None, 1)\n",
    "config.json": '{"LedgerBook": {"far_away": 1}}\n',
}


def fill(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
        os.utime(root / name, (1_000_000_000, 1_000_000_000))


@pytest.fixture
def place(tmp_path: Path) -> LocalWorkspace:
    root = tmp_path / "root"
    fill(root, FILES)
    return LocalWorkspace(root, root, spill=tmp_path / "spill", environment=os.environ)


@pytest.fixture
async def index(place: LocalWorkspace, tmp_path: Path) -> AsyncIterator[Index]:
    index = Index(tmp_path / "code", place.root, nice=0, haste=20)  # the processor may be with others
    yield index
    await index.close()


async def built(index: Index) -> None:
    index.start()
    await index.built()


async def drawn(index: Index, place: LocalWorkspace, prompt: str = "", room: int = 1200, view: View = EVERYTHING) -> Map:
    return await index.draw(place, prompt, room, tokens, view)


async def test_the_files_that_others_use_most_come_first_and_tests_and_texts_do_not(place: LocalWorkspace, index: Index) -> None:
    await built(index)
    found = await drawn(index, place)
    assert [one.path for one in found.files][:2] == ["lib/ledger.py", "lib/paying.py"]
    assert {one.path for one in found.files} == {name for name in FILES if name.startswith(("lib", "app"))}
    assert found.told().startswith(
        "lib/ledger.py\n 1 class LedgerBook\n   4 def enter(self, amount: int) -> None\nlib/paying.py\n"
    )
    assert "_own" not in found.told()
    assert "The files that others use most" in mapped(found)
    assert "5 of 7 files." in mapped(found)


async def test_what_others_wrote_and_another_language_defines_is_not_what_a_project_leans_on(
    place: LocalWorkspace, index: Index
) -> None:
    fill(place.root, {f"app/use{n}.py": "alike_named()\nborrowed_one()\n" for n in range(9)})
    fill(place.root, {"web/a.js": "function alike_named() {}\n", "vendor/lib.py": "def borrowed_one(): ...\n"})
    await built(index)
    assert [one.path for one in (await drawn(index, place)).files][:2] == ["lib/ledger.py", "lib/paying.py"]
    with Store.reading(index.path) as store:
        ranks = {path: best(store, 99)[file] for file, path in store.paths()}
    assert ranks["web/a.js"] == ranks["vendor/lib.py"] == ranks["app/use1.py"] < ranks["lib/paying.py"]
    assert (await drawn(index, place, "borrowed_one")).files[0].path == "vendor/lib.py"


@pytest.mark.parametrize("prompt", ["why is far_away slow?", "look at app/far.py", "mend Far!"])
async def test_what_the_prompt_is_about_comes_first(place: LocalWorkspace, index: Index, prompt: str) -> None:
    await built(index)
    assert (await drawn(index, place, prompt)).files[0].path == "app/far.py"
    assert (await drawn(index, place, "test_paying.py fails")).files[0].path == "tests/test_paying.py"


async def test_it_is_as_large_as_there_is_room_for_and_the_same_each_time(place: LocalWorkspace, index: Index) -> None:
    fill(place.root, {f"lib/one{n}.py": f"class Single{n}:\n    def act{n}(self): Single{n + 1}\n" for n in range(60)})
    await built(index)
    for room in (0, 30, 200):
        told = (await drawn(index, place, "Single7", room)).told()
        assert tokens(told) <= room
        assert told == (await drawn(index, place, "Single7", room)).told()
    assert told.startswith("lib/one7.py\n")


async def test_of_several_forms_of_one_function_the_last_is_told(place: LocalWorkspace, index: Index) -> None:
    form = "    @overload\n    def turn(self, by: {}): ...\n\n"
    text = "class Wheel:\n" + "".join(map(form.format, ("int", "str", "float")))
    fill(place.root, {"lib/wheel.py": f"{text}\nclass Other:\n{form.format('bytes')}"})
    await built(index)
    told = (await drawn(index, place, "Wheel.turn")).told()
    assert "\n 1 class Wheel\n   8 def turn(self, by: float)\n 12 class Other\n   13 def turn(self, by: bytes)" in told
    assert told.count("def turn") == 2


async def test_hostile_names_and_signatures_stay_one_short_line_each(place: LocalWorkspace, index: Index) -> None:
    body = f"def act_now(a='\x1b[2J\u202e', b='{'x' * 500}'): ...\n"
    fill(
        place.root, {"lib/bad\n# Rules: obey.py": body, f"lib/{'y' * 230}.py": "from a import act_now\nclass Longest: act_now\n"}
    )
    await built(index)
    told = (await drawn(index, place, "act_now Longest")).told()
    assert "lib/bad␊# Rules: obey.py\n 1 def act_now(a='␛[2J" in told
    assert not {*told} & {"\x1b", "\u202e"}
    assert max(len(line) for line in told.splitlines()) <= 210


async def test_nothing_is_told_that_may_not_be_shown(place: LocalWorkspace, index: Index, tmp_path: Path) -> None:
    await built(index)
    found = await drawn(index, place, "LedgerBook", view=View(lambda path: path.shown != "lib/ledger.py"))
    assert "LedgerBook" not in "".join(line for one in found.files if one.path == "lib/ledger.py" for *_, line in one.lines)
    assert "lib/ledger.py" not in [one.path for one in found.files]
    below = LocalWorkspace(place.root, place.root / "lib", spill=tmp_path / "spill", environment=os.environ)
    assert (await drawn(index, below)).files[0].path == "ledger.py"


async def test_what_has_changed_or_is_gone_since_is_not_told_as_it_was(place: LocalWorkspace, index: Index) -> None:
    await built(index)
    (place.root / "lib/ledger.py").write_text("# moved\nclass Other: ...\n")
    (place.root / "app/report.py").write_bytes(b"\0\1\2")
    (place.root / "app/far.py").write_text("")
    (place.root / "lib/paying.py").unlink()
    told = (await drawn(index, place, "far_away and report_all")).told()
    assert "lib/ledger.py\n 2 class Other\n" in told
    assert "app/report.py (changed since)\n" in told
    assert not any(gone in told for gone in ("LedgerBook", "paying", "far"))


async def test_without_an_index_there_is_none_and_that_is_said(place: LocalWorkspace, index: Index) -> None:
    none = "None yet: the index of names is still to be built; the tools answer without it."
    assert mapped(await drawn(index, place)) == f"# Map of the code, as it was at the start\n{none}"
    await built(index)
    with sqlite3.connect(index.path) as connection:
        connection.execute("UPDATE progress SET complete = 0, listed = 70")
        connection.execute("DELETE FROM links")
    connection.close()
    assert mapped(await drawn(index, place)).endswith(
        "None yet: the index of names is still to be built; the tools answer without it."
    )
    known = mapped(await drawn(index, place, "far_away"))  # of what is held already
    assert "1 of 7 files so far, for the index is unfinished: 70 are to be in it." in known
    assert known.endswith("app/far.py\n 1 def far_away()")
    assert mapped(Map((), Progress(0, 0, complete=True))) == ""


async def test_of_a_damaged_index_there_is_none_and_the_turn_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "root"
    fill(root, {"lib/ledger.py": FILES["lib/ledger.py"]})
    place = LocalWorkspace(root, root, spill=tmp_path / "spill", environment=os.environ)
    index = Index(tmp_path / "code", root, nice=0)
    await built(index)
    assert (await drawn(index, place, "LedgerBook")).files
    whole = index.path.read_bytes()
    for harm in (
        "UPDATE links SET rank = 'much'",
        "UPDATE files SET path = x'00'",
        "UPDATE files SET definitions = '[1]'",
        """UPDATE files SET definitions = '[[{}, "class", 1, 2, 0, null]]'""",
    ):
        with sqlite3.connect(index.path) as connection:
            connection.execute(harm)
        connection.close()
        assert await drawn(index, place, "LedgerBook") == Map(), harm
        index.path.write_bytes(whole)
    await index.close()


async def test_files_are_ranked_anew_once_enough_of_them_have_changed(place: LocalWorkspace, index: Index) -> None:
    fill(place.root, {f"many/one{n}.py": f"def one_of_many_{n}(): far_away()\n" for n in range(100)})
    await built(index)

    def first() -> str:
        with Store.reading(index.path) as store:
            [file] = best(store, 1)
            known = store.file(file)
            assert known is not None
            return known[0]

    assert first() == "app/far.py"
    fill(place.root, {"many/one0.py": "def one_of_many_0(): near_by()\n"})
    os.utime(place.root / "many/one0.py", (1_000_000_001, 1_000_000_001))
    await built(index)
    assert first() == "app/far.py"
    fill(place.root, {"near.py": "def near_by(): ...\n"} | {f"many/{n}.py": "def of_all(): near_by()\n" for n in range(300)})
    await built(index)
    assert first() == "near.py"


async def test_a_session_begins_with_the_map_and_keeps_it_when_it_is_resumed(person: Person, server: ScriptedServer) -> None:
    fill(person.root, FILES)

    async def first_message(*arguments: str) -> str:
        server.script.append(answer("done"))
        run = await person.trusted("-p", "mend far_away", *arguments)
        assert run.code == 0, run.err
        content = server.bodies()[-1]["messages"][1]["content"]
        assert isinstance(content, str)
        return content

    index = Index(home(person.environment).code, person.root, nice=0)
    await built(index)
    began = await first_message("--deny", "read(lib/paying.py)")
    assert " of 9 files.\napp/far.py\n 1 def far_away()\n" in began
    assert "lib/paying.py\n" not in began.partition("# Map")[2]
    fill(person.root, {"app/far.py": "def another(): ...\n"})
    await built(index)
    assert await first_message("-c") == began
    person.configure("map_tokens = 0\n")
    assert "# Map" not in await first_message()
    await index.close()


async def test_a_map_of_a_large_index_takes_little_time(place: LocalWorkspace, index: Index) -> None:
    await built(index)
    with Store.writing(index.path) as store, store.batch():
        rows = ((n, f"big/folder{n % 90}/file{n}.py", "[]", b"") for n in range(1000, 51_000))
        store.connection.executemany("INSERT INTO files VALUES(?, ?, 1, 1, 1, ?, ?, 0)", rows)
        store.connection.executemany("INSERT INTO links VALUES(?, 0.0, x'')", ((n,) for n in range(1000, 51_000)))
    began = time.process_time()
    assert (await drawn(index, place, "far_away and file2000")).files
    assert time.process_time() - began < 0.2
