"""Owns recording what calls change: a look before, a look after, a record in the ledger; and what others did meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from agent.code.diff import diff
from agent.errors import JumarError, ToolFailure
from agent.events import ActionFile, ActionRecorded, ActionsUndone, ApprovalDecided, Event, ModelAnswered, TurnStarted, Warned
from agent.ledger.action import Action, Delta
from agent.ledger.attending import attend
from agent.ledger.capture import Before, Capture, Captured
from agent.ledger.ledger import Ledger, Listed
from agent.ledger.together import PARTLY, so_far
from agent.meanwhile import noticed, shown
from agent.safe import mended, safe_text

_MOST_FILES = 200  # of an action that are told in an event
_MOST_TITLES = 500  # of the last actions
_MOST_TOLD = 20  # files of an undo that the model is told by name
_TIDYING = 20.0  # seconds
_MOST_LINES = 30  # of the difference that an undo made
_MOMENT = 0.5  # seconds that the first request waits for what changed before
_FIRST_WORDS = 2000  # characters of a prompt that a record keeps
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class About:
    """What a record says of a call. `files` are those that it may touch; None stands for: any.

    What changes while a call runs that cannot write is somebody else's doing.
    """

    call_id: str
    tool: str
    title: str
    files: tuple[Path, ...] | None
    writes: bool = True


@dataclass(frozen=True, slots=True)
class _Begun:
    """A call that was looked at before it began."""

    before: Before | None = None
    elsewhere: tuple[Path, ...] = ()  # its files that no record can hold
    head: str = ""  # the last record before it
    end: Callable[[], None] = lambda: None


class Recorder:
    """Records one session's calls, one after the other."""

    def __init__(
        self,
        ledger: Ledger,
        capture: Capture,
        session: str,
        tell: Callable[[Event], None],
        due: Callable[[], int],
        *,
        known: Callable[[str], int] = lambda _: 0,
        eager: bool = True,
        exact: Collection[str] = (),
    ) -> None:
        self._ledger = ledger
        self._capture = capture
        self._session = session
        self._tell = tell
        self._due = due  # the step with which the model learns of what happens now
        self._known = known  # with which step the model saw a file last, by its path from the root
        self._exact = exact  # tools whose calls name what they change
        self._eager = eager  # take the first look before a command needs it
        self._acting = asyncio.Lock()  # held while a call acts, and while something is taken back
        self._telling = asyncio.Lock()  # held while news are told: each once
        self._turn = 0
        self._step = 0
        self._prompt = ""
        self._model = ""
        self._allowed: dict[str, ApprovalDecided] = {}
        self._head = ""  # of the last record that this session knows
        self._warned: set[str] = set()
        self._looked = False  # at all of the workspace: a command ran
        self._acted = False  # a call that may change something ran
        self._begun = False  # the first look was taken, or could not be
        self._live = False  # what is heard happens now, and is no log of earlier
        self._starting: asyncio.Task[None] | None = None
        self._attending: asyncio.Task[None] | None = None
        self._resumed = False  # there were turns before this process

    def hear(self, event: Event) -> None:
        """Take in an event of the session, also of one that is gone on with."""
        match event:
            case TurnStarted():
                self._turn, self._prompt = event.turn, event.prompt[:_FIRST_WORDS]
            case ModelAnswered():
                self._step, self._model = event.step, event.model
                if event.answer.calls and self._live and self._eager:
                    self._start()
            case ApprovalDecided(allowed=True):
                self._allowed[event.call_id] = event
            case ActionRecorded() | ActionsUndone() if not self._live:  # else `news` comes to it, and to what others did before
                self._head = event.seal
            case _:
                pass

    async def around(self, about: About, run: Callable[[], Awaitable[T]]) -> T:
        """Run a call, and record what it changed however it ends. Raises ToolFailure where what it may lose cannot be kept."""
        exact = about.files is not None
        # A call that names its files is over soon: others look before it, or after.
        async with self._acting, AsyncExitStack() as whole, AsyncExitStack() as looking:
            self._acted = True
            await self._alone(whole if exact else looking)
            begun = await self._before(about)
            await looking.aclose()
            status = "failed"
            try:
                result = await run()
                status = "done"
            except asyncio.CancelledError:
                status = "cancelled"
                raise
            finally:
                await _to_its_end(self._after(begun, about, status))
            return result

    async def _alone(self, until: AsyncExitStack) -> None:
        """Let no other session look until then. Raises ToolFailure where the ledger cannot be kept at all."""
        try:
            await until.enter_async_context(self._ledger.together.alone())
        except JumarError as error:
            raise ToolFailure(f"Not run, because what it changes could not be undone: {error}.") from error

    def holds(self, file: Path) -> bool:
        """Whether what a file tool changes there can be kept: one ledger is of one work tree."""
        return file.is_relative_to(self._ledger.root)

    def keeps(self, file: Path) -> bool:
        """Whether what lies there is held, so that what a command does to it can be undone."""
        return self._capture.keeps(file)

    async def looked(self) -> None:
        """Wait for the first look: before it nobody can say what is held."""
        if self._eager and not self._begun:
            await self._first_look()

    def titles(self) -> list[tuple[str, str]]:
        """Return tool and title of the last calls that the ledger has, of whatever session, the latest first."""
        try:
            links = self._ledger.since("")
        except JumarError:
            return []
        return [(link.action.tool, link.action.title) for link in links[: -_MOST_TITLES - 1 : -1] if link.action.kind == "call"]

    def coverage(self) -> dict[str, str]:
        """Return what of the workspace is not held, and why: what a command does to it cannot be undone."""
        return self._capture.coverage()

    async def border(self) -> None:
        """Look at everything between turns, where a command ran before, and record what changed outside of any call."""
        if self._resumed and self._eager and not self._begun:  # what changed while nobody was here belongs to the first request
            self._start()
            await asyncio.wait({self._starting} if self._starting is not None else (), timeout=_MOMENT)
        async with self._acting:
            if self._looked:
                with suppress(JumarError):
                    async with self._ledger.together.alone():
                        await self.news()
                        await self._outside(await self._capture.border())

    async def between(self) -> None:
        """Take in, before a request, what others did: news of the ledger, and files that a watch has seen change."""
        await self.news()
        if self._begun and self._capture.watching and not self._acting.locked():
            async with self._acting:
                await self._glance()

    async def _glance(self) -> None:
        with suppress(JumarError):
            async with self._ledger.together.alone():
                await self.news()
                await self._outside(await self._capture.glance())

    def attend(self) -> None:
        """From now on notice soon what others change while nothing of ours runs, where a watch tells of it."""
        if self._attending is None:
            self._attending = asyncio.create_task(attend(self._capture.stirred, self._look_up))

    async def _look_up(self) -> None:
        async with self._acting:
            if self._begun and self._capture.stirs:  # what a call changed was looked at with its end
                await _to_its_end(self._glance())

    async def news(self) -> None:
        """Take in what was added to the ledger since this session looked at it last; tell what was taken or brought back."""
        async with self._telling:
            try:
                fresh = self._ledger.since(self._head) if self._head else []
                self._head = self._head or self._ledger.head()
            except JumarError as error:
                self._warn(str(error))
                return
            others = any(link.action.session != self._session or link.action.status == PARTLY for link in fresh)
            for link in fresh:
                self._head = link.seal
                if others:  # in order: what this session did last is what is there
                    self._capture.told(link.action)
                if link.action.undoes:
                    taken = [self._ledger.find(action_id).action for action_id in link.action.undoes]
                    self._tell(_undone(link.action, link.seal, self._due(), taken, await self._diffs(link.action)))
                elif link.action.session != self._session:
                    await self._notice(link.action, link.action.deltas)

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
        return [safe_text(line) for line in told] if len(told) <= _MOST_LINES else []

    async def take_back(self, work: Callable[[Ledger], Awaitable[T]]) -> T:
        """Do something with the ledger while no call acts, then tell what was taken back."""
        async with self._acting:
            await self.news()
            done = await work(self._ledger)
            await self.news()
            return done

    def go_live(self) -> None:
        """From here on, what is heard happens now."""
        self._live, self._resumed = True, self._turn > 0

    async def close(self) -> None:
        """Watch no longer, and let go of what is older than the ledger keeps."""
        if ending := [task for task in (self._starting, self._attending) if task is not None]:
            for task in ending:
                task.cancel()
            await asyncio.wait(ending)
        self._capture.close()
        if self._acted:
            with suppress(JumarError, TimeoutError):
                async with asyncio.timeout(_TIDYING):
                    await self._ledger.tidy()

    def _start(self) -> None:
        """Take the first look beside what the first calls read: a large workspace takes a while."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._first_look())

    async def _first_look(self) -> None:
        async with self._acting:
            if not self._begun:
                with suppress(JumarError):
                    await self._capture.before(None)  # it takes long in a large workspace: others need not wait for it
                try:
                    async with self._ledger.together.alone():
                        await self._look_first()
                except JumarError as error:
                    self._warn(str(error))

    async def _look_first(self) -> None:
        """Take the first look, once, and record what changed since any session looked last."""
        if self._begun:
            return
        self._begun = True
        try:
            await self.news()
            actions = [link.action for link in self._ledger.since("")]
            await self._outside(await self._capture.start(actions), away=True)
            await self._capture.remember(len(actions))
        except JumarError as error:
            self._warn(str(error))

    async def _before(self, about: About) -> _Begun:
        """Look before a call, and record what others did."""
        files = about.files
        await self.news()
        if files is None:
            await self._look_first()
            before = await self._capture.before(None)
            self._looked = True
            if before.fault:
                self._warn(f"what commands change cannot be undone here: {before.fault}")
            try:
                await self._outside(Captured(outside=before.outside, outside_folders=before.outside_folders))
                if not about.writes:
                    return _Begun(replace(before, outside=(), outside_folders=()), (), self._head)
                end = self._ledger.together.begin(self._draft(about, self._allowed.get(about.call_id)))
            except JumarError as error:
                self._warn(f"what somebody else changed is not in the ledger: {error}")
                return _Begun(before, (), self._head)
            return _Begun(replace(before, outside=(), outside_folders=()), (), self._head, end)
        inside = tuple(file for file in files if self.holds(file))
        try:
            return _Begun(await self._capture.before(inside) if inside else None, tuple(set(files) - set(inside)))
        except JumarError as error:
            raise ToolFailure(f"Not run, because what it changes could not be undone: {error}.") from error

    async def _after(self, begun: _Begun, about: About, status: str) -> None:
        try:
            async with self._ledger.together.alone() if about.files is None else nullcontext():
                await self._record(begun, about, status)
        except JumarError as error:
            self._tell(Warned(text=f"what {about.tool} changed is not in the ledger and cannot be undone: {error}"))
        finally:
            begun.end()

    def _draft(self, about: About, allowed: ApprovalDecided | None) -> Action:
        """Return the record of a call without what it did."""
        return Action(
            id="",
            kind="call",
            ts="",
            session=self._session,
            turn=self._turn,
            step=self._step,
            call_id=about.call_id,
            tool=about.tool,
            title=mended(about.title),
            prompt=mended(self._prompt),
            model=self._model,
            approved_by=allowed.by if allowed else "policy",
            rule=allowed.rule if allowed else "",
        )

    def _meanwhile(self, begun: _Begun) -> tuple[list[Action], set[str]]:
        """Return what others recorded of a command while it ran, and the sessions of which commands ran beside it."""
        if not begun.head:
            return [], set()
        fresh = [link.action for link in self._ledger.since(begun.head)]
        beside = {one.session for one in self._ledger.together.running(self._session)}
        beside |= {one.session for one in fresh if one.kind == "call" and one.tool not in self._exact}
        return [one for one in fresh if one.session == self._session and one.status == PARTLY], beside - {self._session}

    async def _record(self, begun: _Begun, about: About, status: str) -> None:
        before, elsewhere = begun.before, begun.elsewhere
        await self.news()
        captured = await self._capture.after(before) if before is not None else Captured()
        if not about.writes:
            captured = Captured(outside=captured.outside + captured.deltas, outside_folders=captured.folders)
        await self._outside(captured)
        parts, beside = self._meanwhile(begun)
        left_out = dict(captured.left_out) | {str(file): "outside the workspace" for file in elsewhere}
        listed = await self._ledger.record(
            replace(
                self._draft(about, self._allowed.pop(about.call_id, None)),
                status=status,
                shared=tuple(sorted(beside)) if captured.deltas else (),
                deltas=captured.deltas,
                folders=captured.folders,
                gone=captured.gone,
                left_out=left_out,
                repository=captured.repository,
            )
        )
        if listed is None and parts:
            listed = Listed(parts[-1], self._ledger.head(), undone=False)
            parts = parts[:-1]
        if listed is not None:
            self._tell(_recorded(listed, about, parts))
        elif elsewhere and status == "done":
            self._tell(Warned(text=f"this cannot be undone by jumar, for it lies outside the work tree: {elsewhere[0]}"))

    async def _outside(self, captured: Captured, *, away: bool = False) -> None:
        """Record what was changed by no call of ours: by nobody's, unless commands of other sessions run."""
        found = Action(
            id="",
            kind="outside",
            ts="",
            session=self._session,
            turn=self._turn,
            deltas=captured.outside,
            folders=captured.outside_folders,
        )
        running = self._ledger.together.running(self._session)
        listed = await self._ledger.record(so_far(running, found) if running else found)
        if listed is not None and (self._resumed or not away):  # else it is what a session finds that begins
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

    def _warn(self, text: str) -> None:
        """Warn of what stays so, once."""
        if text not in self._warned:
            self._warned.add(text)
            self._tell(Warned(text=text))


def _recorded(listed: Listed, about: About, parts: Sequence[Action]) -> ActionRecorded:
    action = listed.action
    if parts:
        action = replace(action, deltas=_joined([*parts, action]))
    return ActionRecorded(
        action=action.id,
        seal=listed.seal,
        call_id=about.call_id,
        tool=about.tool,
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


async def _to_its_end(work: Awaitable[None]) -> None:
    """Await work that a cancel must not cut short; the cancel is passed on when it is done."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
