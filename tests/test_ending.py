"""A turn ends honestly: the person's checks run, what nobody checked and what commands left is told once, the result is true."""

import json
from typing import Any

from tests.fakes import ScriptedServer, answer
from tests.runs import Ended, Person, until, valid

RUN = ("--mode", "yolo", "--output-format", "stream-json")
BREAK = ("edit", {"path": "calc.py", "old": "a - b", "new": "a * b"})
MEND = ("edit", {"path": "calc.py", "old": "a * b", "new": "a + b"})
CHECK = '[checks.own]\ncommand = "python3 -B test_calc.py"\nfiles = ["*.py"]\n'
PYTEST = '[tool.pytest.ini_options]\ntestpaths = ["."]\n'


def told(server: ScriptedServer, number: int) -> str:
    """Return what the model was told last before it answered for the nth time."""
    content = json.loads(server.requests[number])["messages"][-1]["content"]
    return content if isinstance(content, str) else json.dumps(content)


def of(run: Ended, kind: str) -> list[dict[str, Any]]:
    return [line for line in run.lines if line["type"] == kind]


async def test_a_check_that_fails_goes_back_to_the_model_and_is_an_action_of_its_own(
    person: Person, server: ScriptedServer
) -> None:
    person.configure(CHECK)
    server.script += [answer("", calls=[BREAK]), answer("done"), answer("", calls=[MEND]), answer("mended")]
    run = await person.trusted("-p", "x", *RUN)
    valid(run.lines)
    assert (run.code, run.result["text"], run.result["verified"]) == (0, "mended", True)
    assert run.result["verify"] == {"cmd": "python3 -B test_calc.py", "exit_code": 0}
    assert "the person's check `python3 -B test_calc.py` fails with exit code 1" in told(server, 2)
    assert "AssertionError" in told(server, 2)
    checks = [line for line in of(run, "tool.finished") if line["call_id"].startswith("check-")]
    assert [(line["tool"], line["exit_code"]) for line in checks] == [("shell", 1), ("shell", 0)]
    [ended] = of(run, "turn.finished")
    assert (ended["verified"], ended["failing"], ended["steps"]) == (True, "", 4)


async def test_of_a_check_whose_time_was_up_that_is_told(person: Person, server: ScriptedServer) -> None:
    person.configure(CHECK.replace("python3 -B test_calc.py", "exec sleep 1000") + "seconds = 0.2\n")
    server.script += [answer("", calls=[BREAK]), *[answer("done") for _ in range(4)]]
    await person.trusted("-p", "x", *RUN)
    assert "What it printed:\n\n(nothing)\n[it was still running after 0.2 s and was ended; " in told(server, 2)


async def test_a_check_that_is_never_mended_is_no_done(person: Person, server: ScriptedServer) -> None:
    person.configure(CHECK)
    server.script += [answer("", calls=[BREAK]), *[answer("done") for _ in range(4)]]
    run = await person.trusted("-p", "x", *RUN)
    assert (run.code, run.result["status"], run.result["verified"]) == (6, "verify_failed", False)
    assert run.result["reason"] == "'python3 -B test_calc.py' still fails"
    assert len(server.requests) == 5
    ran = [line for line in of(run, "tool.started") if line["call_id"].startswith("check-")]
    assert len(ran) == 1  # nothing was changed since


async def test_a_check_that_nobody_allows_or_that_is_of_other_files_does_not_run(person: Person, server: ScriptedServer) -> None:
    person.configure(f'{CHECK}[checks.other]\ncommand = "touch ran"\nfiles = ["*.js"]\n')
    server.script += [answer("", calls=[BREAK]), answer("done")]
    run = await person.trusted("-p", "x", "--mode", "edits", "--output-format", "stream-json")
    assert (run.code, run.result["verified"], run.result["denied"]) == (0, False, [])
    assert of(run, "warned")[-1]["text"] == "the check own was not run (nobody allows it): python3 -B test_calc.py"
    assert not (person.root / "ran").exists()


async def test_what_is_left_unchecked_and_lying_about_is_told_once(person: Person, server: ScriptedServer) -> None:
    person.reminded = True
    person.configure("")
    (person.root / "pyproject.toml").write_text(PYTEST)
    left = ("shell", {"command": "echo x > out.log; mkdir made; touch made/1 made/2 made/3 made/4; touch named.txt"})
    server.script += [answer("", calls=[left, BREAK]), answer("done; named.txt is wanted"), answer("it is not checked")]
    run = await person.trusted("-p", "x", *RUN)
    assert (run.code, run.result["text"], run.result["verified"]) == (0, "it is not checked", False)
    words = told(server, 2)
    assert "no check has run since you changed `calc.py`." in words
    assert "This project seems to check itself by: python3 -m pytest." in words
    assert "neither tracks nor ignores: `made/ (4 files)`, `out.log`." in words
    [informed] = of(run, "model.informed")
    assert informed["title"] == "the model is told of what is not checked and files that commands left"


async def test_what_was_said_before_it_went_on_is_printed_and_nobody_is_reminded_of_what_was_checked(
    person: Person, server: ScriptedServer
) -> None:
    person.reminded = True
    person.configure("[checks.own]\ncommand = \"grep -q 'a + b' calc.py\"\n")
    (person.root / "pyproject.toml").write_text(PYTEST)
    server.script += [answer("", calls=[BREAK]), answer("done so far"), answer("", calls=[MEND]), answer("mended")]
    run = await person.trusted("-p", "x", "--mode", "yolo")
    assert (run.code, run.out) == (0, "mended\n")
    assert "done so far\n» the check own fails, and the model is told\n" in run.err
    assert "· verified · session" in run.err


async def test_a_check_that_ran_when_all_was_killed_has_an_end_in_the_session_that_goes_on(
    person: Person, server: ScriptedServer
) -> None:
    person.configure('[checks.own]\ncommand = "touch begun; sleep 600"\n')
    server.script += [answer("", calls=[BREAK]), answer("done"), answer("I see")]
    program = await person.start("-p", "x", "--trust", "--mode", "yolo")
    await until(person.root / "begun")
    program.kill()
    await program.wait()
    person.configure("")
    run = await person.trusted("-c", "-p", "go on", *RUN)
    [unknown] = [line for line in of(run, "tool.finished") if line["call_id"] == "check-1-1"]
    assert (run.code, unknown["status"], unknown["subject"]) == (0, "unknown", "touch begun; sleep 600")


async def test_a_check_after_each_edit_is_told_with_the_next_step(person: Person, server: ScriptedServer) -> None:
    person.configure(f'{CHECK}when = "edit"\n')
    server.script += [answer("", calls=[BREAK]), answer("", calls=[MEND]), answer("done")]
    run = await person.trusted("-p", "x", *RUN)
    assert (run.code, run.result["verified"]) == (0, True)
    assert "ran after your last change, and fails with exit code 1" in told(server, 1)
    assert len(of(run, "model.informed")) == 1
