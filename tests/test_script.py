"""Owns the tests of reading commands: what each part is, and that nothing is read otherwise than bash reads it."""

from agent.command.script import read


def test_each_command_of_a_compound_is_a_part() -> None:
    script = read("ls -l && id; cat f | sh\nmake")
    assert [part.argv for part in script.parts] == [("ls", "-l"), ("id",), ("cat", "f"), ("sh",), ("make",)]
    assert script.plain
    assert not script.fault
