"""Owns completing what is written in the prompt: what is asked for at the cursor, and the list above the box."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rich.cells import cell_len
from textual.content import Content
from textual.geometry import Offset
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from agent.safe import safe_line
from tui.matching import Fit

ROWS = 8
MOST = 30  # suggestions
_FILE = re.compile(r'(?:^|(?<=[\s(\[{<,;:=]))@(?:"([^"]*)|([^\s"]*))$')
_COMMAND = re.compile(r"/([\w-]*)$")

Kind = Literal["file", "command", "said"]


class Offer(NamedTuple):
    """A command that can be given: its name without the slash, what it is for, and what may follow it."""

    name: str
    help: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person is about to write: from which column of its line on, and the letters so far."""

    kind: Kind
    column: int
    sought: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One way to go on: the text that takes the wish's place, and how it is shown. After a `final` one nothing can follow."""

    text: str
    label: Content
    final: bool = False


def wish(lines: Sequence[str], row: int, column: int) -> Wish | None:
    """Return what can be completed at the cursor, if anything."""
    before = lines[row][:column]
    if row == 0 and not lines[0].startswith("//") and (match := _COMMAND.match(before)) is not None:
        return Wish("command", 0, match[1])
    if (match := _FILE.search(before)) is not None:
        return Wish("file", match.start(), match[1] if match[1] is not None else match[2])
    return None


def mention(path: str) -> str:
    """Return how a file is written in a prompt; after a folder one can go on."""
    shown = safe_line(path)
    if re.search(r'[\s"]', shown):
        quoted = shown.replace('"', '\\"')
        return f'@"{quoted}' if path.endswith("/") else f'@"{quoted}" '
    return f"@{shown}" if path.endswith("/") else f"@{shown} "


def files(fits: Iterable[Fit], width: int) -> list[Suggestion]:
    """Suggest files and folders, the letters that were typed bold."""
    return [Suggestion(mention(fit.path), _bold(fit, width)) for fit in fits]


def commands(offers: Iterable[Offer], sought: str) -> list[Suggestion]:
    """Suggest commands: those that begin with the letters, then those that hold them in order."""
    loose = re.compile(".*?".join(re.escape(letter) for letter in sought.lower()))
    known = list(offers)
    first = [offer for offer in known if offer.name.startswith(sought.lower())]
    rest = [offer for offer in known if offer not in first and loose.search(offer.name)]
    return [
        Suggestion(
            f"/{offer.name} ",
            Content.assemble((f"/{offer.name}", "bold"), f" {offer.argument}".rstrip(), (f"  {offer.help}", "dim")),
            final=not offer.argument,
        )
        for offer in (*first, *rest)
    ]


def earlier(said: Iterable[str]) -> list[Suggestion]:
    """Suggest what was said before."""
    return [Suggestion(text, Content(safe_line(text[:500]))) for text in said]


def _bold(fit: Fit, width: int) -> Content:
    """Draw a path; of one that is too long its beginning is left out."""
    shown = [safe_line(letter) for letter in fit.path]
    places, start = set(fit.places), 0
    left = cell_len("".join(shown)) - width
    if left > 0:
        left += 1  # for the mark
        while left > 0 and start < len(shown) - 1:
            left -= cell_len(shown[start])
            start += 1
    parts: list[tuple[str, str]] = [("…", "dim")] if start else []
    name = fit.path.rfind("/", 0, -1) + 1
    parts += [
        (shown[at], "bold $text-accent underline" if at in places else "" if at >= name else "dim")
        for at in range(start, len(shown))
    ]
    return Content.assemble(*parts)


class Completion(OptionList, can_focus=False):
    """Lies over the transcript, right above the box, and is told what to do by the keys of the box."""

    def __init__(self) -> None:
        super().__init__(id="completion", markup=False, compact=True)
        self._suggestions: list[Suggestion] = []
        self._dismissed: tuple[Kind, int] | None = None
        self.wish: Wish | None = None
        self.display = False

    def offer(self, wished: Wish, suggestions: list[Suggestion]) -> None:
        """Show suggestions, the first one chosen; hide where there are none, or the person did not want them here."""
        suggestions = suggestions[:MOST]
        same = [one.text for one in suggestions] == [one.text for one in self._suggestions]
        if (wished.kind, wished.column) == self._dismissed or (wished == self.wish and same):
            return  # else what was chosen of the same would not be any more
        self._dismissed = None
        self._suggestions = suggestions
        self.wish = wished if suggestions else None
        self.display = bool(suggestions)
        self.set_options([Option(one.label) for one in self._suggestions])
        if self._suggestions:
            self.highlighted = 0
            rows = max(1, min(ROWS, len(self._suggestions), self.screen.query_one("#prompt").region.y))
            self.styles.height = self.styles.max_height = rows  # else it is cut to the height of the box
            self.styles.offset = Offset(0, -rows)

    def hide(self) -> None:
        """Show nothing."""
        self.wish = self._dismissed = None
        self.display = False

    def dismiss(self) -> None:
        """Show nothing until something else is begun."""
        dismissed = (self.wish.kind, self.wish.column) if self.wish is not None else None
        self.hide()
        self._dismissed = dismissed

    def move(self, step: int) -> None:
        """Choose the next one, or the one before, around the ends."""
        if self._suggestions:
            self.highlighted = ((self.highlighted or 0) + step) % len(self._suggestions)

    @property
    def chosen(self) -> Suggestion | None:
        """Return what is chosen, where anything is shown."""
        return self._suggestions[self.highlighted] if self.display and self.highlighted is not None else None
