"""Owns the findings: what the answers to the probes say of a server, check by check, and its grade."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent.errors import Fault, ModelError
from agent.messages import Answer, Call, Reply
from agent.model import Capabilities, Finished, Request
from agent.safe import safe_line
from jumar.probes import PROBES, Probe

Status = Literal["good", "weak", "broken"]
Grade = Literal["good", "weak", "broken", "unreachable", "unknown"]

_SLOW, _SILENT = 30.0, 60.0  # seconds to the first delta, and between two, from which on a person wonders
_GOOD = 0.9  # of the whole score
_ROOMY, _ENOUGH = 32_768, 16_384  # tokens of a window: for a session as it should be, and for a small one
_NEAR = 0.98  # of a long text, where the rest is one slip in its middle
_EXAMPLE = 110  # characters
_MARKUP = re.compile(r"<\|[a-z_]{2,40}\|>|</?think>|◁/?think▷")
_FAILURES = {
    Fault.CONTEXT: "context",
    Fault.REFUSED: "refused",
    Fault.AUTHENTICATION: "refused",
    Fault.CUT: "cut_off",
    Fault.GARBLED: "garbled",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one probe. Seconds: in all, to the first delta (None where none came), and of the longest silence."""

    probe: Probe
    request: Request
    ended: Finished | ModelError
    seconds: float
    first: float | None = None
    silence: float = 0.0
    words: int = 0  # deltas of text
    pieces: int = 0  # deltas of calls
    late: bool = False  # it was not waited for any longer

    @property
    def finished(self) -> Finished | None:
        """Return the answer; None where the request failed."""
        return self.ended if isinstance(self.ended, Finished) else None

    @property
    def calls(self) -> tuple[Call, ...]:
        """Return the calls of the answer."""
        return self.ended.answer.calls if isinstance(self.ended, Finished) else ()

    @property
    def measured(self) -> bool:
        """Tell whether it says something of the server: a limit of requests a minute does not."""
        return not (isinstance(self.ended, ModelError) and self.ended.fault is Fault.RATE)

    def flaw(self) -> tuple[str, str]:
        """Return the kind and an example of what is wrong with an answer that is none; ("", "") where it is one."""
        if isinstance(self.ended, ModelError):
            return "silent" if self.late else _FAILURES.get(self.ended.fault, "failed"), str(self.ended)
        answer = self.ended.answer
        if self.ended.finish == "length":
            return "cut", f"{self.probe.name}: cut after {self.ended.usage.completion or 'many'} tokens"
        if not answer.calls and not answer.text.strip():
            return "empty", f"{self.probe.name}: {'thought' if answer.reasoning else 'nothing at all'}, and no answer"
        return "", ""


@dataclass(frozen=True, slots=True)
class Flaw:
    """A fault that was seen: its kind, how often, and an example that is safe and short."""

    kind: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to: `passed` of `total` observations, and a score from 0 to 1."""

    name: str
    title: str
    status: Status
    score: float
    passed: int
    total: int
    note: str
    flaws: tuple[Flaw, ...]


class _Tally:
    """Counts observations, and the faults among them."""

    def __init__(self) -> None:
        self.passed = 0
        self.total = 0
        self.points = 0.0
        self.score: float | None = None  # in place of points by total
        self.note = ""
        self._flaws: dict[str, tuple[int, str]] = {}

    def right(self) -> None:
        self.passed += 1
        self.total += 1
        self.points += 1

    def wrong(self, kind: str, example: str = "", points: float = 0.0) -> None:
        self.total += 1
        self.points += points
        self.seen(kind, example)

    def seen(self, kind: str, example: str = "") -> None:
        count, first = self._flaws.get(kind, (0, _short(example)))
        self._flaws[kind] = (count + 1, first)

    def flaws(self) -> tuple[Flaw, ...]:
        return tuple(Flaw(kind, count, example) for kind, (count, example) in self._flaws.items())


@dataclass(frozen=True, slots=True)
class Check:
    """One question to a server. Its score is good from `good` on, broken below `works`; a `major` one counts twice."""

    name: str
    title: str
    probes: tuple[str, ...]
    judge: Callable[[_Tally, list[Outcome]], None]
    good: float = 1.0
    works: float = 0.0
    major: bool = False

    def find(self, outcomes: Mapping[str, Outcome]) -> Finding | None:
        """Return what the outcomes say; None where they say nothing."""
        tally = _Tally()
        self.judge(tally, [outcomes[name] for name in self.probes if name in outcomes and outcomes[name].measured])
        if not tally.total:
            return None
        score = tally.points / tally.total if tally.score is None else tally.score
        status: Status = "good" if score >= self.good else "weak" if score >= self.works else "broken"
        return Finding(self.name, self.title, status, round(score, 3), tally.passed, tally.total, tally.note, tally.flaws())


def window(known: Capabilities) -> Finding | None:
    """Return what a model's window is good for; None where it is only assumed."""
    if known.source.startswith("assumed"):
        return None
    status: Status = "good" if known.window >= _ROOMY else "weak" if known.window >= _ENOUGH else "broken"
    flaws = () if status == "good" else (Flaw("context", 1, f"{known.window:,} tokens; below {_ENOUGH:,} nothing goes well"),)
    score = min(1.0, known.window / _ROOMY)
    passed = int(status == "good")
    return Finding("window", "a session has room", status, round(score, 3), passed, 1, f"{known.window:,} tokens", flaws)


