"""Owns recording what calls change: a look before, a look after, and a record in the ledger."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from agent.errors import JumarError, ToolFailure
from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.call import ApprovalDecided
from agent.events.conversation import TurnStarted
from agent.events.event import Event
from agent.events.news import Warned
from agent.events.step import ModelAnswered
from agent.ledger.action import Action
from agent.ledger.attending import attend
from agent.ledger.capture import Before, Capture, Captured
from agent.ledger.ledger import Ledger, Listed
from agent.ledger.together import PARTLY
from agent.news import News, recorded
from agent.safe import mended

_MOST_TITLES = 500  # of the last actions
_TIDYING = 20.0  # seconds
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
        self._exact = exact  # tools whose calls name what they change
        self._eager = eager  # take the first look before a command needs it
        self._acting = asyncio.Lock()  # held while a call acts, and while something is taken back
        self._news = News(ledger, capture, session, tell, due, known)
        self._step = 0
        self._prompt = ""
        self._model = ""
        self._allowed: dict[str, ApprovalDecided] = {}
        self._looked = False  # at all of the workspace: a command ran
        self._acted = False  # a call that may change something ran
        self._begun = False  # the first look was taken, or could not be
        self._live = False  # what is heard happens now, and is no log of earlier
        self._starting: asyncio.Task[None] | None = None
        self._attending: asyncio.Task[None] | None = None

    def hear(self, event: Event) -> None:
        """Take in an event of the session, also of one that is gone on with."""
        match event:
            case TurnStarted():
                self._news.turn, self._prompt = event.turn, event.prompt[:_FIRST_WORDS]
            case ModelAnswered():
                self._step, self._model = event.step, event.model
                if event.answer.calls and self._live and self._eager:
                    self._start()
            case ApprovalDecided(allowed=True):
                self._allowed[event.call_id] = event
            case ActionRecorded() | ActionsUndone() if not self._live:  # else `news` comes to it, and to what others did before
                self._news.head = event.seal
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
        if self._news.resumed and self._eager and not self._begun:
            self._start()  # what changed while nobody was here belongs to the first request
            await asyncio.wait({self._starting} if self._starting is not None else (), timeout=_MOMENT)
        async with self._acting:
            if self._looked:
                with suppress(JumarError):
                    async with self._ledger.together.alone():
                        await self._news.take_in()
                        await self._news.outside(await self._capture.border())

    async def between(self) -> None:
        """Take in, before a request, what others did: news of the ledger, and files that a watch has seen change."""
        await self._news.take_in()
        if self._begun and self._capture.watching and not self._acting.locked():
            async with self._acting:
                await self._glance()

    async def _glance(self) -> None:
        with suppress(JumarError):
            async with self._ledger.together.alone():
                await self._news.take_in()
                await self._news.outside(await self._capture.glance())

    def attend(self) -> None:
        """From now on notice soon what others change while nothing of ours runs, where a watch tells of it."""
        if self._attending is None:
            self._attending = asyncio.create_task(attend(self._capture.stirred, self._look_up))

    async def _look_up(self) -> None:
        async with self._acting:
            if self._begun and self._capture.stirs:  # what a call changed was looked at with its end
                await _to_its_end(self._glance())

    async def take_back(self, work: Callable[[Ledger], Awaitable[T]]) -> T:
        """Do something with the ledger while no call acts, then tell what was taken back."""
        async with self._acting:
            await self._news.take_in()
            done = await work(self._ledger)
            await self._news.take_in()
            return done

    def go_live(self) -> None:
        """From here on, what is heard happens now."""
        self._live, self._news.resumed = True, self._news.turn > 0

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
                    self._news.warn(str(error))

    async def _look_first(self) -> None:
        """Take the first look, once, and record what changed since any session looked last."""
        if self._begun:
            return
        self._begun = True
        try:
            await self._news.take_in()
            actions = [link.action for link in self._ledger.since("")]
            await self._news.outside(await self._capture.start(actions), away=True)
            await self._capture.remember(len(actions))
        except JumarError as error:
            self._news.warn(str(error))

    async def _before(self, about: About) -> _Begun:
        """Look before a call, and record what others did."""
        files = about.files
        await self._news.take_in()
        if files is None:
            await self._look_first()
            before = await self._capture.before(None)
            self._looked = True
            if before.fault:
                self._news.warn(f"what commands change cannot be undone here: {before.fault}")
            try:
                await self._news.outside(Captured(outside=before.outside, outside_folders=before.outside_folders))
                if not about.writes:
                    return _Begun(replace(before, outside=(), outside_folders=()), (), self._news.head)
                end = self._ledger.together.begin(self._draft(about, self._allowed.get(about.call_id)))
            except JumarError as error:
                self._news.warn(f"what somebody else changed is not in the ledger: {error}")
                return _Begun(before, (), self._news.head)
            return _Begun(replace(before, outside=(), outside_folders=()), (), self._news.head, end)
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
            turn=self._news.turn,
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
        await self._news.take_in()
        captured = await self._capture.after(before) if before is not None else Captured()
        if not about.writes:
            captured = Captured(outside=captured.outside + captured.deltas, outside_folders=captured.folders)
        await self._news.outside(captured)
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
            self._tell(recorded(listed, parts))
        elif elsewhere and status == "done":
            self._tell(Warned(text=f"this cannot be undone by jumar, for it lies outside the work tree: {elsewhere[0]}"))


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
