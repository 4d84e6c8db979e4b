"""Owns what a tool is: its effect, its arguments, its context and its result."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from agent.blocks import Block, DiffBlock, Image
from agent.code.diff import told_apart
from agent.code.hunks import made
from agent.effects import Change, Effect, Seen
from agent.errors import ToolFailure
from agent.safe import mended
from agent.workspace.contract import EVERYTHING, WORKING, Confinement, FileText, Located, View, Workspace


class Arguments(BaseModel):
    """What every tool's arguments are: frozen, and nothing that was not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Result:
    """What a call came to: words and pictures for the model, what these show of files, blocks for a person, changes.

    `stopped` says what a sandbox seems to have kept a command from, as a clause.
    """

    text: str
    blocks: tuple[Block, ...] = ()
    changes: tuple[Change, ...] = ()
    exit_code: int | None = None
    images: tuple[Image, ...] = ()
    stopped: str = ""
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a running tool may use; `told` shows progress to the person, `ask` puts a question with choices to them.

    `located` holds where the call's paths led when they were judged: what was judged is what is touched. `view` says what
    a call that goes through a folder may show of it, `pictures` whether the model can be shown any, `confined` how a command
    runs. `approved` is what a person saw of the call before they allowed it, where one did; `hunks` are those of its change
    that they chose, None where it is all of them.
    """

    workspace: Workspace
    told: Callable[[str], None]
    ask: Callable[[str, tuple[str, ...]], Awaitable[str]]
    located: Mapping[str, Located] = field(default_factory=dict)
    view: View = EVERYTHING
    pictures: bool = False
    confined: Confinement = WORKING
    hunks: frozenset[int] | None = None
    approved: tuple[Block, ...] = ()

    def locate(self, path: str) -> Located:
        """Return where a path of the call leads."""
        return self.located.get(path) or self.workspace.locate(path)

    def seen(self, file: FileText, first: int, last: int) -> Seen:
        """Return that these lines of a file are shown, and remember which version of it."""
        self.workspace.saw(file)
        root, real = self.workspace.root, file.path.real
        path = real.relative_to(root).as_posix() if real.is_relative_to(root) else str(real)
        return Seen(mended(path), file.digest, first, last)

    def chosen(self, block: DiffBlock, before: str, after: str) -> str:
        """Return the text with those hunks of its change that the person allowed. Raises ToolFailure where they saw another."""
        diffs = [one for one in self.approved if isinstance(one, DiffBlock)]
        if self.approved and block not in diffs:
            raise ToolFailure(
                f"Nothing was written to {block.path}: it has changed since the person allowed that; read it again."
            )
        if self.hunks is None:
            return after
        first = sum(len(told_apart(one.diff)) for one in diffs[: diffs.index(block)]) if diffs else 0
        old, new = (text.encode("utf-8", "surrogatepass") for text in (before, after))
        return made(old, new, {number - first for number in self.hunks}).decode("utf-8", "surrogatepass")


A = TypeVar("A", bound=Arguments)


class Tool(ABC, Generic[A]):
    """One thing that a model can do. Its name is its module's; its class docstring is what the model reads."""

    arguments: type[A]
    effect: ClassVar[Effect]
    editable: ClassVar[str] = ""  # the argument whose text a person would change before they allow a call
    selective: ClassVar[bool] = False  # it shows changes, and makes what is `Context.chosen` of each
    needs_person: ClassVar[bool] = False  # not offered where nobody can answer

    def effect_of(self, arguments: A) -> Effect:
        """Return the effect of one call, where it depends on the arguments."""
        return self.effect

    @abstractmethod
    def subject(self, arguments: A) -> str:
        """Return what rules match: the path or the command."""

    def title(self, arguments: A) -> str:
        """Return what the call is told by once it runs; no rule matches it."""
        return self.subject(arguments)

    def paths(self, arguments: A) -> tuple[str, ...]:
        """Return the paths that the call touches, for the policy."""
        return ()

    async def reached(self, arguments: A, context: Context) -> tuple[str, ...]:
        """Return further paths that the call touches, where it must look for them first. Raises ToolFailure."""
        return ()

    def command(self, arguments: A) -> str:
        """Return the shell command that the call runs, empty where it runs none: the policy reads it part by part."""
        return ""

    def running(self, command: str, seconds: float) -> A | None:
        """Return the arguments with which the tool would run a shell command; None where it runs none."""
        return None

    async def preview(self, arguments: A, context: Context) -> tuple[Block, ...]:
        """Show what the call would do, before it does. Raises ToolFailure where it cannot work."""
        return ()

    @abstractmethod
    async def run(self, arguments: A, context: Context) -> Result:
        """Do it. Raises ToolFailure, whose words become the reply."""


AnyTool = Tool[Any]
