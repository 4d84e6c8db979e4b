"""The headless run: what comes out, which exit code ends it, and what is left behind."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.events.event import schema
from agent.messages import Call, Usage
from tests.fakes import ScriptedServer, answer, failure
from tests.runs import MENDING, Person, ended, gone, valid

TRANSIENT = {"step.started", "text.streamed", "reasoning.streamed", "call.streamed", "tool.progressed"}


async def test_a_run_edits_a_real_repository_and_says_so(person: Person, server: ScriptedServer, tmp_path: Path) -> None:
    server.script.extend(MENDING)
    patch = tmp_path / "change.patch"
    run = await person.trusted("-p", "mend add", "--mode", "yolo", "--output-format", "json", "--patch", str(patch))
    assert (run.code, run.result["status"]) == (0, "done"), run
    assert (person.root / "calc.py").read_text() == "def add(a, b):\n    return a + b\n"
    assert run.result["text"] == "add() subtracted; it adds now, and test_calc.py passes."
    changed = [(one["path"], one["kind"], one["added"], one["removed"]) for one in run.result["files_changed"]]
    assert ("calc.py", "modified", 1, 1) in changed
    assert run.result["patch_path"] == str(patch)
    valid(run.lines)
    applied = await asyncio.create_subprocess_exec("git", "apply", "-R", str(patch), cwd=person.root)
    assert await applied.wait() == 0
    assert (person.root / "calc.py").read_text() == "def add(a, b):\n    return a - b\n"


async def test_text_has_the_answer_alone_on_stdout_and_every_action_on_stderr(person: Person, server: ScriptedServer) -> None:
    server.script.extend(MENDING)
    run = await person.trusted("-p", "mend add", "--mode", "yolo", "-o", str(person.home / "answer"))
    assert run.code == 0
    assert run.out == "add() subtracted; it adds now, and test_calc.py passes.\n"
    assert (person.home / "answer").read_text() == run.out
    for words in ("read calc.py", "edit calc.py", "-    return a - b", "shell python3 test_calc.py", "passed", "done · 3 steps"):
        assert words in run.err
    server.script.extend(MENDING[2:])
    quiet = await person.trusted("-p", "mend add", "-q")
    assert quiet.err.count("\n") == 1


async def test_every_line_of_the_stream_fits_the_published_schema(person: Person, server: ScriptedServer) -> None:
    server.script.extend([failure(503, "busy", {"retry-after": "0"}), *MENDING])
    published = json.loads((await person.run("schema")).out)
    assert published == schema()
    run = await person.trusted("-p", "mend add", "--mode", "edits", "--output-format", "stream-json", "--deltas")
    valid(run.lines)
    types = [line["type"] for line in run.lines]
    assert (types[0], types[-1]) == ("session.started", "result")
    assert {"request.retried", "approval.decided", "tool.started", "tool.finished", "turn.finished"} <= set(types)
    assert {"text.streamed", "call.streamed"} <= set(types)
    settled = [line for line in run.lines if line["type"] not in TRANSIENT]
    assert [line["seq"] for line in settled] == list(range(1, len(settled) + 1))
    assert [json.loads(line) for line in person.logs[-1].read_text().splitlines()] == settled


async def test_an_untrusted_tree_is_refused_before_anything_is_asked(person: Person, server: ScriptedServer) -> None:
    run = await person.run("-p", "x")
    assert run.code == 3
    assert run.err.count("\n") == 1
    assert "jumar trust" in run.err
    assert not server.requests
    assert not person.logs
    assert (await person.run("trust")).code == 0
    server.script.append(answer("hello"))
    assert (await person.run("-p", "x")).out == "hello\n"


async def test_an_action_that_nobody_approves_is_denied_and_told(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("", calls=[("shell", {"command": "touch made"})]), answer("I could not run it.")])
    run = await person.trusted("-p", "x", "--output-format", "json")
    assert (run.code, run.result["status"]) == (4, "denied")
    assert run.result["denied"][0]["subject"] == "touch made"
    assert not (person.root / "made").exists()
    assert "nobody is there to approve it" in json.loads(server.requests[1])["messages"][-1]["content"]


async def test_rules_allow_and_deny(person: Person, server: ScriptedServer) -> None:
    calls = [("shell", {"command": "touch one"}), ("shell", {"command": "rm calc.py"})]
    server.script.extend([answer("", calls=calls), answer("done")])
    run = await person.trusted("-p", "x", "--mode", "yolo", "--deny", "shell(rm *)", "--output-format", "json")
    assert (run.code, len(run.result["denied"])) == (4, 1)
    assert (person.root / "one").exists()
    assert (person.root / "calc.py").exists()
    server.script.extend([answer("", calls=[("shell", {"command": "touch two"})]), answer("done")])
    assert (await person.trusted("-p", "x", "--allow", "shell(touch *)")).code == 0
    assert (person.root / "two").exists()


async def test_plan_mode_changes_nothing(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("", calls=[("write", {"path": "new", "content": "x"})]), answer("a plan")])
    run = await person.trusted("-p", "x", "--mode", "plan", "--allow", "write")
    assert run.code == 4
    assert not (person.root / "new").exists()


async def test_limits_end_a_run_with_5(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("", calls=[("read", {"path": "calc.py"})])] * 2)
    run = await person.trusted("-p", "x", "--max-steps", "2", "--output-format", "json")
    assert (run.code, run.result["status"], run.result["steps"]) == (5, "limit", 2)
    server.script.append(answer("", calls=[("read", {"path": "calc.py"})], usage=Usage(90, 10)))
    assert (await person.trusted("-p", "x", "--max-tokens", "100")).code == 5
    server.script.append(answer("", calls=[("shell", {"command": "sleep 77.25"})]))
    assert (await person.trusted("-p", "x", "--mode", "yolo", "--timeout", "1")).code == 5
    assert await gone("77.25")


async def test_a_limit_of_tokens_holds_where_the_server_does_not_count_any(person: Person, server: ScriptedServer) -> None:
    server.script = [answer("", [("read", {"path": "calc.py", "limit": n})], usage=Usage(0, 0)) for n in range(1, 10)]
    run = await person.trusted("-p", "Look", "--output-format", "json", "--max-tokens", "6000")
    assert run.result["reason"] == "the limit of tokens was reached"
    assert len(server.requests) < 9
    assert (run.code, run.result["usage"]["prompt"], run.result["cost"]) == (5, 0, None)
    assert 6000 <= run.result["estimated"] < 20_000


async def test_a_failing_check_goes_back_to_the_model_three_times_at_most(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("done")] * 4)
    run = await person.trusted("-p", "x", "--verify", "python3 test_calc.py", "--output-format", "json")
    assert (run.code, run.result["status"]) == (6, "verify_failed")
    assert run.result["verify"] == {"cmd": "python3 test_calc.py", "exit_code": 1}
    assert len(server.requests) == 4
    assert "AssertionError" in json.loads(server.requests[1])["messages"][-1]["content"]
    server.script.extend([answer("done"), *MENDING])
    run = await person.trusted("-p", "x", "--mode", "yolo", "--verify", "python3 test_calc.py", "--output-format", "json")
    assert (run.code, run.result["verify"]["exit_code"]) == (0, 0)


async def test_an_answer_must_fit_the_schema(person: Person, server: ScriptedServer) -> None:
    file = person.home / "schema.json"
    file.write_text(json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}))
    server.script.extend([answer("twelve"), answer('```json\n{"n": 12}\n```')])
    run = await person.trusted("-p", "x", "--output-schema", str(file), "--output-format", "json")
    assert (run.code, run.result["structured"]) == (0, {"n": 12})
    server.script.extend([answer("twelve")] * 3)
    run = await person.trusted("-p", "x", "--output-schema", str(file), "--output-format", "json")
    assert (run.code, run.result["status"]) == (7, "schema_not_met")


async def test_a_provider_that_fails_ends_a_run_with_75_and_a_wrong_key_with_77(person: Person, server: ScriptedServer) -> None:
    server.script.extend([failure(503, "busy", {"retry-after": "0"})] * 6)
    run = await person.trusted("-p", "x", "--output-format", "json")
    assert (run.code, run.result["status"]) == (75, "failed")
    assert len(server.requests) == 6
    server.script.append(failure(401, '{"error":{"message":"Invalid Authentication"}}', {}))
    run = await person.trusted("-p", "x")
    assert run.code == 77
    assert "JUMAR_API_KEY" in run.err
    assert "127.0.0.1" in run.err
    assert "sk-of-the-test" not in run.err + "".join(log.read_text() for log in person.logs)


async def test_without_a_key_the_demo_is_named(tmp_path: Path) -> None:
    run = await Person(tmp_path).trusted("-p", "x")
    assert run.code == 77
    assert run.err.count("\n") == 1
    assert "jumar demo" in run.err
    assert "MOONSHOT_API_KEY" in run.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fix", "it"),
        ("--mode", "sudo", "-p", "x"),
        ("-p", ""),
        ("-p", "x", "--max-steps", "0"),
        ("-p", "x", "--allow", "no rule!"),
        ("-p", "x", "-r", "../../etc/passwd"),
        ("-p", "x", "-c"),
        ("-p", "x", "--output-schema", "missing.json"),
        ("-p", "x", "--patch", "."),
        ("-p", "x", "-o", "-"),
        ("--input-format", "stream-json"),
        ("-C", "missing", "-p", "x"),
        ("trust", "missing"),
        ("record", "missing"),
        ("replay", "missing"),
    ],
)
async def test_a_wrong_command_line_gets_one_line_and_2(person: Person, arguments: tuple[str, ...]) -> None:
    trusting = ("--trust",) if arguments and arguments[0].startswith("-") else ()
    run = await person.run(*arguments, *trusting)
    assert run.code == 2, run
    assert run.err.startswith("jumar: ")
    assert run.err.count("\n") == 1


async def test_sessions_are_listed_gone_on_with_and_forked(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("one"), answer("two"), answer("three")])
    await person.trusted("-p", "first prompt")
    listed = [json.loads(line) for line in (await person.run("sessions", "--json")).out.splitlines()]
    assert [(one["title"], one["turns"]) for one in listed] == [("first prompt", 1)]
    await person.trusted("-p", "second", "-r", listed[0]["id"])
    await person.trusted("-p", "third", "-r", listed[0]["id"], "--fork")
    assert len(person.logs) == 2
    told = [message["content"] for message in json.loads(server.requests[-1])["messages"][1:]]
    assert [words.splitlines()[-1] for words in told] == ["first prompt", "one", "second", "two", "third"]
    assert "first prompt" in (await person.run("sessions")).out
    assert all(log.stat().st_mode & 0o777 == 0o600 for log in person.logs)
    await person.trusted("-p", "x", "--ephemeral")
    assert len(person.logs) == 2


async def test_stdin_is_appended_to_the_prompt(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("one"), answer("two")])
    await person.trusted("-p", "explain", stdin="the error\n")
    assert "explain\n\n<stdin>\nthe error\n</stdin>" in json.loads(server.requests[0])["messages"][-1]["content"]
    await person.trusted("-p", "-", stdin="only this")
    assert json.loads(server.requests[1])["messages"][-1]["content"].endswith("only this")


async def test_what_cannot_work_is_not_offered(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("hello"))
    await person.trusted("-p", "x")
    names = [tool["function"]["name"] for tool in json.loads(server.requests[0])["tools"]]
    assert names == ["edit", "find", "outline", "plan", "read", "rewrite", "search", "shell", "symbols", "write"]


async def test_the_prefix_of_a_request_is_the_same_from_step_to_step(person: Person, server: ScriptedServer) -> None:
    for number in range(9):
        calls: list[tuple[str, dict[str, Any]]] = [
            ("shell", {"command": f"echo 打字 {number} >> log"}),
            ("read", {"path": "log"}),
        ]
        server.script.append(answer(f"step {number}", calls=calls, reasoning="I think."))
    server.script.append(answer("done"))
    assert (await person.trusted("-p", "x", "--mode", "yolo")).code == 0
    assert len(server.requests) == 10
    for before, after in zip(server.requests, server.requests[1:], strict=False):
        assert before.endswith(b"]}")
        assert after.startswith(before.removesuffix(b"]}"))


async def test_a_repository_with_our_names_is_not_imported_in_a_whole_run(person: Person, server: ScriptedServer) -> None:
    for name in ("agent", "tools", "prompts", "pydantic"):
        (person.root / name).mkdir()
        (person.root / name / "__init__.py").write_text("raise SystemExit('hijacked')\n")
    (person.root / "httpx.py").write_text("raise SystemExit('hijacked')\n")
    (person.root / "child.py").write_text("import os\nprint(os.environ['PYTHONPATH'])\n")
    server.script.extend([answer("", calls=[("shell", {"command": "python3 child.py"})]), answer("ran")])
    run = await person.trusted("-p", "x", "--mode", "yolo", environment={"PYTHONPATH": "."})
    assert (run.code, run.out) == (0, "ran\n"), run.err
    assert json.loads(server.requests[1])["messages"][-1]["content"].startswith(".\n")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system has no /proc")
async def test_a_command_cannot_read_the_key(person: Person, server: ScriptedServer) -> None:
    command = "env; tr '\\0' '\\n' </proc/$PPID/environ; tr '\\0' '\\n' </proc/$PPID/cmdline"
    server.script.extend([answer("", calls=[("shell", {"command": command})]), answer("done")])
    run = await person.trusted("-p", "x", "--mode", "yolo", environment={"HTTP_PROXY": "user:hunter2@localhost:1"})
    assert run.code == 0
    assert server.heads[-1]["authorization"] == "Bearer sk-of-the-test"
    told = json.loads(server.requests[-1])["messages"][-1]["content"]
    assert "sk-of-the-test" not in told
    assert "hunter2" not in told
    assert "PATH=" in told


async def test_headless_never_loads_the_screen(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("hello"))
    unwanted = ("textual", "tree_sitter", "PIL", "keyring")
    program = (
        "import sys; from jumar.__main__ import main; sys.argv = ['jumar', '-p', 'x', '--trust']; code = main(); "
        f"print(code, [name for name in {unwanted} if name in sys.modules], sys.modules['pydantic.plugin._loader'].get_plugins())"
    )
    ran = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-c",
        program,
        cwd=person.root,
        env=person.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert (await ended(ran)).out == "hello\n0 [] ()\n"


async def test_state_lives_where_jumar_home_says(person: Person, server: ScriptedServer, tmp_path: Path) -> None:
    server.script.append(answer("hello"))
    before = set(person.home.iterdir())
    run = await person.trusted(
        "-p", "x", environment={"JUMAR_HOME": str(tmp_path / "own"), "XDG_STATE_HOME": str(tmp_path / "xdg")}
    )
    assert run.code == 0
    assert set(person.home.iterdir()) == before
    assert not (tmp_path / "xdg").exists()
    assert len(list((tmp_path / "own/state/sessions").glob("*.jsonl"))) == 1


async def test_half_characters_are_answered_and_not_died_of(person: Person, server: ScriptedServer) -> None:
    bad = [Call("1", "read", '{"path": "\\ud800"}'), Call("2", "shell", '{"command": "echo \\ud800"}')]
    server.script.extend([answer("", calls=bad), answer("done")])
    run = await person.shell("$JUMAR -p $'x\\xff' --trust --mode yolo --output-format json")
    assert (run.code, run.result["status"]) == (0, "done"), run
    (person.root / os.fsdecode(b"d\xff")).mkdir()
    server.script.append(answer("done"))
    run = await person.shell("cd d* && git init -q && $JUMAR trust && $JUMAR -p x --output-format json")
    assert run.code == 0, run


async def test_a_check_that_takes_too_long_ends_the_run_as_a_limit(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("done"))
    run = await person.trusted("-p", "x", "--timeout", "2", "--verify", "sleep 73.5", "--output-format", "json")
    assert (run.code, run.result["status"]) == (5, "limit")
    assert await gone("73.5")


async def test_the_check_holds_at_the_very_end(person: Person, server: ScriptedServer) -> None:
    (person.root / "good").touch()
    file = person.home / "schema.json"
    file.write_text('{"type": "object"}')
    server.script.extend([answer("no json"), answer("", calls=[("shell", {"command": "rm good"})]), *[answer("{}")] * 4])
    wanted = ("--verify", "test -f good", "--output-schema", str(file), "--mode", "yolo", "--output-format", "json")
    run = await person.trusted("-p", "x", *wanted)
    assert (run.code, run.result["verify"]["exit_code"]) == (6, 1)


async def test_a_run_that_fails_leaves_an_earlier_answer_alone(person: Person, server: ScriptedServer) -> None:
    (person.home / "answer").write_text("earlier\n")
    server.script.append(failure(401, {"error": {"message": "Invalid Authentication"}}))
    assert (await person.trusted("-p", "x", "-o", str(person.home / "answer"))).code == 77
    assert (person.home / "answer").read_text() == "earlier\n"


async def test_a_file_that_cannot_be_written_is_told(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("done"))
    run = await person.trusted("-p", "x", "-o", "/dev/full", "--patch", str(person.home / "patch"), "--output-format", "json")
    assert (run.code, run.result["status"]) == (1, "failed")
    assert run.result["reason"] == "/dev/full cannot be written: No space left on device"
    assert run.result["patch_path"] == str(person.home / "patch")


async def test_a_session_is_gone_on_with_only_in_its_own_tree(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("one"))
    await person.trusted("-p", "first")
    other = person.home / "other"
    other.mkdir()
    run = await person.trusted("-p", "x", "-r", person.logs[0].stem, "-C", str(other))
    assert run.code == 2
    assert f"belongs to {person.root}" in run.err
    assert len(server.requests) == 1


@pytest.mark.parametrize("flag", ["--allow", "--deny"])
async def test_a_rule_for_a_tool_that_there_is_not_is_refused(person: Person, server: ScriptedServer, flag: str) -> None:
    run = await person.trusted("-p", "x", flag, "shel(git push *)")
    assert run.code == 2
    assert "did you mean 'shell'?" in run.err
    assert not server.requests


async def test_a_check_that_cannot_be_run_goes_to_the_model_once(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("done"), answer("done")])
    run = await person.trusted("-p", "x", "--verify", "pytst-that-is-not -q", "--output-format", "json")
    assert (run.code, run.result["reason"]) == (6, "'pytst-that-is-not -q' cannot be run (exit 127)")
    assert len(server.requests) == 2


async def test_what_the_check_changes_is_told_too(person: Person, server: ScriptedServer, tmp_path: Path) -> None:
    server.script.append(answer("done"))
    wanted = ("--verify", "echo hi > made.txt", "--patch", str(tmp_path / "p"), "--output-format", "json")
    run = await person.trusted("-p", "x", *wanted)
    assert [one["path"] for one in run.result["files_changed"]] == ["made.txt"]
    assert "made.txt" in (tmp_path / "p").read_text()


async def test_the_list_of_sessions_tells_how_runs_ended(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("", calls=[("shell", {"command": "touch x"})]), answer("no")])
    assert (await person.trusted("-p", "x")).code == 4
    listed = [json.loads(line) for line in (await person.run("sessions", "--json")).out.splitlines()]
    assert [one["status"] for one in listed] == ["denied"]


async def test_a_run_says_what_it_runs_with_and_how_to_undo_it(person: Person, server: ScriptedServer) -> None:
    server.script.extend(MENDING)
    patch = person.root / "change.patch"
    run = await person.trusted("-p", "mend add", "--mode", "yolo", "--patch", "change.patch", "--ephemeral")
    assert "test-model · yolo mode" in run.err.splitlines()[0]
    undo = run.err.splitlines()[-1].removeprefix("undo: ")
    assert str(patch) in undo
    assert (await person.shell(f"cd / && {undo}")).code == 0
    assert (person.root / "calc.py").read_text() == "def add(a, b):\n    return a - b\n"
    server.script.extend(MENDING)
    run = await person.trusted("-p", "mend add", "--mode", "yolo")
    undo = run.err.splitlines()[-1].removeprefix("undo: jumar ").partition(" · ")[0]
    assert person.logs[0].stem in undo
    assert (await person.run(*undo.split())).code == 0
    assert (person.root / "calc.py").read_text() == "def add(a, b):\n    return a - b\n"


async def test_a_refusal_tells_a_person_how_to_allow_it(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("", calls=[("edit", {"path": "calc.py", "old": "a - b", "new": "a + b"})]), answer("no")])
    run = await person.trusted("-p", "x")
    assert run.code == 4
    assert "see --mode and --allow 'edit(calc.py)'" in run.err
    assert "Do not try" not in run.err


async def test_a_refused_fork_leaves_nothing_behind(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("one"))
    await person.trusted("-p", "first")
    other = person.home / "other"
    other.mkdir()
    assert (await person.trusted("-p", "x", "-r", person.logs[0].stem, "--fork", "-C", str(other))).code == 2
    assert len(person.logs) == 1
