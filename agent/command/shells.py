"""Owns what shells would run, and what hands a text to one, or another user's rights to a command."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace

from agent.command import launchers
from agent.command.options import Options, single, take
from agent.command.parts import Part, Word
from agent.command.script import read
from agent.command.started import assigned, interpret, permuted, start, unknown


def env(part: Part) -> Iterator[Part]:
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
        yield from start(part, (Word("env"), *split, *rest), sure)
        return
    names, rest = assigned(rest)
    yield from start(part, rest, sure, names)


def sudo(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.SUDO)
    names, rest = assigned(taken.rest)
    if taken.has("e", "edit"):
        return
    idle = taken.has("l", "list", "v", "validate", "k", "K", "V", "version", "h", "help", "remove-timestamp", "reset-timestamp")
    yield from start(part, rest, taken.sure and (bool(rest) or idle), names)


def su(part: Part) -> Iterator[Part]:
    taken = permuted(part.words[1:], launchers.SU)
    strings = taken.values("c", "command", "session-command")
    for string in strings:
        yield from interpret(part, (string,), taken.sure)
    if taken.has("u", "user"):
        yield from start(part, take(part.words[1:], launchers.SU).rest, taken.sure)
    elif not strings or len(taken.rest) > 2:
        yield unknown(part)


def shell(part: Part) -> Iterator[Part]:
    words = tuple(
        replace(word, text="-" + word.text[1:]) if re.match(r"\+[a-zA-Z]", word.text) else word for word in part.words[1:]
    )
    taken = take(words, launchers.SHELL)
    for string in taken.values("command", "init-command"):
        yield from interpret(part, (string,))
    if taken.has("c"):
        yield from interpret(part, taken.rest[:1], taken.sure and bool(taken.rest))
        if taken.rest and "$" in taken.rest[0].text:  # its arguments may be what it runs: '"$@"'
            for at in (1, 2):
                yield from start(part, taken.rest[at:])
    elif taken.rest and not taken.has("s"):
        yield from start(part, taken.rest, taken.sure)  # a file of commands: what it holds is another question
    elif not taken.has("help", "version", "command"):
        typed = [redirect.target for redirect in part.redirects if re.fullmatch(r"0?(<<-?|<<<)", redirect.operator)]
        yield from interpret(part, tuple(typed[-1:]), taken.sure and bool(typed))


def evaluate(part: Part) -> Iterator[Part]:
    words = part.words[1:]
    yield from interpret(part, words[1:] if words and words[0].text == "--" else words)


def source(part: Part) -> Iterator[Part]:
    yield from start(part, part.words[1:])


def trap(part: Part) -> Iterator[Part]:
    words = take(part.words[1:], Options("lpP")).rest
    if len(words) > 1 and words[0].text != "-":
        yield from interpret(part, words[:1])


def watch(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.WATCH)
    if taken.has("x", "exec"):
        yield from start(part, taken.rest, taken.sure)
    else:
        yield from interpret(part, taken.rest, taken.sure)


def flock(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], launchers.FLOCK)
    strings, rest = taken.values("c", "command"), taken.rest[1:]
    if rest and (rest[0].text == "-c" or (len(rest[0].text) > 3 and "--command".startswith(rest[0].text))):
        strings, rest = rest[1:2], ()
    for string in strings:
        yield from interpret(part, (string,))
    yield from start(part, rest, taken.sure and all(single(word) for word in taken.rest[:1]))


def script(part: Part) -> Iterator[Part]:
    taken = permuted(part.words[1:], launchers.SCRIPT)
    strings = taken.values("c", "command")
    for string in strings:
        yield from interpret(part, (string,))
    separate = next((part.words[at + 1 :] for at, word in enumerate(part.words) if word.text == "--"), ())
    yield from start(part, separate or taken.rest[1:], taken.sure and (bool(strings) or len(taken.rest) > 1))


def entr(part: Part) -> Iterator[Part]:
    taken = take(part.words[1:], Options("acdnprsxz"))
    if taken.has("s"):
        yield from interpret(part, taken.rest[:1], taken.sure)
    else:
        rest = (replace(word, literal=word.literal and word.text != "/_") for word in taken.rest)
        yield from start(part, tuple(rest), taken.sure)


def sg(part: Part) -> Iterator[Part]:
    words = tuple(word for word in part.words[1:] if word.text not in {"-", "-c"})
    if len(words) != 2:
        yield unknown(part)
    yield from interpret(part, words[1:2])


def evaluated_again(part: Part) -> Iterator[Part]:
    """Yield what a builtin runs because it evaluates a word again: `let 'a[$(rm x)]=1'`, quoted or not."""
    for word in part.words[1:]:
        if word.literal and ("$(" in word.text or "`" in word.text):
            script = read(f"echo {word.text}")
            if script.fault:
                yield unknown(part)
            yield from (one for one in script.parts[1:] if one.wrapped)
    for at, word in enumerate(part.words[:-1]):
        if word.text == "-C" and part.words[0].text in {"compgen", "mapfile", "readarray"}:
            yield from interpret(part, part.words[at + 1 : at + 2])
