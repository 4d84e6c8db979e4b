"""Owns a rule of the person's: what it says of which calls, and the rule that would cover a call."""

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Self

from agent.command.parts import Part
from agent.command.weigh import Command, Deed, Weighed
from agent.effects import Effect
from agent.errors import UsageError
from agent.workspace.contract import Located, Place


class Decision(StrEnum):
    """What becomes of a call; the strictest of several wins."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


STRICTNESS = (Decision.ALLOW, Decision.ASK, Decision.DENY)
NETWORK = "network"  # rules of this name are of package managers: network(pip)

_RULE = re.compile(r"(?P<tool>[a-z][a-z0-9_]*)(?:\((?P<pattern>.*)\))?", re.DOTALL)
_NOWHERE = frozenset({"/dev/null", "1", "2"})
_BRACES = re.compile(r"\{([^{},]*,[^{}]*)\}")
_UNSEEN = re.compile(r"\\\n|[\\'\"]")
_BETWEEN = re.compile(r"[\s;&|()<>`${},=]+")
_GLUED = re.compile(r"-[A-Za-z].")
_MAGIC = re.compile(r"[*?\[]")
_MOST_EXPANDED = 1 << 18  # characters of all that braces are expanded to
# Their second word is a verb of theirs, and says what they do.
_VERBS = frozenset(
    {"git", "npm", "pnpm", "yarn", "cargo", "go", "docker", "uv", "poetry", "pip", "mvn", "gradle", "dotnet", "bundle"}
)
# What these run is in their words, or in a file: a prefix would allow anything.
_OPEN_ENDED = re.compile(
    r"(?:python|node|ruby|perl|php|deno|bun|lua|bash|sh|zsh|dash|fish|ksh|env|sudo|doas|su|xargs|find|sed|awk|gawk|eval|exec|source"
    r"|timeout|nice|nohup|time|watch|ssh|npx|uvx|pipx|command|builtin|busybox|parallel|make|just)[\d.]*"
)


@dataclass(frozen=True, slots=True)
class Question:
    """All that the policy may know of a call."""

    tool: str
    effect: Effect
    subject: str
    paths: tuple[Located, ...] = ()
    doubted: bool = False  # it stood in the words of a model that sends its calls otherwise, as what it only quotes would
    unheld: bool = False  # what it changes is kept by no ledger, so that it could not be undone
    command: Command | None = None  # where it runs one

    def lies(self, place: Place) -> bool:
        """Whether a path of the call lies there."""
        return any(path.place is place for path in self.paths)


@dataclass(frozen=True, slots=True)
class Rule:
    """`tool` or `tool(pattern)`: a glob over the path, or a prefix of the command's words with a final `*`."""

    tool: str
    pattern: str
    decision: Decision
    source: str

    @classmethod
    def read(cls, text: str, decision: Decision, source: str) -> Self:
        """Parse what a person wrote. Raises UsageError."""
        match = _RULE.fullmatch(text.strip())
        if match is None or (match["pattern"] is not None and not match["pattern"].strip()):
            raise UsageError(
                f"{source}: {text!r} is no rule; write tool or tool(pattern), such as 'shell(pytest *)' or 'edit(src/*)'"
            )
        pattern = (match["pattern"] or "*").strip()
        words = pattern.split()
        gaps = any("*" in word for word in words[:-1]) or ("*" in words[-1] and words[-1] != "*")
        if decision is Decision.ALLOW and match["tool"] == "shell" and gaps:
            raise UsageError(f"{source}: {text!r}: a * can only stand at the end of what is allowed, as a word of its own")
        if decision is not Decision.ALLOW and match["tool"] == "shell" and pattern != "*" and not _bare_words(pattern):
            raise UsageError(f"{source}: {text!r} names no command")
        return cls(match["tool"], pattern, decision, source)

    def __str__(self) -> str:
        return self.tool if self.pattern == "*" else f"{self.tool}({self.pattern})"

    def narrows(self, question: Question) -> bool:
        """Whether the rule, one that asks or denies, is of this call: rather too often than too rarely."""
        if self.tool == "read" and question.command is not None:
            return self.pattern != "*" and self._is_named(question.command)
        # What may not be read may not be shown, found or changed by another tool either.
        if self.tool != question.tool and not (self.tool == "read" and question.paths) and self.tool != NETWORK:
            return False
        if self.tool == NETWORK:
            return question.command is not None and any(self._installs(one) for one in question.command.parts)
        if self.pattern == "*":
            return True
        if question.effect is Effect.EXEC:
            seen = question.command.parts if question.command is not None else ()
            return _mentions(self.pattern, question.subject) or any(self.denies(one.part) for one in seen)
        names = {question.subject, *(name for path in question.paths for name in (path.shown, path.called, str(path.real)))}
        return any(_is_at(name, self.pattern) for name in names if name)

    def narrows_reading(self, tool: str) -> bool:
        """Whether the rule can ask for or deny a call of a tool that reads."""
        return self.decision is not Decision.ALLOW and self.tool in {tool, "read"}

    def _is_named(self, command: Command) -> bool:
        """Whether a command names a path that the pattern is of, wherever it stands: what only leads there is not seen."""
        words = {*_bare_words(command.text), *(word for one in command.parts for word in one.part.argv)}
        forms = {form for word in words for form in _paths_in(word)}
        anywhere = self.pattern if self.pattern.startswith(("/", "~", "*")) else f"*/{self.pattern.removeprefix('./')}"
        if any(_is_at(form, self.pattern) or _is_at(form, anywhere) for form in forms):
            return True
        return any(self._is_named_from(one, command.begins) for one in command.parts)

    def _is_named_from(self, weighed: Weighed, begins: str) -> bool:
        """Whether a part names such a path from where it stands, or by a glob; where that is not known, any may be one."""
        words = weighed.part.words[1:]
        folders = {*weighed.folders, *(word.text for before, word in pairwise(words) if before.text == "-C")}
        if self.pattern.startswith(("/", "~")):
            folders = {os.path.join(begins, folder) for folder in folders}  # noqa: PTH118 - of what is none yet
        redirected = (one.target for one in weighed.part.redirects if "<" in one.operator and "<<" not in one.operator)
        for word in (*words, *redirected):
            for form in _paths_in(word.text):
                if not weighed.folders and not form.startswith(("-", "/", "~")):
                    return True
                for folder in folders:
                    path = f"{folder}/{form}" if folder and not form.startswith(("/", "~")) else form
                    if (folder and _is_at(path, self.pattern)) or (word.glob and _may_find(path, self.pattern)):
                        return True
        return False

    def denies(self, part: Part) -> bool:
        """Whether a part could be what the pattern names: its words come in this order."""
        wanted = [word for word in _bare_words(self.pattern) if word != "*"]
        return _in_order(wanted, [word for text in part.argv for word in _bare_words(text)])

    def allows(self, question: Question) -> bool:
        """Whether the rule, one that allows, is of this call as a whole: where its paths lead, whatever they are called."""
        if self.tool != question.tool:
            return False
        if self.pattern == "*":
            return True
        if question.effect is Effect.EXEC:
            return False  # each part is asked about by itself
        shown = [path.shown for path in question.paths] or [question.subject]
        return all(fnmatch.fnmatchcase(name, self.pattern) for name in shown)

    def clears(self, weighed: Weighed) -> bool:
        """Whether the rule, one that allows, is of this part: one that is known to the letter."""
        if self.tool == NETWORK:
            return self._installs(weighed)
        if self.tool != "shell" or not weighed.part.literal or not _harmless(weighed.part):
            return False
        wanted, words = tuple(self.pattern.split()), weighed.part.argv
        if wanted[-1] == "*" and not weighed.strays:
            return words[: len(wanted) - 1] == wanted[:-1]
        return words == wanted

    def _installs(self, weighed: Weighed) -> bool:
        return bool(weighed.installs) and self.pattern in {"*", weighed.installs}


