"""A watch tells of every folder in which something happened, or that it cannot be trusted."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.ledger.capture import Capture
from agent.ledger.store import Store
from agent.ledger.watch import Watch
from tests.repositories import repository

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of every change")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "r"
    (root / "d" / "e").mkdir(parents=True)
    (root / "a").write_text("a")
    (root / "d" / "b").write_text("b")
    return root


@pytest.fixture
def watch(root: Path) -> Iterator[Watch]:
    watch = Watch(root)
    begin(watch)
    yield watch
    watch.close()


def begin(watch: Watch) -> None:
    watch.renew()
    for folder in (b"", b"d", b"d/e"):
        watch.add(folder)
    watch.settle()


def test_each_way_to_change_a_folder_is_told(root: Path, watch: Watch) -> None:
    assert watch.trusted
    assert watch.drain() == set()
    (root / "a").read_text()
    assert watch.drain() == set()
    (root / "a").write_text("x")
    assert watch.drain() == {b""}
    (root / "d" / "b").chmod(0o600)
    assert watch.drain() == {b"d"}
    os.utime(root / "d" / "b")
    assert watch.drain() == {b"d"}
    (root / "d" / "b").rename(root / "d" / "e" / "b")
    assert watch.drain() == {b"d", b"d/e"}
    (root / "d" / "e" / "link").symlink_to("b")
    assert watch.drain() == {b"d/e"}
    (root / "d" / "e" / "b").unlink()
    assert watch.drain() == {b"d/e"}
    with (root / "a").open("r+") as opened:
        opened.truncate(0)
        assert watch.drain() == {b""}


def test_a_folder_that_is_removed_or_moved_is_told_by_the_one_above_it(root: Path, watch: Watch) -> None:
    (root / "d" / "e").rmdir()
    assert watch.drain() == {b"d", b"d/e"}
    assert not watch.has(b"d/e")
    (root / "d").rename(root / "moved")
    assert watch.drain() == {b"", b"d"}
    watch.add(b"moved")
    assert watch.has(b"moved")
    assert not watch.has(b"d")
    (root / "moved" / "b").write_text("x")
    assert watch.drain() == {b"moved"}
    watch.forget(b"moved")
    (root / "moved" / "b").write_text("y")
    assert watch.drain() == set()
    assert watch.trusted


def test_an_overflow_ends_the_trust_until_all_was_looked_at(root: Path, watch: Watch) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(most // 2 + 2):  # two files by turns, for the same event twice is told once
        os.utime(root / "a")
        os.utime(root / "d" / "b")
    assert watch.drain() is None
    assert not watch.trusted
    watch.settle()
    assert not watch.trusted  # nothing began anew
    begin(watch)
    assert watch.drain() == set()
    assert watch.trusted


def test_a_root_that_is_moved_or_removed_ends_the_trust(root: Path, watch: Watch) -> None:
    root.rename(root.parent / "elsewhere")
    assert watch.drain() is None
    shutil.move(root.parent / "elsewhere", root)
    begin(watch)
    assert watch.trusted
    shutil.rmtree(root)
    assert watch.drain() is None


def test_a_folder_that_is_gone_already_does_no_harm_and_a_link_is_not_followed(root: Path, watch: Watch) -> None:
    (root / "link").symlink_to("d")
    watch.drain()
    watch.add(b"nowhere")
    watch.add(b"link")
    watch.add(b"a")
    assert watch.folders == 3
    assert watch.trusted


@pytest.mark.skipif(os.geteuid() == 0, reason="root may watch everything")
def test_a_folder_that_cannot_be_watched_ends_the_trust_for_good(root: Path, watch: Watch) -> None:
    (root / "closed").mkdir(0)
    watch.add(b"closed")
    assert watch.why_not == "a folder cannot be watched: Permission denied"
    begin(watch)
    assert not watch.trusted
    assert watch.drain() is None


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("1 1 0:1 / / rw - ext4 x rw\n", ""),
        ("1 1 0:1 / / rw - ext4 x rw\n2 1 0:2 / {above} rw - nfs4 x rw\n", "a file system of the kind nfs4"),
        ("1 1 0:1 / / rw - ext4 x rw\n2 1 0:2 / {root}/d rw - tmpfs x rw\n", "something is mounted at {root}/d"),
        ("2 1 0:2 / {root} rw - fuse.sshfs x rw\n", "a file system of the kind fuse.sshfs"),
        ("nonsense\n", "what is mounted where cannot be told"),
    ],
)
def test_where_others_may_change_files_unseen_there_is_no_watch(root: Path, lines: str, why: str) -> None:
    mounts = root.parent / "mounts"
    mounts.write_text(lines.format(root=root, above=root.parent))
    watch = Watch(root, mounts)
    assert watch.why_not == why.format(root=root)
    begin(watch)
    assert watch.trusted == (not why)
    watch.close()
    assert Watch(root, root.parent / "no such file").why_not == "what is mounted where cannot be told"


async def watched(root: Path) -> Capture:
    capture = Capture(Store(root.parent / "state" / "ledger", root))
    await capture.start()
    assert capture.watching
    return capture


async def changed(capture: Capture) -> set[str]:
    return {delta.path for delta in (await capture.before(None)).outside}


async def test_folders_that_come_to_be_are_looked_at_with_all_that_is_in_them_and_watched(root: Path) -> None:
    capture = await watched(root)
    (root / "new" / "er").mkdir(parents=True)
    (root / "new" / "er" / "x").write_text("x")
    assert await changed(capture) == {"new/er/x"}
    (root / "new" / "er" / "x").write_text("y")
    assert await changed(capture) == {"new/er/x"}
    shutil.rmtree(root / "new")
    (root / "new" / "er").mkdir(parents=True)  # perhaps with the inodes of those that were
    (root / "new" / "er" / "z").write_text("z")
    assert await changed(capture) == {"new/er/x", "new/er/z"}
    (root / "new" / "er" / "z").write_text("more")
    assert await changed(capture) == {"new/er/z"}
    assert capture.watching
    capture.close()


async def test_folders_that_change_places_are_told_with_all_that_is_in_them(root: Path) -> None:
    (root / "f" / "e").mkdir(parents=True)
    (root / "d" / "e" / "x").write_text("d")
    (root / "f" / "e" / "x").write_text("f")
    capture = await watched(root)
    (root / "d").rename(root / "t")
    (root / "f").rename(root / "d")
    (root / "t").rename(root / "f")
    assert await changed(capture) == {"d/e/x", "f/e/x", "d/b", "f/b"}
    (root / "d" / "e" / "x").write_text("in d")
    (root / "f" / "e" / "x").write_text("in f")
    assert await changed(capture) == {"d/e/x", "f/e/x"}
    (root / "f" / "e").rename(root / "d" / "g")
    assert await changed(capture) == {"f/e/x", "d/g/x"}
    (root / "d" / "g" / "x").write_text("in g")
    assert await changed(capture) == {"d/g/x"}
    assert capture.watching
    capture.close()


async def test_a_file_that_is_changed_under_a_name_elsewhere_is_told(root: Path) -> None:
    (root.parent / "other").hardlink_to(root / "d" / "b")
    capture = await watched(root)
    (root.parent / "other").write_text("changed")
    assert await changed(capture) == {"d/b"}
    assert capture.watching
    capture.close()


async def test_what_is_lost_in_an_overflow_is_found_by_a_full_look(root: Path) -> None:
    capture = await watched(root)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for _ in range(most // 2 + 2):
        os.utime(root / "a")
        os.utime(root / "d" / "b")
    (root / "d" / "e" / "x").write_text("lost")
    assert await changed(capture) == {"d/e/x"}
    assert capture.watching
    capture.close()


async def test_another_session_is_seen_like_anybody(root: Path) -> None:
    capture, other = await watched(root), await watched(root)
    before = await other.before([root / "a"])
    (root / "a").write_text("the other's")
    await other.after(before)
    assert await changed(capture) == {"a"}
    assert await changed(other) == set()
    capture.close()
    other.close()


async def test_what_git_ignores_in_great_number_is_not_watched(tmp_path: Path, root: Path) -> None:
    repository(tmp_path / "repo")
    shutil.copytree(tmp_path / "repo" / ".git", root / ".git")
    (root / "node_modules" / "x").mkdir(parents=True)
    capture = await watched(root)
    (root / "node_modules" / "x" / "y").write_text("x")
    (root / ".git" / "objects" / "x").write_text("x")
    before = await capture.before(None)
    assert before.outside == ()
    assert capture.coverage() == {"node_modules/": "an ignored folder"}
    capture.close()
    assert not capture.watching
    (root / "a").write_text("after")
    assert await changed(capture) == {"a"}
    capture.close()
