"""Snapshots hold the workspace byte for byte, tell what changed, and leave the person's repository alone."""

import asyncio
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import JumarError
from agent.ledger.span import Span
from agent.ledger.store import FileChange, Store
from tests.repositories import digests, git, hostile, repository
from tests.runs import processes

linux = sys.platform == "linux"
LATIN = os.fsdecode(b"latin-\xe9") if linux else "latin-e"  # other systems take no such name


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def store(root: Path) -> Store:
    return Store(root.parent / "state" / "ledger", root)


def contents(root: Path) -> dict[bytes, tuple[int, bytes]]:
    """Return mode and bytes of everything that git could keep."""
    found = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        if b".git" in folders:
            folders.remove(b".git")
        for name in [
            *(name for name in files if name != b".git"),
            *(name for name in folders if Path(os.fsdecode(folder + b"/" + name)).is_symlink()),
        ]:
            path = folder + b"/" + name
            status = os.lstat(path)
            link = stat.S_ISLNK(status.st_mode)
            whole = Path(os.fsdecode(path))
            content = os.fsencode(whole.readlink()) if link else whole.read_bytes()
            found[os.path.relpath(path, os.fsencode(root))] = (0 if link else status.st_mode & 0o100, content)
    return found


def no_git() -> bool:
    """Whether no child of this process is a git, be it one that ended and was not waited for."""
    return not [words for _, parent, words in processes() if parent == os.getpid() and "git" in words]


def apply(patch: bytes, root: Path, objects: str) -> None:
    git(
        root.parent, "init", "-q", f"--object-format={objects}", str(root)
    )  # without one, git apply takes no part of a path for granted
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "apply", "-"], input=patch, cwd=root, env=environment, check=True)


def fill(root: Path) -> None:
    """Leave files of every kind in a folder."""
    (root / "deep" / "er").mkdir(parents=True)
    (root / "crlf.txt").write_bytes(b"one\r\ntwo\r\nthree\n")
    (root / "bom.txt").write_bytes(b"\xef\xbb\xbfx\n")
    (root / "utf16.txt").write_bytes("wide\r\n".encode("utf-16"))
    (root / "binary").write_bytes(bytes(range(256)) * 40)
    (root / "no-end").write_bytes(b"no end")
    (root / "gone").write_bytes(b"gone\n")
    (root / "deep" / "er" / "x").write_bytes(b"x\n")
    (root / "deep" / "y").write_bytes(b"y\n")
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "link").symlink_to("crlf.txt")
    (root / "turns").write_bytes(b"a file\n")
    (root / "folder").mkdir()
    (root / "folder" / "in").write_bytes(b"in\n")
    (root / "文件 é.txt").write_bytes("内容\n".encode())
    (root / "new\nline\t\"'\\").write_bytes(b"odd\n")
    (root / LATIN).write_bytes(b"caf\xe9\n")
    (root / "-x").write_bytes(b"dash\n")
    (root / ":(top)z").write_bytes(b"magic\n")
    (root / "id").write_bytes(b"$Id$\n")


def change(root: Path) -> None:
    (root / "crlf.txt").write_bytes(b"one\r\n2\r\nthree\n")
    (root / "bom.txt").write_bytes(b"x\n")
    (root / "utf16.txt").write_bytes("wider\r\n".encode("utf-16"))
    (root / "binary").write_bytes(bytes(reversed(range(256))) * 40)
    (root / "no-end").write_bytes(b"no end still")
    (root / "gone").unlink()
    shutil.rmtree(root / "deep" / "er")
    (root / "run").chmod(0o755)
    (root / "link").unlink()
    (root / "link").symlink_to("elsewhere")
    (root / "turns").unlink()
    (root / "turns").mkdir()
    (root / "turns" / "in").write_bytes(b"a folder\n")
    shutil.rmtree(root / "folder")
    (root / "folder").symlink_to("deep")
    (root / "文件 é.txt").write_bytes("新\n".encode())
    (root / "new\nline\t\"'\\").write_bytes(b"odder\n")
    (root / LATIN).write_bytes(b"th\xe9\n")
    (root / "-x").write_bytes(b"dash dash\n")
    (root / ":(top)z").unlink()
    (root / "created\r").write_bytes(b"")
    (root / "id").write_bytes(b"$Id: 1$\n")


