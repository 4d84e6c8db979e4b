"""Owns folding what a test run or a linter printed: failures first and whole, passes counted, a word where only a part ran."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise, zip_longest

_LONG_LINES = 60  # what is shorter is told as it was printed
_LONG = 4000  # characters
_MOST_FAILURES = 16 << 10  # characters of failures that are told whole; the first always is, as far as it fits here
_MOST_REST = 8000  # characters of what is neither a failure nor a pass
_WIDEST = 400  # characters of a line beyond which it belongs to no format: no expression has to look at more
_MOST_READ = 20_000  # lines
_MOST_LINES = 60  # of a failing check that is no test run
_NAMED = 30  # failures that are named where they are not told

_ENDS = re.compile(  # a line that only the end of a test run has
    r"=*\s*(?:\d+ [a-z]+, )*\d+ (?:passed|failed|errors?|skipped|deselected|xfailed|xpassed|warnings?)"
    r"(?:, \d+ [a-z]+)* in [\d.]+s.*"
    r"|=* ?no tests ran in [\d.]+s.*"
    r"|Ran \d+ tests? in [\d.]+s"
    r"|(?:# |ℹ )tests \d+"
    r"|Tests:\s+.*\d+ total|\s*Tests\s+(?:\d+ \w+ \| )*\d+ (?:passed|failed).*\(\d+\)"
    r"|\s+\d+ (?:passing|failing)(?: \([\d.]+m?s\))?"
    r"|(?:ok|FAIL)\s+\S+\s+(?:[\d.]+s|\(cached\)).*"
    r"|test result: (?:ok|FAILED)\. .*"
    r"|Found \d+ errors?(?:\.| in .*| \(.*)"
    r"|Success: no issues found.*|All checks passed!"
    r"|✖ \d+ problems? \(.*\)"
)


@dataclass(slots=True)
class _Lines:
    """What was printed, line by line, and what each line is: part of a failure, a pass, or neither."""

    texts: list[str]
    failure: list[int] = field(default_factory=list)  # which one it belongs to, from 1 on; 0: none, -1: it tells of passes
    titles: list[str] = field(default_factory=list)  # of the failures
    passes: int = 0  # lines that tell of a pass

    def free(self) -> Iterator[tuple[int, str]]:
        """Yield the lines that belong to nothing yet and may be of a format."""
        for at, text in enumerate(self.texts):
            if text and not self.failure[at] and len(text) <= _WIDEST:
                yield at, text

    def passed(self, at: int) -> None:
        """Take a line as one of passes."""
        self.failure[at] = -1
        self.passes += 1

    def failed(self, title: str, start: int, end: int) -> None:
        """Take lines as one failure, from `start` to before `end`."""
        self.titles.append(title.strip())
        for at in range(start, end):
            self.failure[at] = self.failure[at] or len(self.titles)


def is_check(text: str) -> bool:
    """Whether a text is, or holds, what a test run or a linter printed to its end."""
    return any(len(line) <= _WIDEST and _ENDS.fullmatch(line.rstrip()) for line in text.splitlines())


def folded(text: str, *, most: int | None = None, always: bool = False) -> str:
    """Return what a model is told of a test run or a linter; empty where it is neither, or, but for `always`, short.

    `most` is how many failures are told whole; the rest is counted and named.
    """
    texts = text.splitlines()
    if not always and len(texts) <= _LONG_LINES and len(text) <= _LONG:
        return ""
    if not is_check(text):
        return ""
    if len(texts) > _MOST_READ:
        gap = f"[… {len(texts) - _MOST_READ} lines left out …]"
        texts = [*texts[: _MOST_READ // 4], gap, *texts[-(_MOST_READ - _MOST_READ // 4) :]]
    lines = _Lines(texts, [0] * len(texts))
    for read in _READERS:
        read(lines)
    told = _told(lines, most)
    known = lines.passes or lines.titles  # else it is another text that only looks like the end of one
    return told if always or (known and len(told) * 5 < len(text) * 4) else ""


def failing(text: str) -> str:
    """Return what a model is told of a check that failed: its first failure whole, the others counted."""
    if run := folded(text, most=1, always=True):
        return run
    lines = text.splitlines()
    if len(lines) <= _MOST_LINES:
        return text
    half = _MOST_LINES // 2
    return "\n".join([*lines[:half], f"[… {len(lines) - _MOST_LINES} more lines …]", *lines[-half:]])


def partly(text: str) -> str:
    """Return by what a run itself says that it was only a part of the suite, as a clause; empty where it does not."""
    for pattern, words in _PARTS:
        for line in text.splitlines():
            if len(line) <= _WIDEST and (found := pattern.search(line)):
                return words.format(*found.groups())
    return ""


def passed(text: str, runs: int = 1) -> bool | None:
    """Say by what so many runs printed whether they passed; None where it does not tell: a beginning or end may be missing."""
    ends = [
        line for line in text.splitlines() if len(line) <= _WIDEST and (_ENDS.fullmatch(line.rstrip()) or _GO_FAILED.match(line))
    ]
    if not ends:
        return None
    if any(_BROKEN.search(line) for line in ends) or _FAILS.search(text):
        return False
    return True if len(ends) >= runs else None


_GO_FAILED = re.compile(r"FAIL\b|--- FAIL: ")
_FAILS = re.compile(r"^(?:FAILED \(|# fail [1-9]|ℹ fail [1-9]|NO TESTS RAN)", re.MULTILINE)
_BROKEN = re.compile(r"\b[1-9]\d* (?:failed|failing|errors?)\b|FAIL|no tests ran")

_PARTS = (
    (re.compile(r"^!{3,} (?:[\w.]+: )?stopping after (\d+) failures !{3,}$"), "it stopped once {} failed"),
    (re.compile(r"^!{3,} .*\bKeyboardInterrupt !{3,}$"), "it was interrupted"),
    (re.compile(r"\b(\d+) deselected\b.* in [\d.]+s"), "{} tests were deselected"),
    (re.compile(r"^test result: .*; ([1-9]\d*) filtered out"), "{} tests were filtered out"),
    (re.compile(r"^Ran all test suites (?:matching|related to|with tests matching) (.+)\.$"), "only what matches {}"),
    (re.compile(r"^\s*Bail(?:ed)? out(?:!| after) ?(.*)$"), "it bailed out {}"),
)


def _told(lines: _Lines, most: int | None) -> str:
    blocks: dict[int, list[str]] = {}
    rest: list[str] = []
    for text, number in zip(lines.texts, lines.failure, strict=True):
        if number > 0:
            blocks.setdefault(number, []).append(text)
        elif not number:
            rest.append(text)
    told: list[str] = []
    room, left = _MOST_FAILURES, []
    for number, block in blocks.items():
        failure = "\n".join(block).strip("\n")
        whole = most is None or len(told) < most
        if whole and (len(failure) <= room or not told):
            told.append(_excerpt(failure, room))
            room -= len(told[-1])
        else:
            left.append(lines.titles[number - 1])
    if left:
        names = "; ".join(left[:_NAMED]) + ("; …" if len(left) > _NAMED else "")
        told.append(f"[{len(left)} more {'failure is' if len(left) == 1 else 'failures are'} not told here: {names}]")
    if lines.passes:
        told.append(f"[{lines.passes} lines that tell of passes are left out]")
    remains = re.sub(r"\n{3,}", "\n\n", "\n".join(rest)).strip("\n")
    parts = [*told, *([_excerpt(remains, _MOST_REST)] if remains else [])]
    # A problem that is one line stands right below the one before it.
    apart = ("\n" if "\n" not in before + after else "\n\n" for before, after in pairwise(parts))
    return "".join(chain.from_iterable(zip_longest(parts, apart, fillvalue="")))


def _excerpt(text: str, most: int) -> str:
    """Return the text, or its beginning and its longer end."""
    if len(text) <= most:
        return text
    start, end = text[: most // 4], text[-(most - most // 4) :]
    return f"{start}\n[… {len(text) - most} characters left out …]\n{end}"


def _pytest(lines: _Lines) -> None:
    inside, title, start = False, "", -1
    end = len(lines.texts)
    for at, text in lines.free():
        if header := _SECTION.fullmatch(text):
            if start >= 0:
                lines.failed(title, start, at)
            inside, start = header[1] in {"FAILURES", "ERRORS"}, -1
        elif inside and (name := _TITLE.fullmatch(text)):
            if start >= 0:
                lines.failed(title, start, at)
            title, start = name[1], at
        elif not inside and (_PASSED.fullmatch(text) or _DOTS.fullmatch(text)):
            lines.passed(at)
    if start >= 0:
        lines.failed(title, start, end)


_SECTION = re.compile(r"={3,} (.+?) ={3,}")
_TITLE = re.compile(r"_{3,} (.+?) _{3,}")
_PASSED = re.compile(
    r"(?:\S+::.* (?:PASSED|SKIPPED|XFAIL)(?: \(.*\))?|\[gw\d+\] \[ *\d+%\] (?:PASSED|SKIPPED|XFAIL) \S+::.*?)"
    r"\s*(?:\[ *\d+%\])?\s*"
)
_DOTS = re.compile(r"(?:\S+\.py )?[.sx]+\s+\[ *\d+%\]")


def _unittest(lines: _Lines) -> None:
    title, start = "", -1
    rule = "=" * 70
    before = ""
    for at, text in lines.free():
        if _OK.search(text) or (start < 0 and _LETTERS.fullmatch(text)):
            lines.passed(at)
        elif before == rule and (name := _FAILED.fullmatch(text)):
            if start >= 0:
                lines.failed(title, start, at - 1)
            title, start = name[1], at - 1
        elif start >= 0 and _RAN.fullmatch(text):
            lines.failed(title, start, at - 1)
            start = -1
        before = text
    if start >= 0:
        lines.failed(title, start, len(lines.texts))


_OK = re.compile(r" \.\.\. (?:ok|skipped .*|expected failure)$")
_LETTERS = re.compile(r"[.sx]{10,}")
_FAILED = re.compile(r"(?:ERROR|FAIL): (.*)")
_RAN = re.compile(r"Ran \d+ tests? in [\d.]+s")


def _tap(lines: _Lines) -> None:
    """Node's runner and others: `ok 1 - name` with what is known of it between `---` and `...`, deeper by two."""
    named = -1
    known = dict(lines.free())
    for at, text in known.items():
        if lines.failure[at]:
            continue
        if text.lstrip().startswith("# Subtest: "):
            named = at
        elif found := _POINT.fullmatch(text):
            end = at + 1
            if known.get(end, "").strip() == "---":
                while end < len(lines.texts) and lines.texts[end].strip() != "...":
                    end += 1
                end = min(end + 1, len(lines.texts))
            if found[1] and "# TODO" not in text:
                lines.failed(found[2], at, end)
            else:
                lines.passed(at)
            for one in (named, *range(at + 1, end)) if named == at - 1 else range(at + 1, end):
                lines.failure[one] = lines.failure[one] or -1


