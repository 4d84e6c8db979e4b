"""The timeline tells what happened, and any of it is taken back from the keyboard, whole or in parts."""

import asyncio
from pathlib import Path

from tests.fakes import Response, ScriptedServer, answer, event
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui.acts import Act
from tui.desk import Choice
from tui.timeline import Timeline

LINES = "".join(f"line {number}\n" for number in range(1, 31))


def edit(path: str, old: str, new: str) -> tuple[str, dict[str, str]]:
    return "edit", {"path": path, "old": old, "new": new}


def acts(screen: Screen) -> list[Act]:
    """Return the acts that are listed."""
    return [row for row in screen.app.query_one(Timeline).acts.rows if isinstance(row, Act)]


def states(screen: Screen) -> list[tuple[str, str]]:
    return [(act.number, act.state) for act in acts(screen)]


async def worked(screen: Screen, server: ScriptedServer, *calls: tuple[str, dict[str, str]]) -> None:
    """Let a model make these calls, one a step."""
    server.script += [*(answer("", calls=[call]) for call in calls), answer("All done.")]
    await screen.say("work")
    await screen.see("All done.")
    await screen.idle()


async def changing(screen: Screen, file: Path, text: str) -> None:
    """Wait until a file holds this text."""
    await screen.until(lambda: file.exists() and file.read_text() == text)


async def test_the_second_of_five_actions_is_undone_and_redone_with_three_keys_each(
    person: Person, server: ScriptedServer
) -> None:
    async with screen_of(person, mode="edits") as screen:
        calls = [("write", {"path": f"{name}.txt", "content": f"{name}\n"}) for name in "abcde"]
        await worked(screen, server, *calls)
        assert states(screen) == [(str(number), "done") for number in range(1, 6)]
        await screen.pilot.press("f6", "2", "u")
        await screen.see("Undo 2", "b.txt", "is removed", "Enter does it")
        assert (person.root / "b.txt").exists()
        await screen.pilot.press("enter")
        await screen.until(lambda: not (person.root / "b.txt").exists())
        await screen.until(lambda: ("2", "undone") in states(screen))
        await screen.see("↶ 2 write b.txt")
        assert [(person.root / f"{name}.txt").exists() for name in "acde"] == [True] * 4
        await screen.pilot.press("R")
        await changing(screen, person.root / "b.txt", "b\n")
        await screen.until(lambda: ("2", "redone") in states(screen))
        await screen.see("↷ 2 write b.txt")


async def test_one_hunk_of_an_action_is_undone_to_the_byte_and_brought_back(person: Person, server: ScriptedServer) -> None:
    file = person.root / "long.txt"
    file.write_text(LINES)
    after = LINES.replace("line 2\n", "two\n").replace("line 25\n", "twenty-five\n")
    edits = [{"old": "line 2\n", "new": "two\n"}, {"old": "line 25\n", "new": "twenty-five\n"}]
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server, ("edit", {"path": "long.txt", "edits": edits}))  # type: ignore[dict-item]
        assert file.read_text() == after
        file.write_text(after.replace("line 12\n", "mine\n"))
        await screen.pilot.press("f6", "u")
        await screen.see("Enter does it", "twenty-five")
        await screen.pilot.press("down", "space")  # the first hunk stays
        await screen.see("☐ @@")
        await screen.see("Enter does it")
        await screen.pilot.press("enter")
        mine = LINES.replace("line 2\n", "two\n").replace("line 12\n", "mine\n")
        await changing(screen, file, mine)
        await screen.until(lambda: acts(screen)[-1].tool == "undo")
        await screen.until(lambda: ("1", "partly_undone") in states(screen))
        await screen.see("↶ edit long.txt", "partly undone  #1")
        await screen.pilot.press("R")
        await changing(screen, file, after.replace("line 12\n", "mine\n"))
        await screen.until(lambda: ("1", "redone") in states(screen))
        server.script.append(answer("I see."))
        await screen.say("and?")
        await screen.see("I see.")
    told = server.requests[-1].decode()
    assert "took back parts of what was changed" in told
    assert "-twenty-five" in told


