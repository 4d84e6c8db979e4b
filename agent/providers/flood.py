"""Owns noticing that a model's words have run into a loop: endless white space, or the same few words for ever."""

import re

_SHOWN = 200  # white-space characters in a row that are told before it is seen what comes after them
_BLANK = 4000  # white-space characters in a row that nobody means
_WINDOW = 16_384  # characters that are looked at together
_PERIOD = 200  # characters that come again and again, at most
_RUNS = re.compile(r"\s+|\S+")
_BLANK_ARGUMENTS = re.compile(r"[nrt]?(?:\s|\\[nrt])+\\?")
_ARGUMENTS_WINDOW = 4096


class Flood:
    """Watches words go by. It cuts at the same character wherever the pieces were cut."""

    __slots__ = ("_blank", "_held", "_size", "_window", "over")

    def __init__(self) -> None:
        self.over = ""  # what there was too much of; the rest is passed over
        self._blank = 0  # white-space characters that came last
        self._held: list[str] = []  # of them, those that were not passed on
        self._window: list[str] = []
        self._size = 0

    def take(self, text: str) -> str:
        """Return what of a piece is passed on."""
        if self._size + len(text) >= _WINDOW:
            text = self._look(text)
        else:
            self._window.append(text)
            self._size += len(text)
        if self._blank + len(text) >= _SHOWN:
            return self._sparing(text)
        if text[-1:].isspace():
            kept = len(text.rstrip())
            self._blank = len(text) - kept if kept else self._blank + len(text)
        else:
            self._blank = 0
        return text

    def rest(self) -> str:
        """Return the white space that was held, where the words ended with it."""
        return "" if self.over else "".join(self._held)

    def _sparing(self, text: str) -> str:
        told: list[str] = []
        for run in _RUNS.findall(text):
            if not run[0].isspace():
                told += self._held
                told.append(run)
                self._held.clear()
                self._blank = 0
                continue
            room = max(0, _SHOWN - self._blank)
            told.append(run[:room])
            self._held.append(run[room:])
            self._blank += len(run)
            if self._blank > _BLANK:
                self.over = "endless white space"
                break
        return "".join(told)

    def _look(self, text: str) -> str:
        """Look at each window that the piece fills; return the piece to the end of the one that holds nothing new."""
        place = 0
        while self._size + len(text) - place >= _WINDOW:
            end = place + _WINDOW - self._size
            self._window.append(text[place:end])
            if _repeats("".join(self._window)):
                self.over = "the same words again and again"
                return text[:end]
            self._window.clear()
            self._size = 0
            place = end
        self._window.append(text[place:])
        self._size += len(text) - place
        return text


class ArgumentsFlood:
    """Watches a call's arguments: a window of nothing but white space, written out or escaped, is meant by nobody."""

    __slots__ = ("_size", "_window", "over")

    def __init__(self) -> None:
        self.over = False
        self._window: list[str] = []
        self._size = 0

    def take(self, text: str) -> str:
        """Return what of a piece is passed on."""
        place = 0
        while self._size + len(text) - place >= _ARGUMENTS_WINDOW:
            end = place + _ARGUMENTS_WINDOW - self._size
            self._window.append(text[place:end])
            if _BLANK_ARGUMENTS.fullmatch("".join(self._window)):
                self.over = True
                return text[:end]
            self._window.clear()
            self._size = 0
            place = end
        self._window.append(text[place:] if place else text)
        self._size += len(text) - place
        return text


def _repeats(text: str) -> bool:
    """Whether a text is one short piece of itself, over and over."""
    period = text.find(text[: _PERIOD * 4], 1, _PERIOD * 5)
    return period > 0 and text[period:] == text[:-period]
