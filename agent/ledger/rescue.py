"""Owns rescue: bringing back what the person's repository pointed to, never a working file, and nothing half.

Refs that moved or vanished come back where they still are what the action left; what it made stays. Stashes that were dropped
come back, as the newest. HEAD and the index come back where nobody changed them since.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import JumarError
from agent.ledger.action import Repository
from agent.ledger.bare import Bare
from agent.ledger.blobs import Blobs
from agent.ledger.repository import ENTRIES, STASH, TREE, Place, Repositories, is_oid, place_of, read_small
from agent.workspace.git import Git

_UNDER_WAY = {"rebase-merge": "rebase", "rebase-apply": "rebase", "MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick"}
_WHO = {
    "GIT_COMMITTER_NAME": "jumar",
    "GIT_COMMITTER_EMAIL": "jumar@localhost",
    "GIT_AUTHOR_NAME": "jumar",
    "GIT_AUTHOR_EMAIL": "jumar@localhost",
}
_SHOWN = 12  # characters of a commit


@dataclass(frozen=True, slots=True)
class Rescue:
    """What would be done to the person's repository; `lines` say it to them."""

    before: Repository
    now: Repository
    refs: tuple[tuple[str, str, str], ...] = ()  # name, what it is now (empty: not there), what it will be
    head: str = ""  # what HEAD will be; empty where it stays
    stashes: tuple[str, ...] = ()  # that come back, the oldest first
    index: str = ""  # what stands for the index to be; empty where it stays
    lines: tuple[str, ...] = ()


def plan(before: Repository, now: Repository) -> Rescue:
    """Say what bringing back `before` would do to a repository that is as `now`."""
    refs = []
    for name, value in before.refs.items():
        moved = name in now.refs
        if name == STASH or now.refs.get(name) == value or (moved and name.startswith("refs/remotes/")) or not is_oid(value):
            continue
        refs.append((_free(name, now.refs), now.refs.get(name, ""), value))
    lost = list(before.stashes)
    for stash in now.stashes:
        if stash in lost:
            lost.remove(stash)
    stashes = tuple(reversed(lost))
    head = before.head if before.head != now.head else ""
    index = before.index if before.index != now.index else ""
    lines = [f"{name}: {_shown(old)} -> {_shown(new)}" for name, old, new in refs]
    if head:
        lines.append(f"HEAD: {_shown(now.head)} -> {_shown(head)}")
    lines += [f"stash: {_shown(stash)} comes back, as the newest" for stash in stashes]
    if index:
        lines.append("index: what was staged is staged again")
    return Rescue(before, now, tuple(refs), head, stashes, index, tuple(lines))


def _free(name: str, refs: Iterable[str]) -> str:
    """Return the name under which a ref can come back: another one where a newer ref stands in its way."""
    if any(name.startswith(f"{other}/") or other.startswith(f"{name}/") for other in refs):
        kind, _, rest = name.removeprefix("refs/").partition("/")
        return f"refs/{kind}/{rest.replace('/', '-')}-rescued"
    return name


async def restore(bare: Bare, rescue: Rescue) -> tuple[str, ...]:
    """Do it; return what is still to be done by the person. Raises JumarError, with no ref changed, where it cannot be.

    Whoever calls it holds the store's lock, and brings files back by undoing the action that changed them.
    """
    place = place_of(bare.theirs.root)
    if place is None:
        raise JumarError(f"there is no repository at {bare.theirs.root} that could be brought back")
    wanted = [new for _, _, new in rescue.refs] + [stash.split(" ", 1)[0] for stash in rescue.stashes]
    wanted += [rescue.head] if is_oid(rescue.head) else []
    content = b""
    if rescue.index:
        content = (await Blobs(bare.folder, bare.git, bare.kind).get([rescue.index]))[rescue.index]
        wanted += [content.removeprefix(TREE).decode("ascii")] if content.startswith(TREE) else []
    with _index_held(place) as lock:
        if await Repositories(bare).read() != rescue.now:
            raise JumarError("the repository has changed meanwhile; look at what would be done once more")
        await _give_back(bare, wanted)
        await _change_refs(bare.theirs, rescue)
        await _change_stashes(bare.theirs, rescue)
        if rescue.index:
            await _write_index(bare.theirs, content, lock)
            lock.rename(place.own / "index")
    return tuple(
        f"a {kind} is under way; `git {kind} --{'quit' if kind != 'merge' else 'abort'}` ends it"
        for kind in dict.fromkeys(kind for name, kind in _UNDER_WAY.items() if (place.own / name).exists())
    )


