"""Owns one headless run: prompts in, one true result out."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.errors import RETRYABLE, Fault, JumarError
from agent.events import Denied, Event, FileChanged, RunFinished, ToolFinished, TurnFinished, Verified, VerifyOutcome
from agent.ledger.span import Span
from agent.ledger.store import FileChange
from agent.loop import Limits
from agent.messages import Usage
from agent.session import Session
from agent.tool import Change
from agent.workspace.contract import Workspace
from jumar.output_schema import OutputSchema

VERIFY_ROUNDS = 3
SCHEMA_ROUNDS = 2
_VERIFY_SECONDS = 1800.0


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

    def __init__(self, wanted: Wanted, workspace: Workspace, span: Span) -> None:
        self._wanted = wanted
        self._workspace = workspace
        self._span = span
        self._began = time.monotonic()
        self._usage = Usage()
        self._steps = 0
        self._denied: list[Denied] = []
        self._verify: VerifyOutcome | None = None
        self._structured: Any = None
        self._last = TurnFinished(turn=0, status="done", text="")
        self._told: dict[str, FileChanged] = {}  # what the calls themselves say that they changed
        self._different: list[str] = []  # calls that came out other than expected
        self._missed = ""  # what the person wanted and did not get, when the model itself said done

    @property
    def fault(self) -> str:
        """Why only those changes can be told that calls themselves speak of; empty where all can."""
        return self._span.fault

    def hear(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case ToolFinished():
                self._finished(event)
            case TurnFinished():
                self._last = event
                self._usage += event.usage
                self._steps += event.steps
            case _:
                pass

    def _finished(self, event: ToolFinished) -> None:
        if event.status == "denied":
            reason = event.reply.split("\n", 1)[0]
            self._denied.append(Denied(call_id=event.call_id, tool=event.tool, subject=event.subject, reason=reason))
        for change in event.changes:
            self._told[change.path] = _file(change)
        came, due = (event.status, event.exit_code), (self._wanted.expected or {}).get(event.call_id)
        if due is not None and came != due:
            self._different.append(f"{event.tool} {event.subject}: {_outcome(*came)}, in the recording {_outcome(*due)}")

    async def prompts(self, session: Session, texts: Sequence[str]) -> None:
        """Run the prompts of the person one after the other, as long as their turns come to a good end."""
        for text in texts:
            await self.prompt(session, text)
            if self._last.status != "done" or self._missed:
                return

    async def prompt(self, session: Session, text: str) -> None:
        """Run one prompt of the person, and what the check and the schema make of it."""
        self._missed = ""
        words = self._wanted.schema.demand(text) if self._wanted.schema else text
        await session.turn(words, self._left())
        if self._wanted.verify and self._last.status == "done":
            await self._check(session)
        if self._wanted.schema and self._last.status == "done" and not self._missed:
            await self._fit(session, self._wanted.schema)

    def _left(self) -> Limits:
        limits = self._wanted.limits
        spent = self._usage.prompt + self._usage.completion
        return Limits(
            None if limits.steps is None else max(0, limits.steps - self._steps),
            None if limits.tokens is None else max(0, limits.tokens - spent),
            None if limits.seconds is None else max(0.0, limits.seconds - (time.monotonic() - self._began)),
        )

    async def _check(self, session: Session) -> None:
        command = self._wanted.verify
        for number in range(VERIFY_ROUNDS + 1):
            ended = await self._workspace.run(command, _VERIFY_SECONDS, _unheard)
            self._verify = VerifyOutcome(cmd=command, exit_code=ended.exit_code)
            session.tell(Verified(command=command, exit_code=ended.exit_code, output=ended.output, round=number + 1))
            if ended.exit_code == 0:
                return
            if number == VERIFY_ROUNDS:
                break
            told = (
                f"You said that you are done, but `{command}` fails with exit code {ended.exit_code}. Mend it.\n\n{ended.output}"
            )
            await session.turn(told, self._left(), by_check=True)
            if self._last.status != "done":
                return
        self._missed = "verify_failed"

    async def _fit(self, session: Session, schema: OutputSchema) -> None:
        for number in range(SCHEMA_ROUNDS + 1):
            value, fault = schema.read(self._last.text)
            if not fault:
                self._structured = value
                return
            if number == SCHEMA_ROUNDS:
                break
            await session.turn(
                f"Your answer does not fit the schema: {fault}. Answer with the JSON alone.", self._left(), by_check=True
            )
            if self._last.status != "done":
                return
        self._missed = "schema_not_met"

    async def result(self, interrupted: int = 0) -> RunFinished:
        """Return the one result; `interrupted` is the exit code of the signal that ended the run."""
        status, exit_code, reason = self._judged(interrupted)
        text = self._last.text
        if self._structured is not None and status == "done":
            text = json.dumps(self._structured, ensure_ascii=False)
        changed, patch_path = tuple(self._told.values()), None
        try:
            if not self._span.fault:
                changed = tuple(_file(one) for one in await self._span.changed())
            if self._wanted.patch is not None:
                self._wanted.patch.write_bytes(await self._span.patch())
                patch_path = str(self._wanted.patch)
            if self._wanted.output_file is not None:
                self._wanted.output_file.write_text(f"{text}\n", "utf-8", "surrogateescape")
        except (JumarError, OSError) as error:
            if exit_code == 0:
                status, exit_code, reason = "failed", 1, str(error)
        return RunFinished(
            status=status,
            exit_code=exit_code,
            text=text,
            reason=reason,
            structured=self._structured,
            usage=self._usage,
            steps=self._steps,
            duration_ms=round((time.monotonic() - self._began) * 1000),
            files_changed=changed,
            patch_path=patch_path,
            denied=tuple(self._denied),
            verify=self._verify,
        )

    def _judged(self, interrupted: int) -> tuple[Any, int, str]:
        last = self._last
        if interrupted:
            return "cancelled", interrupted, "a signal stopped it"
        if last.status == "failed":
            return "failed", code_of(last.fault), last.reason
        if last.status == "limit":
            return "limit", 5, last.reason
        if last.status in {"cancelled", "interrupted"}:
            return "cancelled", 1, last.reason
        if self._missed == "verify_failed":
            return "verify_failed", 6, f"{self._wanted.verify!r} still fails after {VERIFY_ROUNDS} rounds"
        if self._missed == "schema_not_met":
            return "schema_not_met", 7, f"the answer does not fit the schema after {SCHEMA_ROUNDS} more tries"
        if self._different:
            more = f", and {len(self._different) - 1} more" if len(self._different) > 1 else ""
            return "failed", 1, f"a call came out differently: {self._different[0]}{more}"
        if self._denied:
            return (
                "denied",
                4,
                f"{len(self._denied)} action(s) were not allowed, the first: {self._denied[0].tool} {self._denied[0].subject}",
            )
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
