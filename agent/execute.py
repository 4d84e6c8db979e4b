"""Owns one step's calls: parse → gate → run → reply, with exactly one reply a call."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from pydantic import ValidationError

from agent.blocks import Block
from agent.command.weigh import Command, weigh
from agent.errors import ToolFailure
from agent.events import CallStatus, Event, Repaired, ToolFinished, ToolProgressed, ToolStarted
from agent.gate import Gate, Shown, fingerprint
from agent.messages import Call
from agent.record import About, Recorder
from agent.rules import Decision, Question
from agent.tool import AnyTool, Arguments, Context, Effect, Result, Tool
from agent.workspace.contract import Confinement, Located, Place, Workspace

_LARGEST_ARGUMENTS = 4 << 20
_MORE = "More stood after the arguments' object; it was left out. Send one object a call."
_LARGEST_REPLY = 100_000
_CACHES = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".cache"})  # nobody misses them
_MOST_LOSSES = 8  # paths that are not captured and are named to who is asked


@dataclass(frozen=True, slots=True)
class Parsed:
    """A call that can run: its tool, its arguments and its effect."""

    call: Call
    tool: AnyTool
    arguments: Arguments
    effect: Effect
    more: bool = False  # something stood after its arguments, and was left out

    @property
    def subject(self) -> str:
        """What rules match, and a person reads."""
        return self.tool.subject(self.arguments)


@dataclass(frozen=True, slots=True)
class Caller:
    """What matters of the model whose calls these are: whether it sees pictures, and whether they are its calls at all."""

    pictures: bool
    doubted: bool


@dataclass(frozen=True, slots=True)
class Invalid:
    """A call that cannot run, and the words that tell the model why; `reads` says that it would have changed nothing."""

    call: Call
    fault: str
    reads: bool = False


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
        longest: int = _LARGEST_REPLY,
        recorder: Recorder | None = None,
    ) -> None:
        self._tools = tools
        self._offered = offered(tools, attended=gate.attended)
        self._workspace = workspace
        self._gate = gate
        self._tell = tell
        self._ask = ask
        self._before_change = before_change
        self._longest = longest  # characters of a reply
        self._recorder = recorder

    async def run(self, calls: tuple[Call, ...], remarks: Mapping[str, str], step: int, caller: Caller) -> list[CallStatus]:
        """Give every call of a step its reply, as an event, and return how they ended; `remarks` are added to the replies.

        When cancelled, those still open are told as cancelled.
        """
        settled: dict[str, CallStatus] = {}
        parsed = [self._parse(call) for call in calls]
        remarks = self._cut(parsed, remarks, step)
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
                    for finished in await self._together(group, caller):
                        self._settle(settled, finished, remarks)
                        if finished.status != "done" and not _reads(group[0]):
                            failed = group[0]
                start = end
        except BaseException as error:
            stopped = isinstance(error, asyncio.CancelledError)
            words = (
                f"{'Cancelled' if stopped else 'jumar itself failed'}; it may have had part of its effect. Look before you go on."
            )
            for call in calls:
                if call.id not in settled:
                    status: CallStatus = "cancelled" if stopped else "failed"
                    self._settle(settled, ToolFinished(call_id=call.id, tool=call.name, status=status, reply=words), remarks)
            raise
        return list(settled.values())

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
        if remark := remarks.get(finished.call_id):
            finished = replace(finished, reply=f"{finished.reply}\n\n[{remark}]")
        self._tell(finished)

    async def _together(self, group: list[Parsed | Invalid], caller: Caller) -> list[ToolFinished]:
        if len(group) == 1:
            return [await self._one(group[0], caller)]
        try:
            async with asyncio.TaskGroup() as running:
                tasks = [running.create_task(self._one(item, caller)) for item in group]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several
        return [task.result() for task in tasks]

    def _parse(self, call: Call) -> Parsed | Invalid:
        tool = self._tools.get(call.name)
        if tool is None:
            return Invalid(call, f"There is no tool {call.name!r}. The tools are: {', '.join(self._offered)}.")
        try:
            given, more = read_arguments(call.arguments)
            arguments = tool.arguments.model_validate(given)
        except ValidationError as error:
            return Invalid(
                call, f"The arguments of {call.name} do not fit, nothing was run: {_faults(error)}.", _only_reads(tool)
            )
        except (ValueError, RecursionError) as error:
            words = f"The arguments of {call.name} are no JSON object, nothing was run: {error}."
            return Invalid(call, words, _only_reads(tool))
        effect = tool.effect_of(arguments)
        if more and effect is not Effect.READ:
            return Invalid(call, f"More stands after the arguments of {call.name}, nothing was run: send the one object alone.")
        return Parsed(call, tool, arguments, effect, more)

    async def _one(self, item: Parsed | Invalid, caller: Caller) -> ToolFinished:
        if isinstance(item, Invalid):
            return ToolFinished(call_id=item.call.id, tool=item.call.name, status="invalid", reply=item.fault)
        began = time.monotonic()
        finish = partial(_finish, item, began, self._longest)
        if item.tool.needs_person and not self._gate.attended:
            return finish("failed", Result("Nobody can answer here: decide yourself, and say what you chose."))
        # Only now, for the calls before it in this step may have changed where its paths lead.
        located = {path: self._workspace.locate(path) for path in item.tool.paths(item.arguments)}
        question = Question(
            item.call.name,
            item.effect,
            item.subject,
            tuple(located.values()),
            caller.doubted,
            self._is_unheld(item, located),
            await self._weighed(item),
        )
        context = Context(
            self._workspace,
            partial(self._progress, item.call.id),
            partial(self._ask, item.call.id),
            located,
            partial(self._gate.may_show, item.call.name),
            caller.pictures,
        )
        try:
            passed = await self._pass(item, question, context)
            if isinstance(passed, str):
                return finish("denied", Result(passed))
            context = replace(context, confined=passed)
            if item.effect is Effect.READ or self._recorder is None:
                return finish("done", await self._run(item, context))
            files = None if item.effect is Effect.EXEC else tuple(path.real for path in located.values())
            about = About(item.call.id, item.call.name, item.subject, files)
            return finish("done", await self._recorder.around(about, partial(self._run, item, context)))
        except ToolFailure as failure:
            return finish("failed", Result(str(failure)))
        except OSError as error:
            return finish("failed", Result(f"{item.call.name} failed: {error}"))

    def _is_unheld(self, item: Parsed, located: Mapping[str, Located]) -> bool:
        if self._recorder is None or item.effect is not Effect.WRITE:
            return False
        return not all(self._recorder.holds(path.real) for path in located.values())

    async def _run(self, item: Parsed, context: Context) -> Result:
        if item.effect is not Effect.READ:
            await self._before_change()
        self._tell(ToolStarted(call_id=item.call.id, tool=item.call.name, subject=item.subject, effect=item.effect))
        result: Result = await item.tool.run(item.arguments, context)
        return result

    async def _weighed(self, item: Parsed) -> Command | None:
        text = item.tool.command(item.arguments)
        if not text:
            return None
        if self._recorder is not None:
            await self._recorder.looked()
        return weigh(text, self._workspace.locate, self._is_unkept)

    def _is_unkept(self, path: Located) -> bool:
        """Whether the ledger does not keep what lies there."""
        return path.real.name not in _CACHES and (self._recorder is None or not self._recorder.keeps(path.real))

    async def _pass(self, item: Parsed, question: Question, context: Context) -> Confinement | str:
        """Take a call through the gate; return how it may run, or the words of a refusal."""
        expected = self._gate.weigh(question)
        if item.effect is Effect.READ and expected.decision is Decision.ALLOW:
            return expected.confined
        digest, cwd = "", str(self._workspace.cwd)
        arguments = item.arguments.model_dump_json(exclude_unset=True)
        while True:
            # Only what a person is asked about is looked at before it may be: a preview reads files, and its failure is told.
            asks = expected.decision is Decision.ASK
            blocks = await self._preview(item, question, context) if asks else ()
            losses = self._losses(item) if asks else ()
            now = fingerprint(item.call.name, item.arguments.model_dump_json(), cwd, expected.confined, blocks)
            if now == digest:
                return expected.confined
            digest = now
            shown = Shown(blocks, digest, cwd, arguments, item.tool.editable, losses)
            passed = await self._gate.judge(item.call.id, question, shown)
            decided = passed.decided
            if not decided.allowed:
                words = f" They said: {decided.words.rstrip('.')}." if decided.words else ""
                return (
                    f"Not run: {decided.reason}.{words} Do not try to reach the same by another way; go on without it or say so."
                )
            if decided.by != "person":
                return passed.confined

    def _losses(self, item: Parsed) -> tuple[str, ...]:
        """Say what a command could change that could not be undone."""
        left_out = self._recorder.coverage() if self._recorder is not None and item.effect is Effect.EXEC else {}
        lines = [f"{path} ({why})" for path, why in islice(left_out.items(), _MOST_LOSSES)]
        more = [f"and {len(left_out) - _MOST_LOSSES} more"] if len(left_out) > _MOST_LOSSES else []
        return (*lines, *more)

    async def _preview(self, item: Parsed, question: Question, context: Context) -> tuple[Block, ...]:
        try:
            return await item.tool.preview(item.arguments, context)
        except ToolFailure:
            if question.lies(Place.OUTSIDE):
                return ()  # why it cannot work is the model's to know only once it may look there
            raise

    def _progress(self, call_id: str, text: str) -> None:
        self._tell(ToolProgressed(call_id=call_id, text=text))


def read_arguments(text: str) -> tuple[dict[str, Any], bool]:
    """Return the object that a call's arguments begin with, and whether more stands after it.

    Raises ValueError with a word that the model can act on.
    """
    if len(text) > _LARGEST_ARGUMENTS:
        raise ValueError(f"they are longer than {_LARGEST_ARGUMENTS} characters")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        whole = dict(pairs)
        if len(whole) != len(pairs):
            raise ValueError("a key stands there twice")
        return whole

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    text = text.strip() or "{}"
    given, end = json.JSONDecoder(strict=False, object_pairs_hook=unique, parse_constant=constant).raw_decode(text)
    try:
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("they hold half a character, a lone surrogate") from None
    if isinstance(given, dict):
        return given, end < len(text)
    raise ValueError(f"they are a {type(given).__name__}")


def _faults(error: ValidationError) -> str:
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False)[:5]:
        where = ".".join(str(part) for part in fault["loc"])
        faults.append(f"{where}: {fault['msg']}" if where else fault["msg"])
    return "; ".join(faults)


def _reads(item: Parsed | Invalid) -> bool:
    return item.reads if isinstance(item, Invalid) else item.effect is Effect.READ


def _only_reads(tool: AnyTool) -> bool:
    """Tell whether no call of the tool can change anything."""
    return tool.effect is Effect.READ and type(tool).effect_of is Tool.effect_of


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


def _finish(item: Parsed, began: float, longest: int, status: CallStatus, result: Result) -> ToolFinished:
    reply = result.text or "(no output)"
    if len(reply) > longest:
        start, end = reply[: longest * 3 // 4], reply[-longest // 4 :]
        reply = f"{start}\n[{len(reply) - longest} characters were left out here; ask for less at a time]\n{end}"
    return ToolFinished(
        call_id=item.call.id,
        tool=item.call.name,
        status=status,
        reply=reply,
        subject=item.subject,
        blocks=result.blocks,
        changes=result.changes,
        exit_code=result.exit_code,
        images=result.images,
        seconds=round(time.monotonic() - began, 3),
    )