async def test_keys_are_for_a_hunk_that_is_seen_and_a_plan_that_is_made_goes_on(person: Person, server: ScriptedServer) -> None:
    (person.root / "long.txt").write_text(LINES)
    edits = [{"old": "line 2\n", "new": "two\n"}, {"old": "line 25\n", "new": "twenty-five\n"}]
    async with screen_of(person, (60, 18), mode="edits") as screen:
        await worked(screen, server, ("edit", {"path": "long.txt", "edits": edits}))  # type: ignore[dict-item]
        await screen.pilot.press("f6", "u")
        await screen.see("Enter does it", "line 2")
        await screen.pilot.press("pagedown")
        await screen.see("▸☑ @@ -22")
        await screen.pilot.press("space", "up", "down")
        await screen.see("▸☐ @@ -22", "Enter does it")
        await screen.pilot.press("escape", "f7")
        await screen.see("Review", "1 file")
        await screen.pilot.press("pagedown", "space")
        await screen.see("▸☐ @@ -22")


async def test_a_resumed_session_shows_what_is_undone_and_undoes_a_whole_turn(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server, *(("write", {"path": f"{name}.txt", "content": "x\n"}) for name in "abc"))
        await screen.pilot.press("f6", "2", "u")
        await screen.see("Enter does it")
        await screen.pilot.press("enter")
        await screen.until(lambda: ("2", "undone") in states(screen))
    async with screen_of(person, choice=Choice(resume="-"), mode="edits") as screen:
        await screen.until(lambda: states(screen) == [("1", "done"), ("2", "undone"), ("3", "done"), ("4", "done")])
        await screen.pilot.press("f6", "home", "u")
        await screen.see("Undo 1, 3", "a.txt", "c.txt", "Enter does it")
        await screen.pilot.press("enter")
        await screen.until(lambda: not list(person.root.glob("?.txt")))


async def test_a_conflict_is_shown_with_its_lines_and_the_persons_bytes_stay(person: Person, server: ScriptedServer) -> None:
    file = person.root / "calc.py"
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server, edit("calc.py", "a - b", "a + b"))
        file.write_text("def add(a, b):\n    return a + b  # mine\n")
        await screen.pilot.press("f6", "u")
        await screen.see("✗ calc.py", "# mine", "m both, marked")
        await screen.pilot.press("enter", "escape")
        assert file.read_text() == "def add(a, b):\n    return a + b  # mine\n"
        await screen.pilot.press("u")
        await screen.see("✗ calc.py")
        await screen.pilot.press("t")
        await screen.see("what was before comes back", "Enter does it")
        await screen.pilot.press("enter")
        await changing(screen, file, "def add(a, b):\n    return a - b\n")


async def test_rewind_goes_back_to_before_an_action(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="edits") as screen:
        calls = [("write", {"path": f"{name}.txt", "content": f"{name}\n"}) for name in "abc"]
        await worked(screen, server, *calls)
        await screen.pilot.press("f6", "2", "U")
        await screen.see("Rewind to before 2", "b.txt", "c.txt", "Enter does it")
        await screen.pilot.press("enter")
        await screen.until(lambda: not (person.root / "b.txt").exists() and not (person.root / "c.txt").exists())
        assert (person.root / "a.txt").exists()


async def test_acts_stand_under_their_turn_and_step_and_can_be_searched(person: Person, server: ScriptedServer) -> None:
    plan = ("plan", {"items": [{"text": "Mend add", "state": "doing"}]})
    async with screen_of(person, mode="edits") as screen:
        server.script += [answer("", calls=[plan]), answer("", calls=[edit("calc.py", "a - b", "a + b")])]
        server.script += [answer("", calls=[("write", {"path": "notes.txt", "content": "x\n"})]), answer("All done.")]
        await screen.say("mend it, please")
        await screen.see("All done.", "Turn 1 mend it", "◐ Mend add", "✓ 1 edit calc.py", "+1 −1")
        await screen.pilot.press("f6", "slash", *"notes", "enter")
        await screen.until(lambda: [act.title for act in acts(screen)] == ["notes.txt"])
        await screen.pilot.press("escape")
        await screen.until(lambda: len(acts(screen)) == 2)


