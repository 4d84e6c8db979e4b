"""Owns skills: what a person and a project wrote down on how kinds of work are done, found by name, read when it is wanted."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath

from agent.errors import ToolFailure
from agent.frontmatter import Page, page
from agent.safe import safe_line, safe_text
from agent.workspace.peek import is_folder, peek
from agent.workspace.secrets import are_of_secret

_FILE = "SKILL.md"
_PLACES = (".agents", ".claude")  # of a folder, the first in which there is one counts
_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,63}")
_MOST = 200  # skills of a folder, and entries of one of them that are looked at
_MOST_TOLD = 60  # skills that the model is told of
_LONGEST = 1024  # characters of what one says of itself
_LEAST = 80  # characters of that which are told at least
_LARGEST = 64 << 10  # bytes of a file that are told
_MOST_FILES = 100  # of a skill that are named
_DEEPEST = 4  # folders of it that are looked into, one in the other


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder in which skills lie. `within` is what no link may lead out of; None where the person may link as they like."""

    folder: Path
    within: Path | None = None

    @property
    def own(self) -> bool:
        """Whether they are the person's, and no project's."""
        return self.within is None


@dataclass(frozen=True, slots=True)
class Skill:
    """One skill. A `quiet` one is for the person to call: the model is not told of it."""

    name: str
    description: str
    folder: Path
    shelf: Shelf
    quiet: bool = False


def place_in(folder: Path, kind: str) -> Path:
    """Return where a folder keeps what people wrote for agents: skills or commands."""
    places = [folder / name / kind for name in _PLACES]
    return next((place for place in places if is_folder(place)), places[0])


class Skills:
    """The skills of shelves, those of the first ones before those of the later ones; `faults` say what is passed over and why."""

    def __init__(self, shelves: Iterable[Shelf]) -> None:
        found: dict[str, Skill] = {}
        faults: list[str] = []
        for shelf in shelves:
            for skill in _skills(shelf, faults):
                if (known := found.setdefault(skill.name, skill)).folder != skill.folder:
                    whose = "yours" if known.shelf.own else "another"
                    faults.append(f"the skill {skill.name} in {skill.folder} is passed over: {whose} is called so too")
        self.all = tuple(sorted(found.values(), key=lambda skill: skill.name))
        self.faults = tuple(map(safe_line, faults))

    def told(self, most: int) -> str:
        """Return what the model is told of them, in about so many characters at most; empty where there is none."""
        told = [skill for skill in self.all if not skill.quiet]
        if not told:
            return ""
        share = max(_LEAST, most // len(told[:_MOST_TOLD]))
        lines = [f"- {skill.name}: {_clip(skill.description, share)}" for skill in told[:_MOST_TOLD]]
        if len(told) > _MOST_TOLD:
            lines.append(f"- and {len(told) - _MOST_TOLD} more: {', '.join(skill.name for skill in told[_MOST_TOLD:])}"[:most])
        head = "# Skills\nHow kinds of work are done here. Where one fits, read it with the tool skill before you begin:"
        return "\n".join([head, *lines])

    def read(self, name: str, file: str = "") -> str:
        """Return what a skill says, or one of its files. Raises ToolFailure."""
        skill = next((one for one in self.all if one.name == name and not (one.quiet and not file)), None)
        if skill is None:
            names = ", ".join(one.name for one in self.all if not one.quiet)
            raise ToolFailure(f"There is no skill {name!r}; " + (f"there are {names}." if names else "there is none at all."))
        return _file(skill, file) if file else self.opened(skill)

    def opened(self, skill: Skill) -> str:
        """Return what a skill says, and which files it has. Raises ToolFailure."""
        text = _content(skill, _FILE)
        files = [name for name in islice(_files(skill), _MOST_FILES + 1) if name != _FILE]
        lines = [f"# Skill {skill.name}, of {'the person' if skill.shelf.own else 'the project'}", text.text.strip()]
        if files:
            more = " and more" if len(files) >= _MOST_FILES else ""
            where = safe_line(str(skill.folder))
            lines.append(f"[Its files, in {where}: {', '.join(files)}{more}; the tool skill reads one, with file]")
        return "\n\n".join(lines)


def _skills(shelf: Shelf, faults: list[str]) -> Iterator[Skill]:
    for folder in _folders(shelf.folder, faults):
        within = shelf.within or _real(folder)
        content = peek(within, folder / _FILE, _LARGEST)
        if content is None:
            if os.path.lexists(folder / _FILE):
                faults.append(f"the skill in {folder} is passed over: {_FILE} is no plain file there")
            continue
        head = page(content)
        name = head.named.get("name") or folder.name
        description = safe_line(" ".join(head.named.get("description", "").split()))[:_LONGEST]
        if not _NAME.fullmatch(name) or not description:
            lacks = "it has no description" if _NAME.fullmatch(name) else "its name is not of letters, digits and dashes"
            faults.append(f"the skill in {folder} is passed over: {lacks}")
            continue
        yield Skill(name, description, folder, shelf, head.says("disable-model-invocation"))


def _folders(folder: Path, faults: list[str]) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(folder / entry.name for entry in islice(entries, 10 * _MOST) if entry.is_dir())
    except OSError:
        return []
    if len(found) > _MOST:
        faults.append(f"{folder} has more than {_MOST} skills: those behind {found[_MOST - 1].name} are passed over")
    return found[:_MOST]


def _real(folder: Path) -> Path:
    try:
        return folder.resolve()
    except (OSError, RuntimeError):
        return folder


def _files(skill: Skill) -> Iterator[str]:
    """Yield the files of a skill, by their paths in its folder; no link is followed on the way."""
    folders: list[PurePath] = [PurePath()]
    seen = 0
    while folders and seen < 10 * _MOST_FILES:
        below = folders.pop(0)
        try:
            with os.scandir(skill.folder / below) as listed:
                entries = sorted(islice(listed, _MOST), key=lambda entry: entry.name)
        except OSError:
            continue
        seen += len(entries)
        for entry in entries:
            path = below / entry.name
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name != "node_modules" and len(path.parts) <= _DEEPEST:
                    folders.append(path)
            elif entry.is_file():
                yield safe_line(path.as_posix())


def _file(skill: Skill, name: str) -> str:
    if are_of_secret([part.casefold() for part in PurePath(name).parts]):
        raise ToolFailure(f"{safe_line(name)} is called as secrets are, and is not shown.")
    return _content(skill, name).text


def _content(skill: Skill, name: str) -> Page:
    """Read a file of a skill; none that a link or dots lead to elsewhere. Raises ToolFailure."""
    folder = _real(skill.folder)
    inside = skill.shelf.own or folder.is_relative_to(_real(skill.shelf.within or folder))
    content = peek(folder, folder / name, _LARGEST + 1) if inside else None
    if content is None:
        raise ToolFailure(f"The skill {skill.name} has no file {safe_line(name)}.")
    if b"\0" in content:
        raise ToolFailure(f"{safe_line(name)} of the skill {skill.name} is no text.")
    read = page(content) if name == _FILE else Page({}, content.decode("utf-8", "replace"))
    cut = f"\n[cut here: only the first {_LARGEST >> 10} KiB are told]" if len(content) > _LARGEST else ""
    return Page(read.named, safe_text(read.text)[:_LARGEST] + cut)


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def shelves(person: Sequence[Path], project: Sequence[Path], root: Path) -> list[Shelf]:
    """Return where skills lie: in the person's folders, then in those of a project's that may have some."""
    kept = dict.fromkeys(place_in(folder, "skills") for folder in project)
    return [*(Shelf(folder) for folder in person), *(Shelf(folder, root) for folder in kept)]
