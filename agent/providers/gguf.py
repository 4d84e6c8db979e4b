"""Owns the head of a GGUF file: whether it is one, and what it says of its model."""

import os
import stat
import struct
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

from agent.errors import UsageError
from agent.safe import safe_line

_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a value of each type
_NUMBERS = {4: "<I", 5: "<i", 10: "<Q", 11: "<q"}
_STRING, _ARRAY = 8, 9
_MOST_KEYS = 10_000
_MOST_ELEMENTS = 2_000_000
_LONGEST_KEY = 1000
_LONGEST = 64 << 20  # bytes of one text


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of its model: its architecture, and for how many tokens it was trained, where it says so."""

    architecture: str = ""
    window: int | None = None


def head(path: Path) -> Head:
    """Read a file's head. Raises UsageError where no model can be in it; nothing else of it is looked at."""
    try:
        with BufferedReader(FileIO(path, "rb", opener=_without_waiting)) as opened:
            return _Reader(opened).head()
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder; name the GGUF file in it") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; name a GGUF file: -m local:FILE.gguf") from error
    except _Fault as fault:
        raise UsageError(f"{path} {fault}; name another one: -m local:FILE.gguf") from None
    except (struct.error, UnicodeDecodeError, OverflowError):
        raise UsageError(f"{path} is a damaged GGUF file; fetch it again") from None
    except ValueError:  # a name that no file can have
        raise UsageError(f"{str(path)!r} cannot be the name of a file; name a GGUF file: -m local:FILE.gguf") from None


def _without_waiting(path: str, flags: int) -> int:
    """Open what may be no file, such as a pipe: the wait for whoever writes into it could not be interrupted."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


class _Fault(Exception):
    """What a file is, in words that follow its name."""


class _Reader:
    """Reads values one after the other; past the end, `struct.error` says so."""

    def __init__(self, opened: BinaryIO) -> None:
        self._opened = opened

    def head(self) -> Head:
        if not stat.S_ISREG(os.fstat(self._opened.fileno()).st_mode):
            raise _Fault("is no file")
        if self._opened.read(4) != b"GGUF":
            raise _Fault("is no GGUF file")
        raw = self._opened.read(4)
        [version] = struct.unpack("<I", raw)
        if version not in {2, 3}:
            swapped = " of the other byte order" if struct.unpack(">I", raw)[0] in {2, 3} else f" of version {version}"
            raise _Fault(f"is a GGUF file{swapped}, which is not read here")
        self._number("<Q")  # of tensors
        architecture, window = "", None
        for _ in range(min(self._number("<Q"), _MOST_KEYS)):
            key, kind = self._text(_LONGEST_KEY), self._number("<I")
            if key == "general.architecture" and kind == _STRING:
                architecture = self._text(_LONGEST_KEY)
            elif architecture and key == f"{architecture}.context_length" and kind in _NUMBERS:
                window = self._number(_NUMBERS[kind])
            else:
                self._skip(kind)
            if window is not None:
                break
        if architecture in {"", "clip"}:
            raise _Fault("is a GGUF file of no language model")
        return Head(safe_line(architecture), window if window is not None and window > 0 else None)

    def _number(self, form: str) -> int:
        [number] = struct.unpack(form, self._opened.read(struct.calcsize(form)))
        return int(number)

    def _text(self, longest: int) -> str:
        size = self._number("<Q")
        raw = self._opened.read(min(size, longest))
        if len(raw) != size:
            raise struct.error
        return raw.decode("utf-8")

    def _skip(self, kind: int) -> None:
        if kind in _SCALARS:
            self._pass(_SCALARS[kind])
        elif kind == _STRING:
            self._pass(self._number("<Q"))
        elif kind == _ARRAY:
            inner, count = self._number("<I"), self._number("<Q")
            if count > _MOST_ELEMENTS:
                raise struct.error
            if inner in _SCALARS:
                self._pass(_SCALARS[inner] * count)
            elif inner == _STRING:
                for _ in range(count):
                    self._pass(self._number("<Q"))
            else:
                raise struct.error
        else:
            raise struct.error

    def _pass(self, size: int) -> None:
        if size > _LONGEST:
            raise struct.error
        self._opened.seek(size, 1)
