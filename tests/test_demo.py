"""The demo: a recording that really builds the game, and the game that really can be played."""

import asyncio
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from tests.runs import JUMAR, Ended, Person

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-extensions", "--mute-audio"),
)

# A browser whose time runs ahead draws few frames: they come with its clock instead.
FRAMES = "requestAnimationFrame = draw => setTimeout(() => draw(performance.now()), 16);"
PLAY = Path(__file__).with_name("play.js")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    folder = tmp_path_factory.mktemp("demo")
    person = Person(folder)
    game = folder / "typing game"
    return asyncio.run(person.run("demo", "--fast", "--into", str(game))), game


def test_the_demo_builds_the_game_without_a_key_and_says_what_comes_next(played: tuple[Ended, Path]) -> None:
    run, game = played
    assert run.code == 0, run.err
    assert "This is a recording" in run.err
    assert "✓ check python3 check.py · exit 0" in run.err
    for words in ("index.html", "Undo it", "MOONSHOT_API_KEY", "jumar trust", "jumar -p"):
        assert words in run.err.partition("Play it")[2]
    assert (game / "index.html").is_file()


def test_the_demo_can_be_undone_and_done_again_as_it_says(played: tuple[Ended, Path]) -> None:
    run, game = played
    lines = run.err.partition("Undo it")[2].splitlines()
    undo, redo, actions = (line.partition("   (")[0].strip() for line in lines[:3])
    before = {path.name: path.read_bytes() for path in game.iterdir() if path.is_file()}
    environment = {"PATH": f"{JUMAR.parent}:/usr/bin:/bin", "HOME": str(game.parent / "home")}

    def do(command: str) -> str:
        told = subprocess.run(["/bin/bash", "-c", command], check=True, cwd="/", env=environment, capture_output=True, text=True)
        return told.stdout

    do(undo)
    assert [entry.name for entry in game.iterdir()] == [".git"]
    do(redo)
    assert {path.name: path.read_bytes() for path in game.iterdir() if path.is_file()} == before
    assert "undo" in do(actions)


async def test_the_demo_writes_over_nothing(tmp_path: Path) -> None:
    person = Person(tmp_path)
    (person.root / "mine").touch()
    run = await person.run("demo", "--into", ".")
    assert run.code == 2
    assert "is not empty" in run.err
    assert [entry.name for entry in person.root.iterdir()] == ["mine"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed, so the game is not played")
def test_the_game_can_be_played_in_a_browser(played: tuple[Ended, Path], tmp_path: Path) -> None:
    assert BROWSER is not None
    page = tmp_path / "page.html"
    page.write_text(f"<script>{FRAMES}</script>{(played[1] / 'index.html').read_text()}<script>{PLAY.read_text()}</script>")
    command = [BROWSER, *_QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=300000", "--dump-dom"]
    ended = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    title = unescape(ended.stdout.partition("<title>")[2].partition("</title>")[0])
    assert title.startswith("played "), title
    assert ",false]" not in title, title
