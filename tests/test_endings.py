"""How a run ends when something ends it: a signal, a kill, or nobody who listens any more."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest

from agent.events.action import ActionFile, ActionRecorded
from agent.ledger.span import Span
from agent.ledger.store import Store
from agent.loop import Limits
from agent.workspace.local import LocalWorkspace
from jumar.run import Run, Wanted
from tests.fakes import Response, ScriptedServer, answer
from tests.runs import Person, ended, gone, until


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_ends_the_run_and_all_it_started(
    person: Person, server: ScriptedServer, number: signal.Signals, code: int
) -> None:
    mark = f"78.{code}"
    server.script.extend([answer("", calls=[("shell", {"command": f"(setsid sleep {mark} &) ; touch began; sleep {mark}"})])])
    program = await person.start("-p", "x", "--trust", "--mode", "yolo", "--output-format", "stream-json")
    await until(person.root / "began")
    program.send_signal(number)
    run = await ended(program)
    assert (run.code, run.result["status"], run.result["exit_code"]) == (code, "cancelled", code)
    assert await gone(mark)
    server.script.append(answer("all is well"))
    again = await person.trusted("-p", "go on", "-c", "--output-format", "json")
    assert again.code == 0
    told = json.loads(server.requests[-1])["messages"]
    assert "ancelled" in next(message for message in told if message["role"] == "tool")["content"]


async def test_a_killed_run_is_gone_on_with_and_no_call_is_run_twice(person: Person, server: ScriptedServer) -> None:
    server.script.append(
        answer(
            "", calls=[("shell", {"command": "echo x >> ran; touch began; sleep 79.5"}), ("shell", {"command": "touch later"})]
        )
    )
    program = await person.start("-p", "x", "--trust", "--mode", "yolo")
    await until(person.root / "began")
    program.kill()
    await program.wait()
    assert await gone("sleep 79.5")
    server.script.append(answer("I see."))
    run = await person.trusted("-p", "go on", "-c", "--mode", "yolo")
    assert run.code == 0
    replies = [message["content"] for message in json.loads(server.requests[-1])["messages"] if message["role"] == "tool"]
    assert len(replies) == 2
    assert "unknown" in replies[0]
    assert (person.root / "ran").read_text() == "x\n"
    assert not (person.root / "later").exists()


async def test_a_command_whose_first_act_is_to_kill_us_does_not_outlive_us(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("", calls=[("shell", {"command": "kill -9 $PPID; sleep 79.25"})]))
    program = await person.start("-p", "x", "--trust", "--mode", "yolo")
    assert await program.wait() == -signal.SIGKILL
    assert await gone("79.25")


async def test_a_reader_that_goes_away_ends_the_run_quietly(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("", calls=[("shell", {"command": "touch began; sleep 0.2"})])] * 20)
    run = await person.shell("set -o pipefail; $JUMAR -p x --trust --mode yolo --output-format stream-json | head -n 1")
    assert (run.code, run.err) == (141, "")
    assert len(server.requests) < 20


async def test_a_second_signal_does_not_tear_the_end_apart(person: Person, server: ScriptedServer) -> None:
    server.script.append(
        answer("", calls=[("shell", {"command": "trap '' TERM INT; touch began; while :; do sleep 0.05; done"})])
    )
    program = await person.start("-p", "x", "--trust", "--mode", "yolo", "--output-format", "stream-json")
    await until(person.root / "began")
    for _ in range(4):
        program.send_signal(signal.SIGINT)
        await asyncio.sleep(0.01)
    run = await ended(program)
    assert run.code == 130
    assert "could not be written" not in run.err
    assert [line["type"] for line in run.lines][-3:] == ["tool.finished", "turn.finished", "result"]


async def test_signals_do_not_make_what_is_put_back_another_story(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[("write", {"path": "new.txt", "content": "new\n"})]), answer("Done.")]
    words = ("--mode", "edits", "--revert-on-fail", "--verify", "touch began; sleep 79.1", "--output-format", "json")
    program = await person.start("-p", "x", "--trust", *words)
    ending = asyncio.create_task(ended(program))
    await until(person.root / "began")
    while program.returncode is None:  # one for each thing that is still to be done
        with suppress(ProcessLookupError):
            os.kill(program.pid, signal.SIGINT)  # for `send_signal` would take its exit code from the loop
        await asyncio.wait({ending}, timeout=0.03)
    run = await ending
    assert run.code == run.result["exit_code"] == 130
    assert run.result["reverted"] == ["1"]
    assert not (person.root / "new.txt").exists()
    assert [one["path"] for one in run.result["files_changed"]] == ["began"]
    assert "began still differs" in run.result["reason"]
    assert await gone("79.1")


@pytest.mark.parametrize("form", ["json", "stream-json"])
async def test_a_run_that_can_be_kept_no_longer_has_its_result_all_the_same(
    person: Person, server: ScriptedServer, form: str
) -> None:
    long = "".join(f"{number} is a number. " for number in range(20_000))
    server.script += [answer("", calls=[("write", {"path": "new.txt", "content": "new\n"})]), answer(long)]
    words = f"-p x --trust --mode edits --revert-on-fail --output-format {form}"
    run = await person.shell(f"ulimit -f 256; exec $JUMAR {words}")
    assert (run.code, run.result["type"], run.result["status"], run.result["exit_code"]) == (1, "result", "failed", 1)
    assert "could not be written" in run.result["reason"]
    assert "what it changed was not put back" in run.result["reason"]
    assert [one["path"] for one in run.result["files_changed"]] == ["new.txt"]
    assert (person.root / "new.txt").read_text() == "new\n"


async def test_a_signal_while_it_starts_leaves_no_traceback_and_no_folder(
    person: Person, server: ScriptedServer, tmp_path: Path
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    server.models = Response((b"{",), hold=asyncio.Event())
    program = await person.start("-p", "x", "--trust", "--ephemeral", environment={"TMPDIR": str(folder), "JUMAR_MODEL": ""})
    async with asyncio.timeout(30):
        while not server.heads:  # noqa: ASYNC110 - another process asks
            await asyncio.sleep(0.01)
    assert list(folder.iterdir())
    program.send_signal(signal.SIGINT)
    run = await ended(program)
    assert run.code == 130
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("$JUMAR -p x --trust 2>&-", 0),
        ("$JUMAR -p x --trust >&-", 0),
        ("$JUMAR -p x --trust >/dev/full", 1),
        ("trap '' HUP; $JUMAR -p x --trust & sleep 0.4; kill -HUP $!; wait $!", 0),
        ("yes | $JUMAR -p x --trust", 2),
        ("$JUMAR schema > /dev/full", 1),
        ("$JUMAR --version > /dev/full", 1),
        ("set -o pipefail; $JUMAR schema | true", 141),
    ],
)
async def test_odd_surroundings_end_no_run_in_a_fault(person: Person, server: ScriptedServer, command: str, code: int) -> None:
    server.script.append(answer("hello"))
    run = await person.shell(command)
    assert run.code == code, run
    assert "bug" not in run.err


async def test_nobody_to_hear_even_the_beginning_leaves_a_whole_log(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("done"))
    run = await person.shell("$JUMAR -p x --trust --output-format stream-json > /dev/full")
    assert run.code == 1
    assert run.err == "jumar: what happens cannot be written: No space left on device\n"
    assert b'"type":"result"' in person.logs[0].read_bytes().splitlines()[-1]
    assert not server.requests


def test_what_commands_changed_is_told_where_a_signal_leaves_no_time_to_look_at_the_end(tmp_path: Path) -> None:
    workspace = LocalWorkspace(tmp_path, tmp_path, spill=tmp_path / "spill", environment={})
    run = Run(Wanted(Limits()), workspace, Span(Store(tmp_path / "ledger", tmp_path)))
    kinds: list[dict[str, Literal["created", "modified", "deleted"]]] = [
        {"new": "created", "gone": "created", "old": "modified", "back": "deleted", "out": "modified"},
        {"new": "modified", "gone": "deleted", "old": "modified", "back": "created", "out": "deleted"},
    ]
    for number, one in enumerate(kinds):
        files = tuple(ActionFile(path=path, kind=kind, added=1, removed=0) for path, kind in one.items())
        run.hear(ActionRecorded(action=f"{number}", seal="s", call_id=f"{number}", tool="shell", title="x", files=files))
    run.interrupt(130)
    told = {file.path: file.kind for file in run.result().files_changed}
    assert told == {"new": "created", "old": "modified", "back": "modified", "out": "deleted"}
