"""Owns what can stand on the screen: the entries of which a story is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.blocks import Block, Image
from agent.checklist import Change, Step
from agent.events.action import ActionFile
from agent.events.call import ApprovalAsked, ApprovalDecided, CallStatus, QuestionAsked
from agent.events.conversation import TurnFinished
from agent.events.event import Event
from agent.events.run import Verified

NoteKind = Literal["info", "warning", "retry", "repair", "compacted", "undone", "plan", "outside"]
CallState = Literal["written", "asked", "allowed", "running", "over"]


@dataclass(slots=True)
class Said:
    """What the person said, or their check. `steered` is what came while a turn ran."""

    key: str
    text: str
    images: tuple[Image, ...] = ()
    steered: bool = False
    by_check: bool = False
    turn: int = 0  # that it began; 0 for what came while one ran


@dataclass(slots=True)
class Thought:
    """What the model thought before a step's answer."""

    key: str
    text: str = ""
    streaming: bool = True


@dataclass(slots=True)
class Answered:
    """What the model said in a step."""

    key: str
    text: str = ""
    streaming: bool = True


@dataclass(slots=True)
class Called:
    """A call: what became of it, step by step. `status` says how it ended once its state is over."""

    key: str
    call_id: str
    tool: str
    subject: str = ""
    state: CallState = "written"
    status: CallStatus = "done"
    size: int = 0  # characters of arguments that came so far, while it is being written
    asked: ApprovalAsked | None = None
    decided: ApprovalDecided | None = None
    question: QuestionAsked | None = None
    live: str = ""  # what it printed so far
    reply: str = ""
    blocks: tuple[Block, ...] = ()
    images: tuple[Image, ...] = ()  # that the model was shown
    exit_code: int | None = None
    seconds: float = 0.0
    action: str = ""  # its number in the ledger, the last where it ran more than once
    files: tuple[ActionFile, ...] = ()
    not_captured: Mapping[str, str] = field(default_factory=dict)
    parts: set[tuple[str, str]] = field(default_factory=set)  # its actions with the files of each
    taken: set[tuple[str, str]] = field(default_factory=set)  # those of them that are undone
    undone: bool = False
    cut: set[tuple[str, str, str]] = field(default_factory=set)  # what took which of them back in part
    partly: bool = False  # undone
    redone: bool = False  # it was undone, and brought back
    effect: str = ""
    turn: int = 0
    item: str = ""  # of the plan, that was being done when it came

    def turn_over(self, *, back: bool) -> None:
        """See how much of it is undone now; `back`: something was brought back."""
        self.undone = self.parts <= self.taken and not (back and not self.parts)
        self.partly = bool(self.taken or self.cut) and not self.undone
        self.redone = back and not (self.taken or self.cut)


@dataclass(slots=True)
class Noted:
    """Something that happened beside the conversation."""

    key: str
    kind: NoteKind
    text: str
    seconds: float = 0.0  # that are waited, of a retry
    event: Event | None = None
    changes: tuple[Change, ...] = ()  # of the plan, by the person
    against: tuple[Step, ...] = ()  # of the plan, in which the model goes against these
    actions: tuple[str, ...] = ()  # of the ledger, that hold it


@dataclass(slots=True)
class Checked:
    """The person's own check ran."""

    key: str
    event: Verified


@dataclass(slots=True)
class Over:
    """A turn ended."""

    key: str
    event: TurnFinished


Entry = Said | Thought | Answered | Called | Noted | Checked | Over


@dataclass(frozen=True, slots=True)
class News:
    """What an event changed on the screen: entries that are new or other than before, and those that are no more."""

    changed: tuple[Entry, ...] = ()
    gone: tuple[Entry, ...] = ()
