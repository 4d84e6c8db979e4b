"""The prompt box: its keys, what it remembers, what waits, and what becomes of what is pasted into it."""

import asyncio
import base64
import stat
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image as Drawing
from textual import events

from jumar.home import home
from jumar.notes import note
from jumar.recall import keep_draft, recalled, remember
from tests.fakes import Response, ScriptedServer, answer
from tests.runs import Person
from tests.screens import Screen, screen_of
from tui.chips import LONGEST
from tui.keyboard import Keyboard, know_terminals
from tui.prompt import Prompt, kind_of
from tui.queue import QueueList
from tui.recall import Recall

Told = events.Key | events.Paste


def box(screen: Screen) -> Prompt:
    """Return the prompt box."""
    return screen.app.query_one(Prompt)


async def paste(screen: Screen, text: str) -> None:
    """Paste as the terminal does."""
    before = box(screen).text
    box(screen).post_message(events.Paste(text))
    await screen.until(lambda: box(screen).text != before)


def read(*pieces: str) -> list[str]:
    """Return the keys and pastes that are made of what a terminal sends, piece by piece."""
    keyboard = Keyboard()
    told = [event for piece in pieces for event in keyboard.feed(piece)]
    return [event.key if isinstance(event, events.Key) else event.text for event in told if isinstance(event, Told)]


def test_every_terminals_way_to_say_new_line_is_understood() -> None:
    know_terminals()
    assert read("\x1b\r") == ["alt+enter"]
    assert read("\x1b[13;2u") == ["shift+enter"]
    assert read("\x1b[27;2;13~") == ["shift+\r"]
    assert read("\n") == ["ctrl+j"]
    assert read("\r") == ["enter"]
    assert read("\x1b[13;5u") == ["ctrl+enter"]
    assert read("\x13") == ["ctrl+s"]


def test_nothing_in_a_paste_is_a_key_however_it_comes() -> None:
    sent = "a\x1b[200~one\x1b[2K\rtwo\x1b\r\x1b[20\x07\x1b[201~b\x1b[200~\x1b[A\x1b[201~\x1b[A"
    whole = ["a", "one␛[2K\rtwo␛\r␛[20\x07", "b", "␛[A", "up"]
    assert read(sent) == whole
    assert read(*sent) == whole
    for cut in range(1, len(sent)):
        assert read(sent[:cut], sent[cut:]) == whole


