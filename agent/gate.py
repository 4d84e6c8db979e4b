"""Owns the one place that judges a call and, where needed, waits for a person."""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from agent.blocks import Block
from agent.command.weigh import Deed
from agent.earlier import Earlier
from agent.effects import Effect
from agent.errors import UsageError
from agent.events.call import ApprovalAsked, ApprovalDecided, Decider, PartJudged, RuleScope
from agent.events.event import Event
from agent.policy import Ground, Mode, Verdict, judge, permits
from agent.rules import Decision, Question, Rule, covered
from agent.workspace.contract import Confinement, Located, View

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
    arguments: str | None = None  # in place of those of the call, as JSON text
    hunks: tuple[int, ...] | None = None  # of the change that was shown, counted from 0; None: all
    digest: str = ""  # of what they were shown; where it is given, nothing else is answered


_GONE = Answered(allowed=False)  # nobody is there any more


def _as_it_is(answered: Answered) -> Answered:
    """Take an answer as it is."""
    return answered


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person is shown of a call before they decide.

    `check` returns their answer as it can be carried out; it raises UsageError where it cannot.
    """

    blocks: tuple[Block, ...]
    digest: str
    cwd: str = ""
    arguments: str = ""
    editable: str = ""
    hunks: int = 0
    irreversible: tuple[str, ...] = ()
    check: Callable[[Answered], Answered] = _as_it_is


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An approval that a person may answer."""

    shown: Shown
    answer: "asyncio.Future[Answered]"


def fingerprint(tool: str, arguments: str, cwd: str, confined: Confinement, blocks: tuple[Block, ...]) -> str:
    """Name exactly what is approved: the call, where it runs, how it is confined, and what the person is shown of it."""
    shown = json.dumps([tool, arguments, cwd, str(confined), [repr(block) for block in blocks]], ensure_ascii=False)
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Gate:
    """Judges calls by the policy; asks the person where the policy says so and somebody can answer.

    `keep` saves the rules that a person wants to hold beyond the session; `earlier` are the calls of
    before it.
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
        earlier: Earlier | None = None,
    ) -> None:
        self.mode = mode
        self._rules = rules
        self._tell = tell
        self._person = person
        self._ground = ground or Ground()
        self._keep = keep
        self._before = earlier
        self._earlier: deque[Question] = deque(maxlen=_REMEMBERED)
        self._waiting: dict[str, _Waiting] = {}

    @property
    def attended(self) -> bool:
        """Whether somebody can answer."""
        return self._person

    def weigh(self, question: Question) -> Verdict:
        """Say what becomes of a call by the policy and the rules of now."""
        return judge(self.mode, question, self._rules, self._ground)

    def view(self, tool: str) -> View:
        """Return what a call of a tool that reads may show of what it goes through."""
        return View(partial(self._may_show, tool), plain=not any(rule.narrows_reading(tool) for rule in self._rules))

    def _may_show(self, tool: str, path: Located) -> bool:
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
            if not waiting.answer.done():
                waiting.answer.set_result(_GONE)

    def settle(
        self, call_id: str, question: Question, verdict: Verdict, digest: str, answered: Answered | None = None
    ) -> ApprovalDecided:
        """Decide one call and tell the decision: by what the person said where they were asked, else by the verdict."""
        by: Decider = "rule" if verdict.rule else "policy"
        reason, allowed = verdict.reason, verdict.decision is Decision.ALLOW
        remembered: tuple[str, ...] = ()
        if answered is None and verdict.decision is Decision.ASK:
            by, reason = "nobody", f"{verdict.reason}, and nobody is there to approve it"
        elif answered is _GONE:
            by, reason = "nobody", f"{verdict.reason}, and nobody is there any more to approve it"
        elif answered is not None:
            allowed = answered.allowed
            by, reason = "person", "the person allowed it" if allowed else "the person refused it"
            remembered = tuple(str(rule) for rule in _rules(answered))
        self._earlier.append(question)
        answered = answered or _GONE
        decided = ApprovalDecided(
            call_id=call_id,
            allowed=allowed,
            by=by,
            reason=reason,
            digest=digest,
            rule=verdict.rule,
            words=answered.words,
            confined=str(verdict.confined) if question.command is not None and allowed else "",
            remembered=remembered,
            scope=answered.scope if remembered else None,
            arguments=answered.arguments if allowed else None,
            hunks=answered.hunks if allowed else None,
        )
        self._tell(decided)
        return decided

    def would_allow(self, rules: tuple[str, ...]) -> tuple[str, ...]:
        """Return the earlier calls that these rules would have covered, the latest first. Raises UsageError."""
        tried = [Rule.read(text, Decision.ALLOW, "this rule") for text in rules]
        before = self._before.questions(tried) if self._before is not None else ()
        found: dict[str, None] = {}
        for question in chain(reversed(self._earlier), before) if tried else ():
            command = question.command
            if (command is None or command.deed is not Deed.LOOKS) and covered(tried, question):
                found[question.subject] = None
                if len(found) == _MOST_COVERED:
                    break
        return tuple(found)

    async def ask(self, call_id: str, question: Question, verdict: Verdict, shown: Shown) -> Answered:
        """Ask the person about one call, and wait for what they say; who left meanwhile is not asked any more."""
        if not self._person:
            return _GONE
        waiting = _Waiting(shown, asyncio.get_running_loop().create_future())
        self._waiting[call_id] = waiting
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
                    hunks=shown.hunks,
                    cwd=shown.cwd,
                    confined=str(verdict.confined) if question.command is not None else "",
                    parts=self._parts(question),
                    suggested=verdict.suggested,
                    would_allow=self.would_allow(verdict.suggested),
                    irreversible=shown.irreversible,
                )
            )
            return await waiting.answer
        finally:
            if self._waiting.get(call_id) is waiting:
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
        """Answer an approval; False where none of that id waits. Raises UsageError where it cannot be: it waits on."""
        waiting = self._waiting.get(call_id)
        if waiting is None or waiting.answer.done():
            return False
        if answered.digest and answered.digest != waiting.shown.digest:
            raise UsageError("what waits is something else by now; look at it again")
        if answered.hunks == ():  # all were refused
            answered = replace(answered, allowed=False, hunks=None)
        if not answered.allowed and answered.arguments is not None:
            raise UsageError("arguments are changed for a call that is allowed; refuse with words instead")
        rules = _rules(answered)
        answered = waiting.shown.check(answered)
        if rules and answered.scope != "session" and self._keep is not None:
            self._keep(answered.scope, rules)
        self._rules = (*self._rules, *rules)
        waiting.answer.set_result(answered)
        return True


def _rules(answered: Answered) -> tuple[Rule, ...]:
    """Return the rules that hold from now on by what a person said. Raises UsageError."""
    source = f"the person ({answered.scope})"
    return tuple(Rule.read(text, Decision.ALLOW, source) for text in answered.rules) if answered.allowed else ()
