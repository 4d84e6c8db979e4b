"""Owns weighing a command, part by part: the one door for policy and rules."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from agent.command.deed import Command, Deed, Locate, Weighed
from agent.command.flags import names
from agent.command.git import git
from agent.command.looking import comes_by_secret, is_secret, looks, read_secret
from agent.command.parts import Part, Script
from agent.command.reach import left, program, reached
from agent.command.roaming import passed
from agent.command.script import read
from agent.command.standing import UNSURE, Standing
from agent.command.steering import steered
from agent.command.wrappers import inner
from agent.command.writes import is_written, written
from agent.workspace.contract import Located, Place
from agent.workspace.secrets import are_of_secret

__all__ = ["Command", "Deed", "Locate", "Weighed", "joints", "weigh"]

_MOST = 64  # parts that are weighed; a command that has more is not relied on
_JOINTS = frozenset({"&&", "||", "|", ";"})
_LONGEST = 1024
_VALUE, _READS = re.compile(r"[a-z]+=|@"), re.compile(r"[0-9]*<>?")
_GIVEN = re.compile(r"\bfor\s+\w+\s+in\s+([^;\n]+)|(?:^|[\s;&|(])[A-Za-z_]\w*=([^\s;&|()]+)")
_MADE = re.compile(r"(?:^|[\s;&|(])([A-Za-z_]\w*)=\"?\$\(mktemp\b[^()`$]*\)")
# They do not show, or keep, what stands in the files that they are given.
_SHOWS_NOTHING = names(
    "rm rmdir touch chmod chown chgrp mkdir ls stat test [ [[ echo printf find which type kill sleep true false export unset "
    "declare local readonly set basename dirname realpath readlink git exit return break continue shift wait jobs du df"
)


def weigh(text: str, locate: Locate, unkept: Callable[[Located], bool]) -> Command:
    """Read and weigh a command. `unkept` says of a place that the ledger does not keep what lies there. Never fails."""
    script = read(text)
    standing = Standing(locate, temporary=_temporary(text) if "mktemp" in text and not script.fault else frozenset())
    between = joints(script)
    weighed: list[Weighed] = []
    for at, part in enumerate(script.parts):
        here = standing.folders
        standing.fed = script.parts[at - 1] if at and between[at] == "|" else None
        ones = [one for each in (part, *inner(part)) for one in _weighed(each, standing, unkept, between[at], between[at + 1])]
        weighed += ones if here == ("",) else [replace(one, folders=here) for one in ones]
        standing.passes(between[at + 1])
        if len(weighed) > _MOST and at + 1 < len(script.parts):
            weighed += (Weighed(one, Deed.UNREAD, "it is one part too many") for one in script.parts[at + 1 :])
            break
    weighed += tuple(_handed_on(text, weighed, standing)) if "$" in text else ()
    if script.fault or not script.plain:
        weighed = [_unsure(one) if one.deed is Deed.LOOKS else one for one in weighed]
    return Command(text, tuple(weighed), script.fault, script.plain, str(standing.at(".").real))


def _handed_on(text: str, weighed: list[Weighed], standing: Standing) -> Iterator[Weighed]:
    """Yield the parts that may show a secret by a variable: what a loop goes over and what is set may be what they get."""
    words = (word.strip("\"'") for found in _GIVEN.finditer(text) for word in (found[1] or found[2]).split())
    for word in words:
        if not word or len(word) > _LONGEST or not are_of_secret(tuple(PurePosixPath(word.lower()).parts[-2:])):
            continue
        for located in standing.leads(word):
            shows = (one.part for one in weighed if one.part.words and one.part.words[0].text not in _SHOWS_NOTHING)
            if is_secret(located):
                yield from (read_secret(part, located) for part in shows if any("$" in word.text for word in part.words[1:]))
                return


def _temporary(text: str) -> frozenset[str]:
    """Return the variables that are set once, to what `mktemp` makes."""
    return frozenset(name for name in _MADE.findall(text)[:_MOST] if len(re.findall(rf"\b{name}\b(?:\+?=|\s+in\s)", text)) == 1)


def _unsure(one: Weighed) -> Weighed:
    return replace(one, deed=Deed.WORKS, why=f"it runs {one.part.words[0].text}, but not by itself", sandboxed=False)


def joints(script: Script) -> list[str]:
    """Return what stands before each part, and behind the last one; where that is not known, all are unsure."""
    unsure = [UNSURE] * (len(script.parts) + 1)
    if not script.plain:
        return unsure
    found: list[str] = []
    end = 0
    for part in script.parts:
        start = script.text.find(part.source, end)
        if start < 0:
            return unsure
        between = script.text[end:start]
        if "#" in between:
            return unsure
        bare = between.strip()
        found.append(bare if bare in _JOINTS else ";" if not bare else UNSURE)
        end = start + len(part.source)
    return [*found, ";"]


def _weighed(part: Part, standing: Standing, unkept: Callable[[Located], bool], before: str, after: str) -> list[Weighed]:
    if not part.words:
        if name := steered(part):
            return [Weighed(part, Deed.UNREAD, f"it sets {name}, which steers programs")]
        found = _worst((*written(part, "", standing, unkept), *_inputs(part, standing)))
        return found or [Weighed(part, Deed.WORKS, "it sets a variable")]
    if not part.words[0].literal or not part.words[0].text:
        return [Weighed(part, Deed.UNREAD, "which program it starts cannot be told")]
    if name := steered(part):
        return [Weighed(part, Deed.UNREAD, f"it sets {name}, which steers programs")]
    name = part.words[0].text
    if name in {"cd", "pushd", "popd"} and not part.assigns:
        return _moved(part, standing, unkept, before, after)
    if name == "git":
        found = list(git(part, standing, lambda: unkept(standing.at("."))))
        if found[0].deed is Deed.LOOKS:
            return found
        return _worst((*found, *written(part, name, standing, unkept), *_inputs(part, standing)))
    seen = looks(part, standing)
    if seen is not None:
        roamed = passed(name, part.words[1:], standing) if seen.deed is Deed.LOOKS else None
        return [comes_by_secret(part, roamed) if roamed else seen]
    name, meant = program(part)
    found = [
        *left(meant, name),
        *reached(meant, name),
        *written(meant, name, standing, unkept),
        *_secrets(meant, name, standing),
        *_inputs(meant, standing),
    ]
    if name == "git":
        found += git(meant, standing, lambda: unkept(standing.at(".")))
    return [replace(one, part=part) for one in _worst(found)] or [Weighed(part, Deed.WORKS, f"it runs {name}")]


def _worst(found: Iterator[Weighed] | list[Weighed] | tuple[Weighed, ...]) -> list[Weighed]:
    """Return one of each deed, and none that is harmless where there is another."""
    by_deed: dict[Deed, Weighed] = {}
    for one in found:
        by_deed.setdefault(one.deed, one)
    harmless = {Deed.LOOKS, Deed.WORKS}
    return [one for one in by_deed.values() if one.deed not in harmless] or list(by_deed.values())[:1]


def _moved(part: Part, standing: Standing, unkept: Callable[[Located], bool], before: str, after: str) -> list[Weighed]:
    writes = _worst(written(part, "", standing, unkept))
    secret = _worst(_inputs(part, standing))
    if part.words[0].text == "popd":
        standing.lost()
        return writes or [Weighed(part, Deed.WORKS, "it goes back to a folder")]
    places = standing.moves(part.words, before, after)
    if writes or secret:
        return writes or secret
    inside = places and all(place.place in {Place.INSIDE, Place.PROTECTED} for place in places)
    if inside and part.words[0].text == "cd" and part.literal and not is_written(part):
        return [Weighed(part, Deed.LOOKS, "it changes to a folder")]
    return [Weighed(part, Deed.WORKS, "it changes to a folder")]


def _inputs(part: Part, standing: Standing) -> Iterator[Weighed]:
    """Yield that what a part reads from is a secret."""
    for redirect in part.redirects:
        if _READS.fullmatch(redirect.operator):
            path, _ = standing.meant(redirect.target)
            for located in standing.leads(path) if path else ():
                if is_secret(located):
                    yield read_secret(part, located)
                    return


def _secrets(part: Part, name: str, standing: Standing) -> Iterator[Weighed]:
    """Yield that a part is given a secret, and could show it."""
    runs = name == "find" and any(word.text.startswith(("-exec", "-ok")) for word in part.words)
    if name in _SHOWS_NOTHING and not runs:
        return
    for word in part.words[1:]:
        text = word.text
        if text.startswith("-"):
            text = text.partition("=")[2]
        elif _VALUE.match(text):  # dd if=, curl -d @
            text = text.partition("=")[2] or text[1:]
        if not text or len(text) > _LONGEST or "\n" in text:
            continue
        path, _ = standing.meant(word if text is word.text else replace(word, text=text))
        if standing.is_absent(path) and not are_of_secret((path.lower().rstrip(". "),)):
            continue
        for located in standing.leads(path) if path else ():
            if is_secret(located):
                yield read_secret(part, located)
                return
    if roamed := passed(name, part.words[1:], standing):
        yield comes_by_secret(part, roamed)
