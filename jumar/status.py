"""Owns `jumar status`: what holds in a work tree before anything runs, and why."""

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent import config
from agent.code.index import Index
from agent.code.standing import standing
from agent.rules import Decision
from agent.safe import safe_json, safe_line
from jumar import __version__
from jumar.arguments import Parser
from jumar.custom import Customs
from jumar.home import Home, home
from jumar.ruling import Bench
from jumar.servers import standings, told_of
from jumar.timeline import ledger_at
from jumar.trust import is_trusted


def status(arguments: Sequence[str]) -> int:
    """Say what holds here."""
    parser = Parser(
        prog="jumar status",
        description="Say what holds in a work tree: trust, sandbox, mode, rules, ledger, index, servers, model.",
    )
    parser.add_argument("-C", dest="cwd", default=".", metavar="DIR", help="the work tree; the current folder without it")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args(arguments)
    if given.json:
        row = _row(Bench.at(given.cwd, ""))
        row["servers"] = [dataclasses.asdict(one) for one in row["servers"] or ()]
        print(safe_json(json.dumps(row, ensure_ascii=False)))
        return 0
    for name, words in told(given.cwd):
        print(f"{name:9}  {words}")
    return 0


def told(cwd: str, *, trusted: bool = False) -> list[tuple[str, str]]:
    """Return the lines that tell a person; those without a name belong to the one before.

    `trusted` says that the work tree is trusted for now, remembered or not. Raises UsageError.
    """
    bench = Bench.at(cwd, "", trusted=trusted)
    row = _row(bench)
    trust = "not trusted: nothing in it is read; jumar trust trusts it"
    if row["trusted"]:
        trust = "trusted" if is_trusted(home(os.environ), bench.workspace.root) else "trusted for this session alone"
    chosen = (
        "as config.toml says" if row["mode_chosen"] else "the default here" if row["mode"] == "auto" else "for no sandbox holds"
    )
    holding = bench.workspace.holding
    lines = [
        ("jumar", __version__),
        ("work tree", f"{row['tree']} · {trust}"),
        ("sandbox", holding.name),
        *(("", reason) for reason in holding.reasons),
        *(("", f"not confined: {gap}") for gap in holding.gaps),
        ("mode", f"{row['mode']} · {chosen}"),
        ("rules", " · ".join(f"{count} {decision}" for decision, count in row["rules"].items())),
        ("ledger", f"{row['actions']} actions of this work tree"),
        ("index", _index(row["index"])),
        *_written(row["skills"], row["commands"]),
        *told_of(row["servers"], enabled=row["diagnostics"]),
        ("model", row["model"] or "the server's own choice"),
        *(("", warning) for warning in (*bench.held.warnings, *row["passed_over"])),
    ]
    return [(name, safe_line(words)) for name, words in lines]


def _written(skills: Sequence[str], commands: Sequence[str]) -> list[tuple[str, str]]:
    """Return what people wrote for the agent, in lines."""
    return [(name, ", ".join(found)) for name, found in (("skills", skills), ("commands", commands)) if found]


def _standing(place: Home, root: Path) -> dict[str, Any] | None:
    """Return how the index of names stands, None where there is none yet."""
    found = standing(Index(place.code, root).path)
    return dataclasses.asdict(found) if found is not None else None


def _index(row: dict[str, Any] | None) -> str:
    if row is None:
        return "none yet: the first session builds it"
    size = f"{row['size'] / 2**20:.1f} MiB"
    if not row["whole"]:
        return f"unfinished: {row['files']} of {row['listed']} files · {size}"
    return f"{row['files']} files · looked over {_ago(row['age'])} ago · {size}"


def _ago(seconds: float) -> str:
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"


def _row(bench: Bench) -> dict[str, Any]:
    place, root = home(os.environ), bench.workspace.root
    settings = config.load(place.config / "config.toml")
    counts = Counter(rule.decision for rule in bench.held.rules)
    holding = bench.workspace.holding
    customs = Customs(place, os.environ, root, bench.workspace.cwd, trusted=bench.trusted)
    return {
        "version": __version__,
        "tree": str(root),
        "trusted": bench.trusted,
        "sandbox": holding.name,
        "sandbox_reasons": list(holding.reasons),
        "sandbox_gaps": list(holding.gaps),
        "mode": bench.mode,
        "mode_chosen": settings.mode is not None,
        "rules": {decision.value: counts[decision] for decision in Decision},
        "actions": len(ledger_at(str(root)).actions("")),
        "index": _standing(place, root),
        "diagnostics": settings.diagnostics.enabled,
        "servers": standings(settings.diagnostics, bench.workspace, os.environ) if bench.trusted else None,
        "skills": [skill.name for skill in customs.skills.all],
        "commands": [one.name for one in customs.all if one.kind == "command"],
        "passed_over": list(customs.faults),
        "model": os.environ.get("JUMAR_MODEL") or settings.model or ", ".join(settings.models),
    }
