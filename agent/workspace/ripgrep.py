"""Owns searching with ripgrep: which one is trusted, its flags, and what it prints."""

import base64
import json
import os
import re
import shutil
import stat
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from heapq import nsmallest
from pathlib import Path
from typing import Any, BinaryIO, Self

from agent.errors import ToolFailure
from agent.workspace.contract import Found, Match
from agent.workspace.globs import escaped, matching
from agent.workspace.lines import LARGEST, UTF16, window
from agent.workspace.search import Query, Stop, changed, fault, first, found, relative

_COUNTED = re.compile(r"([^\0]*)\0(\d+)\r?\n")
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
        matches = _rest(query.glob)
        counts: dict[str, int] = {}
        partial = False
        for start in query.starts:
            if start.is_file() and _binary(start):
                continue
            printed, cut = self._run(
                query, stop, [*self._counting(query, start), "--", query.pattern, _argument(start, query.root)]
            )
            partial |= cut
            printed_counts = _COUNTED.findall(os.fsdecode(printed))
            paths = _absolute((path for path, _ in printed_counts), query.root)
            counted = dict(zip(paths, (int(count) for _, count in printed_counts), strict=True))
            for absolute in query.shown(paths):
                path = relative(absolute, query.root)
                if matches is None or matches(path):
                    counts[path] = counted[absolute]
        sizes = {path: _size(query.root / path) for path in nsmallest(query.limit, counts)}
        large = tuple(path for path, size in sizes.items() if size > LARGEST)
        wanted = first({path: counts[path] for path, size in sizes.items() if 0 < size <= LARGEST}, query.limit)
        lines: dict[str, list[Match]] = {}
        if wanted and not stop.due:
            reading = ["--json", f"--context={query.context}", f"--max-count={query.limit}", "--threads=1"]
            names = [_argument(query.root / path, query.root) for path in wanted]
            printed, cut = self._run(query, stop, [*reading, "--", query.pattern, *names])
            partial |= cut
            lines = _told(printed, query.root)
        return replace(found(counts, ((path, lines.get(path, [])) for path in wanted), query.limit, partial), large=large)

    def files(self, query: Query, stop: Stop) -> tuple[list[str], bool]:
        """Have it list them. Raises ToolFailure."""
        matches = _rest(query.glob)
        files: list[str] = []
        partial = False
        for start in query.starts:
            listing = ["--files", "--null", *self._chosen(query, start), "--", _argument(start, query.root)]
            printed, cut = self._run(query, stop, ["--sortr=modified", *listing], share=0.5)
            late = cut and not printed and not stop.due
            if late:  # with an order it tells nothing before it has seen all; a part is better
                printed, cut = self._run(query, stop, listing)
            partial |= cut
            # The last one of a listing that was stopped may be cut.
            absolute = _absolute(os.fsdecode(printed).split("\0")[:-1], query.root)
            if late:
                absolute.sort(key=changed, reverse=True)
            files += absolute if matches is None else [one for one in absolute if matches(relative(one, query.root))]
        return files, partial

    def _counting(self, query: Query, start: Path) -> list[str]:
        return ["--count", "--null", "--with-filename", *self._chosen(query, start)]

    def _chosen(self, query: Query, start: Path) -> list[str]:
        flags = ["--hidden", "--glob=!.git", "--no-ignore-dot", "--no-ignore-global", "--no-ignore-exclude"]
        hidden = (path for path in query.hidden if path.is_relative_to(query.root) and not start.is_relative_to(path))
        flags += [f"--glob=!/{escaped(str(path.relative_to(query.root)))}" for path in hidden]
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

    def _run(self, query: Query, stop: Stop, arguments: list[str], share: float = 1) -> tuple[bytes, bool]:
        """Run it for that share of the time that is left; return what it printed, and whether that is cut. Raises ToolFailure."""
        case = "--ignore-case" if query.ignore_case else "--case-sensitive"
        always = ["--no-config", "--no-messages", "--color=never", "--engine=auto", "--crlf", "--no-mmap", case]
        with _scratch() as printed:
            try:
                program = subprocess.Popen(
                    [self._program, *always, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.PIPE,
                    cwd=query.root,
                    env={},
                )
            except (OSError, ValueError) as error:
                raise ToolFailure(f"The search was not started: {error}.") from error
            faults = b""
            late = False
            with stop.holding(program):
                try:
                    _, faults = program.communicate(timeout=max(0, share * stop.left))
                except subprocess.TimeoutExpired:
                    late = True
                    program.kill()
                    program.communicate()
            if program.returncode == 2 and faults:
                raise ToolFailure(fault(faults.decode(errors="replace")))
            printed.seek(0)
            return printed.read(), late or program.returncode not in {0, 1}


def _scratch() -> BinaryIO:
    """Return a file that nobody else has: what is written to it file by file costs a third less than a pipe that we read."""
    try:
        return os.fdopen(os.memfd_create("jumar-search"), "w+b")
    except (AttributeError, OSError):  # only Linux has them
        return tempfile.TemporaryFile()


def _size(path: Path) -> int:
    """Return how many bytes a file has, 0 where it is none: what is named to ripgrep is followed, and was no link before."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _rest(glob: str) -> Callable[[str], bool] | None:
    """Return what of a glob ripgrep does not see to, if anything. Raises ToolFailure."""
    matches = matching(glob)
    return matches if glob and not _TYPE.fullmatch(glob) else None


def _argument(path: Path, root: Path) -> str:
    if path == root:
        return "."
    return f"./{path.relative_to(root)}" if path.is_relative_to(root) else str(path)


def _absolute(paths: Iterable[str], root: Path) -> list[str]:
    base = f"{str(root).rstrip('/')}/"
    return [base + path[2:] if path.startswith("./") else path for path in paths]


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
        path = relative(os.fsdecode(_bytes(line["path"])).removeprefix("./"), root)
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
