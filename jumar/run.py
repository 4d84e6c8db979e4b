"""Owns one headless run: prompts in, one true result out."""

import json
import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.blocks import Image
from agent.effects import Change
from agent.errors import RETRYABLE, Fault, JumarError
from agent.events.action import ActionFile, ActionRecorded, ActionsUndone
from agent.events.call import CHECK, ToolFinished
from agent.events.conversation import TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.run import Denied, FileChanged, RunFinished, Verified, VerifyOutcome
from agent.events.step import Compacted, Repaired
from agent.ledger.span import Span
from agent.ledger.store import FileChange
from agent.loop import Limits
from agent.messages import Usage
from agent.proof import Proof
from agent.safe import mended
from agent.session import Session
from agent.workspace.contract import Workspace
from jumar.output_schema import OutputSchema

VERIFY_ROUNDS = 3
SCHEMA_ROUNDS = 2
_MOST_NOT_CAPTURED = 100
_VERIFY_SECONDS = 1800.0
_TIMED_OUT = 124  # as `timeout` tells it
_NOT_RUN = {126, 127}  # as a shell tells it


Expected = Mapping[str, tuple[str, int | None]]  # by the id of a call: its status and exit code


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the person wants of the run beside its prompts."""

    limits: Limits
    verify: str = ""
    schema: OutputSchema | None = None
    patch: Path | None = None
    output_file: Path | None = None
    expected: Expected | None = None


class Run:
    """Collects what happens in a session until the result can be told."""

    def __init__(self, wanted: Wanted, workspace: Workspace, span: Span, checks: Collection[str] = ()) -> None:
        self._wanted = wanted
        self._proof = Proof(checks, workspace.root)
        self._workspace = workspace
        self._span = span
        self._began = time.monotonic()
        self._usage = Usage()
        self._estimated = 0
        self._costs: list[float | None] = []  # of the turns
        self._actions: list[str] = []  # that the ledger holds and nobody took back
        self._reverted: tuple[str, ...] = ()
        self._head: str | None = None
        self._not_captured: dict[str, str] = {}  # paths, and why what happened to them cannot be undone
        self._repairs: Counter[str] = Counter()
        self._steps = 0
        self._in_turn = False
        self._denied: list[Denied] = []
        self._verify: VerifyOutcome | None = None
        self._structured: Any = None
        self._last = TurnFinished(turn=0, status="done", text="")
        self._told: dict[str, FileChanged] = {}  # what the calls themselves, and the ledger, say that they changed
        self._different: list[str] = []  # calls that came out other than expected
        self._patch_path: str | None = None
        self._faults: list[str] = []  # what was wanted at the end and could not be had
        self._interrupted = 0
        self._broken = ""  # why nothing more could be run
        self._missed = ""  # what the person wanted and did not get, when the model itself said done

    @property
    def fault(self) -> str:
        """Why only those changes can be told that calls themselves speak of; empty where all can."""
        return self._span.fault

    def hear(self, event: Event) -> None:
        """Take in one event."""
        self._proof.apply(event)
        match event:
            case ToolFinished():
                self._finished(event)
            case ActionRecorded():
                for path, why in event.not_captured.items():
                    if len(self._not_captured) < _MOST_NOT_CAPTURED:
                        self._not_captured[path] = why
                self._actions.append(event.action)
                self._head = event.seal
                self._took(event.files)
            case ActionsUndone():
                self._head = event.seal
                self._actions = [action for action in self._actions if action not in event.undoes]
                self._took(event.files)
            case Repaired():
                self._repairs[event.kind] += 1
            case TurnStarted():
                self._in_turn = True
            case Compacted() if not self._in_turn:  # in a turn it counts with it
                self._usage += event.usage
                self._costs += [event.cost] if event.usage.prompt else []
            case TurnFinished():
                self._in_turn = False
                self._last = event
                if event.usage.prompt or event.steps:
                    self._costs.append(event.cost)
                self._usage += event.usage
                self._estimated += event.estimated
                self._steps += event.steps
            case _:
                pass

    def _finished(self, event: ToolFinished) -> None:
        if event.status == "denied":
            reason = event.reply.split("\n", 1)[0]
            self._denied.append(Denied(call_id=event.call_id, tool=event.tool, subject=event.subject, reason=reason))
        if event.call_id.startswith(CHECK) and event.exit_code is not None:
            self._verify = VerifyOutcome(cmd=event.subject, exit_code=event.exit_code)
        for change in event.changes:
            self._told[change.path] = _file(change)
        came, due = (event.status, event.exit_code), (self._wanted.expected or {}).get(event.call_id)
        if due is not None and came != due:
            self._different.append(f"{event.tool} {event.subject}: {_outcome(*came)}, in the recording {_outcome(*due)}")

    def _took(self, files: Iterable[ActionFile]) -> None:
        """Take in what the ledger says, in case that a signal leaves no time to look at the end."""
        for file in files:
            was = self._told.get(file.path)
            if was is not None and was.kind == "created" and file.kind == "deleted":
                del self._told[file.path]
                continue
            kept = was is not None and was.kind != file.kind
            kind = file.kind if not kept or file.kind == "deleted" else "created" if was and was.kind == "created" else "modified"
            self._told[file.path] = FileChanged(path=file.path, kind=kind, added=file.added, removed=file.removed)

    async def prompts(self, session: Session, texts: Sequence[str], images: tuple[Image, ...]) -> None:
        """Run prompts one after the other, as long as they end well; after the last, look at what else is wanted.

        Pictures go with the last.
        """
        for text in texts[:-1]:
            await session.turn(text, self._left())
            if self._last.status != "done":
                return
        await self.prompt(session, texts[-1], images)

    async def prompt(self, session: Session, text: str, images: tuple[Image, ...]) -> None:
        """Run one prompt of the person, until the answer fits the schema and the check passes, or their rounds are over."""
        self._missed, self._structured, self._verify = "", None, None
        schema = self._wanted.schema
        tries = 0 if self._wanted.expected is not None else 1  # what is played cannot be asked to mend anything
        await session.turn(schema.demand(text) if schema else text, self._left(), images=images)
        unfit = failed = 0
        while self._last.status == "done":
            if fault := self._unfit():
                unfit += 1
                if unfit > SCHEMA_ROUNDS * tries:
                    self._missed = "schema_not_met"
                    return
                words = f"Your answer does not fit the schema: {fault}. Answer with the JSON alone."
            elif words := await self._failure(session, failed + 1):
                failed += 1
                if failed > VERIFY_ROUNDS * tries:
                    self._missed = "verify_failed"
                    return
            else:
                return
            self._structured = None
            await session.turn(words, self._left(), by_check=True)

    async def question(self, session: Session, text: str) -> None:
        """Run one prompt after which nothing is checked, for nothing is changed by it."""
        await session.turn(text, self._left())

    def stopped(self) -> None:
        """Take in that the person stopped what ran, be it no turn."""
        self._last = replace(self._last, status="cancelled", reason="the person stopped it")

    def interrupt(self, code: int) -> None:
        """Take in that a signal ends the run; `code` is its exit code."""
        self._interrupted = self._interrupted or code

    def broke(self, reason: str) -> None:
        """Take in that nothing more can be run, for what happens cannot be kept."""
        self._broken = reason

    def _left(self) -> Limits:
        limits = self._wanted.limits
        spent = self._usage.prompt + self._usage.completion + self._estimated
        return Limits(
            None if limits.steps is None else max(0, limits.steps - self._steps),
            None if limits.tokens is None else max(0, limits.tokens - spent),
            None if limits.seconds is None else max(0.0, limits.seconds - (time.monotonic() - self._began)),
        )

    def _unfit(self) -> str:
        """Return why the answer does not fit the schema, where one is wanted."""
        if self._wanted.schema is None:
            return ""
        self._structured, fault = self._wanted.schema.read(self._last.text)
        return fault

    async def _failure(self, session: Session, number: int) -> str:
        """Run the check, where one is wanted; return what the model is told of its failure."""
        command = self._wanted.verify
        if not command:
            return ""
        left = self._left().seconds
        await self._span.begin()
        ended = await self._workspace.run(command, _VERIFY_SECONDS if left is None else min(left, _VERIFY_SECONDS), _unheard)
        code = (ended.exit_code or _TIMED_OUT) if ended.timed_out else ended.exit_code
        self._verify = VerifyOutcome(cmd=command, exit_code=code)
        session.tell(Verified(command=command, exit_code=code, output=ended.output, round=number))
        if ended.timed_out and left is not None and left <= _VERIFY_SECONDS:
            self._last = replace(self._last, status="limit", reason="the time was up before the check ended")
            return ""
        if code == 0:
            return ""
        if code in _NOT_RUN and number > 1:  # what the model was told once, it could not bring about
            self._missed = "verify_failed"
            return ""
        late = f" after {_VERIFY_SECONDS:g} s" if ended.timed_out else ""
        from agent.folding import failing  # for those whose check fails

        head = f"You said that you are done, but `{command}` fails with exit code {code}{late}. Mend it."
        return f"{head}\n\n{failing(ended.output)}"

    async def settle(self) -> None:
        """Find out what changed, and write the patch and the answer where they are wanted."""
        try:
            if not self._span.fault:
                self._told = {one.path: _file(one) for one in await self._span.changed()}
            if self._wanted.patch is not None and self._write(self._wanted.patch, await self._span.patch()):
                self._patch_path = str(self._wanted.patch)
        except (JumarError, OSError) as error:
            self._faults.append(str(error))
        if self._wanted.output_file is not None and self._text():
            self._write(self._wanted.output_file, f"{mended(self._text())}\n".encode())

    def _write(self, file: Path, raw: bytes) -> bool:
        """Write a file that the person wants, and return whether that went well."""
        try:
            file.write_bytes(raw)
        except OSError as error:
            self._faults.append(f"{file} cannot be written: {error.strerror}")
            return False
        return True

    async def revert(self, session: Session) -> None:
        """Put back what the run changed, where it ends with another code than 0."""
        if self.result().exit_code == 0 or not self._actions:
            return
        if self._broken:
            self._faults.append("what it changed was not put back")
            return
        ids = tuple(self._actions)
        try:
            plan = await session.hands.revert(ids)
            left = {one.path for one in await self._span.changed()}
        except (JumarError, OSError) as error:
            self._faults.append(f"it was not put back: {error}")
            return
        if plan.conflicts:
            first = plan.conflicts[0]
            self._faults.append(f"it was not put back: {first.path}: {first.why}")
            return
        self._reverted = ids
        # What came since, such as the patch itself, is no change of the run.
        self._told = {path: file for path, file in self._told.items() if path in left}
        self._faults += [f"{path} was not put back: {why}" for path, why in plan.unheld]
        if self._told:
            self._faults.append(f"not all was put back; {', '.join(sorted(self._told)[:3])} still differs")

    def result(self) -> RunFinished:
        """Return the one result."""
        status, exit_code, reason = self._judged()
        if self._faults:
            reason = "; ".join(filter(None, (reason, *self._faults)))
            if exit_code == 0:
                status, exit_code = "failed", 1
        return RunFinished(
            status=status,
            exit_code=exit_code,
            text=self._text(),
            reason=reason,
            structured=self._structured,
            usage=self._usage,
            estimated=self._estimated,
            cost=self._cost(),
            repairs=dict(self._repairs),
            steps=self._steps,
            duration_ms=round((time.monotonic() - self._began) * 1000),
            files_changed=tuple(self._told.values()),
            patch_path=self._patch_path,
            reverted=self._reverted,
            not_captured=self._not_captured,
            ledger_head=self._head,
            denied=tuple(self._denied),
            verify=self._verify,
            verified=self._proof.verified,
        )

    def _cost(self) -> float | None:
        known = [cost for cost in self._costs if cost is not None]
        return sum(known) if known and len(known) == len(self._costs) else None

    def _text(self) -> str:
        if self._structured is not None and self._last.status == "done":
            return json.dumps(self._structured, ensure_ascii=False)
        return self._last.text

    def _judged(self) -> tuple[Any, int, str]:
        last = self._last
        if self._interrupted:
            return "cancelled", self._interrupted, "a signal stopped it"
        if self._broken:
            return "failed", 1, self._broken
        if last.status == "failed":
            return "failed", code_of(last.fault), last.reason
        if last.status == "limit":
            return "limit", 5, last.reason
        if last.status in {"cancelled", "interrupted"}:
            return "cancelled", 1, last.reason
        if last.failing:
            return "verify_failed", 6, f"{last.failing!r} still fails"
        if self._missed == "verify_failed":
            code = self._verify.exit_code if self._verify else 0
            fails = f"cannot be run (exit {code})" if code in _NOT_RUN else "still fails"
            return "verify_failed", 6, f"{self._wanted.verify!r} {fails}"
        if self._missed == "schema_not_met":
            return "schema_not_met", 7, "the answer still does not fit the schema"
        if self._different:
            more = f", and {len(self._different) - 1} more" if len(self._different) > 1 else ""
            return "failed", 1, f"a call came out differently: {self._different[0]}{more}"
        if self._denied:
            first = self._denied[0]
            number = "1 action was" if len(self._denied) == 1 else f"{len(self._denied)} actions were"
            plain = re.fullmatch(r"[\w./ -]{1,60}", first.subject)
            hint = f"; see --mode and --allow '{first.tool}({first.subject})'" if plain and " mode asks: " in first.reason else ""
            return "denied", 4, f"{number} not allowed, the first: {first.tool} {first.subject}{hint}"
        return "done", 0, ""


def code_of(fault: str) -> int:
    """Return the exit code of a request that came to nothing."""
    return 77 if fault == Fault.AUTHENTICATION else 75 if fault in RETRYABLE else 1


def _file(change: Change | FileChange) -> FileChanged:
    return FileChanged(path=change.path, kind=change.kind, added=change.added, removed=change.removed)


def _outcome(status: str, exit_code: int | None) -> str:
    return status if exit_code is None else f"{status} with exit code {exit_code}"


def _unheard(_: str) -> None:
    """Nobody listens to a check's progress."""
