"""Owns globs: what `*.py`, `src/**/*.{js,ts}` and `!*.min.js` match."""

import re
from collections.abc import Callable

from agent.errors import ToolFailure


def matching(glob: str) -> Callable[[str], bool]:
    """Return whether a path with slashes matches, in the way of .gitignore: without a slash at any depth. Raises ToolFailure."""
    if not glob:
        return lambda path: True
    wanted = not glob.startswith("!")
    match = re.compile(_regex(glob.removeprefix("!"), glob), re.DOTALL).fullmatch
    return lambda path: (match(path) is not None) is wanted


def _regex(glob: str, whole: str) -> str:
    if glob.endswith("/"):
        glob += "**"
    parts = [] if "/" in glob else ["(?:.*/)?"]
    glob = glob.removeprefix("./").removeprefix("/")
    depth = 0
    at = 0
    while at < len(glob):
        text, at = _piece(glob, at, depth, whole)
        depth += {"(?:": 1, ")": -1}.get(text, 0)
        parts.append(text)
    if depth:
        raise ToolFailure(f"The glob {whole!r} has a {{ that nothing closes.")
    return "".join(parts)


def _piece(glob: str, at: int, depth: int, whole: str) -> tuple[str, int]:
    """Return the regular expression of what stands at `at`, and where the next piece begins."""
    start = at == 0 or glob[at - 1] == "/"
    if start and glob.startswith("**/", at):
        return "(?:.*/)?", at + 3
    if start and glob[at:] == "**":
        return ".+", at + 2
    match glob[at]:
        case "*":
            return "[^/]*", at + 1
        case "?":
            return "[^/]", at + 1
        case "{":
            return "(?:", at + 1
        case "}" if depth:
            return ")", at + 1
        case "," if depth:
            return "|", at + 1
        case "\\" if at + 1 < len(glob):
            return re.escape(glob[at + 1]), at + 2
        case "[":
            return _class(glob, at, whole)
        case other:
            return re.escape(other), at + 1


def _class(glob: str, at: int, whole: str) -> tuple[str, int]:
    negated = glob[at + 1 : at + 2] in {"!", "^"}
    first = at + 1 + negated
    end = glob.find("]", first + 1)
    if end < 0:
        raise ToolFailure(f"The glob {whole!r} has a [ that nothing closes.")
    members = re.sub(r"([\\\[\]^&~|])", r"\\\1", glob[first:end])
    try:
        re.compile(f"[{members}]")
    except re.error:
        raise ToolFailure(f"The glob {whole!r} has a range that runs backwards.") from None
    return f"(?!/)[{'^' if negated else ''}{members}]", end + 1
