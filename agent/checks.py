"""Owns the checks of a work tree: those that the person keeps in their settings, and those that its files seem to offer."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from agent.config import CheckTable
from agent.safe import safe_line
from agent.workspace.globs import matching
from agent.workspace.peek import peek

When = Literal["turn", "edit"]
VENVS = (".venv", "venv", "env")
_PYTHON = ("*.{py,pyi}", "pyproject.toml", "setup.cfg")
_SCRIPTS = ("*.{js,jsx,ts,tsx,mjs,cjs,mts,cts,vue,svelte,json,css,html}",)
_ANY = ("!*.{md,rst,txt}",)
_MOST_ENTRIES = 500  # a folder of more is not looked through
_MOST_READ = 64 << 10  # bytes of a file
_MOST_SHOWN = 200  # characters of a command
_TARGET = re.compile(r"^([A-Za-z0-9][\w.-]*)[ \t]*::?(?!=)", re.MULTILINE)
_CHECKING = re.compile(r"(?:unit-?)?tests?|check|lint|types?|type-?check|tsc|build|verify|ci")
_NO_TEST = re.compile(r"\becho\b.*no test specified")  # what `npm init` writes
_ORDER = ("check", "verify", "test", "tests", "lint", "types", "typecheck", "type-check", "tsc", "build")
_LOCKS = (("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun"), ("bun.lockb", "bun"))
# What a file alone tells: the name and the command of a check, and the files that it is of.
_MANIFESTS: tuple[tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]], ...] = (
    ("tox.ini", (("tox", "tox"),), _PYTHON),
    ("noxfile.py", (("nox", "nox"),), _PYTHON),
    ("Cargo.toml", (("cargo-test", "cargo test"),), ("*.rs", "Cargo.{toml,lock}")),
    ("go.mod", (("go-test", "go test ./..."), ("go-vet", "go vet ./...")), ("*.go", "go.{mod,sum}")),
    ("pom.xml", (("mvn-test", "mvn test"),), _ANY),
    ("build.gradle", (("gradle-test", "gradle test"),), _ANY),
    ("build.gradle.kts", (("gradle-test", "gradle test"),), _ANY),
    ("Rakefile", (("rake", "rake"),), _ANY),
    ("mix.exs", (("mix-test", "mix test"),), ("*.{ex,exs}",)),
)


@dataclass(frozen=True, slots=True)
class Check:
    """A command that says whether the work tree is as it should be. `files` are globs of what it is of; without any: of all."""

    name: str
    command: str
    files: tuple[str, ...] = ()
    when: When = "turn"  # it runs before a turn ends, or after each step that changed something
    seconds: float = 600.0

    def covers(self, path: str) -> bool:
        """Whether the check is of a file, given relative to the root."""
        wanted = [glob for glob in self.files if not glob.startswith("!")]
        unwanted = [glob for glob in self.files if glob.startswith("!")]
        return (not wanted or any(matching(glob)(path) for glob in wanted)) and all(matching(glob)(path) for glob in unwanted)


def configured(tables: Mapping[str, CheckTable], root: Path) -> tuple[Check, ...]:
    """Return the checks of the person's settings that hold in a work tree."""
    return tuple(
        Check(name, table.command.strip(), table.files, table.when, table.seconds)
        for name, table in tables.items()
        if not table.folder or Path(table.folder).expanduser().resolve() == root
    )


def detected(folder: Path) -> tuple[Check, ...]:
    """Return the checks that a folder seems to offer, told from its files alone: nothing of it is run."""
    found = list(_python(folder))
    for name, commands, files in _MANIFESTS:
        if (folder / name).is_file():
            found += [Check(check, command, files) for check, command in commands]
    runner, scripts = _scripts(folder)
    found += [
        Check(f"{runner}-{safe_line(name)}", f"{runner} test" if name == "test" else f"{runner} run {name}", _SCRIPTS)
        for name in _checking(scripts)
    ]
    found += [Check(f"make-{name}", f"make {name}", _ANY) for name in _checking(_targets(folder))]
    return tuple(found)


