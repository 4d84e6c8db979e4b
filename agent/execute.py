"""Owns one step's calls: parse → gate → run → reply, with exactly one reply a call."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.approval import Approval, Ready
from agent.blocks import TextBlock
from agent.calls import Caller, Invalid, Parsed, parse
from agent.effects import Effect
from agent.errors import ToolFailure
from agent.events.call import CallStatus, ToolFinished, ToolStarted
from agent.events.event import Event
from agent.events.step import Repaired
from agent.gate import Gate
from agent.history import History
from agent.instructions import reached
from agent.mask import Mask
from agent.messages import Call
from agent.policy import Mode
from agent.record import About, Recorder
from agent.rules import Decision
from agent.tool import AnyTool, Result
from agent.workspace.contract import Located, Workspace

if TYPE_CHECKING:
    from agent.diagnostics.diagnostics import Diagnostics

_MORE = "More stood after the arguments' object; it was left out. Send one object a call."
_OURS = Caller(pictures=False, doubted=False)  # no model calls


def offered(tools: Mapping[str, AnyTool], *, attended: bool) -> dict[str, AnyTool]:
    """Return the tools that can work, by name: those that need a person only where somebody can answer."""
    return {name: tool for name, tool in sorted(tools.items()) if attended or not tool.needs_person}


class Execute:
    """Runs the calls of one step after the other: reads together, changes one by one in the model's order."""

    def __init__(
        self,
        tools: Mapping[str, AnyTool],
        workspace: Workspace,
        gate: Gate,
        tell: Callable[[Event], None],
        ask: Callable[[str, str, tuple[str, ...]], Awaitable[str]],
        before_change: Callable[[], Awaitable[None]],
        history: History,
        longest: int,
        recorder: Recorder | None,
        mask: Mask,
        diagnostics: "Diagnostics | None",
    ) -> None:
        self._tools = tools
        self._offered = offered(tools, attended=gate.attended)
        self._gate = gate
        self._tell = tell
        self._approval = Approval(tools, workspace, gate, tell, ask, recorder, mask)
        self._before_change = before_change
        self._history = history
        self._begun: set[str] = set()  # calls of this step that were run, if not to their end
        self.touched: set[Path] = set()  # where calls reached since somebody asked last
        self._longest = longest  # characters of a reply
        self._recorder = recorder
        self._diagnostics = diagnostics
        self._seals = workspace.sandbox == "bubblewrap"  # where it lets nothing be written, no mode can be changed either

    async def run(self, calls: tuple[Call, ...], remarks: Mapping[str, str], step: int, caller: Caller) -> list[CallStatus]:
        """Give every call of a step its reply, as an event, and return how they ended; `remarks` are added to the replies.

        When cancelled, those still open are told as cancelled.
        """
        settled: dict[str, CallStatus] = {}
        self._begun.clear()
        parsed = [parse(call, self._tools, self._offered) for call in calls]
        remarks = self._cut(parsed, remarks, step)
        last = next((item.call.id for item in reversed(parsed) if isinstance(item, Parsed) and item.effect is Effect.WRITE), "")
        failed: Parsed | Invalid | None = None
        try:
            start = 0
            while start < len(parsed):
                end = start + 1
                while _reads(parsed[start]) and end < len(parsed) and _reads(parsed[end]):
                    end += 1
                group = parsed[start:end]
                if failed is not None and not _reads(group[0]):
                    self._settle(settled, _skipped(group[0], failed), remarks)
                else:
                    for ended in await self._together(group, caller):
                        finished = ended
                        if ended.call_id == last and ended.status == "done":
                            finished = await self._with_problems(ended, partial(self._settle, settled, ended, remarks))
                        self._settle(settled, finished, remarks)
                        if finished.status != "done" and not _reads(group[0]):
                            failed = group[0]
                start = end
        except BaseException as error:
            stopped = isinstance(error, asyncio.CancelledError)
            why = "Cancelled" if stopped else "jumar itself failed"
            for call in calls:
                if call.id not in settled:
                    begun = f"{why}; it may have had part of its effect. Look before you go on."
                    words = begun if call.id in self._begun else f"{why} before it was run; nothing of it was done."
                    status: CallStatus = "cancelled" if stopped else "failed"
                    self._settle(settled, ToolFinished(call_id=call.id, tool=call.name, status=status, reply=words), remarks)
            raise
        return list(settled.values())

    async def check(self, command: str, seconds: float, call_id: str) -> ToolFinished | None:
        """Run a check of the person's as a call of the model's would be: by gate, sandbox and ledger.

        None where it may not run, or would have to be asked about and nobody is there.
        """
        item = self._running(command, seconds, call_id)
        if item is None or not await self._may(item):
            return None
        try:
            finished = await self._one(item, _OURS)
        except BaseException as error:
            status: CallStatus = "cancelled" if isinstance(error, asyncio.CancelledError) else "failed"
            words = "Stopped; it may have had part of its effect."
            self._tell(ToolFinished(call_id=call_id, tool=item.call.name, status=status, reply=words, subject=command))
            raise
        self._tell(finished)
        return finished

    async def allows(self, command: str) -> bool:
        """Whether a command may run, or somebody can be asked about it."""
        item = self._running(command, 1, "")
        return item is not None and await self._may(item)

    def _running(self, command: str, seconds: float, call_id: str) -> Parsed | None:
        for name, tool in self._tools.items():
            if (arguments := tool.running(command, seconds)) is not None:
                return Parsed(Call(call_id, name, arguments.model_dump_json()), tool, arguments, tool.effect_of(arguments))
        return None

    async def _may(self, item: Parsed) -> bool:
        decision = self._gate.weigh((await self._approval.ready(item, _OURS)).question).decision
        return decision is Decision.ALLOW or (decision is Decision.ASK and self._gate.attended)

    def _cut(self, parsed: list[Parsed | Invalid], remarks: Mapping[str, str], step: int) -> Mapping[str, str]:
        """Tell of calls after whose arguments more stood; return the remarks with one more for each."""
        cut = [item.call.id for item in parsed if isinstance(item, Parsed) and item.more]
        if not cut:
            return remarks
        words = f"calls that only read had more after their arguments, which was left out: {len(cut)}"
        self._tell(Repaired(step=step, kind="arguments", words=words))
        told = {call_id: [_MORE] for call_id in cut}
        for call_id, remark in remarks.items():
            told.setdefault(call_id, []).append(remark)
        return {call_id: " ".join(lines) for call_id, lines in told.items()}

    def _settle(self, settled: dict[str, CallStatus], finished: ToolFinished, remarks: Mapping[str, str]) -> None:
        settled[finished.call_id] = finished.status
        finished = self._history.settled(finished)
        if remark := remarks.get(finished.call_id):
            finished = replace(finished, reply=f"{finished.reply}\n\n[{remark}]")
        self._tell(finished)

    async def _with_problems(self, finished: ToolFinished, settle: Callable[[], None]) -> ToolFinished:
        """Return the last change of a step with the problems that its changes brought, as far as they are known in time.

        It is told as it is where somebody stops the turn meanwhile.
        """
        if self._diagnostics is None:
            return finished
        try:
            verdict = await self._diagnostics.verdict()
        except BaseException:
            settle()
            raise
        reply = f"{finished.reply}\n{verdict.words}" if verdict.words else finished.reply
        blocks = (TextBlock("\n".join(verdict.problems)),) if verdict.problems else ()
        return replace(finished, reply=reply, blocks=(*finished.blocks, *blocks))

    async def _together(self, group: list[Parsed | Invalid], caller: Caller) -> list[ToolFinished]:
        if len(group) == 1:
            return [await self._one(group[0], caller)]
        try:
            async with asyncio.TaskGroup() as running:
                tasks = [running.create_task(self._one(item, caller)) for item in group]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several
        return [task.result() for task in tasks]

    async def _one(self, item: Parsed | Invalid, caller: Caller) -> ToolFinished:
        if isinstance(item, Invalid):
            return ToolFinished(call_id=item.call.id, tool=item.call.name, status="invalid", reply=item.fault)
        finish = partial(_finish, time.monotonic(), self._longest)
        if item.tool.needs_person and not self._gate.attended:
            return finish(item, "failed", Result("Nobody can answer here: decide yourself, and say what you chose."))
        # Only now, for the calls before it in this step may have changed where its paths lead.
        ready = await self._approval.ready(item, caller)
        try:
            passed = await self._approval.passed(ready, caller)
            if isinstance(passed, str):
                return finish(item, "denied", Result(passed))
            ready = passed
            finish = partial(_finish, time.monotonic(), self._longest)  # what a person thought is no time of the call's
            result = await self._act(ready)
            if result.stopped:
                result = await self._again(ready, result)
            self.touched.update(reached(ready.question))
            return finish(ready.item, "done", result, ready.told(ran=True))
        except ToolFailure as failure:
            return finish(ready.item, "failed", Result(str(failure)), ready.told(ran=False))
        except OSError as error:
            return finish(ready.item, "failed", Result(f"{item.call.name} failed: {error}"), ready.told(ran=False))

    async def _act(self, ready: Ready) -> Result:
        """Run a call, and record what it changes."""
        item = ready.item
        if item.effect is Effect.READ or self._recorder is None:
            return await self._run(ready)
        files = None if item.effect is Effect.EXEC else tuple(path.real for path in ready.context.located.values())
        confined = ready.context.confined
        sealed = files is None and self._seals and confined.held and not confined.writes
        about = About(item.call.id, item.call.name, item.subject, files, writes=not sealed)
        return await self._recorder.around(about, partial(self._run, ready))

    async def _run(self, ready: Ready) -> Result:
        item = ready.item
        if item.effect is not Effect.READ:
            await self._before_change()
        self._begun.add(item.call.id)
        self._tell(ToolStarted(call_id=item.call.id, tool=item.call.name, subject=item.title, effect=item.effect))
        with self._watched(item.effect, tuple(ready.context.located.values())):
            result: Result = await item.tool.run(item.arguments, ready.context)
        return result

    def _watched(self, effect: Effect, located: tuple[Located, ...]) -> AbstractContextManager[None]:
        """Return within what a call runs, so that the problems that it brings are found."""
        if self._diagnostics is not None and effect is Effect.WRITE:
            return self._diagnostics.around(located)
        if self._diagnostics is not None and effect is Effect.READ and self._gate.mode is not Mode.PLAN:
            self._diagnostics.near(located)
        return nullcontext()

    async def _again(self, ready: Ready, first: Result) -> Result:
        """Run a command once more that the sandbox stopped, if a person says so; what both runs came to is told.

        Each run is an action of its own: what anybody changes while the person thinks is no doing of the command's.
        """
        free = await self._approval.once_without(ready, first)
        if isinstance(free, str):
            return replace(first, text=f"{first.text}\n[{free}]")
        words = f"{first.text}\n[The sandbox seems to have stopped it: {first.stopped}. The person let it run once more without:]"
        try:
            second = await self._act(free)
        except (ToolFailure, OSError) as error:
            return replace(first, text=f"{words}\n{error}")
        return replace(second, text=f"{words}\n{second.text}", blocks=(*first.blocks, *second.blocks))


