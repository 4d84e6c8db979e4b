"""Owns the values of a command that was weighed: what each part would do, why, and what it would take."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from agent.command.parts import Part
from agent.workspace.contract import Located


class Deed(StrEnum):
    """What a part would do, from the harmless to what cannot be told."""

    LOOKS = "looks"  # it only reads, whatever the files hold; safe without a sandbox too
    WORKS = "works"  # it may do anything that a sandbox confines to the workspace: tests, builds, sed -i, rm of files in it
    GIT = "git"  # it changes the repository's own state, here: commit, stash, branch -D, reset
    SECRET = "secret"  # noqa: S105 - it reads what looks like a secret, which the model would then know
    REACHES = "reaches"  # it needs the network
    RUINS = "ruins"  # it takes away what the ledger does not keep
    LEAVES = "leaves"  # it would write, or act, outside the workspace
    UNREAD = "unread"  # what it would do cannot be told


_ORDER = tuple(Deed)
# What could not be undone of what is done at a path.
HELD = "what {} holds now"
CHANGED = "what it changes at {}"
READ = "that the model's provider knows what {} holds"


@dataclass(frozen=True, slots=True)
class Weighed:
    """One part, what it would do, and why that is thought."""

    part: Part
    deed: Deed
    why: str  # a clause: "it installs packages", "it writes to ~/.bashrc"
    hosts: tuple[str, ...] = ()  # that it is known to reach; empty where it reaches and they are not known
    installs: str = ""  # the package manager ("pip", "npm", ...), where it only fetches packages: a person may allow that once
    strays: bool = False  # where its operands lead makes it LEAVES, RUINS or SECRET, not what it is: no `rm *` covers it
    lost: str = ""  # what of it could not be undone, where that hangs on more than what the part is called: a path mostly
    folders: tuple[str, ...] = (
        "",
    )  # in which it may run, from the one in which the command begins; none where that is not known
    sandboxed: bool = False  # it only looks where a sandbox holds: git, which repository settings can have run programs


@dataclass(frozen=True, slots=True)
class Command:
    """A whole command, weighed."""

    text: str
    parts: tuple[Weighed, ...]  # with those that others run (wrapped), for rules that deny; one part more than once if need be
    fault: str = ""  # why it cannot be relied on to mean what it seems to
    plain: bool = False  # as of `Script`: only then a rule may allow its parts
    begins: str = ""  # the real path of the folder in which it begins

    @property
    def deed(self) -> Deed:
        """The worst of what its parts would do."""
        return Deed.UNREAD if self.fault or not self.parts else max((one.deed for one in self.parts), key=_ORDER.index)

    @property
    def why(self) -> str:
        """Why the worst part is thought to do that."""
        worst = self.deed
        return self.fault or next((one.why for one in self.parts if one.deed is worst), "there is nothing to run")

    def doing(self, *deeds: Deed) -> tuple[Weighed, ...]:
        """Return the parts that would do one of these."""
        return tuple(one for one in self.parts if one.deed in deeds)


Locate = Callable[[str], Located]  # where a path leads, from the folder in which the command begins
