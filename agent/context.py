"""Owns what the model is told first: where it works, and the instructions that the project keeps for it."""

import codecs
import os
import re
import shutil
from collections.abc import Callable, Iterable
from datetime import date
from itertools import islice
from pathlib import Path

from agent.checks import VENVS, detected, tasks, told
from agent.code.map import Map
from agent.safe import safe_line, safe_text
from agent.workspace.peek import peek
from agent.workspace.secrets import are_of_secret
from agent.workspace.walk import spec

_SKIPPED = frozenset(
    {"node_modules", ".venv", "venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox"}
)
_UNTOLD = _SKIPPED | {".git"}  # in a folder below the root
_MOST_ENTRIES = 500  # a folder of more is named, and not listed
_MOST_FOLDERS = 40  # folders whose entries are listed
_MOST_NAMES = 12  # names listed of a folder below the root
_MOST_TREE = 1000  # characters
_MOST_STATUS = 600
_TINY = 600  # bytes of a file that is told whole
_MOST_TINY = 800  # bytes of all of them
_TINY_FILES = ("README.md", "package.json", "pyproject.toml", "Cargo.toml", "go.mod", "Makefile", "requirements.txt")
INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md")  # the first that a folder has counts
_MOST_RULES = 64 << 10
ONE_INSTRUCTION = 16 << 10  # bytes that are told of one file
_ALL_INSTRUCTIONS = 32 << 10
_PROGRAMS = (
    *("node", "npm", "pnpm", "bun", "deno", "go", "cargo", "java", "mvn", "gcc", "clang", "cmake", "make"),
    *("docker", "ruby", "php", "chromium", "google-chrome"),
)
_Ignored = Callable[[str], bool]  # of a path relative to the root, a folder's with a slash at its end


def environment(root: Path, cwd: Path, *, person: bool, git: str, today: date, permits: str) -> str:
    """Return the surroundings in a few hundred tokens; the same for the same files, and the cost does not grow with them."""
    system = os.uname()
    kind = "macOS" if system.sysname == "Darwin" else system.sysname
    inside = cwd.relative_to(root).as_posix() if cwd.is_relative_to(root) else str(cwd)
    answers = (
        "A person is there and can answer." if person else "Nobody is there to answer: decide yourself, and say what you chose."
    )
    lines = [
        "# Environment, as it was at the start",
        f"{kind} on {system.machine}. Commands run in bash. Today is {today.isoformat()}.",
        f"Workspace: {safe_line(str(root))}",
        f"Working folder, which relative paths start from: {safe_line(inside) if inside != '.' else 'the same'}",
        f"{answers} {permits}",
        *_told("Python", _python(root)),
        *_told("Other programs here", ", ".join(name for name in _PROGRAMS if shutil.which(name))),
        *_offered(root, "This project"),
        *(_offered(cwd, "The working folder") if cwd != root else ()),
        f"Git: {_cut(git, _MOST_STATUS)}",
        "",
        *_tree(root, cwd),
        *_tiny_files(root),
    ]
    return "\n".join(lines)


def instructions(root: Path, cwd: Path, most: int = _ALL_INSTRUCTIONS) -> str:
    """Return AGENTS.md of every folder from the root down to `cwd`, CLAUDE.md where a folder has none; `most` in bytes."""
    folders = [folder for folder in (cwd, *cwd.parents) if folder.is_relative_to(root)] or [root]
    left = most
    told: list[str] = []
    for folder in folders:  # the deepest first: they count most when room is short
        for name in INSTRUCTIONS:
            file = folder / name
            if not os.path.lexists(file):
                continue
            text = instruction(root, file, min(left, ONE_INSTRUCTION))
            left -= min(left, len(text.encode()))
            told.append(f"# {safe_line(file.relative_to(root).as_posix())}\n{text}")
            break
    return "\n\n".join(reversed(told))


def mapped(drawn: Map) -> str:
    """Return the map of the code with words on what it is and how far it goes; nothing where there is no code."""
    progress = drawn.progress
    if progress is not None and progress.complete and not drawn.files:
        return ""
    head = "# Map of the code, as it was at the start"
    if progress is None or not drawn.files:
        return f"{head}\nNone yet: the index of names is still to be built; the tools answer without it."
    so_far = "" if progress.complete else f" so far, for the index is unfinished: {progress.listed} are to be in it"
    return (
        f"{head}\nThe files that others use most and those that the prompt seems to mean, with lines and first words of "
        f"what they define: {len(drawn.files)} of {progress.held} files{so_far}.\n{drawn.told()}"
    )


def instruction(root: Path, file: Path, most: int) -> str:
    """Return what a file with instructions says, or that it is not read: it lies elsewhere, or a link leads to a secret."""
    if _is_secret(root, file):
        return "(not read: the link leads to what is called as secrets are)"
    content = peek(root, file, most + 1)
    if content is None:
        return "(not read: it is no plain file inside the workspace)"
    told, _ = codecs.utf_8_decode(content[:most], "replace", len(content) <= most)  # of a character that is cut no half is told
    text = safe_text(told.removeprefix("\ufeff")).strip()
    return f"{text}\n(cut here: the rest is too long; read the file for it)" if len(content) > most else text


def _is_secret(root: Path, file: Path) -> bool:
    try:
        real = file.resolve()
        return are_of_secret([part.casefold() for part in real.relative_to(root.resolve()).parts])
    except (OSError, RuntimeError, ValueError):
        return False


def _text(folder: Path, name: str) -> str:
    return (peek(folder, folder / name, _MOST_RULES) or b"").decode("utf-8", "replace")


