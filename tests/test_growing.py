"""An answer that grows is laid out piece by piece: nothing is lost, nothing is shown twice, and it costs little."""

import time

import pytest

from agent.events.conversation import TurnStarted
from agent.events.step import StepStarted, TextStreamed
from tests.fakes import ScriptedServer
from tests.runs import Person
from tests.screens import screen_of
from tui.markdown import markdown, sealed

TEXT = (
    "Some words.\n\n- one\n\n  still one\n\n- two\n\n1. first\n\n2. second\n\nHere is code:\n```python\n"
    + "\n".join(f"x{number} = '''{number}\n" for number in range(90))
    + "\n```\nAnd after it\n\n~~~\n"
    + "plain\n" * 70
    + "~~~\n\n> quoted\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n  ```\n  indented\n  ```\nThe end."
)


def words_of(text: str) -> list[str]:
    return [line.strip(" ▎•") for line in markdown(text).plain.split("\n") if line.strip(" ▎•")]


def pieces(text: str, step: int) -> list[str]:
    """Return what is drawn of a text that grew by so many characters at a time."""
    told: list[str] = []
    start, fence = 0, ""
    for length in range(step, len(text) + step, step):
        end, opened = sealed(text[:length], start, fence)
        if end > start:
            told += words_of(fence + text[start:end].rstrip("\n"))
            start, fence = end, opened
    return told + words_of(fence + text[start:])


@pytest.mark.parametrize("step", [1, 7, 64, 900])
def test_the_pieces_of_a_growing_answer_make_the_whole(step: int) -> None:
    assert pieces(TEXT, step) == words_of(TEXT)


def test_long_code_is_sealed_before_it_ends() -> None:
    text = "```python\n" + "x = 1\n" * 500
    end, fence = sealed(text)
    assert fence == "```python\n"
    assert len(text) - end < 30 * len("x = 1\n")


async def test_a_long_answer_costs_little_and_is_shown_whole(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        screen.tell(TurnStarted(turn=1, prompt="go"))
        screen.tell(StepStarted(step=1))
        began = time.process_time()
        for number in range(4000):
            screen.tell(TextStreamed(text=f" word{number}" if number % 50 else "\n\n"))
            if number % 100 == 0:
                await screen.pilot.pause(0.001)
        await screen.see("word3999")
        assert time.process_time() - began < 3  # a layout for each delta would take ten times as long
