"""Owns jumar's own themes, and the screen without colours."""

from collections.abc import Sequence
from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter, Monochrome, NoColor
from textual.theme import Theme

DEFAULT = "jumar-dark"
_BARE = Style.from_color(RichColor.parse("default"), RichColor.parse("default"))
_STANDS_OUT = 1.5  # contrast with the ground of the screen, from which on another ground means something


def _theme(name: str, dark: bool, grounds: Sequence[str], texts: Sequence[str], colours: Sequence[str]) -> Theme:
    """Return a theme. Each colour is the one of its text too: what a theme computes by itself is too faint, or too white."""
    background, surface, panel = grounds
    foreground, muted = texts
    primary, accent, success, warning, error = colours
    return Theme(
        name=name,
        dark=dark,
        primary=primary,
        secondary=primary,
        accent=accent,
        success=success,
        warning=warning,
        error=error,
        background=background,
        surface=surface,
        panel=panel,
        foreground=foreground,
        variables={
            "text": foreground,
            "text-muted": muted,
            "text-disabled": muted,
            "text-primary": primary,
            "text-secondary": primary,
            "text-accent": accent,
            "text-success": success,
            "text-warning": warning,
            "text-error": error,
            "foreground-muted": muted,
            "border": primary,
            "border-blurred": panel,
            "block-cursor-foreground": foreground,
            "block-cursor-background": f"{primary} 35%",
            "input-selection-background": f"{primary} 40%",
            "screen-selection-background": f"{primary} 40%",
            "scrollbar": panel,
            "scrollbar-hover": muted,
            "scrollbar-active": primary,
            "scrollbar-background": background,
            "scrollbar-background-hover": background,
            "scrollbar-background-active": background,
            "scrollbar-corner-color": background,
        },
    )


# The last is for people who see no red and green apart: what is new is blue, what is gone orange.
# Grounds: of the screen, of what lies over it, of what stands apart. Texts: what is read, what is said beside it.
# Colours: of what can be acted on, of what runs, of what is good or new, of what wants a look, of what is wrong or gone.
THEMES = (
    _theme(
        DEFAULT,
        dark=True,
        grounds=("#15171b", "#1c1e22", "#282b31"),
        texts=("#dde3ea", "#929dab"),
        colours=("#7aa7e8", "#7fc8d8", "#8cc98f", "#e0b566", "#ef8a86"),
    ),
    _theme(
        "jumar-light",
        dark=False,
        grounds=("#fbfaf8", "#f1f0ee", "#e5e4df"),
        texts=("#23272e", "#52585f"),
        colours=("#1f58a8", "#0d626f", "#1f6329", "#6b4300", "#a8211f"),
    ),
    _theme(
        "jumar-contrast",
        dark=True,
        grounds=("#000000", "#000000", "#1f1f1f"),
        texts=("#ffffff", "#c8c8c8"),
        colours=("#8fc7ff", "#5ff0ff", "#74ff7c", "#ffe14d", "#ff9d9d"),
    ),
    _theme(
        "jumar-colourblind",
        dark=True,
        grounds=("#15171b", "#1c1e22", "#282b31"),
        texts=("#dde3ea", "#929dab"),
        colours=("#9db2f0", "#b9c6d6", "#66b5ff", "#f2e16b", "#ff9f45"),
    ),
)


class Colourless(LineFilter):
    """Leaves no colour, and no grey. What stands out by its ground alone, as cursors do, is reversed instead."""

    def __init__(self, app: App[int]) -> None:
        super().__init__()
        self._app = app

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return a line so."""
        ground = Color.parse(self._app.theme_variables["background"])
        return [Segment(text, _plain(style, ground) if style else style, control) for text, style, control in segments]


@lru_cache(1024)
def _plain(style: Style, ground: Color) -> Style:
    bare = style + _BARE
    if style.bgcolor is None or style.bgcolor.triplet is None:
        return bare
    own = Color.from_rich_color(style.bgcolor)
    return bare + Style(reverse=not style.reverse) if contrast(own, ground) > _STANDS_OUT else bare


def luminance(colour: Color) -> float:
    """Return the relative luminance, as WCAG 2 defines it."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def dress(app: App[int]) -> None:
    """Have the app know the themes."""
    for theme in THEMES:
        app.register_theme(theme)
    app.theme = DEFAULT


def bared(app: App[int], filters: Sequence[LineFilter]) -> list[LineFilter]:
    """Return the filters of an app's lines as they are where the person wants no colours."""
    if not app.no_color:
        return list(filters)
    return [*(one for one in filters if not isinstance(one, Monochrome | NoColor)), Colourless(app)]
