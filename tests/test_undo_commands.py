"""The commands on the ledger, as a person and a program use them."""

import asyncio
import fcntl
import json
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ScriptedServer, answer, failure
from tests.runs import MENDING, Person, valid


async def mended(person: Person, server: ScriptedServer) -> dict[str, Any]:
    """Let a model mend calc.py and add a file; return the run's result."""
    server.script.extend(
        [
            *MENDING[:1],
            answer(
                calls=[
                    ("edit", {"path": "calc.py", "old": "a - b", "new": "a + b"}),
                    ("write", {"path": "d/new.txt", "content": "new\n"}),
                    ("shell", {"command": "chmod 600 d/new.txt; rm test_calc.py"}),
                ]
            ),
            answer("Done."),
        ]
    )
    run = await person.trusted("-p", "mend it", "--mode", "yolo", "--output-format", "json")
    assert run.code == 0
    return run.result


def listing(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


async def test_the_result_names_the_ledgers_head_and_what_it_does_not_hold(person: Person, server: ScriptedServer) -> None:
    (person.root / "large").write_bytes(b"x" * (11 << 20))
    server.script.extend([answer(calls=[("shell", {"command": "echo x > small; echo x >> large"})]), answer("Done.")])
    run = await person.trusted("-p", "x", "--mode", "yolo", "--output-format", "json")
    assert run.result["not_captured"] == {"large": "too large"}
    assert json.loads((await person.run("show", "1", "--json")).out)["seal"] == run.result["ledger_head"]


async def test_actions_are_listed_shown_and_told_apart(person: Person, server: ScriptedServer) -> None:
    await mended(person, server)
    run = await person.run("actions")
    lines = run.out.splitlines()
    assert [line.split()[:3] for line in lines] == [["1", "✓", "edit"], ["2", "✓", "write"], ["3", "✓", "shell"]]
    assert re.search(r"edit calc\.py +\+1 -1", lines[0])
    nobody = await person.run("actions", "7")
    assert (nobody.out, nobody.err) == ("", "no session called 7 did anything here yet, as far as the ledger knows\n")
    rows = listing((await person.run("actions", "--json")).out)
    assert [(row["id"], row["tool"], row["status"], row["undoable"], row["turn"], row["step"]) for row in rows] == [
        ("1", "edit", "done", True, 1, 2),
        ("2", "write", "done", True, 1, 2),
        ("3", "shell", "done", True, 1, 2),
    ]
    assert rows[0]["files"] == [{"path": "calc.py", "kind": "modified", "added": 1, "removed": 1, "captured": True}]
    shown = (await person.run("show", "1")).out
    for words in ("prompt: mend it", "model: scripted", "allowed by: policy", "-    return a - b", "+    return a + b"):
        assert words in shown
    assert "mode 644 → 600" in (await person.run("diff", "3")).out
    together = json.loads((await person.run("diff", "1..3", "--json")).out)
    assert [(one["path"], one["kind"]) for one in together] == [
        ("calc.py", "modified"),
        ("d/new.txt", "modified"),
        ("test_calc.py", "deleted"),
    ]
    stat = (await person.run("diff", "1..3", "--stat")).out
    assert "deleted  test_calc.py" in stat


async def test_one_action_is_undone_and_brought_back(person: Person, server: ScriptedServer) -> None:
    await mended(person, server)
    before = (person.root / "test_calc.py").exists()
    dry = await person.run("undo", "3", "--dry-run")
    assert "recreated test_calc.py" in dry.out
    assert (person.root / "test_calc.py").exists() == before
    run = await person.run("undo", "3")
    assert run.code == 0
    assert (person.root / "test_calc.py").exists()
    assert "a + b" in (person.root / "calc.py").read_text()
    assert "↶" in (await person.run("actions")).out.splitlines()[2]
    again = await person.run("undo", "3")
    assert (again.code, again.err) == (2, "jumar: action 3 is undone already; jumar redo brings it back\n")
    assert (await person.run("redo")).code == 0
    assert not (person.root / "test_calc.py").exists()


@pytest.mark.parametrize("words", [["--turn", "1"], ["--last"], ["--session", "SESSION"], ["1", "--file", "calc.py"]])
async def test_what_is_undone_can_be_said_in_several_ways(person: Person, server: ScriptedServer, words: list[str]) -> None:
    session = (await mended(person, server))["session_id"]
    run = await person.run("undo", *[session if word == "SESSION" else word for word in words], "--json")
    told = json.loads(run.out)
    expected = {"--turn": ["3", "2", "1"], "--session": ["3", "2", "1"], "--last": ["3"], "1": ["1"]}[words[0]]
    assert (told["undoes"], told["changed"], told["conflicts"]) == (expected, True, [])


async def test_a_conflict_is_told_with_its_lines_and_changes_nothing(person: Person, server: ScriptedServer) -> None:
    await mended(person, server)
    file = person.root / "calc.py"
    file.write_text(file.read_text().replace("a + b", "a + b + 0"))
    run = await person.run("undo", "1")
    assert run.code == 1
    assert "calc.py: the same lines were changed since" in run.out
    assert "a + b + 0" in run.out
    assert "nothing was changed" in run.out
    assert "a + b + 0" in file.read_text()
    assert (await person.run("undo", "1", "--theirs")).code == 0
    assert "a - b" in file.read_text()


async def test_later_actions_in_the_way_are_listed_and_undone_together_on_request(person: Person, server: ScriptedServer) -> None:
    server.script.extend(
        [
            answer(calls=[("edit", {"path": "calc.py", "old": "a - b", "new": "a + b"})]),
            answer(calls=[("edit", {"path": "calc.py", "old": "a + b", "new": "b + a"})]),
            answer("Done."),
        ]
    )
    assert (await person.trusted("-p", "x", "--mode", "yolo")).code == 0
    run = await person.run("undo", "1")
    assert (run.code, "with them: jumar undo 1 2" in run.out) == (1, True)
    assert (await person.run("undo", "1", "--with-later")).code == 0
    assert "a - b" in (person.root / "calc.py").read_text()


async def test_a_rewind_goes_back_to_before_an_action(person: Person, server: ScriptedServer) -> None:
    before = {path: (person.root / path).read_text() for path in ("calc.py", "test_calc.py")}
    await mended(person, server)
    run = await person.run("rewind", "1")
    assert "rewind to before 1" in run.out
    assert {path: (person.root / path).read_text() for path in before} == before
    assert not (person.root / "d").exists()


async def test_a_line_is_traced_to_its_prompt(person: Person, server: ScriptedServer) -> None:
    await mended(person, server)
    run = await person.run("why", "calc.py:2")
    assert "prompt: mend it" in run.out
    assert "it is older than the ledger" in (await person.run("why", "calc.py:1")).out
    told = json.loads((await person.run("why", "calc.py:2", "--json")).out)
    assert (told["action"]["id"], told["text"]) == ("1", "    return a + b")
    for words in (["calc.py"], ["calc.py:0"], ["calc.py:99"], ["none.py:1"], ["../x:1"]):
        wrong = await person.run("why", *words)
        assert wrong.code == 2
        assert wrong.err.count("\n") == 1


async def test_the_ledger_is_proved_and_any_altered_byte_is_found(person: Person, server: ScriptedServer) -> None:
    await mended(person, server)
    assert (await person.run("ledger", "verify")).code == 0
    [chain] = person.home.rglob("actions")
    whole = chain.read_bytes()
    for position in (0, len(whole) // 2, len(whole) - 2):
        chain.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        run = await person.run("ledger", "verify")
        assert (run.code, "✗" in run.out) == (1, True)
    chain.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))  # a record that a session speaks of
    assert (await person.run("ledger", "verify")).code == 1


