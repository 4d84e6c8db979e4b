"""Owns the terminal as the screen writes to it: one that has gone away stops nobody."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import IO, Any

from textual.driver import Driver


class _Going:
    """A terminal's file. What is written once the terminal is gone is for nobody: Textual's thread that writes must not end."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _for_whom_it_may_be(write: Callable[[bytes], int], written: bytes) -> int:
    try:
        return write(written)
    except OSError:
        return len(written)


def outliving(driver: type[Driver]) -> type[Driver]:
    """Return a driver of Textual's that outlives its terminal: else who draws would wait for ever, and no signal be heard."""

    class Outliving(driver):  # type: ignore[valid-type,misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            if (file := getattr(self, "_file", None)) is not None:
                self._file = _Going(file)
            if (write := getattr(self, "_write", None)) is not None:  # of the driver for a browser: bytes
                self._write = partial(_for_whom_it_may_be, write)

    return Outliving
