"""Owns the language servers and linters that are known, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Program:
    """What both are: what it is called, how it is started, which languages it reads, and what tells that a project uses it."""

    name: str
    command: tuple[str, ...]
    languages: tuple[str, ...]
    config: tuple[str, ...]
    runs: bool  # what the project supplies
    needs: bool  # settings of the project's
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerProgram(Program):
    """A language server, and what it is told of itself."""

    kind: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinterProgram(Program):
    """A linter, and where in its answer problems stand."""

    rows: tuple[str, ...] = ()
    line: tuple[str, ...] = ()
    message: str = ""
    code: str = ""
    severity: str = ""
    errors: tuple[object, ...] = ()


def programs() -> tuple[tuple[ServerProgram, ...], tuple[LinterProgram, ...]]:
    """Return the servers and the linters, those that are asked first first."""
    import tomllib  # only where something is changed

    read = tomllib.loads((Path(__file__).parent / "programs.toml").read_text(encoding="utf-8"))
    servers = (ServerProgram(**_common(row), **_more(row)) for row in read["server"])
    linters = (LinterProgram(**(_common(row) | {"needs": True}), **_more(row)) for row in read["linter"])
    return tuple(servers), tuple(linters)


def filled(settings: Mapping[str, Any], python: str) -> dict[str, Any]:
    """Return settings with the interpreter of a project where they name it, and without that where there is none."""
    told: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            told[name] = filled(value, python)
        elif value != "{python}" or python:
            told[name] = python if value == "{python}" else value
    return told


_SHARED = frozenset(("name", "command", "languages", "config", "runs", "needs", "roots"))


def _common(row: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: tuple(row.get(name, ())) for name in ("command", "languages", "config", "roots")}
    return {**lists, "name": row["name"], "runs": row["runs"], "needs": row.get("needs", False)}


def _more(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items() if name not in _SHARED}