async def test_the_ledger_is_exported_counted_and_pruned(person: Person, server: ScriptedServer) -> None:
    await mended(person, server)
    assert (await person.run("ledger", "export", "told")).out == "3 commits on told\n"
    assert (await person.shell("git log --format=%s told | head -1")).out.startswith("shell: chmod 600")
    stats = json.loads((await person.run("ledger", "stats", "--json")).out)
    assert (stats["records"], stats["undoable"]) == (3, 3)
    run = await person.run("ledger", "prune", "--days", "0")
    assert run.code == 0
    assert "the bytes of 0 of them held" in run.out
    assert (await person.run("ledger", "verify")).code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["undo"], "say which: ACTION …, --last, --turn N or --session ID"),
        (["undo", "1", "--last"], "say which"),
        (["undo", "9"], "there is no action '9'"),
        (["undo", "--last"], "there is no action that could be undone"),
        (["undo", "--turn", "3"], "there is no action that could be undone"),
        (["undo", "1", "--ours", "--theirs"], "--ours and --theirs exclude each other"),
        (["redo"], "nothing was undone"),
        (["rewind", "x"], "there is no action 'x'"),
        (["show", "1"], "there is no action '1'"),
        (["diff", "2..1"], "there is no action '2'"),
        (["ledger", "export"], "export takes the name of a new branch"),
        (["ledger", "verify", "x"], "export takes the name of a new branch"),
        (["actions", "-C", "nowhere"], "-C 'nowhere' is no folder"),
    ],
)
async def test_what_cannot_be_is_one_line_that_says_why(person: Person, words: list[str], said: str) -> None:
    run = await person.run(*words)
    assert run.code == 2
    assert said in run.err
    assert run.err.count("\n") == 1


