"""Owns what happens on the ledger: changes that were recorded, and those that were taken back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal


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
