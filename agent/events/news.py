"""Owns what is told beside the conversation: to the model with its next step, to the person at once."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from agent.blocks import Block, PlanBlock
from agent.events.action import ActionFile


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
