"""Owns taking actions back: a plan of what would be changed, path by path, and its carrying out that no crash can halve."""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agent.code.diff import diff
from agent.errors import JumarError
from agent.ledger.action import Action, Delta, Held, plain, read
from agent.ledger.blobs import Blobs
from agent.ledger.chain import Chain, Link
from agent.ledger.merge import Clash, Merging, Preference
from agent.workspace.tree import Moved, Thing, Tree

_MOST_COUNTED = 4 << 20  # bytes of a file whose lines are counted


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path of which an action's change cannot be taken out, why, the lines in the way, and later actions on it."""

    path: str
    why: str
    lines: str = ""
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One path that the plan changes, from what is there now to what will be."""

    path: str
    now: Thing | None
    then: Thing | None
    merged: bool = False  # of what is there now, something stays


@dataclass(frozen=True, slots=True)
class Plan:
    """What taking actions back comes to. With conflicts nothing is carried out."""

    actions: tuple[Action, ...]  # as they are taken back: the newest first
    steps: tuple[Step, ...]
    conflicts: tuple[Conflict, ...] = ()
    unheld: tuple[tuple[str, str], ...] = ()  # paths whose bytes are not held, and why: they stay as they are
    folders: tuple[str, ...] = ()  # that go where they are empty
    revived: tuple[str, ...] = ()  # folders that come back where they are not there


class Undo:
    """Plans and carries out. Whoever calls it holds the store's lock."""

    def __init__(self, tree: Tree, blobs: Blobs, chain: Chain, merging: Merging, folder: Path) -> None:
        self._tree = tree
        self.blobs = blobs
        self._chain = chain
        self._merging = merging
        self._journal = folder / "undo.json"
        self._stored: set[str] = set()  # objects that were read: they need not be kept once more

    async def plan(self, actions: Sequence[Action], *, only: Collection[str] = (), preference: Preference = "") -> Plan:
        """Say what taking back these actions, the newest first, would change; `only` names paths, else it is all of them."""
        links = self._chain.links()
        takers = _takers(links)
        gone = [_Taken(takers, [other.id for other in actions[:number]]) for number in range(len(actions))]
        wanted = [
            (action, delta)
            for action, taken_back in zip(actions, gone, strict=True)
            for delta in sorted(action.deltas, key=lambda delta: delta.before is not None)  # what goes makes room
            if (not only or delta.path in only) and action.id not in taken_back.at(delta.path)
        ]
        within = _taken_out_since(links, actions, {delta.path for _, delta in wanted})
        needed = [
            other
            for action, delta in wanted
            for other in (delta, *within.get((action.id, delta.path), ()))
            if not other.why or preference == "theirs"
        ]
        contents = await self.blobs.get(
            {one.object for other in needed for one in (other.before, other.after) if one is not None}
        )
        self._stored.update(contents)
        folders = sorted({folder for action in actions for folder in action.folders}, key=lambda one: -one.count("/"))
        now: dict[str, Thing | None] = {}
        then: dict[str, Thing | None] = {}
        conflicts: dict[str, Conflict] = {}
        merged: set[str] = set()
        for action, delta in wanted:
            path = delta.path
            if path in conflicts or (delta.why and not _is_half_held(delta, preference)):
                continue
            before, after = _thing(delta.before, contents), _thing(delta.after, contents)
            mixed = False
            for other in within.get((action.id, path), ()):
                was, became = _thing(other.before, contents), _thing(other.after, contents)
                (before, kept), (after, same) = [await self._without(thing, became, was) for thing in (before, after)]
                mixed = mixed or (kept and not same)
            if path not in now:
                try:
                    now[path] = self._look(path, then, folders)
                except Moved as moved:
                    if preference == "ours":
                        continue
                    conflicts[path] = Conflict(path, str(moved), later=self._later(action, path, actions))
                    continue
                then[path] = now[path]
            taken = before if delta.why else await self._merging.taken_out(then[path], after, before, preference)
            if mixed and taken != then[path] and preference != "theirs":
                taken = then[path] if preference else Clash("changes that were taken back since cannot be told apart from it")
            if isinstance(taken, Clash):
                conflicts[path] = Conflict(path, taken.why, taken.lines, self._later(action, path, actions))
                continue
            if taken not in (before, then[path]):
                merged.add(path)
            then[path] = taken
        for path in [path for path in then if then[path] is not None and now[path] is None]:
            if blocking := self._blocking(path, then):
                if preference == "ours":
                    then[path] = None
                    continue
                action = next(action for action, delta in wanted if delta.path == path)
                conflicts[path] = Conflict(path, f"{blocking} is no folder now", later=self._later(action, blocking, actions))
        steps = tuple(
            Step(path, now[path], then[path], path in merged) for path in now if path not in conflicts and now[path] != then[path]
        )
        unheld = tuple(
            dict.fromkeys((delta.path, delta.why) for _, delta in wanted if delta.why and not _is_half_held(delta, preference))
        )
        revived = () if only else tuple(sorted({folder for action in actions for folder in action.gone} - set(folders)))
        return Plan(tuple(actions), steps, tuple(conflicts.values()), unheld, tuple(folders), revived)

    async def _without(self, thing: Thing | None, after: Thing | None, before: Thing | None) -> tuple[Thing | None, bool]:
        """Return what a file was like, or would have been like without a change that was taken out since, and whether it
        still holds that change.
        """
        taken = await self._merging.taken_out(thing, after, before)
        return (thing, thing is not None) if isinstance(taken, Clash) else (taken, False)

    def _look(self, path: str, then: Mapping[str, Thing | None], folders: Collection[str]) -> Thing | None:
        """Look at a path; a folder that goes with all that is in it is as good as nothing there."""
        try:
            return self._tree.look(path)
        except Moved:
            if any(above in then and then[above] is None for above in _above(path)):
                return None  # a file or a link stands where its folder must be, and goes
            emptied = {other for other in then if then[other] is None} | {f"{folder}/" for folder in folders}
            if f"{path}/" in emptied and {f"{path}/{name}" for name in self._tree.names(path)} <= emptied:
                return None
            raise

    def _blocking(self, path: str, then: Mapping[str, Thing | None]) -> str:
        """Return what will stand where a folder above the path must be; empty where nothing does."""
        for above in _above(path):
            try:
                if (then[above] if above in then else self._tree.look(above)) is not None:
                    return above
            except Moved:  # a folder is what it should be
                continue
        return ""

    def _later(self, action: Action, path: str, actions: Sequence[Action]) -> tuple[str, ...]:
        """Return the actions after this one that touched the path, and are not taken back with it."""
        links = self._chain.links()
        position = next(number for number, link in enumerate(links) if link.action.id == action.id)
        gone = {one.id for one in actions} | undone(links)
        return tuple(
            link.action.id
            for link in links[position + 1 :]
            if link.action.id not in gone and any(delta.path == path for delta in link.action.deltas)
        )

    async def contents(self, action: Action) -> list[tuple[Delta, Thing | None, Thing | None]]:
        """Return what an action changed, with what was there before and after; without paths whose bytes are not held."""
        deltas = [delta for delta in action.deltas if not delta.why]
        found = await self.blobs.get(
            {held.object for delta in deltas for held in (delta.before, delta.after) if held is not None}
        )
        return [(delta, _thing(delta.before, found), _thing(delta.after, found)) for delta in deltas]

    async def moved(self, plan: Plan) -> tuple[Delta, ...]:
        """Return what was changed, of the paths of a plan, since a record spoke of them last; no record has it yet."""
        last = {delta.path: delta for link in self._chain.links() for delta in link.action.deltas}
        since = [step for step in plan.steps if step.path in last and not last[step.path].why]
        contents = await self.blobs.get({held.object for step in since if (held := last[step.path].after) is not None})
        steps = (Step(step.path, _thing(last[step.path].after, contents), step.now) for step in since)
        return tuple(self._delta(step) for step in steps if step.now != step.then)

    async def carry_out(self, plan: Plan, action: Action) -> Action:
        """Change what the plan says, and add it to the chain as `action`. Raises JumarError where something moved meanwhile.

        What is there now is kept first; a journal says how far it came, so that `recover` ends what a crash left.
        """
        if plan.conflicts:
            raise JumarError(f"{plan.conflicts[0].path}: {plan.conflicts[0].why}")
        deltas = tuple(self._delta(step) for step in plan.steps)
        action = replace(action, deltas=deltas, undoes=action.undoes or tuple(one.id for one in plan.actions))
        self._write_journal(action, plan)
        done: list[Step] = []
        made: list[str] = []
        gone: list[str] = []
        try:
            for step in _ordered(plan.steps):
                gone += self._make_room(step, plan.folders)
                made += self._tree.replace(step.path, step.now, step.then)
                done.append(step)
        except JumarError as error:
            for step in reversed(done):
                with suppress(Moved):  # somebody is quicker: their bytes stay; or the disk is full
                    self._tree.replace(step.path, step.then, step.now)
            for folder in reversed(made):
                self._tree.remove_folder(folder)
            for folder in gone:
                self._tree.make_folder(folder)
            self._tree.settle(step.path for step in done)
            if stuck := [step.path for step in done if step.now != step.then == self._look_quietly(step.path)]:
                raise JumarError(
                    f"{error}; {stuck[0]} is taken back and cannot be put back now: any jumar command ends it"
                ) from error
            self._journal.unlink()
            raise
        return self._end(replace(action, folders=tuple(made), gone=tuple(gone)), plan.folders, plan.revived)

    def _make_room(self, step: Step, folders: Iterable[str]) -> list[str]:
        """Remove a folder that the plan has emptied, where a file comes to stand there; return what was removed."""
        if step.now is not None or step.then is None:
            return []
        below = [folder for folder in folders if folder == step.path or folder.startswith(f"{step.path}/")]
        return [folder for folder in below if self._tree.remove_folder(folder)]

    def _end(self, action: Action, folders: Iterable[str], revived: Iterable[str]) -> Action:
        made = [*action.folders, *(made for folder in revived for made in self._tree.make_folder(folder))]
        gone = [*action.gone, *(folder for folder in folders if folder not in made and self._tree.remove_folder(folder))]
        action = replace(action, folders=tuple(made), gone=tuple(gone))
        self._tree.settle(delta.path for delta in action.deltas)
        self._chain.append(action)
        self._journal.unlink()
        return action

    async def recover(self) -> Action | None:
        """End what a crash left half done; return the action that it was. What somebody changed since stays as it is."""
        try:
            journal = json.loads(self._journal.read_text("ascii"))
            action, folders, revived = read(journal["action"]), journal["folders"], journal["revived"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):  # torn while it was written: nothing was changed yet
            self._journal.unlink()
            return None
        if any(link.action.id == action.id for link in self._chain.links()):
            self._journal.unlink()
            return action
        held = {one.object for delta in action.deltas for one in (delta.before, delta.after) if one is not None}
        contents = await self.blobs.get(held)
        made: list[str] = []
        gone: list[str] = []
        kept = set()
        steps = [Step(delta.path, _thing(delta.before, contents), _thing(delta.after, contents)) for delta in action.deltas]
        beside: dict[str, list[Thing]] = {}
        for step in steps:
            folder = step.path.rpartition("/")[0]
            beside.setdefault(f"{folder}/x" if folder else "x", []).extend(filter(None, (step.now, step.then)))
        for path, things in beside.items():
            self._tree.sweep(path, things)
        for step in _ordered(steps):
            try:
                if self._look_quietly(step.path) != step.then:
                    gone += self._make_room(step, folders)
                    made += self._tree.replace(step.path, step.now, step.then)
            except Moved:
                kept.add(step.path)
        deltas = tuple(delta for delta in action.deltas if delta.path not in kept)
        if kept and not deltas:
            self._journal.unlink()
            return None
        only = tuple(sorted(delta.path for delta in deltas)) if kept else action.only  # the rest can still be taken back
        whole = replace(action, deltas=deltas, folders=tuple(made), gone=tuple(gone), only=only)
        return self._end(whole, folders, revived)

    def _look_quietly(self, path: str) -> Thing | None:
        try:
            return self._tree.look(path)
        except Moved:
            return None

    def _write_journal(self, action: Action, plan: Plan) -> None:
        beside = self._journal.with_suffix(".tmp")
        try:
            with beside.open("w", encoding="ascii") as opened:
                json.dump({"action": plain(action), "folders": plan.folders, "revived": plan.revived}, opened)
                opened.flush()
                os.fsync(opened.fileno())
            beside.rename(self._journal)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise JumarError(f"nothing was changed, the ledger cannot be written: {error.strerror}: {self._journal}") from error

    def _delta(self, step: Step) -> Delta:
        added, removed = counts(step.now, step.then)
        return Delta(step.path, self._held(step.now), self._held(step.then), added, removed)

    def _held(self, thing: Thing | None) -> Held | None:
        if thing is None:
            return None
        name = self.blobs.name(thing.content)
        return Held(name if name in self._stored else self.blobs.put(thing.content), thing.mode)


