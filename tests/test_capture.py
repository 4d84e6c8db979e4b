"""Capture says what an action did to every file, to the byte and the mode, so that all of it can be taken back."""

import asyncio
import os
import random
import resource
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import JumarError
from agent.ledger.action import Action
from agent.ledger.capture import ALL, MORE, Capture, Captured
from agent.ledger.ledger import Ledger
from agent.ledger.span import Span
from agent.ledger.store import Store
from agent.workspace.tree import Thing, Tree
from tests.places import folder_in_memory
from tests.repositories import digests, git, hostile, repository

Files = dict[str, Thing]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


class World:
    """A workspace with its capture and its ledger, where somebody runs commands."""

    def __init__(self, root: Path, *, watched: bool) -> None:
        self.root = root
        self.state = root.parent / "state" / "ledger"
        store = Store(self.state, root)
        self.capture = Capture(store, watched=watched)
        self.ledger = Ledger(store.bare, root, lambda: "2026-01-01T00:00:00+00:00")

    async def run(self, script: str) -> Captured:
        before = await self.capture.before(None)
        assert before.fault == ""
        shell(self.root, script)
        return await self.capture.after(before)

    async def record(self, captured: Captured) -> str:
        """Record the action, and what somebody did before it, as a session does; return its id."""
        if captured.outside or captured.outside_folders:
            await self.ledger.record(Action("", "outside", "", "s", deltas=captured.outside, folders=captured.outside_folders))
        action = Action("", "call", "", "s", deltas=captured.deltas, folders=captured.folders, repository=captured.repository)
        listed = await self.ledger.record(action)
        return listed.action.id if listed is not None else ""

    async def undo(self, *ids: str) -> None:
        plan, listed = await self.ledger.take_back(ids, "undo")
        assert plan.conflicts == ()
        if listed is not None:
            self.capture.told(listed.action)


def shell(root: Path, script: str) -> None:
    subprocess.run(["/bin/sh", "-c", script], cwd=root, check=True, capture_output=True)


def files(root: Path) -> Files:
    found = {}
    tree = Tree(root)
    for folder, folders, names in os.walk(root):
        if folder == str(root) and ".git" in folders:
            folders.remove(".git")
        for name in [*names, *(one for one in folders if (Path(folder) / one).is_symlink())]:
            if stat.S_IFMT((Path(folder) / name).lstat().st_mode) in {stat.S_IFREG, stat.S_IFLNK}:
                path = os.path.relpath(Path(folder) / name, root)
                thing = tree.look(path)
                assert thing is not None
                found[path] = thing
    return found


def folders(root: Path) -> set[str]:
    return {os.path.relpath(folder, root) for folder, _, _ in os.walk(root) if ".git" not in Path(folder).parts}


@asynccontextmanager
async def world(root: Path, *, watched: bool = False) -> AsyncIterator[World]:
    one = World(root, watched=watched)
    try:
        await one.capture.start()
        assert one.capture.fault == ""
        yield one
    finally:
        one.capture.close()


def kinds(captured: Captured) -> dict[str, str]:
    return {delta.path: f"{delta.kind}: {delta.why}" if delta.why else delta.kind for delta in captured.deltas}


NAMES = ["a", "b", "d", "d/a", "d/e", "d/e/b", "f/a"]
NAME = st.sampled_from(NAMES)
COMMANDS = st.one_of(
    st.builds("mkdir -p $(dirname {0}) && printf {1} > {0}".format, NAME, st.sampled_from(["one", "two", ""])),
    st.builds("printf more >> {0}".format, NAME),
    st.builds("rm -rf {0}".format, NAME),
    st.builds("mv {0} {1}".format, NAME, NAME),
    st.builds("cp -r {0} {1}".format, NAME, NAME),
    st.builds("test -d {0} || chmod {1} {0}".format, NAME, st.sampled_from(["600", "755", "4711", "644"])),
    st.builds("ln -sfn {1} {0}".format, NAME, st.sampled_from(["a", "/etc/passwd", "nowhere"])),
    st.builds("ln -f {0} {1}".format, NAME, NAME),
    st.builds("mkdir -p {0}".format, NAME),
    st.builds("test -f {0} && test ! -L {0} && sed -i s/o/0/ {0}".format, NAME),
    st.builds("mv {0} x && mkdir {0} && mv x {0}/a".format, st.sampled_from(["a", "b", "d"])),
    st.builds("mkdir -p ignored && printf {0} > ignored/x && printf {0} > .env".format, st.sampled_from(["1", "22"])),
)
SCRIPTS = st.lists(COMMANDS, min_size=1, max_size=4).map(lambda some: "\n".join(f"({one}) || true" for one in some))