async def test_a_run_that_fails_puts_the_tree_back_where_that_is_wanted(person: Person, server: ScriptedServer) -> None:
    before = (person.root / "calc.py").read_text()
    server.script.extend(
        [
            answer(
                calls=[
                    ("edit", {"path": "calc.py", "old": "a - b", "new": "a * b"}),
                    ("shell", {"command": "echo x > made; rm test_calc.py"}),
                ]
            ),
            failure(401, {"error": {"message": "no"}}),
        ]
    )
    arguments = ("--mode", "yolo", "--revert-on-fail", "--patch", "p.patch", "--output-format", "stream-json")
    run = await person.trusted("-p", "x", *arguments)
    valid(run.lines)
    assert (run.code, run.result["reverted"], run.result["files_changed"]) == (77, ["1", "2"], [])
    assert (person.root / "calc.py").read_text() == before
    assert (person.root / "test_calc.py").exists()
    assert not (person.root / "made").exists()
    assert "a * b" in (person.root / "p.patch").read_text()
    assert (await person.run("redo")).code == 0
    assert "a * b" in (person.root / "calc.py").read_text()


async def test_a_run_that_succeeds_is_not_put_back(person: Person, server: ScriptedServer) -> None:
    server.script.extend(MENDING)
    run = await person.trusted("-p", "x", "--mode", "yolo", "--revert-on-fail", "--output-format", "json")
    assert (run.code, run.result["reverted"]) == (0, [])
    assert "a + b" in (person.root / "calc.py").read_text()


async def test_a_program_undoes_in_the_middle_of_a_session(person: Person, server: ScriptedServer) -> None:
    server.script.extend(
        [answer(calls=[("write", {"path": "new.txt", "content": "x\n"})]), answer("Done."), answer("I see that it is gone.")]
    )
    arguments = ("--input-format", "stream-json", "--output-format", "stream-json", "--trust", "--mode", "yolo")
    program = await person.start(*arguments)
    assert program.stdin is not None
    assert program.stdout is not None
    read: list[dict[str, Any]] = []

    async def heard(kind: str) -> dict[str, Any]:
        assert program.stdout is not None
        while True:
            read.append(json.loads(await asyncio.wait_for(program.stdout.readline(), 30)))
            if read[-1]["type"] == kind:
                return read[-1]

    def say(**message: object) -> None:
        assert program.stdin is not None
        program.stdin.write(json.dumps(message).encode() + b"\n")

    say(type="prompt", text="write it")
    await heard("turn.finished")
    say(type="undo", actions=["9"])
    assert "there is no action '9'" in (await heard("warned"))["text"]
    say(type="undo", actions=["1"])
    undone = await heard("actions.undone")
    assert [file["path"] for file in undone["files"]] == ["new.txt"]
    assert not (person.root / "new.txt").exists()
    say(type="redo")
    await heard("actions.undone")
    say(type="rewind", action="1")
    await heard("actions.undone")
    say(type="prompt", text="and now?")
    await heard("turn.finished")
    program.stdin.close()
    await heard("result")
    assert await program.wait() == 0
    valid(read)
    assert "new.txt: is gone" in server.bodies()[-1]["messages"][-2]["content"]