def _reads(item: Parsed | Invalid) -> bool:
    return item.reads if isinstance(item, Invalid) else item.effect is Effect.READ


def _named(item: Parsed | Invalid) -> str:
    subject = item.subject.split("\n", 1)[0][:80] if isinstance(item, Parsed) else ""
    return f"{item.call.name} {subject}".rstrip()


def _skipped(item: Parsed | Invalid, failed: Parsed | Invalid) -> ToolFinished:
    words = (
        f"Not run, because an earlier call of this step could not be made ({_named(failed)}, see above). "
        "Send it again if it is still wanted."
    )
    subject = item.subject if isinstance(item, Parsed) else ""
    return ToolFinished(call_id=item.call.id, tool=item.call.name, status="skipped", reply=words, subject=subject)


def _finish(began: float, longest: int, item: Parsed, status: CallStatus, result: Result, remark: str = "") -> ToolFinished:
    reply = result.text or "(no output)"
    reply = f"[{remark}]\n{reply}" if remark else reply
    cut = len(reply) > longest
    if cut:
        start, end = reply[: longest * 3 // 4], reply[-longest // 4 :]
        reply = f"{start}\n[{len(reply) - longest} characters were left out here; ask for less at a time]\n{end}"
    return ToolFinished(
        call_id=item.call.id,
        tool=item.call.name,
        status=status,
        reply=reply,
        subject=item.subject if status == "denied" else item.title,
        blocks=result.blocks,
        changes=result.changes,
        exit_code=result.exit_code,
        images=result.images,
        seen=() if cut or remark else result.seen,
        seconds=round(time.monotonic() - began, 3),
    )
