"""The ledger as commands and sessions use it: what it lists, takes back, brings back and writes out."""

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from agent.errors import JumarError, UsageError
from agent.ledger.action import Action, ActionKind, Delta, Held, plain
from agent.ledger.bare import Bare
from agent.ledger.blobs import Blobs
from agent.ledger.ledger import Ledger, Listed
from agent.workspace.tree import Thing


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", "-C", root, *who, *arguments], check=True, capture_output=True, text=True).stdout


def moments() -> Callable[[], str]:
    seconds = count(1_780_000_000)
    return lambda: datetime.fromtimestamp(next(seconds), UTC).isoformat()


class Kept:
    """A repository with a ledger."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        git(self.root, "init", "-q", "-b", "main")
        (self.root / "a").write_text("a\n")
        git(self.root, "add", "-A")
        git(self.root, "commit", "-qm", "begin")
        self.ledger = Ledger(Bare(folder / "ledger", self.root), self.root, moments())

    async def wrote(self, path: str, text: str | None, kind: ActionKind = "call", session: str = "s") -> Listed:
        tree = self.ledger.tree
        before = tree.look(path)
        place = self.root / path
        if text is None:
            place.unlink()
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        async with self.ledger.bare.held():
            blobs = Blobs(self.ledger.bare.folder, self.ledger.bare.git, self.ledger.bare.kind)
            deltas = (Delta(path, held(blobs, before), held(blobs, tree.look(path))),)
        action = Action("", kind, "", session, tool="write", title=path, prompt="do it", deltas=deltas)
        listed = await self.ledger.record(action)
        assert listed is not None
        return listed

    def texts(self) -> dict[str, str]:
        files = (file for file in sorted(self.root.rglob("*")) if file.is_file() and ".git" not in file.parts)
        return {str(file.relative_to(self.root)): file.read_text() for file in files}


def held(blobs: Blobs, thing: Thing | None) -> Held | None:
    return None if thing is None else Held(blobs.put(thing.content), thing.mode)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def states(kept: Kept) -> dict[str, str]:
    return {one.action.id: one.status for one in kept.ledger.actions()}


async def test_what_is_undone_can_be_redone_and_undone_again(kept: Kept) -> None:
    await kept.wrote("b", "b\n")
    await kept.ledger.take_back(["1"], "undo")
    assert kept.texts() == {"a": "a\n"}
    assert states(kept) == {"1": "undone", "2": "done"}
    await kept.ledger.take_back([kept.ledger.to_redo()], "redo")
    assert kept.texts() == {"a": "a\n", "b": "b\n"}
    assert states(kept) == {"1": "done", "2": "undone", "3": "done"}
    with pytest.raises(UsageError, match="nothing was undone"):
        kept.ledger.to_redo()
    await kept.ledger.take_back(["1"], "undo")
    assert kept.texts() == {"a": "a\n"}


async def test_what_is_undone_already_is_not_undone_twice(kept: Kept) -> None:
    await kept.wrote("b", "b\n")
    await kept.ledger.take_back(["1"], "undo")
    with pytest.raises(UsageError, match="action 1 is undone already; jumar redo brings it back"):
        await kept.ledger.plan(["1"])


async def test_an_action_that_is_not_there_is_named(kept: Kept) -> None:
    with pytest.raises(UsageError, match="there is no action '7'"):
        await kept.ledger.plan(["7"])


async def test_a_rewind_takes_back_all_calls_from_there_and_nothing_of_others(kept: Kept) -> None:
    await kept.wrote("a", "one\n")
    await kept.wrote("b", "two\n")
    await kept.wrote("person", "mine\n", kind="outside")
    await kept.ledger.take_back(["2"], "undo")
    await kept.wrote("c", "three\n")
    assert kept.ledger.later("2") == ["5"]
    assert kept.ledger.later("1") == ["1", "5"]
    plan, _ = await kept.ledger.take_back(kept.ledger.later("1"), "rewind")
    assert not plan.conflicts
    assert kept.texts() == {"a": "a\n", "person": "mine\n"}
    await kept.ledger.take_back([kept.ledger.to_redo()], "redo")
    assert kept.texts() == {"a": "one\n", "c": "three\n", "person": "mine\n"}


async def test_a_rewind_undoes_an_undo_of_what_was_before(kept: Kept) -> None:
    await kept.wrote("a", "one\n")
    await kept.wrote("b", "two\n")
    await kept.ledger.take_back(["1"], "undo")
    await kept.ledger.take_back(kept.ledger.later("2"), "rewind")
    assert kept.texts() == {"a": "one\n"}


async def test_a_dry_plan_changes_nothing(kept: Kept) -> None:
    await kept.wrote("b", "b\n")
    plan = await kept.ledger.plan(["1"])
    assert [(step.path, step.then) for step in plan.steps] == [("b", None)]
    assert "b" in kept.texts()
    assert len(kept.ledger.actions()) == 1


async def test_a_crash_in_an_undo_is_ended_by_whoever_comes_next(kept: Kept) -> None:
    await kept.wrote("b", "b\n")
    async with kept.ledger.bare.held():
        pass
    _, done = await kept.ledger.take_back(["1"], "undo")
    assert done is not None
    # As it was the instant before the record was added.
    path = kept.ledger.bare.folder / "actions"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    (kept.ledger.bare.folder / "undo.json").write_text(json.dumps({"action": plain(done.action), "folders": [], "revived": []}))
    again = Ledger(Bare(kept.ledger.bare.folder.parent, kept.root), kept.root, moments())
    await again.stats()
    assert [one.action.kind for one in again.actions()] == ["call", "undo"]


async def test_the_ledger_is_written_out_as_commits_on_a_new_branch(kept: Kept) -> None:
    await kept.wrote("b/c", "one\n")
    await kept.wrote("b/c", "two\n")
    await kept.wrote("a", None)
    await kept.ledger.take_back(["2"], "undo")
    before = {name: (kept.root / ".git" / name).read_bytes() for name in ("HEAD", "index", "config")}
    assert await kept.ledger.export("told") == 4
    assert git(kept.root, "log", "--format=%s", "told").splitlines() == [
        "undo 2",
        "write: a",
        "write: b/c",
        "write: b/c",
        "begin",
    ]
    assert git(kept.root, "ls-tree", "-r", "--name-only", "told").split() == ["b/c"]
    assert git(kept.root, "show", "told:b/c") == "one\n"
    assert "do it" in git(kept.root, "log", "-1", "--format=%B", "told~1")
    assert {name: (kept.root / ".git" / name).read_bytes() for name in before} == before
    with pytest.raises(UsageError, match="is there already"):
        await kept.ledger.export("told")
    with pytest.raises(UsageError, match="no name of a branch"):
        await kept.ledger.export("-x..")
    with pytest.raises(UsageError, match="no name of a branch"):
        await kept.ledger.export("HEAD")


async def test_a_store_whose_head_was_lost_keeps_what_it_holds(kept: Kept) -> None:
    await kept.wrote("a", "new\n")
    await kept.wrote("a", None)
    (kept.ledger.bare.folder / "HEAD").unlink()
    again = Ledger(Bare(kept.ledger.bare.folder.parent, kept.root), kept.root, moments())
    await again.take_back(["2"], "undo")
    assert (kept.root / "a").read_text() == "new\n"


async def test_a_line_is_traced_through_the_ledger(kept: Kept) -> None:
    await kept.wrote("a", "a\nnew\n")
    found = await kept.ledger.why("a", 2)
    assert found.action is not None
    assert (found.action.id, found.text) == ("1", "new")
    with pytest.raises(UsageError, match="a has 2 lines, and no line 3"):
        await kept.ledger.why("a", 3)


async def test_the_audit_knows_what_sessions_speak_of(kept: Kept) -> None:
    one = await kept.wrote("b", "b\n")
    assert (await kept.ledger.audit([one.seal])).faults == ()
    assert (await kept.ledger.audit(["f" * 64])).faults


async def test_two_ledgers_of_one_workspace_number_their_actions_together(kept: Kept) -> None:
    other = Ledger(Bare(kept.ledger.bare.folder.parent, kept.root), kept.root, moments())
    await kept.wrote("b", "b\n")
    await other.take_back(["1"], "undo")
    await kept.wrote("c", "c\n")
    assert [one.action.id for one in other.actions()] == ["1", "2", "3"]
    assert [one.action.kind for one in kept.ledger.actions()] == ["call", "undo", "call"]


async def test_what_was_pruned_is_told_as_that_and_not_as_damage(kept: Kept) -> None:
    await kept.wrote("a", "one\n")
    await kept.wrote("a", "two\n")
    for file in (kept.ledger.bare.folder / "objects").rglob("*"):
        if file.is_file():
            os.utime(file, (1, 1))
    moment = datetime.fromisoformat(kept.ledger.find("2").action.ts)
    await kept.ledger.prune(moment, 0, 1 << 30, lambda _: None)
    assert [one.undoable for one in kept.ledger.actions()] == [False, True]
    with pytest.raises(JumarError, match="the bytes of 1 were pruned"):
        await kept.ledger.plan(["1", "2"])
    with pytest.raises(JumarError, match="the bytes of 1 were pruned"):
        await kept.ledger.contents(kept.ledger.find("1").action)
    (kept.root / "a").write_text("one\n")
    assert (await kept.ledger.why("a", 1)).action is None
    assert (await kept.ledger.audit([])).faults == ()
