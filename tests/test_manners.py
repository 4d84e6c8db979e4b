"""The screen's manners: any size of the window, the background and back, a terminal that goes away, a fault of its own."""

import asyncio
import stat
import sys

from tests.fakes import ScriptedServer, answer
from tests.pty import HOSTILE, SCREEN, Watched, hostile_bytes, watched
from tests.runs import JUMAR, Person, ended_all, is_running
from tests.screens import screen_of
from tui.asking import DEAF
from tui.desk import Choice

_WRITES = ("write", {"path": "a.txt", "content": "one\n"})


async def test_every_width_shows_the_answer_and_the_prompt(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("All is **well**.\n\n```python\nx = 1\n```\n"))
    async with screen_of(person) as screen:
        await screen.say("how are you?")
        await screen.see("All is well.")
        for width in (60, 200, 79, 100, 99, 40):
            await screen.pilot.resize_terminal(width, 24)
            await screen.until(lambda width=width: screen.app.size.width == width)  # type: ignore[misc]
            await screen.see("All is well.", "What shall be done?", "mode")
            assert all(len(line) <= width for line in screen.text.split("\n"))


async def test_a_window_that_is_too_small_says_so_and_takes_no_answer(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[_WRITES]), answer("Done.")]
    async with screen_of(person, mode="ask") as screen:
        await screen.say("write it")
        await screen.see("May it?")
        await screen.pilot.resize_terminal(20, 5)
        await screen.see("small: 20×5. 40×10")
        await asyncio.sleep(DEAF)
        await screen.pilot.press("a")
        assert screen.app.story.waiting
        await screen.pilot.resize_terminal(1, 1)
        await screen.pilot.resize_terminal(80, 24)
        await screen.see("May it?", "a allow")  # which it says once all of it was seen
        await screen.heard()
        await screen.pilot.press("a")
        await screen.see("Done.")


async def test_a_window_that_is_small_from_the_beginning_comes_up_once_there_is_room(person: Person) -> None:
    async with screen_of(person, size=(20, 5)) as screen:
        await screen.see("small: 20×5")
        await screen.pilot.resize_terminal(100, 30)
        await screen.see("What shall be done?")
        await screen.say("/help")
        await screen.see("What can be typed")
        await screen.pilot.resize_terminal(20, 5)
        await screen.see("small: 20×5")
        await screen.pilot.resize_terminal(100, 30)
        await screen.see("What can be typed")


async def ended(screen: Watched) -> int:
    """Wait until the program ended by itself; return its exit code."""
    async with asyncio.timeout(10):
        return await screen.program.wait()


async def test_a_terminal_that_goes_away_ends_what_runs_and_loses_nothing(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("I sleep.", calls=[("shell", {"command": "echo $$ > pid; echo rea''dy; exec sleep 300"})]))
    pid = person.root / "pid"
    async with watched("--trust", "--mode", "yolo", cwd=person.root, environment=person.environment) as screen:
        await screen.sees("yolo mode")
        screen.types(b"sleep long\r")
        await screen.sees("ready")
        assert is_running(int(pid.read_text()))
        screen.hang_up()
        assert await ended(screen) == 129
    assert await ended_all(int(pid.read_text()))
    async with screen_of(person, choice=Choice(resume="-")) as again:
        await again.see("❯ sleep long", "I sleep.", "shell echo $$ > pid", "stopped")


async def test_a_terminal_that_goes_away_unsaid_while_much_is_drawn_holds_nobody(person: Person, server: ScriptedServer) -> None:
    command = "echo $$ > pid; while :; do echo rea''dy $((n+=1)); sleep 0.01; done"
    server.script.append(answer("", calls=[("shell", {"command": command})]))
    async with watched("--trust", "--mode", "yolo", cwd=person.root, environment=person.environment, first=False) as screen:
        await screen.sees("yolo mode")
        screen.types(b"count\r")
        await screen.sees("ready")
        screen.hang_up()
        assert await ended(screen) == 129
    assert await ended_all(int((person.root / "pid").read_text()))


async def test_a_terminal_that_can_show_nothing_gets_one_line(person: Person) -> None:
    shell = ("sh", "-c", f"TERM=dumb exec {JUMAR} --trust")
    async with watched(cwd=person.root, environment=person.environment, program=shell) as screen:
        assert await ended(screen) == 2
        await screen.sees("use jumar -p PROMPT")
    assert b"\x1b" not in screen.raw


