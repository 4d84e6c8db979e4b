"""Git looks at repositories that may be hostile: nothing of theirs runs, and nothing of them changes."""

import os
import subprocess
from pathlib import Path

import pytest

from agent.workspace.git import Git
from tests.repositories import digests, git, hostile, repository

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def test_branch_and_status_are_told(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    assert Git(root).start_status().collect(PATIENCE) == "branch main; nothing changed"
    (root / "a.txt").write_text("two\n")
    (root / "new").mkdir()
    (root / "new" / "file name").write_text("x")
    git(root, "add", "new")
    (root / "untracked").write_text("x")
    told = Git(root).start_status().collect(PATIENCE)
    assert told == "branch main; 2 changed, 1 untracked\n M a.txt\nA  new/file name\n?? untracked"


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


def test_what_the_environment_says_of_git_is_not_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = repository(tmp_path / "r")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "nonsense")
    assert Git(root).start_status().collect(PATIENCE) == "branch main; nothing changed"
    assert not (tmp_path / "trace").exists()


def test_settings_that_lead_elsewhere_lead_nowhere(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (tmp_path / "elsewhere").mkdir()
    git(root, "config", "core.worktree", str(tmp_path / "elsewhere"))
    git(root, "config", "core.bare", "true")
    assert Git(root).start_status().collect(PATIENCE) == "branch main; nothing changed"


def test_a_worktree_and_a_moved_head_are_told(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    git(root, "worktree", "add", "-q", str(tmp_path / "w"), "-b", "feature/x")
    assert Git(tmp_path / "w").start_status().collect(PATIENCE) == "branch feature/x; nothing changed"
    commit = git(root, "rev-parse", "HEAD")[:12]
    git(root, "checkout", "-q", "--detach")
    assert Git(root).start_status().collect(PATIENCE) == f"no branch, at commit {commit}; nothing changed"


def test_so_many_files_that_a_status_would_be_late_are_told_as_such(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    index = root / ".git" / "index"
    index.write_bytes(index.read_bytes()[:8] + (50_000).to_bytes(4, "big") + index.read_bytes()[12:])
    told = Git(root).start_status().collect(PATIENCE)
    assert told == "branch main; status not taken, for there are 50000 tracked files: ask git about the paths that matter"


def test_a_status_that_is_late_is_ended_with_its_child(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    os.mkfifo(root / ".git" / "never")
    git(root, "config", "include.path", "never")
    status = Git(root).start_status()
    assert status.collect(0.05) == "git's status was not ready in time"
    assert status._thread is not None
    assert not status._thread.is_alive()  # it has waited for its child
    assert status._program is None


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
