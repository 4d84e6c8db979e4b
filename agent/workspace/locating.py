"""Owns locating very many files that were listed: each folder is followed once, and what is plain in it is not followed again."""

import os
from dataclasses import dataclass
from pathlib import Path

from agent.workspace.contract import Located, Place
from agent.workspace.paths import Paths, is_protected
from agent.workspace.secrets import are_of_secret


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder whose files lie where it does; `names` are the parts of its path, and `shown` how a file in it begins."""

    real: Path
    place: Place
    shown: str
    names: tuple[str, ...]


class Locating:
    """Says of each file what `Paths.locate` says, for the time of one listing."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._folders: dict[str, _Folder | None] = {}

    def __call__(self, absolute: str) -> Located:
        """Say where a file lies. Never fails."""
        above, _, name = absolute.rpartition("/")
        if above not in self._folders:
            self._folders[above] = self._folder(above)
        folder = self._folders[above]
        plain = name.isascii() and name.isprintable() and not is_protected(name)
        if folder is None or not plain or are_of_secret((*folder.names, name.lower())) or os.path.islink(absolute):  # noqa: PTH114
            return self._paths.locate(absolute)
        shown = f"{folder.shown}{name}"
        return Located(absolute, folder.real / name, folder.place, shown, shown)

    def _folder(self, above: str) -> _Folder | None:
        """Return what holds of the files of a folder, None where each of them is a question of its own."""
        known = self._paths.locate(above)
        if not above or str(known.real) != above or known.place not in {Place.INSIDE, Place.PROTECTED}:
            return None
        if self._paths.hidden_below(known.real):
            return None
        shown = "" if known.shown == "." else f"{known.shown}/"
        return _Folder(known.real, known.place, shown, tuple(part.lower() for part in known.real.parts))