class _Taken:
    """What is taken back, path by path, after these took it back, the newest first; and as if all that is `gone` were, too."""

    def __init__(self, takers: Sequence[Action], gone: Iterable[str] = ()) -> None:
        self._takers = takers
        self._named = {path for action in self._takers for path in action.only}
        self._gone = frozenset(gone)
        self._found: dict[str, frozenset[str]] = {}

    def at(self, path: str) -> frozenset[str]:
        """Return the ids of the actions whose change of a path is taken back."""
        path = path if path in self._named else ""
        if path not in self._found:
            gone = set(self._gone)
            for taker in self._takers:  # whether it was taken back itself is known by then
                if taker.id not in gone and (not taker.only or path in taker.only):
                    gone.update(taker.undoes)
            self._found[path] = frozenset(gone)
        return self._found[path]

    def whole(self, action: Action) -> bool:
        """Tell whether all is taken back that an action did."""
        return all(action.id in self.at(path) for path in [delta.path for delta in action.deltas if not delta.why] or [""])


def _is_half_held(delta: Delta, preference: Preference) -> bool:
    """Whether of a change that is not held whole what was there before is held, and is wanted whatever is there now."""
    return delta.before is not None and preference == "theirs"


def _takers(links: Sequence[Link]) -> list[Action]:
    return [link.action for link in reversed(links) if link.action.undoes]


