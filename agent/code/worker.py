"""Owns the program that parses texts for another one: a hostile text can crash a parser, fill the memory, or come to no end."""

import json
import resource
import signal
import sys
from contextlib import suppress

from agent.code.grammars import Grammar, grammar
from agent.code.shape import Shape, packed, shape

_MEMORY = 1 << 30


def main() -> None:
    """Answer each request on stdin, a line of JSON and the text itself, with a line on stdout, until there is no more."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    loaded: dict[str, Grammar] = {}
    while line := sys.stdin.buffer.readline():
        language, length, seconds, wanted = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # it ends us, whatever a parser is about, and counts what we compute alone
        raw = sys.stdin.buffer.read(length)
        try:
            if language not in loaded:
                loaded[language] = grammar(language)
            found = shape(language, loaded[language], raw)
        except MemoryError:
            found = Shape(refused="it takes too much memory to parse")
        if wanted is not None:
            found = Shape(found.definitions, {name: found.uses[name] for name in wanted if name in found.uses}, found.broken)
        sys.stdout.write(json.dumps(packed(found)) + "\n")
        sys.stdout.flush()
