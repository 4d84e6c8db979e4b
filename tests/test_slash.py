"""Commands, and the screens behind them, do what they say."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual.binding import Binding
from textual.content import Content

from jumar.options import RunOptions
from jumar.screen import FrontDesk
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui import app, choosing, goahead, help, plan, preview, review, rows, sessions, transcript  # noqa: A004 - the module
from tui.choosing import Listing, Question
from tui.commands import COMMANDS, offers
from tui.desk import Choice
from tui.keys import PLACES
from tui.words import catalogue


async def command(screen: Screen, typed: str) -> None:
    """Give a command."""
    screen.app.query_one("#prompt").put(typed)  # type: ignore[attr-defined]
    screen.app.query_one("#prompt").focus()
    await screen.pilot.press("enter")


@asynccontextmanager
async def untrusted(person: Person, **options: Any) -> AsyncIterator[Screen]:
    """Run the screen where nothing is trusted, or something else keeps a session from being opened."""
    desk = FrontDesk(RunOptions(prompts=None, cwd=person.root, screen=True, **options), person.environment)
    shown = app.JumarApp(desk, Choice())
    try:
        async with shown.run_test(size=(100, 30), notifications=True) as pilot:
            yield Screen(shown, pilot)
    finally:
        await desk.close()


async def heard(screen: Screen) -> None:
    """Wait until a question listens."""
    await screen.until(lambda: isinstance(screen.app.screen, Question))
    await screen.heard()


def writing(path: str, content: str) -> list[Any]:
    """Return a turn that writes a file."""
    return [answer("", calls=[("write", {"path": path, "content": content})]), answer("Written.")]


def test_a_question_begins_deaf() -> None:
    assert Question("", Content(""), "").is_deaf


def test_every_command_has_its_words_and_only_once() -> None:
    told = offers(catalogue("en"))
    assert len({one.name for one in told}) == len(COMMANDS)
    assert all(one.help for one in told)


def bound(*owners: Any) -> Iterable[str]:
    """Yield the keys that classes bind."""
    for owner in owners:
        for binding in owner.BINDINGS:
            yield from (binding.key if isinstance(binding, Binding) else binding[0]).split(",")


@pytest.mark.parametrize(
    ("place", "owners"),
    [
        ("everywhere", [app.JumarApp]),
        ("transcript", [transcript.Transcript]),
        ("timeline", [rows.Rows]),
        ("plan", [plan.Steps]),
        ("goahead", [goahead.GoAhead]),
        ("preview", [preview.Preview, preview.Shown]),
        ("review", [review.Review]),
        ("lists", [choosing.Listing, sessions.Sessions, help.Telling]),
    ],
)
def test_the_table_of_keys_holds_every_key_that_is_bound(place: str, owners: list[Any]) -> None:
    table = {name for one in PLACES if one.words == place for key in one.keys for name in key.names}
    assert set(bound(*owners)) - {"f1", "space"} <= table | {"f1", "space"}


async def test_help_shows_commands_and_keys(person: Person) -> None:
    async with screen_of(person, size=(120, 80)) as screen:
        await screen.pilot.press("f1")
        await screen.see("/rewind NUMBER", "Ctrl+P", "search the commands")
        await screen.pilot.press("escape")
        await screen.until(lambda: screen.app.screen is screen.app.default_screen)


async def test_help_fits_a_narrow_screen(person: Person) -> None:
    async with screen_of(person, size=(60, 60)) as screen:
        await command(screen, "/help")
        await screen.see("│ /help             all commands and keys", "│ /model [NAME [EFFORT]]     ")
        await screen.see("│                   go on with another model, and")


async def test_the_mode_is_chosen_by_name_or_from_a_list(person: Person) -> None:
    async with screen_of(person, mode="ask") as screen:
        await command(screen, "/mode edits")
        await screen.until(lambda: screen.app.story.mode == "edits")
        await command(screen, "/mode")
        await screen.see("looks and plans only")
        await screen.pilot.press(*"plans", "enter")
        await screen.until(lambda: screen.app.story.mode == "plan")
        await command(screen, "/mode yolo")
        await screen.see("yolo mode can only be given on the command line")
        await command(screen, "/mode sometimes")
        await screen.see("it is written so: /mode")


async def test_a_command_that_makes_no_sense_is_answered_in_one_line(person: Person) -> None:
    async with screen_of(person) as screen:
        for typed, told in (
            ("/undo", "nothing that this session did can be undone"),
            ("/undo 99", "there is no action 99"),
            ("/rewind", "it is written so: /rewind NUMBER"),
            ("/copy", "there is no answer yet"),
            ("/fork 7", "there is no turn 7"),
            ("/cost now", "nothing follows /cost"),
            ("/uncompact", "nothing is compacted"),
            ("/redo", "nothing was undone"),
        ):
            await command(screen, typed)
            await screen.see(told)


async def test_what_people_wrote_is_listed_completed_and_said(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("Mended.")]
    folder = person.root / ".agents/commands"
    folder.mkdir(parents=True)
    (folder / "mend.md").write_text("---\ndescription: mends one\nargument-hint: FILE\n---\nMend $1, please.")
    (person.home / ".agents/skills/ship").mkdir(parents=True)
    (person.home / ".agents/skills/ship/SKILL.md").write_text("---\ndescription: how it goes out\n---\nPush it.")
    async with screen_of(person) as screen:
        await screen.until(lambda: screen.app.desk.customs())
        await command(screen, "/skills")
        await screen.see("/mend FILE", "the project's command · mends one", "/ship [WORDS]", "your skill · how it goes out")
        await screen.pilot.press(*"ship", "enter")
        await screen.until(lambda: screen.app.query_one("#prompt").text == "/ship ")  # type: ignore[attr-defined]
        await screen.pilot.press("ctrl+u", "slash", "m", "e")
        await screen.see("/mend FILE  mends one")
        await screen.pilot.press("tab", *"a.py", "enter")
        await screen.see("Mend a.py, please.", "Mended.")
        await command(screen, "/nothing")
        await screen.see("/nothing")
    assert server.bodies()[0]["messages"][-1]["content"].endswith("Mend a.py, please.")


async def test_an_action_is_undone_and_brought_back_by_commands(person: Person, server: ScriptedServer) -> None:
    server.script += writing("a.txt", "one\n")
    async with screen_of(person, mode="auto") as screen:
        await screen.say("write it")
        await screen.see("Written.")
        await screen.idle()
        await command(screen, "/undo")
        await screen.see("Undo", "a.txt", "Enter does it")
        await screen.pilot.press("enter")
        await screen.until(lambda: not (person.root / "a.txt").exists())
        await command(screen, "/redo")
        await screen.until((person.root / "a.txt").exists)


async def test_an_action_is_shown_and_rewound_by_its_number(person: Person, server: ScriptedServer) -> None:
    server.script += writing("a.txt", "one\n")
    async with screen_of(person, mode="auto") as screen:
        await screen.say("write it")
        await screen.see("Written.")
        session = screen.app.session
        assert session is not None
        number = session.hands.actions()[-1].action.id
        await command(screen, f"/diff {number}")
        await screen.see("u undo", "+ one")
        await screen.pilot.press("escape")
        await screen.idle()
        await command(screen, f"/rewind #{number}")
        await screen.see("Rewind to before", "Enter does it")
        await screen.pilot.press("enter")
        await screen.until(lambda: not (person.root / "a.txt").exists())


async def test_a_session_is_told_as_markdown_html_and_json(person: Person, server: ScriptedServer) -> None:
    hostile = "See ![x](http://evil.example/beacon) <script>alert(1)</script>\x1b]0;owned\x07"
    server.script += [answer("", calls=[("write", {"path": "a.txt", "content": "<b>\n"})]), answer(hostile)]
    async with screen_of(person, mode="auto") as screen:
        await screen.say("write `it` <i>now</i>")
        await screen.see("See")
        for form in ("md", "html", "json"):
            await command(screen, f"/export {form} out.{form}")
            await screen.until((person.root / f"out.{form}").exists)
        await command(screen, "/export out.md")
        await screen.see("is there already")
        await command(screen, "/export pdf")
        await screen.see("it is written so: /export")
    page = (person.root / "out.html").read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "default-src 'none'" in page
    assert "+&lt;b&gt;" in page
    written = (person.root / "out.md").read_text()
    assert "> write `it`" in written
    assert "```diff" in written
    whole = json.loads((person.root / "out.json").read_text())
    assert [entry["kind"] for entry in whole["entries"]][:2] == ["said", "called"]
    assert not any("\x1b" in (person.root / f"out.{form}").read_text() for form in ("md", "html", "json"))


async def test_the_last_answer_is_copied(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Forty-two."))
    async with screen_of(person) as screen:
        await screen.say("what is it?")
        await screen.see("Forty-two.")
        await command(screen, "/copy")
        await screen.until(lambda: screen.app.clipboard == "Forty-two.")


async def test_what_was_used_and_what_fills_the_window_are_told(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Forty-two."))
    async with screen_of(person) as screen:
        await screen.say("what is it?")
        await screen.see("Forty-two.")
        await command(screen, "/cost")
        await screen.see("What was used", "scripted", "answered")
        await screen.pilot.press("escape")
        await command(screen, "/context")
        await screen.see("What fills the window", "what you said", "free", "█", "·")
        await screen.pilot.press("escape")
        session = screen.app.session
        assert session is not None
        filling = await session.filling()
        assert filling.fixed > filling.person > 0
        assert filling.answers > 0


async def test_rules_checks_and_status_are_shown(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(person.home))
    (person.root / "Makefile").write_text("check:\n")
    async with screen_of(person, allow=("shell(git status)",)) as screen:
        await command(screen, "/rules")
        await screen.see("shell(git status)", "allow")
        await screen.pilot.press("escape")
        await command(screen, "/checks")
        await screen.see("make check · proposed: Enter takes it over")
        await screen.pilot.press("enter")
        await screen.see("checks.repository-make-check stands in your config.toml")
        await command(screen, "/checks")
        await screen.see("make check · runs before a turn ends")
        await screen.pilot.press("escape")
        await command(screen, "/status")
        await screen.see("In this session", "In this work tree", "sandbox", "ledger")


async def test_what_was_changed_is_committed_by_a_command(person: Person, server: ScriptedServer) -> None:
    server.script += [*writing("a.txt", "one\n"), answer("Add a file")]
    person.environment |= {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    async with screen_of(person, mode="auto") as screen:
        await screen.say("write it")
        await screen.see("Written.")
        await command(screen, "/commit")
        await screen.see("Add a file", "Ctrl+S commits")
        await screen.pilot.press("ctrl+s")
        await screen.see("Committed.")
    assert (await person.shell("git log --format=%s")).out.splitlines()[0] == "Add a file"


async def test_another_model_goes_on_with_the_same_session(person: Person, server: ScriptedServer) -> None:
    server.models = ("test-model", "better-model")
    server.script += [answer("I am small."), answer("I am better.")]
    async with screen_of(person) as screen:
        await screen.say("who are you?")
        await screen.see("I am small.")
        before = screen.app.session
        assert before is not None
        await screen.idle()
        await command(screen, "/model")
        await screen.see("better-model")
        await screen.pilot.press(*"better", "enter")
        await screen.until(lambda: screen.app.session is not None and screen.app.session.model == "better-model")
        assert screen.app.session is not None
        assert screen.app.session.id == before.id
        await screen.see("I am small.")
        await screen.say("and now?")
        await screen.see("I am better.")
    assert json.loads(server.requests[-1])["model"] == "better-model"
    assert "I am small." in server.requests[-1].decode()


async def test_a_model_that_cannot_be_asked_leaves_the_session_as_it_is(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("I am small."), answer("Still me.")]
    async with screen_of(person) as screen:
        await screen.say("who are you?")
        await screen.see("I am small.")
        await screen.idle()
        await command(screen, "/model openrouter:any/thing")
        await screen.see("OPENROUTER_API_KEY")
        await screen.say("and now?")
        await screen.see("Still me.")


async def test_no_other_session_is_opened_while_a_turn_runs(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[("write", {"path": "a.txt", "content": "one\n"})])]
    async with screen_of(person, mode="ask") as screen:
        await screen.say("write it")
        await screen.see("May it?")
        session = screen.app.session
        for typed in ("/new", "/model better", "/fork", "/resume -"):
            screen.app._slash.run(typed[1:].partition(" ")[0], typed.partition(" ")[2])
        await screen.see("a turn runs: stop it first")
        assert screen.app.session is session


async def test_sessions_are_searched_renamed_deleted_and_gone_on_with(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("First."), answer("Second.")]
    async with screen_of(person) as screen:
        await screen.say("the apple")
        await screen.see("First.")
        await screen.idle()
        await command(screen, "/new")
        await screen.until(lambda: screen.app.story.turn == 0)
        await screen.say("the pear")
        await screen.see("Second.")
        await screen.idle()
        await command(screen, "/resume")
        await screen.see("the apple", "the pear", "open now")
        await screen.pilot.press(*"apple", "ctrl+r")
        await screen.pilot.press(*" tree", "enter")
        await screen.see("It has another title.", "the apple tree")
        await screen.pilot.press("enter")
        await screen.until(lambda: screen.app.story.title == "the apple tree")
        await screen.see("First.")
        await screen.idle()
        await command(screen, "/resume")
        await screen.see("the pear")
        await screen.pilot.press(*"pear", "ctrl+d")
        await screen.see("Delete “the pear”?")
        await screen.pilot.press("n")
        await screen.see("Ctrl+D delete")
        assert len(person.logs) == 2
        await screen.pilot.press("ctrl+d", "y")
        await screen.see("It is deleted.")
        assert len(person.logs) == 1


async def test_the_open_session_is_not_deleted_but_can_be_forked(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("First."))
    async with screen_of(person) as screen:
        await screen.say("the apple")
        await screen.see("First.")
        await screen.idle()
        await command(screen, "/resume")
        await screen.see("open now")
        await screen.pilot.press("ctrl+d")
        await screen.see("This one is open")
        await screen.pilot.press("ctrl+f")
        await screen.until(lambda: len(person.logs) == 2)
        await screen.see("First.")


async def test_init_asks_the_model_for_agents_md(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Done."))
    async with screen_of(person) as screen:
        await command(screen, "/init")
        await screen.see("Done.")
    assert "Write AGENTS.md at the root" in server.requests[-1].decode()


async def test_the_plan_command_lets_the_model_plan_only(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("I would begin so."))
    async with screen_of(person, mode="auto") as screen:
        await command(screen, "/plan a typing game")
        await screen.see("❯ a typing game", "I would begin so.")
        assert screen.app.story.mode == "plan"


async def test_settings_are_kept(person: Person) -> None:
    async with screen_of(person) as screen:
        await command(screen, "/settings")
        await screen.see("differences", "as there is room")
        await screen.pilot.press(*"differences", "enter")
        await screen.see("side by side")
        await screen.pilot.press("escape")
        await command(screen, "/theme textual-light")
        await screen.until(lambda: screen.app.theme == "textual-light")
    async with screen_of(person) as screen:
        assert screen.app.desk.taste.diffs == "split"
        assert screen.app.theme == "textual-light"


async def test_a_theme_is_seen_before_it_is_chosen_and_goes_when_it_is_not(person: Person) -> None:
    async with screen_of(person) as screen:
        before = screen.app.theme
        await command(screen, "/theme")
        await screen.until(lambda: isinstance(screen.app.screen, Listing))
        await screen.see("jumar-light")
        over, rows = (screen.app.screen.query_one(name).size.height for name in ("#over", "#choosing-rows"))
        assert over == rows + 3  # a line to search in, and one of keys below another that is empty
        await screen.pilot.press(*"textual-light")
        await screen.until(lambda: screen.app.theme == "textual-light")
        await screen.pilot.press("escape")
        await screen.until(lambda: screen.app.theme == before)


async def test_another_language_is_spoken_at_once_and_nothing_is_lost(person: Person, server: ScriptedServer) -> None:
    server.script += [*writing("a.txt", "one\n"), answer("Still here.")]
    chinese = replace(catalogue("en"), language="zh", texts={**catalogue("en").texts, "prompt.placeholder": "要做什么？"})
    async with screen_of(person, mode="auto") as screen:
        await screen.say("write it")
        await screen.see("Written.", "1 write a.txt")
        await screen.idle()
        screen.app.words = chinese
        await command(screen, "/language en")
        await screen.until(lambda: screen.app.words is catalogue("en"))
        await screen.see("Written.", "1 write a.txt", "What shall be done?")
        await screen.say("and now?")
        await screen.see("Still here.")


async def test_the_palette_finds_commands(person: Person) -> None:
    async with screen_of(person) as screen:
        await screen.pilot.press("ctrl+p")
        await screen.pilot.press(*"what fills the model")
        await screen.see("/context")
        await screen.pilot.press("enter")
        await screen.see("What fills the window")


async def test_nothing_is_opened_before_the_work_tree_is_trusted(person: Person) -> None:
    async with untrusted(person) as screen:
        await screen.see("Do you trust this folder?", "calc.py")
        question = screen.app.screen
        assert isinstance(question, Question)
        await heard(screen)
        question.is_deaf = True  # as in its first half second, in which this machine may not have come so far
        await screen.pilot.press("y")
        assert screen.app.session is None  # a key that was typed ahead is no answer
        question._listen()
        assert not person.logs
        await screen.pilot.press("y")
        await screen.until(lambda: screen.app.session is not None)
    async with untrusted(person) as screen:
        await screen.until(lambda: screen.app.session is not None)


async def test_a_work_tree_that_is_not_trusted_ends_it(person: Person) -> None:
    async with untrusted(person) as screen:
        await heard(screen)
        await screen.pilot.press("n")
        await screen.until(lambda: screen.app.return_code == 0 or screen.app.return_value is not None)
        assert screen.app.return_value == 3
    assert not person.logs


async def test_without_a_key_it_says_what_to_do_and_tries_again(person: Person, server: ScriptedServer) -> None:
    key = person.environment.pop("JUMAR_API_KEY")
    address = person.environment.pop("JUMAR_BASE_URL")
    async with untrusted(person, trust=True) as screen:
        await screen.see("No session can be opened", "jumar login")
        assert "Traceback" not in screen.text
        person.environment |= {"JUMAR_API_KEY": key, "JUMAR_BASE_URL": address}
        await heard(screen)
        await screen.pilot.press("r")
        await screen.until(lambda: screen.app.session is not None)
