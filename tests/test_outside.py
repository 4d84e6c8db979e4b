"""What the person changes in their editor is shown at once, in one line, which opens as the difference that it is."""

from pathlib import Path

import pytest

from agent.events.action import ActionFile
from agent.events.conversation import Steered
from agent.events.news import Informed
from agent.ledger.watch import Watch
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui.entries import Noted
from tui.preview import Shown
from tui.story import Story
from tui.transcript import Transcript

needs_watch = pytest.mark.skipif(Watch(Path("/tmp")).why_not != "", reason="no watch can be trusted here")
ACT = ("shell", {"command": "true"})


def changed(action: str, *files: tuple[str, str, int, int], count: int = 0) -> Informed:
    named = tuple(ActionFile(path=path, kind=kind, added=more, removed=less) for path, kind, more, less in files)  # type: ignore[arg-type]
    return Informed(kind="outside", title="x", told="x", step=1, files=named, count=count or len(named), action=action)


def notes(*events: Informed | Steered) -> list[tuple[tuple[str, ...], list[str], int]]:
    story = Story()
    story.replay(events)
    seen = [entry for entry in story.entries if isinstance(entry, Noted)]
    return [
        (one.actions, [f"{file.path} {file.kind} +{file.added} -{file.removed}" for file in one.event.files], one.event.count)
        for one in seen
        if isinstance(one.event, Informed)
    ]


def test_what_changes_again_and_again_is_one_line() -> None:
    first, then = changed("1", ("a", "created", 2, 0)), changed("2", ("a", "modified", 1, 1), ("b", "deleted", 0, 3))
    assert notes(first, then) == [(("1", "2"), ["a created +3 -1", "b deleted +0 -3"], 2)]
    storm = changed("3", ("c", "created", 1, 0), count=400)
    assert notes(first, then, storm)[0][2] == 400


def test_what_changes_after_something_else_happened_is_another_line() -> None:
    first, then = changed("1", ("a", "created", 2, 0)), changed("2", ("a", "modified", 1, 1))
    assert [actions for actions, _, _ in notes(first, Steered(text="go", step=1), then)] == [("1",), ("2",)]


async def opened(screen: Screen) -> None:
    screen.app.query_one(Transcript).focus()
    await screen.pilot.press("up", "enter")
    await screen.until(lambda: isinstance(screen.app.screen, Shown))


@needs_watch
async def test_what_the_person_saves_is_seen_and_opens_as_its_difference(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[ACT]), answer("Done.")]
    async with screen_of(person, mode="yolo") as screen:
        await screen.say("begin")
        await screen.see("Done.")
        await screen.idle()
        calc = person.root / "calc.py"
        calc.write_text(calc.read_text() + "# mine\n")
        await screen.see("✎ you, or another program, changed calc.py (+1 −0)")
        calc.write_text(calc.read_text() + "# and more\n")
        await screen.see("calc.py (+2 −0)")
        assert screen.text.count("✎") == 1
        await opened(screen)
        await screen.see("outside", "# mine", "# and more")
        await screen.pilot.press("u")
        await screen.see("Undo 1, 2")
        await screen.pilot.press("enter")
        await screen.see("taken back: undo 1, 2")
        assert "# mine" not in calc.read_text()
