"""Owns what the builder of the index of names is asked for."""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked for: the folder, the file of the index, and what is not looked at. `anew` says that it is damaged."""

    root: str
    index: Path
    hidden: tuple[str, ...]
    anew: bool
    nice: int

    @classmethod
    def told(cls, line: bytes) -> "Task":
        """Read it from a line of JSON."""
        root, index, hidden, anew, nice = json.loads(line)
        return cls(os.fsdecode(bytes.fromhex(root)), Path(os.fsdecode(bytes.fromhex(index))), tuple(hidden), anew, nice)

    def line(self) -> bytes:
        """Return it as a line of JSON."""
        told = [os.fsencode(self.root).hex(), os.fsencode(self.index).hex(), list(self.hidden), self.anew, self.nice]
        return json.dumps(told).encode() + b"\n"
