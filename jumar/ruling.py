"""Owns the commands on rules: list them, explain what becomes of a command, test a file of expectations, forget one."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agent import config
from agent.command.losses import losses
from agent.command.weigh import Command, weigh
from agent.effects import Effect
from agent.errors import UsageError
from agent.policy import Ground, Mode, Verdict, default_mode, judge
from agent.rules import Decision, Question, Rule
from agent.safe import safe_json, safe_line, safe_text
from agent.workspace.contract import Located
from agent.workspace.local import LocalWorkspace
from jumar.arguments import MODES, Parser
from jumar.home import home
from jumar.lines import Style, painted
from jumar.rulebook import Held, Rulebook
from jumar.trust import is_trusted, tree_root
from jumar.wiring import find_tools

_STYLES: dict[Decision, Style] = {Decision.ALLOW: "good", Decision.ASK: "plain", Decision.DENY: "bad"}
_LARGEST = 1 << 20  # bytes of a file of expectations


@dataclass(frozen=True, slots=True)
class Bench:
    """What commands are judged with here: as a run would, with what is known before one begins."""

    workspace: LocalWorkspace
    book: Rulebook
    held: Held
    mode: Mode
    ground: Ground
    trusted: bool

    @classmethod
    def at(cls, cwd: str, mode: str, *, trusted: bool = False) -> "Bench":
        """Set one up for a folder; `trusted` says that it is for now, remembered or not. Raises UsageError."""
        if not Path(cwd).is_dir():
            raise UsageError(f"-C {cwd!r} is no folder")
        place, root = home(os.environ), tree_root(Path(cwd))
        settings = config.load(place.config / "config.toml")
        book = Rulebook(place, root, find_tools())
        trusted = trusted or is_trusted(place, root)
        held = book.rules(settings, trusted=trusted)
        workspace = LocalWorkspace(
            root,
            Path(cwd),
            spill=place.sessions / "spill",
            hidden=(place.config, place.state),
            environment=os.environ,
            sandbox=settings.sandbox,
            known=place.state / "sandbox.json",
        )
        ground = Ground(workspace.sandbox != "none", kept=True, by_host=workspace.sandbox == "bubblewrap")
        return cls(workspace, book, held, Mode(mode or settings.mode or default_mode(ground)), ground, trusted)

    def judged(self, text: str) -> tuple[Command, Verdict]:
        """Weigh and judge one command."""
        command = weigh(text, self.workspace.locate, _kept)
        return command, self._verdict(command)

    def alone(self, command: Command) -> list[Verdict]:
        """Judge each part as if it stood alone."""
        return [self._verdict(replace(command, parts=(one,), fault="")) for one in command.parts]

    def _verdict(self, command: Command) -> Verdict:
        question = Question("shell", Effect.EXEC, command.text, command=command)
        return judge(self.mode, question, self.held.rules, self.ground)


def rules(arguments: Sequence[str]) -> int:
    """Carry out `jumar rules`."""
    parser = Parser(
        prog="jumar rules",
        description="Say which rules hold here, and what becomes of a command. Exit codes of test: 0 all as expected, 1 not so.",
    )
    parser.add_argument("-C", dest="cwd", default=".", metavar="DIR", help="the work tree; the current folder without it")
    parser.add_argument("--json", action="store_true", help="JSON in place of words")
    parser.add_argument("--mode", choices=MODES, default="", help="judge as in this mode; without it, as a run here would")
    parser.add_argument("what", nargs="?", choices=("list", "explain", "test", "forget"), default="list", help="list without it")
    parser.add_argument("argument", nargs="?", default="", metavar="COMMAND|FILE|RULE", help="what to explain, test or forget")
    given = parser.parse_args(arguments)
    if given.what != "list" and not given.argument:
        missing = {"explain": "the command, in quotes", "test": "a file", "forget": "a rule, as jumar rules lists it"}
        parser.error(f"{given.what} needs {missing[given.what]}")
    bench = Bench.at(given.cwd, given.mode)
    for warning in bench.held.warnings:
        print(f"jumar: {safe_line(warning)}", file=sys.stderr)
    match given.what:
        case "explain":
            return _explain(bench, given.argument, as_json=given.json)
        case "test":
            return _test(bench, given.argument, as_json=given.json)
        case "forget":
            return _forget(bench, given.argument)
        case _:
            return _list(bench.held.rules, as_json=given.json)


def _list(held: tuple[Rule, ...], *, as_json: bool) -> int:
    for rule in held:
        if as_json:
            row = {"decision": rule.decision, "rule": str(rule), "source": rule.source}
            print(safe_json(json.dumps(row, ensure_ascii=False)))
        else:
            print(f"{rule.decision:5}  {safe_line(str(rule))}  ({safe_line(rule.source)})")
    if not (held or as_json):
        print("no rules hold here; --allow and --deny make some, and so does allowing with a rule", file=sys.stderr)
    return 0


def _explain(bench: Bench, text: str, *, as_json: bool) -> int:
    command, verdict = bench.judged(text)
    alone = bench.alone(command)
    if as_json:
        parts = [
            {
                "source": one.part.source,
                "deed": one.deed,
                "why": one.why,
                "decision": each.decision,
                "rule": each.rule,
                "wrapped": one.part.wrapped,
            }
            for one, each in zip(command.parts, alone, strict=True)
        ]
        whole = {
            "command": text,
            "mode": bench.mode,
            "decision": verdict.decision,
            "reason": verdict.reason,
            "rule": verdict.rule,
            "confined": str(verdict.confined),
            "suggested": verdict.suggested,
            "irreversible": losses(command),
            "parts": parts,
        }
        print(safe_json(json.dumps(whole, ensure_ascii=False)))
        return 0
    coloured = sys.stdout.isatty() and not (os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb")
    for one, each in zip(command.parts, alone, strict=True):
        by = f"  (rule {safe_line(each.rule)})" if each.rule else ""
        print(f"  {safe_text(one.part.source)}")
        print(f"    {painted((_STYLES[each.decision], each.decision), coloured)}: {safe_line(one.why)}{by}")
    print(f"{painted((_STYLES[verdict.decision], verdict.decision), coloured)} in {bench.mode} mode: {safe_line(verdict.reason)}")
    if verdict.decision is not Decision.DENY:
        print(f"it would run with: {verdict.confined}")
    if lost := losses(command):
        print(f"could not be undone: {'; '.join(map(safe_line, lost))}")
    if verdict.suggested:
        print(f"rules that would allow it: {'; '.join(safe_line(rule) for rule in verdict.suggested)}")
    return 0


def _test(bench: Bench, file: str, *, as_json: bool) -> int:
    """Compare what becomes of commands with what a file expects: a line each, `allow|ask|deny: command`."""
    try:
        raw = Path(file).read_bytes()
        text = raw[:_LARGEST].decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    wrong = count = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, colon, expected = line.partition(":")
        if not colon or word.strip() not in set(Decision):
            raise UsageError(f"{file}:{number}: write allow, ask or deny, a colon, and the command")
        count += 1
        verdict = bench.judged(expected.strip())[1]
        if verdict.decision != word.strip():
            wrong += 1
            row = {"line": number, "command": expected.strip(), "expected": word.strip(), "decision": verdict.decision}
            told = f"{file}:{number}: {safe_line(expected.strip())}: {verdict.decision}, not {word.strip()}: {verdict.reason}"
            print(safe_json(json.dumps({**row, "reason": verdict.reason}, ensure_ascii=False)) if as_json else safe_line(told))
    if not as_json:
        print(f"{count - wrong} of {count} as expected")
    return 1 if wrong else 0


def _forget(bench: Bench, text: str) -> int:
    if not bench.book.forget(text):
        raise UsageError(f"{text!r} is no remembered rule; jumar rules lists them, and config.toml is yours to edit")
    print(f"forgotten: {safe_line(text)}")
    return 0


def _kept(_: Located) -> bool:
    """Before a run nobody has looked at what the ledger leaves out."""
    return False
