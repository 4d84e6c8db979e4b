"""Owns how a headless run comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from agent.messages import Usage


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
class Verified:
    """The person's own check ran after the model said that it was done."""

    settled: ClassVar[bool] = True
    type: Literal["verified"] = "verified"
    command: str
    exit_code: int
    output: str
    round: int


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