async def _change_refs(git: Git, rescue: Rescue) -> None:
    """Change refs, and HEAD, all together or none: each only where it is what was expected."""
    words = []
    for name, old, new in rescue.refs:
        words.append(f"update {name}\0{new}\0{old}\0" if old else f"create {name}\0{new}\0")
    if is_oid(rescue.head):
        words.append(f"option no-deref\0update HEAD\0{rescue.head}\0\0")
    if words:
        stdin = os.fsencode("".join(("start\0", *words, "prepare\0", "commit\0")))
        await git.run("update-ref", "-z", "-m", "jumar rescue", "--stdin", stdin=stdin, environment=_WHO)
    if rescue.head.startswith("ref: "):
        await git.run("symbolic-ref", "-m", "jumar rescue", "HEAD", rescue.head.removeprefix("ref: "), environment=_WHO)


async def _change_stashes(git: Git, rescue: Rescue) -> None:
    commits = [stash.partition(" ") for stash in rescue.stashes]
    if commits and rescue.now.refs.get(STASH) == commits[0][0]:  # the list of them was expired: git would not list it again
        await git.run("update-ref", "-d", STASH, commits[0][0], environment=_WHO)
    for commit, _, message in commits:
        await git.run("stash", "store", "-m", message or "brought back", "--", commit, environment=_WHO)


@contextmanager
def _index_held(place: Place) -> Iterator[Path]:
    """Hold the index as git does, so that no git changes it meanwhile."""
    lock = place.own / "index.lock"
    try:
        os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666))
    except FileExistsError:
        raise JumarError(f"another git holds the index, or was killed: {lock}") from None
    except OSError as error:
        raise JumarError(f"the index cannot be written: {error.strerror}: {lock}") from error
    try:
        yield lock
    finally:
        with suppress(FileNotFoundError):
            lock.unlink()


async def _write_index(git: Git, content: bytes, lock: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="jumar-index-") as folder:
        made = Path(folder) / "index"
        where = {"GIT_INDEX_FILE": str(made)}
        if content.startswith(TREE):
            await git.run("read-tree", content.removeprefix(TREE).decode("ascii"), environment=where)
        else:
            await git.run("update-index", "-z", "--index-info", stdin=content.removeprefix(ENTRIES), environment=where)
        lock.write_bytes(read_small(made))


async def _give_back(bare: Bare, wanted: Iterable[str]) -> None:
    """Have the person's repository hold these objects, and what they need."""
    lost = await _lost(bare, wanted)
    if not lost:
        return
    names = "".join(f"{name}\n" for name in lost)
    listed = (await bare.git.run("rev-list", "--objects", "--no-object-names", "--stdin", stdin=names.encode("ascii"))).out
    missing = "".join(f"{name}\n" for name in await _lost(bare, listed.decode("ascii").split()))
    pack = (await bare.git.run("pack-objects", "-q", "--stdout", stdin=missing.encode("ascii"))).out
    await bare.theirs.run("unpack-objects", "-q", stdin=pack)


async def _lost(bare: Bare, names: Iterable[str]) -> list[str]:
    """Return those of the objects that the person's repository has not."""
    asked = "".join(f"{name}\n" for name in names).encode("ascii")
    told = (await bare.theirs.run("cat-file", "--batch-check", stdin=asked)).out.decode("ascii", "replace")
    return [line.split(" ")[0] for line in told.splitlines() if line.endswith(" missing")]


def _shown(value: str) -> str:
    first, _, rest = value.partition(" ")
    if is_oid(first):
        return f"{first[:_SHOWN]} {rest}".rstrip()
    return value.removeprefix("ref: refs/heads/").removeprefix("ref: ") or "not there"
