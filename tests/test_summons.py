"""A person who looks elsewhere is called where they are needed, and only then; nothing hostile is told to the terminal."""

import asyncio
import json
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from agent.events.call import ApprovalAsked
from agent.events.conversation import TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.step import ModelAnswered
from agent.messages import Answer, Call, Usage
from tests.fakes import ScriptedServer, answer
from tests.pty import HOSTILE, SCREEN, hostile_bytes, watched
from tests.runs import Person
from tui.desk import Taste
from tui.story import Story
from tui.summons import Summons
from tui.words import catalogue

_TURN = TurnStarted(turn=1, prompt="go")
_ANSWERED = ModelAnswered(
    step=1, answer=Answer("", calls=(Call("c1", "shell", "{}"),)), usage=Usage(), model="m", seconds=1.0, cost=None
)
_ASKED = ApprovalAsked(call_id="c1", tool="shell", subject="rm -rf build", reason="r", blocks=(), digest="d")
_OVER = TurnFinished(turn=1, status="done", text="", steps=3, seconds=42.0)


class Place:
    """A terminal that keeps what it is told, and the story of a session."""

    def __init__(self, environment: Mapping[str, str], taste: Taste | None = None, folder: str = "work") -> None:
        self.told: list[str] = []
        self.story = Story()
        self.summons = Summons(catalogue("en"), folder, environment, self.told.append)
        self.summons.follow_taste(taste or Taste())

    def happens(self, *events: Event, focused: bool = False) -> str:
        """Let something happen; return what the terminal was told of it."""
        before = len(self.told)
        for event in events:
            self.story.apply(event)
        self.summons.follow(self.story, focused=focused)
        return "".join(self.told[before:])


def test_who_is_asked_or_waited_for_is_called_once() -> None:
    place = Place({"TERM": "xterm-256color"})
    assert place.told == ["\x1b[22;2t", "\x1b]2;jumar · work\x1b\\"]
    assert place.happens(_TURN) == "\x1b]2;jumar works · work\x1b\\"
    told = place.happens(_ANSWERED, _ASKED)
    assert "\x07\x1b]9;jumar · work: waits for you: shell rm -rf build\x1b\\" in told
    assert told.endswith("\x1b]2;jumar asks · work\x1b\\")
    assert place.happens() == ""
    assert "\x07\x1b]9;jumar · work: done · 3 steps · 42 s\x1b\\" in place.happens(_OVER)
    place.summons.leave()
    assert place.told[-1] == "\x1b[23;2t"


def test_who_looks_is_not_called_unless_it_took_long() -> None:
    place = Place({"TERM": "xterm"})
    place.happens(_TURN, focused=True)
    assert "\x07" not in place.happens(_ANSWERED, _ASKED, focused=True)
    place = Place({"TERM": "xterm"})
    place.happens(_TURN, focused=True)
    place.summons._since -= 60
    assert "\x07" in place.happens(_OVER, focused=True)


def test_a_session_that_is_shown_again_calls_nobody() -> None:
    place = Place({"TERM": "xterm"})
    assert "\x07" not in place.happens(_TURN, _ANSWERED, _OVER)


@pytest.mark.parametrize(
    ("environment", "taste", "words"),
    [
        ({"TERM": "foot"}, Taste(), "\x07\x1b]777;notify;jumar · work;"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, Taste(), "\x07\x1b]777;"),
        ({"TERM": "linux"}, Taste(), "\x07"),
        ({"TERM": "screen", "STY": "1.x"}, Taste(), "\x07"),
        ({"TERM": "xterm"}, Taste(bell=False), "\x1b]9;"),
        ({"TERM": "xterm"}, Taste(notify="osc777"), "\x07\x1b]777;"),
        ({"TERM": "xterm"}, Taste(notify="off"), "\x07"),
        ({"TERM": "xterm"}, Taste(notify="off", bell=False), ""),
    ],
)
def test_the_call_is_as_the_terminal_can_and_the_person_wants(environment: dict[str, str], taste: Taste, words: str) -> None:
    place = Place(environment, replace(taste, terminal_title=False))
    place.happens(_TURN)
    told = place.happens(_ANSWERED, _ASKED)
    assert told.startswith(words)
    assert bool(told) is bool(words)
    assert ("\x1b]" in told) is ("\x1b]" in words)


def test_nothing_hostile_is_told_to_the_terminal() -> None:
    everything = " ".join(HOSTILE.values())
    for terminal in ("xterm", "foot"):
        place = Place({"TERM": terminal}, folder=f"re{everything}")
        place.happens(_TURN, _ANSWERED)
        place.happens(replace(_ASKED, subject=everything, tool=f"t;{everything}"))
        place.happens(replace(_OVER, status="done"))
        raw = "".join(place.told).encode()
        assert not hostile_bytes(raw, SCREEN)
        assert max(map(len, place.told)) < 1000


def test_while_another_program_has_the_terminal_nothing_is_told() -> None:
    place = Place({"TERM": "xterm"})
    place.summons.leave()
    assert place.happens(_TURN) == place.happens(_ANSWERED, _ASKED) == ""
    place.summons.come()
    assert place.told[-1] == "\x1b]2;jumar asks · work\x1b\\"


@pytest.mark.parametrize("allowed", ["on", "all", "off", ""])
async def test_tmux_hands_on_only_where_it_is_allowed(tmp_path: Path, allowed: str) -> None:
    tmux = tmp_path / "tmux"
    tmux.write_text(f"#!/bin/sh\necho {allowed}\n")
    tmux.chmod(tmux.stat().st_mode | stat.S_IXUSR)
    place = Place({"TERM": "tmux-256color", "TMUX": "/tmp/x,1,0", "PATH": f"{tmp_path}:/usr/bin:/bin"})
    place.happens(_TURN)
    assert "\x07" in place.happens(_ANSWERED, _ASKED)
    await asyncio.gather(*place.summons._tasks)
    passed = [told for told in place.told if told.startswith("\x1bPtmux;\x1b\x1b]9;")]
    assert bool(passed) is (allowed in {"on", "all"})
    assert not hostile_bytes("".join(told for told in place.told if told != "\x07").encode(), SCREEN)


async def test_a_person_who_looked_away_is_called_and_the_title_goes_back(person: Person, server: ScriptedServer) -> None:
    command = json.dumps({"command": f"touch a; : '{HOSTILE['title']};{HOSTILE['c1']}'"})
    server.script += [answer("", calls=[Call("0", "shell", command)]), answer("finis")]
    async with watched("--trust", "--mode", "ask", cwd=person.root, environment=person.environment) as screen:
        await screen.sees("\x1b]2;jumar · repository")
        await screen.sees("ask mode")
        screen.types(b"do it\r\x1b[O")
        await screen.sees("\x1b]2;jumar asks · repository")
        await screen.sees("\x1b]9;jumar · repository: waits for you: shell touch a, : '")
        raw = bytes(screen.raw)
    assert b"\x07" in raw
    assert not hostile_bytes(raw[: raw.rfind(b"\x1b")], SCREEN)
    assert screen.raw.count(b"\x1b[22;2t") == screen.raw.count(b"\x1b[23;2t") == 1
    assert screen.raw.endswith(b"\x1b[23;2t")
