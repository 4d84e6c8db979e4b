"""The demo in the screen: the game is built, a part of it refused, an action taken back, brought again, and all committed.

With JUMAR_PICTURES set to a folder, what the screen shows on the way is kept there as PNG files, painted by Chromium.
"""

import html
import json
import math
import os
import re
import subprocess
from pathlib import Path

from rich.cells import cell_len

from agent.providers.replay import ReplayModel, load
from jumar import demo
from jumar.recording import about
from jumar.screen import Played
from tests.repositories import git
from tests.runs import Person
from tests.screens import Screen, screen_of
from tests.test_demo import BROWSER
from tests.test_review import named
from tests.test_timeline import states

_PICTURES = os.environ.get("JUMAR_PICTURES")
_RECORDING = load(Path(demo.__file__).with_name("demo.json").read_bytes())


def picture(screen: Screen, name: str) -> None:
    if not _PICTURES or BROWSER is None:
        return
    drawn = re.sub(r'url\("https:[^)]*\)', 'local("DejaVu Sans Mono")', screen.app.export_screenshot())  # loads nothing
    drawn = re.sub(r'textLength="[0-9.]+"([^>]*)>([^<]*)<', _as_wide_as_its_cells, drawn)
    size = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', drawn)
    assert size is not None
    width, height = (math.ceil(float(one)) for one in size.groups())
    file = Path(_PICTURES).absolute() / f"{name}.svg"
    file.write_text(drawn, encoding="utf-8")
    painted = [f"--window-size={width},{height}", "--hide-scrollbars", f"--screenshot={file.with_suffix('.png')}"]
    subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", *painted, file.as_uri()], check=True, capture_output=True
    )
    file.unlink()


def _as_wide_as_its_cells(text: re.Match[str]) -> str:
    """The export takes a wide character for one cell."""
    return f'textLength="{cell_len(html.unescape(text[2])) * 12.2}"{text[1]}>{text[2]}<'


def wanted(built: bytes) -> bytes:
    """Return the game as the model would have it in the end."""
    [call] = [call for step in _RECORDING.steps for call in step.calls if call.id == "functions.edit:60"]
    text = built.decode()
    for one in json.loads(call.arguments)["edits"]:
        text = text.replace(one["old"], one["new"])
    return text.encode()


async def asked(screen: Screen, *words: str) -> None:
    """Wait until an approval can be answered, and see all of it."""
    await screen.see("May it?", *words)
    await screen.heard()
    await screen.pilot.press("end")


async def test_the_game_is_built_and_each_part_of_it_is_the_persons(person: Person) -> None:
    named(person)
    played = Played(ReplayModel(_RECORDING), _RECORDING.prompts[:1], about(person.root))
    game, check = person.root / "index.html", person.root / "check.py"
    async with screen_of(person, (132, 44), played=played, mode="yolo") as screen:
        await screen.see("loads nothing", "done · 4 steps")
        built, checked = game.read_bytes(), check.read_bytes()
        assert ("2", "done") in states(screen)
        await screen.pilot.press("shift+tab")
        await screen.see("ask mode")
        await screen.say(_RECORDING.prompts[1])
        await asked(screen, "edit", "index.html")
        await screen.pilot.press("up", "space")
        await screen.see("☐")
        picture(screen, "approval")
        await screen.pilot.press("a")
        await screen.until(lambda: game.read_bytes() != built)
        await asked(screen, "check.py")
        await screen.pilot.press("r", *"the check stays", "enter")
        await screen.see("The speed now stands beside the score")
        changed = game.read_bytes()
        assert changed != built
        assert len(changed.splitlines()) < len(wanted(built).splitlines())
        assert check.read_bytes() == checked

        await screen.pilot.press("f6", "2", "u")
        await screen.see("Undo 2", "check.py", "is removed")
        await screen.pilot.press("enter")
        await screen.until(lambda: not check.exists() and ("2", "undone") in states(screen))
        assert game.read_bytes() == changed
        picture(screen, "screen")
        await screen.pilot.press("R")
        await screen.until(lambda: check.exists() and ("2", "redone") in states(screen))
        assert check.read_bytes() == checked

        await screen.pilot.press("f7")
        await screen.see("Review", "2 files")
        picture(screen, "review")
        await screen.pilot.press("c")
        await screen.see("Commit")
        await screen.pilot.press(*"Add the game", "ctrl+s")
        await screen.see("Committed.")
    assert git(person.root, "show", "HEAD:index.html").encode() == changed
    assert git(person.root, "show", "HEAD:check.py").encode() == checked


async def test_all_of_it_can_be_chinese(person: Person) -> None:
    person.environment["LANG"] = "zh_CN.UTF-8"
    played = Played(ReplayModel(_RECORDING), _RECORDING.prompts[:1], about(person.root))
    async with screen_of(person, (132, 44), played=played, mode="yolo") as screen:
        await screen.see("全放行模式", "完成 · 4 步", "计划", "时间线", "要做什么")
        picture(screen, "screen-zh")
        assert not any(word in screen.text for word in ("thought", "Timeline", "done ·"))
