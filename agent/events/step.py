"""Owns what happens while the model is asked: a request, what streams of its answer, and a history that is shortened for it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from agent.messages import Answer, Usage
from agent.model import RepairKind


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
    """The person took the last compaction back: the model is told again what that left out."""

    settled: ClassVar[bool] = True
    type: Literal["history.uncompacted"] = "history.uncompacted"
