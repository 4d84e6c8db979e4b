"""Owns what a command would itself run: behind `env`, `xargs`, `bash -c`, `find -exec` and their like, however deep."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType

from agent.command import launchers
from agent.command.launchers import LAUNCHERS, RUNNERS
from agent.command.options import Options, Taken, single, take
from agent.command.parts import Part, Word
from agent.command.script import read

_DEEPEST = 32
_MOST = 128  # parts that one would run: each `-exec` runs all that stands behind it, so that their number doubles with every one
_ASSIGNS = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "fish", "csh", "tcsh", "yash", "lksh", "posh")
_OTHERS = ("pwsh", "powershell", "nu", "xonsh", "elvish", "osh", "ysh", "rc", "es", "expect", "at", "batch")  # not read here
_EVALUATORS = (
    *("let", "declare", "typeset", "local", "export", "readonly", "test", "[", "[[", "((", "unset", "read", "printf"),
    *("compgen", "mapfile", "readarray", "wait"),
)
_ASIDE = ("git", "find", "gfind", "bfs", "fd", "fdfind", "trap", "kubectl", "oc")  # which run others only where told to
_EXECUTED = re.compile(
    r"alias\.|pager\.|credential\.|filter\.|difftool\.|mergetool\.|merge\..*\.driver|diff\.(?:external|.*\.(?:command|textconv))|remote\..*pack"
    r"|core\.(?:pager|editor|sshcommand|fsmonitor|askpass|gitproxy|alternaterefscommand)|sequence\.editor|gpg\."
    r"|uploadpack\.|sendemail\.|interactive\.difffilter|ssh\.|browser\.|man\.|instaweb\.|web\.|trailer\.",
    re.IGNORECASE,
)
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


def inner(part: Part) -> tuple[Part, ...]:
    """Return all that a part would itself run, however deep. What cannot be told stands as a part of one word not literal."""
    found: list[Part] = []
    for one in _below(part, 0):
        if len(found) == _MOST:
            return (*found, _unknown(part))
        found.append(one)
    return tuple(found)


def is_wrapper(name: str) -> bool:
    """Return whether a program, by its name or path, is there to run others, so that nothing is known of it by itself."""
    bare = PurePosixPath(name).name
    return bare in LAUNCHERS or (bare in _READERS and bare not in _EVALUATORS and bare not in _ASIDE and bare not in _SWITCHES)


def _below(part: Part, depth: int) -> Iterator[Part]:
    if not part.words or not part.words[0].literal:
        return
    name = PurePosixPath(part.words[0].text).name or part.words[0].text
    reader = _READERS.get(name)
    if reader is None and name not in LAUNCHERS and name not in RUNNERS:
        return
    if depth == _DEEPEST:
        yield _unknown(part)
        return
    for one in reader(part) if reader else _launched(part, name) if name in LAUNCHERS else _chosen(part, name):
        yield one
        yield from _below(one, depth + 1)


def _unknown(part: Part) -> Part:
    return Part(part.source, (Word(part.source, literal=False),), wrapped=True)


def _run(part: Part, words: tuple[Word, ...], sure: bool = True, assigns: tuple[str, ...] = ()) -> Iterator[Part]:
    """Yield the command that these words are."""
    if not sure:
        yield _unknown(part)
    if words and words[0].text == "--":
        words = words[1:]
    if words:
        yield Part(" ".join(word.text for word in words), words, assigns, (), wrapped=True)


def _string(part: Part, words: tuple[Word, ...], sure: bool = True) -> Iterator[Part]:
    """Yield what a shell would run of these words."""
    text = " ".join(word.text if word.literal else _bared(word.text) for word in words)
    if sure and not text.strip():
        return
    script = read(text)
    if not sure or script.fault or not all(word.literal for word in words):
        yield _unknown(part)
    yield from (replace(one, wrapped=True) for one in script.parts)


def _bared(text: str) -> str:
    """Return a word with expansions without its outer quotes, as a shell would see it if they came to nothing special."""
    return re.sub(r'\\(["\\`])', r"\1", text[1:-1]) if len(text) > 1 and text[0] == text[-1] == '"' else text


def _permuted(words: tuple[Word, ...], options: Options) -> Taken:
    """Take options off wherever they stand."""
    given: list[tuple[str, Word | None]] = []
    operands: list[Word] = []
    sure = True
    while words:
        taken = take(words, options)
        given += taken.given
        sure &= taken.sure
        ended = len(taken.rest) < len(words) and words[len(words) - len(taken.rest) - 1].text == "--"
        operands += taken.rest if ended else taken.rest[:1]
        words = () if ended else taken.rest[1:]
    return Taken(tuple(given), tuple(operands), sure)


def _assigned(words: tuple[Word, ...]) -> tuple[tuple[str, ...], tuple[Word, ...]]:
    names: list[str] = []
    for at, word in enumerate(words):
        found = _ASSIGNS.match(word.text.lstrip("'\""))
        if not found:
            return tuple(names), words[at:]
        names.append(found[1])
    return tuple(names), ()


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
    yield from _run(part, rest, sure and (bool(rest) or launcher.alone))


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
            yield _unknown(part)
        return
    behind = take(taken.rest[length:], options)
    rest = behind.rest
    if name == "mise":
        rest = next((rest[at + 1 :] for at, word in enumerate(rest) if word.text == "--"), rest)
    if name == "hatch" and rest and (found := re.match(r"[\w.+-]+:(?=.)", rest[0].text)):
        rest = (replace(rest[0], text=rest[0].text[found.end() :]), *rest[1:])
    for string in behind.values("c", "call", "command"):
        yield from _string(part, (string,))
    yield from _run(part, rest, taken.sure and behind.sure)


def _env(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.ENV)
    rest, sure = taken.rest, taken.sure
    if rest and rest[0].text == "-":
        rest = rest[1:]
    for string in taken.values("S", "split-string"):
        sure &= string.literal and not re.search(r"[\\$#]", string.text)
        try:
            split = tuple(Word(text) for text in shlex.split(string.text))
        except ValueError:
            sure, split = False, tuple(Word(text) for text in string.text.split())
        # What is split is read by env again, its options too.
        yield from _run(part, (Word("env"), *split, *rest), sure)
        return
    names, rest = _assigned(rest)
    yield from _run(part, rest, sure, names)


def _sudo(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.SUDO)
    names, rest = _assigned(taken.rest)
    if taken.has("e", "edit"):
        return
    idle = taken.has("l", "list", "v", "validate", "k", "K", "V", "version", "h", "help", "remove-timestamp", "reset-timestamp")
    yield from _run(part, rest, taken.sure and (bool(rest) or idle), names)


def _shell(part: Part) -> Iterator[Part]:
    words = tuple(
        replace(word, text="-" + word.text[1:]) if re.match(r"\+[a-zA-Z]", word.text) else word for word in part.words[1:]
    )
    taken = take(words, launchers.SHELL)
    for string in taken.values("command", "init-command"):
        yield from _string(part, (string,))
    if taken.has("c"):
        yield from _string(part, taken.rest[:1], taken.sure and bool(taken.rest))
        if taken.rest and "$" in taken.rest[0].text:  # its arguments may be what it runs: '"$@"'
            for at in (1, 2):
                yield from _run(part, taken.rest[at:])
    elif taken.rest and not taken.has("s"):
        yield from _run(part, taken.rest, taken.sure)  # a file of commands: what it holds is another question
    elif not taken.has("help", "version", "command"):
        typed = [redirect.target for redirect in part.redirects if re.fullmatch(r"0?(<<-?|<<<)", redirect.operator)]
        yield from _string(part, tuple(typed[-1:]), taken.sure and bool(typed))


def _other(part: Part) -> Iterator[Part]:
    yield _unknown(part)


def _eval(part: Part) -> Iterator[Part]:
    words = part.words[1:]
    yield from _string(part, words[1:] if words and words[0].text == "--" else words)


def _source(part: Part) -> Iterator[Part]:
    yield from _run(part, part.words[1:])


def _trap(part: Part) -> Iterator[Part]:
    words = take(part.words[1:], Options("lpP")).rest
    if len(words) > 1 and words[0].text != "-":
        yield from _string(part, words[:1])


def _watch(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.WATCH)
    if taken.has("x", "exec"):
        yield from _run(part, taken.rest, taken.sure)
    else:
        yield from _string(part, taken.rest, taken.sure)


def _su(part: Part) -> Iterator[Part]:
    taken = _permuted(part.words[1:], launchers.SU)
    strings = taken.values("c", "command", "session-command")
    for string in strings:
        yield from _string(part, (string,), taken.sure)
    if taken.has("u", "user"):
        yield from _run(part, take(part.words[1:], launchers.SU).rest, taken.sure)
    elif not strings or len(taken.rest) > 2:
        yield _unknown(part)


def _flock(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.FLOCK)
    strings, rest = taken.values("c", "command"), taken.rest[1:]
    if rest and (rest[0].text == "-c" or (len(rest[0].text) > 3 and "--command".startswith(rest[0].text))):
        strings, rest = rest[1:2], ()
    for string in strings:
        yield from _string(part, (string,))
    yield from _run(part, rest, taken.sure and all(single(word) for word in taken.rest[:1]))


def _script(part: Part) -> Iterator[Part]:
    taken = _permuted(part.words[1:], launchers.SCRIPT)
    strings = taken.values("c", "command")
    for string in strings:
        yield from _string(part, (string,))
    separate = next((part.words[at + 1 :] for at, word in enumerate(part.words) if word.text == "--"), ())
    yield from _run(part, separate or taken.rest[1:], taken.sure and (bool(strings) or len(taken.rest) > 1))


def _xargs(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.XARGS)
    marks = [word.text for word in taken.values("I", "J", "i", "replace")] + ["{}"] * taken.has("i", "replace")
    rest = taken.rest
    if not rest:
        return
    if marks:
        rest = tuple(replace(word, literal=word.literal and not any(mark in word.text for mark in marks)) for word in rest)
    else:
        rest = (*rest, Word("{}", literal=False))
    yield from _run(part, rest, taken.sure)


def _parallel(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.PARALLEL)
    at = next((at for at, word in enumerate(taken.rest) if word.text.startswith(":::")), len(taken.rest))
    command, inputs = taken.rest[:at], taken.rest[at + 1 :]
    if command:
        yield from _string(part, (*command, Word('"$1"', literal=False)), taken.sure)
    else:
        yield _unknown(part)
        for word in inputs:
            yield from _string(part, (word,))


def _find(part: Part) -> Iterator[Part]:
    words = part.words[1:]
    if not all(word.glob or single(word) for word in words):
        yield _unknown(part)
    starts = [at for at, word in enumerate(words) if word.text in {"-exec", "-execdir", "-ok", "-okdir"}]
    for at in starts:
        end = next((end for end in range(at + 1, len(words)) if words[end].text in {";", "+"}), len(words))
        given = (replace(word, literal=word.literal and "{}" not in word.text) for word in words[at + 1 : end])
        yield from _run(part, tuple(given))


def _fd(part: Part) -> Iterator[Part]:
    for at, word in enumerate(part.words):
        found = re.match(r"(?:-[A-Za-z]*[xX]|--exec(?:-batch)?)(?:=(.+)|$)", word.text, re.DOTALL)
        if found:
            rest = (*([Word(found[1], word.literal)] if found[1] else []), *part.words[at + 1 :])
            end = next((end for end, one in enumerate(rest) if one.text == ";"), len(rest))
            yield from _run(part, (*rest[:end], Word("{}", literal=False)))


def _bwrap(part: Part) -> Iterator[Part]:
    rest, sure = part.words[1:], True
    while rest and rest[0].text.startswith("--") and rest[0].text != "--":
        name = rest[0].text[2:]
        taken = take(rest[:2], _BWRAP)
        more = (2 if name == "overlay" else 1) if name in _PAIRS else 0
        sure &= taken.sure and name != "args" and all(single(word) for word in rest[: 2 + more])
        rest = rest[(2 if taken.values(name) else 1) + more :]
    yield from _run(part, rest, sure and bool(rest))


def _contained(part: Part) -> Iterator[Part]:
    front = take(part.words[1:], launchers.CONTAINER_FRONT)
    rest = front.rest
    if rest and rest[0].text in {"container", "compose"}:
        rest = take(rest[1:], launchers.CONTAINER_FRONT).rest
    if not rest or rest[0].text not in {"run", "exec", "create"}:
        if rest and not rest[0].literal:
            yield _unknown(part)
        return
    taken = take(rest[1:], launchers.CONTAINER)
    command = taken.rest[1:]
    sure = front.sure and taken.sure and all(single(word) for word in taken.rest[:1])
    yield from _run(part, (*taken.values("entrypoint"), *command), sure)


def _kubectl(part: Part) -> Iterator[Part]:
    at = next((at for at, word in enumerate(part.words) if word.text == "--"), 0)
    if at:
        yield from _run(part, part.words[at + 1 :])
    elif any(word.text in {"exec", "run", "debug"} or not word.literal for word in part.words[1:]):
        yield _unknown(part)


def _ssh(part: Part) -> Iterator[Part]:
    before = take(part.words[1:], launchers.SSH)
    behind = take(before.rest[1:], launchers.SSH)
    for option in before.values("o") + behind.values("o"):
        if found := re.match(r"\s*(?:proxy|local|remote|knownhosts)command[\s=]+(.*)", option.text, re.IGNORECASE | re.DOTALL):
            yield from _string(part, (replace(option, text=found[1]),))
    sure = before.sure and behind.sure and all(single(word) for word in before.rest[:1])
    if behind.rest or not sure:
        yield from _string(part, behind.rest, sure)


def _npx(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.NPX)
    for string in taken.values("c", "call"):
        yield from _string(part, (string,))
    yield from _run(part, taken.rest, taken.sure)


def _entr(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], Options("acdnprsxz"))
    if taken.has("s"):
        yield from _string(part, taken.rest[:1], taken.sure)
    else:
        rest = (replace(word, literal=word.literal and word.text != "/_") for word in taken.rest)
        yield from _run(part, tuple(rest), taken.sure)


def _hyperfine(part: Part) -> Iterator[Part]:
    if len(part.words) > 1:
        yield _unknown(part)
    for word in part.words[1:]:
        if not word.text.startswith("-"):
            yield from _string(part, (word,))


def _sg(part: Part) -> Iterator[Part]:
    words = tuple(word for word in part.words[1:] if word.text not in {"-", "-c"})
    if len(words) != 2:
        yield _unknown(part)
    yield from _string(part, words[1:2])


def _behind(part: Part) -> Iterator[Part]:
    """Yield what stands behind `--`, or behind `--args`, of a program whose own options are not known here."""
    at = next((at for at, word in enumerate(part.words) if word.text in {"--", "--args"}), 0)
    yield _unknown(part)
    yield from _run(part, part.words[at + 1 :] if at else ())


def _evaluated(part: Part) -> Iterator[Part]:
    """Yield what a builtin runs because it evaluates a word again: `let 'a[$(rm x)]=1'`, quoted or not."""
    for word in part.words[1:]:
        if word.literal and ("$(" in word.text or "`" in word.text):
            script = read(f"echo {word.text}")
            if script.fault:
                yield _unknown(part)
            yield from (one for one in script.parts[1:] if one.wrapped)
    for at, word in enumerate(part.words[:-1]):
        if word.text == "-C" and part.words[0].text in {"compgen", "mapfile", "readarray"}:
            yield from _string(part, part.words[at + 1 : at + 2])


def _git(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.GIT)
    if not taken.sure:
        yield _unknown(part)
    for setting in taken.values("c"):
        name, _, value = setting.text.partition("=")
        if not setting.literal:
            yield _unknown(part)
        elif _EXECUTED.match(name) and value:
            yield from _string(part, (Word(value.removeprefix("!")),))
    verb, words = (taken.rest[0].text if taken.rest else ""), taken.rest[1:]
    if verb == "bisect" and words and words[0].text == "run":
        yield from _run(part, words[1:])
    elif verb == "submodule" and any(word.text == "foreach" for word in words):
        at = next(at for at, word in enumerate(words) if word.text == "foreach")
        yield from _string(part, take(words[at + 1 :], Options("q", "recursive quiet")).rest)
    elif verb == "filter-branch":
        for at, word in enumerate(words):
            if word.text.endswith("-filter"):
                yield from _string(part, words[at + 1 : at + 2])
    elif verb in {"rebase", "difftool", "clone", "fetch", "pull", "push", "ls-remote", "archive", "fetch-pack", "send-pack"}:
        short = {"rebase": "x", "difftool": "x", "clone": "u"}.get(verb, "=")
        for at, word in enumerate(words):
            found = re.match(
                rf"(?:--(?:ex[a-z]*|upl[a-z-]*|rec[a-z]*-pa?c?k?)|-[a-z]*?[{short}])(?:=?(.+)|$)", word.text, re.DOTALL
            )
            if found:
                given = (Word(found[1], word.literal),) if found[1] else words[at + 1 : at + 2]
                yield from _string(part, given)


def _switched(part: Part) -> Iterator[Part]:
    """Yield what the value of an option would have run: `tar -I 'rm x'`."""
    switches = _SWITCHES[PurePosixPath(part.words[0].text).name]
    for at, word in enumerate(part.words):
        found = switches.match(word.text)
        if found:
            value = word.text[found.end() :].removeprefix("=").removeprefix("exec=")
            yield from _string(part, (Word(value, word.literal),) if value else part.words[at + 1 : at + 2])


_SWITCHES: Mapping[str, re.Pattern[str]] = MappingProxyType(
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
_READERS: Mapping[str, Callable[[Part], Iterator[Part]]] = MappingProxyType(
    {
        **dict.fromkeys(_SHELLS, _shell),
        **dict.fromkeys(_OTHERS, _other),
        **dict.fromkeys(_EVALUATORS, _evaluated),
        **dict.fromkeys(("source", "."), _source),
        **dict.fromkeys(("su", "runuser"), _su),
        **dict.fromkeys(("docker", "podman", "nerdctl", "docker-compose", "podman-compose"), _contained),
        **dict.fromkeys(("kubectl", "oc"), _kubectl),
        **dict.fromkeys(("fd", "fdfind"), _fd),
        **dict.fromkeys(("find", "gfind", "bfs"), _find),
        **dict.fromkeys(("xargs", "gxargs"), _xargs),
        **dict.fromkeys(("env", "genv"), _env),
        **dict.fromkeys(
            ("gdb", "start-stop-daemon", "capsh", "firejail", "proot", "apptainer", "singularity", "nix", "direnv"), _behind
        ),
        **dict.fromkeys(_SWITCHES, _switched),
        "sudo": _sudo,
        "eval": _eval,
        "trap": _trap,
        "watch": _watch,
        "flock": _flock,
        "script": _script,
        "parallel": _parallel,
        "bwrap": _bwrap,
        "ssh": _ssh,
        "npx": _npx,
        "entr": _entr,
        "hyperfine": _hyperfine,
        "sg": _sg,
        "git": _git,
    }
)
