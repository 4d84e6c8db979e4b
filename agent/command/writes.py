"""Owns what the words of a part make, change and take away: which of its operands, and where these lie."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from agent.command import launchers
from agent.command.deed import CHANGED, HELD, Deed, Weighed
from agent.command.flags import names
from agent.command.looking import is_idle
from agent.command.options import take
from agent.command.parts import Part, Word
from agent.command.standing import Standing, is_device, is_scratch
from agent.workspace.contract import Located, Place
from agent.workspace.paths import is_protected

Unkept = Callable[[Located], bool]

_TAKES = names("rm unlink shred truncate gzip gunzip bzip2 bunzip2 xz unxz zstd unzstd lzma compress uncompress srm trash")
_CHANGES = names(
    "rmdir touch mkdir chmod chown chgrp chattr setfacl mkfifo mknod mktemp virtualenv venv setfattr xattr fallocate"
)
_MADE_ANEW = names("__pycache__ *.pyc *.pyo .pytest_cache .mypy_cache .ruff_cache .DS_Store")
_RECURSES = re.compile(r"-[a-zA-Z]*[rR][a-zA-Z]*|--recursive")
_VARIES = re.compile(r"[$`]|\{.*(?:,|\.\.).*\}", re.DOTALL)
_STARTS = re.compile(r"-[a-zA-Z]*[xX]|--exec(?:-batch)?")
_IGNORES_NOTHING = re.compile(r"-[a-zA-Z]*[uI.]|--(?:no-ignore|unrestricted|hidden)")
_OTHERS = re.compile(r"-[a-zA-Z]*[oi]|--(?:others|ignored|untracked|no-index|no-exclude)")
_FILLS = names("cp ln install rsync scp")
_SECOND = names("uniq xxd split")
_TO = re.compile(
    r"--(?:target-directory|directory|output|output-document|output-dir|output-directory|out|target|directory-prefix|exdir)=(.+)",
    re.DOTALL,
)
_INTO = {
    **dict.fromkeys(("cp", "mv", "ln", "install"), frozenset({"-t", "--target-directory"})),
    "curl": frozenset({"-o", "--output", "--output-dir", "-c", "--cookie-jar", "-D", "--dump-header"}),
    "wget": frozenset({"-O", "--output-document", "-P", "--directory-prefix", "-o", "--output-file"}),
    "sort": frozenset({"-o", "--output"}),
    "unzip": frozenset({"-d"}),
    "tar": frozenset({"-C", "--directory"}),
    "gcc": frozenset({"-o"}),
    "patch": frozenset({"-o", "-d"}),
    "go": frozenset({"-o"}),
    "find": frozenset({"-fprint", "-fprint0", "-fprintf", "-fls"}),
    "tree": frozenset({"-o", "--output"}),
    "pip": frozenset({"-t", "--target", "--prefix", "--root"}),
}
_OUTPUT = re.compile(r"[0-9]*>>?|[0-9]*>\||&>>?|>&|[0-9]*<>|\{\w+\}(?:>>?|<>)")
_NOWHERE = "the folder that it writes in is not known"


def written(part: Part, name: str, standing: Standing, unkept: Unkept) -> Iterator[Weighed]:
    """Yield what makes more of what a part writes than a change of files that can be undone."""
    for redirect in part.redirects if is_written(part) else ():
        if (
            _OUTPUT.fullmatch(redirect.operator)
            and not is_idle(redirect)
            and not _is_descriptor(redirect.operator, redirect.target)
        ):
            yield from _one(part, redirect.target, standing, unkept, takes=">>" not in redirect.operator)
    if not part.words:
        return
    words = part.words[1:]
    operands = _operands(words)
    into = _given(words, _INTO.get(name, frozenset()))
    for word in into:
        yield from _one(part, word, standing, unkept, takes=name in {"sort", "curl", "wget"})
    folders = name == "install" and any(re.fullmatch(r"-[a-zA-Z]*d[a-zA-Z]*|--directory", word.text) for word in words)
    if name == "rsync" and operands and any(word.text.startswith(("--del", "--remove-source")) for word in words):
        yield from _one(part, operands[-1], standing, unkept, takes=True)
    if name in _TAKES or name in _CHANGES or folders:
        deep = name == "rm" and any(_RECURSES.fullmatch(word.text) for word in words)
        for word in operands:
            if name in {"rm", "unlink"} and _is_link(word, standing):
                continue  # it is taken away itself, and not what it leads to
            if deep and not word.literal:
                yield from _untold(part, word, standing, unkept)
            yield from _one(part, word, standing, unkept, takes=name in _TAKES)
    elif name in _FILLS and not into and len(operands) > 1:
        yield from _filled(part, operands[:-1], operands[-1], standing, unkept, takes=True)
    elif name == "mv":
        yield from _moved(part, operands, into, standing, unkept)
    elif name in _SECOND and len(operands) > 1:
        yield from _one(part, operands[-1], standing, unkept, takes=True)
    else:
        yield from _peculiar(part, name, words, standing, unkept)


def is_written(part: Part) -> bool:
    """Whether a redirection of it could write a file."""
    return any(not is_idle(redirect) for redirect in part.redirects)


def _peculiar(part: Part, name: str, words: tuple[Word, ...], standing: Standing, unkept: Unkept) -> Iterator[Weighed]:
    operands = _operands(words)
    match name:
        case "tee":
            appends = any(word.text in {"-a", "--append"} for word in words)
            for word in operands:
                yield from _one(part, word, standing, unkept, takes=not appends)
        case "dd":
            for word in words:
                if word.text.startswith("of="):
                    yield from _one(part, Word(word.text[3:], word.literal, word.glob), standing, unkept, takes=True)
        case "sed" | "gsed" | "perl" | "ruby":
            for word in _edited(name, words):
                yield from _one(part, word, standing, unkept, takes=True)
        case "find" | "gfind" | "bfs":
            starts = words[: next((at for at, one in enumerate(words) if one.text[:1] in {"-", "(", "!"}), len(words))]
            takes = _sweeps(words)
            for word in (starts or (Word("."),)) if takes is not None else ():
                yield from _one(part, word, standing, unkept, takes=takes is True, below=takes is True)
        case "xargs" | "gxargs" | "fd" | "fdfind" if _takes_unnamed(name, words, standing.fed):
            yield from _one(part, Word("."), standing, unkept, takes=True, below=True)
        case "tar" | "bsdtar":
            gone = operands if any(word.text == "--remove-files" for word in words) else ()
            yield from (one for word in (*_archive(words), *gone) for one in _one(part, word, standing, unkept, takes=True))
        case "zip" | "7z":
            first = operands[1:2] if name == "7z" else operands[:1]
            gone = operands[1:] if name == "zip" and any(re.match(r"-[a-zA-Z]*m|--move", word.text) for word in words) else ()
            yield from (one for word in first for one in _one(part, word, standing, unkept, takes=False))
            yield from (one for word in gone for one in _one(part, word, standing, unkept, takes=True))
        case "git":
            yield from (one for word in _by_git(words) for one in _one(part, word, standing, unkept, takes=False))
        case _:
            return


def _one(part: Part, word: Word, standing: Standing, unkept: Unkept, *, takes: bool, below: bool = False) -> Iterator[Weighed]:
    """Weigh that a part writes what a word names."""
    path, whole = standing.meant(word)
    if not path and not whole and not word.glob:
        return  # nothing is known of it but that the sandbox confines it
    if not path and whole:
        return
    if not standing.folders and not path.startswith(("/", "~")):
        yield Weighed(part, Deed.UNREAD, _NOWHERE)
        return
    places = standing.names(word) if word.glob else standing.leads(path)
    for located in places if places is not None else standing.leads(path or "."):
        found = _place(part, located, standing, whole or word.glob, takes or below, unkept)
        if found is not None:
            yield found
            return
        if takes and located.place is Place.INSIDE and (whole or word.glob) and _is_ruined(located, unkept, below=below):
            why = f"it takes away {located.shown}, which the ledger does not keep"
            yield Weighed(part, Deed.RUINS, why, strays=True, lost=HELD.format(located.shown))
            return


def _untold(part: Part, word: Word, standing: Standing, unkept: Unkept) -> Iterator[Weighed]:
    """Weigh that folders are taken away, whichever a variable or a substitution names."""
    path, whole = standing.meant(word)
    if whole or not _VARIES.search(word.text) or word.text.rstrip("/\"'").rpartition("/")[2] in _MADE_ANEW:
        return
    if any(one.place is Place.INSIDE and unkept(one) for one in standing.leads(path or ".")):
        why = "what it takes away cannot be told, and some of what lies there the ledger does not keep"
        yield Weighed(part, Deed.RUINS, why, strays=True, lost=HELD.format(word.text))


def _is_link(word: Word, standing: Standing) -> bool:
    """Whether a word names a link in the workspace."""
    path, whole = standing.meant(word)
    folder, name = os.path.split(path)
    above = standing.leads(folder or ".") if whole and name not in {"", ".", ".."} and not is_protected(name) else ()
    return bool(above) and all(one.place is Place.INSIDE and os.path.islink(one.real / name) for one in above)  # noqa: PTH114


def _sweeps(words: tuple[Word, ...]) -> bool | None:
    """Whether a search takes away more than what programs make anew; None where it takes away nothing."""
    texts = [word.text for word in words]
    runs = {after.rpartition("/")[2] for text, after in pairwise(texts) if text in {"-exec", "-execdir", "-ok", "-okdir"}}
    if "-delete" not in texts and not runs & _TAKES:
        return None
    return not _finds_made_anew(texts)


def _finds_made_anew(texts: Sequence[str]) -> bool:
    named = [after for text, after in pairwise(texts) if text in {"-name", "-iname"}]
    return bool(named) and all(name in _MADE_ANEW for name in named)


def _takes_unnamed(name: str, words: tuple[Word, ...], fed: Part | None) -> bool:
    """Whether what is found, or piped in, is taken away though the ledger may not keep it."""
    if name in {"xargs", "gxargs"}:
        started, ignored = take(words, launchers.XARGS).rest[:1], not _lists_kept(fed)
    else:
        started = tuple(after for word, after in pairwise(words) if _STARTS.fullmatch(word.text))
        ignored = any(_IGNORES_NOTHING.match(word.text) for word in words)
    return ignored and any(word.text.rpartition("/")[2] in _TAKES for word in started)


def _lists_kept(part: Part | None) -> bool:
    """Whether a part names files alone that the ledger keeps, or that programs make anew."""
    if part is None or not part.literal:
        return False
    name, *texts = part.argv
    if name == "git":
        return texts[:1] in (["ls-files"], ["grep"], ["diff"]) and not any(_OTHERS.match(text) for text in texts[1:])
    if name == "rg":
        return not any(_IGNORES_NOTHING.match(text) for text in texts)
    return name == "find" and _finds_made_anew(texts)


def _place(part: Part, located: Located, standing: Standing, exact: bool, takes: bool, unkept: Unkept) -> Weighed | None:
    """Weigh where something is written; None where it may be without more."""
    if located.place is Place.PROTECTED and exact:
        why = f"other programs act on what {located.shown} says"
        lost = HELD.format(located.shown) if unkept(located) else ""
        return Weighed(part, Deed.LEAVES, why, strays=True, lost=lost)
    root = standing.at(".").real
    lost = (HELD if takes else CHANGED).format(located.shown)
    if located.place is Place.OUTSIDE and not is_scratch(located, root):
        holds = ", which the workspace is part of" if located.real == root or located.real in root.parents else ""
        return Weighed(part, Deed.LEAVES, f"it writes to {located.shown}, outside the workspace{holds}", strays=True, lost=lost)
    if located.place is Place.HIDDEN and not is_device(located):
        return Weighed(part, Deed.LEAVES, f"it writes to {located.shown}, which is never touched", strays=True, lost=lost)
    return None


def _is_ruined(located: Located, unkept: Unkept, *, below: bool) -> bool:
    if not unkept(located):
        return False
    # What an ignored folder holds is not lost by a search that deletes some of it, as far as anybody can tell: it asks.
    return below or os.path.lexists(located.real)


def _filled(
    part: Part, sources: tuple[Word, ...], target: Word, standing: Standing, unkept: Unkept, *, takes: bool
) -> Iterator[Weighed]:
    """Weigh a copy: where the target is a folder, what it gets there is written over."""
    path, whole = standing.meant(target)
    folder = whole and any(os.path.isdir(located.real) for located in standing.leads(path))  # noqa: PTH112
    if not folder:
        yield from _one(part, target, standing, unkept, takes=takes)
        return
    yield from _one(part, target, standing, unkept, takes=False)
    for source in sources:
        if source.literal:
            name = source.text.rstrip("/").rpartition("/")[2]
            yield from _one(part, Word(f"{path}/{name}"), standing, unkept, takes=takes)


def _moved(
    part: Part, operands: tuple[Word, ...], into: tuple[Word, ...], standing: Standing, unkept: Unkept
) -> Iterator[Weighed]:
    target = into[0] if into else operands[-1] if len(operands) > 1 else None
    sources = operands if into else operands[:-1]
    path = standing.meant(target)[0] if target is not None else ""
    gone = path.startswith(("/", "~"))  # out of the workspace, so that it is not there any more
    for word in sources:
        yield from _one(part, word, standing, unkept, takes=gone)
    if target is not None and not into:
        yield from _filled(part, sources, target, standing, unkept, takes=True)


def _operands(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return the words that are no flags: a value of one among them does no harm, it lies inside."""
    end = next((at for at, word in enumerate(words) if word.text == "--"), len(words))
    return tuple(word for word in words[:end] if not word.text.startswith("-") or word.text == "-") + words[end + 1 :]


