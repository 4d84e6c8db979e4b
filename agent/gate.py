"""Owns the one place that judges a call and, where needed, waits for a person."""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.blocks import Block
from agent.errors import UsageError
from agent.events import ApprovalAsked, ApprovalDecided, Decider, Event, PartJudged, RuleScope
from agent.policy import Ground, Mode, Verdict, judge, permits
from agent.rules import Decision, Question, Rule, covered
from agent.tool import Effect
from agent.workspace.contract import UNCONFINED, Confinement, Located

_REMEMBERED = 500  # earlier calls that a rule is tried on before it is saved
_MOST_COVERED = 20  # of them that are told
Keep = Callable[[RuleScope, tuple[Rule, ...]], None]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a person said to an approval. `words` go to the model."""

    allowed: bool
    words: str = ""
    rules: tuple[str, ...] = ()  # that shall hold from now on
    scope: RuleScope = "session"  # for how long
    arguments: str | None = None  # in place of those of the call
    hunks: tuple[int, ...] | None = None  # of the change that was shown, counted from 0; None: all


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person is shown of a call before they decide."""

    blocks: tuple[Block, ...]
    digest: str
    cwd: str = ""
    arguments: str = ""
    editable: str = ""
    irreversible: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of a call, and how it may run."""

    decided: ApprovalDecided
    confined: Confinement


def fingerprint(tool: str, arguments: str, cwd: str, confined: Confinement, blocks: tuple[Block, ...]) -> str:
    """Name exactly what is approved: the call, where it runs, how it is confined, and what the person is shown of it."""
    shown = json.dumps([tool, arguments, cwd, str(confined), [repr(block) for block in blocks]], ensure_ascii=False)
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Gate:
    """Judges calls by the policy; asks the person where the policy says so and somebody can answer.

    `keep` saves the rules that a person wants to hold beyond the session.
    """

    def __init__(
        self,
        mode: Mode,
        rules: tuple[Rule, ...],
        tell: Callable[[Event], None],
        *,
        person: bool,
        ground: Ground | None = None,
        keep: Keep | None = None,
    ) -> None:
        self.mode = mode
        self._rules = rules
        self._tell = tell
        self._person = person
        self._ground = ground or Ground()
        self._keep = keep
        self._earlier: deque[Question] = deque(maxlen=_REMEMBERED)
        self._waiting: dict[str, asyncio.Future[Answered]] = {}

    @property
    def attended(self) -> bool:
        """Whether somebody can answer."""
        return self._person

    def weigh(self, question: Question) -> Verdict:
        """Say what would become of a call: it is only asked about where somebody can answer."""
        verdict = judge(self.mode, question, self._rules, self._ground)
        if verdict.decision is Decision.ASK and not self._person:
            return replace(verdict, decision=Decision.DENY)
        return verdict

    def may_show(self, tool: str, path: Located) -> bool:
        """Whether a call that goes through a folder may show what is in this file."""
        question = Question(tool, Effect.READ, path.shown, (path,))
        decision = judge(self.mode, question, self._rules, self._ground).decision
        return decision is not Decision.DENY and not (path.secret and decision is Decision.ASK)

    def permits(self) -> str:
        """Say to a model what may run."""
        return permits(self.mode, self._rules, self._ground, person=self._person)

    def leave(self) -> None:
        """Nobody can answer any more: what waits is refused, and what would ask from now on."""
        self._person = False
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(Answered(allowed=False))

    async def judge(self, call_id: str, question: Question, shown: Shown) -> Passed:
        """Decide one call, telling the decision; waits for the person where the policy asks."""
        verdict = judge(self.mode, question, self._rules, self._ground)
        by: Decider = "rule" if verdict.rule else "policy"
        reason, answered = verdict.reason, Answered(verdict.decision is Decision.ALLOW)
        remembered: tuple[str, ...] = ()
        if verdict.decision is Decision.ASK and not self._person:
            by, reason = "nobody", f"{verdict.reason}, and nobody is there to approve it"
        elif verdict.decision is Decision.ASK:
            answered = await self._ask(call_id, question, verdict, shown)
            by, reason = "person", "the person allowed it" if answered.allowed else "the person refused it"
            if not self._person and not answered.allowed:
                by, reason = "nobody", f"{verdict.reason}, and nobody is there any more to approve it"
            remembered = self._remember(answered)
        self._earlier.append(question)
        decided = ApprovalDecided(
            call_id=call_id,
            allowed=answered.allowed,
            by=by,
            reason=reason,
            digest=shown.digest,
            rule=verdict.rule,
            words=answered.words,
            confined=str(verdict.confined) if question.command is not None and answered.allowed else "",
            remembered=remembered,
            scope=answered.scope if remembered else None,
            arguments=answered.arguments,
            hunks=answered.hunks,
        )
        self._tell(decided)
        return Passed(decided, verdict.confined if answered.allowed else UNCONFINED)

    def would_allow(self, rules: tuple[str, ...]) -> tuple[str, ...]:
        """Return the earlier calls that these rules would have covered, the latest first. Raises UsageError."""
        tried = [Rule.read(text, Decision.ALLOW, "this rule") for text in rules]
        covering = [one.subject for one in reversed(self._earlier) if covered(tried, one)]
        return tuple(dict.fromkeys(covering))[:_MOST_COVERED]

    def _remember(self, answered: Answered) -> tuple[str, ...]:
        if not answered.allowed or not answered.rules:
            return ()
        rules = tuple(Rule.read(text, Decision.ALLOW, f"the person ({answered.scope})") for text in answered.rules)
        if answered.scope != "session" and self._keep is not None:
            self._keep(answered.scope, rules)
        self._rules = (*self._rules, *rules)
        return tuple(str(rule) for rule in rules)

    async def _ask(self, call_id: str, question: Question, verdict: Verdict, shown: Shown) -> Answered:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = waiting
        command = question.command
        try:
            self._tell(
                ApprovalAsked(
                    call_id=call_id,
                    tool=question.tool,
                    subject=question.subject,
                    reason=verdict.reason,
                    blocks=shown.blocks,
                    digest=shown.digest,
                    arguments=shown.arguments,
                    editable=shown.editable,
                    cwd=shown.cwd,
                    confined=str(verdict.confined) if command is not None else "",
                    parts=self._parts(question),
                    suggested=verdict.suggested,
                    would_allow=self.would_allow(verdict.suggested),
                    irreversible=shown.irreversible,
                )
            )
            answered: Answered = await waiting
            return answered
        finally:
            del self._waiting[call_id]

    def _parts(self, question: Question) -> tuple[PartJudged, ...]:
        """Judge each part of a command as if it stood alone."""
        command = question.command
        if command is None:
            return ()
        alone = [(one, replace(command, parts=(one,))) for one in command.parts if not one.part.wrapped]
        return tuple(
            PartJudged(
                source=one.part.source,
                deed=one.deed,
                why=one.why,
                asks=judge(self.mode, replace(question, command=part), self._rules, self._ground).decision is not Decision.ALLOW,
            )
            for one, part in alone
        )

    def decide(self, call_id: str, answered: Answered) -> bool:
        """Answer an approval; False where none of that id waits. Raises UsageError where a rule of the answer is none."""
        waiting = self._waiting.get(call_id)
        if waiting is None or waiting.done():
            return False
        for text in answered.rules:
            Rule.read(text, Decision.ALLOW, "the answer")
        if answered.arguments is not None and not answered.allowed:
            raise UsageError("arguments are changed for a call that is allowed; refuse with words instead")
        waiting.set_result(answered)
        return True