def tasks(folder: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what else a folder names to be run: the program that runs it, and the names."""
    runner, scripts = _scripts(folder)
    named = ((f"{runner} run", scripts), ("make", _targets(folder)))
    others = [(program, tuple(name for name in names if not _CHECKING.fullmatch(name))) for program, names in named]
    others += [
        (program, ()) for file, program in (("justfile", "just"), ("CMakeLists.txt", "cmake")) if (folder / file).is_file()
    ]
    return tuple((program, names) for program, names in others if names or program in {"just", "cmake"})


def told(checks: Iterable[Check]) -> str:
    """Return the commands of checks in a line."""
    return "; ".join(safe_line(check.command)[:_MOST_SHOWN] for check in checks)


def _text(folder: Path, name: str) -> str:
    return (peek(folder, folder / name, _MOST_READ) or b"").decode("utf-8", "replace")


def _checking(names: Iterable[str]) -> list[str]:
    """Return the names that say that something is checked, the ones that say most first."""
    wanted = [name for name in names if _CHECKING.fullmatch(name)]
    return sorted(wanted, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


def runner(folder: Path) -> str:
    """Return the Python of a folder."""
    return next((f"{name}/bin/python" for name in VENVS if os.access(folder / name / "bin" / "python", os.X_OK)), "python3")


def _program(folder: Path, name: str) -> str:
    return next((f"{venv}/bin/{name}" for venv in VENVS if os.access(folder / venv / "bin" / name, os.X_OK)), name)


def _python(folder: Path) -> Iterable[Check]:
    project, setup = _text(folder, "pyproject.toml"), _text(folder, "setup.cfg")
    if _uses_pytest(folder, project, setup):
        yield Check("pytest", f"{runner(folder)} -m pytest", _PYTHON)
    elif any("import unittest" in _text(folder, name) for name in _tests(folder)):
        yield Check("unittest", f"{runner(folder)} -m unittest", _PYTHON)
    if "[tool.ruff" in project or any((folder / name).is_file() for name in ("ruff.toml", ".ruff.toml")):
        yield Check("ruff", f"{_program(folder, 'ruff')} check", _PYTHON)
    if "[tool.mypy" in project or "[mypy" in setup or (folder / "mypy.ini").is_file():
        named = re.search(r"^(?:files|packages|modules)\s*=", project + setup + _text(folder, "mypy.ini"), re.MULTILINE)
        yield Check("mypy", _program(folder, "mypy") + ("" if named else " ."), _PYTHON)


def _uses_pytest(folder: Path, project: str, setup: str) -> bool:
    if any((folder / name).is_file() for name in ("pytest.ini", "conftest.py")) or "[tool:pytest]" in setup:
        return True
    if re.search(r"\bpytest\b", project):
        return True
    return any("import pytest" in _text(folder, name) for name in _tests(folder))


def _tests(folder: Path) -> list[str]:
    """Return a few files with tests of Python."""
    found = []
    for place in ("", "tests/", "test/"):
        found += sorted(place + name for name in _names(folder / place) if re.fullmatch(r"test_\w+\.py|\w+_test\.py", name))
    return found[:3]


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in islice(entries, _MOST_ENTRIES + 1)]
    except OSError:
        return []
    return found if len(found) <= _MOST_ENTRIES else []


def _targets(folder: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_TARGET.findall(_text(folder, "Makefile"))))


def _scripts(folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return what runs the scripts of a package, and their names."""
    try:
        package = json.loads(_text(folder, "package.json"))
    except (ValueError, RecursionError):
        return "npm", ()
    scripts = package.get("scripts") if isinstance(package, dict) else None
    if not isinstance(scripts, dict):
        return "npm", ()
    names = tuple(name for name, line in scripts.items() if not _NO_TEST.search(str(line)[:_MOST_SHOWN]))
    return next((program for lock, program in _LOCKS if (folder / lock).is_file()), "npm"), names
