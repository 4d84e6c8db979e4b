"""The plan is changed from the keyboard; the model learns exactly what was changed, and its own plan does not hide it."""

from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui.acts import Act
from tui.desk import Choice
from tui.timeline import Timeline


def planned(*steps: tuple[str, str]) -> tuple[str, dict[str, object]]:
    return "plan", {"items": [{"text": text, "state": state} for text, state in steps]}


def texts(screen: Screen) -> list[tuple[str, str, str]]:
    return [(step.text, step.state, step.mark) for step in screen.app.story.checklist.steps]


async def with_plan(screen: Screen, server: ScriptedServer) -> None:
    """Have the model make a plan, and go to it."""
    server.script += [answer("", calls=[planned(("look", "done"), ("mend", "doing"), ("test", "open"))]), answer("There.")]
    await screen.say("plan it")
    await screen.see("There.", "Plan 1/3", "● look", "◐ mend", "○ test")
    await screen.pilot.press("f6", "f6")
    await screen.see("▸◐ mend", "is being done")


async def test_steps_are_added_reworded_moved_struck_and_the_model_learns_it(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await with_plan(screen, server)
        await screen.pilot.press("a", *"write docs", "enter")
        await screen.see("▸○ write docs", "yours", "you added to the plan: write docs")
        await screen.pilot.press("J")
        await screen.until(lambda: [text for text, *_ in texts(screen)] == ["look", "mend", "test", "write docs"])
        await screen.pilot.press("up", "x")
        await screen.see("⊘ test", "by you", "Plan 1/3")
        await screen.pilot.press("up", "e", "end", *" it", "enter")
        await screen.see("◐ mend it", "in your words")
        await screen.pilot.press("e", *"no", "escape", "escape")
        server.script.append(answer("I see."))
        await screen.say("go on")
        await screen.see("I see.")
    told = server.bodies()[-1]["messages"]
    edits = next(one["content"] for one in told if "changed your plan" in str(one["content"]))
    assert edits.count("The person changed your plan: ") == 4
    assert "reworded a step: “mend” is now “mend it”" in edits
    assert "- [done] look\n- [doing] mend it\n- [dropped] test\n- [open] write docs" in edits


async def test_edits_are_taken_back_one_after_the_other(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await with_plan(screen, server)
        await screen.pilot.press("x")
        await screen.see("⊘ mend")
        await screen.pilot.press("delete")
        await screen.until(lambda: len(texts(screen)) == 2)
        await screen.pilot.press("u")
        await screen.until(lambda: texts(screen)[1] == ("mend", "dropped", "struck"))
        await screen.pilot.press("u")
        await screen.until(lambda: texts(screen)[1] == ("mend", "doing", ""))
        await screen.pilot.press("u")
        await screen.see("no edit of yours")


async def test_a_struck_step_that_comes_back_is_marked_live_and_resumed(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await with_plan(screen, server)
        await screen.pilot.press("down", "x", "escape")
        server.script += [answer("", calls=[planned(("look", "done"), ("mend", "done"), ("test", "doing"))]), answer("So.")]
        await screen.say("go on")
        await screen.see("So.", "came back", "its plan has again what you changed: test")
        assert "“test” is in it again" in server.requests[-1].decode()
        live = texts(screen)
    async with screen_of(person, choice=Choice(resume="-")) as screen:
        await screen.see("came back")
        assert texts(screen) == live


async def test_enter_on_a_step_shows_what_was_done_for_it_and_how_it_was_checked(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="yolo") as screen:
        first, second = planned(("mend", "doing"), ("note", "open")), planned(("mend", "done"), ("note", "doing"))
        mend = ("edit", {"path": "calc.py", "old": "a - b", "new": "a + b"})
        check = ("shell", {"command": "python3 test_calc.py"})
        server.script += [answer("", calls=[first, mend]), answer("", calls=[check]), answer("", calls=[second])]
        server.script += [answer("", calls=[("write", {"path": "notes.txt", "content": "x\n"})]), answer("All done.")]
        await screen.say("work")
        await screen.see("All done.")
        await screen.pilot.press("f6", "f6", "up")
        await screen.see("actions: 1  +1 −1", "checked last with python3 test_calc.py:", "it passed")
        await screen.pilot.press("enter")
        rows = screen.app.query_one(Timeline).acts
        await screen.until(lambda: [row.tool for row in rows.rows if isinstance(row, Act)] == ["edit", "shell"])
        await screen.pilot.press("escape")
        await screen.until(lambda: len([row for row in rows.rows if isinstance(row, Act)]) == 3)


async def test_a_person_begins_a_plan_and_the_model_learns_it(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await screen.say("/step look at calc.py")
        await screen.see("Plan 0/1", "○ look at calc.py", "you added to the plan: look at calc.py")
        await screen.say("/step mend it")
        await screen.see("Plan 0/2", "○ mend it")
        await screen.say("/step")
        await screen.see("/step TEXT")
        server.script.append(answer("I see."))
        await screen.say("go on")
        await screen.see("I see.")
    told = "".join(str(one["content"]) for one in server.bodies()[-1]["messages"])
    assert "added a step: “look at calc.py” (it is step 1 now)" in told
    assert "- [open] look at calc.py\n- [open] mend it" in told
