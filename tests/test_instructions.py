"""What folders say of themselves reaches the model once, when it first touches something there, and never from elsewhere."""

import os
from pathlib import Path

import pytest

from agent.events.news import Informed
from agent.events.step import Compacted
from agent.instructions import Instructions
from agent.mask import Mask
from agent.workspace.contract import Located
from agent.workspace.paths import Paths
from tests.fakes import answer
from tests.test_record import Bench, bench, run

__all__ = ["bench"]


def fill(root: Path, **files: str) -> None:
    for name, text in files.items():
        file = root / name.replace("__", "/").replace("_md", ".md")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def read(path: str) -> tuple[str, dict[str, str]]:
    return ("read", {"path": path})


def informed(bench: Bench) -> list[str]:
    return [event.title for event in bench.events if isinstance(event, Informed) and event.kind == "instructions"]


@pytest.fixture
def nested(bench: Bench) -> Bench:
    fill(bench.root, AGENTS_md="at the root", sub__AGENTS_md="Use tabs.", sub__CLAUDE_md="never", sub__deep__CLAUDE_md="Use LF.")
    fill(bench.root, sub__deep__x="x\n", sub__y="y\n", other__AGENTS_md="unseen", new__AGENTS_md="Be brief.")
    return bench


async def test_instructions_of_folders_come_with_the_step_after_the_first_touch_and_once(nested: Bench) -> None:
    await nested.turn(answer(calls=[read("sub/deep/x")]), answer(calls=[read("sub/y")]), answer("Done."))
    assert informed(nested) == ["sub/AGENTS.md", "sub/deep/CLAUDE.md"]
    first, second, third = ("\n".join(str(message) for message in body["messages"]) for body in nested.server.bodies())
    assert "Use tabs." not in first
    assert second.index("Use tabs.") < second.index("Use LF.")
    assert "what lies under sub/deep/ has instructions of its own" in second
    assert third.startswith(second)
    assert third.count("Use tabs.") == 1
    assert "unseen" not in third


async def test_what_is_written_by_a_command_counts_as_touched(nested: Bench) -> None:
    await nested.turn(
        answer(calls=[run("echo z > new/z")]), answer(calls=[("write", {"path": "other/n", "content": "x"})]), answer("D")
    )
    assert informed(nested) == ["new/AGENTS.md", "other/AGENTS.md"]


async def test_what_a_command_looks_at_counts_as_touched(nested: Bench) -> None:
    await nested.turn(answer(calls=[run("cd sub && cat deep/x -n ~/x")]), answer("Done."))
    assert informed(nested) == ["sub/AGENTS.md", "sub/deep/CLAUDE.md"]


async def test_a_session_that_goes_on_is_told_again_only_what_changed(nested: Bench) -> None:
    await nested.turn(answer(calls=[read("sub/deep/x")]), answer("Done."))
    await nested.session.close()
    nested.session = nested.opened()
    await nested.turn(answer(calls=[read("sub/y")]), answer("Done."))
    assert len(informed(nested)) == 2
    (nested.root / "sub/AGENTS.md").write_text("Use blanks.")
    await nested.turn(answer("x", calls=[read("sub/deep/x")]), answer("Done."))
    assert informed(nested)[2:] == ["sub/AGENTS.md"]
    assert "These have changed since they were told" in nested.asked()[-1]


async def test_what_a_shortened_history_no_longer_holds_is_told_again(nested: Bench) -> None:
    await nested.turn(answer(calls=[read("sub/y")]), answer("Done."))
    nested.session.tell(Compacted(reason="full", note="n", kept=0))
    await nested.turn(answer(calls=[read("sub/y")]), answer("Done."))
    assert informed(nested) == ["sub/AGENTS.md", "sub/AGENTS.md"]


class Tree:
    """A work tree of which nobody but this test knows."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "ws"
        self.root.mkdir()
        self._paths = Paths(self.root, self.root, spill=folder / "spill", add_dirs=(), hidden=(), person=None)

    def told(
        self, *touched: str, most: int = 32 << 10, told: dict[str, str] | None = None, mask: Mask | None = None
    ) -> list[Informed]:
        finding = Instructions(self.root, self.root, self._locate, most)
        return list(finding.fresh([self.root / path for path in touched], told or {}, 1, (mask or Mask()).text))

    def _locate(self, path: str) -> Located:
        return self._paths.locate(path)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_folders_that_are_ignored_or_hold_what_others_wrote_say_nothing(tree: Tree) -> None:
    fill(tree.root, build__AGENTS_md="a", node_modules__x__AGENTS_md="b", a__dist__AGENTS_md="c", a__AGENTS_md="d")
    (tree.root / ".gitignore").write_text("build/\n")
    (tree.root / "a/.gitignore").write_text("dist\n")
    assert [one.title for one in tree.told("build/x", "node_modules/x/y", "a/dist/z")] == ["a/AGENTS.md"]


def test_nothing_from_outside_and_no_secret_is_told(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_text("OUTSIDE")
    (tree.root / ".env").write_text("KEY=HIDDEN")
    for name, target in {"out": "../../outside.md", "env": "../.env", "pipe": "", "folder": ""}.items():
        (tree.root / name).mkdir()
        file = tree.root / name / "AGENTS.md"
        if name == "pipe":
            os.mkfifo(file)
        elif name == "folder":
            file.mkdir()
        else:
            file.symlink_to(target)
    (tree.root / "away").symlink_to(tmp_path)
    fill(tree.root, masked__AGENTS_md="the token is swordfish-9000")
    touched = ["out/x", "env/x", "pipe/x", "folder/x", "away/x", "masked/x", "../ws2/x"]
    told = "\n".join(one.told for one in tree.told(*touched, mask=Mask(["swordfish-9000"])))
    assert told.count("is not read: it leads out of the workspace, or to a secret") == 2
    assert told.count("not read: it is no plain file inside the workspace") == 2
    assert not any(word in told for word in ("OUTSIDE", "HIDDEN", "swordfish"))
    assert "the token is" in told


def test_what_is_told_is_bounded_and_nothing_in_it_can_act(tree: Tree) -> None:
    fill(tree.root, a__AGENTS_md="long\n" * 9000, b__AGENTS_md="\x1b[2Jb" * 3000, c__AGENTS_md="short")
    first, second, third = tree.told("a/x", "b/x", "c/x", most=20_000)
    assert "cut here: the rest is too long" in first.told
    assert second.told == "(The project keeps instructions for what lies under b/ in b/AGENTS.md; read them.)"
    assert "short" in third.told
    assert "\x1b" not in tree.told("b/x")[0].told
    known = {one.title: one.told for one in (first, second, third)}
    assert tree.told("a/x", "b/x", "c/x", most=20_000, told=known) == []
