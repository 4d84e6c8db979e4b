"""Owns whether a part only looks, and whether what it shows is a secret."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from agent.command import expressions
from agent.command.deed import READ, Deed, Weighed
from agent.command.expressions import Looked
from agent.command.flags import Given, strict
from agent.command.parts import Part, Redirect, Word
from agent.command.programs import PROGRAMS, VERSIONED, Program
from agent.command.standing import Standing, is_device, is_socket
from agent.workspace.contract import Located, Place

_LOOKS = "it only reads"
_NUMBERS = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?[smhd]?")
_SETTINGS = re.compile(r"[-+][eux]+")
_NAMED_SETTINGS = frozenset({"pipefail", "errexit", "nounset", "xtrace"})
_DUPLICATES = re.compile(r"[12]?>&")
_OUTPUT = re.compile(r"(?:[12]?>>?|[12]?>\||&>>?|>&)")
_INPUT = re.compile(r"0?<")
_EXPRESSIONS: Mapping[str, Callable[[tuple[Word, ...]], Looked | None]] = MappingProxyType(
    {
        "find": expressions.find,
        "sed": expressions.sed,
        "test": expressions.test,
        "[": expressions.bracket,
        "printf": expressions.printf,
    }
)
_SHOWN = frozenset({"sed"})  # of those, what prints what stands in files


def looks(part: Part, standing: Standing) -> Weighed | None:
    """Weigh a part as one that only looks; None where it is not known to."""
    if not part.words or part.assigns or not part.words[0].literal:
        return None
    name, words = part.words[0].text, part.words[1:]
    if name in VERSIONED and len(words) == 1 and words[0].literal and words[0].text in VERSIONED[name]:
        return _seen(part, (), standing, sandboxed=True)
    if name == "set":
        return _seen(part, (), standing) if _is_setting(words) else None
    if name == "command":
        texts = [word.text for word in words if word.literal]
        return _seen(part, (), standing) if len(texts) == len(words) > 1 and texts[0] in {"-v", "-V"} else None
    if name in _EXPRESSIONS:
        looked = _EXPRESSIONS[name](words)
        if looked is None:
            return None
        return _seen(part, looked.paths, standing, sandboxed=looked.roams, shows=name in _SHOWN)
    program = PROGRAMS.get(name)
    if program is None:
        return None
    if program.operands == "anything":
        globs = tuple(word for word in words if word.glob)  # which say what a folder holds
        return _seen(part, globs, standing) if all(word.literal or word.glob for word in words) else None
    given = strict(words, program.allowed)
    if given is None:
        return None
    paths = _paths(name, program, given)
    if paths is None:
        return None
    return _seen(part, paths, standing, sandboxed=bool(given.flags & program.roams), shows=program.shows)


def is_secret(located: Located) -> bool:
    """Whether nobody should come to know what stands there without being asked."""
    return located.secret or (located.place is Place.HIDDEN and not is_device(located))


def read_secret(part: Part, located: Located) -> Weighed:
    """Return the part as one that reads a secret."""
    holds = "holds credentials or is none of the workspace's business" if not located.secret else "is called as secrets are"
    return Weighed(part, Deed.SECRET, f"it reads {located.shown}, which {holds}", strays=True, lost=READ.format(located.shown))


def comes_by_secret(part: Part, located: Located) -> Weighed:
    """Return the part as one that searches where a secret lies."""
    why = f"it searches where {located.shown} lies too, which is called as secrets are"
    return Weighed(part, Deed.SECRET, why, strays=True, lost=READ.format(located.shown))


def _is_setting(words: tuple[Word, ...]) -> bool:
    texts = [word.text for word in words if word.literal]
    if not texts or len(texts) != len(words):
        return False
    named = False
    for text in texts:
        if named:
            if text not in _NAMED_SETTINGS:
                return False
            named = False
        elif re.fullmatch(r"[-+][eux]*o", text):
            named = True
        elif not _SETTINGS.fullmatch(text):
            return False
    return not named


def _paths(name: str, program: Program, given: Given) -> tuple[Word, ...] | None:
    """Return the words that are paths; None where one is not as the program wants it."""
    operands = given.operands
    if program.operands == "paths":
        if name == "strings" and any(word.text.startswith("@") for word in operands):
            return None  # a file of options
        return operands + given.paths
    if program.operands == "one":
        return operands if len(operands) <= 1 and not any(word.glob for word in operands) else None
    if program.operands == "pattern" and not given.flags & program.patterns and operands:
        if name == "jq" and not expressions.is_filter(operands[0].text):
            return None
        return operands[1:] + given.paths if operands[0].literal else None
    if program.operands == "pattern":
        return operands + given.paths
    if not all(word.literal for word in operands):
        return None
    if program.operands == "numbers":
        return () if all(_NUMBERS.fullmatch(word.text) for word in operands) else None
    if program.operands == "format":
        return () if all(word.text.startswith("+") for word in operands) else None
    return () if program.operands == "words" or not operands else None


def _seen(
    part: Part, paths: tuple[Word, ...], standing: Standing, *, sandboxed: bool = False, shows: bool = False
) -> Weighed | None:
    """Weigh a part that looks at these paths, and no other but through its redirections."""
    if not standing.folders:
        return None
    inputs: list[Word] = []
    for redirect in part.redirects:
        if not is_idle(redirect):
            if not _INPUT.fullmatch(redirect.operator) or not redirect.target.literal or is_socket(redirect.target.text):
                return None
            inputs.append(redirect.target)
    here = () if standing.folders == ("",) else (Word("."),)
    for path in (*here, *paths, *inputs):
        if path.literal and path.text in {"-", "/dev/null"}:
            continue
        places = standing.names(path)
        if places is None:
            return None
        sandboxed |= path.glob
        for located in places:
            if is_secret(located) and (shows or located.place is Place.HIDDEN or path in inputs):
                return read_secret(part, located)
            if located.place in {Place.OUTSIDE, Place.HIDDEN}:
                return None
    return Weighed(part, Deed.LOOKS, _LOOKS, sandboxed=sandboxed)


def is_idle(redirect: Redirect) -> bool:
    """Whether a redirection only joins outputs, or throws one away."""
    target = redirect.target
    if not target.literal:
        return False
    if _DUPLICATES.fullmatch(redirect.operator) and target.text in {"1", "2"}:
        return True
    return bool(_OUTPUT.fullmatch(redirect.operator)) and target.text == "/dev/null"
