"""Owns the pure table: mode × effect × place × deed × sandbox × rules → allow, ask or deny, with the reason."""

from dataclasses import dataclass
from enum import StrEnum

from agent.command.weigh import Command, Deed
from agent.effects import Effect
from agent.rules import STRICTNESS, Decision, Question, Rule, covered, suggested
from agent.workspace.contract import READ_ONLY, UNCONFINED, Confinement, Place


class Mode(StrEnum):
    """How much may run without asking; a row of the tables each."""

    PLAN = "plan"
    ASK = "ask"
    EDITS = "edits"
    AUTO = "auto"
    YOLO = "yolo"


ORDER = (Mode.ASK, Mode.EDITS, Mode.AUTO, Mode.PLAN)  # as a person goes through them; yolo is for the command line alone
_A, _Q, _D = Decision.ALLOW, Decision.ASK, Decision.DENY

TABLE: dict[Mode, dict[Effect, Decision]] = {
    Mode.PLAN: {Effect.READ: _A, Effect.WRITE: _D, Effect.EXEC: _D, Effect.NET: _D},
    Mode.ASK: {Effect.READ: _A, Effect.WRITE: _Q, Effect.EXEC: _Q, Effect.NET: _Q},
    Mode.EDITS: {Effect.READ: _A, Effect.WRITE: _A, Effect.EXEC: _Q, Effect.NET: _Q},
    Mode.AUTO: {Effect.READ: _A, Effect.WRITE: _A, Effect.EXEC: _Q, Effect.NET: _Q},
    Mode.YOLO: {Effect.READ: _A, Effect.WRITE: _A, Effect.EXEC: _A, Effect.NET: _A},
}
# What a sandbox holds needs no question where it can be undone, or changes nothing; all else of a command is in TABLE.
CONFINED: dict[Mode, frozenset[Deed]] = {
    Mode.PLAN: frozenset({Deed.LOOKS, Deed.WORKS, Deed.GIT, Deed.UNREAD}),  # in a sandbox that lets nothing be written
    Mode.ASK: frozenset({Deed.LOOKS}),
    Mode.EDITS: frozenset({Deed.LOOKS}),
    Mode.AUTO: frozenset({Deed.LOOKS, Deed.WORKS, Deed.GIT}),
    Mode.YOLO: frozenset(Deed),
}

