"""Every theme can be read: what is said, what is said beside it, and differences."""

from collections.abc import Iterator

import pytest
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import Theme

from tests.runs import Person
from tests.screens import screen_of
from tui.colours import Colours
from tui.themes import DEFAULT, THEMES, contrast

LEAST = 4.5  # of WCAG AA, for text
STRONG = 7.0  # of AAA
_TEXTS = ("text", "text-muted", "text-primary", "text-accent", "text-success", "text-warning", "text-error", "text-secondary")
_GROUNDS = ("background", "surface", "panel")
# Grounds that are mixed with a colour, and what is written on them.
_MIXED = (
    ("success", 0.12, ("text", "text-success")),
    ("error", 0.12, ("text", "text-error")),
    ("success", 0.35, ("text",)),
    ("error", 0.35, ("text",)),
    ("primary", 0.35, ("text",)),
)


def pairs(variables: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Yield what is written on what, and its contrast."""
    for ground in _GROUNDS:
        for text in _TEXTS:
            yield f"{text} on {ground}", contrast(Color.parse(variables[text]), Color.parse(variables[ground]))
    for name, share, texts in _MIXED:
        ground_colour = Color.parse(variables["background"]).blend(Color.parse(variables[name]), share)
        for text in texts:
            yield f"{text} on {name} {share:.0%}", contrast(Color.parse(variables[text]), ground_colour)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_all_can_be_read(theme: Theme) -> None:
    variables = {**theme.to_color_system().generate(), **theme.variables}
    faint = {pair: round(found, 2) for pair, found in pairs(variables) if found < LEAST}
    assert not faint


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_with_256_colours_all_can_be_read_and_grounds_stay_grey(theme: Theme) -> None:
    def seen(name: str) -> Color:
        return Color.from_rich_color(Color.parse(variables[name]).rich_color.downgrade(ColorSystem.EIGHT_BIT))

    variables = {**theme.to_color_system().generate(), **theme.variables}
    for ground in _GROUNDS:
        assert max(seen(ground).rgb) - min(seen(ground).rgb) <= 8
        faint = {text: round(found, 2) for text in _TEXTS if (found := contrast(seen(text), seen(ground))) < LEAST}
        assert not faint
    assert seen("panel") != seen("background")


def test_the_colours_of_code_are_those_of_the_theme_whole_and_red_only_where_something_is_wrong() -> None:
    assert not [style for style in Colours.STYLES.values() if "%" in style.replace("$text-muted", "")]
    assert not [style for style in Colours.STYLES.values() if "$text-error" in style or " on " in style]


def test_high_contrast_is_high_and_muted_is_muted() -> None:
    strong = next(theme for theme in THEMES if theme.name == "jumar-contrast")
    variables = {**strong.to_color_system().generate(), **strong.variables}
    assert all(found >= STRONG for pair, found in pairs(variables) if "%" not in pair)
    for theme in THEMES:
        of_text, of_muted = (
            contrast(Color.parse(theme.variables[name]), Color.parse(theme.background or "")) for name in ("text", "text-muted")
        )
        assert of_muted < of_text * 0.75


def test_without_red_and_green_what_is_new_and_what_is_gone_differ() -> None:
    theme = next(theme for theme in THEMES if theme.name == "jumar-colourblind")
    new, gone = Color.parse(theme.success or ""), Color.parse(theme.error or "")
    assert new.b > new.r + 100  # blue, which both kinds of red-green blindness see
    assert gone.r > gone.b + 100


async def test_ours_come_first_and_the_chosen_one_is_kept(person: Person) -> None:
    async with screen_of(person) as screen:
        assert screen.app.theme == DEFAULT
        await screen.say("/theme")
        await screen.see("How shall it look?", "jumar-light", "jumar-contrast", "jumar-colourblind")
        await screen.pilot.press(*"light", "enter")
        await screen.until(lambda: screen.app.theme == "jumar-light" and screen.app.desk.taste.theme == "jumar-light")
    async with screen_of(person) as screen:
        assert screen.app.theme == "jumar-light"


async def test_without_colours_there_are_none_and_what_keys_are_for_is_reversed(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with screen_of(person) as screen:
        await screen.say("/theme")
        await screen.see("How shall it look?", "jumar-light")
        segments = [segment for strip in screen.strips for segment in strip]
        colours = [colour for one in segments if one.style for colour in (one.style.color, one.style.bgcolor)]
        assert all(colour is None or colour.is_default for colour in colours)
        reversed_ = {one.text for one in segments if one.style and one.style.reverse and one.text.startswith("jumar")}
        assert reversed_ == {"jumar-dark"}


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_without_colours_grounds_are_told_apart_by_what_they_mean(theme: Theme) -> None:
    ground, mark = Color.parse(theme.background or ""), Color.parse(theme.primary)
    assert all(contrast(Color.parse(one or ""), ground) < 1.5 for one in (theme.surface, theme.panel))
    assert contrast(ground.blend(mark, 0.35), ground) > 1.5
