"""The chain of actions and the bytes that they hold: what was written is what is read, and anything else is noticed."""

import os
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import JumarError
from agent.ledger.action import Action, Delta, Held, Repository, plain, read
from agent.ledger.blobs import Blobs
from agent.ledger.chain import Chain
from agent.workspace.git import Git

HELD = st.none() | st.builds(Held, st.text("0123456789abcdef", min_size=40, max_size=40), st.integers(0, 0o177777))
NAMES = st.binary(min_size=1, max_size=8).map(os.fsdecode)
WORDS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\udc80\udcff"), max_size=8)
DELTAS = st.builds(Delta, NAMES, HELD, HELD, st.integers(0, 9), st.integers(0, 9), WORDS)
REPOSITORIES = st.builds(
    Repository, WORDS, st.dictionaries(WORDS, WORDS, max_size=2), st.lists(WORDS, max_size=2).map(tuple), WORDS
)
ACTIONS = st.builds(
    Action,
    id=WORDS,
    kind=st.sampled_from(["call", "outside", "undo"]),
    ts=WORDS,
    session=WORDS,
    title=WORDS,
    deltas=st.lists(DELTAS, max_size=3).map(tuple),
    left_out=st.dictionaries(NAMES, WORDS, max_size=2),
    repository=st.none() | st.tuples(REPOSITORIES, REPOSITORIES),
    undoes=st.lists(WORDS, max_size=2).map(tuple),
)


def action(number: int) -> Action:
    delta = Delta("a.py", Held("0" * 40, 0o100644), Held("1" * 40, 0o100755), 1, 2)
    return Action(f"a{number}", "call", "2026-01-01T00:00:00Z", "s", turn=1, title="edit a.py", deltas=(delta,))


@given(ACTIONS)
def test_an_action_is_read_as_it_was_written(one: Action) -> None:
    assert read(plain(one)) == one


@given(st.lists(ACTIONS, max_size=4))
def test_a_chain_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, actions: list[Action]) -> None:
    path = tmp_path_factory.mktemp("chain") / "actions"
    chain = Chain(path)
    for one in actions:
        chain.append(one)
    assert [link.action for link in Chain(path).links()] == actions
    assert Chain(path).links() == chain.links()


def test_a_byte_that_is_changed_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "actions"
    chain = Chain(path)
    for number in range(2):
        chain.append(action(number))
    whole = path.read_bytes()
    for position in range(len(whole)):
        for changed in {whole[position] ^ 1, (0x0A, 0x0D)[position % 2]} - {whole[position]}:
            path.write_bytes(whole[:position] + bytes([changed]) + whole[position + 1 :])
            with pytest.raises(JumarError, match="is not what was written"):
                Chain(path).append(action(3))  # it would cut off all that is no record


def test_a_record_that_is_left_out_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "actions"
    chain = Chain(path)
    for number in range(3):
        chain.append(action(number))
    first, _, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + last)
    with pytest.raises(JumarError, match="record 2"):
        Chain(path).links()


def test_a_record_that_a_kill_tore_is_none_and_the_next_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "actions"
    chain = Chain(path)
    chain.append(action(0))
    whole = path.stat().st_size
    chain.append(action(1))
    torn = path.read_bytes()
    for size in (*range(whole, len(torn), 7), len(torn) - 2, len(torn) - 1):
        path.write_bytes(torn[:size])
        again = Chain(path)
        assert [link.action.id for link in again.links()] == ["a0"]
        again.append(action(2))
        assert [link.action.id for link in Chain(path).links()] == ["a0", "a2"]


def test_two_sessions_see_what_the_other_appended(tmp_path: Path) -> None:
    one, other = Chain(tmp_path / "actions"), Chain(tmp_path / "actions")
    one.append(action(0))
    other.append(action(1))
    one.append(action(2))
    assert [link.action.id for link in other.links()] == ["a0", "a1", "a2"]


@pytest.fixture(params=["sha1", "sha256"])
def blobs(tmp_path: Path, request: pytest.FixtureRequest) -> Blobs:
    store, root = tmp_path / "store", tmp_path / "root"
    root.mkdir()
    subprocess.run(["git", "init", "-q", "--bare", f"--object-format={request.param}", store], check=True)
    return Blobs(store, Git(root, store), request.param)


def git(folder: Path, *arguments: str, stdin: str = "") -> bytes:
    command = ["git", "--git-dir", str(folder / "store"), *arguments]
    return subprocess.run(command, check=True, input=stdin.encode(), capture_output=True).stdout


async def test_bytes_are_kept_as_git_keeps_them(blobs: Blobs, tmp_path: Path) -> None:
    contents = [b"", b"a\r\n", bytes(range(256)) * 500]
    names = [blobs.put(content) for content in contents]
    assert await blobs.get(names) == dict(zip(names, contents, strict=True))
    for name, content in zip(names, contents, strict=True):
        assert git(tmp_path, "cat-file", "blob", name) == content
    git(tmp_path, "pack-objects", "-q", f"{tmp_path}/store/objects/pack/pack", stdin="\n".join(names))
    git(tmp_path, "prune-packed")
    assert await blobs.get(names) == dict(zip(names, contents, strict=True))
    git(tmp_path, "fsck", "--strict")


async def test_bytes_that_are_lost_or_altered_are_never_given_out(blobs: Blobs, tmp_path: Path) -> None:
    name = blobs.put(b"precious")
    place = tmp_path / "store" / "objects" / name[:2] / name[2:]
    place.chmod(0o600)
    for content in (b"", b"x", zlib.compress(b"blob 8\0precioux"), zlib.compress(b"blob 9\0precious")):
        place.write_bytes(content)
        with pytest.raises(JumarError, match="lost or damaged"):
            await blobs.get([name])
    place.unlink()
    with pytest.raises(JumarError):
        await blobs.get([name])
