"""Owns what a search below a folder comes by that nobody named: secrets whose lines it would show."""

import os
import re
from collections import deque
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import lru_cache

from agent.command.flags import names, strict
from agent.command.parts import Word
from agent.command.programs import PROGRAMS
from agent.command.standing import Standing
from agent.workspace.contract import Located, Place
from agent.workspace.secrets import are_of_secret, is_folder_of_secrets

_SEARCHES = names("grep egrep fgrep zgrep rg ag ack")
_DEEP = re.compile(r"-[a-zA-Z]*[rR]|--(?:dereference-)?recursive|-d=?recurse|--directories=recurse")
_HIDDEN_TOO = re.compile(r"-[a-zA-Z]*(?:u[a-zA-Z]*u|\.)|--hidden")
_NAMES_ALONE = re.compile(
    r"-[a-zA-Z]*[lcq]|--(?:files|count|quiet|silent|files-with(?:out)?-match(?:es)?|count-matches|type-list|version|help)(?:=|$)"
)
_GLOB = re.compile(r"--(?:i?glob|include|exclude|exclude-dir|ignore|ignore-dir)|-g")
_TYPED = re.compile(r"-[a-zA-Z]*t|--type(?:=|$)|--(?:python|js|go|rust|cc|ruby|html|css|java)$")
_SKIPPED = names(".git node_modules .venv venv __pycache__ .hg .svn")  # nobody's secrets lie there, or a search passes them over
_MOST = 128  # names that are looked at


def passed(name: str, words: tuple[Word, ...], standing: Standing) -> Located | None:
    """Return a secret that a search goes through, though it was not named; None where there is none, as far as it is looked."""
    if name not in _SEARCHES:
        return None
    grep = name.endswith("grep")
    texts = [word.text for word in words]
    if grep and not any(_DEEP.match(text) for text in texts if text.startswith("-")):
        return None
    if not grep and any(_TYPED.match(text) for text in texts if text.startswith("-")):
        return None
    if any(_NAMES_ALONE.match(text) for text in texts if text.startswith("-")):
        return None
    only, never = _globs(texts)
    hidden = grep or any(_HIDDEN_TOO.match(text) for text in texts if text.startswith("-"))
    for folder in _folders(name, words, standing):
        for below in _secrets_below(str(folder.real), hidden=hidden):
            last = below.rpartition("/")[2]
            if any(fnmatchcase(part, glob) for glob in never for part in below.split("/")):
                continue
            if only and not any(fnmatchcase(last, glob.rpartition("/")[2]) for glob in only):
                continue
            found = standing.at(f"{folder.real}/{below}")
            if found.secret:
                return found
    return None


def _globs(texts: list[str]) -> tuple[list[str], list[str]]:
    """Return the globs to which a search keeps, and those that it leaves out."""
    only: list[str] = []
    never: list[str] = []
    for at, text in enumerate(texts):
        option = _GLOB.match(text)
        if option is None:
            continue
        value = text[option.end() :].removeprefix("=") or "".join(texts[at + 1 : at + 2])
        bare = value.strip("'\"").rstrip("/")
        leaves_out = option[0].startswith(("--excl", "--ign")) or bare.startswith("!")
        (never if leaves_out else only).append(bare.removeprefix("!"))
    return only, never


def _folders(name: str, words: tuple[Word, ...], standing: Standing) -> Iterator[Located]:
    """Yield the folders of the workspace that a search goes through: those that it names, else the one where it stands."""
    program = PROGRAMS.get(name)
    given = strict(words, program.allowed) if program is not None else None
    if given is not None and program is not None:
        named = given.operands[not given.flags & program.patterns :]
        found = bool(named)
    else:  # which of its words are paths is not known: those that are there
        named, found = tuple(word for word in words if not word.text.startswith("-")), False
    for word in named:
        path, whole = standing.meant(word)
        if whole and path:
            places = standing.leads(path) if not standing.is_absent(path) else ()
        else:  # what it comes to is not known, or more than can be looked at
            places = (standing.names(word) if word.glob else None) or standing.leads(".")
        for located in places:
            if os.path.isdir(located.real):  # noqa: PTH112 - it costs less
                found = True
                if located.place in {Place.INSIDE, Place.PROTECTED}:
                    yield located
    if not found:
        yield from standing.leads(".")


def _secrets_below(top: str, *, hidden: bool) -> Iterator[str]:
    """Yield the files below a folder that are called as secrets are: level by level, along no link, among so many names."""
    waiting = deque([""])
    left = _MOST
    while waiting and left > 0:
        folder = waiting.popleft()
        try:
            with os.scandir(f"{top}/{folder}") as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return
                    name = entry.name
                    if name[0] == "." and not hidden:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if name not in _SKIPPED and not is_folder_of_secrets(name):
                            waiting.append(f"{folder}{name}/")
                    elif _is_secret(name) and not entry.is_symlink():
                        yield f"{folder}{name}"
        except (OSError, ValueError):
            continue


@lru_cache(maxsize=4096)  # a tree has the same names from command to command
def _is_secret(name: str) -> bool:
    return are_of_secret((name.casefold(),))
