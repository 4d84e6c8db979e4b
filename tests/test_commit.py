"""Parts of changes are committed as the person's own git would, and what they staged or changed beside stays."""

import os
from pathlib import Path

import pytest

from agent.errors import JumarError, UsageError
from agent.ledger.commit import Committed, Committing
from agent.ledger.merge import Merging
from agent.ledger.partly import Part
from agent.workspace.git import Git
from agent.workspace.tree import Thing
from tests.repositories import git

LINES = "".join(f"{number}\n" for number in range(1, 31))
NAMES = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def changed(text: str, *numbers: int) -> str:
    """Return the text with these lines changed."""
    return "".join(f"{line}!\n" if int(line) in numbers else f"{line}\n" for line in text.split())


def file(text: str, mode: int = 0o100644) -> Thing:
    return Thing(text.encode(), mode)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    git(root, "init", "-q")
    (root / "a.txt").write_text(LINES)
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


async def commit(root: Path, *parts: Part, message: str = "mend it") -> Committed:
    environment = {"PATH": os.environ["PATH"], "HOME": str(root.parent), **NAMES}
    return await Committing(root, environment, Merging(Git(root), root.parent)).commit(parts, message)


async def test_only_the_chosen_hunk_is_committed_and_the_rest_stays_as_it_is(root: Path) -> None:
    text = changed(LINES, 2, 25)
    (root / "a.txt").write_text(text)
    await commit(root, Part("a.txt", file(LINES), file(text), (1,)))
    assert git(root, "show", "HEAD:a.txt") == changed(LINES, 25)
    assert git(root, "log", "-1", "--format=%s%an") == "mend ita@b\n"
    assert (root / "a.txt").read_text() == text
    assert git(root, "diff", "--cached", "--name-only") == ""
    assert "-2\n+2!" in git(root, "diff")


async def test_what_the_person_staged_stays_staged_in_the_same_file_and_in_others(root: Path) -> None:
    (root / "a.txt").write_text(changed(LINES, 25))
    (root / "mine.txt").write_text("mine\n")
    git(root, "add", ".")
    text = changed(LINES, 2, 25)
    (root / "a.txt").write_text(text)
    done = await commit(root, Part("a.txt", file(changed(LINES, 25)), file(text)))
    assert done.left == ()
    assert git(root, "show", "HEAD:a.txt") == changed(LINES, 2)
    assert git(root, "diff", "--cached", "--name-only") == "a.txt\nmine.txt\n"
    assert git(root, "show", ":a.txt") == text
    assert git(root, "diff") == ""


async def test_staged_lines_that_a_commit_touches_too_are_left_as_they_were_and_told(root: Path) -> None:
    (root / "a.txt").write_text(LINES.replace("2\n", "staged\n", 1))
    git(root, "add", ".")
    text = changed(LINES, 2)
    (root / "a.txt").write_text(text)
    done = await commit(root, Part("a.txt", file(LINES), file(text)))
    assert [path for path, _ in done.left] == ["a.txt"]
    assert "staged\n" in git(root, "show", ":a.txt")
    assert git(root, "show", "HEAD:a.txt") == text


async def test_new_deleted_binary_and_executable_files_and_links_are_committed(root: Path) -> None:
    git(root, "rm", "-q", "--cached", "a.txt")
    git(root, "reset", "-q")
    (root / "a.txt").unlink()
    (root / "d").mkdir()
    (root / "d" / "run").write_bytes(b"#!/bin/sh\0\n")
    (root / "d" / "run").chmod(0o755)
    (root / "link").symlink_to("d/run")
    parts = (
        Part("a.txt", file(LINES), None),
        Part("d/run", None, Thing(b"#!/bin/sh\0\n", 0o100755)),
        Part("link", None, Thing(b"d/run", 0o120777)),
    )
    await commit(root, *parts)
    listed = git(root, "ls-tree", "-r", "HEAD")
    assert [(line.split()[0], line.split("\t")[1]) for line in listed.splitlines()] == [("100755", "d/run"), ("120000", "link")]
    assert git(root, "status", "--porcelain") == ""