async def test_what_an_action_did_to_the_repository_is_listed_and_brought_back(person: Person, server: ScriptedServer) -> None:
    await person.shell("git branch kept && echo work > staged.txt && git add staged.txt && echo more >> calc.py")
    before = (await person.shell("git status --short; git branch; git rev-parse HEAD; cat calc.py")).out
    command = "git branch -q -D kept; git reset -q --hard; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x"
    server.script.extend([answer(calls=[("shell", {"command": command})]), answer("Done.")])
    assert (await person.trusted("-p", "x", "--mode", "yolo")).code == 0
    listed = (await person.run("rescue")).out
    assert "refs/heads/kept: not there ->" in listed
    dry = await person.run("rescue", "1", "--dry-run")
    assert "index: what was staged is staged again" in dry.out
    assert "recreated staged.txt" in dry.out
    run = await person.run("rescue", "1")
    assert (run.code, run.out.splitlines()[-1]) == (0, "✓ it is brought back")
    assert (await person.shell("git status --short; git branch; git rev-parse HEAD; cat calc.py")).out == before
    assert "is as it was before it" in (await person.run("rescue")).out
    wrong = await person.run("rescue", "9")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)


def opened(pid: int, file: Path) -> None:
    """Wait until a program has opened a file."""
    while True:
        with suppress(OSError):
            if any(entry.resolve() == file for entry in Path(f"/proc/{pid}/fd").iterdir()):
                return
        time.sleep(0.005)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it is seen in /proc that a command waits")
async def test_an_interrupt_ends_a_command_with_its_code_and_no_traceback(person: Person, server: ScriptedServer) -> None:
    await mended(person, server)
    [lock] = person.home.rglob("jumar.lock")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        program = await person.start("undo", "1")
        await asyncio.wait_for(asyncio.to_thread(opened, program.pid, lock), 30)
        program.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(program.communicate(), 30)
    assert (program.returncode, out, err) == (130, b"", b"")
    assert (await person.run("undo", "1")).code == 0


async def test_an_action_that_left_the_repository_alone_needs_no_rescue(person: Person, server: ScriptedServer) -> None:
    await mended(person, server)
    run = await person.run("rescue", "1")
    assert (run.code, "jumar undo 1 brings its files back" in run.err) == (2, True)
    assert (await person.run("rescue")).out == ""


@pytest.mark.parametrize("call", [("write", {"path": "new.txt", "content": "x\n"}), ("shell", {"command": "echo x > new.txt"})])
async def test_where_no_ledger_can_be_kept_nothing_is_changed_and_that_is_said(
    person: Person, server: ScriptedServer, call: tuple[str, dict[str, str]]
) -> None:
    state = person.home / ".local" / "state" / "jumar"
    state.mkdir(parents=True)
    (state / "ledger").write_text("in the way")
    server.script.extend([answer(calls=[call]), answer("I see.")])
    run = await person.trusted("-p", "x", "--mode", "yolo", "--output-format", "stream-json")
    assert (run.code, run.result["text"]) == (0, "I see.")
    assert not (person.root / "new.txt").exists()
    [reply] = [line["reply"] for line in run.lines if line["type"] == "tool.finished"]
    assert reply.startswith("Not run, because what it changes could not be undone: the ledger cannot be kept in ")
