"""Git looks at repositories that may be hostile: nothing of theirs runs, and nothing of them changes."""

import os
import subprocess
from pathlib import Path

import pytest

from agent.workspace.git import Git
from tests.repositories import digests, git, hostile, repository

PATIENCE = 20.0


def test_branch_and_status_are_told(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    assert Git(root).start_status().collect(PATIENCE) == "branch main; nothing changed"
    (root / "a.txt").write_text("two\n")
    (root / "new").mkdir()
    (root / "new" / "file name").write_text("x")
    git(root, "add", "new")
    (root / "untracked").write_text("x")
    told = Git(root).start_status().collect(PATIENCE)
    assert told == "branch main; 3 changed\n M a.txt\nA  new/file name\n?? untracked"


def test_a_status_runs_nothing_of_a_hostile_repository_and_changes_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    for name in ("b.txt", "c.x"):
        (root / name).write_text("one\n")
    git(root, "add", ".")
    hostile(root, marker := tmp_path / "marker")
    # Same size, other time: git must read the contents to know.
    for name in ("a.txt", "b.txt", "c.x"):
        (root / name).write_text("two\n")
        os.utime(root / name, (1, 1))
    subprocess.run(["git", "status"], cwd=root, check=False, capture_output=True)
    assert marker.exists(), "the trap must be one"
    marker.unlink()
    before = digests(root / ".git")
    told = Git(root).start_status().collect(PATIENCE)
    assert " M a.txt" in told
    assert "AM b.txt" in told
    assert not marker.exists()
    assert digests(root / ".git") == before


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_a_folder_without_a_repository_is_told_as_one(tmp_path: Path, kind: str) -> None:
    if kind == "empty":
        (tmp_path / ".git").mkdir()
    if kind == "file":
        (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    told = Git(tmp_path).start_status().collect(PATIENCE)
    assert told == ("no git repository" if kind == "missing" else "git could not read this repository")


def test_a_status_that_is_late_is_ended_with_its_child(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    os.mkfifo(root / ".git" / "never")
    git(root, "config", "include.path", "never")
    status = Git(root).start_status()
    assert status.collect(0.05) == "git's status was not ready in time"
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_names_cannot_act_on_a_terminal_or_break_a_line(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / "x\ny\x1b[2J\u202e").write_text("x")
    assert Git(root).start_status().collect(PATIENCE).splitlines()[1] == "?? x␊y␛[2J\\u{202e}"


def test_a_status_has_twenty_lines_at_most(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    for number in range(3000):
        (root / f"{number:04}-{'long' * 10}").touch()
    lines = Git(root).start_status().collect(PATIENCE).splitlines()
    assert len(lines) == 20
    assert lines[0].startswith("branch main; more than ")
    assert lines[-1] == "... and many more"
