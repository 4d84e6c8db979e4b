"""Owns words that come in pieces: no half of a character in them, no flood, and told apart from what is no word."""

from agent.providers.flood import Flood
from agent.providers.offers import Offers
from agent.providers.sieve import Piece, Sieve
from agent.safe import mended


class Words:
    """One of an answer's two streams of text; a character that two pieces share is told with the second."""

    __slots__ = ("_flood", "_fresh", "_half", "sieve", "size")

    def __init__(self, offers: Offers, *, thinking: bool) -> None:
        self.sieve = Sieve(offers, thinking=thinking)
        self._flood = Flood()
        self._fresh: list[str] = []
        self._half = ""
        self.size = 0  # characters that came

    @property
    def over(self) -> str:
        """What there was too much of, where there was; nothing is to be taken in any more."""
        return self._flood.over

    def take(self, text: str) -> None:
        """Take in a piece."""
        self.size += len(text)
        self._fresh.append(self._flood.take(text))

    def tell(self) -> list[Piece]:
        """Return what can be told of what came since the last time."""
        if not self._fresh:
            return []
        text = self._half + "".join(self._fresh)
        self._fresh.clear()
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return self.sieve.feed(mended(text)) if text else []

    def close(self, *, structured: bool, alone: bool, beside: bool) -> list[Piece]:
        """Return what is left to be told."""
        told = self.tell()
        if rest := mended(self._half + self._flood.rest()):
            told = told + self.sieve.feed(rest)
        return told + self.sieve.close(structured=structured, alone=alone, beside=beside)
