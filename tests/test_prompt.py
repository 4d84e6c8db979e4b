"""The words for models are shipped, short, and the same in every session."""

import re
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from agent.safe import safe_text
from prompts import words

ROOT = Path(__file__).parents[1]


def tokens(text: str) -> int:
    """Return about how many tokens the text has, rather too many: every word, and every mark."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def test_the_system_prompt_leaves_room_for_the_work() -> None:
    assert 500 < tokens(words("system")) <= 1400


def test_the_system_prompt_is_static_text_without_places_to_fill() -> None:
    text = words("system")
    assert text == words("system") == safe_text(text).strip()
    assert not re.search(r"[{}]|\$\w|%s|\b20\d\d\b", text)


def test_the_system_prompt_names_no_tool_that_is_not_there() -> None:
    named = set(re.findall(r"\bthe (\w+) tool\b", words("system")))
    assert named
    assert named <= {path.stem for path in (ROOT / "tools").glob("*.py")}


def test_the_words_are_shipped(tmp_path: Path) -> None:
    [wheel] = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as opened:
        assert opened.read("prompts/system.md").decode("utf-8").rstrip("\n") == words("system")
        assert "agent/providers/models.json" in opened.namelist()
