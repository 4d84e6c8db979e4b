"""What is painted is what happened: after the last event the screen comes to show the last state, whatever comes between."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from textual.timer import Timer

from agent.events.conversation import TurnStarted
from agent.events.step import StepStarted, TextStreamed
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import screen_of

_AWAY = 0.12  # seconds; longer than anything rests that grows


@contextmanager
def busy_processor() -> Iterator[None]:
    """Have the processor be with somebody else while a timer that comes once looks at the clock."""

    def away(frame: FrameType, event: str, called: Any) -> None:
        looks = event == "c_call" and called is time.monotonic and frame.f_code is Timer._run.__code__
        if looks and frame.f_locals["self"]._repeat == 0:
            time.sleep(_AWAY)

    sys.setprofile(away)
    try:
        yield
    finally:
        sys.setprofile(None)


async def test_what_streams_is_shown_though_the_processor_is_away_at_the_worst_moment(person: Person) -> None:
    async with screen_of(person) as screen:
        screen.tell(TurnStarted(turn=1, prompt="count"))
        screen.tell(StepStarted(step=1))
        with busy_processor():
            for word in ("one", "two", "three", "four", "five", "six"):
                screen.tell(TextStreamed(text=f" {word}"))
                await screen.see(word)


async def test_an_approval_that_came_below_something_else_is_not_taken_for_seen(person: Person, server: ScriptedServer) -> None:
    text = "".join(f"line {number}\n" for number in range(200))
    server.script += [answer("", calls=[("write", {"path": "a.txt", "content": text})]), answer("Done.")]
    async with screen_of(person, mode="ask") as screen:
        await screen.pilot.press("f1")
        await screen.see("/rewind NUMBER")
        screen.app.turns.prompt("write it")
        await screen.until(lambda: screen.app.query_one("#asking-body").max_scroll_y)
        await screen.pilot.press("escape")
        await screen.see("May it?")
        await screen.heard()
        await screen.pilot.press("a")
        await screen.see("line 30")
        assert not (person.root / "a.txt").exists()
        await screen.pilot.press("end", "a")
        await screen.see("Done.")


async def test_a_window_that_grew_is_filled_though_the_processor_is_away_at_the_worst_moment(person: Person) -> None:
    async with screen_of(person, size=(60, 20)) as screen:
        with busy_processor():
            await screen.pilot.resize_terminal(70, 20)
            await screen.pilot.resize_terminal(120, 40)
            await screen.until(lambda: screen.app.query_one("#status").region.y == 39)
