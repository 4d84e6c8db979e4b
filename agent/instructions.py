"""Owns the instructions that folders of a project keep for what lies there, told when something in them is first touched."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from agent.context import INSTRUCTIONS, ONE_INSTRUCTION, instruction
from agent.events.news import Informed
from agent.rules import Question
from agent.safe import mended, safe_line
from agent.workspace.contract import Located, Place
from agent.workspace.walk import Walk

_MOST_FOLDERS = 200  # that are looked into at once
_MOST_FILES = 10  # that are told at once
_MOST_PLACES = 200  # that a command names and that are looked at
_SKIPPED = frozenset({".git", "node_modules", ".venv", "venv", "__pycache__", "site-packages", ".tox", ".nox"})


def reached(question: Question) -> Iterator[Path]:
    """Yield where a call that ran reached, as far as it says so: its paths, and words of its command that could be some."""
    yield from (path.real for path in question.paths)
    if question.command is None or not question.command.begins:
        return
    looked = 0
    for one in question.command.parts:
        for folder in one.folders[:_MOST_PLACES]:
            for word in ("", *(word.text for word in one.part.words[1:] if word.literal and word.text[:1] not in {"", "-"})):
                looked += 1
                if looked > _MOST_PLACES:
                    return
                try:
                    yield (Path(question.command.begins) / folder / word).resolve()
                except (OSError, RuntimeError, ValueError):
                    continue


class Instructions:
    """Finds what folders of a work tree say of themselves. Those from the root down to `cwd` are told at the start."""

    def __init__(self, root: Path, cwd: Path, locate: Callable[[str], Located], most: int) -> None:
        self._root = root
        self._locate = locate
        self._most = most  # bytes that are told in all
        self._first = {root, cwd, *cwd.parents}

    def fresh(
        self, touched: Iterable[Path], told: Mapping[str, str], step: int, hide: Callable[[str], str]
    ) -> Iterator[Informed]:
        """Yield what is to be told with a step of the folders that hold what was touched, the outer ones first.

        `told` has what the model is told already, by the file; what has changed since is told again. `hide` masks secrets.
        """
        left = self._most - sum(len(words.encode()) for words in told.values())
        for folder, file in self._files(touched):
            title = mended(file.relative_to(self._root).as_posix())
            below = safe_line(folder.relative_to(self._root).as_posix())
            words = hide(self._words(file, title, below))
            before = told.get(title)
            if before is not None and before.endswith(words):
                continue
            again = "" if before is None else "These have changed since they were told:\n"
            left += len(before.encode()) if before is not None else 0
            if len(words.encode()) > left:
                words = f"(The project keeps instructions for what lies under {below}/ in {safe_line(title)}; read them.)"
                if before is not None and before.endswith(words):
                    continue
            left -= len(words.encode())
            yield Informed(kind="instructions", title=title, told=again + words, step=step)

    def _files(self, touched: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
        """Yield the folders below the root that hold these files, or are these, and say something of themselves; the outer
        ones first."""
        found: set[Path] = set()
        for path in touched:
            for folder in (path, *path.parents):
                if folder in found or not folder.is_relative_to(self._root):
                    break
                found.add(folder)
        folders = sorted(found - self._first, key=lambda folder: folder.parts)[:_MOST_FOLDERS]
        walk, asked = Walk(self._root), 0
        for folder in folders:
            file = next((folder / name for name in INSTRUCTIONS if os.path.lexists(folder / name)), None)
            below = folder.relative_to(self._root)
            if file is None or not _SKIPPED.isdisjoint(below.parts):
                continue
            asked += 1
            if asked > _MOST_FILES:  # each may cost a look at long lists of what is ignored
                return
            if not walk.ignores(f"{below.as_posix()}/"):
                yield folder, file

    def _words(self, file: Path, title: str, below: str) -> str:
        located = self._locate(str(file))
        if located.place not in {Place.INSIDE, Place.PROTECTED} or located.secret:
            return f"({safe_line(title)} is not read: it leads out of the workspace, or to a secret.)"
        text = instruction(self._root, file, ONE_INSTRUCTION)
        return (
            f"(From the project's files, not the person's words: what lies under {below}/ has instructions of its own. Keep to "
            f"them there; where they go against those of a folder above, they count.)\n\n# {safe_line(title)}\n{text}"
        )
