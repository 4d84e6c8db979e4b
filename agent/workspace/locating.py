"""Owns locating very many files that were listed: each folder is followed once, and what is plain in it is not followed again."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.workspace.contract import Located, Place, View
from agent.workspace.paths import PROTECTED, Paths, is_protected
from agent.workspace.secrets import PROSE, are_of_secret

# Programs and prose, by names that mean nothing to anybody: neither protected nor secret, wherever they lie.
_MEANT = "|".join(re.escape(name) for name in sorted(PROTECTED) if not name.startswith("."))
_HARMLESS = re.compile(rf"(?!(?:{_MEANT})\Z)\w[\w.-]*\.{PROSE}", re.ASCII | re.IGNORECASE).fullmatch


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder whose files lie where it does; `names` are those of `Paths.names`, and `shown` is how a file in it begins."""

    place: Place
    shown: str
    names: tuple[str, ...]


class Locating:
    """Says of each file what `Paths.locate` says, for the time of one listing. What is listed is no link, or was none then."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._folders: dict[str, _Folder | None] = {}
        # Where another way to say where things lie begins, or to call them.
        self._turns = {str(path) for path in (*paths.folders, paths.cwd, *paths.cwd.parents)}

    def __call__(self, absolute: str) -> Located:
        """Say where a file lies. Never fails."""
        above, _, name = absolute.rpartition("/")
        folder = self._folder(above)
        if folder is None or not _is_plain(name) or are_of_secret((*folder.names, name.lower())) or os.path.islink(absolute):  # noqa: PTH114
            return self._paths.locate(absolute)
        shown = f"{folder.shown}{name}"
        return Located(absolute, Path(absolute), folder.place, shown, shown)

    def shown(self, view: View, listed: Iterable[str]) -> list[str]:
        """Return the files that a view shows, in their order."""
        spared: dict[str, bool] = {}  # whether nothing needs to be asked of the harmless files of a folder
        found = []
        for absolute in listed:
            above, _, name = absolute.rpartition("/")
            if above not in spared:
                folder = self._folder(above)
                spared[above] = view.plain and folder is not None and folder.place is Place.INSIDE
            if not (spared[above] and _HARMLESS(name)):
                located = self(absolute)
                if located.place is Place.HIDDEN or not view.shows(located):
                    continue
            found.append(absolute)
        return found

    def name(self, absolute: str) -> str:
        """Return how a file is called where it is told."""
        above, _, name = absolute.rpartition("/")
        folder = self._folder(above)
        return f"{folder.shown}{name}" if folder is not None and _HARMLESS(name) else self(absolute).shown

    def _folder(self, above: str) -> _Folder | None:
        """Return what holds of the files of a folder, None where each of them is a question of its own."""
        if above not in self._folders:
            self._folders[above] = self._followed(above)
        return self._folders[above]

    def _followed(self, above: str) -> _Folder | None:
        if not above:
            return None
        outer, _, name = above.rpartition("/")
        parent = self._folder(outer) if above not in self._turns else None
        if parent is not None and _is_plain(name) and not os.path.islink(above):  # noqa: PTH114
            return _Folder(parent.place, f"{parent.shown}{name}/", (*parent.names, name.lower()))
        known = self._paths.locate(above)
        if str(known.real) != above or known.place not in {Place.INSIDE, Place.PROTECTED}:
            return None
        if self._paths.holds_hidden(known.real):
            return None
        shown = "" if known.shown == "." else f"{known.shown}/"
        return _Folder(known.place, shown, self._paths.names(known.real))


def _is_plain(name: str) -> bool:
    """Whether a name is called what it seems, but for its case, and nothing is made of it by other programs."""
    return name.isascii() and name.isprintable() and name[-1:] not in ". " and not is_protected(name)