_POINT = re.compile(r"\s*(not )?ok \d+(?: - )?(.*)")


def _marks(lines: _Lines) -> None:
    """Runners that tick what passed: node's, mocha, jest, vitest."""
    for at, text in lines.free():
        if _TICK.match(text) and not _FELL.search(text):
            lines.passed(at)


_TICK = re.compile(r"\s*[✓✔√] |PASS +\S")
_FELL = re.compile(r"\b(?:FAIL(?:ED|URE)?|ERROR)\b|[✗✘✖×]|\b[1-9]\d* (?:failed|failing)\b")  # whatever it begins with


def _between(begins: re.Pattern[str], ends: re.Pattern[str], lines: _Lines) -> None:
    """Take as a failure what stands from a line that begins one to the next, or to a line that ends it."""
    title, start = "", -1
    for at, text in lines.free():
        begin = begins.fullmatch(text)
        if start >= 0 and (begin or ends.match(text)):
            lines.failed(title, start, at)
            start = -1
        if begin:
            title, start = begin[1], at
    if start >= 0:
        lines.failed(title, start, len(lines.texts))


_jest = partial(
    _between,
    re.compile(r"(?:  ● | FAIL  )(\S.* [›>] .+|Test suite failed to run)"),
    re.compile(r"Test Suites: |(?:PASS|FAIL) +\S|⎯+\[|⎯{10,}|Summary of all failing tests| *Test Files "),
)
_rust = partial(_between, re.compile(r"---- (.+) stdout ----"), re.compile(r"failures:$|test result: "))


