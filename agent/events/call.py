"""Owns what happens to a call: what is asked of a person, what was decided, and its one reply."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from agent.blocks import Block, Image
from agent.effects import Change, Effect, Seen

CHECK = "check-"  # what the ids of calls begin with that are the person's checks, and no model's

CallStatus = Literal["done", "failed", "invalid", "denied", "skipped", "cancelled", "unknown"]
Decider = Literal["policy", "rule", "person", "nobody"]
RuleScope = Literal["session", "workspace", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartJudged:
    """One part of a command that waits for a person: what it would do, and whether it alone would be asked about."""

    source: str
    deed: str
    why: str
    asks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsked:
    """A call waits for a person. `digest` names exactly what is asked for."""

    settled: ClassVar[bool] = True
    type: Literal["approval.asked"] = "approval.asked"
    call_id: str
    tool: str
    subject: str
    reason: str
    blocks: tuple[Block, ...]
    digest: str
    arguments: str = ""  # of the call, as JSON text, for a person to change
    editable: str = ""  # which of them holds the text that a person would change, where one does
    hunks: int = 0  # how many there are in the differences that are shown, where some can be chosen
    cwd: str = ""
    confined: str = ""  # how a command would be confined, in words
    parts: tuple[PartJudged, ...] = ()  # of a command
    suggested: tuple[str, ...] = ()  # the rules that would cover it from now on
    would_allow: tuple[str, ...] = ()  # earlier calls that these would have covered
    irreversible: tuple[str, ...] = ()  # what could not be undone, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecided:
    """What became of a call's approval; `words` are the person's to the model."""

    settled: ClassVar[bool] = True
    type: Literal["approval.decided"] = "approval.decided"
    call_id: str
    allowed: bool
    by: Decider
    reason: str
    digest: str
    rule: str = ""
    words: str = ""
    confined: str = ""  # how a command runs, in words
    remembered: tuple[str, ...] = ()  # the rules that hold from now on
    scope: RuleScope | None = None  # for how long they do
    arguments: str | None = None  # of the call, where the person changed them
    hunks: tuple[int, ...] | None = None  # of the change, where the person chose some


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionAsked:
    """A call waits for the person's words."""

    settled: ClassVar[bool] = True
    type: Literal["question.asked"] = "question.asked"
    call_id: str
    question: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    """A call is about to run: after this record it may have had effects."""

    settled: ClassVar[bool] = True
    type: Literal["tool.started"] = "tool.started"
    call_id: str
    tool: str
    subject: str
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgressed:
    """A running call printed something."""

    settled: ClassVar[bool] = False
    type: Literal["tool.progressed"] = "tool.progressed"
    call_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished:
    """The one reply to a call, what a person may see of it, and which lines of files it shows the model."""

    settled: ClassVar[bool] = True
    type: Literal["tool.finished"] = "tool.finished"
    call_id: str
    tool: str
    status: CallStatus
    reply: str
    subject: str = ""
    blocks: tuple[Block, ...] = ()
    changes: tuple[Change, ...] = ()
    exit_code: int | None = None
    seconds: float = 0.0
    images: tuple[Image, ...] = ()
    seen: tuple[Seen, ...] = ()
