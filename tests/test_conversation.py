"""A run that a program leads, by messages on stdin."""

import asyncio
import json
import os
import signal
from typing import Any

from agent.messages import Usage
from tests.fakes import ScriptedServer, answer, failure
from tests.runs import JUMAR, Person, ended, gone, until, valid


async def test_a_program_can_steer_decide_answer_and_cancel(person: Person, server: ScriptedServer) -> None:
    server.script.extend(
        [
            answer("", calls=[("shell", {"command": "touch refused"}), ("read", {"path": "calc.py"})]),
            answer("", calls=[("ask", {"question": "Which?", "options": ["a", "b"]})]),
            answer("", calls=[("shell", {"command": "touch began; sleep 76.5"})]),
        ]
    )
    program = await person.start("--input-format", "stream-json", "--output-format", "stream-json", "--trust", "--max-steps", "9")
    assert program.stdin is not None
    assert program.stdout is not None
    read: list[dict[str, Any]] = []

    def say(**message: object) -> None:
        assert program.stdin is not None
        program.stdin.write(json.dumps(message).encode() + b"\n")

    async def heard(kind: str) -> dict[str, Any]:
        assert program.stdout is not None
        while True:
            read.append(json.loads(await asyncio.wait_for(program.stdout.readline(), 30)))
            if read[-1]["type"] == kind:
                return read[-1]

    say(type="prompt", text="begin")
    asked = await heard("approval.asked")
    say(type="steer", text="and hurry")
    await heard("turn.steered")
    say(type="decide", call_id=asked["call_id"], allow=False, words="not that")
    question = await heard("question.asked")
    say(type="answer", call_id=question["call_id"], text="b")
    asked = await heard("approval.asked")
    say(type="nonsense")
    await heard("warned")
    say(type="decide", call_id=asked["call_id"], allow=True)
    await heard("tool.started")
    say(type="cancel")
    assert (await heard("turn.finished"))["status"] == "cancelled"
    program.stdin.close()
    result = await heard("result")
    valid(read)
    assert (await program.wait()) == result["exit_code"] != 0
    assert await gone("76.5")
    second, third = (json.loads(request)["messages"] for request in server.requests[1:3])
    assert "not that" in second[-3]["content"]
    assert second[-1] == {"role": "user", "content": "and hurry"}
    assert third[-1]["content"] == "b"
    assert "ask" in {tool["function"]["name"] for tool in json.loads(server.requests[0])["tools"]}


async def test_when_stdin_ends_what_waits_for_a_person_is_denied(person: Person, server: ScriptedServer) -> None:
    server.script.extend(
        [answer("", calls=[("ask", {"question": "Which?"}), ("shell", {"command": "touch made"})]), answer("I could not.")]
    )
    run = await person.trusted(
        "--input-format", "stream-json", "--output-format", "stream-json", stdin='{"type":"prompt","text":"x"}\n'
    )
    assert (run.code, run.result["status"]) == (4, "denied")
    assert not (person.root / "made").exists()
    assert [line["by"] for line in run.lines if line["type"] == "approval.decided"] == ["nobody"]


async def test_a_signal_ends_a_led_run_while_stdin_is_open(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("", calls=[("shell", {"command": "touch began; sleep 74.1"})]))
    program = await person.start("--input-format", "stream-json", "--output-format", "stream-json", "--trust", "--mode", "yolo")
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(b'{"type":"prompt","text":"x"}\n')
    await until(person.root / "began")
    program.send_signal(signal.SIGTERM)
    out = await asyncio.wait_for(program.stdout.read(), 30)
    assert await program.wait() == 143
    assert json.loads(out.splitlines()[-1])["exit_code"] == 143


async def test_a_cancel_right_after_its_prompt_is_heard(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("", calls=[("shell", {"command": "touch ran"})]))
    lines = '{"type":"prompt","text":"x"}\n{"type":"cancel"}\n'
    led = ("--mode", "yolo", "--input-format", "stream-json", "--output-format", "stream-json")
    run = await person.trusted(*led, stdin=lines)
    assert run.result["status"] == "cancelled"
    assert not (person.root / "ran").exists()
    run = await person.trusted(*led, stdin='{"type":"cancel"}\n')
    assert [line["text"] for line in run.lines if line["type"] == "warned"] == ["nothing runs that could be cancelled"]


async def test_a_session_without_a_turn_still_tells_the_model_where_it_is(person: Person, server: ScriptedServer) -> None:
    await person.trusted("--input-format", "stream-json", "--output-format", "stream-json")
    server.script.append(answer("hello"))
    await person.trusted("-p", "x", "-c")
    assert "# Environment" in json.loads(server.requests[0])["messages"][1]["content"]


async def test_stdin_that_does_not_wait_is_waited_for(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("done"))
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    program = await asyncio.create_subprocess_exec(
        str(JUMAR),
        *("--trust", "--input-format", "stream-json", "--output-format", "stream-json"),
        cwd=person.root,
        env=person.environment,
        stdin=reading,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(reading)
    await asyncio.sleep(0.3)
    os.write(writing, b'{"type":"prompt","text":"x"}\n')
    os.close(writing)
    run = await ended(program)
    assert (run.code, run.result["text"]) == (0, "done")


async def test_a_program_can_shorten_what_is_told_take_that_back_and_hurry(person: Person, server: ScriptedServer) -> None:
    fields = ("Goal", "Decisions", "Files touched", "Open work", "Commands run", "Plan")
    note = "\n".join(f"## {field}\nNOTED" for field in fields)
    slow = failure(429, {"error": {"message": "slow down"}}, {"retry-after": "59"})
    server.script.extend([answer("one"), answer(note, usage=Usage(1000, 100)), answer("two"), slow, answer("three")])
    program = await person.start("--input-format", "stream-json", "--output-format", "stream-json", "--trust")
    assert program.stdin is not None
    assert program.stdout is not None
    read: list[dict[str, Any]] = []

    async def say(until_told: str, **message: object) -> dict[str, Any]:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(json.dumps(message).encode() + b"\n")
        while True:
            read.append(json.loads(await asyncio.wait_for(program.stdout.readline(), 30)))
            if read[-1]["type"] == until_told:
                return read[-1]

    assert (await say("warned", type="compact"))["text"] == "there is nothing to compact"
    assert (await say("warned", type="uncompact"))["text"] == "nothing is compacted"
    assert (await say("warned", type="hurry"))["text"] == "no request waits to be tried again"
    await say("turn.finished", type="prompt", text="first")
    compacted = await say("history.compacted", type="compact", hint="the tests")
    assert (compacted["reason"], compacted["note"]) == ("the person asked for it", note)
    await say("turn.finished", type="prompt", text="second")
    await say("history.uncompacted", type="uncompact")
    await say("request.retried", type="prompt", text="third")
    await say("turn.finished", type="hurry")
    program.stdin.close()
    rest = [json.loads(line) for line in (await program.stdout.read()).splitlines()]
    valid([*read, *rest])
    assert (rest[-1]["text"], rest[-1]["usage"]["prompt"]) == ("three", 1030)
    second, third = (body["messages"] for body in (server.bodies()[2], server.bodies()[-1]))
    assert [message["role"] for message in second] == ["system", "user", "user"]
    assert "NOTED" in second[1]["content"]
    assert [message["role"] for message in third] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert "the tests" in server.bodies()[1]["messages"][-1]["content"]
