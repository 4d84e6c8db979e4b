"""Owns what a person and a project wrote for the agent: their skills and commands, and what a prompt that calls one says."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from agent.errors import ToolFailure, UsageError
from agent.frontmatter import page
from agent.safe import safe_line
from agent.skills import Shelf, Skills, place_in, shelves
from agent.workspace.peek import peek
from agent.workspace.secrets import are_of_secret
from jumar.home import Home

_RESERVED = """
help model mode plan step undo redo rewind diff review commit compact uncompact clear new resume fork rename export copy cost
context rules skills checks status view doctor theme language settings init quit
agents hooks login logout mcp memory permissions servers sessions timeline trust watch web
"""
RESERVED = frozenset(_RESERVED.split())  # the screen's own, those to come too: nothing else takes these names
_CALL = re.compile(r"/([A-Za-z0-9][\w-]{0,63})(?:\s+(.*))?\s*", re.DOTALL)
_NAME = re.compile(r"([A-Za-z0-9][\w-]{0,63})\.md")
_PLACE = re.compile(r"\\?\$(ARGUMENTS\b|[1-9](?!\w))")
_MOST = 200  # commands of a folder
_LARGEST = 64 << 10  # bytes of one
_LONGEST = 200  # characters of what one says of itself
_LONGEST_QUOTED = 16 << 10  # characters behind a command's name in which quotes are heeded: to read more takes long


@dataclass(frozen=True, slots=True)
class Custom:
    """What can be called by a slash and its name: a command that is a text, or a skill."""

    name: str
    description: str
    argument: str  # a hint at what may follow the name
    own: bool  # the person's, and not the project's
    kind: Literal["command", "skill"]


@dataclass(frozen=True, slots=True)
class _Command:
    shown: Custom
    file: Path
    within: Path


class Customs:
    """All of them, as they were when this was made; what one says is read when it is called."""

    def __init__(self, home: Home, environment: Mapping[str, str], root: Path, cwd: Path, *, trusted: bool) -> None:
        person = [Path(environment["HOME"])] if environment.get("HOME") else []
        own = {kind: [*(place_in(folder, kind) for folder in person), home.config / kind] for kind in ("skills", "commands")}
        project = list(dict.fromkeys((root, cwd))) if trusted and cwd.is_relative_to(root) else [root] if trusted else []
        self.skills = Skills(shelves(own["skills"], project, root))
        places = [Shelf(folder) for folder in own["commands"]]
        places += [Shelf(place_in(folder, "commands"), root) for folder in project]
        faults: list[str] = []
        self._commands = _found(places, faults)
        self.faults = (*self.skills.faults, *map(safe_line, faults))

    @property
    def all(self) -> tuple[Custom, ...]:
        """Return them by name; a command hides a skill that is called so."""
        found = {
            skill.name: Custom(skill.name, skill.description, "[WORDS]", skill.shelf.own, "skill")
            for skill in self.skills.all
            if skill.name not in RESERVED
        }
        found |= {name: command.shown for name, command in self._commands.items()}
        return tuple(found[name] for name in sorted(found))

    def said(self, prompt: str) -> str:
        """Return what is said to the model: the prompt itself, or what the command or skill says that it calls.

        Raises UsageError where that cannot be read.
        """
        called = _CALL.fullmatch(prompt)
        if called is None or called[1] in RESERVED:
            return prompt
        name, argument = called[1], (called[2] or "").strip()
        if (command := self._commands.get(name)) is not None:
            content = _content(command.within, command.file)
            if content is None:
                raise UsageError(f"/{name} cannot be read from {command.file}")
            if text := filled(page(content).text.strip(), argument):
                return text
            raise UsageError(f"/{name} says nothing: {command.file} is empty")
        skill = next((one for one in self.skills.all if one.name == name), None)
        if skill is None:
            return prompt
        try:
            return f"{self.skills.opened(skill)}\n\nDo it as this skill says. {argument}".strip()
        except ToolFailure as failure:
            raise UsageError(str(failure)) from failure


def filled(text: str, argument: str) -> str:
    """Return the text of a command with what follows its name in the places for it; behind the text where it has none."""
    try:
        words = shlex.split(argument) if len(argument) <= _LONGEST_QUOTED else argument.split()
    except ValueError:  # a quote that is not closed
        words = argument.split()
    places = 0

    def put(match: re.Match[str]) -> str:
        nonlocal places
        if match[0].startswith("\\"):
            return match[0][1:]
        places += 1
        if match[1] == "ARGUMENTS":
            return argument
        number = int(match[1])
        return words[number - 1] if number <= len(words) else ""

    whole = _PLACE.sub(put, text)
    return f"{whole}\n\n{argument}" if argument and not places else whole


def _found(places: Iterable[Shelf], faults: list[str]) -> dict[str, _Command]:
    found: dict[str, _Command] = {}
    for shelf in dict.fromkeys(places):
        for command in _commands(shelf):
            name = command.shown.name
            if name in RESERVED:
                faults.append(f"{command.file} is passed over: /{name} is jumar's own")
            elif (known := found.setdefault(name, command)).file != command.file:
                faults.append(f"{command.file} is passed over: {known.file} is called so too")
    return found


def _commands(shelf: Shelf) -> Iterator[_Command]:
    try:
        with os.scandir(shelf.folder) as entries:
            names = sorted(entry.name for entry in islice(entries, _MOST))
    except OSError:
        return
    for name in names:
        match, file = _NAME.fullmatch(name), shelf.folder / name
        # The person may link to wherever they keep theirs.
        within = shelf.within or Path(file.anchor)
        content = _content(within, file) if match is not None else None
        if match is not None and content is not None:
            read = page(content)
            first = next((line for line in read.text.split("\n") if line.strip()), "")
            description = safe_line(" ".join((read.named.get("description") or first.lstrip("# ")).split()))[:_LONGEST]
            hint = safe_line(read.named.get("argument-hint", ""))[:60]
            hint = hint or ("[WORDS]" if _PLACE.search(read.text) else "")
            yield _Command(Custom(match[1], description, hint, shelf.own, "command"), file, within)


def _content(within: Path, file: Path) -> bytes | None:
    """Read a command; None where it is none, or a link of a project's that leads to a secret."""
    names = [name.casefold() for name in Path(os.path.relpath(os.path.realpath(file), os.path.realpath(within))).parts]
    if file.is_symlink() and within != Path(file.anchor) and are_of_secret(names):
        return None
    return peek(within, file, _LARGEST)
