"""Owns searching with ripgrep: which one is trusted, its flags, and what it prints."""

import base64
import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from agent.errors import ToolFailure
from agent.workspace.contract import Found, Match
from agent.workspace.globs import matching
from agent.workspace.lines import LARGEST, UTF16, window
from agent.workspace.search import Query, Stop, fault, first, found, relative

# What ripgrep reads in a type as `matching` does; with any other glob it looks at all files, and `matching` chooses.
_TYPE = re.compile(r"(?:[\w.*+@ -]|\{[\w.*+@ -]+(?:,[\w.*+@ -]+)*\})+", re.ASCII)


class Ripgrep:
    """Counts in all files first, then reads the lines of those files alone whose lines are told."""

    def __init__(self, program: Path) -> None:
        self._program = program

    @classmethod
    def installed(cls, root: Path) -> Self | None:
        """Return the one installed with us, else the person's, but none that a workspace supplies."""
        ours = Path(sysconfig.get_path("scripts")) / "rg"
        if os.access(ours, os.X_OK):
            return cls(ours)
        theirs = shutil.which("rg")
        if theirs is None or not Path(theirs).is_absolute() or Path(theirs).resolve().is_relative_to(root):
            return None
        return cls(Path(theirs))

    def search(self, query: Query, stop: Stop) -> Found:
        """Search until done or stopped. Raises ToolFailure."""
        matches = matching(query.glob)
        counts: dict[str, int] = {}
        partial = False
        for start in query.starts:
            if start.is_file() and _binary(start):
                continue
            printed, cut = self._run(
                query, stop, [*self._counting(query, start), "--", query.pattern, _argument(start, query.root)]
            )
            partial |= cut
            for path, count in _counted(printed):
                absolute = _absolute(path, query.root)
                shown = relative(absolute, query.root)
                if matches(shown) and query.allowed(absolute):
                    counts[shown] = count
        wanted = first(counts, query.limit)
        lines: dict[str, list[Match]] = {}
        if wanted and not stop.due:
            reading = ["--json", f"--context={query.context}", f"--max-count={query.limit}", "--threads=1"]
            names = [_argument(query.root / path, query.root) for path in wanted]
            printed, cut = self._run(query, stop, [*reading, "--", query.pattern, *names])
            partial |= cut
            lines = _told(printed, query.root)
        return found(counts, ((path, lines.get(path, [])) for path in wanted), query.limit, partial)

    def files(self, query: Query, stop: Stop) -> tuple[list[str], bool]:
        """Have it list them. Raises ToolFailure."""
        files: list[str] = []
        partial = False
        for start in query.starts:
            printed, cut = self._run(
                query, stop, ["--files", "--null", *self._chosen(query, start), "--", _argument(start, query.root)]
            )
            partial |= cut
            whole, _, _ = printed.rpartition(b"\0")  # the last one of a listing that was stopped may be cut
            files += [_absolute(os.fsdecode(path), query.root) for path in whole.split(b"\0") if path]
        return files, partial

    def _counting(self, query: Query, start: Path) -> list[str]:
        return ["--count", "--null", "--with-filename", f"--max-filesize={LARGEST}", *self._chosen(query, start)]

    def _chosen(self, query: Query, start: Path) -> list[str]:
        flags = ["--hidden", "--glob=!.git", "--no-ignore-dot", "--no-ignore-global", "--no-ignore-exclude"]
        if _TYPE.fullmatch(query.glob):
            # As a type, for a --glob would bring back what .gitignore names.
            flags += [f"--type-add=wanted:{query.glob}", "--type=wanted"]
        inside = start.is_relative_to(query.root)
        if inside and (query.root / ".git").exists():
            return flags
        # A .gitignore above the workspace, such as that of a home folder under git, says nothing about it.
        flags += ["--no-require-git", "--no-ignore-parent"]
        if inside and start != query.root and (query.root / ".gitignore").exists():
            flags.append("--ignore-file=.gitignore")
        return flags

    def _run(self, query: Query, stop: Stop, arguments: list[str]) -> tuple[bytes, bool]:
        case = "--ignore-case" if query.ignore_case else "--case-sensitive"
        always = ["--no-config", "--no-messages", "--color=never", "--engine=auto", "--crlf", "--no-mmap", case]
        try:
            program = subprocess.Popen(
                [self._program, *always, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=query.root,
                env={},
            )
        except (OSError, ValueError) as error:
            raise ToolFailure(f"The search was not started: {error}.") from error
        with stop.holding(program):
            try:
                printed, faults = program.communicate(timeout=max(0, stop.left))
            except subprocess.TimeoutExpired:
                program.kill()
                printed, _ = program.communicate()
                return printed, True
        if program.returncode == 2 and faults:
            raise ToolFailure(fault(faults.decode(errors="replace")))
        return printed, program.returncode not in {0, 1}


def _argument(path: Path, root: Path) -> str:
    if path == root:
        return "."
    return f"./{path.relative_to(root)}" if path.is_relative_to(root) else str(path)


def _absolute(path: str, root: Path) -> str:
    return path if path.startswith("/") else f"{str(root).rstrip('/')}/{path.removeprefix('./')}"


def _counted(printed: bytes) -> Iterator[tuple[str, int]]:
    at = 0
    while (end := printed.find(b"\0", at)) >= 0 and (line := printed.find(b"\n", end)) >= 0:
        yield os.fsdecode(printed[at:end]), int(printed[end + 1 : line])
        at = line + 1


def _told(printed: bytes, root: Path) -> dict[str, list[Match]]:
    lines: dict[str, list[Match]] = {}
    for printed_line in printed.split(b"\n"):
        try:
            event = json.loads(printed_line)
        except ValueError:
            continue  # the last line of a search that was stopped
        if event["type"] not in {"match", "context"}:
            continue
        line = event["data"]
        path = relative(_absolute(os.fsdecode(_bytes(line["path"])), root), root)
        raw = _bytes(line["lines"]).rstrip(b"\n").removesuffix(b"\r")
        start = len(raw[: line["submatches"][0]["start"]].decode(errors="replace")) if line["submatches"] else 0
        text = window(raw.decode(errors="replace"), start)
        lines.setdefault(path, []).append(Match(path, line["line_number"], text, event["type"] == "context"))
    return lines


def _bytes(told: dict[str, Any]) -> bytes:
    return base64.b64decode(told["bytes"]) if "bytes" in told else str(told["text"]).encode()


def _binary(path: Path) -> bool:
    try:
        with path.open("rb") as opened:
            chunk = opened.read(1 << 20)
            if chunk[:2] in UTF16:
                return False
            while chunk and b"\0" not in chunk:
                chunk = opened.read(1 << 20)
            return bool(chunk)
    except OSError:
        return False
