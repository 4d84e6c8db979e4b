"""Tracing a line to the action that wrote it."""

from agent.ledger.action import Action
from agent.ledger.why import Origin, origin
from tests.test_undo import World, world


async def trace(one: World, path: str, line: int) -> Origin:
    actions = [link.action for link in one.chain.links()]
    return await origin(actions, one.blobs, path, line, one.tree.look(path))


async def author(one: World, path: str, line: int) -> str:
    found = await trace(one, path, line)
    return found.action.id if found.action else "newer" if found.newer else "older"


def lines(*texts: str) -> str:
    return "".join(f"{text}\n" for text in texts)


async def test_each_line_is_traced_to_the_action_that_wrote_it() -> None:
    with world() as one:
        one.change(("write", "a", lines("old", "old too")))
        one.act(("write", "a", lines("old", "first", "old too")))
        one.act(("write", "a", lines("second", "old", "first", "old too", "also second")))
        assert [await author(one, "a", line) for line in range(1, 6)] == ["a2", "older", "a1", "older", "a2"]
        (one.root / "a").write_text(lines("person", "second", "old"))
        assert [await author(one, "a", line) for line in range(1, 4)] == ["newer", "a2", "older"]


async def test_a_line_keeps_its_author_when_its_file_is_renamed() -> None:
    with world() as one:
        one.act(("write", "a", lines("first")))
        before, folders = one.files(), one.folders()
        (one.root / "a").rename(one.root / "b")
        one.recorded(before, folders)
        assert await author(one, "b", 1) == "a1"


async def test_what_an_undo_brings_back_was_written_when_it_was_written() -> None:
    with world() as one:
        one.act(("write", "a", lines("first", "and more")))
        removed = one.act(("write", "a", lines("and more")))
        await one.take_back(removed)
        assert await author(one, "a", 1) == "a1"


async def test_a_merged_undo_is_the_author_of_nothing_it_kept() -> None:
    with world() as one:
        one.change(("write", "a", lines(*"abcdefghij")))
        wrote = one.act(("write", "a", lines("first", *"abcdefghij")))
        one.act(("write", "a", lines("first", *"abcdefghij", "last")))
        await one.take_back(wrote)
        assert (one.root / "a").read_text() == lines(*"abcdefghij", "last")
        assert await author(one, "a", 11) == "a2"


async def test_a_chain_without_the_file_knows_no_author() -> None:
    with world() as one:
        one.chain.append(Action("a1", "call", "", "s"))
        one.change(("write", "a", "x"))
        assert await author(one, "a", 1) == "older"
