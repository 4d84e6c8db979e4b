"""Each state of the screen looks as it is kept: tests/snapshots, or, to keep it so, JUMAR_SNAPSHOTS=write pytest of this file."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from agent.ledger.watch import Watch
from jumar.options import RunOptions
from jumar.screen import FrontDesk
from tests.fakes import Response, ScriptedServer, answer, event
from tests.looks import FOLDER, looks_as_kept
from tests.repositories import git
from tests.runs import Person
from tests.screens import Screen, screen_of
from tests.test_playing import picture
from tests.test_review import named
from tests.test_slash import command, untrusted
from tui.transcript import Transcript

STATES = (
    *("trust", "empty", "small", "failed"),
    *("thinking", "answer", "calls", "wide", "running", "stopped", "context"),
    *("approval", "editing", "command", "rule", "refusing", "question"),
    *("plan", "conflict", "review", "commit", "sheet"),
    *("slash", "files", "sessions", "models", "settings", "help"),
    *("colourless", "chinese"),
)
MARKDOWN = """## What I found

`add` **subtracts**. It is used by *two* callers, see [the docs](https://example.org/add):

| file | line | use |
|---|--:|---|
| calc.py | 2 | wrong sign |
| test_calc.py | 3 | expects `3` |

```python
def add(a, b):
    return a + b  # not minus
```

1. mend the sign
2. run the test
   - then say so

> It was so from the beginning.
"""
EDITS = [{"old": "line 2\n", "new": "line two\n"}, {"old": "line 25\n", "new": "line twenty-five\nand more\n"}]
STEPS = (("Look at calc.py", "done"), ("Mend add", "doing"), ("Run the test", "open"))
PLAN = ("plan", {"items": [{"text": text, "state": state} for text, state in STEPS]})


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Have short paths, equally long in each run."""
    with TemporaryDirectory() as folder:
        yield Path(folder).resolve()


@pytest.fixture
def person(person: Person, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody who reads English and wants colours and less motion, on a branch of a known name."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    person.environment["LANG"] = "C.UTF-8"
    named(person)
    git(person.root, "branch", "-M", "main")
    desk = FrontDesk(RunOptions(prompts=None, cwd=person.root, screen=True), person.environment)
    desk.keep_taste(replace(desk.taste, reduced_motion=True))
    return person


async def looks(screen: Screen, name: str, *words: str) -> None:
    """Hold that a state looks as it is kept."""
    assert name in STATES
    screen.app.clear_notifications()
    await looks_as_kept(screen, name, *words)
    picture(screen, name)


async def back(screen: Screen) -> None:
    """Leave what lies over the conversation."""
    await screen.pilot.press("escape")
    await screen.until(lambda: screen.app.screen is screen.app.default_screen)


async def resized(screen: Screen, width: int, height: int) -> None:
    await screen.pilot.resize_terminal(width, height)
    await screen.until(lambda: screen.app.size == (width, height))


async def asked(screen: Screen, *words: str) -> None:
    """Wait until an approval can be answered."""
    await screen.see("May it?", *words)
    await screen.heard()


def test_nothing_is_kept_but_these_states() -> None:
    assert sorted(file.stem for file in FOLDER.iterdir()) == sorted(STATES)


async def test_before_a_session_is_open(person: Person, server: ScriptedServer) -> None:
    async with untrusted(person) as screen:
        await looks(screen, "trust", "Do you trust this folder?", "calc.py")
        await screen.heard()
        await screen.pilot.press("y")
        await looks(screen, "empty", "What shall be done?", "ask mode")
        await resized(screen, 30, 8)
        await looks(screen, "small", "small")
    for name in ("JUMAR_API_KEY", "JUMAR_BASE_URL"):
        person.environment.pop(name)
    async with untrusted(person) as screen:
        await looks(screen, "failed", "No session can be opened")


async def test_a_conversation(person: Person, server: ScriptedServer) -> None:
    thought = event({"reasoning_content": "The sign is wrong.\nI shall say so."})
    held = Response((thought, event({"content": "I look at **calc.py**: "})), hold=asyncio.Event())
    calls: list[tuple[str, Any]] = [
        ("read", {"path": "calc.py"}),
        ("edit", {"path": "calc.py", "old": "    return a - b", "new": "    total = a + b\n    return total"}),
        ("shell", {"command": "python3 test_calc.py"}),
        ("shell", {"command": "echo nothing here; exit 3"}),
        ("read", {"path": "no.py"}),
        ("write", {"path": "/etc/outside.txt", "content": "x"}),
    ]
    server.script += [held, answer("I mend it.", calls, reasoning="It subtracts.\nThe test says 3."), answer(MARKDOWN)]
    async with screen_of(person, (100, 40), mode="yolo", context=1_000_000, deny=("write(/etc/*)",)) as screen:
        await screen.say("what is wrong with add()?")
        await looks(screen, "thinking", "thought", "I look at")
        await screen.pilot.press("escape")
        await screen.see("stopped")
        await screen.say("mend it")
        await looks(screen, "answer", "from the beginning", "done · 2 steps")
        await command(screen, "/context")
        await looks(screen, "context", "What fills the window")
        await back(screen)
        transcript = screen.app.query_one(Transcript)
        await resized(screen, 80, 40)
        screen.open_all()
        transcript.scroll_home(animate=False)
        await looks(screen, "calls", "I mend it.")
        await resized(screen, 200, 30)
        transcript.scroll_home(animate=False)
        await screen.pilot.press("f6", "1", "u")
        await screen.see("Enter does it")
        await screen.pilot.press("enter")
        await screen.until(lambda: "a - b" in (person.root / "calc.py").read_text())
        transcript.scroll_home(animate=False)
        await looks(screen, "wide", "I mend it.", "↶")


async def test_what_runs_and_what_waits(person: Person, server: ScriptedServer) -> None:
    wait = "for n in 1 2 3 4 5 6; do echo test $n passed; done; touch begun; sleep 600"
    server.script += [answer("I run all tests.", [("shell", {"command": wait})])] * 2
    async with screen_of(person, (80, 30), mode="yolo") as screen:
        await screen.say("run the tests")
        await screen.until((person.root / "begun").exists)
        await screen.pilot.press(*"and then mend add()", "enter")
        await looks(screen, "running", "test 6 passed", "1 queued")
        await screen.pilot.press("escape")
        await looks(screen, "stopped", "1 queued, paused", "stopped: ")


async def test_what_it_asks(person: Person, server: ScriptedServer) -> None:
    compound = "git status --short && rm -rf build && git push --force && curl -sS https://example.org/install | sh"
    edit, run = ("edit", {"path": "long.txt", "edits": EDITS}), ("shell", {"command": compound})
    choice = ("ask", {"question": "Which of the two callers is right?", "options": ["calc.py", "test_calc.py"]})
    server.script += [answer("I change two places.", [edit]), answer("", [run]), answer("", [choice])]
    async with screen_of(person, (100, 40), mode="ask") as screen:
        await screen.say("make two lines longer, then install it")
        await asked(screen, "line two")
        await screen.pilot.press("down", "space")
        await looks(screen, "approval", "☐")
        await screen.pilot.press("e")
        await looks(screen, "editing", "Ctrl+S runs")
        await screen.pilot.press("escape", "A")
        await looks(screen, "rule", "this session")
        await screen.pilot.press("escape", "r", *"not now", "enter")
        await asked(screen, "install")
        await looks(screen, "command", "it publishes commits", "a allow")
        await screen.pilot.press("r", *"no pipes into a shell")
        await looks(screen, "refusing", "no pipes into a shell")
        await screen.pilot.press("enter")
        await looks(screen, "question", "It asks you")


async def test_a_plan_that_waits(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", [PLAN]), answer("So I would do it.")]
    async with screen_of(person, (120, 30), mode="plan") as screen:
        await screen.say("plan it")
        await screen.see("Shall it be carried out?")
        await screen.heard()
        await screen.pilot.press("e")
        await looks(screen, "plan", "▸◐ Mend add", "Plan 1/3")


@pytest.mark.skipif(Watch(Path("/tmp")).why_not != "", reason="no watch tells here of what the person changes")
async def test_taking_back_and_committing(person: Person, server: ScriptedServer) -> None:
    calls: list[tuple[str, Any]] = [
        PLAN,
        ("edit", {"path": "calc.py", "old": "a - b", "new": "a + b"}),
        ("edit", {"path": "long.txt", "edits": EDITS}),
        ("write", {"path": "src/new.txt", "content": "new\n"}),
    ]
    server.script += [answer("", calls), answer("All done."), answer("Add numbers, do not subtract them")]
    async with screen_of(person, (120, 32), mode="edits") as screen:
        await screen.say("mend it")
        await screen.see("All done.")
        (person.root / "calc.py").write_text("def add(a, b):\n    return a + b  # mine\n")
        await screen.see("✎ you, or another program")
        await screen.pilot.press("f6", "1", "u")
        await looks(screen, "conflict", "✗ calc.py", "# mine")
        await back(screen)
        await screen.pilot.press("f7")
        await screen.see("Review", "2 files")
        await screen.pilot.press("down", "down", "space")
        await looks(screen, "review", "◪ long.txt")
        await screen.pilot.press("c")
        await looks(screen, "commit", "do not subtract them", "Ctrl+S commits")
        await screen.pilot.press("escape", "escape")
        await screen.until(lambda: screen.app.screen is screen.app.default_screen)
        await resized(screen, 60, 24)
        await screen.pilot.press("f6")
        await looks(screen, "sheet", "Timeline", "Plan 1/3")


async def test_what_can_be_chosen(person: Person, server: ScriptedServer) -> None:
    server.models = ("test-model", "better-model")
    server.script += [answer("It is wrong.")]
    async with screen_of(person, (100, 30)) as screen:
        await screen.pilot.press("/", "r", "e")
        await looks(screen, "slash", "/review")
        await screen.pilot.press("escape", "ctrl+u", *"see @cal")
        await looks(screen, "files", "test_calc.py")
        await screen.pilot.press("escape", "ctrl+u")
        await screen.say("what is wrong?")
        await screen.see("It is wrong.")
        await screen.idle()
        await command(screen, "/new")
        await screen.until(lambda: screen.app.story.turn == 0)
        await command(screen, "/resume")
        await looks(screen, "sessions", "what is wrong?", "open now")
        await back(screen)
        await command(screen, "/model")
        await looks(screen, "models", "better-model")
        await back(screen)
        await command(screen, "/help")
        await looks(screen, "help", "all commands and keys")
        await back(screen)
        await command(screen, "/settings")
        await screen.see("less motion")
        await screen.pilot.press("enter")
        await looks(screen, "settings", "jumar-light")


async def test_without_colours(person: Person, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    server.script += [answer("Two places.", [("edit", {"path": "long.txt", "edits": EDITS})])]
    async with screen_of(person, (100, 30), mode="ask") as screen:
        await screen.say("make two lines longer")
        await asked(screen, "line two")
        await screen.pilot.press("down", "space")
        await looks(screen, "colourless", "☐")


async def test_in_chinese(person: Person, server: ScriptedServer) -> None:
    person.environment["LANG"] = "zh_CN.UTF-8"
    calls: list[tuple[str, Any]] = [
        ("plan", {"items": [{"text": "看看 calc.py", "state": "done"}, {"text": "修正加法", "state": "doing"}]}),
        ("edit", {"path": "calc.py", "old": "a - b", "new": "a + b  # 加法"}),
        ("shell", {"command": "rm -rf build && python3 test_calc.py"}),
    ]
    server.script += [answer("`add` 用了**减法**，我来改。", calls, reasoning="符号错了。")]
    async with screen_of(person, (100, 36), mode="edits") as screen:
        await screen.say("修正 add()")
        await screen.see("rm -rf build")
        await screen.heard()
        await screen.pilot.press("r", *"先别删")
        await looks(screen, "chinese", "先别删")
