"""Proving that the ledger is whole, and letting go of what is old."""

import hashlib
import os
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.errors import JumarError
from agent.ledger.audit import Audit, audit
from agent.ledger.retention import Retention
from agent.workspace.git import Git
from tests.test_undo import World, world

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OLD = NOW.timestamp() - 10 * 86400


def text(number: int) -> str:
    """Return lines that cannot be made much smaller."""
    return "".join(f"{hashlib.sha256(f'{number} {line}'.encode()).hexdigest()}\n" for line in range(300))


async def looked_at(one: World, *seals: str) -> Audit:
    return await audit(one.chain, one.blobs, seals, Retention(one.store, Git(one.root, one.store)).kept_from)


def aged(one: World, *days: int) -> None:
    """Make actions that many days before now, each of which writes, in a store that was not touched for long."""
    for number in range(len(days)):
        one.act(("write", "a", text(number)))
    links = one.chain.links()
    one.chain.path.unlink()
    for link, age in zip(links, days, strict=True):
        one.chain.append(replace(link.action, ts=(NOW - timedelta(days=age)).isoformat()))
    for file in (one.store / "objects").rglob("*"):
        if file.is_file():
            os.utime(file, (OLD, OLD))


async def test_a_ledger_that_nobody_touched_is_whole() -> None:
    with world() as one:
        one.act(("write", "a", "x"))
        last = one.act(("write", "a", "y"))
        seals = [link.seal for link in one.chain.links()]
        assert await looked_at(one, *seals) == Audit(2, 2, seals[-1])
        assert last.id == "a2"


async def test_any_byte_that_is_altered_fails_the_audit() -> None:
    with world() as one:
        for text in ("x", "y"):
            one.act(("write", "a", text))
        seals = [link.seal for link in one.chain.links()]
        whole = one.chain.path.read_bytes()
        for position in range(len(whole)):
            one.chain.path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
            assert (await looked_at(one, *seals)).faults, position
        one.chain.path.write_bytes(whole.splitlines(keepends=True)[0])
        assert (await looked_at(one, *seals)).faults == (
            f"1 records that sessions speak of are not there, the first {seals[1][:12]}",
        )


async def test_a_mark_of_what_was_pruned_that_is_altered_fails_the_audit() -> None:
    with world() as one:
        aged(one, 40, 35, 20)
        git = Git(one.root, one.store)
        await Retention(one.store, git).prune(one.chain.links(), NOW, 30, 1 << 30, lambda _: None)
        mark = one.store / "pruned"
        whole = mark.read_bytes()
        for position, byte in enumerate(whole):
            for changed in {byte ^ 1, byte ^ 3, ord("3")} - {byte}:
                mark.write_bytes(whole[:position] + bytes([changed]) + whole[position + 1 :])
                assert (await looked_at(one)).faults[0].startswith("what says which records were pruned is not what was written")
        mark.write_bytes(whole)
        assert (await looked_at(one)).faults == ()


async def test_a_lost_object_fails_the_audit() -> None:
    with world() as one:
        one.act(("write", "a", "x"))
        name = one.blobs.name(b"x")
        (one.store / "objects" / name[:2] / name[2:]).unlink()
        assert (await looked_at(one)).faults == (f"the object {name[:12]} is lost or damaged",)


async def test_old_records_let_their_bytes_go_and_the_others_stay_undoable() -> None:
    with world() as one:
        aged(one, 40, 35, 20, 1)
        retention = Retention(one.store, Git(one.root, one.store))
        told: list[str] = []
        before = retention.stats(one.chain.links())
        stats = await retention.prune(one.chain.links(), NOW, 30, 1 << 30, told.append)
        assert (stats.records, stats.kept) == (4, 2)
        assert stats.bytes < before.bytes
        assert told[0] == "2 of 4 records are older than 30 days"
        assert (await looked_at(one)).faults == ()
        links = one.chain.links()
        await one.take_back(links[3].action)
        assert (one.root / "a").read_text() == text(2)
        with pytest.raises(JumarError, match="lost or damaged"):
            await one.undo.plan([links[0].action])


async def test_a_store_that_is_too_large_lets_the_oldest_go_first() -> None:
    with world() as one:
        aged(one, 9, 8, 7, 6, 5)
        retention = Retention(one.store, Git(one.root, one.store))
        stats = await retention.prune(one.chain.links(), NOW, 30, 0, lambda _: None)
        assert stats.kept == 0
        assert (await looked_at(one)).faults == ()


async def test_what_a_running_session_may_need_stays() -> None:
    with world() as one:
        aged(one, 40)
        content = one.blobs.put(b"of a session that runs")
        os.utime(one.store / "objects" / content[:2] / content[2:], (time.time(), time.time()))
        await Retention(one.store, Git(one.root, one.store)).prune(one.chain.links(), NOW, 30, 1 << 30, lambda _: None)
        assert await one.blobs.get([content])


async def test_once_a_day_a_store_is_looked_at_for_what_is_old() -> None:
    with world() as one:
        aged(one, 40, 1)
        retention = Retention(one.store, Git(one.root, one.store))
        links = one.chain.links()
        assert not retention.is_due(links, NOW)  # a store that was just made
        os.utime(one.store / "tidied", (OLD, OLD))
        assert retention.is_due(links, NOW)
        assert not retention.is_due(links, datetime.now(UTC))  # it was looked at a moment ago
        await retention.prune(links, NOW, 30, 1 << 30, lambda _: None)
        os.utime(one.store / "tidied", (OLD, OLD))
        assert not retention.is_due(links, NOW)


async def test_nothing_is_removed_where_something_that_is_needed_is_missing() -> None:
    with world() as one:
        aged(one, 40, 1)
        name = one.chain.links()[1].action.deltas[0].after
        assert name is not None
        (one.store / "objects" / name.object[:2] / name.object[2:]).unlink()
        before = sorted((one.store / "objects").rglob("*"))
        with pytest.raises(JumarError, match="pack-objects"):
            await Retention(one.store, Git(one.root, one.store)).prune(one.chain.links(), NOW, 30, 1 << 30, lambda _: None)
        assert [file for file in before if not file.exists()] == []


def test_a_fresh_store_has_let_nothing_go() -> None:
    with world() as one:
        assert Retention(one.store, Git(one.root, one.store)).kept_from([]) == 0
        subprocess.run(["git", "--git-dir", one.store, "fsck"], check=True)
