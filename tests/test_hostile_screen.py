"""Nothing hostile is seen on any part of the screen, wherever it comes from."""

import json

from textual import events

from agent.messages import Call
from jumar.options import RunOptions
from jumar.screen import FrontDesk
from tests.fakes import ScriptedServer, answer, failure
from tests.pty import ALL, HOSTILE, hostile_bytes
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui.app import JumarApp
from tui.desk import Choice
from tui.prompt import Prompt
from tui.timeline import Timeline


async def clean(screen: Screen, *words: str) -> None:
    """Wait until the words can be seen; nothing hostile can."""
    await screen.see(*words)
    seen = hostile_bytes(screen.text.encode("utf-8", "surrogatepass"), ())
    assert not seen, (words, seen[:3])


async def command(screen: Screen, typed: str) -> None:
    """Give a command."""
    screen.app.query_one(Prompt).put(typed)
    screen.app.query_one(Prompt).focus()
    await screen.pilot.press("enter")


async def back(screen: Screen) -> None:
    """Leave what lies over the conversation."""
    await screen.pilot.press("escape")
    await screen.until(lambda: screen.app.screen is screen.app.default_screen)


_ACTS: tuple[Call | tuple[str, dict[str, object]], ...] = (
    ("plan", {"items": [{"text": ALL, "state": "doing"}, {"text": f"then {ALL}", "state": "open"}]}),
    ("edit", {"path": "cl\x1b[2J.py", "old": "x = 1", "new": f"x = '{ALL}'"}),
    ("write", {"path": "new\x1b]52;c;x\x07\u202e.py", "content": ALL}),
    ("shell", {"command": f"cat hostile.txt; : '{HOSTILE['clear']}{HOSTILE['bidi']}'"}),
    ("read", {"path": f"no-such-file {ALL}"}),
)


async def test_nothing_hostile_of_what_was_done_is_seen_anywhere_on_the_screen(hostile: Person, server: ScriptedServer) -> None:
    server.script += [answer(f"thinking {ALL}", calls=list(_ACTS), reasoning=ALL), answer(f"# done\n\n{ALL}\n\nfinis\n")]
    async with screen_of(hostile, size=(120, 50), mode="yolo") as screen:
        await command(screen, f"do it {ALL}")
        await clean(screen, "finis", "Timeline", "Plan", "branch")
        screen.open_all()
        await clean(screen, "finis")
        for keys, words in (("enter", "u undo"), ("u", "Enter does it")):
            screen.app.query_one(Timeline).focus()
            await screen.pilot.press("home", "down", "down", keys)
            await clean(screen, words)
            await back(screen)
        await command(screen, "/review")
        await clean(screen, "all changes of this session", "cl")
        await screen.pilot.press("down", "right", "space")
        await clean(screen, "Enter takes back what is not marked")
        await screen.pilot.press("escape")
        await command(screen, "/status")
        await clean(screen, "What holds")


async def test_nothing_hostile_that_waits_for_the_person_is_seen_on_the_screen(hostile: Person, server: ScriptedServer) -> None:
    question = ("ask", {"question": f"which? {ALL}", "options": [f"one {ALL}", f"two {ALL}"]})
    shell = ("shell", {"command": f"touch z; : '{ALL}'"})
    server.script += [answer("", calls=[question]), answer("", calls=[shell])]
    server.script += [answer("", calls=[_ACTS[1]]), answer("finis")]
    async with screen_of(hostile, size=(120, 50), mode="ask") as screen:
        await command(screen, "do it")
        await clean(screen, "It asks you", "two")
        await screen.heard()
        await screen.pilot.press("1", "enter")
        await clean(screen, "May it?", "touch z")
        await screen.heard()
        await screen.pilot.press("pagedown", "pagedown", "e")
        await clean(screen, "Ctrl+S runs what stands here")
        await screen.pilot.press("escape", "A")
        await clean(screen, "No rule could cover this")
        await screen.pilot.press("r")
        await clean(screen, "Why not?", "Enter refuses")
        await screen.pilot.press("enter")
        await clean(screen, "May it?", "cl")
        await screen.heard()
        await screen.pilot.press("pagedown", "a")
        await clean(screen, "finis")


async def test_nothing_hostile_that_can_be_chosen_is_seen_on_the_screen(hostile: Person, server: ScriptedServer) -> None:
    server.models = [f"model {ALL}", "other\x1b]0;x\x07"]
    hostile.configure(f"allow = [{json.dumps('shell(cat ' + HOSTILE['c1'] + HOSTILE['bidi'] + ' *)')}]\n")
    server.script += [answer("finis"), failure(400, {"error": {"message": f"no {ALL}", "type": ALL}})]
    async with screen_of(hostile, size=(120, 50), mode="ask") as screen:
        await command(screen, f"remember {ALL}")
        await clean(screen, "finis")
        await command(screen, f"/rename {ALL}")
        await clean(screen, "another title")
        for typed, words in (
            ("/model", "other"),
            ("/resume", "type to search"),
            ("/rules", "shell(cat"),
        ):
            await command(screen, typed)
            await clean(screen, words)
            await back(screen)
        for typed, words in (
            (f"/nothing {ALL}", "there is no command"),
            (f"/{ALL}", "there is no command"),
            (f"/undo {ALL}", "there is no action"),
            (f"/theme {ALL}", "there is no theme"),
            (f"/resume {ALL}", "there is no session"),
        ):
            screen.app.clear_notifications()
            await command(screen, typed)
            await clean(screen, words)
        screen.app.query_one(Prompt).put("")
        await screen.pilot.press(*"@.py")
        await clean(screen, "bidi")
        await screen.pilot.press("escape", "ctrl+u", "ctrl+r")
        await clean(screen, "remember")
        await screen.pilot.press("escape", "ctrl+u")
        await command(screen, f"!echo shown; echo '{HOSTILE['c1']}'; cat hostile.txt")
        await clean(screen, "shown")
        await command(screen, f"fail {ALL}")
        await clean(screen, "failed")


async def test_nothing_hostile_that_waits_or_was_pasted_is_seen_on_the_screen(hostile: Person, server: ScriptedServer) -> None:
    waits = ("shell", {"command": "while [ ! -e go ]; do sleep 0.02; done"})
    server.script += [answer("", calls=[waits]), answer("finis"), answer("and this")]
    async with screen_of(hostile, size=(120, 50), mode="yolo") as screen:
        prompt = screen.app.query_one(Prompt)
        await command(screen, "begin")
        await screen.see("shell while")
        prompt.post_message(events.Paste(ALL))
        await screen.until(lambda: prompt.text)
        await screen.pilot.press("enter")
        await clean(screen, "1 queued")
        prompt.post_message(events.Paste(f"{ALL}\n" * 40))
        await clean(screen, "[pasted #")
        (hostile.root / "go").touch()
        await clean(screen, "and this")


async def test_nothing_hostile_of_a_folder_that_is_not_trusted_is_seen_on_the_screen(hostile: Person) -> None:
    desk = FrontDesk(RunOptions(prompts=None, cwd=hostile.root, screen=True), hostile.environment)
    app = JumarApp(desk, Choice())
    async with app.run_test(size=(100, 30)) as pilot:
        await clean(Screen(app, pilot), "Do you trust this folder?", "line")
    await desk.close()