def suggested(question: Question) -> tuple[str, ...]:
    """Return the rules that would cover a call from now on: none where none could, or where one would cover anything."""
    if question.effect is not Effect.EXEC:
        shown = [path.shown for path in question.paths if path.place is Place.INSIDE]
        if len(shown) != 1 or len(question.paths) != 1 or re.search(r"[*?\[\]]|^\s|\s$", shown[0]):
            return ()  # a rule would read a name with such characters as a pattern, or not at all
        folder, _, _ = shown[0].rpartition("/")
        return (f"{question.tool}({folder}/*)" if folder else f"{question.tool}({shown[0]})",)
    command = question.command
    if command is None or command.fault or not command.plain:
        return ()
    rules = [_covering(one) for one in command.parts if one.deed is not Deed.LOOKS]
    return tuple(dict.fromkeys(rules)) if all(rules) else ()


def _covering(weighed: Weighed) -> str:
    part = weighed.part
    if weighed.installs:
        return f"{NETWORK}({weighed.installs})"
    if not part.literal or not _harmless(part) or any(re.search(r"[\s*()'\"]", word) or not word for word in part.argv):
        return ""
    name, *rest = part.argv
    exact = f"shell({' '.join(part.argv)})"
    if weighed.deed in {Deed.LEAVES, Deed.RUINS, Deed.SECRET, Deed.UNREAD} or _OPEN_ENDED.fullmatch(name.rpartition("/")[2]):
        return exact
    if name in _VERBS:
        return (
            f"shell({name} {rest[0]} *)" if rest and not rest[0].startswith("-") and weighed.deed is not Deed.REACHES else exact
        )
    return f"shell({name} *)" if weighed.deed is Deed.WORKS else exact


