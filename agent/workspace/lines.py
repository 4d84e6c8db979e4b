"""Owns the lines of a text file, and which of them match a regular expression of Python's.

Run by itself it is a program: `re` lets nothing else of its process run while it matches, and only a process can be ended
in the midst of a match. It imports nothing of ours, so that it starts at once and needs no path to us.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from typing import Any

LARGEST = 64 << 20  # bytes of a file that is searched
UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_LONGEST = 400  # characters of a line that are told
_BEFORE = 100  # of them before the match
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]|.", re.DOTALL)
_IN_CLASS = re.compile(r"\\.|\[:\^?[a-z]+:\]|&&|--|~~|.", re.DOTALL)
_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}


class Unknown(Exception):
    """Something in a pattern that ripgrep knows, and that would silently mean something else here."""


def window(text: str, start: int) -> str:
    """Return a line, or of a long one what stands around the match."""
    if len(text) <= _LONGEST:
        return text
    begin = max(0, min(start - _BEFORE, len(text) - _LONGEST))
    end = begin + _LONGEST
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"


def compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """Compile a pattern. Raises Unknown and what `re` raises."""
    re.compile(pattern)  # what is wrong shows at once, before a look at each class
    pieces = []
    at = 0
    for piece in _PIECE.findall(pattern):
        at += len(piece)
        pieces.append(_class(piece, pattern[at:]) if piece.startswith("[") and len(piece) > 1 else piece)
    return re.compile("".join(pieces), re.IGNORECASE if ignore_case else 0)


def _class(whole: str, rest: str) -> str:
    """Return a class of characters as `re` takes it: with ranges for [:alpha:], and a [ that is meant literally escaped."""
    begin = re.match(r"\[\^?\]?", whole)
    first = begin.end() if begin else 1
    members = []
    for member in _IN_CLASS.findall(whole[first:-1]):
        if member in {"&&", "--", "~~"}:
            raise Unknown(f"{member} of two classes is not known here")
        if member.startswith("[:"):
            if member[2:-2] not in _POSIX:
                raise Unknown(f"the class {member} is not known here")
            members.append(_POSIX[member[2:-2]])
        else:
            members.append(rf"\{member}" if member == "[" else member)
    # With the end of an outer class to come, this is a class in a class; ripgrep takes it literally as well where none comes.
    if r"\[" in members[:-1] and "[" in whole[first:-2].replace(r"\[", "") and re.match(r"(?:\\.|[^\[\]\\])*\]", rest):
        raise Unknown("a class inside a class is not known here")
    return f"{whole[:first]}{''.join(members)}]"


def _lines(path: bytes) -> list[str] | None:
    """Return the lines of a text file, none of a binary one, None where it could not be read or is too large for that."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as opened:
            if os.fstat(opened.fileno()).st_size > LARGEST:
                return None
            raw = opened.read()
    except OSError:
        return None
    if encoding := UTF16.get(raw[:2]):
        text = raw[2:].decode(encoding, errors="replace")
    elif b"\0" in raw:
        return []
    else:
        text = raw.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _around(lines: list[str], regex: re.Pattern[str], limit: int, context: int) -> Iterator[tuple[int, str, bool]]:
    """Yield number and text of the lines that match, up to the limit, and of those beside them, which the last part says."""
    hits: dict[int, int] = {}
    for at, line in enumerate(lines):
        if (match := regex.search(line)) is not None:
            hits[at] = match.start()
            if len(hits) == limit:
                break
    beside = {near for at in hits for near in range(at - context, at + context + 1) if 0 <= near < len(lines)}
    for at in sorted(beside | hits.keys()):
        yield at + 1, window(lines[at], hits.get(at, 0)), at not in hits


def _answers(asked: dict[str, Any]) -> Iterator[Any]:
    """Yield what is wrong with the pattern; else, by file, its count (None: it was not read), then its lines to the limit."""
    try:
        regex = compiled(asked["pattern"], asked["ignore_case"])
    except (Unknown, re.error) as error:
        yield {"fault": error.msg if isinstance(error, re.error) else str(error)}
        return
    except (OverflowError, RecursionError):
        yield {"fault": "it is too large"}
        return
    left = asked["limit"]
    for number, path in enumerate(asked["paths"]):
        lines = _lines(path.encode("latin-1"))
        count = None if lines is None else sum(regex.search(line) is not None for line in lines)
        if count == 0:
            continue
        yield [number, count]
        if lines and count and left > 0:
            yield from ([number, *line] for line in _around(lines, regex, asked["limit"], asked["context"]))
            left -= count


def main() -> None:
    """Answer what is asked on standard input, a line each; end soon after the time is up even if nobody is there to end us."""
    asked = json.load(sys.stdin)
    signal.alarm(int(asked["seconds"]) + 2)
    for answer in _answers(asked):
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
