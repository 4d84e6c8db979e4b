"""How a person wants the screen: what they set holds, and what cannot be meant is told in one line."""

import json

import pytest

from agent.errors import UsageError
from jumar.options import RunOptions
from jumar.screen import FrontDesk
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import screen_of
from tui.keymap import NAMES, keymap
from tui.keys import PLACES
from tui.prompt import Prompt
from tui.transcript import Transcript


def desk_of(person: Person) -> FrontDesk:
    return FrontDesk(RunOptions(prompts=None, cwd=person.root, screen=True, trust=True), person.environment)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"fly": "f2"}, "keys.fly: there is no key of that name; there are help, "),
        ({"stop": "f2"}, "keys.stop: there is no key of that name"),
        ({"help": "h"}, "keys.help: 'h' is no key for it; write ctrl+LETTER"),
        ({"help": ""}, "is no key for it"),
        ({"help": "ctrl+\x1b"}, "is no key for it"),
        ({"help": "ctrl+m"}, "keys.help: a terminal cannot tell 'ctrl+m' from Enter"),
        ({"help": "ctrl+k"}, "edits text"),
        ({"palette": "ctrl+z"}, "edits text"),
        ({"help": "ctrl+s"}, "has another use: it is a key of the screen"),
        ({"help": "ctrl+c"}, "has another use: it stops what runs"),
        ({"help": "f12", "side": "F12"}, "keys.side: 'F12' is the key for help too"),
        ({"help": "ctrl+p"}, "'ctrl+p' is the key for"),
    ],
)
def test_a_key_that_cannot_be_meant_is_refused_in_one_line(keys: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        keymap(keys)
    assert words in str(refused.value)
    assert str(refused.value).isprintable()


def test_keys_can_be_exchanged_and_all_names_are_of_the_table() -> None:
    assert keymap({"help": "ctrl+t", "side": "F1"}) == {"help": "ctrl+t", "side": "f1"}
    assert {key.words for key in PLACES[0].keys} == {*NAMES, "stop", "interrupt"}


async def test_own_keys_hold_and_help_shows_them(person: Person) -> None:
    person.configure('[keys]\nhelp = "F2"\nside = "alt+s"\n')
    async with screen_of(person, size=(120, 60)) as screen:
        side = screen.app.query_one("#side")
        await screen.pilot.press("alt+s")
        await screen.until(lambda: not side.display)
        await screen.pilot.press("ctrl+t")
        await screen.pilot.press("f2")
        await screen.see("F2 ", "Alt+S ")
        assert not side.display


async def test_a_wrong_key_in_the_settings_ends_the_start(person: Person) -> None:
    person.configure('[keys]\nhelp = "enter"\n')
    with pytest.raises(UsageError, match="'enter' is no key for it"):
        async with screen_of(person):
            pass


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({"diffs": "sideways"}, "diffs: Input should be 'auto', 'split' or 'unified'; mend it, or delete it"),
        ({"bell": "loud"}, "bell: Input should be a valid boolean"),
        ([], "mend it, or delete it"),
    ],
)
def test_what_cannot_be_meant_in_what_is_kept_is_told_in_one_line(person: Person, kept: object, words: str) -> None:
    desk = desk_of(person)
    desk.keep_taste(desk.taste)
    [path] = person.root.parent.rglob("screen.json")
    path.write_text(json.dumps(kept))
    with pytest.raises(UsageError) as refused:
        desk_of(person)
    assert words in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_less_motion_moves_nothing(person: Person) -> None:
    async with screen_of(person) as screen:
        await screen.say("/settings")
        await screen.see("less motion")
        await screen.pilot.press(*"motion", "enter", "escape")
        await screen.until(lambda: screen.app.desk.taste.reduced_motion)
        assert screen.app.animation_level == "none"
    async with screen_of(person) as screen:
        assert screen.app.animation_level == "none"
        assert not screen.app.query_one(Prompt).cursor_blink


async def test_differences_are_drawn_as_they_are_wanted_at_once(person: Person, server: ScriptedServer) -> None:
    server.script += [answer("", calls=[("edit", {"path": "calc.py", "old": "a - b", "new": "a + b"})]), answer("Done.")]
    async with screen_of(person, size=(160, 40), mode="edits") as screen:
        (person.root / "calc.py").write_text("def add(a, b):\n    return a - b\n")
        await screen.say("mend it")
        await screen.see("Done.")
        assert "│ 2 +" not in screen.text
        await screen.say("/settings")
        await screen.see("differences")
        await screen.pilot.press(*"differ", "enter", "escape")
        await screen.until(lambda: screen.app.query_one(Transcript).split == "split")
        await screen.see("│ 2 +")
