"""What a person says waits for what runs, and nothing of it is lost where that fails; one session follows the other."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.worker import WorkerFailed

from agent.events.news import Warned
from tests.fakes import MODEL, Response, ScriptedServer, answer, event, failure
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui.choosing import Choosing
from tui.desk import Choice
from tui.entries import Noted
from tui.prompt import Prompt
from tui.transcript import Transcript


async def command(screen: Screen, typed: str) -> None:
    """Give a command."""
    screen.app.query_one(Prompt).put(typed)
    screen.app.query_one(Prompt).focus()
    await screen.pilot.press("enter")


def held_listing(server: ScriptedServer) -> asyncio.Event:
    """Have the server keep who asks for its models waiting; return what lets it answer."""
    hold = asyncio.Event()
    server.models = replace(failure(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]}), hold=hold)
    return hold


@contextmanager
def full_disk(number: int) -> Iterator[None]:
    """Have no more be written into an open file."""
    kept, full = os.dup(number), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, number)
    try:
        yield
    finally:
        os.dup2(kept, number)
        for one in (kept, full):
            os.close(one)


def notes(screen: Screen) -> str:
    """Return what is told beside the conversation."""
    return "\n".join(entry.text for entry in screen.app.story.entries if isinstance(entry, Noted))


async def test_a_prompt_waits_while_what_the_model_is_told_is_shortened(person: Person, server: ScriptedServer) -> None:
    note = answer("A note.")
    server.script += [answer("One."), replace(note, pieces=note.pieces[:1], hold=asyncio.Event()), answer("Two.")]
    async with screen_of(person) as screen:
        await screen.say("first")
        await screen.see("One.")
        await screen.idle()
        server.asked.clear()
        await command(screen, "/compact")
        await server.asked.wait()
        await screen.say("second")
        await screen.see("› second")
        await screen.pilot.press("escape")
        await screen.see("❯ second", "Two.")


async def test_what_cannot_be_kept_goes_back_into_the_box_and_what_waits_stays(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("One."), answer("Two.")]
    async with screen_of(person) as screen:
        session = screen.app.session
        assert session is not None
        with full_disk(session._log._fd):
            screen.app.turns.prompt("first")
            screen.app.turns.prompt("second")
            await screen.until(lambda: "could not be written" in notes(screen))
            await screen.see("‖ second")
            await screen.until(lambda: screen.app.query_one(Prompt).text == "first")
        await screen.pilot.press("enter")
        await screen.see("One.")


async def test_a_turn_that_cannot_be_kept_any_more_is_over_on_the_screen_too(person: Person, server: ScriptedServer) -> None:
    hold = asyncio.Event()
    server.script.append(answer("One.", hold=hold))
    async with screen_of(person) as screen:
        await screen.say("first")
        await screen.see("One.")
        session = screen.app.session
        assert session is not None
        with full_disk(session._log._fd):
            hold.set()
            await screen.see("── failed")
            assert "could not be written" in notes(screen)
            assert not screen.app.story.running


async def test_a_session_whose_log_cannot_be_opened_again_is_gone_on_with_once_it_can(
    person: Person, server: ScriptedServer
) -> None:
    server.script += [answer("One."), answer("Two.")]
    async with screen_of(person, mode="edits") as screen:
        await screen.say("first")
        await screen.see("One.")
        await screen.idle()
        await command(screen, "/mode ask")
        [log] = person.logs
        elsewhere = log.rename(log.with_suffix(".aside"))
        await command(screen, "/model better")  # for which the session that is open gives its log back
        await screen.see("No session can be opened", "there is no session")
        elsewhere.rename(log)
        await screen.heard()
        await screen.pilot.press("r")
        await screen.until(lambda: screen.app.session is not None)
        await screen.see("One.", "ask mode")
        await screen.say("second")
        await screen.see("Two.")


async def test_what_a_session_tells_while_another_is_opened_does_not_stand_in_that_one(
    person: Person, server: ScriptedServer
) -> None:
    server.script.append(answer("One."))
    async with screen_of(person) as screen:
        await screen.say("first")
        await screen.see("One.")
        await screen.idle()
        before = screen.app.session
        assert before is not None
        hold = held_listing(server)
        await command(screen, "/new")
        await screen.until(lambda: screen.app.session is None)
        before.tell(Warned(text="of the first"))
        hold.set()
        await screen.until(lambda: screen.app.session is not None)
        assert "of the first" not in notes(screen)
    assert any("of the first" in log.read_text() for log in person.logs)


def is_taken(log: Path) -> bool:
    """Whether a session is open."""
    with log.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


async def test_sessions_that_are_wanted_at_once_are_opened_one_after_the_other(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        hold = held_listing(server)
        await command(screen, "/new")
        await command(screen, "/new")
        hold.set()
        await screen.until(lambda: len(person.logs) == 3 and screen.app.session is not None)
        assert [is_taken(log) for log in person.logs].count(True) == 1


async def test_another_theme_is_seen_in_another_language_too(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("One."))
    async with screen_of(person) as screen:
        await screen.say("first")
        await screen.see("One.")
        await screen.idle()
        await command(screen, "/language zh")
        await screen.until(lambda: screen.app.words.language == "zh")
        await screen.see("One.")

        def colours() -> list[str]:
            transcript = screen.app.query_one(Transcript)
            return [str(segment.style) for line in range(5) for segment in transcript.render_line(line) if segment.text.strip()]

        before = colours()
        await command(screen, "/theme textual-light")
        await screen.until(lambda: screen.app.theme == "textual-light")
        await screen.until(lambda: colours() != before)


async def test_a_fault_while_something_is_looked_up_is_told_as_what_it_is(person: Person) -> None:
    async def find() -> list[object]:
        raise ZeroDivisionError

    async def look() -> None:
        async with screen_of(person) as screen:
            screen.app.push_screen(Choosing(screen.app.words, "any", find))  # type: ignore[arg-type]
            await screen.until(lambda: screen.app.fault is not None)
            assert isinstance(screen.app.fault, ZeroDivisionError)

    with pytest.raises(WorkerFailed):
        await look()


async def test_a_prompt_with_a_name_that_can_be_no_file_is_sent_too(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("One."))
    async with screen_of(person) as screen:
        await screen.say(f"look at @{'a' * 300}.png")
        await screen.see("One.")


async def test_what_is_pasted_is_in_the_prompt_though_enter_follows_at_once(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("One."))
    async with screen_of(person) as screen:
        await screen.pilot.click("#prompt")
        for event in (events.Key("s", "s"), events.Paste("hello a.png"), events.Key("x", "x"), events.Key("enter", None)):
            screen.app.post_message(event)
        await screen.see("❯ shello a.pngx")


async def test_a_wait_for_the_server_is_cut_short_by_enter_and_ended_by_escape(person: Person, server: ScriptedServer) -> None:
    full = failure(429, {"error": {"message": "slow"}}, {"retry-after": "59"})
    server.script += [full, full, answer("Never asked for.")]
    async with screen_of(person) as screen:
        await screen.say("go")
        await screen.see("asked again in 59 s", "Enter: now", "Esc stops")
        await screen.pilot.press("enter")
        await screen.until(lambda: screen.text.count("asked again in 59 s") == 2)
        await screen.pilot.press("escape")
        await screen.see("stopped: by you")
        await screen.idle()
    assert len(server.requests) == 2


async def test_what_had_come_of_an_answer_stays_when_it_is_stopped_and_when_the_session_is_opened_again(
    person: Person, server: ScriptedServer
) -> None:
    half = Response(tuple(event({"content": words}) for words in ("Half of ", "an answer")), hold=asyncio.Event())
    server.script += [half, answer("Whole.")]
    async with screen_of(person) as screen:
        await screen.say("go")
        await screen.see("Half of an answer")
        await screen.pilot.press("escape")
        await screen.see("Half of an answer", "stopped: by you")
        await screen.idle()
        await screen.say("again")
        await screen.see("Half of an answer", "Whole.")
        session = screen.app.session
    assert session is not None
    async with screen_of(person, choice=Choice(resume=session.id)) as screen:
        await screen.see("Half of an answer", "stopped: by you", "Whole.")