async def test_enter_shows_all_that_an_action_did(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="edits", size=(160, 40)) as screen:
        await worked(screen, server, edit("calc.py", "a - b", "a + b"))
        await screen.pilot.press("f6", "enter")
        await screen.see("1 edit calc.py", "allowed by policy", "│", "return a - b", "return a + b")
        await screen.pilot.press("u")
        await screen.see("Undo 1", "Enter does it")
        await screen.pilot.press("escape")
        assert "a + b" in (person.root / "calc.py").read_text()


async def test_what_somebody_else_changed_is_told_dim_and_can_be_undone_too(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="yolo") as screen:
        await worked(screen, server, ("shell", {"command": "echo one > one.txt"}))
        (person.root / "calc.py").write_text("mine\n")
        await worked(screen, server, ("shell", {"command": "echo two > two.txt"}))
        await screen.until(lambda: any(act.foreign for act in acts(screen)))
        [foreign] = [act for act in acts(screen) if act.foreign]
        assert foreign.paths == ["calc.py"]
        await screen.see("outside calc.py")


async def test_a_refused_call_and_one_that_fails_are_listed_and_cannot_be_undone(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="plan") as screen:
        await worked(screen, server, ("write", {"path": "a.txt", "content": "a"}))
        assert [(act.tool, act.state, act.undoable) for act in acts(screen)] == [("write", "denied", False)]
        await screen.pilot.press("f6", "u")
        await screen.see("Nothing of this can be taken back.")


async def test_sixty_columns_are_enough(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="edits", size=(60, 24)) as screen:
        await worked(screen, server, ("write", {"path": "a.txt", "content": "a\n"}))
        await screen.pilot.press("f6", "u")
        await screen.see("Undo 1", "a.txt", "Enter does it")
        assert all(len(line) <= 60 for line in screen.text.split("\n"))


async def test_a_fork_goes_on_from_before_a_turn(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server, ("write", {"path": "a.txt", "content": "a\n"}))
        await worked(screen, server, ("write", {"path": "b.txt", "content": "b\n"}))
        before = screen.app.story
        await screen.pilot.press("f6", "f")
        await screen.until(lambda: screen.app.story is not before)
        assert screen.app.story.started is not None
        assert screen.app.story.started.forked_from
        assert screen.app.story.turn == 1


async def test_while_a_turn_runs_the_person_chooses_to_stop_it_and_undo(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="edits") as screen:
        held = Response((event({"content": "I go on"}),), hold=asyncio.Event())
        server.script += [answer("", calls=[("write", {"path": "a.txt", "content": "a\n"})]), held]
        await screen.say("work")
        await screen.until(lambda: len(server.requests) == 2)
        await screen.see("✓ 1 write a.txt")
        await screen.pilot.press("f6", "u")
        await screen.see("waits for its running call", "Enter does it")
        await screen.pilot.press("i")
        await screen.see("it is stopped first")
        await screen.pilot.press("enter")
        await screen.until(lambda: not (person.root / "a.txt").exists())
        await screen.see("stopped", "↶ 1 write a.txt")


async def test_hostile_names_and_lines_act_nowhere(person: Person, server: ScriptedServer) -> None:
    name = "[b]x[/b]\u202e.txt"
    async with screen_of(person, mode="edits") as screen:
        await worked(screen, server, ("write", {"path": name, "content": "[/]\x1b[2Jescaped\n"}))
        await screen.pilot.press("f6", "u")
        await screen.see("Undo 1", "[b]x[/b]\\u{202e}.txt", "␛[2Jescaped")
        await screen.pilot.press("escape", "enter")
        await screen.see("1 write [b]x[/b]", "allowed by")
        await screen.pilot.press("escape", "f7")
        await screen.see("Review", "[b]x[/b]", "[/]␛[2Jescaped")
        assert "\x1b" not in screen.text
        assert "\u202e" not in screen.text
