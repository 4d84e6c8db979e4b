"""Owns confining by Landlock, where no namespaces can be made: writes and reads by folder, and no sockets but local ones."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from agent.errors import ToolFailure
from agent.workspace.contract import Confinement
from agent.workspace.paths import visible
from agent.workspace.sandbox import seccomp, shim
from agent.workspace.sandbox.contract import Launch, Surroundings, Way
from agent.workspace.sandbox.manifest import Manifest
from agent.workspace.sandbox.nested import Nested

GAPS = (
    "git's own folder can be written and removed; its hooks and settings, and itself where it is moved, are put back afterwards",
    "files outside can be given other modes and times, though not other contents",
    "sockets of other programs, such as docker's, can be reached",
    "a command that may reach some hosts can reach all",
    "other processes can be seen, and what they share in /dev/shm",
    "no command can make a terminal of its own, as script and pexpect do: the person's would be open to it too",
    "where the workspace holds what is hidden, such as a home folder does, no new file can be made directly beside that",
)
_DEV = Path("/dev")  # disks, and the terminals that a person types into
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/shm")  # noqa: S108
_ONLY_READ = ("/dev/", "/dev/random", "/dev/urandom")
_MOST = 4000  # folders and files that are named to the kernel
_MOST_OF_TREE = 500  # of these, of a work tree in which some are kept back


class Landlock:
    """Confines by a program that gives up its rights before it becomes the command. `folder` is ours and private."""

    name = "landlock"

    def __init__(self, around: Surroundings, folder: Path) -> None:
        self._around = around
        self._nested = Nested(around.folders)
        self._tmp = folder / "tmp"
        self._readable: list[str] | None = None

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
        if self._readable is None and not unseen:
            self._readable = list(visible(Path("/"), (*self._around.hidden, _DEV)))[:_MOST]
        open_to = bool(confined.hosts)  # by host, there is no way without a network of its own
        # Nothing in a folder that is granted can be kept back: where something is hidden in one, what lies beside that is named.
        around = self._around
        trees = [folder for folder in around.folders if folder.resolve() == folder]
        folders = [str(self._tmp), *(name for folder in trees for name in visible(folder, around.hidden))]
        words = before(
            os.getpid(),
            write=[*_DEVICES, *(folders if confined.writes else folders[:1])],
            read=[*_ONLY_READ, *([*self._without(trees, unseen), folders[0]] if unseen else [*(self._readable or ()), *folders])],
            network=open_to,
            code=seccomp.program(sockets=open_to, marked=True),
        )
        given = {**environment, "TMPDIR": str(self._tmp), "GIT_OPTIONAL_LOCKS": "0"}
        return Launch((*words, *argv), given, (), Manifest(self._around, self._nested).check if confined.writes else lambda: "")

    def _without(self, trees: Sequence[Path], unseen: Sequence[Path]) -> Iterator[str]:
        """Yield what may be read where some files may not: the names of all in the trees, and what stands in the others."""
        hidden = self._around.hidden
        yield from islice(visible(Path("/"), (*hidden, *trees, *unseen, _DEV)), _MOST)
        for tree in trees:
            if not any(one.is_relative_to(tree) for one in hidden):
                yield f"{tree}/"
            yield from islice(visible(tree, (*hidden, *unseen)), _MOST_OF_TREE)


def before(parent: int, *, write: Sequence[str], read: Sequence[str], network: bool, code: bytes = b"") -> tuple[str, ...]:
    """Return the words that stand before a command line to have it give up all rights to files but these first.

    Of a folder that is read and ends with a slash, names alone are.
    """
    lists = [shim.SEPARATOR.join(path for path in paths if shim.SEPARATOR not in path) for paths in (write, read)]
    return (sys.executable, "-I", "-S", "-B", shim.__file__, str(parent), *lists, "1" if network else "0", code.hex())
