"""The screen's story is a fold over events: streamed or read again from the log, it tells the same."""

from agent.blocks import TerminalBlock
from agent.code.diff import diff
from agent.effects import Effect
from agent.events.call import ToolFinished, ToolStarted
from agent.events.conversation import TurnStarted
from agent.events.event import Event
from agent.events.news import Informed
from agent.events.step import CallStreamed, ModelAnswered, ReasoningStreamed, RequestRetried, StepStarted, TextStreamed
from agent.messages import Answer, Call, Usage
from tui.diffs import lines_of
from tui.entries import Answered, Called, Noted, Said, Thought
from tui.markdown import code, markdown, sealed
from tui.story import Story


def told(*events: Event) -> Story:
    story = Story()
    story.replay(events)
    return story


def answered(text: str, *calls: Call, reasoning: str = "") -> ModelAnswered:
    answer = Answer(text, calls, reasoning)
    return ModelAnswered(step=1, answer=answer, usage=Usage(10, 2, 5), model="m", seconds=0.1)


STREAM = (
    StepStarted(step=1),
    ReasoningStreamed(text="let me "),
    ReasoningStreamed(text="see"),
    TextStreamed(text="I "),
    TextStreamed(text="look."),
    CallStreamed(tool="shell", size=3),
    CallStreamed(tool="shell", size=30),
    CallStreamed(tool="shell", size=2),
    CallStreamed(tool="edit", size=4),
)
WHOLE = answered("I look.", Call("1", "shell", "{}"), Call("2", "shell", "{}"), Call("3", "edit", "{}"), reasoning="let me see")


def test_what_streams_ends_as_what_the_log_tells() -> None:
    live, again = told(TurnStarted(turn=1, prompt="x"), *STREAM, WHOLE), told(TurnStarted(turn=1, prompt="x"), WHOLE)
    kinds = [type(entry) for entry in live.entries]
    assert kinds == [Said, Thought, Answered, Called, Called, Called]
    assert kinds == [type(entry) for entry in again.entries]
    assert not any(entry.streaming for entry in live.entries if isinstance(entry, Thought | Answered))
    assert [entry.call_id for entry in live.entries if isinstance(entry, Called)] == ["1", "2", "3"]


def test_what_streamed_of_a_request_that_is_sent_again_is_void() -> None:
    story = told(TurnStarted(turn=1, prompt="x"), *STREAM, RequestRetried(step=1, attempt=1, seconds=2, reason="503"))
    assert [type(entry) for entry in story.entries] == [Said, Noted]


def test_a_difference_keeps_every_line_in_its_place() -> None:
    block = diff("calc.py", "def add(a, b):\n    return a - b\n\n\n", "def add(a, b):\n    return a + b\n\n\n")
    lines = [(line.kind, line.old, line.new, line.content.plain) for line in lines_of(block)]
    assert ("-", 2, 2, "    return a - b") in lines
    assert ("+", 3, 2, "    return a + b") in lines
    assert (" ", 1, 1, "def add(a, b):") in lines


def test_code_keeps_its_empty_lines_and_its_text() -> None:
    for text in ("\n\nx = 1\n\n", "x\n", "\n", "def f():\n\n    return 1", "a\tb"):
        assert code(text, "python").plain == text


def test_the_end_of_a_growing_text_is_drawn_again_and_no_more() -> None:
    text = "One.\n\n```py\nx = 1\n\ny = 2\n"
    assert sealed(text) == (6, "")
    assert sealed(text + "```\n\nTwo") == (len(text) + 5, "")
    assert sealed("- a\n\n  b") == (0, "")
    assert markdown("a\n\nb").plain == "a\n\nb"


def test_a_check_of_the_persons_is_told_as_a_call_that_no_model_made() -> None:
    block = TerminalBlock("pytest", "1 failed", 1)
    story = told(
        TurnStarted(turn=1, prompt="x"),
        ToolStarted(call_id="check-1-1", tool="shell", subject="pytest", effect=Effect.EXEC),
        ToolStarted(call_id="other", tool="shell", subject="pytest", effect=Effect.EXEC),
        ToolFinished(call_id="check-1-1", tool="shell", status="done", reply="", subject="pytest", blocks=(block,), exit_code=1),
        Informed(kind="check", title="the check tests fails, and the model is told", told="mend it", step=2),
    )
    assert [type(entry) for entry in story.entries] == [Said, Called, Noted]
    called = story.call("check-1-1")
    assert called is not None
    assert (called.tool, called.subject, called.state, called.exit_code) == ("shell", "pytest", "over", 1)
