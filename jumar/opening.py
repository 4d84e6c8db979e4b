"""Owns opening a session: from what a person chose to the setting it runs with, its log and its store."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent import config
from agent.checks import configured, detected
from agent.code.index import Index
from agent.context import environment as surroundings
from agent.context import instructions, mapped
from agent.ending import Checks
from agent.errors import UsageError
from agent.estimate import tokens
from agent.events.conversation import TurnStarted
from agent.events.news import Warned
from agent.ledger.capture import Capture
from agent.ledger.ledger import Ledger
from agent.ledger.span import Span
from agent.ledger.store import Store
from agent.log import Log, Opened, new_id, now, sessions
from agent.mask import Mask
from agent.model import Model
from agent.policy import Ground, Mode, default_mode, permits
from agent.route import key_variables
from agent.safe import mended
from agent.session import Listener, Session
from agent.setting import Setting
from agent.workspace.contract import View
from agent.workspace.environment import is_secret, seal, without
from agent.workspace.git import Git
from agent.workspace.local import LocalWorkspace
from agent.workspace.paths import Paths
from agent.workspace.sandbox.contract import Surroundings
from agent.workspace.sandbox.probe import holding
from jumar import __version__
from jumar.custom import Customs
from jumar.home import Home, home
from jumar.indexing import indexing
from jumar.options import RunOptions
from jumar.pictures import blind
from jumar.profile import profile_of
from jumar.rulebook import Rulebook
from jumar.servers import diagnostics
from jumar.trust import demand, tree_root
from jumar.wiring import choose, connected_models, find_tools
from tools.skill import Skill
from tools.symbols import Symbols

_CALM = 2.0  # seconds after which a screen is up, and a person still writes
_PART_OF_SKILLS = 4  # of the room for instructions, that which the list of skills may take
_MOST_FAULTS = 5  # of skills and commands, that are told
_GIT_PATIENCE = 0.05  # seconds that the first request waits for git's status, beside what it takes anyway


@dataclass(frozen=True, slots=True)
class Prepared:
    """A session that can begin: nobody listens yet."""

    setting: Setting
    log: Log
    span: Span
    found: Opened | None  # what the log held already
    forked_from: str
    warnings: tuple[str, ...]
    index: Index
    customs: Customs

    def begin(self, listen: Listener) -> Session:
        """Begin it; `listen` hears it from here on."""
        session = Session(
            self.setting,
            self.log,
            indexing(self.index, listen, _CALM if self.setting.person else None),
            self.found,
            self.forked_from,
        )
        for warning in self.warnings:
            session.tell(Warned(text=warning))
        return session


async def _nothing() -> None:
    """Do nothing."""


async def prepare(
    options: RunOptions,
    environment: Mapping[str, str],
    given_back: AsyncExitStack,
    model: Model | None = None,
    before_log: Callable[[], Awaitable[None]] = _nothing,
) -> Prepared:
    """Open all that a session needs; `given_back` closes what the session itself does not. Raises JumarError.

    Nothing of the work tree is read before it is trusted. `before_log` is awaited once nothing but the log is missing.
    """
    place = home(environment)
    root = tree_root(options.cwd)
    if not options.trust:
        demand(place, root)
    settings = config.load(place.config / "config.toml")
    # It takes long once a boot, and what is opened meanwhile waits for the network.
    known = place.state / "sandbox.json"
    place_of = Surroundings(root, root, (root, *(folder.resolve() for folder in options.add_dirs)), ())
    probed = asyncio.get_running_loop().run_in_executor(None, holding, place_of, place.state, settings.sandbox, known)
    given_back.push_async_callback(asyncio.wait, (probed,))
    tools = find_tools()
    book = Rulebook(place, root, tools)
    held = book.rules(settings, options.allow, options.deny)
    folder, kept = place.sessions, place.ledger
    if options.ephemeral:
        folder = Path(tempfile.mkdtemp(prefix="jumar-"))
        given_back.callback(shutil.rmtree, folder, ignore_errors=True)
        kept = folder / "ledger"
    at_home = Path(environment["HOME"]) if environment.get("HOME") else None
    beyond = Paths(root, root, spill=folder, add_dirs=(), hidden=(place.config, place.state), person=at_home)
    index = Index(kept.parent / "code", root, beyond.hidden_files())
    given_back.push_async_callback(index.close)
    tools["symbols"] = Symbols(find=index.find)
    customs = Customs(place, environment, root, options.cwd, trusted=True)
    tools["skill"] = Skill(read=customs.skills.read)
    offered = {name: tool for name, tool in tools.items() if name != "skill" or customs.skills.all}
    status = Git(root).start_status()
    given_back.callback(status.collect, 0)
    models, warnings, keys = ((model,), (), ()) if model else await _connect(options, settings, environment, place)
    for one in models:
        given_back.push_async_callback(one.close)
    profile = await profile_of(models[0], offered, settings.map_tokens)
    if options.images and not models[0].capabilities.images:
        raise UsageError(blind(models[0].name))
    hidden = key_variables(settings)
    if unusual := [name for name in hidden if name in environment and not is_secret(name)]:
        seal(unusual)
    await before_log()
    log, found, forked_from = _open_log(options, folder, place, root)
    await probed
    workspace = LocalWorkspace(
        root,
        options.cwd,
        spill=folder / log.id,
        add_dirs=options.add_dirs,
        hidden=(place.config, place.state),
        environment=without(environment, hidden, keys),
        shown=profile.output,
        sandbox=settings.sandbox,
        known=known,
    )
    store = Store(kept, root)
    span = Span(store)
    person = options.prompts is None
    ground = Ground(sandbox=workspace.sandbox != "none", kept=True, by_host=workspace.sandbox == "bubblewrap")
    mode = Mode(options.mode or settings.mode or default_mode(ground))
    preface = ""
    if found is None or not any(isinstance(event, TurnStarted) for event in found.events):
        told = status.collect(_GIT_PATIENCE)
        today = datetime.now().astimezone().date()
        may = permits(mode, held.rules, ground, person=person)
        around = surroundings(root, options.cwd, person=person, git=told, today=today, permits=may)
        skills = customs.skills.told(profile.instructions // _PART_OF_SKILLS) if "skill" in profile.tools else ""
        parts = (around, instructions(root, options.cwd, profile.instructions), skills)
        preface = "\n\n".join(part for part in parts if part).rstrip()

    async def survey(prompt: str, view: View) -> str:
        return mapped(await index.draw(workspace, prompt, profile.map, tokens, view)) if profile.map else ""

    setting = Setting(
        models=models,
        workspace=workspace,
        tools=profile.tools,
        system=profile.system,
        brief=profile.brief,
        longest=profile.reply,
        instructions=profile.instructions,
        preface=preface,
        survey=survey,
        version=__version__,
        mode=mode,
        rules=held.rules,
        ground=ground,
        keep=book.keep,
        person=person,
        effort=options.effort or settings.effort or "",
        before_change=span.begin,
        ledger=Ledger(store.bare, root, now),
        capture=Capture(store),
        mask=Mask.of(environment, keys),
        # What is played cannot be asked to mend anything.
        diagnostics=None if model else diagnostics(settings.diagnostics, workspace, environment),
        checks=Checks() if model else _checks(settings, root, verified=bool(options.verify)),
    )
    return Prepared(
        setting, log, span, found, forked_from, (*warnings, *held.warnings, *customs.faults[:_MOST_FAULTS]), index, customs
    )


def _checks(settings: config.Config, root: Path, *, verified: bool) -> Checks:
    """Return what checks the work tree; where a check of the run's own comes at its end, none is proposed."""
    return Checks(configured(settings.checks, root), () if verified else detected(root), remind=settings.remind)


