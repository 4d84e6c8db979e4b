"""Owns the guard: a tiny program that ends our commands when we are ended without a chance to do so."""

import contextlib
import os
import subprocess
from pathlib import Path

# Reads '+GROUP' and '-GROUP'; when the pipe ends, so have we. The limit that marks our commands finds those that left
# their group, and those that started while we ended; where there is no /proc, the groups alone must do.
_SCRIPT = r"""
trap '' HUP INT TERM QUIT
groups=' '
while read -r line; do
  group=${line#?}
  case $line in
    +*) groups="$groups$group " ;;
    -*) case $groups in *" $group "*) groups="${groups%%" $group "*} ${groups#*" $group "}" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
for round in 1 2 3 4 5 6 7 8; do
  files=$(grep -ls "^Max file locks  *$1[0-9]* " /proc/[0-9]*/limits)
  [ -n "$files" ] || exit
  for file in $files; do
    number=${file#/proc/}
    kill -s KILL -- "${number%/limits}"
  done
done
"""
_SHELLS = (Path("/bin/sh"), Path("/usr/bin/sh"))


class Guard:
    """Holds the one writing end of the guard's pipe. `mark` is how the limits of our commands begin."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._groups: set[int] = set()
        self._program: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    @property
    def pid(self) -> int:
        """The guard's own number, 0 before it runs."""
        return self._program.pid if self._program is not None else 0

    def stand(self) -> None:
        """Be there before the first command is: we may be ended while it starts."""
        if self._program is None:
            self._start()

    def add(self, group: int) -> None:
        """Have a group ended with us."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """Forget a group that has ended."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guard without a shot."""
        if self._program is not None:
            self._program.kill()
            self._program.wait()
            os.close(self._pipe)
            self._program = None

    def _start(self) -> None:
        shell = next((path for path in _SHELLS if path.exists()), None)
        if shell is None:
            return
        reading, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            self._program = subprocess.Popen(
                [shell, "-c", _SCRIPT, "guard", self._mark],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": "/usr/bin:/bin"},
                start_new_session=True,
            )
        finally:
            os.close(reading)
        self._tell("".join(f"+{group}\n" for group in self._groups))

    def _tell(self, words: str) -> None:
        if self._program is None:
            return
        try:
            # A guard that was stopped reads nothing: better unguarded than stuck behind a full pipe.
            with contextlib.suppress(BlockingIOError):
                os.write(self._pipe, words.encode())
        except BrokenPipeError:
            # Somebody ended the guard: another takes its place.
            self.close()
            self._start()