def undone(links: Sequence[Link]) -> set[str]:
    """Return the ids of the actions that are taken back, whole, and were not brought back since."""
    taken = _Taken(_takers(links))
    touched = {action_id for link in links for action_id in link.action.undoes}
    return {link.action.id for link in links if link.action.id in touched and taken.whole(link.action)}


def _taken_out_since(
    links: Sequence[Link], actions: Sequence[Action], paths: Collection[str]
) -> dict[tuple[str, str], list[Delta]]:
    """Return, by action and path, which earlier changes were in what it found and were taken out later, the newest first.

    What an action found was made by those before it; where one of these is taken back, it must not come back with this one.
    Those that were not in it, and were brought back later, follow turned round. `actions` are taken back one after the other.
    """
    takers = _takers(links)
    touched = {action_id for taker in takers for action_id in taker.undoes}
    changes: dict[str, list[tuple[int, str, Delta]]] = {}
    for position, link in reversed(list(enumerate(links))):
        for delta in link.action.deltas if link.action.id in touched and not link.action.undoes else ():
            if not delta.why and delta.path in paths:
                changes.setdefault(delta.path, []).append((position, link.action.id, delta))
    positions = {link.action.id: position for position, link in enumerate(links)}
    found: dict[tuple[str, str], list[Delta]] = {}
    for number, action in enumerate(actions):
        own = positions.get(action.id, len(links))
        then = _Taken([taker for taker in takers if positions[taker.id] < own])
        now = _Taken(takers, [other.id for other in actions[: number + 1]])
        for path in {delta.path for delta in action.deltas} & changes.keys():
            gone, came = now.at(path) - then.at(path), then.at(path) - now.at(path)
            earlier = [(action_id, delta) for position, action_id, delta in changes[path] if position < own]
            found[action.id, path] = [delta for action_id, delta in earlier if action_id in gone] + [
                replace(delta, before=delta.after, after=delta.before)
                for action_id, delta in reversed(earlier)
                if action_id in came
            ]
    return found


def _above(path: str) -> Iterator[str]:
    """Yield the folders above a path, the highest first."""
    parts = path.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts)))


def _ordered(steps: Iterable[Step]) -> list[Step]:
    """Order them so that what goes makes room for what comes: removals first, the deepest first."""
    return sorted(steps, key=lambda step: (step.then is not None, -step.path.count("/") if step.then is None else 0, step.path))


def _thing(held: Held | None, contents: Mapping[str, bytes]) -> Thing | None:
    return None if held is None else Thing(contents[held.object], held.mode)


def counts(before: Thing | None, after: Thing | None) -> tuple[int, int]:
    """Return how many lines came and went; 0 where they cannot be counted."""
    texts = []
    for thing in (before, after):
        content = b"" if thing is None else thing.content
        if b"\0" in content or len(content) > _MOST_COUNTED:
            return 0, 0
        texts.append(None if thing is None else content.decode("utf-8", "surrogateescape"))
    block = diff("", *texts)
    return block.added, block.removed
