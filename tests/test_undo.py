"""Taking actions back: exactly their changes, none of a person's bytes, and never half."""

import asyncio
import itertools
import os
import shutil
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import JumarError
from agent.ledger.action import Action, Delta, Held
from agent.ledger.blobs import Blobs
from agent.ledger.chain import Chain
from agent.ledger.merge import Merging
from agent.ledger.undo import Conflict, Plan, Undo, counts, undone
from agent.workspace.git import Git
from agent.workspace.tree import Moved, Thing, Tree, _demand, _is, _swap
from tests.places import folder_in_memory

Files = dict[str, Thing]


class World:
    """A folder, its ledger, and somebody who writes down what changed in it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.store = folder / "root", folder / "store"
        self.root.mkdir()
        for name in ("objects", "refs"):
            (self.store / name).mkdir(parents=True)
        (self.store / "HEAD").write_text("ref: refs/heads/none\n")
        (self.store / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        git = Git(self.root, self.store)
        self.blobs = Blobs(self.store, git)
        self.chain = Chain(self.store / "actions")
        self.tree = Tree(self.root)
        self.undo = Undo(self.tree, self.blobs, self.chain, Merging(git, self.store), self.store)

    def files(self) -> Files:
        found = {}
        for folder, folders, names in os.walk(self.root):
            for name in [*names, *(one for one in folders if (Path(folder) / one).is_symlink())]:
                path = os.path.relpath(Path(folder) / name, self.root)
                thing = self.tree.look(path)
                assert thing is not None
                found[path] = thing
        return found

    def folders(self) -> set[str]:
        return {os.path.relpath(folder, self.root) for folder, _, _ in os.walk(self.root)} - {"."}

    def recorded(self, before: Files, folders: set[str]) -> Action:
        """Add what changed since to the chain."""
        after = self.files()
        deltas = tuple(
            Delta(path, self.held(before.get(path)), self.held(after.get(path)))
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)
        )
        made, gone = tuple(sorted(self.folders() - folders)), tuple(sorted(folders - self.folders()))
        action = Action(f"a{len(self.chain.links()) + 1}", "call", "", "s", deltas=deltas, folders=made, gone=gone)
        return self.chain.append(action).action

    def held(self, thing: Thing | None) -> Held | None:
        return None if thing is None else Held(self.blobs.put(thing.content), thing.mode)

    def act(self, operation: tuple[str, ...]) -> Action:
        before, folders = self.files(), self.folders()
        self.change(operation)
        return self.recorded(before, folders)

    def change(self, operation: tuple[str, ...]) -> None:
        kind, name, *more = operation
        place = self.root / name
        if not place.parent.is_dir() or place.parent.is_symlink():
            shutil.rmtree(place.parent, ignore_errors=True) if place.parent.is_dir() else None
            for above in reversed(place.relative_to(self.root).parents):
                one = self.root / above
                if one.is_symlink() or one.is_file():
                    one.unlink()
            place.parent.mkdir(parents=True, exist_ok=True)
        if kind == "remove" or (place.is_dir() and not place.is_symlink()):
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        if kind == "write":
            place.unlink(missing_ok=True)
            place.write_text(more[0])
        elif kind == "replace" and place.is_file() and not place.is_symlink():
            lines = place.read_text().split("\n")
            lines[len(lines) // 2 : len(lines) // 2 + 1] = [more[0]]
            place.write_text("\n".join(lines))
        elif kind == "insert" and place.is_file() and not place.is_symlink():
            place.write_text(more[0] + "\n" + place.read_text())
        elif kind == "mode" and place.is_file() and not place.is_symlink():
            place.chmod(int(more[0], 8))
        elif kind == "link":
            place.unlink(missing_ok=True)
            place.symlink_to(more[0])

    async def take_back(self, *actions: Action, **more: Any) -> Plan:
        plan = await self.undo.plan(actions, **more)
        if not plan.conflicts:
            only = tuple(sorted(more.get("only", ())))
            await self.undo.carry_out(plan, Action(f"u{len(self.chain.links()) + 1}", "undo", "", "s", only=only))
        return plan

    async def undid(self, *actions: Action, **more: Any) -> Action:
        assert not (await self.take_back(*actions, **more)).conflicts
        return self.chain.links()[-1].action


@contextmanager
def world() -> Iterator[World]:
    with folder_in_memory() as folder:
        yield World(folder)


TEXT = "".join(f"line {number}\n" for number in range(20))
NAMES = st.sampled_from(["a", "b", "d", "d/a", "d/e/b"])
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from([TEXT, "short\n", "no end", ""])),
    st.tuples(st.just("replace"), NAMES, st.sampled_from(["one", "two"])),
    st.tuples(st.just("insert"), NAMES, st.sampled_from(["top", "above"])),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("mode"), NAMES, st.sampled_from(["600", "755", "644"])),
    st.tuples(st.just("link"), NAMES, st.sampled_from(["a", "/etc/passwd", "nowhere"])),
)


@given(st.lists(OPERATIONS, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_all_taken_back_is_as_it_was_to_the_byte_and_the_mode(operations: list[tuple[str, ...]]) -> None:
    with world() as one:
        one.change(("write", "a", TEXT))
        before, folders = one.files(), one.folders()
        actions = [one.act(operation) for operation in operations]
        plan = asyncio.run(one.take_back(*reversed(actions)))
        assert plan.conflicts == ()
        assert one.files() == before
        assert one.folders() == folders
        assert undone(one.chain.links()) >= {action.id for action in actions}


@given(st.lists(OPERATIONS, min_size=2, max_size=6), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_one_in_the_middle_is_taken_out_alone_or_nothing_is_changed(operations: list[tuple[str, ...]], which: int) -> None:
    with world() as one:
        one.change(("write", "a", TEXT))
        one.change(("write", "b", TEXT))
        history = [one.files()]
        actions = []
        for operation in operations:
            actions.append(one.act(operation))
            history.append(one.files())
        chosen = which % len(actions)
        before, after, now = history[chosen], history[chosen + 1], history[-1]
        plan = asyncio.run(one.take_back(actions[chosen]))
        then = one.files()
        if plan.conflicts:
            assert then == now
            assert {conflict.path for conflict in plan.conflicts} <= {delta.path for delta in actions[chosen].deltas}
            return
        for path in now.keys() | then.keys():
            if path not in {delta.path for delta in actions[chosen].deltas}:
                assert then.get(path) == now.get(path)
            elif now.get(path) == after.get(path):
                assert then.get(path) == before.get(path)
            elif now.get(path) == before.get(path):
                assert then.get(path) == now.get(path)
        again = asyncio.run(one.take_back(one.chain.links()[-1].action))
        assert again.conflicts == ()
        assert one.files() == now


@given(st.lists(OPERATIONS, min_size=1, max_size=5), st.lists(st.tuples(st.integers(0, 5), NAMES), max_size=4), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_no_byte_of_a_person_is_lost(operations: list[tuple[str, ...]], edits: list[tuple[int, str]], which: int) -> None:
    with world() as one:
        one.change(("write", "a", TEXT))
        actions = []
        for number, operation in enumerate(operations):
            actions.append(one.act(operation))
            for when, name in edits:
                place = one.root / name
                if when == number and place.parent.is_dir() and not place.is_dir() and not place.is_symlink():
                    old = place.read_text() if place.exists() else ""
                    place.write_text(f"{old}\nthe person's {number}\n")
        marked = {path: thing.content.count(b"the person's") for path, thing in one.files().items() if not thing.is_link}
        for chosen in (actions[which % len(actions)], *reversed(actions)):
            asyncio.run(one.take_back(chosen))
            now = one.files()
            for path, times in marked.items():
                if times:
                    assert now[path].content.count(b"the person's") == times


async def test_a_merge_keeps_what_a_person_wrote_elsewhere_in_the_file() -> None:
    with world() as one:
        one.change(("write", "a", TEXT))
        action = one.act(("insert", "a", "the model's"))
        (one.root / "a").write_text((one.root / "a").read_text() + "the person's\n")
        plan = await one.take_back(action)
        assert [(step.path, step.merged) for step in plan.steps] == [("a", True)]
        assert (one.root / "a").read_text() == TEXT + "the person's\n"


@pytest.mark.parametrize(
    ("preference", "text"), [("ours", "person\n"), ("theirs", "before\n"), ("markers", "<<<<<<< now\nperson\n")]
)
async def test_a_conflict_is_told_with_its_lines_and_settled_as_the_person_says(preference: str, text: str) -> None:
    with world() as one:
        one.change(("write", "a", "before\n"))
        action = one.act(("write", "a", "model\n"))
        later = one.act(("write", "a", "person\n"))
        [conflict] = (await one.take_back(action)).conflicts
        assert conflict == Conflict("a", "the same lines were changed since", conflict.lines, (later.id,))
        for line in ("<<<<<<< now", "person", "model", "before", ">>>>>>> before the action"):
            assert line in conflict.lines.split("\n")
        assert (one.root / "a").read_text() == "person\n"
        assert not (await one.take_back(action, preference=preference)).conflicts
        assert (one.root / "a").read_text().startswith(text)


async def test_what_a_person_took_away_or_put_in_the_way_stays_so_where_theirs_is_to_be_kept() -> None:
    with world() as one:
        one.change(("write", "a", "before\n"))
        one.change(("write", "b", "before\n"))
        one.change(("write", "d/e/b", "before\n"))
        before, folders = one.files(), one.folders()
        for operation in (("write", "a", "m\n"), ("write", "b", "m\n"), ("write", "c", "m\n"), ("remove", "d/e/b")):
            one.change(operation)
        action = one.recorded(before, folders)
        (one.root / "a").unlink()
        (one.root / "c").unlink()
        (one.root / "c").mkdir()
        (one.root / "d/e").rmdir()
        (one.root / "d/e").write_text("the person's")
        assert len((await one.take_back(action)).conflicts) == 3
        await one.undid(action, preference="ours")
        assert {path: thing.content for path, thing in one.files().items()} == {"b": b"before\n", "d/e": b"the person's"}
        assert (one.root / "c").is_dir()


async def test_one_file_of_several_can_be_taken_back_alone() -> None:
    with world() as one:
        before, folders = one.files(), one.folders()
        for name in ("a", "b"):
            one.change(("write", name, "x"))
        action = one.recorded(before, folders)
        await one.take_back(action, only=("a",))
        assert set(one.files()) == {"b"}


@pytest.mark.parametrize(
    "groups",
    [
        [[0], [1], [2], [3, 1], [2]],
        [[0], [1], [2], [1], [0], [5], [6, 4, 3, 0], [7], [4], [1], [3], [6]],
    ],
)
async def test_an_action_is_there_where_all_that_took_it_back_was_taken_back(groups: list[list[int]]) -> None:
    with world() as one:
        one.change(("write", "a", TEXT))
        without = one.files()
        one.act(("insert", "a", "the model's"))
        with_it = one.files()
        takers: list[tuple[str, set[str]]] = []
        for group in groups:
            links = one.chain.links()
            done = await one.undid(*(links[number].action for number in group))
            takers.append((done.id, {links[number].action.id for number in group}))
            gone: set[str] = set()
            for taker, taken in reversed(takers):
                gone |= taken if taker not in gone else set()
            assert one.files() == (without if "a1" in gone else with_it)


async def test_what_is_taken_back_twice_and_brought_back_once_is_told_apart() -> None:
    with world() as one:
        one.change(("write", "a", TEXT))
        before, folders = one.files(), one.folders()
        action = one.act(("insert", "a", "the model's"))
        with_it = one.files()
        first = await one.undid(action)
        again = await one.undid(first)
        second = await one.undid(action)
        both = await one.undid(second, again)  # what brought it back goes too, so it is out
        assert one.files() == before
        assert action.id in undone(one.chain.links())
        await one.undid(both)
        third = await one.undid(again)
        assert one.files() == before
        await one.undid(third)
        assert one.files() == before
        await one.undid(second)
        assert (one.files(), one.folders()) == (with_it, folders)
        assert action.id not in undone(one.chain.links())


async def test_what_a_later_undo_took_out_comes_back_with_it_though_an_earlier_one_was_redone_and_taken_back() -> None:
    with world() as one:
        one.change(("write", "a", TEXT))
        action = one.act(("insert", "a", "the model's"))
        with_it = one.files()
        first = await one.undid(action)
        again = await one.undid(first)
        both = await one.undid(again, action)
        await one.undid(first)
        await one.undid(both)
        assert one.files() == with_it


async def test_an_action_is_undone_once_each_of_its_files_is_and_not_before() -> None:
    with world() as one:
        before, folders = one.files(), one.folders()
        for name in ("a", "b"):
            one.change(("write", name, "x"))
        action = one.recorded(before, folders)
        await one.undid(action, only=("a",))
        (one.root / "a").write_text("the person's")
        assert action.id not in undone(one.chain.links())
        rest = await one.undid(action)  # nothing of it is left in a, so the person's a is in nobody's way
        assert {path: thing.content for path, thing in one.files().items()} == {"a": b"the person's"}
        assert action.id in undone(one.chain.links())
        await one.undid(rest, only=("b",))
        assert action.id not in undone(one.chain.links())
        assert set(one.files()) == {"a", "b"}


async def test_what_was_taken_back_and_cannot_be_told_apart_does_not_come_back_with_a_later_action() -> None:
    with world() as one:
        one.change(("write", "a", "the person's\n"))
        before = one.files()
        wrote = one.act(("write", "a", "one\ntwo\n"))
        later = one.act(("write", "a", "one\nthree\n"))
        back = await one.undid(later)
        await one.undid(wrote)
        [conflict] = (await one.take_back(back)).conflicts
        assert conflict.why == "changes that were taken back since cannot be told apart from it"
        assert one.files() == before


async def test_nothing_is_written_through_a_link_that_came_in_the_way() -> None:
    with world() as one:
        action = one.act(("write", "d/a", "x"))
        outside = one.store / "outside"
        outside.mkdir()
        (outside / "a").write_text("x")
        shutil.rmtree(one.root / "d")
        (one.root / "d").symlink_to(outside)
        [conflict] = (await one.take_back(action)).conflicts
        assert conflict.why == "d/a lies beyond a link now"
        assert (outside / "a").read_text() == "x"


async def test_other_names_of_a_file_keep_what_they_have() -> None:
    with world() as one:
        one.change(("write", "a", "old"))
        one.change(("write", "b", "the person's"))
        (one.root / "b").chmod(0o600)
        before, folders = one.files(), one.folders()
        (one.root / "a").unlink()
        (one.root / "a").hardlink_to(one.root / "b")
        linked = one.recorded(before, folders)
        middle = one.files()
        (one.root / "a").chmod(0o640)
        moded = one.recorded(middle, folders)
        await one.take_back(moded)
        assert one.files() == middle
        await one.take_back(linked)
        assert one.files() == before


async def test_what_changes_between_the_plan_and_its_carrying_out_is_kept_and_nothing_is_half_done() -> None:
    with world() as one:
        for name in ("a", "b"):
            one.change(("write", name, "before"))
        before, folders = one.files(), one.folders()
        for name in ("a", "b"):
            one.change(("write", name, "model"))
        action = one.recorded(before, folders)
        plan = await one.undo.plan([action])
        (one.root / "b").write_text("person")
        with pytest.raises(Moved, match="b has changed"):
            await one.undo.carry_out(plan, Action("u", "undo", "", "s"))
        assert ((one.root / "a").read_text(), (one.root / "b").read_text()) == ("model", "person")
        assert [link.action.id for link in one.chain.links()] == [action.id]
        assert await one.undo.recover() is None


class Stopped(BaseException):
    """As if the process had been killed."""


class Ending(Tree):
    """Takes so many changes of files, and then comes what ends it: a kill, or a full disk."""

    def __init__(self, root: Path, left: int, end: BaseException) -> None:
        super().__init__(root)
        self.left = left
        self.end = end

    def replace(self, path: str, expected: Thing | None, wanted: Thing | None) -> list[str]:
        if not self.left:
            raise self.end
        self.left -= 1
        return super().replace(path, expected, wanted)


@pytest.mark.parametrize("wanted", [None, Thing(b"before", 0o100644)])
def test_whatever_comes_to_stand_there_in_the_last_instant_is_given_back(wanted: Thing | None) -> None:
    """A person puts a huge file, a pipe or a folder there, at every moment of a replacement."""
    with folder_in_memory() as root:
        tree, file = Tree(root), root / "file"
        for number in range(240):
            file.write_bytes(b"after")
            mine = root / "mine"
            if number % 3 == 0:
                mine.touch()
                os.truncate(mine, (100 << 20) + 1)
            elif number % 3 == 1:
                os.mkfifo(mine)
            else:
                mine.mkdir()
                (mine / "held").touch()
            inode, found = mine.stat().st_ino, tree.look("file")

            def put(mine: Path = mine, instant: float = number * 1e-6) -> None:
                time.sleep(instant)
                with suppress(OSError):
                    file.unlink()
                with suppress(OSError):  # a folder takes no file's place
                    mine.rename(file)

            person = threading.Thread(target=put)
            person.start()
            with suppress(Moved):
                tree.replace("file", found, wanted)
            person.join()
            assert inode in {one.stat().st_ino for one in (file, mine) if one.exists()}
            assert not list(root.glob(".*"))
            for one in root.iterdir():
                shutil.rmtree(one) if one.is_dir() else one.unlink()


@pytest.mark.parametrize("instants", [("look", "rename"), ("swap", "is")])
def test_what_comes_while_a_name_is_gone_for_an_instant_is_not_lost(tmp_path: Path, instants: tuple[str, str]) -> None:
    """Somebody takes the file away just before the exchange, and puts theirs there; or theirs comes, and ours is taken away."""
    tree, file, mine = Tree(tmp_path), tmp_path / "file", tmp_path / "mine"
    file.write_bytes(b"after")
    mine.write_bytes(b"theirs")
    found = tree.look("file")

    def at(frame: FrameType, event: str, called: Any) -> None:
        if event == "return" and frame.f_code is _demand.__code__ and frame.f_back and frame.f_back.f_code is _swap.__code__:
            file.unlink() if instants[0] == "look" else mine.rename(file)
        elif event == "c_call" and called is os.rename and instants[1] == "rename":
            mine.rename(file)
        elif event == "return" and frame.f_code is _is.__code__ and instants[1] == "is":
            file.unlink()

    sys.setprofile(at)
    try:
        with pytest.raises(Moved):
            tree.replace("file", found, Thing(b"before", 0o100644))
    finally:
        sys.setprofile(None)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"theirs"]


async def test_what_a_full_disk_lets_neither_end_nor_put_back_is_ended_by_whoever_comes_next() -> None:
    with world() as one:
        for name in ("a", "b"):
            one.change(("write", name, "before"))
        before, folders = one.files(), one.folders()
        for name in ("a", "b"):
            one.change(("write", name, "model"))
        action = one.recorded(before, folders)
        undo = Undo(
            Ending(one.root, 1, Moved("b cannot be written: No space left on device")),
            one.blobs,
            one.chain,
            Merging(Git(one.root, one.store), one.store),
            one.store,
        )
        with pytest.raises(JumarError, match="No space left on device; a is taken back and cannot be put back now"):
            await undo.carry_out(await undo.plan([action]), Action("u", "undo", "", "s"))
        assert await one.undo.recover() is not None
        assert one.files() == before
        assert [link.action.id for link in one.chain.links()] == [action.id, "u"]


@pytest.mark.parametrize("person", [False, True])
@pytest.mark.parametrize("left", range(5))
async def test_a_crash_at_any_step_is_ended_at_the_next_start(left: int, person: bool) -> None:
    with world() as one:
        for name in ("a", "b", "d/e/b"):
            one.change(("write", name, "before"))
        before, folders = one.files(), one.folders()
        for operation in (("write", "a", "m"), ("write", "b", "m"), ("remove", "d/e"), ("write", "d/n", "m")):
            one.change(operation)
        action = one.recorded(before, folders)
        plan = await one.undo.plan([action])
        undo = Undo(
            Ending(one.root, left, Stopped()), one.blobs, one.chain, Merging(Git(one.root, one.store), one.store), one.store
        )
        try:
            await undo.carry_out(plan, Action("u", "undo", "", "s"))
        except Stopped:
            assert left < 4
        if person:
            (one.root / "b").write_text("person")
        ended = await one.undo.recover()
        assert (ended is None) == (left == 4)
        assert one.files() == (before | {"b": Thing(b"person", before["b"].mode)} if person else before)
        assert [link.action.id for link in one.chain.links()] == [action.id, "u"]
        assert await one.undo.recover() is None
        assert not (one.store / "undo.json").exists()


_STEPS = {"open", "os.rename", "os.remove", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.chmod"}


def killed(one: World, action: Action, left: int) -> bool:
    """Take an action back in a process of its own that is killed at that step; tell whether it had more."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    steps = itertools.count()
    plan = asyncio.run(one.undo.plan([action]))
    sys.addaudithook(lambda event, _: os.kill(os.getpid(), signal.SIGKILL) if event in _STEPS and next(steps) == left else None)
    asyncio.run(one.undo.carry_out(plan, Action("u", "undo", "", "s")))
    os._exit(0)


