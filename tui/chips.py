"""Owns chips: what stands for a long paste or a picture in the prompt, and is taken for what it stands for when sent."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from agent.blocks import Image
from agent.pictures import MOST
from agent.safe import safe_line
from tui.words import Words

LONGEST = 1_000_000  # characters of one paste
_LINES, _SIZE = 20, 2000  # of which a longer paste becomes a chip
_KEPT = 40  # chips that are remembered, for prompts that come back
_NAME = 40  # characters of a picture's name
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
_MENTIONED = re.compile(r'(?:(?<=\s)|^)@(?:"([^"\n]+)"|([^\s"]+))')


@dataclass(frozen=True, slots=True)
class Written:
    """A prompt: the text as it is sent, the pictures with it, and how it stood in the box."""

    text: str
    images: tuple[Image, ...] = ()
    typed: str = ""


@dataclass(slots=True)
class Chips:
    """The chips of one prompt box."""

    words: Words
    _texts: dict[str, str] = field(default_factory=dict)
    _images: dict[str, Image] = field(default_factory=dict)
    _count: int = 0

    def fold(self, text: str) -> str:
        """Return what stands in the box for a paste: itself, or a chip where it is long."""
        lines = text.rstrip("\n").count("\n") + 1
        if lines <= _LINES and len(text) <= _SIZE:
            return text
        self._count += 1
        marker = self.words("prompt.pasted", number=self._count, lines=lines)
        self._texts[marker] = text
        _forget(self._texts)
        return marker

    def picture(self, image: Image, name: str) -> str:
        """Return the chip of a picture."""
        self._count += 1
        shown = safe_line(name).replace("[", "(").replace("]", ")")[-_NAME:]
        marker = self.words("prompt.picture_chip", number=self._count, name=shown)
        self._images[marker] = image
        _forget(self._images)
        return marker

    def spans(self, line: str) -> list[tuple[int, int]]:
        """Return where chips stand in a line, from the left."""
        found = []
        for marker in (*self._texts, *self._images):
            at = line.find(marker)
            while at >= 0:
                found.append((at, at + len(marker)))
                at = line.find(marker, at + len(marker))
        return sorted(found)

    def written(self, typed: str) -> Written:
        """Return a prompt as it is sent: pasted texts in their places, pictures beside it in their order."""
        shown = sorted((marker for marker in self._images if marker in typed), key=typed.find)
        return Written(self.opened(typed), tuple(self._images[marker] for marker in shown[:MOST]), typed)

    def opened(self, typed: str) -> str:
        """Return a text with every paste in its place."""
        if not self._texts:
            return typed
        either = re.compile("|".join(re.escape(marker) for marker in self._texts))
        return either.sub(lambda match: self._texts[match[0]], typed)

    def closed(self, text: str) -> str:
        """Return an opened text with chips again for the pastes that nobody changed."""
        for marker, pasted in self._texts.items():
            text = text.replace(pasted, marker)
        return text

    def pictures_in(self, typed: str) -> int:
        """Return how many pictures a prompt holds."""
        return sum(marker in typed for marker in self._images)


def _forget(kept: dict[str, str] | dict[str, Image]) -> None:
    while len(kept) > _KEPT:
        del kept[next(iter(kept))]


def is_picture(path: str) -> bool:
    """Whether a name is that of a picture."""
    return Path(path).suffix.lower() in _PICTURES


def is_there(path: Path) -> bool:
    """Whether a file can be found there; words may be no path at all, or lead where one may not look."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def mentioned_pictures(text: str) -> list[tuple[str, str]]:
    """Return the pictures that a prompt mentions with `@`: the words, and the path."""
    return [(match[0], path) for match in _MENTIONED.finditer(text) if is_picture(path := match[1] or match[2])]


def is_written_out(text: str) -> bool:
    """Whether a text is a picture, written out as letters."""
    return text.startswith("data:image/") and ";base64," in text[:64]


def pasted_pictures(text: str, cwd: Path, environment: Mapping[str, str]) -> list[Path]:
    """Return the pictures whose paths were pasted, or dropped onto the terminal; none where anything else was with them."""
    if len(text) > 8192 or not any(end in text.lower() for end in _PICTURES):
        return []
    whole = _path(text.strip(), cwd, environment)
    if whole is not None:
        return [whole]
    try:
        paths = [_path(word, cwd, environment) for word in shlex.split(text)]
    except ValueError:
        return []
    found = [path for path in paths if path is not None]
    return found if len(found) == len(paths) else []


def _path(word: str, cwd: Path, environment: Mapping[str, str]) -> Path | None:
    if word.lower().startswith("file://"):
        parts = urlsplit(word)
        if parts.netloc not in {"", "localhost"}:
            return None
        word = unquote(parts.path)
    if word.startswith("~/") and environment.get("HOME"):
        word = environment["HOME"] + word[1:]
    path = cwd / word
    return path if is_picture(word) and is_there(path) else None