@pytest.mark.parametrize("kind", ["a repository", "no repository", "a hostile repository", "a worktree", "sha256"])
async def test_the_patch_makes_of_the_old_files_the_new_ones_byte_for_byte(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "r"
    match kind:
        case "no repository":
            root.mkdir()
        case "a worktree":
            git(repository(tmp_path / "theirs"), "worktree", "add", "-q", str(root))
        case "sha256":
            root.mkdir()
            git(root, "init", "-q", "--object-format=sha256")
            (root / "a.txt").write_text("one\n")
            git(root, "add", ".")
        case _:
            repository(root)
    if kind == "a hostile repository":
        hostile(root, tmp_path / "marker")
        (root / ".gitattributes").write_text("* text=auto eol=crlf ident filter=f diff=d -diff working-tree-encoding=UTF-16\n")
        git(root, "config", "core.autocrlf", "true")
    fill(root)
    shutil.copytree(root, tmp_path / "copy", symlinks=True, ignore=lambda *_: [".git"])
    theirs = [root / ".git", tmp_path / "theirs"]
    before_theirs = [digests(folder) for folder in theirs]
    ours = store(root)
    before = await ours.snapshot()
    change(root)
    after = await ours.snapshot()
    patch = await ours.patch(before, after)
    changed = await ours.changed(before, after)
    assert [digests(folder) for folder in theirs] == before_theirs
    assert not (tmp_path / "marker").exists()
    for folder in (root, tmp_path / "copy"):
        (folder / ".gitattributes").unlink(missing_ok=True)  # git apply would follow it
    apply(patch, tmp_path / "copy", "sha256" if kind == "sha256" else "sha1")
    assert contents(tmp_path / "copy") == contents(root)
    told = {one.path: one for one in changed}
    assert len(told) == len(changed) == 20
    assert told["crlf.txt"] == FileChange("crlf.txt", "modified", 1, 1)
    assert told["binary"] == FileChange("binary", "modified", 0, 0)
    assert told["run"] == FileChange("run", "modified", 0, 0)
    assert told["turns"] == FileChange("turns", "deleted", 0, 1)
    assert told["turns/in"] == FileChange("turns/in", "created", 1, 0)
    assert told["folder"].kind == "created"
    assert told["folder/in"].kind == told["deep/er/x"].kind == told["gone"].kind == "deleted"
    assert told["latin-\\xe9" if linux else LATIN].kind == told["new\nline\t\"'\\"].kind == told["link"].kind == "modified"


async def test_nothing_changed_is_told_as_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    ours = store(root)
    before = await ours.snapshot()
    os.utime(root / "a.txt", (1, 1))
    (root / "a.txt").write_text("one\n")
    after = await ours.snapshot()
    assert await ours.changed(before, after) == ()
    assert await ours.patch(before, after) == b""


async def test_the_store_is_private_and_outside_the_workspace(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    await store(root).snapshot()
    [folder] = (tmp_path / "state" / "ledger").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in root.iterdir()) == [".git", "a.txt"]


async def test_what_was_committed_outlives_their_repository(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    git(root, "gc", "-q")
    ours = store(root)
    before = await ours.snapshot()
    shutil.rmtree(root / ".git")
    (root / "a.txt").write_text("two\n")
    after = await ours.snapshot()
    assert await ours.changed(before, after) == (FileChange("a.txt", "modified", 1, 1),)
    assert b"-one\n+two\n" in await ours.patch(before, after)


async def test_what_was_committed_is_not_stored_again(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    git(root, "gc", "-q")
    (root / "staged").write_text("staged\n")
    git(root, "add", ".")
    await store(root).snapshot()
    [folder] = (tmp_path / "state" / "ledger").iterdir()
    [pack] = (folder / "objects" / "pack").glob("*.pack")
    assert pack.samefile(root / ".git" / "objects" / "pack" / pack.name)
    blob = git(root, "rev-parse", ":staged").strip()
    loose = Path("objects", blob[:2], blob[2:])
    assert (folder / loose).samefile(root / ".git" / loose)


async def test_a_store_whose_making_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    whole = await store(root).snapshot()
    [folder] = (tmp_path / "state" / "ledger").iterdir()
    (folder / "HEAD").unlink()
    shutil.rmtree(folder / "objects" / "pack")
    assert (await store(root).snapshot()).tree == whole.tree


async def test_a_workspace_that_cannot_be_read_to_its_end_is_given_up(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    os.mkfifo(root / ".gitignore")
    with pytest.raises(JumarError, match=r"took longer than 0\.5 s"):
        await Store(tmp_path / "state", root, seconds=0.5).snapshot()
    assert no_git()


async def test_whoever_waits_in_vain_leaves_the_other_alone(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    await store(root).snapshot()
    [folder] = (tmp_path / "state" / "ledger").iterdir()
    with (folder / "jumar.lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (folder / "index.lock").touch()
        with pytest.raises(JumarError, match="took longer"):
            await Store(tmp_path / "state" / "ledger", root, seconds=0.2).snapshot()
        assert (folder / "index.lock").exists()


async def test_state_that_lies_in_the_workspace_is_no_part_of_it(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    place = root / "my [odd] place" / "state"
    ours = Store(place / "ledger", root)
    before = await ours.snapshot()
    (place / "log").write_text("x")
    assert await ours.changed(before, await ours.snapshot()) == ()


@pytest.mark.parametrize("whole", ["/", "home"])
async def test_what_is_no_project_is_not_taken(tmp_path: Path, whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path if whole == "home" else Path(whole)
    with pytest.raises(JumarError, match="is too much to take snapshots of"):
        await Store(tmp_path / "state" / "ledger", root).snapshot()


async def test_what_the_person_ignores_everywhere_is_not_in_the_patch(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text("[core]\n\texcludesFile = ~/mine\n")
    (tmp_path / "home" / "mine").write_text("*.mine\n")
    (root / ".git" / "info").mkdir()
    (root / ".git" / "info" / "exclude").write_text("*.theirs\n")
    ours = store(root)
    before = await ours.snapshot()
    for name in ("x.mine", "x.theirs"):
        (root / name).write_text("x\n")
    after = await ours.snapshot()
    assert [one.path for one in await ours.changed(before, after)] == ["x.mine", "x.theirs"]
    assert await ours.patch(before, after) == b""


async def test_small_ignored_files_are_told_but_not_part_of_the_patch(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / ".gitignore").write_text("*.env\nbuild/\n*.db\n")
    (root / "tracked.env").write_text("a\n")
    git(root, "add", "-f", ".gitignore", "tracked.env")
    (root / "my.env").write_text("a\n")
    (root / "big.db").write_bytes(b"x" * (2 << 20))
    for name in ("build", "node_modules"):
        (root / name).mkdir()
        (root / name / "out").write_text("a\n")
    ours = store(root)
    before = await ours.snapshot()
    for name in ("tracked.env", "my.env", "build/out", "node_modules/out"):
        (root / name).write_text("b\n")
    after = await ours.snapshot()
    assert [one.path for one in await ours.changed(before, after)] == ["my.env", "tracked.env"]
    patch = await ours.patch(before, after)
    assert b"tracked.env" in patch
    assert b"my.env" not in patch
    assert after.left_out[b"big.db"].why == "too large"


async def test_what_was_in_an_ignored_folder_is_not_new_when_the_rules_change(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / ".gitignore").write_text("data/\n*.log\n")
    (root / "data" / "deep").mkdir(parents=True)
    (root / "data" / "private.csv").write_text("mine\n")
    (root / "data" / "deep" / "er.csv").write_text("mine\n")
    (root / "data" / "large").touch()
    os.truncate(root / "data" / "large", 11 << 20)
    (root / "data" / "tracked").write_text("a\n")
    (root / "logs").mkdir()
    (root / "logs" / "a.log").write_text("a\n")
    git(root, "add", "-f", ".gitignore", "data/tracked")
    git(root, "commit", "-qm", "x")
    shutil.copytree(root, tmp_path / "old", ignore=shutil.ignore_patterns(".git"))
    ours = store(root)
    before = await ours.snapshot()
    assert await ours.changed(before, await ours.snapshot()) == ()
    (root / ".gitignore").write_text("*.log\n")
    (root / "data" / "made.csv").write_text("new\n")
    (root / "data" / "tracked").write_text("b\n")
    (root / "logs" / "b.txt").write_text("new\n")
    after = await ours.snapshot()
    assert {one.path: one.kind for one in await ours.changed(before, after)} == {
        ".gitignore": "modified",
        "data/made.csv": "created",
        "data/tracked": "modified",
        "logs/b.txt": "created",
    }
    patch = await ours.patch(before, after)
    assert b"private" not in patch
    assert b"er.csv" not in patch
    apply(patch, tmp_path / "old", "sha1")
    assert (tmp_path / "old" / "data" / "tracked").read_text() == "b\n"
    assert (tmp_path / "old" / "logs" / "b.txt").read_text() == "new\n"


async def test_ignored_folders_are_named_and_their_coming_and_going_is_not_told(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / ".gitignore").write_text("build/\n")
    for name in ("build", "node_modules", "sub/build"):
        (root / name).mkdir(parents=True)
        (root / name / "out").write_text("a\n")
    ours = store(root)
    before = await ours.snapshot()
    assert {path: one.why for path, one in before.left_out.items()} == dict.fromkeys(
        [b"build/", b"node_modules/", b"sub/build/"], "an ignored folder"
    )
    shutil.rmtree(root / "node_modules")
    (root / "venv").mkdir()
    (root / "venv" / "x").write_text("x\n")
    after = await ours.snapshot()
    assert after.left_out.keys() == {b"build/", b"sub/build/", b"venv/"}
    assert await ours.changed(before, after) == ()


async def test_what_the_person_tracks_is_held_wherever_it_lies(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / "node_modules").mkdir()
    (root / "node_modules" / "own.js").write_text("a\n")
    git(root, "add", "-f", "node_modules")
    ours = store(root)
    before = await ours.snapshot()
    (root / "node_modules" / "own.js").write_text("b\n")
    assert [one.path for one in await ours.changed(before, await ours.snapshot())] == ["node_modules/own.js"]


async def test_what_is_too_large_is_named_and_its_change_is_told(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    for name in ("large", "grows", "shrinks"):
        (root / name).write_bytes(b"x")
    for name in ("large", "shrinks"):
        os.truncate(root / name, 11 << 20)
    ours = store(root)
    before = await ours.snapshot()
    assert {path: one.why for path, one in before.left_out.items()} == dict.fromkeys([b"large", b"shrinks"], "too large")
    os.truncate(root / "large", 12 << 20)
    os.truncate(root / "grows", 101 << 20)
    os.truncate(root / "shrinks", 1)
    (root / "appears").touch()
    os.truncate(root / "appears", 11 << 20)
    after = await ours.snapshot()
    assert {one.path: one.kind for one in await ours.changed(before, after)} == {
        "large": "modified",
        "grows": "modified",
        "shrinks": "modified",
        "appears": "created",
    }


async def test_ignored_files_that_are_too_many_for_one_snapshot_are_not_told_as_changed_by_the_next(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / ".gitignore").write_text("*.o\n")
    for number in range(1010):
        (root / f"{number:04}.o").write_bytes(b"o")
    ours = store(root)
    before = await ours.snapshot()
    assert len(before.left_out) == 10
    again = await ours.snapshot()
    assert again.left_out == before.left_out
    await store(root).snapshot()  # another session takes what was left
    after = await ours.snapshot()
    assert after.left_out == {}
    assert await ours.changed(before, after) == ()
    (root / "1009.o").write_bytes(b"changed")
    (root / "1008.o").unlink()
    changed = await ours.changed(before, await ours.snapshot())
    assert [(one.path, one.kind) for one in changed] == [("1008.o", "deleted"), ("1009.o", "modified")]


async def test_a_patch_holds_nothing_that_was_too_large_before(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / "large").touch()
    os.truncate(root / "large", 11 << 20)
    repository(root / "sub")
    ours = store(root)
    before = await ours.snapshot()
    (root / "large").write_text("small\n")
    (root / "a.txt").write_text("two\n")
    shutil.rmtree(root / "sub" / ".git")
    after = await ours.snapshot()
    patch = await ours.patch(before, after)
    assert b"-one\n+two\n" in patch
    assert b"large" not in patch
    assert b"sub" not in patch
    assert "large" in {one.path for one in await ours.changed(before, after)}


async def test_repositories_inside_are_not_entered_and_not_lost(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    repository(root / "sub")
    (root / "empty").mkdir()
    git(root / "empty", "init", "-q")
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tmp_path / "r"), "module")
    theirs = digests(root)
    ours = store(root)
    before = await ours.snapshot()
    assert before.left_out.keys() == {b"sub/", b"empty/", b"module/"}
    shutil.rmtree(root / "empty")
    assert await ours.changed(before, await ours.snapshot()) == (FileChange("empty/", "deleted", 0, 0),)
    assert digests(root) == {path: digest for path, digest in theirs.items() if not path.startswith("empty/")}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_unreadable_files_are_named_and_the_rest_is_taken(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / "closed").write_text("x")
    (root / "closed").chmod(0)
    (root / "folder").mkdir()
    (root / "folder" / "in").write_text("x")
    ours = store(root)
    before = await ours.snapshot()
    (root / "folder").chmod(0)
    try:
        after = await ours.snapshot()
    finally:
        (root / "folder").chmod(0o700)
    assert before.left_out.keys() == {b"closed"}
    assert after.left_out.keys() == {b"closed", b"folder/", b"folder/in"}
    assert [(one.path, one.kind) for one in await ours.changed(before, after)] == [("folder/in", "modified")]


@pytest.mark.skipif(not linux, reason="elsewhere this is the name of a repository")
async def test_names_that_git_does_not_take_are_named(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (root / "sub" / ".GIT").mkdir(parents=True)
    (root / "sub" / ".GIT" / "x").write_text("x")
    assert (await store(root).snapshot()).left_out.keys() == {b"sub/.GIT/x"}


async def test_a_snapshot_that_is_cancelled_leaves_no_child_and_no_lock(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    for number in range(800):
        (root / f"{number}").write_text(f"{number}")
    ours = store(root)
    for turns in range(0, 40, 4):
        taking = asyncio.create_task(ours.snapshot())
        for _ in range(turns):
            await asyncio.sleep(0.001)
        taking.cancel()
        await asyncio.wait({taking})
        assert no_git()
        assert not list((tmp_path / "state").rglob("*.lock.*")) + list((tmp_path / "state").rglob("index.lock"))
    before = await ours.snapshot()
    (root / "7").unlink()
    assert await ours.changed(before, await ours.snapshot()) == (FileChange("7", "deleted", 0, 1),)


async def test_two_sessions_take_turns(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    stores = [store(root) for _ in range(4)]
    taken = await asyncio.gather(*(one.snapshot() for one in stores))
    assert len({one.tree for one in taken}) == 1


async def test_a_broken_store_is_mended_from_the_files(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    whole = await store(root).snapshot()
    [folder] = (tmp_path / "state" / "ledger").iterdir()
    (folder / "index").write_bytes(b"garbage")
    (folder / "index.lock").write_bytes(b"left by one that was killed")
    assert (await store(root).snapshot()).tree == whole.tree


async def test_a_git_that_fails_is_one_fault_and_no_group_of_them(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    ours = store(root)
    await ours.snapshot()
    [folder] = (tmp_path / "state" / "ledger").iterdir()
    (folder / "info" / "exclude").unlink()
    (folder / "info" / "exclude").mkdir()
    with pytest.raises(JumarError):  # Python 3.11.2 tells an ExceptionGroup of what is raised inside `except*`
        await ours.snapshot()


@pytest.mark.parametrize("git_folder", ["nothing", "an old git", "a git of the workspace"])
async def test_where_git_is_of_no_use_one_line_says_so(tmp_path: Path, git_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "r"
    folder = (root if git_folder == "a git of the workspace" else tmp_path) / "bin"
    folder.mkdir(parents=True)
    root.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", str(folder))
    if git_folder != "nothing":
        (folder / "git").write_text(f"#!/bin/sh\n/bin/touch {tmp_path}/ran\necho git version 2.20.1\n")
        (folder / "git").chmod(0o755)
    if git_folder == "an old git":
        with pytest.raises(JumarError, match=r"git version 2\.20\.1 is too old"):
            await store(root).snapshot()
    else:
        await store(root).snapshot()
        assert not (tmp_path / "ran").exists()


async def test_a_span_tells_what_changed_since_its_beginning(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    span = Span(store(root))
    assert await span.changed() == ()
    assert await span.patch() == b""
    await span.begin()
    (root / "a.txt").write_text("two\n")
    await span.begin()
    assert await span.changed() == (FileChange("a.txt", "modified", 1, 1),)
    assert (await span.patch()).startswith(b"diff --git a/a.txt b/a.txt\n")
    assert span.fault == ""


async def test_a_span_that_cannot_begin_says_why_and_stops_nothing(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    (tmp_path / "state").write_text("no folder")
    span = Span(store(root))
    await span.begin()
    assert span.fault.startswith("the ledger cannot be kept in ")
    assert await span.changed() == ()
    with pytest.raises(JumarError, match="the ledger cannot be kept"):
        await span.patch()
