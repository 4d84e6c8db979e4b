"""Owns what programs would run that hand files, hosts, containers or measurements to others; each is named as its program."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType

from agent.command import launchers
from agent.command.options import Options, single, take
from agent.command.parts import Part, Word
from agent.command.started import interpret, permuted, start, unknown

_EXECUTED = re.compile(
    r"alias\.|pager\.|credential\.|filter\.|difftool\.|mergetool\.|merge\..*\.driver|diff\.(?:external|.*\.(?:command|textconv))|remote\..*pack"
    r"|core\.(?:pager|editor|sshcommand|fsmonitor|askpass|gitproxy|alternaterefscommand)|sequence\.editor|gpg\."
    r"|uploadpack\.|sendemail\.|interactive\.difffilter|ssh\.|browser\.|man\.|instaweb\.|web\.|trailer\.",
    re.IGNORECASE,
)
_INPUT = re.compile(r"\{[^{}\s]*\}")  # where parallel puts one: {}, {.}, {/}, {1}, {= ... =}
_BWRAP = Options(
    long="args: argv0: userns: userns2: pidns: uid: gid: hostname: chdir: unsetenv: lock-file: sync-fd: remount-ro: proc: dev: "
    "tmpfs: mqueue: dir: block-fd: userns-block-fd: info-fd: json-status-fd: exec-label: file-label: seccomp: add-seccomp-fd: "
    "cap-add: cap-drop: perms: size: overlay-src: tmp-overlay: ro-overlay: setenv: bind: bind-try: dev-bind: dev-bind-try: "
    "ro-bind: ro-bind-try: bind-fd: ro-bind-fd: file: bind-data: ro-bind-data: symlink: chmod: overlay: unshare-all share-net "
    "unshare-user unshare-user-try unshare-ipc unshare-pid unshare-net unshare-uts unshare-cgroup unshare-cgroup-try "
    "disable-userns assert-userns-disabled clearenv new-session die-with-parent as-pid-1 help version level-prefix"
)
_PAIRS = frozenset(
    (
        *("setenv", "bind", "bind-try", "dev-bind", "dev-bind-try", "ro-bind", "ro-bind-try", "bind-fd", "ro-bind-fd", "file"),
        *("bind-data", "ro-bind-data", "symlink", "chmod", "overlay"),
    )
)
_TOLD_GDB = re.compile(
    r"\s*(?:r|run|start|c|continue|n|next|s|step|finish|bt|backtrace|info|p|print|x|b|break|tbreak|q|quit|thread|frame|set|list)\b.*"
)
SWITCHES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "tar": re.compile(
            r"--(?:to-c[a-z]*|use-c[a-z-]*|checkpoint-a[a-z]*=exec|info-[a-z]*|new-[a-z-]*|rsh-[a-z]*)|-[A-Za-z]*[IF]"
        ),
        "rsync": re.compile(r"--(?:rsh|rsync-path)|-[A-Za-z]*e"),
        "nix-shell": re.compile(r"--(?:run|command)(?![a-z-])"),
        "sort": re.compile(r"--com[a-z-]*"),
        "rg": re.compile(r"--(?:pre|hostname-bin)(?![a-z-])"),
        "man": re.compile(r"--pager|-[A-Za-z]*P"),
        "scp": re.compile(r"-[A-Za-z]*S"),
        "sftp": re.compile(r"-[A-Za-z]*S"),
    }
)


def xargs(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.XARGS)
    marks = [word.text for word in taken.values("I", "J", "i", "replace")] + ["{}"] * taken.has("i", "replace")
    rest = taken.rest
    if not rest:
        return
    if marks:
        rest = tuple(replace(word, literal=word.literal and not any(mark in word.text for mark in marks)) for word in rest)
    else:
        rest = (*rest, Word("{}", literal=False))
    yield from start(part, rest, taken.sure)


def parallel(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.PARALLEL)
    at = next((at for at, word in enumerate(taken.rest) if word.text.startswith((":::", "--"))), len(taken.rest))
    command, inputs = taken.rest[:at], taken.rest[at + 1 :]
    if not command or any(word.text == "--" for word in taken.rest):
        yield unknown(part)
        for word in inputs:
            yield from interpret(part, (word,))
        return
    sure = taken.sure and not taken.has("S", "sshlogin", "sshloginfile", "q", "quote", "I", "i", "replace")
    *before, last = (*interpret(part, command, sure),) or (unknown(part),)
    # Where no word says where an input goes it goes behind the last; it is quoted, so that it begins no command.
    marks = any(_INPUT.search(word.text) for word in command)
    words = last.words if marks else (*last.words, Word("{}", literal=False))
    for one in (*before, replace(last, words=words)):
        yield replace(
            one, words=tuple(replace(word, literal=word.literal and not _INPUT.search(word.text)) for word in one.words)
        )


def find(part: Part) -> Iterator[Part]:
    words = part.words[1:]
    if not all(word.glob or single(word) for word in words):
        yield unknown(part)
    starts = [at for at, word in enumerate(words) if word.text in {"-exec", "-execdir", "-ok", "-okdir"}]
    for at in starts:
        end = next((end for end in range(at + 1, len(words)) if words[end].text in {";", "+"}), len(words))
        given = (replace(word, literal=word.literal and "{}" not in word.text) for word in words[at + 1 : end])
        yield from start(part, tuple(given))


def fd(part: Part) -> Iterator[Part]:
    for at, word in enumerate(part.words):
        found = re.match(r"(?:-[A-Za-z]*[xX]|--exec(?:-batch)?)(?:=(.+)|$)", word.text, re.DOTALL)
        if found:
            rest = (*([Word(found[1], word.literal)] if found[1] else []), *part.words[at + 1 :])
            end = next((end for end, one in enumerate(rest) if one.text == ";"), len(rest))
            yield from start(part, (*rest[:end], Word("{}", literal=False)))


def bwrap(part: Part) -> Iterator[Part]:
    rest, sure = part.words[1:], True
    while rest and rest[0].text.startswith("--") and rest[0].text != "--":
        name = rest[0].text[2:]
        taken = take(rest[:2], _BWRAP)
        more = (2 if name == "overlay" else 1) if name in _PAIRS else 0
        sure &= taken.sure and name != "args" and all(single(word) for word in rest[: 2 + more])
        rest = rest[(2 if taken.values(name) else 1) + more :]
    yield from start(part, rest, sure and bool(rest))


def contained(part: Part) -> Iterator[Part]:
    front = take(part.words[1:], launchers.CONTAINER_FRONT)
    rest = front.rest
    if rest and rest[0].text in {"container", "compose"}:
        rest = take(rest[1:], launchers.CONTAINER_FRONT).rest
    if not rest or rest[0].text not in {"run", "exec", "create"}:
        if rest and not rest[0].literal:
            yield unknown(part)
        return
    taken = take(rest[1:], launchers.CONTAINER)
    command = taken.rest[1:]
    sure = front.sure and taken.sure and all(single(word) for word in taken.rest[:1])
    yield from start(part, (*taken.values("entrypoint"), *command), sure)


def kubectl(part: Part) -> Iterator[Part]:
    at = next((at for at, word in enumerate(part.words) if word.text == "--"), 0)
    if at:
        yield from start(part, part.words[at + 1 :])
    elif any(word.text in {"exec", "run", "debug"} or not word.literal for word in part.words[1:]):
        yield unknown(part)


def ssh(part: Part) -> Iterator[Part]:
    before = take(part.words[1:], launchers.SSH)
    behind = take(before.rest[1:], launchers.SSH)
    for option in before.values("o") + behind.values("o"):
        if found := re.match(r"\s*(?:proxy|local|remote|knownhosts)command[\s=]+(.*)", option.text, re.IGNORECASE | re.DOTALL):
            yield from interpret(part, (replace(option, text=found[1]),))
    sure = before.sure and behind.sure and all(single(word) for word in before.rest[:1])
    if behind.rest or not sure:
        yield from interpret(part, behind.rest, sure)


def npx(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.NPX)
    for string in taken.values("c", "call"):
        yield from interpret(part, (string,))
    yield from start(part, taken.rest, taken.sure)


def hyperfine(part: Part) -> Iterator[Part]:
    taken = permuted(_without_scan(part.words[1:]), launchers.HYPERFINE)
    varied = taken.has("P", "parameter-scan", "L", "parameter-list")
    for word in (*taken.values("s", "setup", "p", "prepare", "C", "conclude", "c", "cleanup", "reference"), *taken.rest):
        parts = tuple(interpret(part, (word,), taken.sure))
        yield from parts
        if varied and any("{" in one.words[0].text for one in parts if one.words):
            yield unknown(part)


def _without_scan(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """Return the words of hyperfine with the one value of what takes several, so that all of its options take one."""
    kept: list[Word] = []
    more = 0
    for word in words:
        if more:
            more -= 1
            continue
        kept.append(word)
        more = {"-P": 2, "--parameter-scan": 2, "-L": 1, "--parameter-list": 1}.get(word.text, 0)
    return tuple(kept)


def gdb(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.GDB)
    for told in taken.values("ex", "eval-command", "iex", "init-eval-command"):
        if not told.literal:
            yield unknown(part)
        elif found := re.match(r"\s*(?:shell\b|make\b|!|pipe\b.*?\||\|.*?\|)(.*)", told.text, re.DOTALL):
            yield from interpret(part, (Word(found[1]),))
        elif not _TOLD_GDB.fullmatch(told.text):
            yield unknown(part)
    for file in taken.values("x", "command", "ix", "init-command"):
        yield from start(part, (file,))
    yield from start(part, taken.rest if taken.has("args") else taken.rest[:1], taken.sure)


def behind(part: Part) -> Iterator[Part]:
    """Yield what stands behind `--`, or behind `--args`, of a program whose own options are not known here."""
    at = next((at for at, word in enumerate(part.words) if word.text in {"--", "--args"}), 0)
    yield unknown(part)
    yield from start(part, part.words[at + 1 :] if at else ())


def git(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.GIT)
    if not taken.sure:
        yield unknown(part)
    for setting in taken.values("c"):
        name, _, value = setting.text.partition("=")
        if not setting.literal:
            yield unknown(part)
        elif _EXECUTED.match(name) and value:
            yield from interpret(part, (Word(value.removeprefix("!")),))
    verb, words = (taken.rest[0].text if taken.rest else ""), taken.rest[1:]
    if verb == "bisect" and words and words[0].text == "run":
        yield from start(part, words[1:])
    elif verb == "submodule" and any(word.text == "foreach" for word in words):
        at = next(at for at, word in enumerate(words) if word.text == "foreach")
        yield from interpret(part, take(words[at + 1 :], Options("q", "recursive quiet")).rest)
    elif verb == "filter-branch":
        for at, word in enumerate(words):
            if word.text.endswith("-filter"):
                yield from interpret(part, words[at + 1 : at + 2])
    elif verb in {"rebase", "difftool", "clone", "fetch", "pull", "push", "ls-remote", "archive", "fetch-pack", "send-pack"}:
        short = {"rebase": "x", "difftool": "x", "clone": "u"}.get(verb, "=")
        for at, word in enumerate(words):
            found = re.match(
                rf"(?:--(?:ex[a-z]*|upl[a-z-]*|rec[a-z]*-pa?c?k?)|-[a-z]*?[{short}])(?:=?(.+)|$)", word.text, re.DOTALL
            )
            if found:
                given = (Word(found[1], word.literal),) if found[1] else words[at + 1 : at + 2]
                yield from interpret(part, given)


def switched(part: Part) -> Iterator[Part]:
    """Yield what the value of an option would have run: `tar -I 'rm x'`."""
    switches = SWITCHES[PurePosixPath(part.words[0].text).name]
    for at, word in enumerate(part.words):
        found = switches.match(word.text)
        if found:
            value = word.text[found.end() :].removeprefix("=").removeprefix("exec=")
            yield from interpret(part, (Word(value, word.literal),) if value else part.words[at + 1 : at + 2])
