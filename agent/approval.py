"""Owns a call's way through the gate: what a person is shown of it, what they may change of it, and what may run then."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from agent.blocks import Block, DiffBlock
from agent.calls import Caller, Invalid, Parsed, parse
from agent.code.diff import told_apart
from agent.command.deed import HELD, READ
from agent.command.losses import ELSEWHERE, losses
from agent.command.weigh import Command, weigh
from agent.effects import Effect
from agent.errors import ToolFailure, UsageError
from agent.events.call import ToolProgressed
from agent.events.event import Event
from agent.events.news import Warned
from agent.gate import Answered, Gate, Shown, fingerprint
from agent.mask import MASKED, Mask
from agent.policy import Mode, Verdict
from agent.record import Recorder
from agent.rules import NETWORK, Decision, Question, Rule
from agent.tool import AnyTool, Context, Result
from agent.workspace.contract import UNCONFINED, Confinement, Located, Place, Workspace

_CACHES = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".cache"})  # nobody misses them
_MOST_LOSSES = 8  # paths that are not captured and are named to who is asked
_NO_ARGUMENT = "No argument lifts that: do it another way that needs no more, or say what the person would have to allow."


@dataclass(frozen=True, slots=True)
class Ready:
    """A call whose paths are located: what the policy may know of it, and what its tool may use."""

    item: Parsed
    question: Question
    context: Context
    changed: bool = False  # the person changed its arguments
    left_out: tuple[str, ...] = ()  # hunks of its change that the person refused, as they were shown

    def told(self, *, ran: bool) -> str:
        """Say to the model in what it is not the call that it sent; empty where it is."""
        words = []
        if self.changed:
            what = "what ran was" if ran else "what came to nothing was"
            words.append(f"The person changed the arguments before allowing it; {what}: {self.item.given}")
        if self.left_out:
            holds = "they were not made, and the file holds only the others" if ran else "they were not made, nor the others"
            words.append("\n".join([f"The person refused these hunks of the change: {holds}.", *self.left_out]))
        return "\n".join(words)


class Approval:
    """Takes calls through the gate. A person's answer is held against what they were shown before it is taken."""

    def __init__(
        self,
        tools: Mapping[str, AnyTool],
        workspace: Workspace,
        gate: Gate,
        tell: Callable[[Event], None],
        ask: Callable[[str, str, tuple[str, ...]], Awaitable[str]],
        recorder: Recorder | None,
        mask: Mask,
    ) -> None:
        self._tools = tools
        self._workspace = workspace
        self._gate = gate
        self._tell = tell
        self._ask = ask
        self._recorder = recorder
        self._mask = mask

    async def ready(self, item: Parsed, caller: Caller) -> Ready:
        """Locate what a call touches: its paths may have been led elsewhere by the calls before it."""
        if item.tool.command(item.arguments) and self._recorder is not None:
            await self._recorder.looked()
        return self._located(item, caller)

    def _located(self, item: Parsed, caller: Caller) -> Ready:
        located = {path: self._workspace.locate(path) for path in item.tool.paths(item.arguments)}
        paths, unheld = tuple(located.values()), self._is_unheld(item, located)
        name, command = item.call.name, self._weighed(item)
        question = Question(name, item.effect, item.subject, paths, caller.doubted, unheld, command)
        context = Context(
            self._workspace,
            partial(self._progress, item.call.id),
            partial(self._ask, item.call.id),
            located,
            self._gate.view(name),
            caller.pictures,
        )
        return Ready(item, question, context)

    async def _reached(self, ready: Ready) -> Ready:
        """Locate what else a call touches, where its tool must look for that. Raises ToolFailure."""
        item = ready.item
        paths = await item.tool.reached(item.arguments, ready.context)
        if not paths:
            return ready
        located = {**ready.context.located, **{path: self._workspace.locate(path) for path in paths}}
        question = replace(ready.question, paths=tuple(located.values()), unheld=self._is_unheld(item, located))
        return replace(ready, question=question, context=replace(ready.context, located=located))

    def _weighed(self, item: Parsed) -> Command | None:
        text = item.tool.command(item.arguments)
        return weigh(text, self._workspace.locate, self._is_unkept) if text else None

    def _is_unheld(self, item: Parsed, located: Mapping[str, Located]) -> bool:
        if self._recorder is None or item.effect is not Effect.WRITE:
            return False
        return not all(self._recorder.holds(path.real) for path in located.values())

    def _is_unkept(self, path: Located) -> bool:
        """Whether the ledger does not keep what lies there."""
        return path.real.name not in _CACHES and (self._recorder is None or not self._recorder.keeps(path.real))

    def _progress(self, call_id: str, text: str) -> None:
        self._tell(ToolProgressed(call_id=call_id, text=text))

    async def passed(self, ready: Ready, caller: Caller) -> Ready | str:
        """Take a call through the gate; return it as it may run, or the words of a refusal. Raises ToolFailure."""
        gate, call_id = self._gate, ready.item.call.id
        ready = await self._reached(ready)
        self._check_marks(ready)
        approved, hunks = "", None  # what the person allowed, and how much of it
        while True:
            verdict = gate.weigh(ready.question)
            if ready.item.effect is Effect.READ and verdict.decision is Decision.ALLOW and not approved:
                return _confined(ready, verdict.confined)
            asks = gate.attended and verdict.decision is Decision.ASK
            # Only what a person is asked about is looked at before it may be: a preview reads files, and its failure is told.
            blocks = await self._preview(ready) if asks or approved else ()
            shown = self._shown(ready, verdict.confined, blocks)
            if shown.digest == approved and verdict.decision is not Decision.DENY:
                return _confined(_chosen(ready, blocks, hunks), verdict.confined)
            if approved and verdict.decision is Decision.ALLOW:  # by now; but they said what they want of this call
                verdict = replace(verdict, decision=Decision.ASK, reason="it is another by now than was allowed")
            if verdict.decision is not Decision.ASK or not gate.attended:
                decided = gate.settle(call_id, ready.question, verdict, shown.digest)
                return _confined(ready, verdict.confined) if decided.allowed else _refusal(decided.reason, decided.words)
            check = partial(self._checked, ready, caller, blocks)
            answered = await gate.ask(call_id, ready.question, verdict, replace(shown, check=check))
            if answered.allowed and answered.arguments is not None:
                changed = await self._changed(ready, caller, answered.arguments, verdict)
                if changed is None:
                    continue
                ready, shown, again = changed
                if again:
                    continue
            if ready.changed and answered.allowed:
                answered = replace(answered, arguments=ready.item.given)
            decided = gate.settle(call_id, ready.question, verdict, shown.digest, answered)
            if not decided.allowed:
                return _refusal(decided.reason, decided.words)
            approved, hunks = shown.digest, answered.hunks

    def _check_marks(self, ready: Ready) -> None:
        """Raise ToolFailure where a mark would be written over the secret that it stands for."""
        if ready.item.effect is not Effect.WRITE or MASKED not in ready.item.given:
            return
        for path in ready.question.paths:
            try:
                stands = self._workspace.read(path).text
            except ToolFailure:
                continue
            if self._mask.would_lose(ready.item.given, stands):
                raise ToolFailure(
                    f"Nothing was changed: {MASKED} stands for a secret that {path.shown} has and you are not shown, and "
                    "that would be lost. Change the lines around it with edit, and leave those with a secret out of old and new."
                )

    async def _changed(self, ready: Ready, caller: Caller, text: str, before: Verdict) -> tuple[Ready, Shown, bool] | None:
        """Return a call as the person changed it, what is shown of it now, and whether they must see that; None: it cannot be."""
        fault = ""
        try:
            item = self._read(ready.item, text)
            changed = replace(await self._reached(await self.ready(item, caller)), changed=True)
            now = self._gate.weigh(changed.question)
            fault = now.reason if now.decision is Decision.DENY else ""
            shown = self._shown(changed, now.confined, () if fault else await self._preview(changed))
        except (ToolFailure, UsageError) as error:
            fault = str(error)
        if fault:
            self._tell(Warned(text=f"{ready.item.call.name} cannot run as it was changed, so it is asked about again: {fault}"))
            return None
        if now.confined != before.confined:
            words = f"as it was changed, {item.call.name} would run with {now.confined} instead of {before.confined}"
            self._tell(Warned(text=f"{words}, so it is asked about again"))
        return changed, shown, now.confined != before.confined

    def _read(self, item: Parsed, text: str) -> Parsed:
        """Read arguments that a person gives a call. Raises UsageError."""
        changed = parse(replace(item.call, arguments=text), self._tools, ())
        if isinstance(changed, Invalid):
            raise UsageError(changed.fault)
        if changed.more:
            raise UsageError("more stands after the arguments' object")
        if item.effect is Effect.READ and changed.effect is not Effect.READ:
            raise UsageError("this call only reads; with these arguments it would act")
        return changed

    def _checked(self, ready: Ready, caller: Caller, blocks: tuple[Block, ...], answered: Answered) -> Answered:
        """Return a person's answer as it can be carried out. Raises UsageError."""
        self._check_rules(answered)
        if answered.hunks is not None and answered.arguments is not None:
            raise UsageError("hunks are of the change that was shown: choose among them, or change the arguments")
        if answered.hunks is not None:
            count = len(_hunks(ready.item, blocks))
            if not count:
                raise UsageError("this call shows no change of which hunks could be chosen")
            if wrong := [number for number in answered.hunks if not 0 <= number < count]:
                raise UsageError(f"there is no hunk {wrong[0]}: the change has {count}, counted from 0")
            chosen = tuple(sorted(set(answered.hunks)))
            return replace(answered, hunks=None if len(chosen) == count else chosen)
        if answered.arguments is not None:
            item = self._read(ready.item, answered.arguments)
            if item.arguments == ready.item.arguments:
                return replace(answered, arguments=None)
            verdict = self._gate.weigh(self._located(item, caller).question)
            if verdict.decision is Decision.DENY:
                raise UsageError(f"with these arguments it is denied: {verdict.reason}")
        return answered

    def _check_rules(self, answered: Answered) -> None:
        for text in answered.rules:
            rule = Rule.read(text, Decision.ALLOW, "the answer")
            if rule.tool not in {*self._tools, NETWORK}:
                raise UsageError(f"the answer: there is no tool {rule.tool!r} to make the rule {text!r} for")

    def _shown(self, ready: Ready, confined: Confinement, blocks: tuple[Block, ...]) -> Shown:
        item, cwd = ready.item, str(self._workspace.cwd)
        digest = fingerprint(item.call.name, item.arguments.model_dump_json(), cwd, confined, blocks)
        return Shown(blocks, digest, cwd, item.given, item.tool.editable, len(_hunks(item, blocks)), self._losses(ready))

    def _losses(self, ready: Ready) -> tuple[str, ...]:
        """Say what of a command could not be undone, and what it could change that could not be."""
        question = ready.question
        if question.command is None:
            told = HELD if question.unheld else READ if question.effect is Effect.READ else ""
            lost = [path for path in question.paths if (question.unheld or path.secret) and path.real.exists()]
            return tuple(told.format(path.shown) for path in lost) if told else ()
        left_out = self._recorder.coverage() if self._recorder is not None and ready.item.effect is Effect.EXEC else {}
        lines = [f"{path} ({why})" for path, why in islice(left_out.items(), _MOST_LOSSES)]
        more = [f"and {len(left_out) - _MOST_LOSSES} more"] if len(left_out) > _MOST_LOSSES else []
        return (*losses(question.command), *lines, *more)

    async def _preview(self, ready: Ready) -> tuple[Block, ...]:
        try:
            return await ready.item.tool.preview(ready.item.arguments, ready.context)
        except ToolFailure:
            if ready.question.lies(Place.OUTSIDE):
                return ()  # why it cannot work is the model's to know only once it may look there
            raise

    async def once_without(self, ready: Ready, result: Result) -> Ready | str:
        """Ask whether a command that the sandbox seems to have stopped may run once more without; return it so, or the words
        that tell the model why not. It is the person's to say alone: where nobody is there, and in plan mode, it is not asked."""
        stopped = f"The sandbox seems to have stopped it: {result.stopped}."
        if result.exit_code == 0:
            return f"The sandbox kept something from it, though it came to a good end: {result.stopped}."
        if not self._gate.attended or self._is_planning():
            return f"{stopped} {_NO_ARGUMENT}"
        reason = f"the sandbox seems to have stopped it: {result.stopped}; it can run once more without the sandbox"
        verdict = Verdict(Decision.ASK, reason, confined=UNCONFINED)
        shown = self._shown(ready, UNCONFINED, result.blocks)
        shown = replace(shown, irreversible=(*shown.irreversible, ELSEWHERE), arguments="", editable="", check=_only_once)
        answered = await self._gate.ask(ready.item.call.id, ready.question, verdict, shown)
        now = self._gate.weigh(ready.question)  # the person may have changed the mode meanwhile
        if self._is_planning():
            now = Verdict(Decision.DENY, "plan mode is read-only")
        late = answered.allowed and now.decision is Decision.DENY
        decided = self._gate.settle(
            ready.item.call.id, ready.question, now if late else verdict, shown.digest, None if late else answered
        )
        if decided.allowed:
            return _confined(ready, UNCONFINED)
        if decided.by != "person":
            return f"{stopped} {_NO_ARGUMENT}"
        said = f" They said: {decided.words.rstrip('.')}." if decided.words else ""
        return f"{stopped} The person was asked whether it may run once without the sandbox, and refused.{said} {_NO_ARGUMENT}"

    def _is_planning(self) -> bool:
        return self._gate.mode is Mode.PLAN


