"""Pictures are seen in the conversation as far as the terminal can, large where one looks closely."""

import asyncio
import base64

import pytest
from rich.segment import Segment
from textual.geometry import Region

from agent.blocks import Image
from agent.pictures import Unshowable, grid
from tests.fakes import ScriptedServer, answer
from tests.runs import Person
from tests.screens import Screen, screen_of
from tests.test_pictures import drawn
from tui.entries import Said
from tui.look import Look, look
from tui.pictures import Gallery, halves, has_colours
from tui.transcript import Transcript
from tui.viewing import Viewing, knows_kitty, placed
from tui.words import catalogue


def image(form: str = "PNG", size: tuple[int, int] = (60, 40)) -> Image:
    return Image("image/png" if form == "PNG" else "image/jpeg", base64.b64encode(drawn(form, size)).decode())


def test_a_picture_is_drawn_in_halves_of_cells_and_keeps_its_shape() -> None:
    lines = halves(grid(image(size=(400, 200)), 40, 28)).split("\n")
    assert (len(lines), {line.cell_length for line in lines}) == (10, {40})
    assert [str(lines[0].spans[at].style) for at in (0, -1)] == ["on rgb(255,0,0)", "on rgb(0,0,255)"]


def test_a_small_picture_is_not_blown_up_and_its_last_row_may_be_a_half() -> None:
    lines = halves(grid(image(size=(6, 5)), 40, 28)).split("\n")
    assert (len(lines), lines[-1].plain) == (3, "▀▀▀▀▀▀")
    assert [str(span.style) for span in lines[-1].spans] == ["rgb(255,0,0)", "rgb(0,0,255)"]


@pytest.mark.parametrize("content", ["", "no base64!", base64.b64encode(b"\x89PNG\r\n\x1a\nbroken").decode()])
def test_what_is_no_picture_is_not_drawn(content: str) -> None:
    with pytest.raises(Unshowable):
        grid(Image("image/png", content), 40, 28)


async def test_each_picture_is_drawn_once_a_size_and_who_waits_is_told() -> None:
    told: list[str] = []
    done = asyncio.Event()

    def ready(key: str) -> None:
        told.append(key)
        if len(told) == 2:
            done.set()

    gallery, one = Gallery(ready), image()
    assert gallery.small(one, 80, "a") is None
    assert gallery.small(one, 80, "b") is None
    await asyncio.wait_for(done.wait(), 20)
    assert told == ["a", "b"]
    assert gallery.small(one, 80, "a") is gallery.small(one, 80, "b")
    gallery.close()


def test_only_what_has_colours_shows_pictures() -> None:
    assert [has_colours(palette, bare=False) for palette in ("truecolor", "256", "standard", None)] == [True, True, False, False]
    assert not has_colours("truecolor", bare=True)


@pytest.mark.parametrize(
    ("environment", "known"),
    [
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, True),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, False),
        ({}, False),
    ],
)
def test_a_protocol_is_used_only_where_it_is_certain(environment: dict[str, str], known: bool) -> None:
    assert knows_kitty(environment) is known


def test_what_the_terminal_draws_comes_to_it_in_pieces_and_nothing_else_does() -> None:
    content = base64.b64encode(bytes(range(256)) * 30).decode()
    told = placed(content, Region(4, 2, 40, 10))
    assert told.startswith("\x1b7\x1b[3;5H\x1b_Ga=T,f=100,t=d,")
    assert "c=40,r=10" in told
    pieces = [piece.partition(";")[2] for piece in told.split("\x1b_G")[1:]]
    assert "".join(piece.partition("\x1b\\")[0] for piece in pieces) == content
    assert "m=1;" in told
    assert told.endswith("\x1b\\\x1b8")
    with pytest.raises(ValueError, match="base64"):
        placed("\x1b]0;title\x07", Region(0, 0, 1, 1))


async def shown(screen: Screen) -> None:
    """Wait until the red half of the picture can be seen."""
    await screen.until(lambda: any(_is_red(segment) for strip in screen.strips for segment in strip))


def _is_red(segment: Segment) -> bool:
    ground = segment.style.bgcolor if segment.style is not None else None
    return ground is not None and ground.triplet == (255, 0, 0)


async def test_what_was_pasted_and_what_was_read_can_be_seen_and_looked_at_closely(
    person: Person, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    person.configure("[overrides.'.*']\nimages = true\n")
    (person.root / "chart.png").write_bytes(drawn(size=(300, 200)))
    server.script += [answer("", calls=[("read", {"path": "chart.png"})]), answer("Red and blue.")]
    async with screen_of(person, (100, 40), mode="auto") as screen:
        await screen.say("what is in @chart.png ?")
        await screen.see("Red and blue.", "[picture 1]")
        await shown(screen)
        transcript = screen.app.query_one(Transcript)
        assert transcript.virtual_size.height > 14
        transcript.focus()
        await screen.pilot.press("up", "up", "up", "up")
        await screen.pilot.press("v")
        await screen.until(lambda: isinstance(screen.app.screen, Viewing))
        await shown(screen)
        await screen.see("picture 1", "Esc back")
        await screen.pilot.press("escape")
        await screen.until(lambda: screen.app.screen is screen.app.default_screen)


def test_where_pictures_cannot_be_drawn_their_numbers_stand_for_them() -> None:
    seen = look(Said("e1", "look", (image(), image())), Look(catalogue("en"), 80, opened=True)).plain
    assert seen.split("\n") == ["❯ look", "  [picture 1]", "  [picture 2]"]
