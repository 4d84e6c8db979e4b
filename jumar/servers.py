"""Owns which language servers and linters are asked in a work tree, and why others are not, as `jumar status` tells it."""

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.code.grammars import language
from agent.config import DiagnosticsTable
from agent.workspace.local import LocalWorkspace

if TYPE_CHECKING:
    from agent.diagnostics.diagnostics import Diagnostics
    from agent.diagnostics.finding import Finding, Usable

_MOST_ENTRIES = 5000  # of a work tree that are looked at
_SKIPPED = frozenset(("node_modules", "venv", "target", "build", "dist", "__pycache__"))


@dataclass(frozen=True, slots=True)
class Standing:
    """A program that is known for a language of the work tree: where it is, or why it is not asked."""

    name: str
    languages: tuple[str, ...]
    executable: str = ""
    why_not: str = ""


def diagnostics(settings: DiagnosticsTable, workspace: LocalWorkspace, environment: Mapping[str, str]) -> "Diagnostics | None":
    """Return what a session asks of its changes, None where the person wants none of it."""
    if not settings.enabled:
        return None
    from agent.diagnostics.diagnostics import Diagnostics  # for those who want it

    return Diagnostics(workspace, _finding(settings, workspace, environment))


def standings(settings: DiagnosticsTable, workspace: LocalWorkspace, environment: Mapping[str, str]) -> list[Standing]:
    """Return how each program stands that knows a language of the work tree, which is trusted: those that are asked first."""
    finding = _finding(settings, workspace, environment)
    found: dict[str, Standing] = {}
    files = _files(workspace.root)
    asked: set[str] = set()
    for spoken, file in files.items():
        servers = finding.servers_for(spoken, file)
        linter = finding.linter_for(spoken, file) if not servers else None
        for usable in (*servers, *([linter] if linter is not None else [])):
            asked.add(usable.program.name)
            found[usable.program.name] = Standing(usable.program.name, _spoken(usable, files), usable.executable)
    for program in (*finding.servers, *finding.linters):
        spoken_here = tuple(name for name in program.languages if name in files)
        if program.name not in found and spoken_here:
            why = finding.usable(program, files[spoken_here[0]])
            other = "another one is asked"
            found[program.name] = Standing(program.name, spoken_here, why_not=why if isinstance(why, str) else other)
    return sorted(found.values(), key=lambda one: one.name not in asked)


def told_of(found: list[Standing] | None, *, enabled: bool) -> list[tuple[str, str]]:
    """Return what is told of them, the first line with its name."""
    if not enabled:
        return [("servers", "none is asked: config.toml switches them off")]
    if found is None:
        return []
    told = [f"asked: {one.name} ({', '.join(one.languages)}), {one.executable}" for one in found if one.executable]
    reasons: dict[str, list[str]] = {}
    for one in found:
        if not one.executable:
            reasons.setdefault(one.why_not, []).append(one.name)
    told += [f"not asked: {', '.join(names)} ({why})" for why, names in reasons.items()]
    return [("" if number else "servers", line) for number, line in enumerate(told or ["none is known for what lies here"])]


def _finding(settings: DiagnosticsTable, workspace: LocalWorkspace, environment: Mapping[str, str]) -> "Finding":
    from agent.diagnostics.finding import Finding

    return Finding(workspace.root, environment, sandboxed=workspace.sandbox != "none", left_out=settings.without)


def _spoken(usable: "Usable", files: Mapping[str, Path]) -> tuple[str, ...]:
    return tuple(name for name in usable.program.languages if name in files)


def _files(root: Path) -> dict[str, Path]:
    """Return the first file of each language, the nearest to the root, of what is looked at. No link is followed."""
    found: dict[str, Path] = {}
    waiting, left = deque([root]), _MOST_ENTRIES
    while waiting and left > 0:
        try:
            with os.scandir(waiting.popleft()) as entries:
                for entry in entries:
                    left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith(".") and entry.name not in _SKIPPED:
                            waiting.append(Path(entry.path))
                    elif (spoken := language(entry.name)) and spoken not in found:
                        found[spoken] = Path(entry.path)
                    if left <= 0:
                        break
        except OSError:
            continue
    return found
