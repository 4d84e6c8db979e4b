"""Owns walking a tree of files without what .gitignore names, without .git, and without following links."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from agent.workspace.globs import DEEP, characters, linear

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_MOST_RULES = 1 << 20  # bytes of a list of ignored files
_MOST_PATTERNS = 2000  # that are heard of one list; each costs a tenth of a millisecond, and time for every file
_LONGEST_PATTERN = 1000
_CLASS = re.compile(r"(\\.)|\[(\^?)(\]?(?:\\\\|[^\]\\])*)\](?![*+])", re.DOTALL)
_Rules: TypeAlias = "tuple[tuple[str, GitIgnoreSpec], ...]"  # the folder they stand in, its last character a slash; inner last


class Walk:
    """One walk; `partial` says that a folder could not be read."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._git = (root / ".git").exists()
        self.partial = False

    def files(self, start: Path) -> Iterator[str]:
        """Yield the absolute paths of files below a folder. What was asked for by name is walked even if it is ignored."""
        folders = [(str(start), self._above(str(start)))]
        while folders:
            folder, rules = folders.pop()
            try:
                with os.scandir(folder) as listed:
                    entries = list(listed)
            except OSError:
                self.partial = True
                continue
            if self._git and any(entry.name == ".git" for entry in entries):
                rules = ()  # a repository of its own
            rules += _rules_of(folder)
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if entry.name == ".git" or _ignored(entry.path, is_folder, rules):
                    continue
                if is_folder:
                    folders.append((entry.path, rules))
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path

    def ignores(self, path: str) -> bool:
        """Whether a walk from the root leaves a file out, by its path below the root."""
        rules: _Rules = ()
        folder = self._root.rstrip("/")
        names = path.split("/")
        for number, name in enumerate(names):
            if number and self._git and os.path.lexists(f"{folder}/.git"):
                rules = ()  # a repository of its own
            rules += _rules_of(folder or "/")
            folder = f"{folder}/{name}"
            if name == ".git" or _ignored(folder, number < len(names) - 1, rules):
                return True
        return False

    def _above(self, start: str) -> _Rules:
        """Return the rules of the folders from the root down to the one above `start`, but for those that ignore `start`."""
        rules: _Rules = ()
        if not start.startswith(self._root.rstrip("/") + "/"):
            return rules
        folder = self._root
        for name in os.path.relpath(start, self._root).split("/"):
            rules += _rules_of(folder)
            folder = f"{folder.rstrip('/')}/{name}"
            rules = tuple(rule for rule in rules if not _ignored(folder, is_folder=True, rules=(rule,)))
        return rules


def spec(content: bytes) -> "GitIgnoreSpec":
    """Return what a .gitignore says. Of a line that is no pattern nothing is heard, as with git, and the others hold."""
    # Ten milliseconds that a workspace without rules need not wait for.
    from pathspec import GitIgnoreSpec
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    patterns: list[GitIgnoreSpecPattern] = []
    for line in content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape").split("\n"):
        if len(line) > _LONGEST_PATTERN or len(patterns) == _MOST_PATTERNS:
            continue
        try:
            regex, include = GitIgnoreSpecPattern.pattern_to_regex(line.removesuffix("\r"))
            if regex is not None and include is not None:
                patterns.append(GitIgnoreSpecPattern(re.compile(_bounded(regex)), include))
        except (ValueError, OverflowError, RecursionError, re.error):
            continue
    return GitIgnoreSpec(patterns, backend="simple")


def _bounded(regex: str) -> str:
    """Return a regular expression of pathspec's whose time grows with the path alone: `*a*a*a*a*b` is no way to stop us."""
    regex = _CLASS.sub(_plain_class, regex).replace("(?:/.+)?/", "/(?:.+/)?").replace("(?:.+/)?", DEEP)
    return linear(regex)


def _plain_class(found: re.Match[str]) -> str:
    escaped, negated, members = found.groups()
    if escaped or (negated and members == "/"):
        return found[0]
    inside = characters(members.replace("\\\\", "\\"))
    return f"(?!/)[{negated}{inside}]"


def _rules_of(folder: str) -> _Rules:
    try:
        with os.fdopen(os.open(f"{folder}/.gitignore", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                return ((f"{folder.rstrip('/')}/", spec(opened.read(_MOST_RULES))),)
    except OSError:
        pass
    return ()


def _ignored(path: str, is_folder: bool, rules: _Rules) -> bool:
    for folder, spec in reversed(rules):
        included = spec.check_file(path[len(folder) :] + ("/" if is_folder else "")).include
        if included is not None:
            return included
    return False