def _told(name: str, value: str) -> tuple[str, ...]:
    return (f"{name}: {value}",) if value else ()


def _cut(text: str, most: int) -> str:
    """Return the text, or its first whole lines that fit."""
    text = safe_text(text)
    if len(text) <= most:
        return text
    return text[:most].rpartition("\n")[0] + "\n..." if "\n" in text[:most] else text[:most] + "..."


def _python(root: Path) -> str:
    for name in VENVS:
        if os.access(root / name / "bin" / "python", os.X_OK) and (root / name / "pyvenv.cfg").is_file():
            version = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+[\d.]*)", _text(root, f"{name}/pyvenv.cfg"), re.MULTILINE)
            return f"{name}/bin/python" + (f" ({version[1]})" if version else "")
    return safe_line(shutil.which("python3") or "")


def _offered(folder: Path, name: str) -> tuple[str, ...]:
    """Return what a folder seems to check itself by, and what else it names to be run, told from its files alone."""
    others = (f"{program} ({_names(names)})" if names else program for program, names in tasks(folder))
    checks = detected(folder)
    programs = dict.fromkeys(check.command.partition(" ")[0] for check in checks)
    return (
        *_told(f"{name} seems to check itself by", told(checks)),
        *_told("Other tasks", "; ".join(others)),
        *_told("Of these not installed", _names(one for one in programs if "/" not in one and not shutil.which(one))),
    )


def _names(names: Iterable[str]) -> str:
    listed = [safe_line(name)[:40] for name in names]
    return ", ".join(listed[:_MOST_NAMES]) + (", ..." if len(listed) > _MOST_NAMES else "")


def _listed(folder: str | Path) -> list[os.DirEntry[str]] | None:
    """Return the entries of a folder by name; None where there are too many, or it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = list(islice(entries, _MOST_ENTRIES + 1))
    except OSError:
        return None
    return None if len(found) > _MOST_ENTRIES else sorted(found, key=lambda entry: entry.name)


def _tree(root: Path, cwd: Path) -> list[str]:
    """Return two levels of the tree, a folder a line, and the working folder where it lies deeper."""
    entries = _listed(root)
    if entries is None:
        return [f"Files: more than {_MOST_ENTRIES} here; find and search list them."]
    ignored = _rules(root, "")
    shown = [entry for entry in entries if entry.name != ".git" and not ignored(_path("", entry))]
    folders = [entry for entry in shown if entry.is_dir(follow_symlinks=False)]
    files = [_shown(entry) for entry in shown if not entry.is_dir(follow_symlinks=False)]
    lines = [
        "Files (two levels, without ignored ones):" if shown else "The workspace is empty.",
        *([" ".join(files)] if files else []),
    ]
    for number, folder in enumerate(folders):
        if number < _MOST_FOLDERS:
            lines.append(f"{_shown(folder)} {_inside(root, folder.name, ignored)}".rstrip())
    if cwd.is_relative_to(root) and len(cwd.relative_to(root).parts) > 1:
        inside = cwd.relative_to(root).as_posix()
        lines.insert(1, f"{safe_line(inside)}/ {_inside(root, inside, ignored)}".rstrip())
    if len(folders) > _MOST_FOLDERS:
        lines.append(f"... and {len(folders) - _MOST_FOLDERS} folders more")
    return _fit(lines)


def _fit(lines: list[str]) -> list[str]:
    """Shorten the longest lines until all fit: better a part of each folder than the whole of some."""
    most = 400
    while sum(min(len(line), most) + 1 for line in lines) > _MOST_TREE and most > 20:
        most = most * 3 // 4
    fitting = [line if len(line) <= most else line[:most].rpartition(" ")[0] + " ..." for line in lines]
    while sum(len(line) + 1 for line in fitting) > _MOST_TREE + most:
        fitting[-2:] = ["..."]
    return fitting


def _inside(root: Path, folder: str, above: _Ignored) -> str:
    if folder in _SKIPPED:
        return "(not listed)"
    entries = _listed(root / folder)
    if entries is None:
        return f"(more than {_MOST_ENTRIES}, or not readable)"
    own = _rules(root, f"{folder}/")
    names = [
        _shown(entry)
        for entry in entries
        if entry.name not in _UNTOLD and not above(_path(f"{folder}/", entry)) and not own(_path(f"{folder}/", entry))
    ]
    return " ".join(names[:_MOST_NAMES]) + (f" +{len(names) - _MOST_NAMES}" if len(names) > _MOST_NAMES else "")


def _rules(root: Path, folder: str) -> _Ignored:
    """Return what the .gitignore of a folder says; the folder is "" or ends with a slash."""
    content = peek(root, root / folder / ".gitignore", _MOST_RULES)
    if not content:
        return lambda _: False
    rules = spec(content)
    return lambda path: rules.match_file(path[len(folder) :])


def _path(folder: str, entry: os.DirEntry[str]) -> str:
    return folder + entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")


def _shown(entry: os.DirEntry[str]) -> str:
    name = safe_line(entry.name)[:80]
    name = f'"{name}"' if " " in name else name
    if entry.is_symlink():
        return f"{name}@"
    return f"{name}/" if entry.is_dir(follow_symlinks=False) else name


def _tiny_files(root: Path) -> list[str]:
    lines: list[str] = []
    left = _MOST_TINY
    for name in _TINY_FILES:
        content = peek(root, root / name, _TINY + 1)
        if content and len(content) <= min(_TINY, left) and b"\0" not in content:
            left -= len(content)
            lines += ["", f"## {name}", safe_text(content.decode("utf-8", "replace")).rstrip("\n")]
    return lines
