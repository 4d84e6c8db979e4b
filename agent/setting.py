"""Owns all that a session runs with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.ask import Patience
from agent.ending import Checks
from agent.gate import Keep
from agent.ledger.capture import Capture
from agent.ledger.ledger import Ledger
from agent.mask import Mask
from agent.model import Model
from agent.policy import Ground, Mode
from agent.rules import Rule
from agent.tool import AnyTool
from agent.workspace.contract import View, Workspace

if TYPE_CHECKING:
    from agent.diagnostics.diagnostics import Diagnostics

Survey = Callable[[str, View], Awaitable[str]]


async def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a session runs with.

    `preface` is what the model is told before the first prompt, and `survey` makes more of it by that prompt, of what may be
    shown.
    """

    models: tuple[Model, ...]  # the first is asked; the others where those before them fail for good
    workspace: Workspace
    tools: Mapping[str, AnyTool]
    system: str
    preface: str
    version: str
    survey: Survey | None = None
    mode: Mode = Mode.ASK
    rules: tuple[Rule, ...] = ()
    ground: Ground = field(default_factory=Ground)
    keep: Keep | None = None  # saves the rules that the person wants to hold beyond the session
    person: bool = False
    effort: str = ""
    brief: bool = False  # tools are described in one sentence each
    instructions: int = 32 << 10  # bytes that the model is told of those of folders that it comes to
    longest: int = 100_000  # characters of a reply to a call
    patience: Patience = field(default_factory=Patience)
    before_change: Callable[[], Awaitable[None]] = _nothing
    ledger: Ledger | None = None  # without one nothing is recorded, and nothing can be undone
    capture: Capture | None = None
    mask: Mask = field(default_factory=Mask)  # of the person's secrets
    diagnostics: "Diagnostics | None" = None
    checks: Checks = field(default_factory=Checks)
