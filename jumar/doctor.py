"""Owns the doctor: asks a model the probes, two at a time, and tells what they show."""

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TextIO

from agent import config
from agent.config import Connection
from agent.errors import Fault, ModelError
from agent.messages import Usage
from agent.model import CallDelta, Capabilities, Failed, Finished, Model, Price, Request, TextDelta
from agent.route import LOCAL, LocalRoute
from jumar.diagnosis import Budget, Detected, Diagnosis, Screen, Spent, budget_line
from jumar.findings import CHECKS, Finding, Grade, Outcome, grade, window
from jumar.headless import SIGNAL_CODES
from jumar.home import home
from jumar.printers import stderr_line
from jumar.probes import ALONE, BY_NAME, PROBES, Probe, chains
from jumar.run import code_of
from jumar.wiring import choose, connected_models

SECONDS = 180.0  # that one answer may take
_AT_ONCE = 2  # requests
_IN_A_ROW = 4  # failures of the server itself, after which no more is asked
_LONGEST_WAIT = 60.0  # seconds that a server may ask us to wait
_WAITS = {Fault.CONNECT: 0.5, Fault.OVERLOADED: 2.0, Fault.RATE: 20.0}  # seconds before the second try; else none
_TICK = 0.2  # seconds
_OF_THE_SERVER = frozenset({Fault.CONNECT, Fault.OVERLOADED, Fault.RATE})
_ENDS_IT = frozenset({Fault.AUTHENTICATION, Fault.QUOTA})


class Examination:
    """Asks the probes of a model and keeps what came. Hears each outcome once."""

    def __init__(self, model: Model, effort: str, seconds: float, heard: Callable[[], None], *, one_by_one: bool) -> None:
        self._model = model
        self._effort = effort
        self._seconds = seconds
        self._heard = heard
        self.outcomes: dict[str, Outcome] = {}
        self.requests = 0
        self.usage = Usage()
        self.ended_by: ModelError | None = None  # what kept the rest from being asked
        self.too_slow = False  # the server is there, but too many of its answers never came: that is a finding
        self._held = _most(PROBES)  # tokens of the budget that nothing has used yet
        self._in_a_row = 0
        self._limited = one_by_one

    async def run(self) -> None:
        """Ask all, or until nothing more can come of it."""
        for name in ALONE:
            await self._probe(BY_NAME[name])
            if self.ended_by:
                return
        queue = chains()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(_AT_ONCE):
                    group.create_task(self._work(queue, only=number == 0))
        except BaseExceptionGroup as errors:  # of which one is the reason for the others
            raise errors.exceptions[0] from None

    async def _work(self, queue: list[tuple[Probe, ...]], *, only: bool) -> None:
        """Ask what is in the queue; where the server limits requests, one alone goes on."""
        while queue and (only or not self._limited):
            for probe in queue.pop(0):
                if self.ended_by:
                    return
                await self._probe(probe)

    async def _probe(self, probe: Probe) -> None:
        if self._held < _most((probe,)):  # what is not bound by the limit of an answer
            self.ended_by = ModelError("the server takes more tokens than it is asked to: the budget is used up", Fault.REFUSED)
            return
        first = self.outcomes.get(probe.follows)
        answer = first.finished.answer if first and first.finished else None
        request = replace(probe.request(BY_NAME[probe.follows] if probe.follows else None, answer), effort=self._effort)
        outcome = await self._ask(probe, request)
        if (wait := self._wait(outcome)) is not None:
            await asyncio.sleep(wait)
            outcome = await self._ask(probe, request)
        self.outcomes[probe.name] = outcome
        self._judge(outcome)
        self._heard()

    def _judge(self, outcome: Outcome) -> None:
        """Decide whether it goes on."""
        error = outcome.ended
        if not isinstance(error, ModelError):
            self._in_a_row = 0
            return
        self._in_a_row += error.fault in _OF_THE_SERVER
        alone = len(self.outcomes) == 1 and error.fault not in {Fault.CUT, Fault.GARBLED}
        if alone or error.fault in _ENDS_IT or self._in_a_row >= _IN_A_ROW:
            self.ended_by = error
            self.too_slow = outcome.late and not alone

    def _wait(self, outcome: Outcome) -> float | None:
        """Return how long to wait before it is asked again; None where it is not, or where the budget would not hold."""
        error = outcome.ended
        if not isinstance(error, ModelError) or not error.retryable or outcome.late:
            return None
        self._limited = self._limited or error.fault is Fault.RATE
        left = _most(probe for probe in PROBES if probe.name not in self.outcomes)
        if self._held < left or (error.retry_after or 0.0) > _LONGEST_WAIT:
            return None
        return error.retry_after if error.retry_after is not None else _WAITS.get(error.fault, 0.0)

    async def _ask(self, probe: Probe, request: Request) -> Outcome:
        self.requests += 1
        watch = _Watch()
        try:
            async with asyncio.timeout(self._seconds):
                ended = await watch.follow(self._model, request)
        except TimeoutError:
            watch.late = True
            ended = ModelError(f"the model gave no whole answer within {self._seconds:g} s", Fault.CONNECT)
        if isinstance(ended, Finished):
            self.usage += ended.usage
            told = ended.usage.prompt + ended.usage.completion
            self._held -= told or _most((probe,))
        elif watch.first is not None:
            self._held -= _most((probe,))
        return watch.outcome(probe, request, ended)