def _harmless(part: Part) -> bool:
    """Whether its redirections write no file."""
    return all(one.operator.startswith("<") or one.target.text in _NOWHERE for one in part.redirects)


def covered(rules: Iterable[Rule], question: Question, *, held: bool = False) -> bool:
    """Whether rules that allow cover a call, all its parts. Where a sandbox is `held`, what only looks there is covered too."""
    rules = [rule for rule in rules if rule.decision is Decision.ALLOW]
    if any(rule.allows(question) for rule in rules):
        return True
    command = question.command
    if command is None or command.fault or not command.plain or not command.parts:
        return False
    looks = [one for one in command.parts if one.deed is Deed.LOOKS and (held or not one.sandboxed)]
    return all(one in looks or any(rule.clears(one) for rule in rules) for one in command.parts)


def _mentions(pattern: str, command: str) -> bool:
    """Whether a command could be what a deny rule names, if its words come in this order: rather too often than too rarely."""
    wanted = [word for word in _bare_words(pattern) if word != "*"]
    variants = _expanded(command)
    if variants is None:  # too many braces to look through: any letters of theirs could be what is denied
        return True
    return any(_in_order(wanted, _bare_words(variant)) for variant in variants)


def _in_order(wanted: Sequence[str], words: Iterable[str]) -> bool:
    together = "\n".join(words)
    if any(one not in together for one in wanted if not _MAGIC.search(one)):
        return False
    left = iter(words)
    return bool(wanted) and all(any(_is(word, one) for word in left) for one in wanted)


def _expanded(command: str) -> list[str] | None:
    """Return the command, and what a shell could make of its braces; None where that is too much."""
    variants = [command]
    left = _MOST_EXPANDED
    for variant in variants:
        braces = _BRACES.search(variant)
        if braces is None:
            continue
        ones = braces[1].split(",")
        left -= len(ones) * len(variant)
        if left < 0:
            return None
        variants += [variant[: braces.start()] + one + variant[braces.end() :] for one in ones]
    return variants


@lru_cache(maxsize=256)  # each rule asks for those of the same command
def _bare_words(text: str) -> tuple[str, ...]:
    """Return the words of a command without what a shell makes of quotes, continued lines, braces and operators."""
    bare = _UNSEEN.sub("", text)
    return tuple(word.removeprefix("./") for word in _BETWEEN.split(bare) if word)


def _paths_in(word: str) -> Iterator[str]:
    """Yield what of a word may be a path: it, and what is glued to an option's letter or stands behind its name."""
    for form in (word, word[2:] if word.startswith("-") else "", word.partition("=")[2]):
        if bare := form.lstrip("@"):
            yield bare


def _may_find(glob: str, pattern: str) -> bool:
    """Whether a glob of the shell's may find a path that a pattern that denies names: each step of either may be the other's."""
    steps, named = (os.path.normpath(text).casefold().split("/") for text in (glob, pattern))
    fits = (fnmatch.fnmatchcase(one, other) or fnmatch.fnmatchcase(other, one) for one, other in zip(steps, named, strict=False))
    return len(steps) >= len(named) and all(fits)


def _is_at(name: str, pattern: str) -> bool:
    """Whether a path, or a folder that it is in, is what a pattern that denies names, in whatever case it is written."""
    path = os.path.normpath(name).casefold()
    wanted = os.path.normpath(os.path.expanduser(pattern)).casefold()  # noqa: PTH111 - a pattern is no path
    above = (str(folder) for folder in PurePosixPath(path).parents)
    return any(fnmatch.fnmatchcase(form, wanted) for form in (path, f"{path}/", *above) if form != ".")


def _is(word: str, wanted: str) -> bool:
    """Whether a word is the wanted one, by any path, or glued to an option's letter."""
    forms = (word, word[2:]) if word[:1] == "-" and _GLUED.match(word) else (word,)
    if not _MAGIC.search(wanted):
        return any(form == wanted or form.endswith(f"/{wanted}") for form in forms)
    return any(fnmatch.fnmatchcase(form, wanted) or fnmatch.fnmatchcase(form, f"*/{wanted}") for form in forms)