def _without_empty(found: set[str], held: Files) -> set[str]:
    """Leave out folders in which there is no file: nothing holds those that an action removed."""
    return {one for one in found if any(path.startswith(f"{one}/") for path in held)}


@pytest.mark.parametrize("watched", [False, True])
@given(st.lists(st.tuples(SCRIPTS, st.none() | SCRIPTS), min_size=1, max_size=3))
@settings(max_examples=8, deadline=None)
def test_scripts_are_taken_back_to_the_byte_and_the_mode(watched: bool, steps: list[tuple[str, str | None]]) -> None:
    async def play(root: Path) -> None:
        repository(root)
        (root / ".gitignore").write_text("ignored\n.env\n")
        shell(root, "mkdir d && echo line > d/a && echo b > b && chmod 600 b && ln -s b l")
        async with world(root, watched=watched) as one:
            states, ids = [], []
            for script, outside in steps:
                if outside is not None:
                    shell(root, outside)
                before = files(root), folders(root)
                captured = await one.run(script)
                then = files(root)
                changed = {path for path in before[0].keys() | then.keys() if before[0].get(path) != then.get(path)}
                assert {delta.path for delta in captured.deltas} == changed
                assert one.capture.watching == watched
                states.append(before)
                ids.append(await one.record(captured))
            actions = one.ledger.actions()
            for listed in reversed(actions):
                await one.undo(listed.action.id)
                if listed.action.id in ids:
                    held, made = states[ids.index(listed.action.id)]
                    assert files(root) == held
                    assert _without_empty(folders(root), held) == _without_empty(made, held)
            nothing = await one.capture.before(None)
            assert nothing.outside == ()

    with folder_in_memory() as folder:
        asyncio.run(play(folder / "r"))


def plain(root: Path) -> Path:
    root.mkdir(parents=True)
    return root


async def test_calls_that_name_their_files_are_captured_to_the_byte_and_the_mode(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / "a.txt").chmod(0o600)
    async with world(root) as one:
        before = await one.capture.before([root / "a.txt", root / "new" / "er" / "b", root / "a.txt"])
        held = files(root)
        (root / "a.txt").write_text("two\nthree\n")
        (root / "new" / "er").mkdir(parents=True)
        (root / "new" / "er" / "b").write_text("b\n")
        captured = await one.capture.after(before)
        assert kinds(captured) == {"a.txt": "modified", "new/er/b": "created"}
        assert captured.folders == ("new", "new/er")
        [first, second] = captured.deltas
        assert (first.added, first.removed, second.added, second.removed) == (2, 1, 1, 0)
        assert first.before is not None
        assert first.before.mode == stat.S_IFREG | 0o600
        await one.undo(await one.record(captured))
        assert files(root) == held
        assert not (root / "new").exists()
        assert (await one.capture.before(None)).outside == ()