def grade(findings: Iterable[Finding]) -> tuple[Grade, float]:
    """Return the grade, and the score from 0 to 1 over all checks."""
    findings = list(findings)
    majors = {"window", *(check.name for check in CHECKS if check.major)}
    weights = [2 if finding.name in majors else 1 for finding in findings]
    if not weights:
        return "unknown", 0.0
    score = sum(weight * finding.score for weight, finding in zip(weights, findings, strict=True)) / sum(weights)
    if any(finding.status == "broken" for finding in findings):
        return "broken", round(score, 3)
    sound = all(finding.status == "good" for finding in findings if finding.name in majors)
    return "good" if sound and score >= _GOOD else "weak", round(score, 3)


def _answers(tally: _Tally, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        kind, example = outcome.flaw()
        if kind:
            tally.wrong(kind, example)
        else:
            tally.right()
        for repair in outcome.finished.repairs if outcome.finished else ():
            if repair.kind in {"resent", "flood", "history", "empty"}:
                tally.seen(repair.kind, repair.words)


def _stream(tally: _Tally, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.finished is None or outcome.first is None:
            if not outcome.probe.tools:
                tally.wrong(*(outcome.flaw() if outcome.flaw()[0] else ("one_piece", "")))
            continue
        if outcome.calls:
            size = f"{len(outcome.calls[0].arguments):,} characters of arguments in one piece"
            tally.right() if outcome.pieces > 1 else tally.wrong("one_piece_call", size)
        elif not outcome.probe.tools:
            size = f"{len(outcome.finished.answer.text):,} characters in one piece"
            tally.right() if outcome.words > 1 else tally.wrong("one_piece", size)
            slow = f"the first words came after {outcome.first:.0f} s"
            tally.right() if outcome.first <= _SLOW else tally.wrong("slow_start", slow)
            flowing = outcome.seconds - outcome.first
            tokens = outcome.finished.usage.completion
            speed = f", then {tokens / flowing:,.0f} tokens/s" if tokens and flowing > 1 else ""
            tally.note = f"first words after {outcome.first:.1f} s{speed}"
    silence = max((outcome.silence for outcome in outcomes), default=0.0)
    if tally.total:
        tally.right() if silence <= _SILENT else tally.wrong("long_silence", f"nothing came for {silence:.0f} s")


def _trigger(tally: _Tally, outcomes: list[Outcome]) -> None:
    true = false = missed = 0
    for outcome in outcomes:
        wanted = outcome.probe.calls == "must"
        if outcome.calls:
            true, false = true + wanted, false + (not wanted)
            example = f"{outcome.probe.text} → {outcome.calls[0].name} {outcome.calls[0].arguments}"
            tally.right() if wanted else tally.wrong("needless_call", example)
        elif wanted:
            missed += 1
            said = outcome.finished.answer.text.strip() if outcome.finished else outcome.flaw()[1]
            tally.wrong("missed_call", f"{outcome.probe.text.partition(chr(10))[0]} → {said or 'nothing'}")
        elif outcome.finished:
            tally.right()
    precision = true / (true + false) if true else 0.0
    recall = true / (true + missed) if true else 0.0
    tally.score = 2 * precision * recall / (precision + recall) if true else 0.0
    if tally.total:
        tally.note = f"F1 {tally.score:.2f}: precision {precision:.2f}, recall {recall:.2f}"


def _schema(tally: _Tally, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        kind, example, arguments = _read(outcome)
        if not kind:
            kind, example = _misfit(outcome.probe, arguments)
        if kind:
            tally.wrong(kind, example)
        else:
            tally.right()


def _parallel(tally: _Tally, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if len({call.arguments for call in outcome.calls}) > 1:
            tally.right()
        elif outcome.calls:
            tally.wrong("one_at_a_time", f"{outcome.probe.text} → {outcome.calls[0].name} {outcome.calls[0].arguments}")
        else:
            tally.wrong(*_nothing(outcome))


def _echo(tally: _Tally, outcomes: list[Outcome]) -> None:
    keys = {message.reasoning_key for outcome in outcomes for message in outcome.request.messages if isinstance(message, Answer)}
    tally.note = f"reasoning goes back as {', '.join(sorted(keys - {''}))}" if keys - {""} else ""
    for outcome in outcomes:
        kind, example = outcome.flaw()
        told = sum(isinstance(message, Reply) for message in outcome.request.messages)
        wanted = outcome.probe.wanted[:told]
        if kind:
            tally.wrong(kind, example)
        elif outcome.calls and told >= len(outcome.probe.wanted):
            tally.wrong("asks_again", f"{outcome.calls[0].name} {outcome.calls[0].arguments}")
        elif outcome.calls or (outcome.finished and all(word in outcome.finished.answer.text for word in wanted)):
            tally.right()
        else:
            tally.wrong("lost_result", f"told {' and '.join(wanted)} → {outcome.finished and outcome.finished.answer.text}")


def _long(tally: _Tally, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        kind, example, arguments = _read(outcome)
        wanted = str(outcome.probe.expected["text"])
        if kind:
            tally.wrong(kind, example)
        elif (came := str(arguments.get("text", "")).strip()) == wanted.strip():
            tally.right()
        else:
            same, near = _compared(wanted.strip(), came)
            example = f"at character {same:,}: {wanted.strip()[same : same + 24]!r} came back as {came[same : same + 24]!r}"
            tally.wrong("mangled", example, 0.5 if near else 0.0)
    size = sum(len(str(outcome.probe.expected["text"])) for outcome in outcomes)
    tally.note = f"{size:,} characters"


def _calls(tally: _Tally, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        finished = outcome.finished
        if finished is None:
            continue
        found: list[tuple[str, str]] = [(repair.kind, repair.words) for repair in finished.repairs if repair.kind in _OF_CALLS]
        offered = {tool.name for tool in outcome.probe.tools}
        found += [("unknown_tool", call.name) for call in outcome.calls if call.name not in offered]
        found += [("no_json", call.arguments) for call in outcome.calls if not _is_json(call.arguments)]
        ids = [call.id for call in outcome.calls]
        if len(set(ids)) < len(ids):
            found.append(("identity", f"the id {ids[0]} twice in one answer"))
        if (leaked := _MARKUP.search(finished.answer.text)) and not any(kind == "leaked_call" for kind, _ in found):
            found.append(("markup", finished.answer.text[leaked.start() :]))
        for kind, example in dict(found).items():
            tally.seen(kind, example)
        if outcome.calls and not tally.note:
            tally.note = f"ids such as {safe_line(ids[0][:40])}"
        if found:
            tally.total += 1
        elif outcome.calls:
            tally.right()


_OF_CALLS = {"leaked_call", "fenced_call", "arguments", "identity", "markup"}


def _usage(tally: _Tally, outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.finished is None:
            continue
        usage = outcome.finished.usage
        said = len(outcome.request.system)
        if not usage.prompt or not usage.completion:
            tally.wrong("no_usage", f"{usage.prompt} tokens of prompt, {usage.completion} of answer")
        elif usage.cached > usage.prompt or usage.prompt * 12 < said:
            tally.wrong("odd_usage", f"{usage.prompt} tokens, {usage.cached} cached, for {said:,} characters")
        else:
            tally.right()


def _cache(tally: _Tally, outcomes: list[Outcome]) -> None:
    finished = [outcome.finished for outcome in outcomes if outcome.finished]
    if len(finished) < 2:
        return
    usage = finished[1].usage
    tally.note = f"{usage.cached:,} of {usage.prompt:,} tokens" if usage.prompt else ""
    tally.right() if usage.cached else tally.wrong("no_cache", "" if usage.prompt else "no usage was told")


def _nothing(outcome: Outcome) -> tuple[str, str]:
    """Return what is wrong with an answer without calls."""
    kind, example = outcome.flaw()
    return (kind, example) if kind else ("missed_call", outcome.finished.answer.text if outcome.finished else "")


def _read(outcome: Outcome) -> tuple[str, str, dict[str, Any]]:
    """Return the arguments of the first call, or else what is wrong with it and an example."""
    if not outcome.calls:
        return *_nothing(outcome), {}
    call = outcome.calls[0]
    if outcome.finished and outcome.finished.finish == "length":
        return *outcome.flaw(), {}
    if call.name != outcome.probe.tools[0].name:
        return "wrong_tool", f"{outcome.probe.text} → {call.name}", {}
    try:
        value = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return "no_json", call.arguments, {}
    if isinstance(value, str):
        return "arguments", call.arguments, {}
    return ("", "", value) if isinstance(value, dict) else ("no_json", call.arguments, {})


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _misfit(probe: Probe, arguments: dict[str, Any]) -> tuple[str, str]:
    """Return where arguments do not fit their schema, or are not what was asked for."""
    from jsonschema import Draft202012Validator

    fault = next(iter(Draft202012Validator(probe.tools[0].parameters).iter_errors(arguments)), None)
    if fault is not None:
        return "schema", f"{fault.json_path}: {fault.message}"
    for name, value in probe.expected.items():
        if _plain(arguments.get(name)) != _plain(value):
            return "wrong_value", f"{name}: {json.dumps(arguments.get(name), ensure_ascii=False)}"
    return "", ""


def _plain(value: object) -> object:
    """Return a value to be compared: the order of a list of words does not count."""
    words = isinstance(value, list) and all(isinstance(word, str) for word in value)
    return sorted(value) if words and isinstance(value, list) else value


def _compared(wanted: str, came: str) -> tuple[int, bool]:
    """Return where two texts differ first, and whether all else is the same."""
    least = min(len(wanted), len(came))
    same = next((index for index in range(least) if wanted[index] != came[index]), least)
    tail = next((index for index in range(least - same) if wanted[-1 - index] != came[-1 - index]), least - same)
    return same, same + tail >= _NEAR * max(len(wanted), len(came))


def _short(text: str) -> str:
    line = safe_line(" ".join(text[: 8 * _EXAMPLE].split()))
    return line if len(line) <= _EXAMPLE else f"{line[: _EXAMPLE - 1]}…"


_ALL = tuple(probe.name for probe in PROBES)
_JUDGED = tuple(probe.name for probe in PROBES if probe.calls)
CHECKS = (
    Check("stream", "answers and calls come in pieces", ("words", "long-code", "long-world"), _stream),
    Check("cache", "a prefix is kept, and it is told", ("cache-first", "cache-again"), _cache),
    Check("echo", "replies to calls are taken and used", ("port-told", "towns-told"), _echo, works=0.5, major=True),
    Check("parallel", "two calls in one answer", ("towns", "files"), _parallel),
    Check(
        "schema",
        "arguments fit their schema",
        ("port", "issue", "deploy", "contact", "meeting"),
        _schema,
        works=0.6,
        major=True,
    ),
    Check("long", "long arguments come back unchanged", ("long-code", "long-world"), _long, works=0.5, major=True),
    Check("trigger", "tools are called where needed", _JUDGED, _trigger, good=0.9, works=0.6, major=True),
    Check("calls", "calls are well formed", _ALL, _calls),
    Check("usage", "tokens are counted", _ALL, _usage),
    Check("answers", "every request is answered", _ALL, _answers, good=0.95, works=0.7, major=True),
)
