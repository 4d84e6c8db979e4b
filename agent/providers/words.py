"""Owns words that come in pieces: joined, and with no half of a character left in them."""

from agent.safe import mended


class Words:
    """Collects pieces of text; a character that two pieces share is told with the second."""

    __slots__ = ("_half", "_told", "fresh")

    def __init__(self) -> None:
        self.fresh: list[str] = []
        self._told: list[str] = []
        self._half = ""

    def __bool__(self) -> bool:
        return bool(self._told or self._half or any(self.fresh))

    def tell(self) -> str:
        """Return what came since the last time."""
        if not self.fresh:
            return ""
        text = self._half + "".join(self.fresh)
        self.fresh.clear()
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        text = mended(text)
        if text:
            self._told.append(text)
        return text

    def whole(self) -> str:
        """Return all of it."""
        self.tell()
        return "".join(self._told) + mended(self._half)
