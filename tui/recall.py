"""Owns going back through what the person said before, from the prompt box."""

from collections.abc import Iterable


class Recall:
    """What was said, oldest first, and where in it the person is. What they had begun to write is kept meanwhile."""

    def __init__(self, said: Iterable[str]) -> None:
        self._said = list(said)
        self._at = len(self._said)
        self._begun = ""

    def add(self, text: str) -> None:
        """Remember what was said now; go back to the end."""
        if text in self._said:
            self._said.remove(text)
        self._said.append(text)
        self.leave()

    def leave(self) -> None:
        """Go back to the end."""
        self._at = len(self._said)

    def earlier(self, text: str) -> str | None:
        """Return what was said before; None where there is nothing. `text` stands in the box now."""
        if self._at == 0:
            return None
        if self._at == len(self._said):
            self._begun = text
        self._at -= 1
        return self._said[self._at]

    def later(self) -> str | None:
        """Return what was said after, at last what had been begun; None where that is in the box already."""
        if self._at == len(self._said):
            return None
        self._at += 1
        return self._begun if self._at == len(self._said) else self._said[self._at]

    def found(self, sought: str, most: int) -> list[str]:
        """Return what was said that has all these words in it, the newest first."""
        wanted = sought.lower().split()
        found: list[str] = []
        for text in reversed(self._said):
            lower = text.lower()
            if all(word in lower for word in wanted):
                found.append(text)
                if len(found) == most:
                    break
        return found