def _confined(ready: Ready, confined: Confinement) -> Ready:
    return replace(ready, context=replace(ready.context, confined=confined))


def _chosen(ready: Ready, blocks: tuple[Block, ...], hunks: tuple[int, ...] | None) -> Ready:
    chosen = None if hunks is None else frozenset(hunks)
    left_out = () if chosen is None else tuple(text for n, text in enumerate(_hunks(ready.item, blocks)) if n not in chosen)
    return replace(ready, context=replace(ready.context, hunks=chosen, approved=blocks), left_out=left_out)


def _hunks(item: Parsed, blocks: tuple[Block, ...]) -> tuple[str, ...]:
    """Return the hunks that a person can choose among, as they are shown."""
    if not item.tool.selective:
        return ()
    diffs = [block for block in blocks if isinstance(block, DiffBlock)]
    return tuple(f"{one.path}:\n{hunk}" if len(diffs) > 1 else hunk for one in diffs for hunk in told_apart(one.diff))


def _only_once(answered: Answered) -> Answered:
    if answered.rules or answered.arguments is not None or answered.hunks is not None:
        raise UsageError("this is asked of the very call that ran, for once: allow it or refuse it")
    return answered


def _refusal(reason: str, words: str) -> str:
    said = f" They said: {words.rstrip('.')}." if words else ""
    return f"Not run: {reason}.{said} Do not try to reach the same by another way; go on without it or say so."