def _cargo(lines: _Lines) -> None:
    _rust(lines)
    for at, text in lines.free():
        if _RUST_OK.fullmatch(text):
            lines.passed(at)


_RUST_OK = re.compile(r"test .+ \.\.\. (?:ok|ignored.*)")


def _go(lines: _Lines) -> None:
    """What a test logs stands after its `=== RUN` where it is told as it comes, else below its `--- FAIL`."""
    failed = {found[2] for _, text in lines.free() if (found := _GO_ENDED.fullmatch(text)) and found[1] == "FAIL"}
    passed = {found[2] for _, text in lines.free() if (found := _GO_ENDED.fullmatch(text)) and found[1] != "FAIL"}
    title, start = "", -1
    for at, text in lines.free():
        event, ended = _GO_EVENT.fullmatch(text), _GO_ENDED.fullmatch(text)
        named = event or ended
        if start >= 0 and not text.startswith(" ") and not (named and f"{named[2]}/".startswith(f"{title}/")):
            lines.failed(title, start, at)
            start = -1
        if start >= 0:
            continue
        if event and event[2] in failed and event[1] == "RUN":
            title, start = event[2], at
        elif ended and ended[1] == "FAIL":
            title, start = ended[2], at
        elif (event and event[2] in passed) or (ended and ended[1] != "FAIL") or _GO_OK.fullmatch(text):
            lines.passed(at)
    if start >= 0:
        lines.failed(title, start, len(lines.texts))


_GO_EVENT = re.compile(r"=== (RUN|PAUSE|CONT|NAME) +(\S+)")
_GO_ENDED = re.compile(r" *--- (PASS|FAIL|SKIP): (\S+) \([\d.]+s\)")
_GO_OK = re.compile(r"(?:ok|\?) +\t?\S+\t.*|PASS")


def _listed(lines: _Lines) -> None:
    """Linters and checkers of types: a line for each problem, or, of ruff, a paragraph."""
    if not any(_SUMMED.match(text) for _, text in lines.free()):
        return
    if any(text.startswith(" --> ") for _, text in lines.free()):
        _ruff(lines)
    for at, text in lines.free():
        if found := _PROBLEM.match(text):
            lines.failed(found[1], at, at + 1)


_ruff = partial(_between, re.compile(r"([A-Z]{1,5}\d{3,4} .+)"), re.compile(r"Found \d+ error"))
_SUMMED = re.compile(r"Found \d+ error|✖ \d+ problem")
_PROBLEM = re.compile(r"([^\s:(]+(?::\d+(?::\d+)?|\(\d+,\d+\))): ")
_READERS: tuple[Callable[[_Lines], None], ...] = (_pytest, _unittest, _tap, _jest, _cargo, _go, _marks, _listed)
