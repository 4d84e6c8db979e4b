"""The status line tells the truth, and of that what matters most where room is short."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from textual.app import App, ComposeResult

from agent.effects import Effect
from agent.events.call import ApprovalAsked, ToolFinished, ToolStarted
from agent.events.conversation import SessionStarted, TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.step import Compacted, ModelAnswered, StepStarted, TextStreamed
from agent.messages import Answer, Call, Usage
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import screen_of
from tui.side import Side
from tui.status import Standing, StatusLine
from tui.story import Story
from tui.words import catalogue

_STARTED = SessionStarted(version="1", root="/r", cwd="/r", model="kimi-k2-thinking", mode="auto", sandbox="bubblewrap", tools=())
_ANSWERED = ModelAnswered(
    step=1,
    answer=Answer("", calls=(Call("c1", "shell", "{}"),)),
    usage=Usage(prompt=40_000, completion=4_000, cached=30_000),
    model="kimi-k2-thinking",
    seconds=1.0,
    cost=0.0123,
)
_TURN = (_STARTED, TurnStarted(turn=1, prompt="go"), StepStarted(step=1))


def story(*events: Event) -> Story:
    told = Story()
    told.replay(events)
    return told


@asynccontextmanager
async def line_of(standing: Standing, width: int) -> AsyncIterator[StatusLine]:
    """Show the line alone, as wide as that."""

    class Alone(App[None]):
        CSS = "#status { height: 1; padding: 0 1; }"

        def compose(self) -> ComposeResult:
            yield StatusLine(catalogue("en"))

    app = Alone()
    async with app.run_test(size=(width, 2)):
        line = app.query_one(StatusLine)
        line.tell(standing)
        yield line


async def told(standing: Standing, width: int = 200) -> str:
    async with line_of(standing, width) as line:
        return str(line.visual)


_WHOLE = Standing(story(*_TURN, _ANSWERED), window=128_000, measured=True, branch="main", queued=2)


async def test_wide_all_is_told() -> None:
    text = await told(_WHOLE)
    for words in (
        *("auto mode", "2 queued", "kimi-k2-thinking", "main", "bubblewrap, no network", "━━━─────"),
        *("context 34 % (44k of 128k)", "44k tokens", "cache 75 %", "$0.0123"),
    ):
        assert words in text


@pytest.mark.parametrize("width", range(20, 200, 7))
async def test_narrow_what_matters_least_goes_first(width: int) -> None:
    text = await told(_WHOLE, width)
    assert len(text) <= max(width - 2, 9)
    order: Sequence[str] = ("auto mode", "2 queued", "context", "$0.0123", "kimi", "main", "44k tokens", "cache")
    kept = [words in text for words in order]
    assert kept == sorted(kept, reverse=True)


async def test_at_80_and_60_columns_what_matters_most_is_left() -> None:
    at_80, at_60 = await told(_WHOLE, 80), await told(_WHOLE, 60)
    assert all(words in at_80 for words in ("auto mode", "2 queued", "context 34 %", "$0.0123"))
    assert all(words in at_60 for words in ("auto mode", "2 queued", "context 34 %"))


async def test_what_runs_is_told_whole_where_leaving_out_the_rest_made_room() -> None:
    started = ToolStarted(call_id="c1", tool="shell", subject="pytest -q tests", effect=Effect.EXEC)
    running = Standing(story(*_TURN, _ANSWERED, started), window=128_000, branch="main")
    assert "shell pytest -q tests" in await told(running, 58)


async def test_what_is_estimated_says_so() -> None:
    shortened = Compacted(reason="full", note="n", kept=0, tokens_before=44_000, tokens_after=9_000)
    assert "context ~7 % (~9.0k of 128k)" in await told(replace(_WHOLE, story=story(*_TURN, _ANSWERED, shortened)))
    assert "(44k of ~128k)" in await told(replace(_WHOLE, measured=False))
    assert "context 44k" in await told(replace(_WHOLE, window=0))
    assert "%" not in (await told(replace(_WHOLE, window=1 << 40))).replace("cache 75 %", "")


async def test_a_window_that_is_never_full_is_never_told_as_more() -> None:
    assert "context 100 %" in await told(replace(_WHOLE, window=10_000))


async def test_no_sandbox_is_told_as_long_as_there_is_room() -> None:
    bare = story(replace(_STARTED, sandbox="none"), *_TURN[1:], _ANSWERED)
    assert "unconfined" in await told(replace(_WHOLE, story=bare), 100)
    assert "unconfined" in await told(replace(_WHOLE, story=story(replace(_STARTED, mode="yolo"), *_TURN[1:])), 100)


async def test_what_is_being_done_is_told() -> None:
    started = ToolStarted(call_id="c1", tool="shell", subject="pytest -q\nand more", effect=Effect.EXEC)
    finished = ToolFinished(call_id="c1", tool="shell", status="done", reply="")
    asked = ApprovalAsked(call_id="c1", tool="shell", subject="rm", reason="r", blocks=(), digest="d")
    for events, words in (
        ((), "waits for the model"),
        ((TextStreamed(text="x"),), "answers"),
        ((_ANSWERED, started), "shell pytest -q"),
        ((_ANSWERED, started, finished, StepStarted(step=2)), "waits for the model"),
        ((_ANSWERED, asked), "? waits for you"),
    ):
        assert words in await told(Standing(story(*_TURN, *events)))
    over = TurnFinished(turn=1, status="done", text="", steps=1, seconds=1.0)
    assert "waits" not in await told(Standing(story(*_TURN, _ANSWERED, over)))
    assert "! make all" in await told(Standing(story(*_TURN, _ANSWERED, over), command="make all"))


async def test_time_counts_anew_for_what_is_done_next_and_nothing_turns_where_that_is_not_wanted() -> None:
    asks = Standing(story(*_TURN))
    async with line_of(asks, 100) as line:
        first = str(line.visual)
        line._tick()
        assert str(line.visual) != first
        assert line.seconds == 0
        line._since -= 75
        line.tell(asks)
        assert "1:15 min" in str(line.visual)
        line.tell(Standing(story(*_TURN, TextStreamed(text="x"))))
        assert "1:15" not in str(line.visual)
        line.still = True
        line._tick()
        still = str(line.visual)
        line._tick()
        assert str(line.visual) == still


async def test_hostile_names_are_harmless() -> None:
    hostile = story(replace(_STARTED, model="m\x1b]0;x\x07", mode="a\x9b"), *_TURN[1:])
    text = await told(Standing(hostile, branch="b\x1b[2J\u202e", command="c\x1b[2J"))
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(text)


async def test_the_line_of_a_session_tells_its_branch_and_window(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Well."))
    (person.root / ".git" / "HEAD").write_text("ref: refs/heads/trunk\n")
    async with screen_of(person, size=(200, 30), context=64_000) as screen:
        await screen.say("how?")
        await screen.see("Well.", "trunk", "of 64k)", "cost unknown")


async def test_the_side_opens_over_the_conversation_where_it_has_no_room_beside_it(
    person: Person, server: ScriptedServer
) -> None:
    server.script.append(answer("Well."))
    async with screen_of(person, size=(80, 30)) as screen:
        side = screen.app.query_one(Side)
        assert not side.display
        await screen.say("how?")
        await screen.see("Well.")
        width = screen.app.query_one("#transcript").size.width
        await screen.pilot.press("ctrl+t")
        await screen.see("Timeline")
        assert screen.app.query_one("#transcript").size.width == width
        await screen.pilot.press("escape")
        await screen.until(lambda: not side.display and screen.app.focused is screen.app.query_one("#prompt"))
        await screen.pilot.press("f6")
        await screen.until(lambda: side.display)
        await screen.pilot.resize_terminal(120, 30)
        await screen.until(lambda: not side.is_sheet and side.display)
        await screen.pilot.press("ctrl+t")
        await screen.until(lambda: not side.display)
        await screen.pilot.resize_terminal(80, 30)
        await screen.pilot.resize_terminal(120, 30)
        await screen.until(lambda: screen.app.size.width == 120)
        assert not side.display  # the person hid it
