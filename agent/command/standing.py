"""Owns where a command stands as it goes on, and where its words lead from there."""

import os
import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from agent.command.deed import Locate
from agent.command.parts import Part, Word
from agent.workspace.contract import Located, Place

UNSURE = "?"  # a joint that is none of && || ; |, or has more beside it
_MOST_FOLDERS = 4
_MOST_NAMES = 64
_MOST_SEEN = 2048
_VARIABLE = re.compile(r"\"?(?:\$([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)\}|\$\((pwd)\)|`(pwd)`)(?=[/\"]|$)")
_LEADS = {"HOME": "~", "PWD": ".", "pwd": ".", "TMPDIR": "/tmp"}  # noqa: S108 - where a sandbox has one of its own
_SPECIAL = re.compile(r"[$`*?\[{\\'\"]")
_GLOB = re.compile(r"[*?\[]")
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"), Path("/private/tmp"))  # noqa: S108 - names alone
_HARMLESS = frozenset(
    {"/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/zero", "/dev/urandom", "/dev/full"}
)
_OF_SYSTEM = re.compile(
    r"/proc/(?:cpuinfo|meminfo|version|loadavg|uptime|mounts|filesystems|stat|self/status)|/sys/fs/cgroup(?:/.*)?"
)
_LONGEST = 1024


@dataclass(slots=True)
class Standing:
    """The folders that a command may have changed to, from the one in which it began; none where that is not known."""

    locate: Locate
    folders: tuple[str, ...] = ("",)
    temporary: frozenset[str] = frozenset()  # variables that name what `mktemp` has just made
    fed: Part | None = None  # what is piped into the part that is weighed
    _later: tuple[str, ...] = ("",)  # where it may stand once it is no longer sure that a `cd` succeeded
    _known: dict[str, Located] = field(default_factory=dict)

    def at(self, path: str) -> Located:
        """Return where a path leads from the folder in which the command began."""
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = self.locate(path)
        return found

    def leads(self, path: str) -> tuple[Located, ...]:
        """Return where a path may lead from here; nothing where that is not known."""
        if path.startswith(("/", "~")):
            return (self.at(path),)
        return tuple(self.at(f"{folder}/{path}" if folder else path) for folder in self.folders)

    def is_absent(self, path: str) -> bool:
        """Whether a name of one step is of nothing where the command begins, and it stands there: most words are no paths."""
        if "/" in path or not path.isascii() or path.startswith("~") or self.folders != ("",):
            return False
        return not os.path.lexists(f"{self.at('.').real}/{path}")

    def meant(self, word: Word) -> tuple[str, bool]:
        """Return the path that a word means and whether that is all of it, or the folder in which what it means lies."""
        text = word.text
        if word.literal:
            return (f"./{text}" if text.startswith("~") else text), True
        if found := _VARIABLE.match(text):
            name = found[found.lastindex or 0]
            path = f"{_LEADS['TMPDIR']}/made" if name in self.temporary else _LEADS.get(name)
            if path is not None:
                text = path + text[found.end() :].replace('"', "", 1)
        text = text.removeprefix('"')
        special = _SPECIAL.search(text)
        if special is None:
            return text, True
        before = text[: special.start()].rpartition("/")
        return before[0] + before[1], False

    def names(self, word: Word) -> tuple[Located, ...] | None:
        """Return all that an operand may name: one thing, or what a glob finds now; None where that is not known."""
        if word.literal:
            path, _ = self.meant(word)
            return self.leads(path) or None
        if not word.glob or re.search(r"[\\'\"]", word.text) or not self.folders:
            return None
        return self._matches(word.text)

    def moves(self, words: tuple[Word, ...], before: str, after: str) -> tuple[Located, ...]:
        """Go where `cd` leads, with these joints around it, and return the places that it may be; none where nobody can tell."""
        told = words[1:]
        if told and told[0].text in {"-P", "-L", "--"} and told[0].literal:
            told = told[1:]
        path, whole = self.meant(told[0]) if told else ("~", True)
        if len(told) > 1 or not whole or path.startswith("-") or not path or len(path) > _LONGEST:
            self.folders = self._later = ()
            return ()
        # `cd` leaves out `..` by name, whatever a link on the way leads to.
        there = path.startswith(("/", "~"))
        new = (
            (os.path.normpath(path),)
            if there
            else tuple(os.path.normpath(f"{folder}/{path}" if folder else path) for folder in self.folders)
        )
        places = tuple(self.at(folder) for folder in new)
        if "|" in {before, after}:  # in a process of its own
            self.folders = self._later = self._few((*self.folders, *new))
        else:
            self._later = self._few((*self.folders, *self._later, *new))
            self.folders = new if after == "&&" and before != UNSURE else self._later
        return places

    def lost(self) -> None:
        """Note that nobody knows where it stands from here on."""
        self.folders = self._later = ()

    def passes(self, joint: str) -> None:
        """Note what joins the part that was just weighed to the next one: behind `&&` all before it succeeded."""
        if joint not in {"&&", "|"}:
            self.folders = self._later

    def _few(self, folders: tuple[str, ...]) -> tuple[str, ...]:
        kept = tuple(dict.fromkeys(folders))
        return kept if len(kept) <= _MOST_FOLDERS else ()

    def _matches(self, pattern: str) -> tuple[Located, ...] | None:
        found: list[str] = [folder and f"{folder}/" for folder in self.folders] if not pattern.startswith("/") else ["/"]
        steps = [step for step in pattern.split("/") if step]
        left = _MOST_SEEN
        for place, step in enumerate(steps):
            last = place == len(steps) - 1
            if not _GLOB.search(step):
                found = [f"{path}{step}" if last else f"{path}{step}/" for path in found]
                continue
            after: list[str] = []
            for path in found:
                names = _listed(str(self.at(path or ".").real), left)
                if names is None:
                    return None
                left -= len(names)
                matching = [name for name in names if _fits(name, step)]
                if place == 0 and not path and any(name.startswith("-") for name in matching):
                    return None  # it would be taken for a flag
                after += [f"{path}{name}" if last else f"{path}{name}/" for name in matching]
            found = after
            if len(found) > _MOST_NAMES:
                return None
        return tuple(self.at(path) for path in found)


def is_device(located: Located) -> bool:
    """Whether it is a device, or what the system says of itself, and nobody's secret."""
    path = str(located.real)
    return (
        located.asked in _HARMLESS
        or path in _HARMLESS
        or path.startswith(("/dev/fd/", "/dev/tcp/", "/dev/udp/"))
        or bool(_OF_SYSTEM.fullmatch(path))
    )


def is_socket(path: str) -> bool:
    """Whether bash opens a connection where such a name is redirected to."""
    return path.startswith(("/dev/tcp/", "/dev/udp/"))


def is_scratch(located: Located, root: Path) -> bool:
    """Whether it lies where temporary files do: a sandbox has a folder of its own there.

    What lies beside a workspace that is there itself does not count: it may be a person's as well as the workspace is.
    """
    if located.place is not Place.OUTSIDE:
        return False
    for folder in _TEMPORARY:
        if located.real.is_relative_to(folder) and located.real != folder:
            below = located.real.relative_to(folder).parts[0]
            return not root.is_relative_to(folder / below)
    return False


def _listed(folder: str, most: int) -> list[str] | None:
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > most:
                    return None
    except (OSError, ValueError):
        return []
    return names


def _fits(name: str, pattern: str) -> bool:
    if name.startswith(".") and not pattern.startswith("."):
        return False
    return "[" in pattern or fnmatchcase(name, pattern)  # what a range holds depends on the locale
