"""Owns the screen of settings: how the person wants the screen, one line each; what is changed is kept at once."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.errors import JumarError
from tui.choosing import Listing, Row
from tui.desk import Desk, Taste
from tui.words import LANGUAGES, Words

_CYCLES: dict[str, tuple[str | bool, ...]] = {
    "language": ("", *LANGUAGES),
    "reduced_motion": (False, True),
    "bell": (True, False),
    "notify": ("auto", "osc9", "osc777", "off"),
    "terminal_title": (True, False),
    "diffs": ("auto", "split", "unified"),
    "side": ("auto", "shown", "hidden"),
}


class Settings(Listing[None]):
    """Enter goes on to the next value of a setting. `changed` is told what the person wants now."""

    def __init__(self, words: Words, desk: Desk, themes: Sequence[str], changed: Callable[[Taste], None]) -> None:
        super().__init__(words, words("settings.title"), words("settings.keys"))
        self._desk = desk
        self._cycles: dict[str, tuple[str | bool, ...]] = {"theme": tuple(themes), **_CYCLES}
        self._changed = changed

    def begin(self) -> None:
        """Show how things stand."""
        self._again()

    def _again(self) -> None:
        self.offer([Row(name, self._words(f"settings.{name}"), self._told(name)) for name in self._cycles])

    def _told(self, name: str) -> str:
        value = getattr(self._desk.taste, name)
        if isinstance(value, bool):
            return self._words("settings.on" if value else "settings.off")
        if name == "notify":
            return self._words(f"settings.notify_{value}")
        if name in {"diffs", "side"}:
            return self._words(f"settings.{value}")
        return value or self._words("settings.locale")

    def take(self, row: Row) -> None:
        """Go on to the next value, and keep it."""
        values = self._cycles[row.key]
        value = getattr(self._desk.taste, row.key)
        following = values[(values.index(value) + 1) % len(values)] if value in values else values[0]
        try:
            self._desk.keep_taste(replace(self._desk.taste, **{row.key: following}))  # type: ignore[arg-type]
        except JumarError as error:
            self.tell(self._words.told(str(error)), "$text-error")
            return
        self._changed(self._desk.taste)
        self._again()
