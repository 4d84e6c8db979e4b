"""Owns searching without any program, with the results of ripgrep."""

import os
import re
import warnings

from agent.errors import ToolFailure
from agent.workspace.contract import Found, Match
from agent.workspace.globs import matching
from agent.workspace.search import LARGEST, UTF16, Query, Stop, fault, first, found, relative, window
from agent.workspace.walk import Walk


class Plain:
    """Searches without any program."""

    def search(self, query: Query, stop: Stop) -> Found:
        """Search until done or stopped. Raises ToolFailure."""
        matches = matching(query.glob)
        regex = _compiled(query)
        walk = Walk(query.root)
        counts: dict[str, int] = {}
        sources: dict[str, str] = {}
        partial = False
        for start in query.starts:
            for absolute in [str(start)] if start.is_file() else walk.files(start):
                if stop.due:
                    partial = True
                    break
                shown = relative(absolute, query.root)
                if not matches(shown) or not query.allowed(absolute):
                    continue
                lines = _lines(absolute)
                partial |= lines is None
                if lines and (count := sum(regex.search(line) is not None for line in lines)):
                    counts[shown] = count
                    sources[shown] = absolute
        told = ((path, _around(_lines(sources[path]) or [], regex, path, query)) for path in first(counts, query.limit))
        return found(counts, told, query.limit, partial or walk.partial)


def _compiled(query: Query) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(query.pattern, re.IGNORECASE if query.ignore_case else 0)
    except re.error as error:
        raise ToolFailure(fault(f"error: {error.msg}")) from None
    except (OverflowError, RecursionError):
        raise ToolFailure(fault("error: it is too large")) from None


def _lines(path: str) -> list[str] | None:
    """Return the lines of a text file, none of a binary one, None where it could not be read."""
    try:
        with open(path, "rb") as opened:  # noqa: PTH123
            if os.fstat(opened.fileno()).st_size > LARGEST:
                return []
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


def _around(lines: list[str], regex: re.Pattern[str], path: str, query: Query) -> list[Match]:
    """Return the lines that match, up to the limit, and those beside them."""
    hits: dict[int, int] = {}
    for at, line in enumerate(lines):
        if (match := regex.search(line)) is not None:
            hits[at] = match.start()
            if len(hits) == query.limit:
                break
    beside = {near for at in hits for near in range(at - query.context, at + query.context + 1) if 0 <= near < len(lines)}
    return [Match(path, at + 1, window(lines[at], hits.get(at, 0)), at not in hits) for at in sorted(beside | hits.keys())]
