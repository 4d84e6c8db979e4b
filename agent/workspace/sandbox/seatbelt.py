"""Owns confining on macOS by sandbox-exec. It was written without a Mac at hand: it is only relied on where a trial run holds."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from agent.errors import ToolFailure
from agent.workspace.contract import Confinement
from agent.workspace.paths import PROTECTED
from agent.workspace.sandbox.contract import Launch, Surroundings, Way
from agent.workspace.sandbox.manifest import Manifest, repository_at
from agent.workspace.sandbox.nested import Nested

PROGRAM = Path("/usr/bin/sandbox-exec")
GAPS = ("a command that may reach some hosts can reach all", "other processes can be seen")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/tty", "/dev/dtracehelper")


class Seatbelt:
    """Confines by a profile in the kernel's own language. `folder` is ours and private."""

    name = "seatbelt"

    def __init__(self, around: Surroundings, folder: Path) -> None:
        self._around = around
        self._nested = Nested(around.folders)
        self._tmp = folder / "tmp"

    def launch(
        self,
        argv: Sequence[str],
        confined: Confinement,
        environment: Mapping[str, str],
        way: Way | None = None,
        unseen: Sequence[Path] = (),
    ) -> Launch:
        """Return how the command line is started. Raises ToolFailure where it cannot be."""
        try:
            self._tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ToolFailure(f"The command was not started: its TMPDIR cannot be made ({error.strerror}).") from error
        around = replace(self._around, hidden=(*self._around.hidden, *unseen))
        text = "\n".join(profile(around, confined, Path(os.path.realpath(self._tmp))))
        given = {**environment, "TMPDIR": str(self._tmp), "GIT_OPTIONAL_LOCKS": "0"}
        check = Manifest(self._around, self._nested).check if confined.writes else lambda: ""
        return Launch((str(PROGRAM), "-p", text, *argv), given, (), check)


def profile(around: Surroundings, confined: Confinement, tmp: Path) -> Iterator[str]:
    """Yield the lines of a profile. What stands later wins."""
    yield from ("(version 1)", "(allow default)", "(deny file-write*)")
    yield _of("allow", "file-write*", ["subpath"], [tmp])
    yield _of("allow", "file-write* file-ioctl", ["literal"], [Path(device) for device in _DEVICES])
    if confined.writes:
        yield _of("allow", "file-write*", ["subpath"], around.folders)
        names = "|".join(re.escape(name) for name in sorted(PROTECTED - {".git"}))
        for folder in around.folders:
            # By name, so that what is not there yet cannot be made either. Case is no matter on most Macs.
            yield f'(deny file-write* (regex #"(?i)^{_quoted(re.escape(str(folder)))}/({_quoted(names)})(/|$)"))'
            yield from _git(folder, confined)
    if not confined.hosts:
        yield "(deny network*)"
    for path in around.hidden:
        hides = f'(subpath "{_quoted(path)}")'
        if tmp.is_relative_to(path):
            hides = f'(require-all {hides} (require-not (subpath "{_quoted(tmp)}")))'
        yield f"(deny file-read* file-write* {hides})"
    yield "(deny process-info* (target others))"
    yield "(deny signal (target others))"


def _git(folder: Path, confined: Confinement) -> Iterator[str]:
    own = folder / ".git"
    place = repository_at(folder)
    if place is None or not confined.git:
        yield _of("deny", "file-write*", ["subpath", "literal"], [own])
        return
    yield _of("allow", "file-write*", ["subpath"], [place.common, place.own])
    for one in dict.fromkeys((place.common, place.own)):
        led = r"hooks|config|config\.worktree|commondir|info/attributes|info/grafts|objects/info/alternates"
        led = rf"{led}|modules/[^/]*/(hooks|config)"
        yield f'(deny file-write* (regex #"(?i)^{_quoted(re.escape(str(one)))}/({led})(/|$)"))'
    yield _of("deny", "file-write-unlink", ["literal"], [own])


def _of(verdict: str, operations: str, kinds: Sequence[str], paths: Sequence[Path]) -> str:
    filters = [f'({kind} "{_quoted(path)}")' for path in paths for kind in kinds]
    return f"({verdict} {operations} {' '.join(filters)})" if filters else f"; nothing to {verdict}"


def _quoted(text: object) -> str:
    return str(text).replace("\\", "\\\\").replace('"', '\\"')
