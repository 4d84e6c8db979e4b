"""Owns finding the files of a work tree that no program beside a session need see: those that are called as secrets are."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from agent.workspace.secrets import are_of_secret

_MOST = 2000  # folders that are looked into
_MOST_NAMES = 20_000  # of a folder
_MOST_FOUND = 200
_PASSED_OVER = frozenset({".git", "node_modules", "site-packages", "__pycache__"})  # large, and others' or made by programs


@dataclass(frozen=True, slots=True)
class _Listed:
    changed: int  # ctime in ns, which no program can set
    folders: tuple[str, ...]
    secret: tuple[str, ...]


class Unseen:
    """Knows these files. A folder that has not changed is not listed again."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._listed: dict[str, _Listed] = {}

    def files(self) -> tuple[Path, ...]:
        """Return them, the nearest first; of a link, where it leads."""
        known: dict[str, _Listed] = {}
        found = [path for folder in self._folders for path in self._below(folder, known)]
        self._listed = known
        return tuple(dict.fromkeys(found))[:_MOST_FOUND]

    def _below(self, top: Path, known: dict[str, _Listed]) -> Iterator[Path]:
        level: list[tuple[str, ...]] = [()]
        while level:
            inner: list[tuple[str, ...]] = []
            for names in level:
                folder = "/".join((str(top), *names))
                listed = self._look(folder, names) if len(known) < _MOST else None
                if listed is None:
                    continue
                known[folder] = listed
                for name in listed.secret:
                    real = Path(os.path.realpath(f"{folder}/{name}"))
                    if real.is_file():
                        yield real
                inner += [(*names, name) for name in listed.folders]
            level = inner

    def _look(self, folder: str, names: tuple[str, ...]) -> _Listed | None:
        try:
            changed = os.stat(folder, follow_symlinks=False).st_ctime_ns  # noqa: PTH116 - twice as fast, of many
            before = self._listed.get(folder)
            if before is not None and before.changed == changed:
                return before
            folders, secret = [], []
            above = [name.casefold() for name in names]
            with os.scandir(folder) as entries:
                for entry in islice(entries, _MOST_NAMES):
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in _PASSED_OVER:
                            folders.append(entry.name)
                    elif are_of_secret((*above, entry.name.casefold())):
                        secret.append(entry.name)
        except OSError:
            return None
        return _Listed(changed, tuple(sorted(folders)), tuple(sorted(secret)))
