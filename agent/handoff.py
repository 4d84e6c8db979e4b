"""Owns the handoff note: the fields that it must have, and what jumar adds to one that lacks some."""

import re
from collections.abc import Sequence

from agent.deeds import Deeds
from agent.recap import cut

FIELDS = ("Goal", "Decisions", "Files touched", "Open work", "Commands run", "Plan")
EARLIER = "Noted earlier"
_HEADING = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]*|\*\*)(?:\d+[.)][ \t]*)?\**"
    rf"({'|'.join(field.removesuffix('s') for field in FIELDS)}|{EARLIER})s?\b[^:\n]*:?(.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_KEPT = ("Goal", "Decisions", EARLIER)  # of which no line is lost from note to note
_UNKNOWN = "(The note does not tell; see the person's words and the record.)"


def sections(note: str) -> dict[str, str]:
    """Return what stands under each of the fields that are there."""
    found = list(_HEADING.finditer(note))
    ends = [*(match.start() for match in found[1:]), len(note)]
    told: dict[str, str] = {}
    for match, end in zip(found, ends, strict=False):
        name = next(field for field in (*FIELDS, EARLIER) if field.lower().startswith(match[1].lower()))
        text = f"{match[2].strip(' *')}\n{note[match.end() : end]}".strip()
        told[name] = f"{told[name]}\n{text}".strip() if name in told else text
    return told


def lacking(note: str) -> list[str]:
    """Return the fields that a note lacks, or has nothing under."""
    told = sections(note)
    return [field for field in FIELDS if not told.get(field)]


def completed(note: str, lacks: Sequence[str], said: Sequence[str], deeds: Deeds, most: int) -> str:
    """Return the note with the fields that it lacks, filled in with what is known without the model."""
    goal = "\n".join(f"> {line}" for text in dict.fromkeys((*said[:1], *said[-1:])) for line in cut(text, most // 2).split("\n"))
    known = {
        "Goal": goal or _UNKNOWN,
        "Files touched": deeds.told_files(most),
        "Commands run": deeds.told_commands(most),
        "Plan": deeds.told_plan(most),
    }
    added = [f"## {field}\n{known.get(field, _UNKNOWN)}" for field in lacks]
    own = note if len(lacks) < len(FIELDS) else ""
    return "\n\n".join(part for part in (own, *added) if part)


def fitted(note: str, most: int) -> str:
    """Return the note in at most about so many characters: the longest fields are cut, and none is lost."""
    told = sections(note)
    if len(note) <= most or not told:
        return cut(note, most)
    room = most - sum(len(name) + 6 for name in told)
    share = room // len(told)
    for number, size in enumerate(sorted(map(len, told.values()))):
        share = room // (len(told) - number)
        if size > share:
            break
        room -= size
    return "\n\n".join(f"## {name}\n{cut(text, share)}" for name, text in told.items())


def carried(before: str, note: str, most: int) -> str:
    """Return the note with the lines of goal and decisions that the one before it had and it has not."""
    there = {_plain(line) for line in note.split("\n")}
    told = sections(before)
    lines = [line for field in _KEPT for line in told.get(field, "").split("\n") if _plain(line)]
    lost = [line for line in dict.fromkeys(lines) if _plain(line) not in there and line != _UNKNOWN]
    if not lost:
        return note
    earlier = cut("\n".join(lost), most)
    return f"{note}\n\n## {EARLIER}\nGoals and decisions of the notes before this one that it does not repeat:\n{earlier}"


def _plain(line: str) -> str:
    text = " ".join(re.findall(r"\w+", line.lower()))
    return "" if text in {"none", "n a"} or text.startswith("goals and decisions of the notes before") else text
