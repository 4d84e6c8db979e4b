"""Owns the news of the ledger: what others added to it, or changed in the work tree, is told to a session once, and in order."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.code.diff import diff
from agent.errors import JumarError
from agent.events.action import ActionFile, ActionRecorded, ActionsUndone
from agent.events.event import Event
from agent.events.news import Warned
from agent.ledger.action import Action, Delta
from agent.ledger.capture import Capture, Captured
from agent.ledger.ledger import Ledger, Listed
from agent.ledger.together import PARTLY, so_far
from agent.meanwhile import noticed, shown
from agent.safe import mended, safe_text

_MOST_FILES = 200  # of an action that are told in an event
_MOST_TOLD = 20  # files of an undo that the model is told by name
_MOST_LINES = 30  # of the difference that an undo made


class News:
    """The news of one session."""

    def __init__(
        self,
        ledger: Ledger,
        capture: Capture,
        session: str,
        tell: Callable[[Event], None],
        due: Callable[[], int],
        known: Callable[[str], int],
    ) -> None:
        self._ledger = ledger
        self._capture = capture
        self._session = session
        self._tell = tell
        self._due = due  # the step with which the model learns of what happens now
        self._known = known  # with which step the model saw a file last, by its path from the root
        self._telling = asyncio.Lock()  # held while news are told: each once
        self._warned: set[str] = set()
        self.turn = 0
        self.head = ""  # of the last record that this session knows
        self.resumed = False  # there were turns before this process

    async def take_in(self) -> None:
        """Take in what was added to the ledger since this session looked at it last; tell what was taken or brought back."""
        async with self._telling:
            try:
                fresh = self._ledger.since(self.head) if self.head else []
                self.head = self.head or self._ledger.head()
            except JumarError as error:
                self.warn(str(error))
                return
            others = any(link.action.session != self._session or link.action.status == PARTLY for link in fresh)
            for link in fresh:
                self.head = link.seal
                if others:  # in order: what this session did last is what is there
                    self._capture.told(link.action)
                if link.action.undoes:
                    taken = [self._ledger.find(action_id).action for action_id in link.action.undoes]
                    self._tell(_undone(link.action, link.seal, self._due(), taken, await self._diffs(link.action)))
                elif link.action.session != self._session:
                    await self._notice(link.action, link.action.deltas)

    async def outside(self, captured: Captured, *, away: bool = False) -> None:
        """Record what was changed by no call of ours: by nobody's, unless commands of other sessions run."""
        found = Action(
            id="",
            kind="outside",
            ts="",
            session=self._session,
            turn=self.turn,
            deltas=captured.outside,
            folders=captured.outside_folders,
        )
        running = self._ledger.together.running(self._session)
        listed = await self._ledger.record(so_far(running, found) if running else found)
        if listed is not None and (self.resumed or not away):  # else it is what a session finds that begins
            await self._notice(listed.action, captured.outside, away=away)

    async def _notice(self, action: Action, changed: Sequence[Delta], *, away: bool = False) -> None:
        """Tell of files that no call of ours changed, but for those that are ignored."""
        try:
            ignored = await self._capture.ignored(changed) if changed else set()
            deltas = [delta for delta in changed if delta.path not in ignored]
            diffs = await self._diffs(replace(action, deltas=shown(deltas)))
        except JumarError:
            return
        if deltas:
            self._tell(noticed(action.id, deltas, diffs, self._due(), self._known, away=away))

    async def _diffs(self, action: Action) -> list[str]:
        """Return what an undo changed, as far as it is short."""
        try:
            changed = await self._ledger.contents(action)
        except JumarError:
            return []
        told: list[str] = []
        for delta, before, after in changed:
            if before is None or after is None or b"\0" in before.content + after.content:
                continue
            block = diff(delta.path, *(thing.content.decode("utf-8", "backslashreplace") for thing in (before, after)))
            told += [f"--- {mended(delta.path)}", *block.diff.split("\n")]
            if len(told) > _MOST_LINES:
                return []
        return [safe_text(line) for line in told]

    def warn(self, text: str) -> None:
        """Warn of what stays so, once."""
        if text not in self._warned:
            self._warned.add(text)
            self._tell(Warned(text=text))


def recorded(listed: Listed, parts: Sequence[Action]) -> ActionRecorded:
    """Return what is told of the record of a call; `parts` are others of the same call, written before."""
    action = listed.action
    if parts:
        action = replace(action, deltas=_joined([*parts, action]))
    return ActionRecorded(
        action=action.id,
        seal=listed.seal,
        call_id=action.call_id,
        tool=action.tool,
        title=action.title,
        files=_files(action),
        not_captured={mended(path): why for path, why in action.left_out.items()},
    )


def _joined(actions: Sequence[Action]) -> tuple[Delta, ...]:
    """Return what actions, one after the other, come to."""
    found: dict[str, Delta] = {}
    for new in (delta for action in actions for delta in action.deltas):
        old = found.get(new.path, replace(new, added=0, removed=0))
        found[new.path] = replace(new, before=old.before, added=old.added + new.added, removed=old.removed + new.removed)
    return tuple(found[path] for path in sorted(found) if found[path].why or found[path].before != found[path].after)


def _files(action: Action) -> tuple[ActionFile, ...]:
    return tuple(
        ActionFile(path=mended(one.path), kind=one.kind, added=one.added, removed=one.removed, captured=not one.why)
        for one in action.deltas[:_MOST_FILES]
    )


def _undone(action: Action, seal: str, step: int, taken: Sequence[Action], diffs: Sequence[str]) -> ActionsUndone:
    back = "brought back" if action.kind == "redo" else "taken back"
    what = "; ".join(f"{one.tool or one.kind} {one.title}".strip() for one in taken[:_MOST_TOLD])
    lines = [f"{mended(delta.path)}: {_now(delta)}" for delta in action.deltas[:_MOST_TOLD]]
    if len(action.deltas) > _MOST_TOLD:
        lines.append(f"and {len(action.deltas) - _MOST_TOLD} files more")
    told = (
        f"(From the ledger, not the person's words: since you last looked, this was {back} with jumar: {mended(what)}. "
        "What you saw of these files before no longer holds. Do not make the change again unless you are asked to.)"
    )
    return ActionsUndone(
        action=action.id,
        title=action.title,
        undoes=action.undoes,
        files=_files(action),
        seal=seal,
        step=step,
        told="\n".join([told, *lines, *diffs]),
        only=tuple(map(mended, action.only)),
    )


def _now(delta: Delta) -> str:
    if delta.after is None:
        return "is gone"
    return "is there again" if delta.before is None else f"was changed, +{delta.added} -{delta.removed} lines"
