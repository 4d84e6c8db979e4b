"""Owns the one place that judges a call and, where needed, waits for a person."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from agent.blocks import Block
from agent.events import ApprovalAsked, ApprovalDecided, Decider, Event
from agent.policy import Decision, Mode, Question, Rule, judge
from agent.tool import Effect
from agent.workspace.contract import Located


@dataclass(frozen=True, slots=True)
class Answered:
    """What a person said to an approval. `words` go to the model."""

    allowed: bool
    words: str = ""


def fingerprint(tool: str, arguments: str, cwd: str, blocks: tuple[Block, ...]) -> str:
    """Name exactly what is approved: the call, where it runs, and what the person is shown of it."""
    shown = json.dumps([tool, arguments, cwd, [repr(block) for block in blocks]], ensure_ascii=False)
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Gate:
    """Judges calls by the policy; asks the person where the policy says so and somebody can answer."""

    def __init__(self, mode: Mode, rules: tuple[Rule, ...], tell: Callable[[Event], None], *, person: bool) -> None:
        self.mode = mode
        self._rules = rules
        self._tell = tell
        self._person = person
        self._waiting: dict[str, asyncio.Future[Answered]] = {}

    @property
    def attended(self) -> bool:
        """Whether somebody can answer."""
        return self._person

    def weigh(self, question: Question) -> Decision:
        """Say what becomes of a question: it is only asked where somebody can answer."""
        decision = judge(self.mode, question, self._rules).decision
        return Decision.DENY if decision is Decision.ASK and not self._person else decision

    def may_show(self, tool: str, path: Located) -> bool:
        """Whether a call that goes through a folder may show what is in this file."""
        return judge(self.mode, Question(tool, Effect.READ, path.shown, (path,)), self._rules).decision is not Decision.DENY

    def leave(self) -> None:
        """Nobody can answer any more: what waits is refused, and what would ask from now on."""
        self._person = False
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(Answered(allowed=False))

    async def judge(self, call_id: str, question: Question, blocks: tuple[Block, ...], digest: str) -> ApprovalDecided:
        """Decide one call, telling the decision; waits for the person where the policy asks."""
        verdict = judge(self.mode, question, self._rules)
        by: Decider = "rule" if verdict.rule else "policy"
        reason, words = verdict.reason, ""
        allowed = verdict.decision is Decision.ALLOW
        if verdict.decision is Decision.ASK and not self._person:
            by, reason = "nobody", f"{verdict.reason}, and nobody is there to approve it"
        elif verdict.decision is Decision.ASK:
            answered = await self._ask(call_id, question, verdict.reason, blocks, digest)
            by, allowed, words = "person", answered.allowed, answered.words
            reason = "the person allowed it" if allowed else "the person refused it"
            if not self._person and not allowed:
                by, reason = "nobody", f"{verdict.reason}, and nobody is there any more to approve it"
        decided = ApprovalDecided(
            call_id=call_id, allowed=allowed, by=by, reason=reason, digest=digest, rule=verdict.rule, words=words
        )
        self._tell(decided)
        return decided

    async def _ask(self, call_id: str, question: Question, reason: str, blocks: tuple[Block, ...], digest: str) -> Answered:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = waiting
        try:
            self._tell(
                ApprovalAsked(
                    call_id=call_id, tool=question.tool, subject=question.subject, reason=reason, blocks=blocks, digest=digest
                )
            )
            answered: Answered = await waiting
            return answered
        finally:
            del self._waiting[call_id]

    def decide(self, call_id: str, answered: Answered) -> bool:
        """Answer an approval; False where none of that id waits."""
        waiting = self._waiting.get(call_id)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(answered)
        return True
