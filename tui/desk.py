"""Owns what the screen asks of the front door: sessions that it opens, and what it knows of this machine and its person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from agent.blocks import Image
from agent.events.event import Event

if TYPE_CHECKING:
    from agent.log import Summary
    from agent.session import Session

Hear = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which session to open, and with what. Empty words leave it to the settings."""

    resume: str = ""  # a session's id, "-" for the latest of this work tree
    fork: bool = False
    before_turn: int = 0  # of a fork: only what came before this turn goes with it; 0 for all
    models: tuple[str, ...] = ()
    effort: str = ""
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """An open session, and what its log told before."""

    session: "Session"
    earlier: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Offered:
    """A model that can be chosen: its name as `-m` takes it, and what is known of it."""

    name: str
    window: int | None = None
    price: str = ""
    images: bool = False
    efforts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Custom:
    """What a person or a project wrote for the agent, and a slash calls: a command that is a text, or a skill."""

    name: str
    about: str
    argument: str  # a hint at what may follow the name
    own: bool  # the person's, and not the project's
    kind: Literal["command", "skill"]


@dataclass(frozen=True, slots=True)
class Taste:
    """How the person wants the screen; what they change is kept."""

    theme: str = "jumar-dark"
    language: Literal["", "en", "zh"] = ""  # empty: as the locale says
    reduced_motion: bool = False
    bell: bool = True
    notify: Literal["auto", "osc9", "osc777", "off"] = "auto"  # how a terminal is asked to notify them
    terminal_title: bool = True  # whether the terminal's title says how things stand
    diffs: Literal["auto", "split", "unified"] = "auto"
    side: Literal["auto", "shown", "hidden"] = "auto"
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the person wrote in this work tree: what they said, oldest first, and what was not sent yet."""

    said: tuple[str, ...] = ()
    draft: str = ""
    queued: tuple[str, ...] = ()


class Desk(Protocol):
    """The front door, as the screen sees it. What it raises is a JumarError with one line for the person."""

    root: Path
    cwd: Path
    environment: Mapping[str, str]
    taste: Taste
    prompts: tuple[str, ...]  # that go out by themselves

    async def open(self, choice: Choice, hear: Hear) -> Held:
        """Open a session; `hear` hears what happens in it from here on. The one before is closed."""
        ...

    async def close(self) -> None:
        """Close the open session and give everything back."""
        ...

    def keep_taste(self, taste: Taste) -> None:
        """Keep how the person wants the screen."""
        ...

    def sessions(self) -> "list[Summary]":
        """List the sessions of this work tree, newest first."""
        ...

    def events(self, session_id: str) -> list[Event]:
        """Read what a session's log tells, to show it."""
        ...

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title."""
        ...

    def delete(self, session_id: str) -> None:
        """Delete a session's log. Its actions stay in the ledger."""
        ...

    async def models(self) -> list[Offered]:
        """List the models that the person's servers offer; those of servers that do not answer are left out."""
        ...

    def rules(self) -> list[tuple[str, str, str]]:
        """List the rules that hold: decision, rule, where it comes from."""
        ...

    def checks(self) -> list[tuple[str, str, bool]]:
        """List the checks of the work tree: name, command, and whether it is the person's, else proposed. Raises UsageError."""
        ...

    def keep_check(self, name: str) -> str:
        """Take a proposed check over into the person's settings; return what it is called there. Raises UsageError."""
        ...

    def customs(self) -> list[Custom]:
        """List the commands and skills of the person, and of a work tree that is trusted; none before a session is open."""
        ...

    def said(self, text: str) -> str:
        """Return what is said to the model where a text calls one of them; else the text itself."""
        ...

    def status(self) -> list[tuple[str, str]]:
        """Say what holds here, as `jumar status` does."""
        ...

    def doctor(self, model: str) -> tuple[str, ...]:
        """Return the command line that examines a model, without a name the one that would be asked."""
        ...

    def trusted(self) -> bool:
        """Whether the work tree is trusted; nothing of it is read before."""
        ...

    def trust(self) -> None:
        """Trust it from now on."""
        ...

    def recall(self) -> Recalled:
        """Return what the person wrote here before."""
        ...

    def remember(self, text: str) -> None:
        """Keep a prompt that was said."""
        ...

    def keep_draft(self, draft: str, queued: tuple[str, ...]) -> None:
        """Keep what is not sent yet."""
        ...

    async def picture(self, path: Path) -> Image:
        """Make a picture ready to be shown to the model."""
        ...

    def note(self, text: str) -> str:
        """Add a line to the instructions of the work tree, as the person's own edit; return which file that is."""
        ...
