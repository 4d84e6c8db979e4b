"""Owns what a person does to the work tree in a session with their own hands: commands, undoing and redoing, committing."""

import shlex
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from agent.blocks import TerminalBlock
from agent.errors import UsageError
from agent.events.event import Event
from agent.events.news import ActionPart, Informed
from agent.history import History
from agent.ledger import partly
from agent.ledger.commit import Committed, Committing
from agent.ledger.ledger import OF_PARTS, Ledger, Listed
from agent.ledger.merge import Merging, Preference
from agent.ledger.partly import Part
from agent.ledger.undo import Conflict, Plan
from agent.record import About, Recorder
from agent.safe import mended
from agent.setting import Setting
from agent.workspace.contract import UNCONFINED, Ended

_PATIENCE = 1800.0  # seconds that a command of the person's may take
_OWN = "person-"  # what the ids of calls begin with that are no model's
_NOTHING_HELD = "nothing is recorded in this session, so nothing can be undone"
T = TypeVar("T")


class Hands:
    """What the person does; each is an action, and the model learns of it with its next step.

    `due` says which step that is; `interrupt` stops the turn that runs, and waits for its end.
    """

    def __init__(
        self,
        session_id: str,
        setting: Setting,
        history: History,
        recorder: Recorder | None,
        tell: Callable[[Event], None],
        due: Callable[[], int],
        interrupt: Callable[[], Awaitable[None]],
    ) -> None:
        self._session_id = session_id
        self._setting = setting
        self._history = history
        self._recorder = recorder
        self._tell = tell
        self._due = due
        self._interrupt = interrupt
        self._count = 0

    async def shell(self, command: str, told: Callable[[str], None] = lambda _: None) -> None:
        """Run a command of the person's own, which no gate judges; it is on the ledger, and the model learns of it."""
        call_id = self._next_own()
        workspace = self._setting.workspace

        async def run() -> Ended:
            return await workspace.run(command, _PATIENCE, told, UNCONFINED)

        about = About(call_id, "shell", command, None)
        ended = await self._around(about, run)
        block = TerminalBlock(command, ended.output, ended.exit_code, ended.seconds)
        words = f"The person ran a command of their own: {command}\n{ended.output}\n[exit {ended.exit_code}]"
        words = self._with_changed(words, call_id)
        self._tell(Informed(kind="shell", title=command, told=words, step=self._due(), call_id=call_id, blocks=(block,)))

    async def undo(
        self, ids: Sequence[str], *, only: Collection[str] = (), preference: Preference = "", interrupt: bool = False
    ) -> Plan:
        """Take actions back, all or, where there is a conflict, none. Raises JumarError.

        It waits for a call that acts, or interrupts the turn. The model learns of it with its next step.
        """
        return await self._take_back(lambda ledger: ledger.take_back(ids, "undo", only=only, preference=preference), interrupt)

    async def rewind(self, action_id: str, *, preference: Preference = "", interrupt: bool = False) -> Plan:
        """Take back an action and all later ones."""
        return await self._take_back(lambda ledger: ledger.rewind(action_id, preference=preference), interrupt)

    async def redo(self, *, preference: Preference = "", interrupt: bool = False) -> Plan:
        """Bring back what was taken back last, parts of an action too."""
        return await self._take_back(lambda ledger: ledger.redo(preference=preference), interrupt)

    def to_redo(self) -> str:
        """Return the action that a redo takes back: the last undoing that is not undone. Raises UsageError."""
        return self._ledger.to_redo()

    async def revert(self, ids: Sequence[str]) -> Plan:
        """Take actions back as well as can be: where somebody changed the same lines since, theirs stay."""

        def work(ledger: Ledger) -> Awaitable[tuple[Plan, Listed | None]]:
            left = [action_id for action_id in ids if not ledger.find(action_id).undone]  # the person may have been quicker
            return ledger.take_back(left, "revert", preference="ours")

        return await self._take_back(work, interrupt=True)

    def actions(self, after: str = "") -> tuple[Listed, ...]:
        """Return the actions of the workspace, of all sessions, the oldest first.

        Given a seal, only those after it, and whether they are taken back is not looked up: that costs as much as there are.
        """
        ledger = self._setting.ledger
        if ledger is None:
            return ()
        if after:
            return tuple(Listed(link.action, link.seal, undone=False) for link in ledger.since(after))
        return ledger.actions()

    async def plan_undo(self, ids: Sequence[str], *, only: Collection[str] = (), preference: Preference = "") -> Plan:
        """Say what taking actions back would change, without waiting for a call that acts. Raises JumarError."""
        return await self._ledger.plan(ids, only=only, preference=preference)

    def later(self, action_id: str) -> list[str]:
        """Return the actions that a rewind to before this one takes back."""
        return self._ledger.later(action_id)

    async def contents(self, action_id: str) -> list[Part]:
        """Return what an action changed, file by file, as far as its bytes are held. Raises JumarError."""
        ledger = self._ledger
        found = await ledger.contents(ledger.find(action_id).action)
        return [Part(delta.path, before, after) for delta, before, after in found]

    async def changes(self, turn: int = 0) -> tuple[list[Part], tuple[Conflict, ...]]:
        """Return what the session, or a turn of it, has changed, from what would be there without it to what is there now."""
        return await partly.changes(self._ledger, self._mine(turn))

    async def plan_undo_parts(self, parts: Sequence[Part], *, preference: Preference = "") -> Plan:
        """Say what taking back parts would change."""
        return await partly.plan(self._ledger, parts, preference)

    async def undo_parts(
        self,
        parts: Sequence[Part],
        title: str,
        of: Collection[str] = (),
        *,
        preference: Preference = "",
        interrupt: bool = False,
    ) -> Plan:
        """Take back parts of changes, all or, where there is a conflict, none; it is an action of its own. Raises JumarError.

        `of` are the actions that made them; without these, any of the session. It waits for a call that acts, or interrupts
        the turn. The model learns of it with its next step.
        """
        ledger = self._ledger
        if interrupt:
            await self._interrupt()

        async def work() -> Plan:
            planned = await partly.plan(ledger, parts, preference)
            if not planned.conflicts:
                partly.carry_out(ledger, planned)
            return planned

        call_id, files = self._next_own(), tuple(ledger.root / part.path for part in parts)
        planned = await self._around(About(call_id, OF_PARTS, title, files), work)
        if planned.steps and not planned.conflicts:
            told, blocks = partly.told(planned)
            event = Informed(kind="files", title=title, told=told, step=self._due(), call_id=call_id, blocks=blocks)
            self._tell(replace(event, parts=tuple(self._made_in(parts, of))))
        return planned

    def _made_in(self, parts: Sequence[Part], of: Collection[str]) -> Iterator[ActionPart]:
        """Yield in which actions parts of changes were made, as far as that is known."""
        wanted = {part.path: part.hunks is None or len(part.hunks) == part.count for part in parts}
        ids = of or self._mine()
        for action in (one.action for one in self._ledger.actions(self._session_id) if one.action.id in ids):
            for path in (delta.path for delta in action.deltas if delta.path in wanted):
                yield ActionPart(action=action.id, path=mended(path), whole=wanted[path])

    def _mine(self, turn: int = 0) -> list[str]:
        """Return the calls of the model in the session, or in a turn of it, that can be undone."""
        mine = [one for one in self._ledger.actions(self._session_id) if one.undoable and turn in {0, one.action.turn}]
        return [one.action.id for one in mine if one.action.kind == "call" and not one.action.call_id.startswith(_OWN)]

    async def commit(self, parts: Sequence[Part], message: str, environment: Mapping[str, str]) -> Committed:
        """Commit parts into the person's repository, with their settings and hooks. Raises JumarError."""
        ledger = self._ledger
        merging = Merging(ledger.bare.git, ledger.bare.folder)
        committing = Committing(ledger.root, environment, merging)
        call_id, subject = self._next_own(), message.strip().partition("\n")[0]
        command = f"git commit -m {shlex.quote(subject)}"
        done = await self._around(About(call_id, "commit", subject, None), lambda: committing.commit(parts, message))
        block = TerminalBlock(command, done.printed, 0)
        words = self._with_changed(f"The person committed changes, reviewed by them: {subject}\n{done.printed}", call_id)
        self._tell(Informed(kind="shell", title=command, told=words, step=self._due(), call_id=call_id, blocks=(block,)))
        return done

    @property
    def _ledger(self) -> Ledger:
        if self._setting.ledger is None:
            raise UsageError(_NOTHING_HELD)
        return self._setting.ledger

    def _with_changed(self, words: str, call_id: str) -> str:
        """Return words for the model of what the person ran, with the files that it had read and that this changed."""
        changed = self._history.sightings.changed_by(call_id, "by the person's command")
        return f"{words}\n{changed}" if changed else words

    def _next_own(self) -> str:
        self._count += 1
        return f"{_OWN}{self._history.turn}-{self._count}"

    async def _around(self, about: About, run: Callable[[], Awaitable[T]]) -> T:
        return await (self._recorder.around(about, run) if self._recorder is not None else run())

    async def _take_back(self, work: Callable[[Ledger], Awaitable[tuple[Plan, Listed | None]]], interrupt: bool) -> Plan:
        if self._recorder is None:
            raise UsageError(_NOTHING_HELD)
        if interrupt:
            await self._interrupt()
        plan, _ = await self._recorder.take_back(work)
        return plan