@pytest.mark.parametrize("key", ["shift+enter", "shift+\r", "alt+enter", "ctrl+j"])
async def test_a_new_line_is_made_and_enter_sends_all_lines(key: str, person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Yes."))
    async with screen_of(person) as screen:
        box(screen).insert("one")
        if key == "shift+\r":
            box(screen).post_message(events.Key(key, None))
        else:
            await screen.pilot.press(key)
        await screen.pilot.press(*"two\\", "enter", *"three", "enter")
        await screen.see("Yes.")
    assert b"one\\ntwo\\nthree" in server.requests[-1]


async def test_the_box_grows_to_twelve_lines(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        assert box(screen).size.height == 1
        box(screen).insert("\n".join(str(number) for number in range(30)))
        await screen.until(lambda: box(screen).size.height == 12)


def test_what_a_text_is() -> None:
    assert [kind_of(text) for text in ("/help", "!ls", "#note", "//etc", " !ls", "# a\nb", "")] == [
        *("command", "shell", "note"),
        *("prompt", "prompt", "prompt", "prompt"),
    ]


async def test_the_box_says_which_kind_of_thing_stands_in_it(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await screen.pilot.press("!")
        await screen.see("! you run this yourself")
        await screen.pilot.press("backspace", "#")
        await screen.see("# note for AGENTS.md")
        await screen.pilot.press("ctrl+u")
        await screen.until(lambda: "AGENTS.md" not in screen.text)
        await screen.pilot.press("ctrl+underscore")
        await screen.until(lambda: box(screen).text == "#")


async def test_what_is_no_command_is_said_and_kept(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("It is a folder."))
    async with screen_of(person) as screen:
        await screen.pilot.press(*"/etc is what?", "enter")
        await screen.see("there is no command /etc")
        assert box(screen).text == "/etc is what?"
        assert server.requests == []
        await screen.pilot.press("home", "/", "enter")
        await screen.see("It is a folder.")
    assert b"/etc is what?" in server.requests[-1]
    assert b"//etc" not in server.requests[-1]


async def test_a_command_of_the_persons_runs_and_the_model_learns_of_it(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("I see."))
    async with screen_of(person) as screen:
        await screen.pilot.press(*"!echo made > made.txt", "enter")
        await screen.until(lambda: (person.root / "made.txt").exists())
        await screen.see("echo made")
        await screen.say("and?")
        await screen.see("I see.")
    assert "The person ran a command of their own: echo made" in server.requests[-1].decode()


async def test_escape_stops_a_command_of_the_persons(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await screen.pilot.press(*"!touch begun; sleep 600 # [/x] [@click=app.quit]", "enter")
        await screen.until(lambda: (person.root / "begun").exists())
        await screen.see("runs: touch begun")
        await screen.pilot.press("escape")
        await screen.see("stopped: touch begun")


async def test_a_note_is_added_to_the_instructions(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await screen.pilot.press(*"#use tabs", "enter")
        await screen.see("noted in AGENTS.md")
    assert (person.root / "AGENTS.md").read_text() == "- use tabs\n"


def test_a_note_begins_a_line_of_its_own_and_stays_in_the_tree(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "tree"
    root.mkdir()
    (root / "CLAUDE.md").write_text("Be brief.")
    (root / "AGENTS.md").symlink_to("CLAUDE.md")
    note(root, "use\n tabs")
    assert (root / "CLAUDE.md").read_text() == "Be brief.\n- use tabs\n"
    (root / "AGENTS.md").unlink()
    (root / "AGENTS.md").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="out of the work tree"):
        note(root, "use tabs")
    assert not (tmp_path / "elsewhere").exists()


# What was said before.


def test_looking_back_ends_where_it_began() -> None:
    recall = Recall(["one", "two"])
    assert [recall.earlier("begun"), recall.earlier(""), recall.earlier("")] == ["two", "one", None]
    assert [recall.later(), recall.later(), recall.later()] == ["two", "begun", None]
    recall.add("one")
    assert recall.found("ON", 5) == ["one"]
    assert recall.found("", 5) == ["one", "two"]


async def test_what_was_said_comes_back_in_the_next_session(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("First."), answer("Second.")]
    async with screen_of(person) as screen:
        await screen.say("mend the parser")
        await screen.see("First.")
        await screen.say("and its tests")
        await screen.see("Second.")
        await screen.pilot.press(*"half a th")
    place = home(person.environment)
    [kept] = (place.state / "prompts").glob("*.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    async with screen_of(person) as screen:
        await screen.until(lambda: box(screen).text == "half a th")
        await screen.pilot.press("up", "up")
        await screen.until(lambda: box(screen).text == "mend the parser")
        await screen.pilot.press("down", "down")
        await screen.until(lambda: box(screen).text == "half a th")
        await screen.pilot.press("ctrl+u", "ctrl+r", *"pars")
        await screen.see("what you said before")
        await screen.until(lambda: "and its tests" not in screen.text)
        await screen.pilot.press("enter")
        await screen.until(lambda: box(screen).text == "mend the parser")
        await screen.pilot.press("ctrl+r", "x", "escape")
        await screen.until(lambda: box(screen).text == "mend the parser")


def test_what_is_remembered_is_bounded_and_broken_files_are_nothing(person: Person) -> None:
    place = home(person.environment)
    for number in range(510):
        remember(place, person.root, f"prompt {number}")
    remember(place, person.root, "x" * 200_000)
    remember(place, person.root, "prompt 400")
    keep_draft(place, person.root, "half", ("waits",))
    kept = recalled(place, person.root)
    assert (len(kept.said), kept.said[-1], kept.draft, kept.queued) == (500, "prompt 400", "half", ("waits",))
    [file] = (place.state / "prompts").glob("*.json")
    file.write_text('{"said": [1, {')
    assert recalled(place, person.root).said == ()


# What is pasted.


async def test_a_long_paste_is_a_chip_and_is_sent_whole(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Long."))
    async with screen_of(person) as screen:
        await paste(screen, "".join(f"line {number}\n" for number in range(300)))
        await screen.see("[pasted #1, 300 lines]")
        await screen.pilot.press(*" what is it?", "enter")
        await screen.see("Long.")
        assert "line 299\\n what is it?" in server.requests[-1].decode()
        await paste(screen, "short\r\ntext")
        assert box(screen).text == "short\ntext"


async def test_a_chip_is_removed_as_one_and_cannot_be_entered(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await screen.pilot.press("a")
        await paste(screen, "x" * 3000)
        chip = "[pasted #1, 1 lines]"
        await screen.pilot.press("b", "left", "left")
        await screen.until(lambda: box(screen).cursor_location == (0, 1))
        await screen.pilot.press("right")
        await screen.until(lambda: box(screen).cursor_location == (0, 1 + len(chip)))
        await screen.pilot.press("backspace")
        await screen.until(lambda: box(screen).text == "ab")
        await screen.pilot.press("ctrl+underscore")
        await screen.until(lambda: box(screen).text == f"a{chip}b")


async def test_a_paste_that_is_too_long_is_refused_in_words(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        box(screen).post_message(events.Paste("x" * (LONGEST + 1)))
        await screen.see("at most 1 MB fit here")
        assert box(screen).text == ""


async def test_what_a_terminal_would_obey_is_made_visible(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await paste(screen, "a\x1b]52;c;ZXZpbA==\x07b\u202ec")
        assert box(screen).text == "a␛]52;c;ZXZpbA==␇b\\u{202e}c"


def seeing(person: Person, name: str) -> Path:
    """Draw a picture into the tree, and say that the model can be shown it."""
    person.configure("[overrides.'test-.*']\nimages = true\n")
    path = person.root / name
    path.parent.mkdir(exist_ok=True)
    Drawing.new("RGB", (4, 4), "red").save(path)
    return path


@pytest.mark.parametrize("given", ["{path}", "'{path}'", "file://{quoted}", "shots/a\\ b.png"])
async def test_a_pasted_picture_is_shown_to_the_model(given: str, person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Red."))
    path = seeing(person, "shots/a b.png")
    async with screen_of(person) as screen:
        await paste(screen, given.format(path=path, quoted=quote(str(path))))
        await screen.see("[picture #1, a b.png]")
        await screen.pilot.press(*"colour?", "enter")
        await screen.see("Red.")
    assert b"data:image/png;base64," in server.requests[-1]


async def test_a_picture_from_the_clipboard_or_mentioned_is_shown_to_the_model(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("Red."))
    raw = seeing(person, "shots/a.png").read_bytes()
    async with screen_of(person) as screen:
        await paste(screen, f"data:image/png;base64,{base64.b64encode(raw).decode()}")
        await screen.see("[picture #1, clipboard]")
        await screen.pilot.press(*"as @shots/a.png", "escape", "enter")
        await screen.see("Red.", "[picture #2, a.png]")
    assert server.requests[-1].count(b"data:image/png;base64,") == 2


async def test_a_picture_for_a_model_that_sees_none_comes_back_in_words(person: Person, server: ScriptedServer) -> None:
    Drawing.new("RGB", (4, 4), "red").save(person.root / "a.png")
    async with screen_of(person) as screen:
        await paste(screen, str(person.root / "a.png"))
        await screen.pilot.press("enter")
        await screen.see("cannot be shown pictures")
        assert "[picture #1, a.png]" in box(screen).text
    assert server.requests == []


# What waits.


async def running(screen: Screen, text: str) -> None:
    """Say something whose answer is a command that runs on."""
    await screen.say(text)
    await screen.until(lambda: (screen.app.desk.root / "begun").exists())


SLOW = answer("", calls=[("shell", {"command": "touch begun; sleep 600"})])


async def test_prompts_wait_can_be_edited_and_dropped_and_go_out_in_order(person: Person, server: ScriptedServer) -> None:
    hold = "touch begun; until [ -e go ]; do sleep 0.02; done"
    server.script += [answer("", calls=[("shell", {"command": hold})]), answer("A."), answer("B."), answer("C.")]
    async with screen_of(person, mode="yolo") as screen:
        await running(screen, "first")
        for text in ("second", "thirst", "fourth"):
            await screen.pilot.press(*text, "enter")
        await screen.see("3 queued", "› second", "› thirst", "› fourth")
        await screen.pilot.press("ctrl+x")
        await screen.until(lambda: "fourth" not in screen.text)
        await screen.pilot.press("up")
        await screen.until(lambda: box(screen).text == "thirst")
        await screen.pilot.press("ctrl+u", *"third", "enter")
        await screen.see("› third")
        (person.root / "go").touch()
        await screen.see("❯ second", "❯ third", "C.")
        assert not screen.app.query_one(QueueList).display


async def test_a_queued_prompt_is_dropped_in_the_list(person: Person, server: ScriptedServer) -> None:
    server.script += [SLOW]
    async with screen_of(person, mode="yolo") as screen:
        await running(screen, "first")
        for text in ("second", "third"):
            await screen.pilot.press(*text, "enter")
        await screen.see("2 queued")
        screen.app.query_one(QueueList).focus()
        await screen.pilot.press("up", "delete")
        await screen.until(lambda: "second" not in screen.text)
        await screen.pilot.press("enter")
        await screen.until(lambda: box(screen).text == "third" and box(screen).has_focus)


async def test_a_running_turn_is_steered_by_a_key_of_all_terminals(person: Person, server: ScriptedServer) -> None:
    hold = "touch begun; until [ -e go ]; do sleep 0.02; done"
    server.script += [answer("", calls=[("shell", {"command": hold})]), answer("Turned.")]
    async with screen_of(person, mode="yolo") as screen:
        await running(screen, "first")
        await screen.pilot.press(*"be brief", "ctrl+s")
        await screen.see("be brief")
        (person.root / "go").touch()
        await screen.see("Turned.")
    assert b"be brief" in server.requests[1]


async def test_a_stop_pauses_what_waits_until_the_person_goes_on(person: Person, server: ScriptedServer) -> None:
    server.script += [SLOW, answer("Said first."), answer("Went on.")]
    async with screen_of(person, mode="yolo") as screen:
        await running(screen, "first")
        await screen.pilot.press(*"second", "enter", "escape")
        await screen.see("1 queued, paused", "stopped")
        await screen.say("something else")
        await screen.see("Said first.", "1 queued, paused")
        await screen.pilot.press("enter")
        await screen.see("❯ second", "Went on.")


async def test_a_prompt_that_was_stopped_before_any_answer_comes_back(person: Person, server: ScriptedServer) -> None:
    server.script.append(Response((), hold=asyncio.Event()))
    async with screen_of(person) as screen:
        await screen.say("a long thought")
        await screen.until(lambda: server.requests)
        await screen.pilot.press("escape")
        await screen.until(lambda: box(screen).text == "a long thought")


async def test_what_waited_is_there_again_after_a_quit_and_waits(person: Person, server: ScriptedServer) -> None:
    server.script += [SLOW, answer("Late.")]
    async with screen_of(person, mode="yolo") as screen:
        await running(screen, "first")
        await screen.pilot.press(*"second", "enter")
        await screen.see("1 queued")
    async with screen_of(person, mode="yolo") as screen:
        await screen.see("1 queued, paused", "second")
        await screen.pilot.press("enter")
        await screen.see("Late.")


async def test_the_key_to_the_timeline_works_in_the_box(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await screen.pilot.press("f6")
        await screen.until(lambda: not box(screen).has_focus)


async def test_the_editor_cannot_be_opened_without_a_terminal_and_nothing_is_lost(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        await screen.pilot.press(*"begun", "ctrl+g")
        await screen.see("there is no terminal here")
        assert box(screen).text == "begun"