async def _connect(
    options: RunOptions, settings: config.Config, environment: Mapping[str, str], place: Home
) -> tuple[tuple[Model, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the models, what to warn of, and the keys in use."""
    try:
        async with asyncio.timeout(options.seconds):
            chosen = await choose(settings, environment, place, options.models, options.context)
            models, warnings = await connected_models(chosen)
            await models[0].ready()
            return models, (*chosen.warnings, *warnings), chosen.keys
    except TimeoutError:
        words = "the time was up before the model and its key were known; name a model with -m, or set the key's variable"
        raise UsageError(words, 5) from None


def _open_log(options: RunOptions, folder: Path, place: Home, root: Path) -> tuple[Log, Opened | None, str]:
    wanted = options.resume
    if not wanted:
        return Log.create(folder, new_id()), None, ""
    if wanted == "-":
        latest = next((summary for summary in sessions(place.sessions) if summary.root == mended(str(root))), None)
        if latest is None:
            raise UsageError(f"there is no session of {root} to go on with; see jumar sessions")
        path = latest.path
    else:
        path = place.sessions / f"{wanted}.jsonl"
        if path.parent != place.sessions or not path.is_file():
            raise UsageError(f"there is no session {wanted!r}; see jumar sessions")
    _demand_root(path, root)
    if options.fork:
        log, found = Log.fork(path, new_id(), options.before)
        return log, found, path.stem
    log, found = Log.open(path)
    return log, found, ""


def _demand_root(path: Path, root: Path) -> None:
    """Raise UsageError where the session in a log is of another work tree."""
    summary = next((one for one in sessions(path.parent) if one.path == path), None)
    if summary is not None and summary.root != mended(str(root)):
        raise UsageError(f"the session {path.stem} belongs to {summary.root}; go on with it there, or with -C")
