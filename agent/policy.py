"""Owns the pure table: mode × effect × place × rules → allow, ask or deny, with the reason."""

import fnmatch
import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from agent.errors import UsageError
from agent.tool import Effect
from agent.workspace.contract import Located, Place


class Mode(StrEnum):
    """How much may run without asking; a row of the table each."""

    PLAN = "plan"
    ASK = "ask"
    EDITS = "edits"
    AUTO = "auto"
    YOLO = "yolo"


class Decision(StrEnum):
    """What becomes of a call; the strictest of several wins."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


_STRICTNESS = (Decision.ALLOW, Decision.ASK, Decision.DENY)
_A, _Q, _D = Decision.ALLOW, Decision.ASK, Decision.DENY

# Commands count as irreversible as long as nothing confines them.
TABLE: dict[Mode, dict[Effect, Decision]] = {
    Mode.PLAN: {Effect.READ: _A, Effect.WRITE: _D, Effect.EXEC: _D, Effect.NET: _D},
    Mode.ASK: {Effect.READ: _A, Effect.WRITE: _Q, Effect.EXEC: _Q, Effect.NET: _Q},
    Mode.EDITS: {Effect.READ: _A, Effect.WRITE: _A, Effect.EXEC: _Q, Effect.NET: _Q},
    Mode.AUTO: {Effect.READ: _A, Effect.WRITE: _A, Effect.EXEC: _Q, Effect.NET: _Q},
    Mode.YOLO: {Effect.READ: _A, Effect.WRITE: _A, Effect.EXEC: _A, Effect.NET: _A},
}

_WHY = {
    Effect.READ: "it reads",
    Effect.WRITE: "it changes files",
    Effect.EXEC: "a command is not confined and cannot be undone",
    Effect.NET: "it reaches the network",
}

_RULE = re.compile(r"(?P<tool>[a-z][a-z0-9_]*)(?:\((?P<pattern>.*)\))?", re.DOTALL)
# Any of these makes a command more than one literal argument vector.
_NOT_PLAIN = re.compile(r"[^\w\s./:=@%+,\-'\"]|[\r\n\0]|[^\x20-\x7e]")
_BRACES = re.compile(r"\{([^{},]*,[^{}]*)\}")
_MOST_EXPANDED = 1 << 18  # characters of all that braces are expanded to


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


@dataclass(frozen=True, slots=True)
class Question:
    """All that the policy may know of a call."""

    tool: str
    effect: Effect
    subject: str
    paths: tuple[Located, ...] = ()
    doubted: bool = False  # it stood in the words of a model that sends its calls otherwise, as what it only quotes would
    unheld: bool = False  # what it changes is kept by no ledger, so that it could not be undone

    def lies(self, place: Place) -> bool:
        """Whether a path of the call lies there."""
        return any(path.place is place for path in self.paths)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a call, why, and by which rule."""

    decision: Decision
    reason: str
    rule: str = ""


def plain_words(command: str) -> tuple[str, ...] | None:
    """Return the words of a command that is one literal argument vector, else None: a rule may then not allow it."""
    if _NOT_PLAIN.search(command):
        return None
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        return None
    if not words or "=" in words[0]:
        return None
    return words


def _words_match(pattern: str, words: tuple[str, ...]) -> bool:
    wanted = pattern.split()
    if wanted and wanted[-1] == "*":
        return words[: len(wanted) - 1] == tuple(wanted[:-1])
    return words == tuple(wanted)


def _mentions(pattern: str, command: str) -> bool:
    """Whether a command could be what a deny rule names, if its words come in this order: rather too often than too rarely."""
    wanted = [word for word in _bare_words(pattern) if word != "*"]
    variants = _expanded(command)
    if variants is None:  # too many braces to look through: any letters of theirs could be what is denied
        return True
    return any(_in_order(wanted, _bare_words(variant)) for variant in variants)


def _in_order(wanted: list[str], words: list[str]) -> bool:
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


def _bare_words(text: str) -> list[str]:
    """Return the words of a command without what a shell makes of quotes, continued lines, braces and operators."""
    bare = re.sub(r"\\\n|[\\'\"]", "", text)
    return [word.removeprefix("./") for word in re.split(r"[\s;&|()<>`${},=]+", bare) if word]