def _given(words: tuple[Word, ...], flags: frozenset[str]) -> tuple[Word, ...]:
    """Return the values of flags that say where something goes."""
    found: list[Word] = []
    for at, word in enumerate(words):
        if word.text in flags and at + 1 < len(words):
            found.append(words[at + 1])
        elif flags and (glued := _TO.match(word.text)):
            found.append(Word(glued[1], word.literal, word.glob))
        elif flags and len(word.text) > 2 and word.text[:2] in flags:
            found.append(Word(word.text[2:], word.literal, word.glob))
    return tuple(found)


def _edited(name: str, words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return the files that an editor of streams changes in place."""
    letters = r"-(?:[nErsuz]*i|-in-place)" if "sed" in name else r"-[a-zA-Z0-9]*i"
    if not any(re.match(letters, word.text) for word in words):
        return ()
    operands: list[Word] = []
    scripted, skips = False, False
    for word in words:
        if skips:
            skips = False
        elif re.fullmatch(r"-[a-zA-Z0]*[ef]|--(?:expression|file)", word.text):
            scripted = skips = True
        elif word.text.startswith(("--expression=", "--file=")):
            scripted = True
        elif not word.text.startswith("-"):
            operands.append(word)
    return tuple(operands if scripted else operands[1:])


def _archive(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return the archive that tar writes."""
    if not words:
        return ()
    mode = words[0].text.removeprefix("-")
    creates = re.match(r"[a-zA-Z]*[cru]", mode) or any(
        word.text in {"--create", "--append", "--update", "-c", "-r", "-u"} for word in words
    )
    if not creates:
        return ()
    at = next((at for at, word in enumerate(words) if re.fullmatch(r"-?[a-zA-Z]*f", word.text) or word.text == "--file"), None)
    glued = tuple(Word(word.text[7:], word.literal) for word in words if word.text.startswith("--file="))
    return (words[at + 1 : at + 2] if at is not None else ()) + glued


def _by_git(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return what git writes besides its own state."""
    operands = _operands(words)
    texts = [word.text for word in operands]
    # `-o` is not of all its commands what it is of these.
    flags = frozenset({"--output", "--output-directory"}) | ({"-o"} if {"archive", "format-patch"} & set(texts) else frozenset())
    into = _given(words, flags)
    if texts[:2] in (["worktree", "add"], ["bundle", "create"]):
        return operands[2:3] + into
    if texts[:1] == ["clone"]:
        return operands[2:3] + into
    return (operands[1:2] if texts[:1] == ["init"] else ()) + into


def _is_descriptor(operator: str, target: Word) -> bool:
    return operator.endswith("&") and bool(re.fullmatch(r"[0-9]+-?|-", target.text))
