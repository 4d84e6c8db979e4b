"""Single hunks of a change are made, or taken back, to the byte."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.code.diff import diff
from agent.code.hunks import count, made
from agent.ledger import partly
from agent.ledger.bare import Bare
from agent.ledger.ledger import Ledger
from agent.ledger.partly import Part
from agent.workspace.tree import Thing

texts = st.lists(st.sampled_from([b"a", b"b\n", b"\r\n", b"\xff\n", b"c\r\n", b"\n", b"d\n"] * 3), max_size=40).map(b"".join)
LINES = b"".join(b"%d\n" % number for number in range(1, 31))
TEXT = LINES.replace(b"\n2\n", b"\n2!\n").replace(b"\n25\n", b"\n25!\n")


@given(texts, texts)
def test_all_hunks_make_the_change_and_none_makes_nothing(before: bytes, after: bytes) -> None:
    number = count(before, after)
    assert made(before, after, range(number)) == after
    assert made(before, after, ()) == before
    shown = diff("", before.decode("utf-8", "surrogateescape"), after.decode("utf-8", "surrogateescape"))
    assert sum(line.startswith("@@") for line in shown.diff.split("\n")) == number


def test_a_hunk_alone_leaves_every_other_byte() -> None:
    before, after = Thing(LINES + b"\xff", 0o100644), Thing(TEXT + b"\xff", 0o100755)
    assert Part("a", before, after, (1,)).without() == Thing(LINES.replace(b"\n2\n", b"\n2!\n") + b"\xff", 0o100755)
    assert Part("a", before, after, (1,)).alone() == Thing(LINES.replace(b"\n25\n", b"\n25!\n") + b"\xff", 0o100644)


async def test_what_was_written_beside_a_hunk_since_stays(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    ledger = Ledger(Bare(tmp_path / "ledger", root), root, lambda: "")
    async with ledger.bare.held():
        pass
    (root / "a").write_bytes(TEXT.replace(b"\n12\n", b"\nmine\n"))
    (root / "a").chmod(0o644)
    part = Part("a", Thing(LINES, 0o100644), Thing(TEXT, 0o100644), (0,))
    planned = await partly.plan(ledger, [part])
    partly.carry_out(ledger, planned)
    assert (root / "a").read_bytes() == TEXT.replace(b"\n12\n", b"\nmine\n").replace(b"\n2!\n", b"\n2\n")
    (root / "a").write_bytes(TEXT.replace(b"\n25!\n", b"\nmine\n"))
    part = Part("a", Thing(LINES, 0o100644), Thing(TEXT, 0o100644), (1,))
    [conflict] = (await partly.plan(ledger, [part])).conflicts
    assert "mine" in conflict.lines
    [step] = (await partly.plan(ledger, [part], "theirs")).steps
    assert step.then == Thing(TEXT.replace(b"\n25!\n", b"\n25\n"), 0o100644)