def test_a_kill_at_any_step_leaves_nothing_behind_and_nothing_half() -> None:
    more, ended = True, []
    for left in range(200):
        with world() as one:
            for operation in (
                ("write", "a", "before"),
                ("write", "d/e/b", "before"),
                ("write", "f", "before"),
                ("link", "k", "a"),
            ):
                one.change(operation)
            before, folders = one.files(), one.folders()
            one.change(("remove", "d"))
            for operation in (("write", "a", "m"), ("write", "f/in", "m"), ("link", "k", "f"), ("write", "n", "m")):
                one.change(operation)
            action, after = one.recorded(before, folders), one.files()
            more = killed(one, action, left)
            ended.append(asyncio.run(one.undo.recover()) is not None)
            links = one.chain.links()
            assert one.files() == (before if len(links) > 1 else after), left
            assert not (one.store / "undo.json").exists()
        if not more:
            break
    assert (more, True in ended, False in ended) == (False, True, True)


async def test_what_a_person_changed_after_a_kill_stays_and_can_still_be_taken_back() -> None:
    with world() as one:
        before, folders = one.files(), one.folders()
        for name in ("a", "b"):
            one.change(("write", name, "m"))
        action = one.recorded(before, folders)
        plan = await one.undo.plan([action])
        undo = Undo(Ending(one.root, 1, Stopped()), one.blobs, one.chain, Merging(Git(one.root, one.store), one.store), one.store)
        with pytest.raises(Stopped):
            await undo.carry_out(plan, Action("u", "undo", "", "s"))
        (one.root / "b").write_text("person")
        ended = await one.undo.recover()
        assert ended is not None
        assert ended.only == ("a",)
        assert action.id not in undone(one.chain.links())
        assert [conflict.path for conflict in (await one.take_back(action)).conflicts] == ["b"]


def test_lines_are_counted_where_there_are_any() -> None:
    mode = stat.S_IFREG | 0o644
    assert counts(Thing(b"a\nb\n", mode), Thing(b"a\nc\nd\n", mode)) == (2, 1)
    assert counts(None, Thing(b"a\n", mode)) == (1, 0)
    assert counts(Thing(b"\0", mode), None) == (0, 0)


async def test_a_plan_with_conflicts_is_not_carried_out() -> None:
    with world() as one:
        action = one.act(("write", "a", "model"))
        (one.root / "a").write_text("person")
        plan = await one.undo.plan([action])
        with pytest.raises(JumarError, match="a: it was changed since"):
            await one.undo.carry_out(plan, Action("u", "undo", "", "s"))
        assert (one.root / "a").read_text() == "person"
