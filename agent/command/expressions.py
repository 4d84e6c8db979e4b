"""Owns the small languages of programs that look: find, sed, test, printf and jq, as far as nothing in them runs or writes."""

import re
from dataclasses import dataclass

from agent.command.flags import Allowed, names, strict
from agent.command.parts import Word


@dataclass(frozen=True, slots=True)
class Looked:
    """What such a program looks at. `roams` says that it follows links."""

    paths: tuple[Word, ...] = ()
    roams: bool = False


_FIND = dict.fromkeys(
    (
        *("-depth", "-d", "-empty", "-not", "-and", "-or", "-o", "-a", "!", "(", ")", ",", "-print", "-print0", "-ls", "-prune"),
        *("-quit", "-true", "-false", "-executable", "-readable", "-writable", "-xdev", "-mount", "-noleaf", "-nouser"),
        *("-nogroup", "-daystart", "-nowarn", "-warn", "-follow"),
    ),
    0,
) | dict.fromkeys(
    (
        *("-name", "-iname", "-path", "-ipath", "-wholename", "-iwholename", "-regex", "-iregex", "-regextype", "-type"),
        *("-xtype", "-size", "-mtime", "-mmin", "-ctime", "-cmin", "-atime", "-amin", "-newermt", "-maxdepth", "-mindepth"),
        *("-user", "-group", "-perm", "-links", "-inum", "-printf", "-lname", "-ilname", "-newer", "-samefile"),
    ),
    1,
)
_FIND_PATHS = frozenset({"-newer", "-samefile"})


def find(words: tuple[Word, ...]) -> Looked | None:
    """Read the arguments of find; None where they are not all known to look only."""
    if not all(word.literal for word in words):
        return None
    at, roams, paths = 0, False, list[Word]()
    while at < len(words) and words[at].text in {"-H", "-L", "-P"}:
        roams |= words[at].text != "-P"
        at += 1
    while at < len(words) and not re.match(r"[-(!,)]", words[at].text):
        paths.append(words[at])
        at += 1
    while at < len(words):
        test = words[at].text
        count = _FIND.get(test)
        if count is None or at + count >= len(words):
            return None
        roams |= test == "-follow"
        paths += words[at + 1 : at + 1 + count] if test in _FIND_PATHS else ()
        at += 1 + count
    return Looked(tuple(paths), roams)


_SED = Allowed("nErsuze:", "quiet silent regexp-extended separate unbuffered null-data expression: posix")
_RE = r"(?:[^\\\n\[/]|\\[^c\n]|\[\^?\]?[^\]\n/\\\[]*\])*"
_ADDRESS = rf"(?:[0-9]+(?:~[0-9]+)?|\$|/{_RE}/I?)"
_ADDRESSES = rf"(?:{_ADDRESS}(?:\s*,\s*(?:{_ADDRESS}|[+~][0-9]+))?\s*(?:!\s*)?)?"
_SUBSTITUTE = "|".join(
    rf"s{mark}(?:[^\\\n\[{mark}]|\\[^c\n]|\[\^?\]?[^\]\n{mark}\\\[]*\])*{mark}(?:[^\\\n{mark}]|\\[^c\n])*{mark}[gpiI0-9]*"
    for mark in ("/", "\\|", "#", ",", "@", ":", "%", "!")
)
_SED_COMMAND = re.compile(
    rf"[\s;]*{_ADDRESSES}(?:(?P<open>\{{)|(?P<close>\}})|[pPdDnNhHgGxlF=]|[qQ]\s*[0-9]*|{_SUBSTITUTE})[ \t]*"
)


def sed(words: tuple[Word, ...]) -> Looked | None:
    """Read the arguments of sed; None where its script, or anything else, may do more than print."""
    given = strict(words, _SED)
    if given is None:
        return None
    scripts = [value.text for name, value in given.values if name in {"e", "expression"}]
    operands = given.operands
    if not scripts:
        if not operands or not operands[0].literal:
            return None
        scripts, operands = [operands[0].text], operands[1:]
    return Looked(operands) if all(_prints(script) for script in scripts) else None


def _prints(script: str) -> bool:
    at, deep = 0, 0
    while at < len(script):
        if not script[at:].strip(" \t\n;"):
            break
        found = _SED_COMMAND.match(script, at)
        if found is None or found.end() == at:
            return False
        deep += bool(found["open"]) - bool(found["close"])
        at = found.end()
        ends = bool(found["open"]) or script[at : at + 1] in {"", ";", "\n", "}"}
        if not ends or deep < 0:
            return False
    return deep == 0


_UNARY_FILE = names("-e -f -d -r -w -x -s -L -h -b -c -p -S -g -u -k -O -G -N -a")
_UNARY = names("-z -n -t")
_NUMERIC = names("-eq -ne -lt -gt -le -ge")
_BINARY = names("= == != < >")
_BINARY_FILE = names("-nt -ot -ef")


def test(words: tuple[Word, ...]) -> Looked | None:
    """Read the arguments of test, one test of them; None where bash might evaluate one of its words."""
    if not all(word.literal for word in words):
        return None
    while words and words[0].text == "!":
        words = words[1:]
    texts = [word.text for word in words]
    if len(texts) <= 1:
        return Looked()
    if len(texts) == 2:
        return Looked(words[1:]) if texts[0] in _UNARY_FILE else Looked() if texts[0] in _UNARY else None
    if len(texts) != 3:
        return None
    if texts[1] in _BINARY:
        return Looked()
    if texts[1] in _BINARY_FILE:
        return Looked((words[0], words[2]))
    numbers = texts[1] in _NUMERIC and all(re.fullmatch(r"-?[0-9]+", text) for text in (texts[0], texts[2]))
    return Looked() if numbers else None


def bracket(words: tuple[Word, ...]) -> Looked | None:
    """Read the arguments of `[`."""
    return test(words[:-1]) if words and words[-1].text == "]" else None


_FORMAT = re.compile(r"(?:[^%]|%%|%[-+ 0#']*[0-9]*(?:\.[0-9]+)?[sdiouxXeEfFgGcbq])*", re.DOTALL)


def printf(words: tuple[Word, ...]) -> Looked | None:
    """Read the arguments of printf; None where it could set a variable."""
    if words and words[0].text == "--":
        words = words[1:]
    if not words or not all(word.literal for word in words) or words[0].text.startswith("-"):
        return None
    return Looked() if _FORMAT.fullmatch(words[0].text) else None


_ELSEWHERE = re.compile(r"\b(?:import|include|modulemeta|input_filename|env|halt_error|get_search_list)\b|\$ENV|\$__")


def is_filter(text: str) -> bool:
    """Whether a filter of jq reads nothing but what is named beside it."""
    return not _ELSEWHERE.search(text)
