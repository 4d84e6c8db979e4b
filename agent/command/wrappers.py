"""Owns what a command would itself run: behind `env`, `xargs`, `bash -c`, `find -exec` and their like, however deep."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType

from agent.command import hands, shells
from agent.command.launchers import LAUNCHERS, RUNNERS
from agent.command.options import single, take
from agent.command.parts import Part
from agent.command.started import interpret, start, unknown

_DEEPEST = 32
_MOST = 128  # parts that one would run: each `-exec` runs all that stands behind it, so that their number doubles with every one
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "fish", "csh", "tcsh", "yash", "lksh", "posh")
_OTHERS = ("pwsh", "powershell", "nu", "xonsh", "elvish", "osh", "ysh", "rc", "es", "expect", "at", "batch")  # not read here
_EVALUATORS = (
    *("let", "declare", "typeset", "local", "export", "readonly", "test", "[", "[[", "((", "unset", "read", "printf"),
    *("compgen", "mapfile", "readarray", "wait"),
)


def inner(part: Part) -> tuple[Part, ...]:
    """Return all that a part would itself run, however deep. What cannot be told stands as a part of one word not literal."""
    found: list[Part] = []
    for one in _below(part, 0):
        if len(found) == _MOST:
            return (*found, unknown(part))
        found.append(one)
    return tuple(found)


def _below(part: Part, depth: int) -> Iterator[Part]:
    if not part.words or not part.words[0].literal:
        return
    name = PurePosixPath(part.words[0].text).name or part.words[0].text
    reader = _READERS.get(name)
    if reader is None and name not in LAUNCHERS and name not in RUNNERS:
        return
    if depth == _DEEPEST:
        yield unknown(part)
        return
    for one in reader(part) if reader else _launched(part, name) if name in LAUNCHERS else _chosen(part, name):
        yield one
        yield from _below(one, depth + 1)


def _launched(part: Part, name: str) -> Iterator[Part]:
    launcher = LAUNCHERS[name]
    words = part.words[1:]
    if (
        name == "setarch"
        and words
        and re.match(r"linux|i\d86|x86|amd64|arm|aarch|ppc|s390|mips|sparc|alpha|ia64|uname", words[0].text)
    ):
        words = words[1:]
    taken = take(words, launcher.options)
    operands = launcher.operands
    if (name == "chrt" and taken.rest and not taken.rest[0].text.isdigit()) or taken.has("pid"):
        operands = 0
    if name == "runcon":
        operands = 0 if taken.given else 1
    skipped, rest = taken.rest[:operands], taken.rest[operands:]
    sure = taken.sure and all(single(word) for word in skipped)
    if taken.has("help", "version") or (name == "command" and taken.has("v", "V")):
        return
    yield from start(part, rest, sure and (bool(rest) or launcher.alone))


def _chosen(part: Part, name: str) -> Iterator[Part]:
    """Yield what a program runs after the word, or two, that chooses to run it: `poetry run pytest`."""
    front, chosen = RUNNERS[name]
    taken = take(part.words[1:], front)
    for length in (2, 1):
        options = chosen.get(" ".join(word.text for word in taken.rest[:length]))
        if options is not None and len(taken.rest) >= length:
            break
    else:
        if not all(word.literal for word in taken.rest[:1]):
            yield unknown(part)
        return
    behind = take(taken.rest[length:], options)
    rest = behind.rest
    if name == "mise":
        rest = next((rest[at + 1 :] for at, word in enumerate(rest) if word.text == "--"), rest)
    if name == "hatch" and rest and (found := re.match(r"[\w.+-]+:(?=.)", rest[0].text)):
        rest = (replace(rest[0], text=rest[0].text[found.end() :]), *rest[1:])
    for string in behind.values("c", "call", "command"):
        yield from interpret(part, (string,))
    yield from start(part, rest, taken.sure and behind.sure)


def _untold(part: Part) -> Iterator[Part]:
    yield unknown(part)


_READERS: Mapping[str, Callable[[Part], Iterator[Part]]] = MappingProxyType(
    {
        **dict.fromkeys(_SHELLS, shells.shell),
        **dict.fromkeys(_OTHERS, _untold),
        **dict.fromkeys(_EVALUATORS, shells.evaluated_again),
        **dict.fromkeys(("source", "."), shells.source),
        **dict.fromkeys(("su", "runuser"), shells.su),
        **dict.fromkeys(("docker", "podman", "nerdctl", "docker-compose", "podman-compose"), hands.contained),
        **dict.fromkeys(("kubectl", "oc"), hands.kubectl),
        **dict.fromkeys(("fd", "fdfind"), hands.fd),
        **dict.fromkeys(("find", "gfind", "bfs"), hands.find),
        **dict.fromkeys(("xargs", "gxargs"), hands.xargs),
        **dict.fromkeys(("env", "genv"), shells.env),
        **dict.fromkeys(
            ("start-stop-daemon", "capsh", "firejail", "proot", "apptainer", "singularity", "nix", "direnv"), hands.behind
        ),
        **dict.fromkeys(hands.SWITCHES, hands.switched),
        "sudo": shells.sudo,
        "eval": shells.evaluate,
        "trap": shells.trap,
        "watch": shells.watch,
        "flock": shells.flock,
        "script": shells.script,
        "parallel": hands.parallel,
        "bwrap": hands.bwrap,
        "ssh": hands.ssh,
        "npx": hands.npx,
        "entr": shells.entr,
        "gdb": hands.gdb,
        "hyperfine": hands.hyperfine,
        "sg": shells.sg,
        "git": hands.git,
    }
)
