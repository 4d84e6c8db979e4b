"""Owns the values of the ledger: what an action did to which files, who let it, and where it came from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Became = Literal["created", "modified", "deleted"]
ActionKind = Literal["call", "outside", "undo", "redo", "rewind", "revert", "rescue"]


@dataclass(frozen=True, slots=True)
class Held:
    """A file or a link at one moment: the store's object with its bytes, and its mode with kind and permissions."""

    object: str
    mode: int


@dataclass(frozen=True, slots=True)
class Delta:
    """What an action did to one path, relative to the root; None stands for: not there.

    `why` says why the bytes of before or after are not held, where they are not; then it cannot be undone.
    """

    path: str  # as os.fsdecode gives it, so that every name is kept
    before: Held | None
    after: Held | None
    added: int = 0
    removed: int = 0
    why: str = ""
    became: Became | None = None  # where it is known although the bytes are not held

    @property
    def kind(self) -> Became:
        """What became of the path."""
        if self.became is not None:
            return self.became
        if self.before is None and not self.why:
            return "created"
        return "modified" if self.after is not None or self.why else "deleted"


@dataclass(frozen=True, slots=True)
class Repository:
    """What the person's repository points to: HEAD as it is written, refs, stashes, and the store's object with its index."""

    head: str = ""
    refs: Mapping[str, str] = field(default_factory=dict)
    stashes: tuple[str, ...] = ()
    index: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `kind` tells a call from what the person, or somebody outside jumar, did; ids are unique in a workspace."""

    id: str
    kind: ActionKind
    ts: str
    session: str
    turn: int = 0
    step: int = 0
    call_id: str = ""
    tool: str = ""
    title: str = ""
    status: str = "done"
    prompt: str = ""
    model: str = ""
    approved_by: str = ""
    rule: str = ""
    deltas: tuple[Delta, ...] = ()
    folders: tuple[str, ...] = ()  # that it made: they go with it once they are empty
    gone: tuple[str, ...] = ()  # folders that it removed: they come back with it, also those that were empty
    left_out: Mapping[str, str] = field(default_factory=dict)  # paths that no snapshot holds, and why
    repository: tuple[Repository, Repository] | None = None  # before and after, where they differ
    undoes: tuple[str, ...] = ()  # the actions that it takes back
    shared: tuple[str, ...] = ()  # sessions whose commands ran meanwhile: some of it may be theirs
    only: tuple[str, ...] = ()  # the paths of these that it takes back, where it is not all of them

    @property
    def undoable(self) -> bool:
        """Whether something of it can be taken back."""
        return bool(self.folders or self.gone) or any(not delta.why for delta in self.deltas)


def plain(action: Action) -> dict[str, Any]:
    """Return the action as JSON values."""
    return asdict(action)


def read(value: Mapping[str, Any]) -> Action:
    """Return the action of JSON values that `plain` made. Raises ValueError, KeyError or TypeError where they are none."""
    given = dict(value)
    given["deltas"] = tuple(
        Delta(**{**delta, "before": _held(delta["before"]), "after": _held(delta["after"])}) for delta in given["deltas"]
    )
    if given.get("repository"):
        before, after = (Repository(**{**one, "stashes": tuple(one["stashes"])}) for one in given["repository"])
        given["repository"] = (before, after)
    for name in ("folders", "gone", "undoes", "shared", "only"):
        given[name] = tuple(given.get(name, ()))
    return Action(**given)


def _held(value: Mapping[str, Any] | None) -> Held | None:
    return None if value is None else Held(**value)
