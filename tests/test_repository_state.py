"""What a repository points to is recorded, pinned, and brought back, whatever a command did to it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.errors import JumarError
from agent.ledger.action import Repository
from agent.ledger.bare import Bare
from agent.ledger.capture import Capture
from agent.ledger.repository import PINS, Repositories
from agent.ledger.rescue import plan, restore
from agent.ledger.store import Store
from tests.repositories import digests, git, hostile, repository


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with a history, two branches, a tag, two stashes and something staged."""
    root = repository(tmp_path_factory.mktemp("made") / "r")
    for number in range(3):
        (root / "a.txt").write_text(f"{number}\n")
        git(root, "commit", "-qam", f"{number}")
    git(root, "branch", "other", "HEAD~1")
    git(root, "branch", "deep/er", "HEAD~2")
    git(root, "tag", "-am", "words", "v1", "HEAD~1")
    for name in ("one", "two"):
        (root / "a.txt").write_text(f"{name}\n")
        git(root, "stash", "push", "-qm", name)
    (root / "staged").write_text("staged\n")
    git(root, "add", "staged")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """Copy it."""
    return Path(shutil.copytree(made, tmp_path / "r"))


def look(root: Path) -> tuple[str, str, str, str]:
    """Return what git says: refs, HEAD, stashes, and what is staged."""
    refs = git(root, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags", "refs/stash")
    head = (
        (root / ".git" / "HEAD").read_text()
        if (root / ".git").is_dir()
        else git(root, "rev-parse", "--symbolic-full-name", "HEAD")
    )
    return refs, head, git(root, "stash", "list", "--format=%H %gs"), git(root, "ls-files", "-s")


async def opened(root: Path) -> Bare:
    store = Store(root.parent / "state" / "ledger", root)
    async with store.bare.held():
        return store.bare


GONE = "git reflog expire --expire=now --all && git gc -q --prune=now"
COMMANDS = [
    "git reset -q --hard HEAD~2",
    "git checkout -q other -f",
    "git checkout -q --detach HEAD~1 -f",
    "git stash -q && git rebase -q --onto HEAD~3 HEAD~1 main -Xtheirs && git stash drop -q",
    "git stash drop -q",
    "git stash clear",
    "git branch -qD other",
    "git branch -qD deep/er",
    "git tag -d v1",
    "git rm -q --cached staged",
    "git commit -qm more",
    "git commit -q --amend -m other",
    "git branch -m other another",
    "git update-ref -d refs/heads/main",
    "git symbolic-ref HEAD refs/heads/none",
    "git rm -qrf . && git commit -qm empty",
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_what_a_command_did_to_the_repository_is_brought_back_even_where_git_has_lost_it(
    root: Path, made: Path, command: str
) -> None:
    bare = await opened(root)
    repositories = Repositories(bare)
    before = await repositories.read(pin=True)
    assert before is not None
    looked = look(root)
    run(root, f"{command} && {GONE}")
    after = await repositories.read(pin=True)
    assert after is not None
    assert after != before
    files = {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}
    rescue = plan(before, after)
    assert rescue.lines
    await restore(bare, rescue)
    came = {line.split(" ")[0] for line in look(root)[0].splitlines()} - {line.split(" ")[0] for line in looked[0].splitlines()}
    for ref in came:
        git(root, "update-ref", "-d", ref)  # what the command made stays
    assert look(root) == looked
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == files
    git(root, "fsck", "--strict", "--connectivity-only")


def run(root: Path, command: str) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(root.parent), "GIT_CONFIG_NOSYSTEM": "1", "GIT_EDITOR": "true"}
    environment |= {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    ended = subprocess.run(["/bin/sh", "-c", command], cwd=root, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


async def test_what_came_after_the_store_was_made_is_pinned_before_it_can_be_lost(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    bare = await opened(root)
    repositories = Repositories(bare)
    await repositories.read(pin=True)
    (root / "a.txt").write_text("stashed\n")
    git(root, "stash", "push", "-qm", "words")
    run(root, "git checkout -q -b side && echo side > side && git add . && git commit -qm side && git checkout -q main")
    (root / "staged").write_text("staged\n")
    git(root, "add", ".")
    looked = look(root)
    before = await repositories.read(pin=True)
    run(root, f"git branch -qD side && git stash drop -q && git rm -q --cached staged && {GONE}")
    commit = looked[2].split(" ")[0]
    run(root, f"! git cat-file -e {commit}")
    after = await repositories.read(pin=True)
    assert before is not None
    assert after is not None
    await restore(bare, plan(before, after))
    assert look(root) == looked
    git(root, "fsck", "--strict")
    for pinned in (await bare.git.run("for-each-ref", "--format=%(objectname)", PINS)).out.decode().split():
        await bare.git.run("rev-list", "--objects", pinned)


async def test_a_branch_in_whose_way_a_new_one_stands_comes_back_under_another_name(root: Path) -> None:
    bare = await opened(root)
    before = await Repositories(bare).read(pin=True)
    commit = git(root, "rev-parse", "deep/er")
    run(root, "git branch -qD deep/er && git branch deep")
    after = await Repositories(bare).read()
    assert before is not None
    assert after is not None
    rescue = plan(before, after)
    assert rescue.lines == (f"refs/heads/deep-er-rescued: not there -> {commit[:12]}",)
    await restore(bare, rescue)
    assert git(root, "rev-parse", "deep-er-rescued") == commit


async def test_nothing_is_brought_back_over_what_somebody_changed_meanwhile(root: Path) -> None:
    bare = await opened(root)
    before = await Repositories(bare).read(pin=True)
    run(root, "git branch -qD other && git stash drop -q")
    after = await Repositories(bare).read()
    assert before is not None
    assert after is not None
    rescue = plan(before, after)
    git(root, "branch", "mine")
    kept = look(root)
    with pytest.raises(JumarError, match="has changed meanwhile"):
        await restore(bare, rescue)
    assert look(root) == kept
    (root / ".git" / "index.lock").touch()
    with pytest.raises(JumarError, match="another git holds the index"):
        await restore(bare, rescue)
    assert look(root) == kept
    assert (root / ".git" / "index.lock").exists()


async def test_what_the_repository_has_made_since_stays(root: Path) -> None:
    bare = await opened(root)
    before = await Repositories(bare).read(pin=True)
    run(root, "git checkout -q -b new && git commit -qam new && git tag made")
    after = await Repositories(bare).read()
    assert before is not None
    assert after is not None
    rescue = plan(before, after)
    assert rescue.lines == ("HEAD: new -> main", "index: what was staged is staged again") or rescue.lines == (
        "HEAD: new -> main",
    )
    await restore(bare, rescue)
    assert git(root, "rev-parse", "--abbrev-ref", "HEAD").strip() == "main"
    assert {"refs/heads/new", "refs/tags/made"} <= set(git(root, "for-each-ref", "--format=%(refname)").split())


async def test_a_merge_with_conflicts_in_the_index_is_brought_back_as_it_was(root: Path) -> None:
    git(root, "commit", "-qam", "staged")
    run(root, "git checkout -q other && echo theirs > a.txt && git commit -qam theirs && (git merge -q main || true)")
    looked = look(root)
    assert git(root, "ls-files", "-u")
    bare = await opened(root)
    before = await Repositories(bare).read(pin=True)
    run(root, f"git merge --abort && {GONE}")
    after = await Repositories(bare).read()
    assert before is not None
    assert after is not None
    await restore(bare, plan(before, after))
    assert look(root)[3] == looked[3]


async def test_a_rebase_that_is_under_way_is_told(root: Path) -> None:
    git(root, "commit", "-qam", "staged")
    run(root, "git checkout -q other && echo theirs > a.txt && git commit -qam theirs")
    looked = look(root)
    bare = await opened(root)
    before = await Repositories(bare).read(pin=True)
    run(root, "git rebase main || true")
    after = await Repositories(bare).read()
    assert before is not None
    assert after is not None
    assert await restore(bare, plan(before, after)) == ("a rebase is under way; `git rebase --quit` ends it",)
    run(root, "git rebase --quit")
    assert look(root) == looked


async def test_a_worktree_has_its_own_head_and_index_and_shares_the_rest(made: Path, tmp_path: Path) -> None:
    main = Path(shutil.copytree(made, tmp_path / "main"))
    root = tmp_path / "r"
    git(main, "worktree", "add", "-q", "-b", "tree", str(root))
    bare = await opened(root)
    before = await Repositories(bare).read(pin=True)
    assert before is not None
    assert before.head == "ref: refs/heads/tree"
    assert len(before.stashes) == 2
    looked, theirs = git(root, "for-each-ref"), look(main)
    run(root, f"git reset -q --hard HEAD~1 && git branch -qD other && git stash clear && {GONE}")
    after = await Repositories(bare).read()
    assert after is not None
    await restore(bare, plan(before, after))
    assert git(root, "for-each-ref") == looked
    assert look(main) == theirs


async def test_packed_refs_are_read_and_brought_back(root: Path) -> None:
    git(root, "pack-refs", "--all")
    assert not (root / ".git" / "refs" / "heads" / "main").exists()
    bare = await opened(root)
    before = await Repositories(bare).read(pin=True)
    assert before is not None
    told = dict(line.split(" ") for line in git(root, "for-each-ref", "--format=%(refname) %(objectname)").splitlines())
    assert before.refs == told
    looked = look(root)
    run(root, f"git branch -qD other && git tag -d v1 && git pack-refs --all && {GONE}")
    after = await Repositories(bare).read()
    assert after is not None
    await restore(bare, plan(before, after))
    assert look(root) == looked


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
async def test_no_byte_of_a_hostile_repository_changes_and_nothing_of_it_runs(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "r"
    root.mkdir()
    git(root, "init", "-q", f"--object-format={kind}")
    (root / "a.txt").write_text("one\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    (root / "a.txt").write_text("two\n")
    git(root, "stash")
    hostile(root, tmp_path / "marker")
    before = digests(root / ".git")
    bare = await opened(root)
    repositories = Repositories(bare)
    state = await repositories.read(pin=True)
    assert state is not None
    assert await repositories.read(pin=True) == state
    assert digests(root / ".git") == before
    (root / ".git" / "packed-refs").write_text("")
    (root / ".git" / "refs" / "heads" / "main").unlink()
    (root / ".git" / "refs" / "stash").unlink()
    (root / ".git" / "logs" / "refs" / "stash").unlink()
    (root / ".git" / "index").unlink()
    after = await repositories.read()
    assert after is not None
    await restore(bare, plan(state, after))
    assert not (tmp_path / "marker").exists()
    assert await repositories.read() == state


async def test_what_git_does_to_refresh_its_index_is_no_change(root: Path) -> None:
    bare = await opened(root)
    repositories = Repositories(bare)
    before = await repositories.read(pin=True)
    os.utime(root / "staged", (1, 1))
    old = (root / ".git" / "index").read_bytes()
    git(root, "status")
    assert (root / ".git" / "index").read_bytes() != old
    assert await repositories.read(pin=True) == before


async def test_the_end_of_a_shallow_history_is_known(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "r"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{made}", str(root))
    bare = await opened(root)
    before = await Repositories(bare).read(pin=True)
    assert before is not None
    assert (await bare.git.run("for-each-ref", PINS)).out
    await bare.git.run("rev-list", "--objects", "--all")
    run(root, f"git commit -q --allow-empty -m x && git reset -q --hard HEAD~1 && {GONE}")
    assert await Repositories(bare).read() == before


@pytest.mark.parametrize("kind", ["nothing", "an empty folder", "a file that leads nowhere", "a loop"])
async def test_where_there_is_no_repository_there_is_no_state(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "r"
    root.mkdir()
    match kind:
        case "an empty folder":
            (root / ".git").mkdir()
        case "a file that leads nowhere":
            (root / ".git").write_text("gitdir: /nowhere\n")
        case "a loop":
            (root / ".git").symlink_to(".git")
    bare = await opened(root)
    assert await Repositories(bare).read(pin=True) is None
    with pytest.raises(JumarError, match="there is no repository at"):
        await restore(bare, plan(Repository(), Repository()))


async def test_a_command_tells_the_repository_only_where_it_changed(root: Path, tmp_path: Path) -> None:
    capture = Capture(Store(tmp_path / "state" / "ledger", root), watched=False)
    before = await capture.before(None)
    run(root, "echo x > a.txt")
    assert (await capture.after(before)).repository is None
    before = await capture.before(None)
    run(root, "git reset -q --hard HEAD~1")
    captured = await capture.after(before)
    assert captured.repository is not None
    old, new = captured.repository
    assert old.refs["refs/heads/main"] != new.refs["refs/heads/main"]
    assert {delta.path for delta in captured.deltas} == {"a.txt", "staged"}