_WHY = {
    Effect.READ: "it reads",
    Effect.WRITE: "it changes files",
    Effect.EXEC: "it runs a command",
    Effect.NET: "it reaches the network",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """What a session may rely on: a sandbox that holds here, and a ledger that keeps what commands change."""

    sandbox: bool = False
    kept: bool = False
    by_host: bool = True  # the sandbox opens the network to some hosts alone; else to all, where it opens it


def default_mode(ground: Ground) -> Mode:
    """Return the mode of a person who chose none: what is reversible runs, where a sandbox and the ledger make it so."""
    return Mode.AUTO if ground.sandbox and ground.kept else Mode.ASK


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a call, why, by which rule, and how a command is confined if it runs."""

    decision: Decision
    reason: str
    rule: str = ""
    confined: Confinement = UNCONFINED
    suggested: tuple[str, ...] = ()  # rules that would cover it from now on


def judge(mode: Mode, question: Question, rules: tuple[Rule, ...] = (), ground: Ground | None = None) -> Verdict:
    """Decide one call. Deny beats ask beats allow; only an allow rule loosens the tables, and never in plan mode."""
    if question.lies(Place.HIDDEN):
        return Verdict(_D, "credentials, devices and jumar's own state are never touched")
    narrowing = [rule for rule in rules if rule.decision is not _A and rule.narrows(question)]
    if narrowing:
        strictest = max(narrowing, key=lambda rule: STRICTNESS.index(rule.decision))
        confined = _needed(question.command, ground or Ground())
        return Verdict(strictest.decision, f"the rule {strictest} of {strictest.source} says so", str(strictest), confined)
    if question.command is not None:
        return _command(mode, question, question.command, rules, ground or Ground())
    base = TABLE[mode][question.effect]
    if base is _D:
        return Verdict(base, f"{mode} mode is read-only, and this call is not: {_WHY[question.effect]}")
    allowing = next((rule for rule in rules if rule.decision is _A and rule.allows(question)), None)
    if mode is not Mode.YOLO and (why := _worth_asking(question, allowing)):
        return Verdict(_Q, why)
    if base is _A:
        return Verdict(base, f"{mode} mode allows it")
    if allowing is not None:
        return Verdict(_A, f"the rule {allowing} of {allowing.source} allows it", str(allowing))
    return Verdict(base, f"{mode} mode asks: {_WHY[question.effect]}", suggested=suggested(question))


def _worth_asking(question: Question, allowing: Rule | None) -> str:
    """Say why a call that the table allows is asked about all the same."""
    changes = question.effect is not Effect.READ
    if question.lies(Place.OUTSIDE):
        return "it lies outside the workspace"
    if changes and question.lies(Place.PROTECTED):
        return "other programs act on what this file says"
    if not changes and any(path.secret for path in question.paths) and (allowing is None or allowing.pattern == "*"):
        return "it is called as secrets are, and the model would know what stands in it"
    if changes and question.doubted:
        return "it stood in the model's words, where what is only quoted stands too"
    if question.unheld and allowing is None:
        return "it lies outside the work tree, so it could not be undone"
    return ""


def _command(mode: Mode, question: Question, command: Command, rules: tuple[Rule, ...], ground: Ground) -> Verdict:
    deed = command.deed
    needed = _needed(command, ground)
    if mode is Mode.YOLO:
        return Verdict(_A, "yolo mode allows it")
    if mode is Mode.PLAN:
        if worst := next((one for one in command.parts if one.deed not in {*CONFINED[mode], Deed.SECRET}), None):
            return Verdict(_D, f"plan mode is read-only, and this call is not: {worst.why}")
        if secret := next(iter(command.doing(Deed.SECRET)), None):
            return Verdict(_Q, secret.why, confined=READ_ONLY if ground.sandbox else UNCONFINED)
        if not ground.sandbox and not _harmless(command):
            return Verdict(_D, "plan mode is read-only, and no sandbox holds here that would keep a command to reading")
        return Verdict(_A, "plan mode allows what only reads", confined=needed if not ground.sandbox else READ_ONLY)
    if question.doubted and deed is not Deed.LOOKS:
        return Verdict(_Q, "it stood in the model's words, where what is only quoted stands too", confined=needed)
    if _harmless(command) or (deed is Deed.LOOKS and ground.sandbox):
        return Verdict(_A, f"{mode} mode allows what only reads", confined=READ_ONLY if ground.sandbox else UNCONFINED)
    if covered(rules, question, held=ground.sandbox):
        rule = next(
            rule
            for rule in rules
            if rule.decision is _A and (rule.allows(question) or any(rule.clears(one) for one in command.parts))
        )
        return Verdict(_A, f"the rule {rule} of {rule.source} allows it", str(rule), needed)
    if deed in CONFINED[mode] and ground.sandbox and ground.kept:
        return Verdict(_A, f"{mode} mode allows what the sandbox confines and the ledger can undo", confined=needed)
    return Verdict(_Q, _reason(mode, command, ground), confined=needed, suggested=suggested(question))


def _harmless(command: Command) -> bool:
    """Whether it only reads, with no sandbox too."""
    return command.deed is Deed.LOOKS and not any(one.sandboxed for one in command.parts)


def _reason(mode: Mode, command: Command, ground: Ground) -> str:
    if command.deed not in {Deed.LOOKS, Deed.WORKS, Deed.GIT}:
        return command.why
    if mode is not Mode.AUTO:
        return f"{mode} mode asks: it runs a command"
    missing = "no sandbox holds here, so it could do anything" if not ground.sandbox else "no ledger keeps what it changes"
    return f"{missing}, and it could not be undone"


def _needed(command: Command | None, ground: Ground) -> Confinement:
    """Return the least that a command can do its work with."""
    if command is None or not ground.sandbox or command.doing(Deed.LEAVES):
        return UNCONFINED
    if command.deed is Deed.LOOKS:
        return READ_ONLY
    reaching = command.doing(Deed.REACHES)
    hosts = tuple(sorted({host for one in reaching for host in one.hosts}))
    if any(not one.hosts for one in reaching) or (hosts and not ground.by_host):
        hosts = ("*",)
    git = any(one.deed is Deed.GIT or (one.part.words and one.part.words[0].text == "git") for one in command.parts)
    return Confinement(git=git and bool(command.doing(Deed.GIT, Deed.REACHES, Deed.RUINS)), hosts=hosts)


def permits(mode: Mode, rules: tuple[Rule, ...], ground: Ground, *, person: bool) -> str:
    """Say to a model what may run, so that it need not find out by being refused."""
    if mode is Mode.PLAN:
        runs = " Commands run in a sandbox where nothing can be written." if ground.sandbox else ""
        return f"This run is read-only: changes are refused.{runs} Read, and say what you would do."
    if mode is Mode.YOLO:
        return f"Changes and commands may run without approval{_but(rules)}."
    refused = "" if person else " Nobody is there to approve anything: what needs approval is refused, so do not send it."
    return f"{_files(mode, rules)}; {_commands(mode, rules, ground)}{_but(rules)}.{refused}"


def _files(mode: Mode, rules: tuple[Rule, ...]) -> str:
    if TABLE[mode][Effect.WRITE] is _A:
        some = ".git, .github, .vscode, .env, .npmrc, AGENTS.md"
        return (
            f"Files in the workspace may be changed without approval, but for those that other programs act on (such as {some})"
        )
    open_ = [str(rule) for rule in rules if rule.decision is _A and rule.tool in {"edit", "rewrite", "write"}]
    return "Changes of files need approval" + (f" but for these: {', '.join(open_)}" if open_ else "")


def _commands(mode: Mode, rules: tuple[Rule, ...], ground: Ground) -> str:
    plain = [rule.pattern for rule in rules if rule.decision is _A and rule.tool == "shell"]
    if "*" in plain:
        return "a command may run without approval"
    if Deed.WORKS in CONFINED[mode] and ground.sandbox and ground.kept:
        also = f"; these may run too: {'; '.join(plain)}" if plain else ""
        return (
            "commands run in a sandbox without approval: they may change files of the workspace and git's own state; "
            f"what needs the network, secrets, or files elsewhere needs approval{also}"
        )
    only = f" and these, written out without variables or substitutions: {'; '.join(plain)}" if plain else ""
    return f"commands need approval but for those that only read (such as ls, cat, rg, git diff){only}"


def _but(rules: tuple[Rule, ...]) -> str:
    denied = [str(rule) for rule in rules if rule.decision is _D]
    return f"; never allowed: {'; '.join(denied)}" if denied else ""