def _is(word: str, wanted: str) -> bool:
    """Whether a word is the wanted one, by any path, or glued to an option's letter."""
    forms = (word, word[2:]) if re.match(r"-[A-Za-z].", word) else (word,)
    return any(fnmatch.fnmatchcase(form, wanted) or fnmatch.fnmatchcase(form, f"*/{wanted}") for form in forms)


def _applies(rule: Rule, question: Question) -> bool:
    denies = rule.decision is not Decision.ALLOW
    # What may not be read may not be shown, found or changed by another tool either.
    if rule.tool != question.tool and not (denies and rule.tool == "read" and question.paths):
        return False
    if rule.pattern == "*":
        return True
    if question.effect is Effect.EXEC:
        if denies:
            return _mentions(rule.pattern, question.subject)
        words = plain_words(question.subject)
        return words is not None and _words_match(rule.pattern, words)
    # What is allowed is where a path leads; what is denied, also what it is called.
    if denies:
        names = {question.subject, *(name for path in question.paths for name in (path.shown, path.called, str(path.real)))}
        return any(fnmatch.fnmatchcase(form, rule.pattern) for name in names if name for form in (name, f"{name}/"))
    shown = [path.shown for path in question.paths] or [question.subject]
    return all(fnmatch.fnmatchcase(name, rule.pattern) for name in shown)


def judge(mode: Mode, question: Question, rules: tuple[Rule, ...] = ()) -> Verdict:
    """Decide one call. Deny beats ask beats allow; only an allow rule loosens the table, and never in plan mode."""
    if question.lies(Place.HIDDEN):
        return Verdict(Decision.DENY, "credentials, devices and jumar's own state are never touched")
    matching = [rule for rule in rules if _applies(rule, question)]
    if matching:
        strictest = max(matching, key=lambda rule: _STRICTNESS.index(rule.decision))
        if strictest.decision is not Decision.ALLOW:
            return Verdict(strictest.decision, f"the rule {strictest} of {strictest.source} says so", str(strictest))
    base = TABLE[mode][question.effect]
    if base is Decision.DENY:
        return Verdict(base, f"{mode} mode is read-only: {_WHY[question.effect]}")
    if mode is not Mode.YOLO:
        if question.lies(Place.OUTSIDE):
            return Verdict(Decision.ASK, "it lies outside the workspace")
        if question.lies(Place.PROTECTED) and question.effect is not Effect.READ:
            return Verdict(Decision.ASK, "other programs act on what this file says")
        if question.doubted and question.effect is not Effect.READ:
            return Verdict(Decision.ASK, "it stood in the model's words, where what is only quoted stands too")
        if question.unheld and not matching:
            return Verdict(Decision.ASK, "it lies outside the work tree, so it could not be undone")
    if base is Decision.ALLOW:
        return Verdict(base, f"{mode} mode allows it")
    if matching:
        return Verdict(Decision.ALLOW, f"the rule {matching[0]} of {matching[0].source} allows it", str(matching[0]))
    return Verdict(base, f"{mode} mode asks: {_WHY[question.effect]}")


def permits(mode: Mode, rules: tuple[Rule, ...], *, person: bool) -> str:
    """Say to a model what may run, so that it need not find out by being refused."""
    row = TABLE[mode]
    if row[Effect.EXEC] is Decision.DENY:
        return "This run is read-only: changes and commands are refused. Read, and say what you would do."
    if row[Effect.EXEC] is Decision.ALLOW:
        return f"Changes and commands may run without approval{_but(rules)}."
    edits = row[Effect.WRITE] is Decision.ALLOW
    open_ = [str(rule) for rule in rules if rule.decision is Decision.ALLOW and rule.tool in {"edit", "write"}]
    files = "Changes of files need approval" + (f" but for these: {', '.join(open_)}" if open_ else "")
    if edits:
        files = "Files in the workspace may be changed without approval, but for those that other programs act on"
    plain = [rule.pattern for rule in rules if rule.decision is Decision.ALLOW and rule.tool == "shell"]
    commands = "commands need approval"
    if "*" in plain:
        commands = "a command may run without approval"
    elif plain:
        commands = f"commands need approval but for these, each sent alone, without pipes or redirections: {'; '.join(plain)}"
    refused = "" if person else " Nobody is there to approve anything: what needs approval is refused, so do not send it."
    return f"{files}; {commands}{_but(rules)}.{refused}"


def _but(rules: tuple[Rule, ...]) -> str:
    denied = [str(rule) for rule in rules if rule.decision is Decision.DENY]
    return f"; never allowed: {'; '.join(denied)}" if denied else ""
