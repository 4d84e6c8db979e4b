"""The screen's manners: any size of the window, the background and back, a terminal that goes away, a fault of its own."""

import asyncio

from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import screen_of
from tui.asking import DEAF

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
        await screen.see("May it?")
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