class _Watch:
    """Watches one stream: what came, and when."""

    def __init__(self) -> None:
        self.late = False
        self.first: float | None = None
        self._began = time.monotonic()
        self._last = self._began
        self._silence = 0.0
        self._words = 0
        self._pieces = 0

    async def follow(self, model: Model, request: Request) -> Finished | ModelError:
        async for chunk in model.stream(request):
            match chunk:
                case Finished():
                    return chunk
                case Failed():
                    return chunk.error
                case TextDelta():
                    self._words += 1
                case CallDelta():
                    self._pieces += 1
                case _:
                    pass
            self._came()
        return ModelError(f"{model.name} ended its stream without an answer", Fault.CUT)

    def _came(self) -> None:
        now = time.monotonic()
        if self.first is None:
            self.first = now - self._began
        else:
            self._silence = max(self._silence, now - self._last)
        self._last = now

    def outcome(self, probe: Probe, request: Request, ended: Finished | ModelError) -> Outcome:
        seconds = time.monotonic() - self._began
        return Outcome(probe, request, ended, seconds, self.first, self._silence, self._words, self._pieces, self.late)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person says of a visit: the model ("": the one of a run), its window where that is not found out, and patience."""

    model: str
    window: int | None
    seconds: float  # for each answer
    as_json: bool


class Doctor:
    """One visit: connects, says what it will take, examines, and tells what it found, also where it is interrupted."""

    def __init__(self, environment: Mapping[str, str], asked: Asked, out: TextIO, progress: TextIO) -> None:
        self._environment = environment
        self._asked = asked
        self._out = out
        plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
        self._screen = Screen(out, progress, coloured=out.isatty() and not plain, live=progress.isatty() and not plain)
        self._began = time.monotonic()
        self._ended_by = 0  # the exit code of the signal that ended it
        self._work: asyncio.Task[None] | None = None
        self._model: Model | None = None
        self._examination: Examination | None = None
        self._detected: Detected | None = None
        self._budget = _budget(None)
        self._room: list[Finding] = []
        self._shown: set[str] = set()

    async def run(self) -> int:
        """Examine the model that a run would ask first, and return the exit code. Raises UsageError where there is none."""
        gc.enable()
        loop = asyncio.get_running_loop()
        heard = [number for number in SIGNAL_CODES if signal.getsignal(number) is not signal.SIG_IGN]
        for number in heard:
            loop.add_signal_handler(number, self._end, SIGNAL_CODES[number])
        error: ModelError | None = None
        self._work = loop.create_task(self._visit())
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._ended_by:
                raise
        except ModelError as fault:
            error = fault
        finally:
            for number in heard:
                loop.remove_signal_handler(number)
            if self._model is not None:
                await self._model.close()
        return self._tell(error)

    def _end(self, code: int) -> None:
        self._ended_by = self._ended_by or code
        if self._work is not None:
            self._work.cancel()

    async def _visit(self) -> None:
        place = home(self._environment)
        settings = config.load(place.config / "config.toml")
        chosen = await choose(settings, self._environment, place, (self._asked.model,), self._asked.window)
        for warning in chosen.warnings:
            stderr_line(warning)
        first = chosen.connections[0]
        self._detected = _detected(first, "", Capabilities())
        [self._model], _ = await connected_models(replace(chosen, connections=(first,)))
        model = self._model
        await model.ready()
        self._detected = _detected(first, model.name, model.capabilities)
        self._budget = _budget(model.capabilities.price)
        if self._asked.as_json:
            stderr_line(f"the doctor takes {budget_line(self._budget)}")
        else:
            self._screen.begin(self._detected, self._budget)
        self._room = [found for found in (window(model.capabilities),) if found is not None]
        in_file = isinstance(first, LocalRoute)
        effort = settings.effort or ""
        self._examination = examination = Examination(model, effort, self._asked.seconds, self._hear, one_by_one=in_file)
        ticking = asyncio.create_task(self._tick())
        try:
            await examination.run()
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking
            self._screen.clear()
        if examination.ended_by is not None and not examination.too_slow:
            raise examination.ended_by

    async def _tick(self) -> None:
        while True:
            done = len(self._examination.outcomes) if self._examination else 0
            self._screen.tick(done, len(PROBES), time.monotonic() - self._began)
            await asyncio.sleep(_TICK)

    def _hear(self) -> None:
        """Tell of every check that is complete now."""
        if self._examination is None:
            return
        outcomes = self._examination.outcomes
        complete = [check.find(outcomes) for check in CHECKS if all(name in outcomes for name in check.probes)]
        if any(outcome.finished for outcome in outcomes.values()):
            self._show([*self._room, *(finding for finding in complete if finding is not None)])

    def _show(self, findings: Iterable[Finding]) -> None:
        """Show those that were not shown yet."""
        for finding in findings:
            if finding.name not in self._shown:
                self._shown.add(finding.name)
                if not self._asked.as_json:
                    self._screen.found(finding)

    def _tell(self, error: ModelError | None) -> int:
        """Tell what is known, the verdict last, and return the exit code."""
        examination = self._examination
        outcomes = examination.outcomes if examination else {}
        unreachable = error is not None and not any(outcome.finished for outcome in outcomes.values())
        findings = [] if unreachable else [*self._room, *(finding for check in CHECKS if (finding := check.find(outcomes)))]
        judged, score = grade(findings)
        if error is not None or self._ended_by:
            judged = "unreachable" if unreachable else "unknown"
        self._show(findings)
        detected = self._detected
        if detected is None:  # interrupted before there was anything to tell
            return self._ended_by
        price = detected.price
        usage = examination.usage if examination else Usage()
        diagnosis = Diagnosis(
            detected,
            self._budget,
            Spent(
                len(outcomes),
                examination.requests if examination else 0,
                usage,
                price.of(usage) if price else None,
                time.monotonic() - self._began,
            ),
            tuple(findings),
            judged,
            score,
            str(error) if error else "",
            bool(self._ended_by),
        )
        if self._asked.as_json:
            self._out.flush()
            self._out.buffer.write(f"{diagnosis.encoded()}\n".encode())
            self._out.buffer.flush()
        else:
            self._screen.end(diagnosis)
        return self._ended_by or (code_of(error.fault) if error else _code(judged))


def _detected(chosen: Connection | LocalRoute, model: str, known: Capabilities) -> Detected:
    from agent.providers.http import place

    if isinstance(chosen, LocalRoute):
        where, protocol, server, named = chosen.path, LOCAL, LOCAL, LOCAL
    else:
        where, protocol, server, named = place(chosen.base_url), chosen.protocol, chosen.server, chosen.model
    return Detected(
        endpoint=where,
        protocol=protocol,
        server=known.server or server,
        model=model or named,
        window=known.window,
        window_source=known.source,
        images=known.images,
        efforts=known.efforts,
        price=known.price,
    )


def _budget(price: Price | None) -> Budget:
    prompt = sum(probe.most for probe in PROBES)
    completion = sum(probe.limit for probe in PROBES)
    cost = None
    if price is not None:
        cost = max(price.of(Usage(prompt, completion)) or 0.0, price.of(Usage(prompt, completion, written=prompt)) or 0.0)
    return Budget(len(PROBES), prompt, completion, cost)


def _most(probes: Iterable[Probe]) -> int:
    return sum(probe.most + probe.limit for probe in probes)


def _code(judged: Grade) -> int:
    return 0 if judged in {"good", "weak"} else 1
