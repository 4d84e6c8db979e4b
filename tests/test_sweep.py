"""A look without a watch asks git which files changed, and reads folders again only where names came or went."""

import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.ledger.action import Held
from agent.ledger.sight import Seen, Sight
from agent.ledger.store import Store
from agent.ledger.sweep import Sweep
from agent.ledger.watch import keeps_times

pytestmark = pytest.mark.skipif(not keeps_times(Path(__file__).parent), reason="folders' times are not trusted here")
_LATER = 3_000_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    for folder in ("a/deep/er", "b", "empty"):
        (root / folder).mkdir(parents=True)
    for path in ("top.txt", "a/one.txt", "a/two.sh", "a/deep/er/three.txt", "b/four.txt", "b/.env", "b/o\ndd \xe9"):
        (root / path).write_text(f"{path}\n")
        os.utime(root / path, (1_000_000_000, 1_000_000_000))
    (root / "a" / "link").symlink_to("one.txt")
    os.utime(root / "a" / "link", (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    (root / ".gitignore").write_text(".env\n")
    os.utime(root / ".gitignore", (1_000_000_000, 1_000_000_000))
    return root


def later() -> int:
    return time.time_ns() + _LATER


@asynccontextmanager
async def swept(root: Path, state: Path) -> AsyncIterator[tuple[Sight, Sweep]]:
    """Look until every folder is known to be as it was, and write the index of that."""
    store = Store(state, root)
    sight = Sight(store, None, 60, later)
    await sight.look()
    while any(not folder.mark for folder in sight.table.folders.values()):
        await sight.look()  # their times are too near to the look's
    sweep = Sweep(store.bare, root, sight.table, later)
    await sweep.renew(0)
    yield sight, sweep
    sweep.close()
    sight.close()


async def test_where_nothing_changed_no_folder_is_read_again(root: Path, tmp_path: Path) -> None:
    async with swept(root, tmp_path / "state") as (_, sweep):
        assert await sweep.folders() == {b""}  # the index is not that of another: one name there is nowhere


def grow(root: Path) -> None:
    with (root / "a" / "one.txt").open("a") as opened:
        opened.write("more\n")


def same_size(root: Path) -> None:
    (root / "a" / "one.txt").write_text("a/ONE.txt\n")


def replaced_with_its_times(root: Path) -> None:
    new = root / "new"
    new.write_text("a/ONE.txt\n")
    os.utime(new, (1_000_000_000, 1_000_000_000))
    new.rename(root / "a" / "one.txt")


def other_mode(root: Path) -> None:
    (root / "a" / "two.sh").chmod(0o755)


def removed(root: Path) -> None:
    (root / "a" / "one.txt").unlink()


def created(root: Path) -> None:
    (root / "a" / "new.txt").write_text("new\n")


def link_for_file(root: Path) -> None:
    (root / "a" / "one.txt").unlink()
    (root / "a" / "one.txt").symlink_to("two.sh")


def other_link(root: Path) -> None:
    (root / "a" / "link").unlink()
    (root / "a" / "link").symlink_to("two.txt")


def folder_for_file(root: Path) -> None:
    (root / "a" / "one.txt").unlink()
    (root / "a" / "one.txt").mkdir()


def pipe_for_file(root: Path) -> None:
    (root / "a" / "one.txt").unlink()
    os.mkfifo(root / "a" / "one.txt")


@pytest.mark.parametrize(
    "change",
    [
        *(grow, same_size, replaced_with_its_times, other_mode, removed),
        *(created, link_for_file, other_link, folder_for_file, pipe_for_file),
    ],
)
async def test_a_change_is_told_by_its_folder(change: object, root: Path, tmp_path: Path) -> None:
    async with swept(root, tmp_path / "state") as (_, sweep):
        assert callable(change)
        change(root)
        assert await sweep.folders() == {b"", b"a"}


async def test_an_ignored_file_that_is_held_is_swept_too(root: Path, tmp_path: Path) -> None:
    async with swept(root, tmp_path / "state") as (sight, sweep):
        (root / "b" / ".env").write_text("KEY=other\n")
        assert await sweep.folders() == {b"", b"b"}
        assert isinstance(sight.table.known(b"b/.env"), Held)


async def test_a_folder_that_was_put_in_the_place_of_another_is_read(root: Path, tmp_path: Path) -> None:
    async with swept(root, tmp_path / "state") as (sight, _):
        (root / "a" / "deep").rename(root / "away")
        (root / "b").rename(root / "a" / "deep")
        (root / "away").rename(root / "b")
        seen = await sight.look(full=True)
        assert seen.changes.keys() == {
            *(b"a/deep/er/three.txt", b"a/deep/four.txt", b"a/deep/.env", "a/deep/o\ndd \xe9".encode()),
            *(b"b/four.txt", b"b/.env", "b/o\ndd \xe9".encode(), b"b/er/three.txt"),
        }


async def test_what_lies_beyond_a_link_that_took_the_place_of_a_folder_is_gone(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "four.txt").write_text("not ours\n")
    async with swept(root, tmp_path / "state") as (sight, _):
        (root / "b").rename(tmp_path / "b")
        (root / "b").symlink_to(elsewhere)
        seen = await sight.look()
        assert {path: after is None for path, (_, after) in seen.changes.items()} == {
            b"b": False,
            b"b/four.txt": True,
            b"b/.env": True,
            "b/o\ndd \xe9".encode(): True,
        }


async def test_where_the_index_cannot_be_read_all_is_walked(root: Path, tmp_path: Path) -> None:
    async with swept(root, tmp_path / "state") as (sight, sweep):
        (next((tmp_path / "state").iterdir()) / "config").write_text("[core\n")
        assert await sweep.folders() is None
        grow(root)
        assert (await sight.look()).changes.keys() == {b"a/one.txt"}


@pytest.mark.parametrize("seed", range(4))
async def test_looks_with_a_sweep_find_what_is_there_whatever_happens(seed: int, root: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    async with swept(root, tmp_path / "state") as (sight, _):
        known = walked(root)
        for _ in range(12):
            for _ in range(chance.randrange(3)):
                anything(root, chance)
            now = walked(root)
            seen: Seen = await sight.look()
            assert seen.changes.keys() == {path for path in known.keys() | now.keys() if known.get(path) != now.get(path)}
            known = now


def walked(root: Path) -> dict[bytes, tuple[int, bytes]]:
    """Return mode and bytes of every file and link, as a plain walk finds them."""
    found = {}
    for path in root.rglob("*"):
        if path.is_symlink() or path.is_file():
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            found[os.fsencode(path.relative_to(root))] = path.lstat().st_mode, content
    return found


def anything(root: Path, chance: random.Random) -> None:
    """Do one thing to something."""
    files = sorted(path for path in root.rglob("*") if path.is_symlink() or path.is_file())
    folders = sorted(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())
    files = [path for path in files if path.name != ".gitignore"]
    match chance.randrange(6):
        case 0:
            chance.choice([root, *folders]).joinpath(f"n{chance.randrange(9)}").mkdir(exist_ok=True)
        case 1 if files:
            chance.choice(files).rename(chance.choice([root, *folders]) / f"f{chance.randrange(10**9)}")
        case 2 if files:
            chance.choice(files).unlink()
        case 3 if folders:
            folder = chance.choice(folders)
            folder.rename(root / f"d{chance.randrange(10**9)}")
        case 4 if files:
            file = chance.choice(files)
            file.unlink()
            file.symlink_to("nowhere")
        case _:
            (chance.choice([root, *folders]) / f"f{chance.randrange(10**9)}").write_bytes(chance.randbytes(8))
