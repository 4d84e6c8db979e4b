"""Owns what Textual must know of a terminal's bytes, and has no public way to be told: Alt+Enter, and pastes that press keys."""

from collections.abc import Iterable
from types import SimpleNamespace

from textual import _ansi_sequences, _xterm_parser
from textual.message import Message

_BEGIN, _END = "\x1b[200~", "\x1b[201~"
_ESCAPE = "\u241b"  # what stands for an escape in a paste


class Keyboard(_xterm_parser.XTermParser):
    """Reads a terminal's bytes. Of a paste nothing is a key, whatever stands in it.

    An escape in a paste would end it for Textual: what follows would be typed, an Enter or an approval among it.
    """

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._pasting = False
        self._before = ""  # the last characters, where a paste may have begun
        self._held = ""  # characters of a paste that may be the beginning of its end

    def feed(self, data: str) -> Iterable[Message]:
        """Read what came."""
        if not data:
            return super().feed(data)
        plain = self._plain(data)
        return super().feed(plain) if plain else ()

    def _plain(self, data: str) -> str:
        told: list[str] = []
        while data:
            if self._pasting:
                data = self._held + data
                self._held = ""
                pasted, end, rest = data.partition(_END)
                if not end:
                    kept = next((size for size in range(len(_END) - 1, 0, -1) if data.endswith(_END[:size])), 0)
                    pasted, self._held = data[: len(data) - kept], data[len(data) - kept :]
                self._pasting = not end
                told += [pasted.replace("\x1b", _ESCAPE), end]
                data = rest
            else:
                before = len(self._before)
                at = (self._before + data).find(_BEGIN)
                cut = at + len(_BEGIN) - before if at >= 0 else len(data)
                self._pasting = at >= 0
                self._before = "" if self._pasting else (self._before + data)[-len(_BEGIN) + 1 :]
                told.append(data[:cut])
                data = data[cut:]
        return "".join(told)


def know_terminals() -> None:
    """Have Textual read the keyboard so. Its drivers take the parser when they are loaded, so this comes before the app."""
    name = SimpleNamespace(value="alt+enter")
    _ansi_sequences.ANSI_SEQUENCES_KEYS["\x1b\r"] = (name,)  # type: ignore[index]
    _xterm_parser.XTermParser = Keyboard  # type: ignore[misc]
