"""Owns the screen's side of the front door: opening sessions for it, and what it may know of this machine."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from agent import config
from agent.blocks import Image
from agent.errors import JumarError, UsageError
from agent.events.conversation import SessionRenamed
from agent.events.event import Event
from agent.events.news import Warned
from agent.log import Log, events_of, sessions
from agent.mask import Mask
from agent.model import Capabilities, Model
from agent.safe import mended
from jumar import crash, recall
from jumar.home import home
from jumar.notes import note
from jumar.options import RunOptions
from jumar.pictures import shown
from jumar.trust import is_trusted, tree_root, trust
from tui.desk import Choice, Custom, Hear, Held, Offered, Recalled, Taste

if TYPE_CHECKING:
    from agent.log import Summary
    from agent.session import Session
    from jumar.custom import Customs

_PATIENCE = 5.0  # seconds that a server has to list its models


@dataclass(frozen=True, slots=True)
class Played:
    """A recording that is played in place of a model: its prompts go out by themselves, after a word on what it is."""

    model: Model
    prompts: tuple[str, ...]
    about: str


class FrontDesk:
    """Opens one session after the other in one work tree."""

    def __init__(self, options: RunOptions, environment: Mapping[str, str], played: Played | None = None) -> None:
        self._options = options
        self._played = played
        self.prompts = played.prompts if played is not None else ()
        self._place = home(environment)
        self._open = AsyncExitStack()
        self._session: Session | None = None
        self._mask = Mask.of(environment)
        self._customs: Customs | None = None  # before a session is open nobody may have trusted the work tree
        self.root = tree_root(options.cwd)
        self.cwd = options.cwd
        self.environment = environment
        self.taste = self._taste()

    @property
    def session_id(self) -> str:
        """The session that is open, or was last; empty where none was."""
        return self._session.id if self._session is not None else ""

    @property
    def first(self) -> Choice:
        """Which session is wanted first."""
        return Choice(resume=self._options.resume, fork=self._options.fork)

    async def open(self, choice: Choice, hear: Hear) -> Held:
        """Open a session in place of the one before, which stays open where this one cannot be."""
        options = replace(
            self._options,
            resume=choice.resume,
            fork=choice.fork,
            before=choice.before_turn,
            models=choice.models or self._options.models,
            effort=choice.effort or self._options.effort,
            mode=choice.mode or self._options.mode,
        )
        again = self._session is not None and self._session.id == choice.resume and not choice.fork
        if again and options.ephemeral:
            raise UsageError("this session is not kept, so it cannot be opened with another model; name one with -m at the start")

        async def give_log_back() -> None:
            if again:  # its log has one writer, which so far is the session that is open
                await self._open.aclose()

        async with AsyncExitStack() as given_back:
            model = self._played.model if self._played is not None else None
            await asyncio.to_thread(import_module, "jumar.opening")  # not before the first frame is seen, nor in its way
            from jumar.opening import prepare

            prepared = await prepare(options, self.environment, given_back, model, give_log_back)
            session = prepared.begin(lambda event, _: hear(event))
            session.attend()
            if self._played is not None:
                session.tell(Warned(text=self._played.about))
            given_back.push_async_callback(session.close)
            await self._open.aclose()
            self._open, self._session = given_back.pop_all(), session
            self._mask, self._customs = prepared.setting.mask, prepared.customs
        return Held(session, prepared.found.events if prepared.found is not None else ())

    async def close(self) -> None:
        """Close the open session and give everything back."""
        await self._open.aclose()

    def crashed(self, error: BaseException) -> str:
        """Keep what is known of a fault of our own; return what the person is told."""
        kept = crash.keep(self._place.state / "crashes", error, self._mask)
        session = self._session.id if self._session is not None and not self._options.ephemeral else ""
        return crash.line(error, kept, session, self._mask)

    def keep_taste(self, taste: Taste) -> None:
        """Keep how the person wants the screen."""
        self.taste = taste
        path = self._place.state / "screen.json"
        try:
            self._place.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self._place.state, prefix=".screen.")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({name: value for name, value in asdict(taste).items() if name != "keys"}, file, indent=1)
            Path(name).replace(path)
        except OSError as error:
            raise UsageError(f"cannot be kept in {path}: {error.strerror}", 1) from error

    def sessions(self) -> "list[Summary]":
        """List the sessions of this work tree, newest first."""
        return [one for one in sessions(self._place.sessions) if one.root == mended(str(self.root))]

    def events(self, session_id: str) -> list[Event]:
        """Read what a session's log tells."""
        return list(events_of(self._log(session_id)))

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title."""
        path = self._log(session_id)
        if self._session is not None and self._session.id == session_id:
            self._session.rename(title)
            return
        log, _ = Log.open(path)
        try:
            log.append(SessionRenamed(title=title))
        finally:
            log.close()

    def delete(self, session_id: str) -> None:
        """Delete a session's log."""
        try:
            self._log(session_id).unlink()
        except OSError as error:
            raise UsageError(f"{session_id} cannot be deleted: {error.strerror}", 1) from error

    async def models(self) -> list[Offered]:
        """List the models that the person's servers offer."""
        settings = config.load(self._place.config / "config.toml")
        from jumar.wiring import choose, provider

        chosen = await choose(settings, self.environment, self._place)
        found: list[Offered] = []
        for connection in chosen.connections:
            if not isinstance(connection, config.Connection):
                continue
            asked = provider(connection, chosen.catalogue)
            with suppress(JumarError, TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    names = await asked.list_models()
                prefix = f"{connection.server}:" if connection.server else ""
                for name in names:
                    known = provider(replace(connection, model=name), chosen.catalogue).capabilities
                    found.append(_offered(f"{prefix}{name}", known))
            await asked.close()
        return list({one.name: one for one in found}.values())

    def rules(self) -> list[tuple[str, str, str]]:
        """List the rules that hold."""
        settings = config.load(self._place.config / "config.toml")
        from jumar.rulebook import Rulebook
        from jumar.wiring import find_tools

        held = Rulebook(self._place, self.root, find_tools()).rules(settings, self._options.allow, self._options.deny)
        return [(rule.decision, str(rule), rule.source) for rule in held.rules]

    def checks(self) -> list[tuple[str, str, bool]]:
        """List the checks of the work tree."""
        from jumar.checking import held

        if not self.trusted():
            return []
        kept, proposed = held(self._place, self.root)
        return [(one.name, one.command, mine) for found, mine in ((kept, True), (proposed, False)) for one in found]

    def keep_check(self, name: str) -> str:
        """Take a proposed check over."""
        from jumar.checking import keep

        [(kept, _)] = keep(self._place, self.root, (name,))
        return kept

    def customs(self) -> list[Custom]:
        """List the commands and skills of the person, and of a work tree that is trusted; none before a session is open."""
        found = self._customs.all if self._customs is not None else ()
        return [Custom(one.name, one.description, one.argument, one.own, one.kind) for one in found]

    def said(self, text: str) -> str:
        """Return what is said to the model where a text calls one of them; else the text itself."""
        return self._customs.said(text) if self._customs is not None else text

    def status(self) -> list[tuple[str, str]]:
        """Say what holds here."""
        from jumar.status import told

        return told(str(self.cwd), trusted=self._options.trust)

    def doctor(self, model: str) -> tuple[str, ...]:
        """Return the command line that examines a model."""
        model = model or next(iter(self._options.models), "")
        # -P: the work tree is the current folder, and no module shall come from there.
        return (sys.executable, "-P", "-m", "jumar", "doctor", *(("-m", model) if model else ()))

    def trusted(self) -> bool:
        """Whether the work tree is trusted."""
        return self._options.trust or is_trusted(self._place, self.root)

    def trust(self) -> None:
        """Trust it from now on."""
        trust(self._place, self.root)

    def recall(self) -> Recalled:
        """Return what the person wrote here before."""
        return recall.recalled(self._place, self.root)

    def remember(self, text: str) -> None:
        """Keep a prompt that was said."""
        if not self._options.ephemeral:
            recall.remember(self._place, self.root, text)

    def keep_draft(self, draft: str, queued: tuple[str, ...]) -> None:
        """Keep what is not sent yet."""
        if not self._options.ephemeral:
            recall.keep_draft(self._place, self.root, draft, queued)

    async def picture(self, path: Path) -> Image:
        """Make a picture ready to be shown to the model."""
        [image] = await shown([path])
        return image

    def note(self, text: str) -> str:
        """Add a line to the instructions of the work tree; return which file that is."""
        return note(self.root, text)

    def _log(self, session_id: str) -> Path:
        path = self._place.sessions / f"{session_id}.jsonl"
        if path.parent != self._place.sessions or not path.is_file():
            raise UsageError(f"there is no session {session_id!r}")
        return path

    def _taste(self) -> Taste:
        path = self._place.state / "screen.json"
        try:
            kept = TypeAdapter(Taste).validate_json(path.read_bytes())
        except OSError:
            kept = Taste()
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise UsageError(f"{path}: {f'{where}: ' if where else ''}{fault['msg']}; mend it, or delete it") from error
        return replace(kept, keys=config.load(self._place.config / "config.toml").keys)


def _offered(name: str, known: Capabilities) -> Offered:
    price = known.price
    told = f"${price.miss:g} / ${price.output:g}" if price is not None else ""
    window = None if known.source.startswith("assumed") else known.window
    return Offered(name, window, told, known.images, known.efforts)


def show(desk: FrontDesk) -> int:
    """Run the screen until the person quits; return the exit code."""
    from tui.app import JumarApp
    from tui.background import has_terminal
    from tui.keyboard import know_terminals

    if desk.environment.get("TERM", "dumb") in {"", "dumb", "unknown"}:
        raise UsageError("this terminal cannot show the screen, says TERM: set TERM to what it is, or use jumar -p PROMPT")
    know_terminals()

    async def run() -> int:
        app = JumarApp(desk, desk.first)
        unseen: list[str] = []  # faults of what nobody waits for: they are told at once, and by the exit code

        def take(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if (error := context.get("exception")) is not None:
                unseen.append(desk.crashed(error))
                app.say(unseen[-1])

        asyncio.get_running_loop().set_exception_handler(take)
        try:
            code = await app.run_async() or 0
            if app.fault is not None and desk.environment.get("JUMAR_DEBUG"):
                raise app.fault
        finally:
            await desk.close()
        if not has_terminal():  # what still waits to be written there would fail
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        if app.fault is not None or unseen:
            raise UsageError(desk.crashed(app.fault) if app.fault is not None else unseen[0], 1)
        return code

    return asyncio.run(run())
