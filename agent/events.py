"""Owns all that a front end can learn: one ordered stream of frozen events, and their JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter
from pydantic_core import PydanticSerializationError

from agent.blocks import Block, Image, PlanBlock
from agent.effects import Change, Effect, Seen
from agent.messages import Answer, Usage
from agent.model import RepairKind
from agent.safe import mended

SCHEMA_VERSION = 1
CHECK = "check-"  # what the ids of calls begin with that are the person's checks, and no model's

TurnStatus = Literal["done", "cancelled", "failed", "limit", "interrupted"]
CallStatus = Literal["done", "failed", "invalid", "denied", "skipped", "cancelled", "unknown"]
Decider = Literal["policy", "rule", "person", "nobody"]
RuleScope = Literal["session", "workspace", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted:
    """A process opened the session: what it runs with."""

    settled: ClassVar[bool] = True
    type: Literal["session.started"] = "session.started"
    version: str
    root: str
    cwd: str
    model: str
    mode: str
    sandbox: str
    tools: tuple[str, ...]
    resumed: bool = False
    forked_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRenamed:
    """The person gave the session another title."""

    settled: ClassVar[bool] = True
    type: Literal["session.renamed"] = "session.renamed"
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStarted:
    """A prompt was given. `preface` is what the model is told before it, in the first turn."""

    settled: ClassVar[bool] = True
    type: Literal["turn.started"] = "turn.started"
    turn: int
    prompt: str
    preface: str = ""
    by: Literal["person", "check"] = "person"
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """The person said more while the turn ran; it reaches the model with `step`."""

    settled: ClassVar[bool] = True
    type: Literal["turn.steered"] = "turn.steered"
    text: str
    step: int
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A request goes out."""

    settled: ClassVar[bool] = False
    type: Literal["step.started"] = "step.started"
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStreamed:
    """Words of the answer came."""

    settled: ClassVar[bool] = False
    type: Literal["text.streamed"] = "text.streamed"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningStreamed:
    """Words of the reasoning came."""

    settled: ClassVar[bool] = False
    type: Literal["reasoning.streamed"] = "reasoning.streamed"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStreamed:
    """A call is being written."""

    settled: ClassVar[bool] = False
    type: Literal["call.streamed"] = "call.streamed"
    tool: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRetried:
    """A request came to nothing and is sent again after a wait; what streamed before is void."""

    settled: ClassVar[bool] = True
    type: Literal["request.retried"] = "request.retried"
    step: int
    attempt: int
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswered:
    """One step's answer, whole; `cost` in US dollars, None where the price or the usage is unknown."""

    settled: ClassVar[bool] = True
    type: Literal["model.answered"] = "model.answered"
    step: int
    answer: Answer
    usage: Usage
    model: str
    seconds: float
    cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """Something was wrong with the answer of a step and was set right. `told` is what the model is told of it, if anything."""

    settled: ClassVar[bool] = True
    type: Literal["answer.repaired"] = "answer.repaired"
    step: int
    kind: RepairKind
    words: str
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSwitched:
    """A model failed for good, and the next of the person's list goes on."""

    settled: ClassVar[bool] = True
    type: Literal["model.switched"] = "model.switched"
    step: int
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """The history was shortened for the model: the person's words, a note and a record in place of its beginning, if of any.

    The log keeps everything. `kept` is how many of the last messages stay; `dropped` are calls among these whose replies are
    left out, and `pictures` whether their pictures stay. `words` is how many characters of the person's words are told at
    most, None where all are.
    """

    settled: ClassVar[bool] = True
    type: Literal["history.compacted"] = "history.compacted"
    reason: str
    note: str
    record: str = ""
    kept: int
    dropped: tuple[str, ...] = ()
    pictures: bool = True
    words: int | None = None
    tokens_before: int = 0
    tokens_after: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncompacted:
    """The person took the last compaction back: the model is told everything again."""

    settled: ClassVar[bool] = True
    type: Literal["history.uncompacted"] = "history.uncompacted"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFile:
    """One file that an action changed; `captured` says whether its bytes are held, so that it can be undone."""

    path: str
    kind: Literal["created", "modified", "deleted"]
    added: int
    removed: int
    captured: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecorded:
    """The ledger holds what a call changed; `seal` seals this record and all before it."""

    settled: ClassVar[bool] = True
    type: Literal["action.recorded"] = "action.recorded"
    action: str
    seal: str
    call_id: str
    tool: str
    title: str
    files: tuple[ActionFile, ...] = ()
    not_captured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionsUndone:
    """Actions were taken back or brought back, by whatever process; of them only these paths, where it names any.

    `told` is what the model learns of it, with `step`.
    """

    settled: ClassVar[bool] = True
    type: Literal["actions.undone"] = "actions.undone"
    action: str
    title: str
    undoes: tuple[str, ...]
    files: tuple[ActionFile, ...]
    seal: str
    step: int
    told: str
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionPart:
    """What an action did to one file, of which parts were taken back, or, `whole`, all."""

    action: str
    path: str
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Informed:
    """The person did something beside the conversation, of which the model learns with `step`.

    `mode` and `plan` are those from now on; a command of theirs has a `call_id`, as an action of it has. Of the kinds
    `outside` and `away` it names files that no action changed, the first of `count`: since the last look, or since the
    session was open last; `action` holds that change on the ledger. With parts of changes that were taken back, `parts`
    are those in which they were made. Of the kind `instructions` it is no
    doing of the person's: the title is a file with those of a folder in which the model touched something. Of the
    kind `problems` it names new ones in files, found after the reply to the change that brought them. Of the kind `check` it is
    of a check of the person's that failed, of the kind `ending` of what a turn was about to leave unchecked or lying about.
    """

    settled: ClassVar[bool] = True
    type: Literal["model.informed"] = "model.informed"
    kind: Literal["mode", "plan", "shell", "files", "outside", "away", "instructions", "check", "ending", "problems"]
    title: str
    told: str
    step: int
    mode: str = ""
    plan: PlanBlock | None = None
    call_id: str = ""
    blocks: tuple[Block, ...] = ()
    files: tuple[ActionFile, ...] = ()
    count: int = 0
    action: str = ""
    parts: tuple[ActionPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that the person should know, in one line."""

    settled: ClassVar[bool] = True
    type: Literal["warned"] = "warned"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The person's own check ran after the model said that it was done."""

    settled: ClassVar[bool] = True
    type: Literal["verified"] = "verified"
    command: str
    exit_code: int
    output: str
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFinished:
    """The turn is over. `fault` is the model error's kind where one ended it.

    `estimated` is about how many tokens those requests were of which the server did not tell the usage. `verified` says whether
    what the turn changed was checked since, and passed; None where it changed nothing. `failing` is the person's check that
    still fails.
    """

    settled: ClassVar[bool] = True
    type: Literal["turn.finished"] = "turn.finished"
    turn: int
    status: TurnStatus
    text: str
    reason: str = ""
    fault: str = ""
    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    estimated: int = 0
    cost: float | None = None
    seconds: float = 0.0
    verified: bool | None = None
    failing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChanged:
    """One file that a run changed, by whatever means."""

    path: str
    kind: Literal["created", "modified", "deleted"]
    added: int
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """One action that a run was not allowed."""

    call_id: str
    tool: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOutcome:
    """How the person's own check ended at last."""

    cmd: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The last line of a headless run; `cost` is None where the price or the usage is unknown.

    `estimated` is about how many tokens those requests were of which the server did not tell the usage. `verified` says
    whether what was changed was checked since, and passed; None where nothing was changed.
    """

    settled: ClassVar[bool] = True
    type: Literal["result"] = "result"
    status: Literal["done", "failed", "denied", "limit", "verify_failed", "schema_not_met", "cancelled"]
    exit_code: int
    text: str
    reason: str = ""
    structured: Any = None
    usage: Usage = field(default_factory=Usage)
    estimated: int = 0
    cost: float | None = None
    repairs: Mapping[str, int] = field(default_factory=dict)
    steps: int = 0
    duration_ms: int = 0
    files_changed: tuple[FileChanged, ...] = ()
    patch_path: str | None = None
    reverted: tuple[str, ...] = ()
    not_captured: Mapping[str, str] = field(default_factory=dict)
    denied: tuple[Denied, ...] = ()
    verify: VerifyOutcome | None = None
    verified: bool | None = None
    ledger_head: str | None = None


Event = (
    SessionStarted
    | SessionRenamed
    | TurnStarted
    | Steered
    | StepStarted
    | TextStreamed
    | ReasoningStreamed
    | CallStreamed
    | RequestRetried
    | ModelAnswered
    | Repaired
    | ModelSwitched
    | Compacted
    | Uncompacted
    | ApprovalAsked
    | ApprovalDecided
    | QuestionAsked
    | ToolStarted
    | ToolProgressed
    | ToolFinished
    | ActionRecorded
    | ActionsUndone
    | Informed
    | Warned
    | Verified
    | TurnFinished
    | RunFinished
)


@cache
def adapter() -> TypeAdapter[Event]:
    """Return what reads any event, and what their schema is made of."""
    return TypeAdapter(Annotated[Event, Field(discriminator="type")])


@cache
def _writer(kind: Any) -> TypeAdapter[Event]:
    """Return what writes one type of event; made when the first one comes, since all together are slow to make."""
    return TypeAdapter(kind)


def encode(event: Event, *, seq: int, ts: str, session_id: str) -> bytes:
    """Return the event as one JSON line, with its envelope, without the newline."""
    kind: Any = type(event)
    writer = _writer(kind)
    try:
        body = writer.dump_json(event)
    except PydanticSerializationError:  # a name or a word with half a character: it is told as what it can be told as
        body = mended(json.dumps(writer.dump_python(event), ensure_ascii=False, separators=(",", ":"))).encode()
    return f'{{"v":{SCHEMA_VERSION},"seq":{seq},"ts":"{ts}","session_id":"{session_id}",'.encode() + body[1:]


def decode(line: bytes) -> Event:
    """Return the event of one JSON line; raises ValueError where it is none."""
    return adapter().validate_json(line)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one line."""
    inner = adapter().json_schema(mode="serialization")
    envelope = {
        "v": {"type": "integer", "const": SCHEMA_VERSION},
        "seq": {"type": "integer", "minimum": 0, "description": "counts settled events; others carry the last one's"},
        "ts": {"type": "string", "description": "RFC 3339, UTC"},
        "session_id": {"type": "string"},
    }
    definitions = inner.pop("$defs")
    for name in sorted({reference.rsplit("/", 1)[1] for reference in inner["discriminator"]["mapping"].values()}):
        definitions[name]["properties"] = {**envelope, **definitions[name]["properties"]}
        definitions[name]["required"] = [*envelope, *definitions[name].get("required", ()), "type"]
        definitions[name]["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "jumar event", **inner, "$defs": definitions}