async def test_ctrl_z_gives_the_shell_back_and_fg_brings_all_of_it_back(person: Person, server: ScriptedServer) -> None:
    command = "echo rea''dy; while [ ! -e go ]; do sleep 0.02; done; echo fin''ished"
    server.script += [answer("", calls=[("shell", {"command": command})]), answer("All is over.")]
    shell = ("bash", "--norc", "--noprofile", "-i")
    async with watched(cwd=person.root, environment=person.environment, program=shell) as screen:
        screen.types(f"{JUMAR} --trust --mode yolo\r".encode())
        await screen.sees("yolo mode")
        screen.types(b"\x1a")
        await screen.sees("Stopped")
        at = len(screen.raw)
        screen.types(b"fg\r")
        await screen.sees("yolo mode", at)  # all of it, though nothing has changed
        at = len(screen.raw)
        screen.types(b"go on\r")
        await screen.sees("ready")
        screen.types(b"\x1a")
        await screen.sees("Stopped", at)
        assert b"\x1b[?1049l" in screen.raw
        assert screen.raw.rindex(b"\x1b[23;2t") < screen.raw.rindex(b"Stopped")
        at = len(screen.raw)
        screen.types(b"echo al''ive; touch go; fg\r")
        await screen.sees("alive", at)
        await screen.sees("\x1b[?1049h", at)
        await screen.sees("go on", at)
        await screen.sees("All is over.", at)
        await screen.sees("\x1b]2;jumar · repository", at)
        at = len(screen.raw)
        screen.types(b"/quit\r")
        await screen.sees("\x1b[?1049l", at)
        await screen.sees("bash-", at)  # what is typed before the terminal is the shell's again is nobody's
        screen.types(b"exit\r")
        await ended(screen)


async def test_without_a_shell_ctrl_z_leaves_jumar_where_it_is(person: Person, server: ScriptedServer) -> None:
    async with watched("--trust", cwd=person.root, environment=person.environment) as screen:
        await screen.sees("ask mode")
        screen.types(b"\x1a")
        await screen.sees("that could bring it back")


_FAULTY = """
import os, sys
from tui.status import StatusLine
def tell(self, standing):
    key = os.environ["JUMAR_API_KEY"]
    raise ValueError(f"no {key} " + os.environ["HOSTILE"])
StatusLine.tell = tell
from jumar.__main__ import main
sys.exit(main())
"""


_UNSEEN = """
import asyncio, sys
from tui.status import StatusLine
tell = StatusLine.tell
async def fail():
    raise ZeroDivisionError("nobody waits")
def tell_and_fail(self, standing):
    StatusLine.tell = tell
    asyncio.create_task(fail())
    tell(self, standing)
StatusLine.tell = tell_and_fail
from jumar.__main__ import main
sys.exit(main())
"""


async def test_a_fault_of_what_nobody_waits_for_is_told_at_once_and_at_the_end(person: Person) -> None:
    program = (sys.executable, "-c", _UNSEEN)
    async with watched("--trust", cwd=person.root, environment=person.environment, program=program) as screen:
        await screen.sees("ZeroDivisionError: nobody waits")
        assert len(list(person.home.rglob("crash-*.txt"))) == 1
        screen.types(b"/quit\r")
        assert await ended(screen) == 1
    assert b"jumar itself failed: ZeroDivisionError" in screen.raw[screen.raw.rindex(b"\x1b[23;2t") :]
    assert len(list(person.home.rglob("crash-*.txt"))) == 1


async def test_a_fault_of_ours_is_told_in_one_line_and_the_rest_is_kept(person: Person, server: ScriptedServer) -> None:
    hostile = {"HOSTILE": HOSTILE["clear"] + HOSTILE["clipboard"] + HOSTILE["bidi"]}
    async with watched(
        "--trust", cwd=person.root, environment={**person.environment, **hostile}, program=(sys.executable, "-c", _FAULTY)
    ) as screen:
        assert await ended(screen) == 1
        await screen.sees("goes on with it")
    assert not hostile_bytes(bytes(screen.raw), SCREEN)
    told = screen.raw[screen.raw.rindex(b"\x1b[23;2t") :].decode()
    assert "jumar itself failed: ValueError: no " in told
    assert f"jumar -r {person.logs[0].stem} goes on with it" in " ".join(told.split())
    assert "Traceback" not in screen.raw.decode("utf-8", "replace")
    [kept] = person.home.rglob("crash-*.txt")
    text = kept.read_text()
    assert "Traceback" in text
    assert "in tell" in text
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "sk-of-the-test" not in told + text
    assert not hostile_bytes(text.encode())
