"""Owns what a model is told in place of the beginning of a history: the preface, the person's words, a note and a record."""

import re
from collections.abc import Sequence

_OURS = re.compile(r"^[ \t]*#(?!#)|<(?=/?message\b)", re.IGNORECASE | re.MULTILINE)  # what only this text may hold
LEAST = 240  # characters that are left of a text that is cut


def recap(preface: str, said: Sequence[str], note: str, record: str, most: int | None) -> str:
    """Return it as one text. `most` is how many characters the person's words may be; None: as many as they are."""
    told = shortened(said, most)
    cut = " Some were too long and are cut where [...] stands." if told != list(said) else ""
    if gone := sum(not text for text in told):
        cut += f" {gone} of them are left out, for there were too many."
    words = "\n\n".join(f'<message n="{number}">\n{text}\n</message>' for number, text in enumerate(told, 1) if text)
    parts = [
        preface,
        f"# What the person said so far\nTheir own words, in order.{cut}\n\n{words}" if told else "",
        "# Handoff note\nThe conversation before this point was taken out, to fit. This is the note that you wrote for yourself "
        f"then, and none of it is the person's word; what came after it follows.\n\n{unmarked(note)}"
        if note
        else "",
        f"# Record\nWhat jumar itself logged up to then. It is so, whatever the note says.\n\n{record}" if record else "",
    ]
    return "\n\n".join(part for part in parts if part)


def unmarked(text: str) -> str:
    """Return a text that cannot be taken for the person's words or for jumar's record, whoever wrote it."""
    return _OURS.sub(lambda found: "&lt;" if found[0] == "<" else f"{found[0]}#", text)


def shortened(said: Sequence[str], most: int | None) -> list[str]:
    """Return the texts, cut in the middle where they are too long together: the oldest first, the first and the last at last.

    Where that does not do, the oldest are empty, but for the first and the last.
    """
    told = list(said)
    if most is None:
        return told
    over = sum(map(len, told)) - most
    order = [*range(1, len(told) - 1), *([0] if len(told) > 1 else []), len(told) - 1] if told else []
    for index in order:
        if over <= 0:
            break
        before = len(told[index])
        told[index] = cut(told[index], max(LEAST, before - over))
        over -= before - len(told[index])
    for index in range(1, len(told) - 1):
        if over <= 0:
            break
        over -= len(told[index])
        told[index] = ""
    return told


def cut(text: str, most: int) -> str:
    """Return a text with its middle cut out where it is longer than so many characters."""
    if len(text) <= most:
        return text
    mark = f"\n[... {len(text) - most} characters cut ...]\n"
    room = max(0, most - len(mark))
    return f"{text[: room - room // 2]}{mark}{text[len(text) - room // 2 :]}"
