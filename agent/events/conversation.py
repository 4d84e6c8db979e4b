"""Owns what happens to a conversation: a session that is opened, and its turns."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from agent.blocks import Image
from agent.messages import Usage

TurnStatus = Literal["done", "cancelled", "failed", "limit", "interrupted"]


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
class TurnFinished:
    """The turn is over. `fault` is the model error's kind where one ended it, `cut` what had come of an answer that it cut short.

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
    cut: str = ""
    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    estimated: int = 0
    cost: float | None = None
    seconds: float = 0.0
    verified: bool | None = None
    failing: str = ""
