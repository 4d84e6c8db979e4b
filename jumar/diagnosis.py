"""Owns the diagnosis: all that the doctor found out, as one value, as JSON and as lines for a person."""

import json
import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, TextIO
from unicodedata import combining, east_asian_width

from agent.messages import Usage
from agent.model import Price
from agent.safe import safe_json, safe_line
from jumar.advice import ENGINES, flags, launch, parser_is_unknown, remedy
from jumar.findings import Finding, Grade, Status
from jumar.lines import Line, Style, painted

_VERSION = 1  # of the JSON object
_MARKS: dict[Status, Line] = {"good": ("good", "✓"), "weak": ("warning", "!"), "broken": ("bad", "✗")}
_NARROWEST, _WIDEST = 40, 120  # columns
_OF_A_FILE = 10_000  # columns: a line for each fact, whole
_BESIDE = 90  # columns from which on what jumar does stands beside the fault
_INDENT = 12  # columns before the words of a row


@dataclass(frozen=True, slots=True)
class Detected:
    """What is known of a server and its model before anything is asked. `server` is "" where it is unknown."""

    endpoint: str
    protocol: str
    server: str
    model: str
    window: int
    window_source: str
    images: bool
    efforts: tuple[str, ...]
    price: Price | None


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that the probes may take: an upper bound. The cost is in US dollars, None where the price is unknown."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None

    @property
    def tokens(self) -> int:
        """Return the tokens of prompts and answers together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Spent:
    """What the probes took: `calls` that came to an end, `requests` with those that were tried again."""

    calls: int
    requests: int
    usage: Usage
    cost: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found out. `error` says what kept the probes from being asked, if anything did."""

    detected: Detected
    budget: Budget
    spent: Spent
    findings: tuple[Finding, ...]
    grade: Grade
    score: float
    error: str = ""
    interrupted: bool = False

    @property
    def kinds(self) -> list[str]:
        """Return every kind of fault that was seen, each once."""
        return list(dict.fromkeys(flaw.kind for finding in self.findings for flaw in finding.flaws))

    def encoded(self) -> str:
        """Return it as one JSON object."""
        detected = self.detected
        spent = self.spent
        whole = {
            "v": _VERSION,
            "grade": self.grade,
            "score": self.score,
            "interrupted": self.interrupted,
            "error": self.error,
            "detected": asdict(detected),
            "budget": {**asdict(self.budget), "tokens": self.budget.tokens},
            "spent": {
                "calls": spent.calls,
                "requests": spent.requests,
                "prompt_tokens": spent.usage.prompt,
                "completion_tokens": spent.usage.completion,
                "cached_tokens": spent.usage.cached,
                "cost": spent.cost,
                "seconds": round(spent.seconds, 3),
            },
            "checks": [self._check(finding) for finding in self.findings],
            "launch": launch(self.kinds, detected.model, detected.server),
        }
        return safe_json(json.dumps(whole, ensure_ascii=False))

    def _check(self, finding: Finding) -> dict[str, Any]:
        detected = self.detected
        advice = [
            {
                "fault": flaw.kind,
                "title": remedy(flaw.kind).title,
                "jumar": remedy(flaw.kind).jumar,
                "flags": flags(flaw.kind, detected.model, detected.server),
            }
            for flaw in finding.flaws
        ]
        return {
            "name": finding.name,
            "title": finding.title,
            "status": finding.status,
            "score": finding.score,
            "passed": finding.passed,
            "total": finding.total,
            "note": finding.note,
            "faults": [asdict(flaw) for flaw in finding.flaws],
            "advice": advice,
        }