async def test_what_somebody_changed_before_a_call_is_not_the_calls(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    async with world(root) as one:
        (root / "a.txt").write_text("the person's\n")
        (root / "mine").write_text("new\n")
        before = await one.capture.before([root / "a.txt", root / "mine"])
        assert [(delta.path, delta.kind, delta.added) for delta in before.outside] == [
            ("a.txt", "modified", 1),
            ("mine", "created", 1),
        ]
        (root / "a.txt").write_text("the call's\n")
        captured = await one.capture.after(before)
        assert kinds(captured) == {"a.txt": "modified"}
        assert captured.outside == before.outside
        await one.undo(await one.record(captured))
        assert (root / "a.txt").read_text() == "the person's\n"
        (root / "a.txt").chmod(0o600)
        assert [delta.path for delta in (await one.capture.before(None)).outside] == ["a.txt"]
        assert (await one.capture.border()).outside == ()


async def test_what_is_changed_while_the_first_look_is_taken_is_the_calls(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    one = World(root, watched=False)
    looking = asyncio.create_task(one.capture.start())
    before = await one.capture.before([root / "a.txt"])
    (root / "a.txt").write_text("two\n")
    captured = await one.capture.after(before)
    await looking
    assert kinds(captured) == {"a.txt": "modified"}
    assert (await one.capture.before(None)).outside == ()


async def test_what_a_command_did_whose_session_was_killed_is_found_by_the_next_and_can_be_taken_back(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    shell(root, "mkdir d && echo x > d/x && chmod 755 d/x && ln -s d l && echo '*.db' > .gitignore && truncate -s 2M large.db")
    shell(root, "mkdir build && echo 'build/' >> .gitignore && touch build/old")
    async with world(root) as one:
        await one.capture.remember(0)
        held = {path: (thing.content, thing.is_link) for path, thing in files(root).items()}
        await one.capture.before(None)
        shell(root, "rm -r d l && echo more >> a.txt && echo new > new && rm .gitignore")  # and it is killed
    async with world(root) as one:
        nothing = await World(root, watched=False).capture.start()
        assert {delta.path: delta.kind for delta in nothing.outside} == {
            "d/x": "deleted",
            "l": "deleted",
            ".gitignore": "deleted",
            "a.txt": "modified",
            "new": "created",
        }  # not the files that are ignored no longer: they are older
        listed = await one.ledger.record(Action("", "outside", "", "s", deltas=nothing.outside))
        assert listed is not None
        await one.undo(listed.action.id)
        assert {path: (thing.content, thing.is_link) for path, thing in files(root).items()} == held
        assert stat.S_IMODE((root / "d" / "x").stat().st_mode) == 0o700  # what the mode was for others is not known


async def test_what_was_pruned_or_is_too_much_is_not_told_as_changed_between_sessions(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    async with world(root) as one:
        await one.capture.remember(0)
    for number in range(2001):
        (root / f"{number}").symlink_to("a.txt")  # one object for all
    assert (await World(root, watched=False).capture.start()).outside == ()
    shell(root, "rm [0-9]* && echo more >> a.txt")
    [mark] = one.state.glob("*/looked")
    mark.write_text(mark.read_text().replace('"tree": "', '"tree": "0'))
    assert (await World(root, watched=False).capture.start()).outside == ()


@pytest.mark.parametrize("kind", ["home", "a slow one"])
async def test_where_all_cannot_be_looked_at_files_that_calls_name_are_captured_and_undone(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = plain(tmp_path / "r")
    (root / "a").write_text("one\n")
    if kind == "home":
        monkeypatch.setenv("HOME", str(root))
    one = World(root, watched=False)
    if kind == "a slow one":
        one.capture = Capture(Store(one.state, root), seconds=-1.0)
    before = await one.capture.before(None)
    assert ("is too much to take snapshots of" if kind == "home" else "took too long") in before.fault
    assert (await one.capture.after(before)).left_out == one.capture.coverage() == {ALL: before.fault}
    before = await one.capture.before([root / "a"])
    (root / "a").write_text("two\n")
    captured = await one.capture.after(before)
    await one.undo(await one.record(captured))
    assert (root / "a").read_text() == "one\n"
    (root / "a").write_text("the person's\n")
    assert [delta.path for delta in (await one.capture.before([root / "a"])).outside] == ["a"]


async def test_files_elsewhere_are_another_captures(tmp_path: Path) -> None:
    root, added = repository(tmp_path / "r"), plain(tmp_path / "added")
    one, other = World(root, watched=False), World(added, watched=False)
    for path in (added / "x", root, root / "d" / ".." / "x"):
        with pytest.raises(JumarError, match=r"lies outside of|is no file below"):
            await one.capture.before([path])
    before = await other.capture.before([added / "x"])
    (added / "x").write_text("x")
    await other.undo(await other.record(await other.capture.after(before)))
    assert not (added / "x").exists()


ODD = ["new\nline", "-x", ":(top)z", ":(bogus)x", " lead", "文件", os.fsdecode(b"latin-\xe9")]


@pytest.mark.parametrize("kind", ["a repository", "no repository", "no commits", "a worktree", "sparse", "hostile", "sha256"])
async def test_every_kind_of_change_in_every_kind_of_workspace_is_told_and_taken_back(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "r"
    match kind:
        case "no repository":
            plain(root)
        case "no commits":
            git(plain(root), "init", "-q")
        case "a worktree":
            git(repository(tmp_path / "theirs"), "worktree", "add", "-q", str(root))
        case "sha256":
            git(plain(root), "init", "-q", "--object-format=sha256")
        case _:
            repository(root)
    if kind == "sparse":
        (root / "away").mkdir()
        (root / "away" / "x").write_text("x")
        git(root, "add", ".")
        git(root, "commit", "-qm", "away")
        git(root, "sparse-checkout", "set", "--cone", "d")
        assert not (root / "away").exists()
    if kind == "hostile":
        hostile(root, tmp_path / "marker")
        (root / ".gitattributes").write_text("* text=auto eol=crlf ident filter=f working-tree-encoding=UTF-16\n")
    for name in ODD:
        (root / name).write_text("one\r\n")
    shell(
        root, "mkdir d e && echo x > d/x && echo y > e/y && echo t > turns && ln -s d/x link && echo h > hard && ln hard d/hard"
    )
    shell(root, "printf 'id $Id$' > id && chmod 600 id && printf '\\0\\1' > binary && mkdir empty && echo Case > Case")
    theirs = [digests(folder) for folder in (root / ".git", tmp_path / "theirs")]
    async with world(root) as one:
        held = files(root)
        for name in ODD:
            (root / name).write_text("two\n")
        captured = await one.run(
            "rm -r e && mv d/x d/z && rm turns && mkdir turns && echo in > turns/in && ln -sfn e link && rmdir empty && rm ./-x\n"
            "chmod 4755 id && echo more >> hard && printf '\\1\\0' > binary && mv Case case && mkdir -p made/it && chmod 755 d/z"
        )
        assert {delta.path for delta in captured.outside} == set(ODD)
        assert kinds(captured) == {
            **dict.fromkeys(["-x", "e/y", "d/x", "turns", "Case"], "deleted"),
            **dict.fromkeys(["d/z", "turns/in", "case"], "created"),
            **dict.fromkeys(["link", "id", "hard", "d/hard", "binary"], "modified"),
        }
        assert captured.folders == ("made", "made/it", "turns")
        assert captured.repository is None
        await one.undo(await one.record(captured))
        assert files(root).keys() == held.keys()
        assert {path for path, thing in files(root).items() if held[path] != thing} == set(ODD)
        assert not (root / "hard").samefile(root / "d" / "hard")  # each has its bytes, and is its own file
        await one.undo("1")
        assert files(root) == held
    assert [digests(folder) for folder in (root / ".git", tmp_path / "theirs")] == theirs
    assert not (tmp_path / "marker").exists()


async def test_small_ignored_files_are_held_and_the_rest_is_told(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / ".gitignore").write_text(".env\nsecret/\nbuild/\n*.db\n")
    shell(
        root,
        "echo key > .env && mkdir -p secret/deep node_modules build .venv && echo s > secret/deep/s && echo m > node_modules/m",
    )
    for number in range(301):
        (root / "build" / f"{number}").touch()
    (root / "large.db").touch()
    os.truncate(root / "large.db", 2 << 20)
    (root / "huge").touch()
    os.truncate(root / "huge", 11 << 20)
    os.mkfifo(root / "pipe")
    repository(root / "sub")
    left_out = {
        "huge": "too large",
        "large.db": "too large",
        "pipe": "no file",
        "sub/": "a repository of its own",
        "build/": "an ignored folder of many files",
        "node_modules/": "an ignored folder",
        ".venv/": "an ignored folder",
    }
    async with world(root) as one:
        assert one.capture.coverage() == left_out
        held = files(root)
        captured = await one.run(
            "echo other > .env && rm -r secret && rm -r .venv && echo x >> node_modules/m && echo x > build/300 && rm pipe\n"
            "echo x >> large.db && truncate -s 12M huge && echo x > sub/a.txt && mkdir venv && truncate -s 11M large"
        )
        assert kinds(captured) == {
            ".env": "modified",
            "secret/deep/s": "deleted",
            ".venv": "deleted: an ignored folder",
            "huge": "modified: too large",
            "large": "created: too large",
            "large.db": "modified: too large",
            "pipe": "deleted: no file",
        }
        left_out |= {"large": "too large", "venv/": "an ignored folder"}
        assert captured.left_out == {path: why for path, why in left_out.items() if path not in {"pipe", ".venv/"}}
        await one.undo(await one.record(captured))
        now = files(root)
        assert {path for path in held if now.get(path) != held[path]} == {
            *("huge", "large.db", "node_modules/m", "build/300", "sub/a.txt")
        }


async def test_ignored_files_that_came_and_went_leave_room_for_others(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / ".gitignore").write_text("*.log\nd/\n")
    async with world(root) as one:
        for _ in range(2):
            await one.run("seq 450 | sed s/$/.log/ | xargs touch; mkdir -p d; cd d; seq 100 | xargs touch")
            await one.run("rm -r *.log d")
        assert kinds(await one.run("touch last.log; mkdir d; touch d/last")) == {"last.log": "created", "d/last": "created"}


async def test_bytes_that_the_store_has_lost_are_no_reason_to_record_nothing_and_are_kept_anew(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    async with world(root) as one:
        made = await one.run("echo mine > lost; echo kept > kept")
        name = next(delta.after.object for delta in made.deltas if delta.path == "lost" and delta.after is not None)
        place = one.ledger.bare.folder / "objects" / name[:2] / name[2:]
        place.unlink()
        place.write_bytes(b"")
        captured = await one.run("echo other > lost; echo other > kept")
        assert kinds(captured) == {"lost": "modified", "kept": "modified"}
        action = await one.record(captured)
        with pytest.raises(JumarError, match="lost or damaged"):
            await one.undo(action)
        plan, _ = await one.ledger.take_back([action], "undo", only=["kept"])
        assert (len(plan.steps), (root / "kept").read_text()) == (1, "kept\n")
        await one.run("echo mine > lost.copy")
        await one.undo(action)
        assert (root / "lost").read_text() == "mine\n"


async def test_ignored_files_and_folders_that_calls_name_are_held_wherever_they_lie(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    repository(root / "sub")
    shell(root, "mkdir node_modules && echo m > node_modules/m")
    async with world(root) as one:
        for name in ("node_modules/m", "sub/a.txt", "node_modules/new"):
            before = await one.capture.before([root / name])
            (root / name).write_text("changed\n")
            captured = await one.capture.after(before)
            assert [delta.path for delta in captured.deltas] == [name]
            await one.record(captured)
        (root / "node_modules" / "m").write_text("the person's\n")
        assert [delta.path for delta in (await one.capture.before(None)).outside] == ["node_modules/m"]


async def test_what_was_ignored_is_not_new_when_the_rules_change(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / ".gitignore").write_text("data/\n")
    (root / "data").mkdir()
    for number in range(301):
        (root / "data" / f"{number}").write_text("mine\n")
    for number in range(301):
        os.utime(root / "data" / f"{number}")
    async with world(root) as one:
        await asyncio.sleep(0.03)  # two ticks of the clock of the file system
        await one.capture.border()
        captured = await one.run("echo > .gitignore && echo x > data/7 && echo new > data/new")
        assert kinds(captured) == {
            ".gitignore": "modified",
            "data/7": "modified: it was not held before",
            "data/new": "modified: it was not held before",
        }
        captured = await one.run("rm -r data")
        assert len(captured.deltas) == 302
        await one.undo(await one.record(captured))
        assert len(list((root / "data").iterdir())) == 302


async def test_many_changes_are_kept_in_one_pack_and_taken_back(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    for number in range(220):
        (root / f"{number}").write_text(f"{number % 20}\n")
    async with world(root) as one:
        held = files(root)
        captured = await one.run("for f in *; do echo more >> $f; done")
        assert len(captured.deltas) == 221
        assert sum(delta.added for delta in captured.deltas) == 200  # no more are counted
        await one.undo(await one.record(captured))
        assert files(root) == held


async def test_what_the_disk_has_no_room_for_is_told_and_all_else_of_the_action_is_held(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    async with world(root) as one:
        held = files(root)
        before = await one.capture.before(None)
        (root / "a.txt").write_text("two\n")
        (root / "big").write_bytes(random.Random(1).randbytes(300_000))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # it stands for a disk that is full
        try:
            captured = await one.capture.after(before)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert kinds(captured) == {"a.txt": "modified", "big": "created: the ledger cannot keep a file: File too large"}
        assert captured.left_out == {"big": "the ledger cannot keep a file: File too large"}
        await one.undo(await one.record(captured))
        assert {path: thing for path, thing in files(root).items() if path != "big"} == held
        assert (await one.capture.before(None)).outside == ()


async def test_an_empty_folder_in_the_place_of_a_file_goes_and_comes_with_it(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    async with world(root) as one:
        action = await one.record(await one.run("mv a.txt b.txt; mkdir -p a.txt/d"))
        after = files(root), folders(root)
        await one.undo(action)
        assert (set(files(root)), folders(root)) == ({"a.txt"}, {"."})
        await one.ledger.redo()
        assert (files(root), folders(root)) == after


async def test_what_was_there_before_a_file_grew_too_large_can_be_had_back(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    async with world(root) as one:
        captured = await one.run("truncate -s 101M a.txt; echo new > new")
        assert kinds(captured) == {"a.txt": "modified: too large", "new": "created"}
        action = await one.record(captured)
        plan = await one.ledger.plan([action])
        assert ([step.path for step in plan.steps], plan.unheld) == (["new"], (("a.txt", "too large"),))
        plan, done = await one.ledger.take_back([action], "undo", preference="theirs")
        assert ([conflict.path for conflict in plan.conflicts], done) == (["a.txt"], None)
        (root / "a.txt").unlink()
        plan, _ = await one.ledger.take_back([action], "undo", preference="theirs")
        assert (plan.conflicts, plan.unheld, files(root)["a.txt"].content) == ((), (), b"one\n")


async def test_a_folder_that_is_all_an_action_made_goes_with_it(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    async with world(root) as one:
        captured = await one.run("mkdir -p d/e")
        assert captured.deltas == ()
        await one.undo(await one.record(captured))
        assert not (root / "d").exists()


@pytest.mark.parametrize("watched", [False, True])
async def test_a_folder_that_came_and_is_not_entered_is_no_action_to_undo(tmp_path: Path, watched: bool) -> None:
    root = repository(tmp_path / "root")
    (root / ".gitignore").write_text("many/\n")
    async with world(root, watched=watched) as one:
        cached = await one.run("mkdir -p __pycache__ node_modules; echo x > __pycache__/a.pyc")
        assert (cached.deltas, cached.folders, await one.record(cached)) == ((), (), "")
        came = await one.run("mkdir many; cd many; seq 400 | xargs touch; cd ..; git init -q own")
        assert kinds(came) == {
            "many": "created: an ignored folder of many files",
            "own": "created: a repository of its own",
        }
        assert came.folders == ()
        assert not one.ledger.find(await one.record(came)).undoable
        gone = await one.run("rm -rf __pycache__ many own")
        assert set(kinds(gone)) == {"__pycache__", "many", "own"}
        replaced = await one.run("rm a.txt; git init -q a.txt")
        assert kinds(replaced) == {"a.txt": "deleted"}


@pytest.mark.parametrize(
    "script", ["true", "echo more >> a.txt", "rm a.txt", "echo new > new", "chmod 600 a.txt", "echo 2 > build/new"]
)
@pytest.mark.parametrize("watched", [False, True])
async def test_a_look_that_finds_nothing_new_spares_the_run_its_first_snapshot(
    tmp_path: Path, script: str, watched: bool
) -> None:
    root = repository(tmp_path / "r")
    shell(root, "echo build/ > .gitignore && mkdir build && echo o > build/o && truncate -s 11M large")
    await asyncio.sleep(0.03)  # two ticks of the clock of the file system
    store = Store(tmp_path / "state" / "ledger", root)
    capture, span = Capture(store, watched=watched), Span(store)
    await capture.start()
    shell(root, script)
    await capture.before(None)
    ours = await store.now()
    assert (ours is await store.now()) == (script == "true")
    await span.begin()
    shell(root, "echo mine > mine && echo more >> a.txt")
    changed = {one.path: one.kind for one in await span.changed()}
    assert changed == {"mine": "created", "a.txt": "created" if script == "rm a.txt" else "modified"}
    capture.close()


async def test_what_is_left_out_is_bounded(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    for number in range(70):
        os.mkfifo(root / f"{number}")
    async with world(root) as one:
        told = one.capture.coverage()
        assert len(told) == 51
        assert told[MORE] == "and 20 more"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("watched", [False, True])
async def test_a_folder_of_which_only_the_names_can_be_read_is_one_that_cannot_be(tmp_path: Path, watched: bool) -> None:
    root = repository(tmp_path / "r")
    shell(root, "mkdir d && echo x > d/x")
    async with world(root, watched=watched) as one:
        captured = await one.run("chmod 600 d && echo more > new")
        assert kinds(captured) == {"new": "created"}
        assert captured.left_out == {"d/": "a folder that cannot be read"}
        (root / "d").chmod(0o755)
        (root / "d" / "x").write_text("y")
        assert [delta.path for delta in (await one.capture.before(None)).outside] == ["d/x"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("mode", [0o600, 0])
@pytest.mark.parametrize("watched", [False, True])
async def test_what_a_folder_held_that_could_not_be_read_is_nothing_that_an_action_made(
    tmp_path: Path, watched: bool, mode: int
) -> None:
    root = repository(tmp_path / "r")
    shell(root, "mkdir d && echo x > d/x")
    (root / "d").chmod(mode)
    async with world(root, watched=watched) as one:
        captured = await one.run("chmod 755 d && echo more > new")
        await one.undo(await one.record(captured))
        assert (root / "d" / "x").read_text() == "x\n"
        assert not (root / "new").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_what_cannot_be_read_is_told_and_its_mode_is_brought_back(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    shell(root, "mkdir d && echo x > d/x && echo y > y")
    async with world(root) as one:
        captured = await one.run("chmod 0 a.txt d && echo more >> y && chmod 0 y")
        assert kinds(captured) == {"a.txt": "modified", "y": "modified: it cannot be read"}
        assert captured.left_out == {"d/": "a folder that cannot be read", "y": "it cannot be read"}
        (root / "d").chmod(0o755)
        assert (await one.capture.before(None)).outside == ()


@pytest.mark.parametrize("watched", [False, True])
async def test_all_can_be_taken_back_after_the_person_pruned_their_repository(tmp_path: Path, watched: bool) -> None:
    root = repository(tmp_path / "r")
    async with world(root, watched=watched) as one:
        held = files(root)
        shell(root, "git -c user.name=a -c user.email=a@b commit -qm x --allow-empty")
        captured = await one.run("rm a.txt && git -c user.name=a -c user.email=a@b commit -qam x")
        shell(
            root,
            "git update-ref -d HEAD && rm .git/index && git reflog expire --expire=now --all && git gc -q --prune=now",
        )
        await one.undo(await one.record(captured))
        assert files(root) == held


async def test_a_look_that_is_cancelled_loses_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    async with world(root, watched=True) as one:
        for turns in range(1, 12, 2):
            before = await one.capture.before(None)
            (root / "a.txt").write_text(f"{turns}\n")
            looking = asyncio.create_task(one.capture.after(before))
            for _ in range(turns):
                await asyncio.sleep(0)
            looking.cancel()
            await asyncio.wait({looking})
            told = () if looking.cancelled() else looking.result().deltas
            assert {delta.path for delta in (*told, *(await one.capture.before(None)).outside)} == {"a.txt"}


async def test_a_folder_that_a_file_tool_made_is_nobody_elses(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    root.mkdir()
    world = World(root, watched=True)
    await world.capture.start()
    before = await world.capture.before([root / "d" / "e" / "new.txt"])
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "e" / "new.txt").write_text("x")
    captured = await world.capture.after(before)
    assert captured.folders == ("d", "d/e")
    (root / "mine").mkdir()
    seen = await world.capture.before(None)
    assert (seen.outside, seen.outside_folders) == ((), ("mine",))
    world.capture.close()
