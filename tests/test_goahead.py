"""A turn that only planned ends with an offer in place: work by the plan as it was edited, change it, or go on talking."""

from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui.desk import Choice
from tui.goahead import GoAhead

PLAN = ("plan", {"items": [{"text": "mend add", "state": "open"}, {"text": "test it", "state": "open"}]})


async def planned(screen: Screen, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[PLAN]), answer("So I would do it.")]
    await screen.say("plan it")
    await screen.see("So I would do it.", "Shall it be carried out?")
    await screen.heard()


async def test_an_approved_plan_is_worked_by_as_it_was_edited(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="edits") as screen:
        assert screen.app.session is not None
        await screen.say("/mode plan")
        await planned(screen, server)
        await screen.see("▸ edits", "changes files")  # the mode of before
        await screen.pilot.press("e")
        await screen.see("▸○ mend add")
        await screen.pilot.press("down", "x")
        await screen.see("⊘ test it")
        screen.app.query_one("#goahead").focus()
        server.script.append(answer("On it."))
        await screen.pilot.press("right", "left", "left", "enter")
        await screen.see("On it.", "I approve this plan.")
        assert screen.app.session.mode == "ask"
        assert "Shall it be carried out?" not in screen.text
    told = server.bodies()[-1]["messages"][-1]["content"]
    assert "I approve this plan." in str(told)
    assert "- [open] mend add\n- [dropped] test it" in str(told)


async def test_the_person_goes_on_talking_and_is_asked_again_after_the_next_turn(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="plan") as screen:
        await planned(screen, server)
        await screen.pilot.press("escape")
        await screen.until(lambda: "Shall it be" not in screen.text)
        server.script.append(answer("Because."))
        await screen.say("why?")
        await screen.see("Because.", "Shall it be carried out?")
        assert screen.app.session is not None
        assert screen.app.session.mode == "plan"
    async with screen_of(person, choice=Choice(resume="-"), mode="plan") as screen:
        await screen.see("Shall it be carried out?")


async def test_nothing_is_offered_where_work_goes_on_anyway(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="edits") as screen:
        server.script += [answer("", calls=[PLAN]), answer("There.")]
        await screen.say("plan it")
        await screen.see("There.")
        assert "Shall it be carried out?" not in screen.text


async def test_the_plan_stands_in_the_offer_where_there_is_no_room_beside(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person, mode="plan", size=(80, 30)) as screen:
        await planned(screen, server)
        await screen.see("○ mend add", "○ test it")


async def test_an_offer_that_came_below_something_else_takes_no_key_that_was_meant_for_that(
    person: Person, server: ScriptedServer
) -> None:
    async with screen_of(person, mode="plan") as screen:
        server.script += [answer("", calls=[PLAN]), answer("So I would do it.")]
        await screen.pilot.press("f1")
        await screen.see("/rewind NUMBER")
        screen.app.turns.prompt("plan it")
        offer = screen.app.query_one(GoAhead)
        await screen.until(lambda: offer.display and not offer.is_deaf)
        before = offer._since
        await screen.pilot.press("escape")
        await screen.until(lambda: offer._since > before)
