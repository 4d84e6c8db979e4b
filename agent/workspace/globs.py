"""Owns globs: what `*.py`, `src/**/*.{js,ts}` and `!*.min.js` match, in time that grows with the path alone."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.errors import ToolFailure

STAR = "[^/]*"
DEEP = "(?:[^/]*/)*"  # any number of folders
_LONGEST = 2000  # characters of a glob
_MOST = 500  # globs that the braces of one may stand for
_PIECE = re.compile(r"\\.|\[[!^]?\]?[^\]]*\]|.", re.DOTALL)
_ONE = r"(?:\\.|(?:\(\?!/\))?\[\^?\]?(?:\\.|[^\]\\])*\](?![*+])|[^\\\[\]().?*+^$|{}/])"  # one character, as a regular expression
_BETWEEN_STARS = re.compile(rf"(?:{re.escape(STAR)})+({_ONE}*?)(?={re.escape(STAR)})", re.DOTALL)


def matching(glob: str) -> Callable[[str], bool]:
    """Return whether a path with slashes matches, in the way of .gitignore: without a slash at any depth. Raises ToolFailure.

    A glob with `!` excludes what it matches, and all below a folder that it matches.
    """
    if not glob:
        return lambda path: True
    if len(glob) > _LONGEST:
        raise ToolFailure(f"The glob {glob[:60]!r}… is too long; at most {_LONGEST} characters are read.")
    match = re.compile(_regex(glob.removeprefix("!"), glob), re.DOTALL).fullmatch
    if glob.startswith("!"):
        return lambda path: not any(map(match, _with_folders(path)))
    return lambda path: match(path) is not None


def from_root(glob: str, root: Path) -> str:
    """Return a glob that may be absolute as one from the root. Raises ToolFailure where it leads out of it."""
    bare = glob.removeprefix("!")
    begin = glob[: len(glob) - len(bare)]
    if ".." in bare.split("/"):
        raise ToolFailure(f"The glob {glob!r} leads upwards; globs are relative to the workspace: give the folder as the path.")
    if not bare.startswith("/"):
        return glob
    whole = str(root).rstrip("/")
    for folder in (whole, escaped(whole)):
        if bare.startswith(f"{folder}/"):
            return f"{begin}/{bare.removeprefix(folder).lstrip('/')}"
    # A slash at the start means the root of the workspace as well, as in .gitignore.
    first = bare[1:].partition("/")[0]
    if first and os.path.lexists(f"/{first}") and not os.path.lexists(root / first):
        raise ToolFailure(f"The glob {glob!r} is absolute; globs are relative to the workspace: give the folder as the path.")
    return glob


def escaped(path: str) -> str:
    """Return a glob that matches this very path."""
    return re.sub(r"([*?\[\]{}\\])", r"\\\1", path)


def _with_folders(path: str) -> Iterator[str]:
    """Yield a path, and each folder above it that it names."""
    yield path
    while folder := path.rpartition("/")[0]:
        path = folder
        if path != ".." and not path.endswith("/.."):
            yield path


def linear(regex: str) -> str:
    """Return a regular expression of STAR and DEEP that matches the same, and does not try every way to share out a path.

    Of what stands between two stars, or between two `**/`, the first match is as good as any: it leaves most to the rest.
    """
    parts = regex.split(DEEP)
    if len(parts) == 1:
        return _apart(regex)
    between = [f"(?>(?:[^/]*/)*?{_apart(part)})" for part in parts[1:-1]]
    return "".join([_apart(parts[0]), *between, DEEP, _apart(parts[-1])])


def _apart(regex: str) -> str:
    return _BETWEEN_STARS.sub(lambda found: f"(?>[^/]*?{found[1]})" if found[1] else "", regex)


def _regex(glob: str, whole: str) -> str:
    if glob.endswith("/"):
        glob += "**"
    begin = "" if "/" in glob else DEEP
    globs = _without_braces(glob.removeprefix("./").removeprefix("/"), whole)
    return "|".join(linear(begin + _one_regex(one, whole)) for one in globs)


def _without_braces(glob: str, whole: str) -> list[str]:
    """Return the globs that one stands for. As alternatives inside an expression, `{a,a}{a,a}...` would be tried in every way."""
    before: list[tuple[list[str], list[str]]] = []  # of each open brace: what stands before it, and its alternatives so far
    now = [""]
    for piece in _PIECE.findall(glob):
        if piece == "{":
            before.append((now, []))
            now = [""]
        elif piece == "," and before:
            before[-1][1].extend(now)
            now = [""]
        elif piece == "}" and before:
            begins, alternatives = before.pop()
            ends = dict.fromkeys(alternatives + now)
            if len(begins) * len(ends) > _MOST:
                raise ToolFailure(f"The glob {whole!r} has too many alternatives in braces; at most {_MOST} are tried.")
            now = [begin + end for begin in begins for end in ends]
        else:
            now = [one + piece for one in now]
    if before:
        raise ToolFailure(f"The glob {whole!r} has a {{ that nothing closes.")
    return now


def _one_regex(glob: str, whole: str) -> str:
    parts: list[str] = []
    at = 0
    while at < len(glob):
        text, at = _piece(glob, at, whole)
        if text != DEEP or parts[-1:] != [DEEP]:
            parts.append(text)
    return "".join(parts)


def _piece(glob: str, at: int, whole: str) -> tuple[str, int]:
    """Return the regular expression of what stands at `at`, and where the next piece begins."""
    start = at == 0 or glob[at - 1] == "/"
    if start and glob.startswith("**/", at):
        return DEEP, at + 3
    if start and glob[at:] == "**":
        return ".+", at + 2
    match glob[at]:
        case "*":
            return STAR, at + 1
        case "?":
            return "[^/]", at + 1
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
    members = characters(glob[first:end])
    try:
        re.compile(f"[{members}]")
    except re.error:
        raise ToolFailure(f"The glob {whole!r} has a range that runs backwards.") from None
    return f"(?!/)[{'^' if negated else ''}{members}]", end + 1


def characters(members: str) -> str:
    """Return the inside of a class of characters in which nothing but ranges has a meaning to `re`, now or later."""
    return re.sub(r"([\\\[\]^&~|]|(?<=-)-)", r"\\\1", members)
