"""What a terminal gets: clean words, colours, and nothing that acts."""

import asyncio
import json
import os
import pty
import re
from codecs import getincrementaldecoder

import pytest

from agent.messages import Call
from tests.fakes import ScriptedServer, answer, failure
from tests.pty import ALL, HOSTILE, SCREEN, hostile_bytes, on_terminal, read_all, watched
from tests.runs import JUMAR, Person


@pytest.mark.parametrize(
    "environment",
    [{"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"COLUMNS": "1", "LINES": "1"}, {"TERM": "dumb"}],
)
async def test_a_poor_terminal_gets_clean_words(person: Person, server: ScriptedServer, environment: dict[str, str]) -> None:
    server.script.extend(
        [answer("打字 \x1b[31mred\x1b[0m", calls=[("read", {"path": "calc.py"})]), answer("打字 \x1b]0;x\x07游戏")]
    )
    run = await person.trusted("-p", "打字游戏", environment=environment)
    assert run.code == 0
    assert "\x1b" not in run.out + run.err
    assert "\x07" not in run.out + run.err
    server.script.append(answer("打字 🎮"))
    run = await person.trusted("-p", "打字游戏", "--output-format", "json", environment=environment)
    assert run.result["text"] == "打字 🎮"


async def test_a_hostile_tool_name_is_made_visible(person: Person, server: ScriptedServer) -> None:
    server.script.extend([answer("", calls=[Call("1", "evil\x1b]0;x\x07", "{}")]), answer("done")])
    run = await person.trusted("-p", "x")
    assert "\x1b" not in run.err
    assert "evil" in run.err


async def test_a_terminal_gets_colours_whole_endings_and_nothing_hostile(person: Person, server: ScriptedServer) -> None:
    name = "evil\x1b]0;x\x07" + "y" * 200
    command = json.dumps({"command": "printf '\\033]0;x\\007\\033[2Jhot\\n'; sleep 2"})
    calls = [Call("0", "shell", command), Call("1", "write", '{"path": "a.txt", "content": "x"}'), Call("2", name, "{}")]
    server.script.extend([answer("think\x1b[2J", calls=calls), answer("done")])
    primary, secondary = pty.openpty()
    program = await asyncio.create_subprocess_exec(
        str(JUMAR),
        *("-p", "x", "--trust", "--mode", "yolo", "--patch", "p.patch"),
        cwd=person.root,
        env={**person.environment, "TERM": "xterm-256color", "COLUMNS": "80"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=secondary,
    )
    os.close(secondary)
    told = await asyncio.to_thread(read_all, primary)
    assert await program.wait() == 0
    # Of escape sequences there are only those that colour, and the one that clears the line.
    assert not re.findall(rb"\x1b(?!\[[0-9;]*m|\[2K)", told)
    assert b"\x07" not in told
    assert b"\x1b[32m" in told
    assert re.search(rb"\r\x1b\[2K\x1b\[2m\xe2\x80\xa6 [^\r]*hot, [1-9] s", told)  # what runs is shown while it runs
    assert b"undo: jumar undo --session " in told
    assert f"session {person.logs[0].stem}".encode() in told


async def test_a_wait_is_shown_with_its_reason_and_what_is_left_of_it(person: Person, server: ScriptedServer) -> None:
    server.script.extend([failure(503, {"error": {"message": "busy as a bee"}}), answer("done")])
    primary, secondary = pty.openpty()
    program = await asyncio.create_subprocess_exec(
        str(JUMAR),
        *("-p", "x", "--trust"),
        cwd=person.root,
        env={**person.environment, "TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=secondary,
    )
    os.close(secondary)
    told = (await asyncio.to_thread(read_all, primary)).decode()
    assert await program.wait() == 0
    assert re.search(
        r"could not answer \(503\): busy as a bee; trying again in 0\.\d s.*waiting to try again, 0 s left", told, re.DOTALL
    )


async def test_a_command_that_hides_something_is_told_as_what_it_is(person: Person, server: ScriptedServer) -> None:
    command = f"echo one{' ' * 500}\u202e; \u0441at x"
    server.script.extend([answer("", calls=[("shell", {"command": command})]), answer("done")])
    run = await person.trusted("-p", "x", "--mode", "yolo")
    assert "▸ shell echo one ␠×500 \\u{202e}; \u0441at x\n" in run.err
    assert "! 1 character made visible\n" in run.err
    assert "! \u0441 is no ASCII: U+0441 CYRILLIC SMALL LETTER ES\n" in run.err


async def test_a_command_that_was_not_allowed_is_told_whole(person: Person, server: ScriptedServer) -> None:
    command = f"curl evil.example/{'a' * 3000}\ncurl last.example{' ' * 99};\trm -rf /tmp/x"
    server.script.extend([answer("", calls=[("shell", {"command": command})]), answer("done")])
    run = await person.trusted("-p", "x")
    assert f"⊘ shell curl evil.example/{'a' * 3000}\n" in run.err
    assert "  curl last.example ␠×99 ;\trm -rf /tmp/x\n" in run.err


async def test_json_on_a_terminal_is_the_same_json_and_nothing_acts(person: Person, server: ScriptedServer) -> None:
    text = "打字 \x1b[2J \x9b2J \u202e \U000e0041"
    server.script.append(answer(text))
    primary, secondary = pty.openpty()
    program = await asyncio.create_subprocess_exec(
        str(JUMAR),
        *("-p", "x", "--trust", "--output-format", "json"),
        cwd=person.root,
        env=person.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=secondary,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(secondary)
    told = (await asyncio.to_thread(read_all, primary)).decode()
    assert await program.wait() == 0
    assert json.loads(told)["text"] == text
    assert not set(told) & {"\x1b", "\x9b", "\u202e", "\U000e0041"}
    assert "打字" in told


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_scan_finds_what_would_act_or_hide(text: str) -> None:
    assert bool(hostile_bytes(f"before {text} after\r\n".encode())) is (text != HOSTILE["markup"])


def test_the_scan_lets_pass_what_is_ours() -> None:
    told = "\r\x1b[2K\x1b[2m… running, 1 s\x1b[0m\r\n打字 \U0001f469\u200d\U0001f4bb ␛[2K\ttab\r\n".encode()
    assert not hostile_bytes(told)
    assert not hostile_bytes(b"\x1b[?1049h\x1b[?25l\x1b[1;1H" + told, SCREEN)
    assert hostile_bytes(b"\x1b[?1049h" + told)


async def test_nothing_hostile_of_a_run_reaches_the_terminal(hostile: Person, server: ScriptedServer) -> None:
    calls: list[Call | tuple[str, dict[str, object]]] = [
        ("read", {"path": "cl\x1b[2J.py"}),
        ("read", {"path": f"no-such-file {ALL}"}),
        ("search", {"pattern": "x = "}),
        ("find", {"glob": "**/*.py"}),
        ("plan", {"items": [{"text": ALL, "state": "doing"}]}),
        ("shell", {"command": f"cat hostile.txt; sleep 0.3; : '{HOSTILE['clear']}{HOSTILE['tags']}'"}),
        ("edit", {"path": "over\rwritten.py", "old": "x = 1", "new": f"x = '{ALL}'"}),
        ("write", {"path": "new\x1b]52;c;x\x07.py", "content": ALL}),
        Call("last", f"tool {ALL}", "{}"),
    ]
    for style in ("text", "json", "stream-json"):
        server.script.extend([answer(f"thinking {ALL}", calls=calls, reasoning=ALL), answer(f"done {ALL}")])
        shown = await on_terminal(
            *("-p", f"prompt {ALL}", "--trust", "--mode", "yolo", "-m", f"model {HOSTILE['title']}"),
            *("--output-format", style),
            cwd=hostile.root,
            environment=hostile.environment,
        )
        assert shown.code == 0, shown.text
        assert not hostile_bytes(shown.raw)
        assert "[@click=app.quit]x[/] [/foo]" in shown.text  # to us that is text
    server.script.append(failure(400, {"error": {"message": f"no {ALL}", "type": ALL}}))
    shown = await on_terminal("-p", "x", "--trust", cwd=hostile.root, environment=hostile.environment)
    assert shown.code == 1
    assert "]52;c;" in shown.text
    assert not hostile_bytes(shown.raw)


async def test_nothing_hostile_of_what_was_done_reaches_the_terminal_of_a_command(
    hostile: Person, server: ScriptedServer
) -> None:
    calls: list[Call | tuple[str, dict[str, object]]] = [
        ("edit", {"path": "cl\x1b[2J.py", "old": "x = 1", "new": f"x = '{ALL}'"}),
        ("shell", {"command": f"git stash -q; git stash pop -q; rm 'over\rwritten.py'; : '{HOSTILE['clear']}'"}),
        ("write", {"path": "bidi\u202e/new\x1b]52;c;x\x07.py", "content": ALL}),
    ]
    server.script.extend([answer("", calls=calls), answer("done")])
    run = await hostile.trusted("-p", f"prompt {ALL}", "--mode", "yolo")
    assert run.code == 0, run.err
    session = hostile.logs[-1].stem
    acting = {}
    for arguments in (
        ("actions",),
        ("actions", "--json"),
        ("show", "1"),
        ("show", "2"),
        ("diff", "1..3"),
        ("diff", "1..3", "--stat"),
        ("why", "cl\x1b[2J.py:1"),
        ("why", f"no-such {ALL}:1"),
        ("undo", "--dry-run", "--session", session),
        ("undo", f"no-such {ALL}"),
        ("rescue",),
        ("sessions",),
        ("sessions", "--json"),
        ("rules",),
        ("rules", "explain", f"cat {ALL}"),
        ("rules", "explain", ALL, "--json"),
        ("status",),
        ("status", "--json"),
        ("trust", "--list"),
        ("trust", "--remove", f"no {ALL}"),
        ("ledger", "verify"),
        ("ledger", "export", f"branch {HOSTILE['title']}"),
        ("endpoints",),
        ("endpoints", "--json"),
        ("doctor", "-m", f"model {ALL}"),
        ("record", session),
        ("replay", f"no-such {ALL}"),
        ("login", f"no-such {ALL}"),
        ("no-such-command " + ALL,),
        ("-p", "x", "--no-such-option " + ALL),
        ("-p", "x", "-C", "no-such " + ALL),
        ("-p", "x"),
    ):
        shown = await on_terminal(*arguments, cwd=hostile.root, environment=hostile.environment)
        if found := hostile_bytes(shown.raw):
            acting[arguments] = found[:3]
    assert not acting


@pytest.mark.parametrize(("mode", "words"), [("edits", "May it?"), ("yolo", "finis")])
async def test_nothing_hostile_reaches_the_terminal_of_the_screen(
    hostile: Person, server: ScriptedServer, mode: str, words: str
) -> None:
    calls: list[Call | tuple[str, dict[str, object]]] = [
        ("read", {"path": "cl\x1b[2J.py"}),
        ("plan", {"items": [{"text": ALL, "state": "doing"}]}),
        ("edit", {"path": "cl\x1b[2J.py", "old": "x = 1", "new": f"x = '{ALL}'"}),
        ("shell", {"command": f"cat hostile.txt; : '{HOSTILE['clear']}{HOSTILE['bidi']}'"}),
    ]
    server.script.extend([answer(f"thinking {ALL}", calls=calls, reasoning=ALL), answer(f"# done\n\n{ALL}\n\nfinis\n")])
    model = f"model {HOSTILE['title']}"
    arguments = ("--trust", "--mode", mode, "-m", model)
    async with watched(*arguments, cwd=hostile.root, environment=hostile.environment) as screen:
        await screen.sees("model")
        screen.types(f"do it {HOSTILE['bidi']}\r".encode())
        await screen.sees(words)
        # What is not all there yet is no character, and no sequence.
        came = getincrementaldecoder("utf-8")("surrogateescape").decode(screen.raw)
        told = re.sub(r"\x1b(?:[^a-zA-Z]*|\][^\x07\x1b]*)\Z", "", came).encode("utf-8", "surrogateescape")
    assert "thinking" in told.decode("utf-8", "replace")
    assert not hostile_bytes(told, SCREEN)
