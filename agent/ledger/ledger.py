"""Owns the ledger as the rest of jumar sees it: the actions of one workspace, and the verbs that take them back."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from agent.errors import JumarError, UsageError
from agent.ledger.action import Action, ActionKind, Delta
from agent.ledger.audit import Audit, audit
from agent.ledger.bare import Bare
from agent.ledger.blobs import Blobs
from agent.ledger.chain import Chain, Link
from agent.ledger.export import export
from agent.ledger.merge import Merging, Preference
from agent.ledger.repository import Repositories
from agent.ledger.rescue import Rescue, restore
from agent.ledger.rescue import plan as rescue_plan
from agent.ledger.retention import BYTES, DAYS, Retention, Stats
from agent.ledger.together import PARTLY, Together, so_far
from agent.ledger.undo import Plan, Undo, undone
from agent.ledger.why import Origin, origin
from agent.workspace.tree import Thing, Tree

OF_PARTS = "undo"  # the tool in the record of a call that took back parts of changes
_TAKERS = frozenset(("undo", "rewind", "revert"))


@dataclass(frozen=True, slots=True)
class Listed:
    """An action as a person sees it in the timeline."""

    action: Action
    seal: str
    undone: bool
    kept: bool = True  # its bytes were not pruned

    @property
    def status(self) -> str:
        """How the call ended; undone where the action was taken back."""
        return "undone" if self.undone else self.action.status

    @property
    def undoable(self) -> bool:
        """Whether something of it can be taken back now."""
        return self.action.undoable and not self.undone and self.kept


class Ledger:
    """The actions of the workspace at `root`, kept in a bare repository. `now` tells the time as records write it."""

    def __init__(self, bare: Bare, root: Path, now: Callable[[], str]) -> None:
        self.bare = bare
        self.root = root
        self.tree = Tree(root)
        self._now = now
        self._chain = Chain(self.bare.folder / "actions")
        self.together = Together(self.bare.folder)

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Undo]:
        """Hold the store alone, with what a crash left half done ended first."""
        async with self.bare.held():
            blobs = Blobs(self.bare.folder, self.bare.git, self.bare.kind)
            undo = Undo(self.tree, blobs, self._chain, Merging(self.bare.git, self.bare.folder), self.bare.folder)
            await undo.recover()
            yield undo

    async def record(self, action: Action) -> Listed | None:
        """Add an action, under the next number; None where it did nothing that is worth a record."""
        if not (action.deltas or action.folders or action.gone or action.repository):
            return None
        async with self._held():
            return self._append(action)

    def _append(self, action: Action) -> Listed:
        link = self._chain.append(replace(action, id=self._next(), ts=self._now()))
        return Listed(link.action, link.seal, undone=False)

    def _next(self) -> str:
        return str(len(self._chain.links()) + 1)

    def actions(self, session: str = "") -> tuple[Listed, ...]:
        """Return the actions, the oldest first; of one session where it is named. Raises JumarError."""
        links = self._chain.links()
        gone = undone(links)
        pruned = self._pruned(links)
        listed = (Listed(link.action, link.seal, link.action.id in gone, n >= pruned) for n, link in enumerate(links))
        return tuple(one for one in listed if not session or one.action.session == session)

    def _pruned(self, links: Sequence[Link]) -> int:
        """Return how many of the first records have let their bytes go; where that cannot be told, as if none had."""
        with suppress(JumarError):
            return Retention(self.bare.folder, self.bare.git).kept_from(links)
        return 0

    def find(self, action_id: str) -> Listed:
        """Return one action. Raises UsageError."""
        for one in self.actions():
            if one.action.id == action_id:
                return one
        raise UsageError(f"there is no action {action_id!r} in the ledger of {self.root}; see jumar actions")

    def head(self) -> str:
        """Return the seal of the last action; it seals all before it."""
        self._chain.links()
        return self._chain.head

    def since(self, seal: str) -> list[Link]:
        """Return what was added after the action of this seal; all of it where the seal is empty or not there."""
        links = self._chain.links()
        position = next((number for number in range(len(links), 0, -1) if links[number - 1].seal == seal), 0)
        return links[position:]

    async def plan(self, ids: Sequence[str], *, only: Collection[str] = (), preference: Preference = "") -> Plan:
        """Say what taking these actions back would change. Raises UsageError where one cannot be."""
        async with self._held() as undo:
            return await self._plan(undo, ids, only, preference)

    async def _plan(self, undo: Undo, ids: Sequence[str], only: Collection[str], preference: Preference) -> Plan:
        chosen: list[Listed] = []
        for named in [self.find(action_id) for action_id in dict.fromkeys(ids)]:
            if named.undone:
                raise UsageError(f"action {named.action.id} is undone already; jumar redo brings it back")
            whole = self._whole(named)
            chosen += [one for one in whole if one not in chosen]
            touched = {delta.path for one in whole for delta in one.action.deltas}
            if only and not touched & set(only):
                raise UsageError(
                    f"action {named.action.id} did not touch {', '.join(only)}; it touched {', '.join(sorted(touched))}"
                )
        newest_first = sorted((one.action for one in chosen), key=lambda action: -int(action.id))
        try:
            return await undo.plan(newest_first, only=only, preference=preference)
        except JumarError as error:
            raise _lost(error, chosen) from error

    def _whole(self, named: Listed) -> list[Listed]:
        """Return the records of the call of an action, where there are several of one: they go, and come back, together."""
        if not any(link.action.status == PARTLY for link in self._chain.links()):
            return [named]
        key = _call(named.action)
        group = [one for one in self.actions(named.action.session) if _call(one.action) == key and not one.undone]
        return group if any(one.action.status == PARTLY for one in group) else [named]

    async def take_back(
        self,
        ids: Sequence[str],
        kind: ActionKind,
        *,
        only: Collection[str] = (),
        preference: Preference = "",
        title: str = "",
    ) -> tuple[Plan, Listed | None]:
        """Take actions back, all or, where there is a conflict, none; the record is None where nothing was changed."""
        async with self.together.alone(), self._held() as undo:
            plan = await self._plan(undo, ids, only, preference)
            if plan.conflicts or not plan.actions:
                return plan, None
            if running := self.together.running(""):  # what these changed so far is theirs, and not the undo's
                meanwhile = Action(id="", kind="outside", ts="", session="", deltas=await undo.moved(plan))
                if meanwhile.deltas:
                    self._append(so_far(running, meanwhile))
            numbers = ", ".join(action.id for action in reversed(plan.actions))
            draft = Action(
                id=self._next(),
                kind=kind,
                ts=self._now(),
                session="",
                title=title or f"{kind} {numbers}",
                approved_by="person",
                undoes=tuple(action.id for action in plan.actions),
                only=tuple(sorted(only)),
            )
            done = await undo.carry_out(plan, draft)
            return plan, Listed(done, self._chain.head, undone=False)

    async def why(self, path: str, line: int) -> Origin:
        """Trace a line of a file, by its path from the root. Raises UsageError where there is none."""
        async with self._held() as undo:
            links = self._chain.links()
            kept = [link.action for link in links[self._pruned(links) :]]
            return await origin(kept, undo.blobs, path, line, self.tree.look(path))

    async def contents(self, action: Action) -> list[tuple[Delta, Thing | None, Thing | None]]:
        """Return what an action changed, with what was there before and after; without paths whose bytes are not held."""
        async with self._held() as undo:
            try:
                return await undo.contents(action)
            except JumarError as error:
                raise _lost(error, [one for one in self.actions() if one.action.id == action.id]) from error

    async def audit(self, seals: Iterable[str]) -> Audit:
        """Look at all of the ledger; `seals` are those that logs of sessions name."""
        async with self.bare.held():
            blobs = Blobs(self.bare.folder, self.bare.git, self.bare.kind)
            return await audit(self._chain, blobs, seals, Retention(self.bare.folder, self.bare.git).kept_from)

    async def export(self, branch: str, session: str = "") -> int:
        """Write the actions to a new branch of the person's repository; return how many commits that made."""
        async with self._held() as undo:
            links = self._chain.links()
            kept = Retention(self.bare.folder, self.bare.git).kept_from(links)
            actions = [link.action for link in links[kept:] if not session or link.action.session == session]
            return await export(actions, undo.blobs, self.bare.theirs, branch)

    async def stats(self) -> Stats:
        """Count what the store takes."""
        async with self._held():
            return Retention(self.bare.folder, self.bare.git).stats(self._chain.links())

    async def prune(self, now: datetime, days: int, most: int, told: Callable[[str], None]) -> Stats:
        """Let go of the bytes of old records; the records stay."""
        async with self._held():
            return await Retention(self.bare.folder, self.bare.git).prune(self._chain.links(), now, days, most, told)

    async def tidy(self) -> None:
        """Let go of what is older or more than is kept by default, at most once a day."""
        now = datetime.fromisoformat(self._now())
        async with self._held():
            retention, links = Retention(self.bare.folder, self.bare.git), self._chain.links()
            if retention.is_due(links, now):
                await retention.prune(links, now, DAYS, BYTES, lambda _: None)

    async def rescue_plan(self, action_id: str) -> tuple[Rescue, Plan]:
        """Say what bringing back what an action did to the repository, and to files, would do. Raises UsageError."""
        one = self.find(action_id)
        async with self._held() as undo:
            rescue = await self._rescue_of(one.action)
            gone = one.undone or not one.action.deltas
            return rescue, Plan((), ()) if gone else await undo.plan([one.action])

    async def rescue(self, action_id: str) -> tuple[str, ...]:
        """Bring back what an action did to the repository's refs, HEAD, stashes and index; return what is left to do by hand."""
        one = self.find(action_id)
        async with self._held():
            return await restore(self.bare, await self._rescue_of(one.action))

    async def _rescue_of(self, action: Action) -> Rescue:
        if action.repository is None:
            raise UsageError(f"action {action.id} changed no ref, stash or index; jumar undo {action.id} brings its files back")
        now = await Repositories(self.bare).read()
        if now is None:
            raise UsageError(f"there is no repository at {self.root} any more that could be brought back")
        return rescue_plan(action.repository[0], now)

    async def rewind(self, action_id: str, *, preference: Preference = "") -> tuple[Plan, Listed | None]:
        """Go back to before an action: take it and all later ones back."""
        title = f"rewind to before {action_id}"
        return await self.take_back(self.later(action_id), "rewind", preference=preference, title=title)

    async def redo(self, *, preference: Preference = "") -> tuple[Plan, Listed | None]:
        """Bring back what was taken back last. Raises UsageError where there is none."""
        return await self.take_back([self.to_redo()], "redo", preference=preference)

    def later(self, action_id: str) -> list[str]:
        """Return the ids that a rewind to before this action takes back: it and all later ones, not those of other people."""
        first = int(self.find(action_id).action.id)
        return [one.action.id for one in self.actions() if int(one.action.id) >= first and _counts(one, first)]

    def to_redo(self) -> str:
        """Return the id of the last undoing, of parts too, that is not taken back itself. Raises UsageError."""
        for one in reversed(self.actions()):
            if not one.undone and (one.action.kind in _TAKERS or (one.action.kind, one.action.tool) == ("call", OF_PARTS)):
                return one.action.id
        raise UsageError("nothing was undone that could be brought back")


def _call(action: Action) -> tuple[str, str, int, int, str]:
    return action.kind, action.session, action.turn, action.step, action.call_id


def _lost(error: JumarError, chosen: Iterable[Listed]) -> JumarError:
    """Return why actions cannot be read: those whose bytes were pruned are neither lost nor damaged."""
    numbers = ", ".join(one.action.id for one in chosen if not one.kept)
    return JumarError(f"the bytes of {numbers} were pruned; only its record is left") if numbers else error


def _counts(one: Listed, first: int) -> bool:
    """Tell whether a rewind to before `first` takes it back: calls do, and what took back or brought back an earlier one."""
    if one.undone or not one.action.deltas:
        return False
    return one.action.kind == "call" or any(int(earlier) < first for earlier in one.action.undoes)
