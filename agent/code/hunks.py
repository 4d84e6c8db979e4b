"""Owns making only some hunks of a change: which they are, counted as `diff` tells them, and the bytes that come of it."""

from collections.abc import Collection

from agent.code.diff import changes, hunks


def count(before: bytes, after: bytes) -> int:
    """Return how many hunks a change has."""
    return len(hunks(changes(_lines(before), _lines(after))))


def made(before: bytes, after: bytes, chosen: Collection[int]) -> bytes:
    """Return `before` with only the chosen hunks of its change to `after` made; the first is 0."""
    old, new = _lines(before), _lines(after)
    parts: list[str] = []
    at = 0
    for number, hunk in enumerate(hunks(changes(old, new))):
        for old_from, old_to, new_from, new_to in hunk if number in chosen else ():
            parts += [*old[at:old_from], *new[new_from:new_to]]
            at = old_to
    return "".join([*parts, *old[at:]]).encode("latin-1")


def _lines(content: bytes) -> list[str]:
    """Return the lines with their ends, each byte as one character: whatever is written there comes back."""
    lines = content.decode("latin-1").split("\n")
    return [*(f"{line}\n" for line in lines[:-1]), *([lines[-1]] if lines[-1] else [])]