class Screen:
    """Shows a person what is found out while it is; in colours, and with a line that is written over, where `live`."""

    def __init__(self, out: TextIO, progress: TextIO, *, coloured: bool, live: bool) -> None:
        self._out = out
        self._progress = progress
        self._coloured = coloured
        self._live = live
        self._shown = False
        columns = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns)) if out.isatty() else _OF_A_FILE
        self._columns = columns - 1

    def begin(self, detected: Detected, budget: Budget) -> None:
        """Say what was detected, and what it may cost."""
        self._folded("strong", f"jumar doctor · {safe_line(detected.model)} at {safe_line(detected.endpoint)}", 0, 2)
        self._row(
            "dim", "server", f"{ENGINES.get(detected.server, detected.server) or 'unknown kind'}, {detected.protocol} protocol"
        )
        known = [f"window of {detected.window:,} tokens ({detected.window_source})", "images" if detected.images else "no images"]
        known += [f"efforts {', '.join(detected.efforts)}"] if detected.efforts else []
        self._row("dim", "model", safe_line(" · ".join(known)))
        self._row("dim", "price", _price(detected.price))
        self._row("strong", "budget", budget_line(budget))
        self._say("plain", "")

    def tick(self, done: int, calls: int, seconds: float) -> None:
        """Show on a terminal how far it is."""
        if self._live:
            self._shown = True
            self._progress.write(f"\r\x1b[2K\x1b[2m… {done} of {calls} calls, {seconds:.0f} s\x1b[0m")
            self._progress.flush()

    def found(self, finding: Finding) -> None:
        """Show what one check came to."""
        style, mark = _MARKS[finding.status]
        counts = f"{finding.passed}/{finding.total}"
        head = f"{mark} {finding.name:9} {finding.score:4.0%} {counts:>6}  "
        note = f" · {finding.note}" if finding.note else ""
        room = self._columns - len(head)
        self._clear()
        title = self._cut(finding.title, room)
        whole = title + painted(("dim", self._cut(note, room - len(title))), self._coloured)
        print(painted((style, head), self._coloured) + whole, file=self._out)
        for flaw in finding.flaws:
            told = self._cut(f"{'':12}{flaw.count}× {remedy(flaw.kind).title}", self._columns)
            example = self._cut(f" · {flaw.example}" if flaw.example else "", self._columns - len(told))
            colour = "warning" if style == "good" else style
            print(painted((colour, told), self._coloured) + painted(("dim", example), self._coloured), file=self._out)
        self._out.flush()

    def end(self, diagnosis: Diagnosis) -> None:
        """Say what follows from it, and the verdict last."""
        self._clear()
        if kinds := diagnosis.kinds:
            self._say("plain", "")
            self._say("strong", "What jumar does about it")
            wide = self._columns >= _BESIDE
            column = max(len(remedy(kind).title) for kind in kinds) + 2 if wide else 0
            for kind in kinds:
                title = f"{remedy(kind).title:{column}}" if wide else f"{remedy(kind).title}: "
                self._folded("plain", f"  {title}{remedy(kind).jumar}", 0, column + 2 if wide else 4)
        model = diagnosis.detected.model
        if commands := launch(kinds, model, diagnosis.detected.server):
            self._say("plain", "")
            self._say("strong", "What mends it: start the server with")
            for engine, command in commands.items():
                self._folded("running", f"{ENGINES[engine]:10}{command}", 2, 12, dashes=True)
            if any("PARSER" in command for command in commands.values()) and parser_is_unknown(model):
                self._folded(
                    "dim", "PARSER is the name of your model's family: kimi_k2 or kimi_k3 for Kimi; see the server's --help", 2, 2
                )
        self._say("plain", "")
        style, words = _verdict(diagnosis)
        self._folded(style, words, 0, 2)
        self._out.flush()

    def clear(self) -> None:
        """Take the line of progress away."""
        self._clear()

    def _row(self, style: Style, name: str, words: str) -> None:
        self._folded(style, f"  {name:10}{words}", 0, _INDENT)

    def _folded(self, style: Style, text: str, first: int, others: int, *, dashes: bool = False) -> None:
        """Print a text over as many lines as it needs; with `dashes`, an option is not torn from its value."""
        held = text.replace(" --", "\0--").replace(" ", "\x01").replace("\0", " ") if dashes else text
        lines = textwrap.wrap(
            held,
            self._columns,
            initial_indent=" " * first,
            subsequent_indent=" " * others,
            break_on_hyphens=False,
            drop_whitespace=True,
        )
        for line in lines:
            self._say(style, line.replace("\x01", " "))

    def _cut(self, text: str, columns: int) -> str:
        """Return as much of a line as a terminal has room for."""
        if sum(map(_width, text)) <= columns:
            return text
        kept, left = "", columns - 1
        for character in text:
            if (left := left - _width(character)) < 0:
                break
            kept += character
        return f"{kept}…" if columns > 0 else ""

    def _say(self, style: Style, text: str) -> None:
        self._clear()
        print(painted((style, text), self._coloured), file=self._out, flush=True)

    def _clear(self) -> None:
        if self._shown:
            self._shown = False
            self._progress.write("\r\x1b[2K")
            self._progress.flush()


def budget_line(budget: Budget) -> str:
    """Return what the probes may take, in words."""
    cost = "the price is unknown" if budget.cost is None else f"${budget.cost:.2f}" if budget.cost else "free"
    tokens = -(-budget.tokens // 1000) * 1000
    return f"{budget.calls} calls, at most about {tokens:,} tokens, {cost}"


def _price(price: Price | None) -> str:
    if price is None:
        return "unknown"
    return f"${price.miss:g} for a million tokens of prompt, ${price.hit:g} where cached, ${price.output:g} of answers"


def _verdict(diagnosis: Diagnosis) -> Line:
    spent = diagnosis.spent
    cost = "" if spent.cost is None else f", ${spent.cost:.4f}"
    usage = f" · {spent.usage.prompt:,} + {spent.usage.completion:,} tokens{cost}" if spent.usage.prompt else ""
    calls = (
        f"{spent.calls} calls" if spent.calls == diagnosis.budget.calls else f"{spent.calls} of {diagnosis.budget.calls} calls"
    )
    took = f"{calls}{usage} · {spent.seconds:.1f} s"
    broken = _names(finding.name for finding in diagnosis.findings if finding.status == "broken")
    weak = _names(finding.name for finding in diagnosis.findings if finding.status == "weak")
    points = f"{diagnosis.score * 100:.0f} of 100"
    if diagnosis.interrupted:
        return "bad", f"■ interrupted · {took}"
    match diagnosis.grade:
        case "good":
            return "good", f"✓ good, {points}: jumar works well with it · {took}"
        case "weak":
            return "warning", f"! weak, {points}: jumar works with it, and helps where it is weak ({weak}) · {took}"
        case "broken":
            return "bad", f"✗ broken, {points}: jumar cannot work with it as it is ({broken}) · {took}"
        case "unreachable":
            return "bad", f"✗ {safe_line(diagnosis.error)}"
        case "unknown":
            return "bad", f"✗ {safe_line(diagnosis.error) or 'nothing could be measured'} · {took}"


def _width(character: str) -> int:
    """Return how many columns a character takes."""
    return 2 if east_asian_width(character) in "WF" else 0 if combining(character) else 1


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)