async def test_a_mode_alone_is_committed_whatever_the_umask_made_of_it(root: Path) -> None:
    (root / "a.txt").chmod(0o700)
    await commit(root, Part("a.txt", file(LINES, 0o100600), file(LINES, 0o100700)))
    assert git(root, "ls-tree", "HEAD").startswith("100755")


async def test_the_first_commit_and_one_without_a_branch_are_made(tmp_path: Path, root: Path) -> None:
    bare = tmp_path / "new"
    bare.mkdir()
    git(bare, "init", "-q")
    (bare / "a.txt").write_text("one\n")
    await commit(bare, Part("a.txt", None, file("one\n")))
    assert git(bare, "show", "HEAD:a.txt") == "one\n"
    git(root, "checkout", "-q", "--detach")
    await commit(root, Part("b.txt", None, file("b\n")))
    assert git(root, "rev-list", "--count", "HEAD") == "2\n"
    assert git(root, "rev-list", "--count", "main") == "1\n"


async def test_hooks_run_and_one_that_refuses_leaves_everything_as_it_was(root: Path) -> None:
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ngit diff --cached --name-only > seen\necho no such commit >&2\nexit 1\n")
    hook.chmod(0o755)
    text = changed(LINES, 2)
    (root / "a.txt").write_text(text)
    index = (root / ".git" / "index").read_bytes()
    with pytest.raises(JumarError, match="no such commit"):
        await commit(root, Part("a.txt", file(LINES), file(text)))
    assert (root / "seen").read_text() == "a.txt\n"
    assert (root / ".git" / "index").read_bytes() == index
    assert git(root, "rev-list", "--count", "HEAD") == "1\n"


async def test_what_git_ignores_is_never_committed(root: Path) -> None:
    (root / ".gitignore").write_text(".env\n")
    (root / ".env").write_text("KEY=1\n")
    done = await commit(root, Part(".env", None, file("KEY=1\n")), Part(".gitignore", None, file(".env\n")))
    assert done.left == ((".env", "git ignores it"),)
    assert git(root, "ls-files") == ".gitignore\na.txt\n"
    with pytest.raises(UsageError, match="git ignores"):
        await commit(root, Part(".env", None, file("KEY=1\n")))


async def test_line_ends_are_committed_as_the_attributes_say(root: Path) -> None:
    (root / ".gitattributes").write_text("*.txt text eol=crlf\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "ends")
    crlf, text = LINES.replace("\n", "\r\n"), changed(LINES, 2, 25).replace("\n", "\r\n")
    (root / "a.txt").write_bytes(text.encode())
    await commit(root, Part("a.txt", file(crlf), file(text), (0,)))
    assert git(root, "cat-file", "blob", "HEAD:a.txt") == changed(LINES, 2)


async def test_a_merge_that_is_under_way_is_the_persons_to_end(root: Path) -> None:
    (root / ".git" / "MERGE_HEAD").write_text(git(root, "rev-parse", "HEAD"))
    with pytest.raises(UsageError, match="under way"):
        await commit(root, Part("b.txt", None, file("b\n")))


async def test_a_hunk_beside_lines_that_are_not_committed_is_committed_alone(root: Path) -> None:
    mine, text = changed(LINES, 25), changed(LINES, 2, 25)
    (root / "a.txt").write_text(text)
    await commit(root, Part("a.txt", file(mine), file(text)))
    assert git(root, "show", "HEAD:a.txt") == changed(LINES, 2)
    clash = text.replace("25!", "25?")
    with pytest.raises(UsageError, match="not committed"):
        await commit(root, Part("a.txt", file(text), file(clash)))


async def test_files_of_a_repository_inside_are_left_out(root: Path) -> None:
    (root / "inner").mkdir()
    git(root / "inner", "init", "-q")
    with pytest.raises(UsageError, match="repository of its own"):
        await commit(root, Part("inner/b.txt", None, file("b\n")))
    assert git(root, "ls-files") == "a.txt\n"
