"""Owns taking back parts of changes: single hunks, merged into what is there now, and what a whole session's changes are."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from agent.blocks import DiffBlock
from agent.code.diff import diff
from agent.code.hunks import count, made
from agent.errors import JumarError
from agent.ledger.action import Became
from agent.ledger.ledger import Ledger
from agent.ledger.merge import Clash, Merging, Preference
from agent.ledger.undo import Conflict, Plan, Step
from agent.safe import mended, safe_text
from agent.workspace.tree import Moved, Thing

_LARGEST = 1 << 20  # bytes of a file whose difference is shown
_MOST_LINES = 40  # of a difference that a model is told


@dataclass(frozen=True, slots=True)
class Part:
    """A change of one file, and which hunks of it are meant; None stands for all of it, its mode and its being there too."""

    path: str
    before: Thing | None
    after: Thing | None
    hunks: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        """How many hunks can be chosen among; 0 where it is all or nothing."""
        if self.before is None or self.after is None or self.is_opaque:
            return 0
        return count(self.before.content, self.after.content)

    @property
    def is_opaque(self) -> bool:
        """Whether it is no text that could be shown line by line."""
        things = [thing for thing in (self.before, self.after) if thing is not None]
        return any(thing.is_link or b"\0" in thing.content or len(thing.content) > _LARGEST for thing in things)

    @property
    def block(self) -> DiffBlock:
        """The difference as a person sees it."""
        if self.is_opaque:
            became: Became = "created" if self.before is None else "deleted" if self.after is None else "modified"
            return DiffBlock(mended(self.path), "", 0, 0, became)
        texts = [
            None if thing is None else thing.content.decode("utf-8", "surrogateescape") for thing in (self.before, self.after)
        ]
        return diff(mended(self.path), *texts)

    def without(self) -> Thing | None:
        """Return what `after` would be if the hunks had not been made."""
        if self.hunks is None or self.before is None or self.after is None:
            return self.before
        kept = set(range(self.count)) - set(self.hunks)
        return Thing(made(self.before.content, self.after.content, kept), self.after.mode)

    def alone(self) -> Thing | None:
        """Return what `before` would be with these hunks, and no others."""
        if self.hunks is None or self.before is None or self.after is None:
            return self.after
        return Thing(made(self.before.content, self.after.content, self.hunks), self.before.mode)


async def plan(ledger: Ledger, parts: Iterable[Part], preference: Preference = "") -> Plan:
    """Say what taking back parts would change of what is there now."""
    merging = Merging(ledger.bare.git, ledger.bare.folder)
    steps: list[Step] = []
    conflicts: list[Conflict] = []
    for part in parts:
        try:
            now = ledger.tree.look(part.path)
        except Moved as moved:
            conflicts.append(Conflict(part.path, str(moved)))
            continue
        wanted = part.without()
        then = await merging.taken_out(now, part.after, wanted, preference)
        if isinstance(then, Clash):
            conflicts.append(Conflict(part.path, then.why, then.lines))
        elif then != now:
            steps.append(Step(part.path, now, then, merged=then != wanted))
    return Plan((), tuple(steps), tuple(conflicts))


def carry_out(ledger: Ledger, planned: Plan) -> None:
    """Change what a plan says, all or nothing. Raises JumarError where something moved meanwhile."""
    done: list[Step] = []
    try:
        for step in planned.steps:
            ledger.tree.replace(step.path, step.now, step.then)
            done.append(step)
    except JumarError:
        for step in reversed(done):
            with suppress(Moved):  # somebody is quicker: their bytes stay
                ledger.tree.replace(step.path, step.then, step.now)
        raise
    finally:
        ledger.tree.settle(step.path for step in done)


async def changes(ledger: Ledger, ids: Sequence[str]) -> tuple[list[Part], tuple[Conflict, ...]]:
    """Return what actions come to, file by file, from what would be there without them to what is there now.

    What others changed stands on both sides. Conflicts tell where the two cannot be told apart: there, what is now stays.
    """
    if not ids:
        return [], ()
    planned = await ledger.plan(ids)
    conflicts = planned.conflicts
    if conflicts:
        planned = await ledger.plan(ids, preference="ours")
    return [Part(step.path, step.then, step.now) for step in sorted(planned.steps, key=lambda step: step.path)], conflicts


def told(planned: Plan) -> tuple[str, tuple[DiffBlock, ...]]:
    """Return what a model is told of parts that were taken back, and what a person sees of it."""
    blocks = tuple(Part(step.path, step.now, step.then).block for step in planned.steps)
    head = (
        "(From the ledger, not the person's words: the person took back parts of what was changed in these files. What you saw "
        "of them before no longer holds. Do not make the changes again unless you are asked to.)"
    )
    lines = [head]
    for block in blocks:
        lines.append(f"{block.path}: +{block.added} -{block.removed} lines")
        lines += block.diff.split("\n") if block.diff.count("\n") < _MOST_LINES else []
    return safe_text("\n".join(lines)), blocks
