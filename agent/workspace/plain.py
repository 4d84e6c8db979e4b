"""Owns searching without any program but our own Python, with the results of ripgrep."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from agent.errors import ToolFailure
from agent.workspace import lines
from agent.workspace.contract import Found, Match
from agent.workspace.globs import matching
from agent.workspace.search import Query, Stop, changed, fault, first, found, relative
from agent.workspace.walk import Walk


class Plain:
    """Finds the files itself, and has a process of its own match their lines: a pattern may take for ever."""

    def search(self, query: Query, stop: Stop) -> Found:
        """Search until done or stopped. Raises ToolFailure."""
        matches = matching(query.glob)
        walk = Walk(query.root)
        sources: list[str] = []
        partial = False
        for start in query.starts:
            for absolute in [str(start)] if start.is_file() else walk.files(start):
                if stop.due:
                    partial = True
                    break
                if matches(relative(absolute, query.root)):
                    sources.append(absolute)
        shown = {relative(absolute, query.root): absolute for absolute in query.shown(sources)}
        paths = sorted(shown)
        counts: dict[str, int] = {}
        told: dict[str, list[Match]] = {}
        printed, cut = self._run(query, stop, [shown[path] for path in paths])
        for number, count, *line in _answers(printed):
            path = paths[number]
            if line:
                told.setdefault(path, []).append(Match(path, count, *line))
            elif count is None:
                partial = True
            else:
                counts[path] = count
        wanted = first(counts, query.limit)
        return found(counts, ((path, told.get(path, [])) for path in wanted), query.limit, partial or cut or walk.partial)

    def files(self, query: Query, stop: Stop) -> tuple[list[str], bool]:
        """Walk through them."""
        matches = matching(query.glob)
        walk = Walk(query.root)
        files: list[str] = []
        for start in query.starts:
            found: list[tuple[int, str]] = []
            for absolute in walk.files(start):
                if stop.due:
                    break
                if matches(relative(absolute, query.root)):
                    found.append((changed(absolute), absolute))
            files += [absolute for _, absolute in sorted(found, reverse=True)]
        return files, walk.partial or stop.due

    def _run(self, query: Query, stop: Stop, paths: list[str]) -> tuple[bytes, bool]:
        """Return what the process printed, and whether it was cut short."""
        asked = {
            "pattern": query.pattern,
            "ignore_case": query.ignore_case,
            "limit": query.limit,
            "context": query.context,
            "seconds": query.seconds,
            "paths": [os.fsencode(path).decode("latin-1") for path in paths],
        }
        try:
            program = subprocess.Popen(
                [sys.executable, "-I", "-S", "-W", "ignore", lines.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={},
            )
        except (OSError, ValueError) as error:
            raise ToolFailure(f"The search was not started: {error}.") from error
        with program, stop.holding(program):
            try:
                printed, faults = program.communicate(json.dumps(asked).encode(), timeout=max(0, stop.left))
            except subprocess.TimeoutExpired:
                program.kill()
                printed, _ = program.communicate()
                return printed, True
        if program.returncode > 0:
            raise ToolFailure(f"The search failed: {faults.decode(errors='replace').strip().rpartition(chr(10))[2]}.")
        return printed, program.returncode != 0


def _answers(printed: bytes) -> Iterator[list[Any]]:
    """Yield what `lines` told of files. Raises ToolFailure where it told what is wrong with the pattern."""
    for line in printed.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            return  # the last line of a search that was stopped
        if isinstance(answer, dict):
            raise ToolFailure(fault(f"error: {answer['fault']}"))
        yield answer
