"""Owns the commands that begin with a slash: one table of them, and what each does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from textual.app import App

from agent.errors import JumarError
from agent.policy import ORDER, Mode
from agent.safe import safe_line, safe_text
from agent.session import Session
from prompts import words as said
from tui.choosing import Choosing, Row, fixed
from tui.completion import Offer
from tui.desk import Choice, Offered
from tui.editor import ran
from tui.exporting import FORMS, Exporting, form_of
from tui.figures import context, cost
from tui.help import Telling, help_text, paired
from tui.models import efforts, models
from tui.preview import Undoing
from tui.sessions import Sessions
from tui.settings import Settings
from tui.stage import Stage
from tui.story import Answered
from tui.words import LANGUAGES, Words

_PAUSE = '"$@"; printf "\\n%s " "$0"; read -r _'  # a shell's: run it, and leave it to be read


class Commands:
    """Carries out commands. What is wrong with one is told in one line."""

    def __init__(self, stage: Stage, app: App[int]) -> None:
        self._stage = stage
        self._app = app
        self._models: tuple[str, ...] = ()  # that the person chose for this and the sessions after it
        self._effort = ""

    def run(self, name: str, argument: str = "") -> None:
        """Carry out a command of the table."""
        command = next(one for one in COMMANDS if one.name == name)
        words = self._stage.words
        if argument and not command.argument:
            self._tell(words("commands.nothing_follows", name=name))
        elif self._stage.session is None and command.needs_session:
            self._tell(words("commands.no_session"))
        else:
            try:
                command.carry_out(self, argument)
            except JumarError as error:
                self._tell(str(error))

    def _tell(self, text: str) -> None:
        self._app.notify(safe_line(text), severity="warning", markup=False)

    def _usage(self, name: str) -> None:
        command = next(one for one in COMMANDS if one.name == name)
        self._tell(self._stage.words("commands.usage", usage=f"/{name} {command.argument}"))

    @property
    def _session(self) -> Session:
        session = self._stage.session
        assert session is not None  # noqa: S101 - `run` has looked
        return session

    def _open(self, **chosen: Any) -> None:
        if self._stage.busy:
            self._tell(self._stage.words("commands.busy"))
        else:
            self._stage.run_task(self._stage.open(Choice(**{"models": self._models, "effort": self._effort, **chosen})))

    # To read.

    def help(self, _: str) -> None:
        """Show all commands and keys."""
        words = self._stage.words
        self._app.push_screen(Telling(words, words("help.title"), help_text(words, offers(words))))

    def cost(self, _: str) -> None:
        """Show what was used."""
        words = self._stage.words
        self._app.push_screen(Telling(words, words("cost.title"), lambda _: cost(self._stage.story, words)))

    def context(self, _: str) -> None:
        """Show what fills the window."""
        self._stage.run_task(self._context())

    async def _context(self) -> None:
        words = self._stage.words
        filling = await self._session.filling()
        self._app.push_screen(Telling(words, words("context.title"), lambda width: context(filling, words, width)))

    def rules(self, _: str) -> None:
        """Show the rules that hold."""
        words = self._stage.words
        pairs = [Row(rule, rule, f"{decision} · {source}") for decision, rule, source in self._stage.desk.rules()]
        self._app.push_screen(Choosing(words, words("rules.title"), fixed(pairs)))

    def status(self, _: str) -> None:
        """Show what holds here."""
        words = self._stage.words
        pairs = [(safe_line(name), safe_line(text)) for name, text in self._stage.desk.status()]
        self._app.push_screen(Telling(words, words("status.title"), paired("", pairs)))

    def copy(self, _: str) -> None:
        """Put the last answer on the clipboard."""
        words = self._stage.words
        answers = [entry.text for entry in self._stage.story.entries if isinstance(entry, Answered) and entry.text.strip()]
        if answers:
            self._app.copy_to_clipboard(safe_text(answers[-1]))
            self._app.notify(words("commands.copied", count=len(answers[-1])), markup=False)
        else:
            self._tell(words("commands.no_answer"))

    def export(self, argument: str) -> None:
        """Write the session into a file."""
        first, _, rest = argument.partition(" ")
        form = form_of(first.lower()) if first else FORMS[0]
        name = rest.strip()
        if form is None and not rest:
            form, name = form_of(Path(first).suffix[1:].lower()), first
        if form is None:
            self._usage("export")
            return
        words, session, desk = self._stage.words, self._session, self._stage.desk
        file = desk.cwd / _of_home(name or f"jumar-{session.id}.{form}")
        Exporting(self._stage.story, session.id, words).write(form, file)
        self._app.notify(words("export.written", file=safe_line(str(file))), markup=False)

    # What was done.

    def undo(self, argument: str) -> None:
        """Take actions back, after a look at what that changes."""
        if argument in {"", "last"}:
            last = next(
                (
                    one.action.id
                    for one in reversed(self._session.actions())
                    if one.undoable and one.action.session == self._session.id and one.action.kind == "call"
                ),
                "",
            )
            if not last:
                self._tell(self._stage.words("commands.nothing_to_undo"))
                return
            argument = last
        if numbers := self._numbers(argument):
            self._stage.preview(Undoing("undo", tuple(numbers)))

    def redo(self, _: str) -> None:
        """Bring back what was taken back last."""
        self._stage.redo()

    def rewind(self, argument: str) -> None:
        """Go back to before an action."""
        if not argument:
            self._usage("rewind")
        elif len(numbers := self._numbers(argument)) == 1:
            self._stage.preview(Undoing("rewind", (numbers[0],)))

    def diff(self, argument: str) -> None:
        """Show what an action did; without one, all that was changed."""
        if not argument:
            self._stage.review()
        elif len(numbers := self._numbers(argument)) == 1:
            self._stage.show_action(numbers[0])

    def _numbers(self, argument: str) -> list[str]:
        """Return the numbers of actions that words name; none where one of them is none, which is told."""
        known = {one.action.id for one in self._session.actions()}
        numbers = [word.lstrip("#") for word in argument.replace(",", " ").split()]
        if unknown := next((number for number in numbers if number not in known), ""):
            self._tell(self._stage.words("commands.no_action", number=safe_line(unknown)[:40]))
            return []
        return numbers

    def review(self, _: str) -> None:
        """Review all changes."""
        self._stage.review()

    def commit(self, _: str) -> None:
        """Commit what the session changed."""
        self._stage.review(commits=True)

    # How it goes on.

    def mode(self, argument: str) -> None:
        """Let more or less run without asking."""
        session, words = self._session, self._stage.words
        if argument:
            if argument not in [mode.value for mode in Mode]:
                self._usage("mode")
                return
            session.set_mode(Mode(argument))
            return
        modes = [*ORDER, Mode.YOLO] if session.mode is Mode.YOLO else list(ORDER)
        rows = [Row(mode, mode, words(f"mode.{mode}"), current=mode is session.mode) for mode in modes]
        self._choose(words("mode.title"), rows, lambda chosen: session.set_mode(Mode(chosen)))

    def plan(self, argument: str) -> None:
        """Let it look and plan only; what follows is said to it."""
        self._session.set_mode(Mode.PLAN)
        if argument:
            self._stage.send(argument)

    def compact(self, argument: str) -> None:
        """Shorten what the model is told."""
        session = self._session

        async def shorten() -> None:
            self._app.notify(self._stage.words("commands.compacting"), markup=False)
            if why := await session.compact(argument):
                self._tell(why)

        self._stage.run_task(shorten())

    def uncompact(self, _: str) -> None:
        """Take the last shortening back."""
        if why := self._session.uncompact():
            self._tell(why)

    def init(self, argument: str) -> None:
        """Have AGENTS.md written."""
        self._stage.send(f"{said('init')}\n\n{argument}".rstrip())

    # Sessions and models.

    def new(self, _: str) -> None:
        """Begin another session."""
        self._open()

    def resume(self, argument: str) -> None:
        """Go on with another session."""
        if argument:
            self._open(resume=argument)
            return
        current = self._stage.session.id if self._stage.session is not None else ""

        def opened(choice: Choice | None) -> None:
            if choice is not None:
                self._open(resume=choice.resume, fork=choice.fork)

        self._app.push_screen(Sessions(self._stage.words, self._stage.desk, current), opened)

    def fork(self, argument: str) -> None:
        """Go on from a copy of this session, or of what came before a turn."""
        if argument and not (argument.isdecimal() and 0 < int(argument) <= self._stage.story.turn):
            self._tell(self._stage.words("commands.no_turn", turn=safe_line(argument)[:40]))
        else:
            self._open(resume=self._session.id, fork=True, before_turn=int(argument or 0))

    def rename(self, argument: str) -> None:
        """Give this session another title."""
        if title := " ".join(argument.split()):
            self._session.rename(title)
            self._app.notify(self._stage.words("sessions.renamed"), markup=False)
        else:
            self._usage("rename")

    def model(self, argument: str) -> None:
        """Go on with another model."""
        name, _, effort = argument.partition(" ")
        if name:
            self._take_model(name, effort.strip())
            return
        offered: dict[str, Offered] = {}

        async def find() -> Sequence[Row]:
            current = self._stage.session.model if self._stage.session is not None else ""
            offered.update({one.name: one for one in await self._stage.desk.models()})
            return models(offered.values(), current, self._stage.words)

        def taken(chosen: str | None) -> None:
            if chosen is not None:
                self._choose_effort(offered[chosen])

        self._app.push_screen(Choosing(self._stage.words, self._stage.words("model.title"), find), taken)

    def _choose_effort(self, model: Offered) -> None:
        if not model.efforts:
            self._take_model(model.name, "")
            return
        words = self._stage.words
        rows = efforts(model, self._effort, words)
        self._choose(words("model.effort", model=model.name), rows, partial(self._take_model, model.name))

    def _take_model(self, name: str, effort: str) -> None:
        if self._stage.busy:
            self._tell(self._stage.words("commands.busy"))
            return
        self._stage.run_task(self._reopen(name, effort))

    async def _reopen(self, name: str, effort: str) -> None:
        session = self._stage.session
        resumed = session.id if session is not None else ""
        mode = session.mode.value if session is not None else ""
        await self._stage.open(Choice(resume=resumed, models=(name,), effort=effort, mode=mode))
        self._models, self._effort = (name,), effort

    # The screen.

    def theme(self, argument: str) -> None:
        """Choose how the screen looks; while one looks for it, it is seen."""
        themes = themes_of(self._app)
        before = self._app.theme
        if argument:
            if argument in themes:
                self._keep(theme=argument)
            else:
                self._tell(self._stage.words("commands.no_theme", name=safe_line(argument)[:40], names=", ".join(themes)))
            return

        def see(name: str) -> None:
            self._app.theme = name

        def taken(chosen: str | None) -> None:
            if chosen is None:
                self._app.theme = before
            else:
                self._keep(theme=chosen)

        rows = [Row(name, name, current=name == before) for name in themes]
        self._app.push_screen(Choosing(self._stage.words, self._stage.words("theme.title"), fixed(rows), see), taken)

    def language(self, argument: str) -> None:
        """Choose the language of the screen."""
        words = self._stage.words
        if argument:
            if argument in LANGUAGES:
                self._keep(language=argument)
            else:
                self._usage("language")
            return
        rows = [Row(name, words(f"language.{name}"), name, current=name == words.language) for name in LANGUAGES]
        self._choose(words("language.title"), rows, lambda chosen: self._keep(language=chosen))

    def settings(self, _: str) -> None:
        """Choose how the screen is."""
        themes = themes_of(self._app)
        settings = Settings(self._stage.words, self._stage.desk, themes, self._stage.follow_taste)
        self._app.push_screen(settings, lambda _: self._stage.follow_taste(self._stage.desk.taste))

    def _keep(self, **wanted: str) -> None:
        self._stage.desk.keep_taste(replace(self._stage.desk.taste, **wanted))  # type: ignore[arg-type]
        self._stage.follow_taste(self._stage.desk.taste)

    def doctor(self, _: str) -> None:
        """Examine the model in the terminal, and come back."""
        self._stage.run_task(self._doctor())

    async def _doctor(self) -> None:
        desk, words = self._stage.desk, self._stage.words
        model = next(iter(self._models), "")
        command = ("sh", "-c", _PAUSE, words("commands.doctor_back"), *desk.doctor(model))
        await ran(self._app, words, command, desk.environment, desk.cwd)

    def quit(self, _: str) -> None:
        """End jumar."""
        self._app.exit(0)

    def _choose(self, title: str, rows: Sequence[Row], take: Callable[[str], None]) -> None:
        def taken(chosen: str | None) -> None:
            if chosen is not None:
                try:
                    take(chosen)
                except JumarError as error:
                    self._tell(str(error))

        self._app.push_screen(Choosing(self._stage.words, title, fixed(rows)), taken)


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table: its name, what carries it out, and what may follow it. Its words are under [help]."""

    name: str
    carry_out: Callable[[Commands, str], None]
    argument: str = ""
    needs_session: bool = True


COMMANDS = (
    Command("help", Commands.help, needs_session=False),
    Command("model", Commands.model, "[NAME [EFFORT]]", needs_session=False),
    Command("mode", Commands.mode, "[plan|ask|edits|auto]"),
    Command("plan", Commands.plan, "[PROMPT]"),
    Command("undo", Commands.undo, "[NUMBER…|last]"),
    Command("redo", Commands.redo),
    Command("rewind", Commands.rewind, "NUMBER"),
    Command("diff", Commands.diff, "[NUMBER]"),
    Command("review", Commands.review),
    Command("commit", Commands.commit),
    Command("compact", Commands.compact, "[WHAT TO KEEP]"),
    Command("uncompact", Commands.uncompact),
    Command("clear", Commands.new, needs_session=False),
    Command("new", Commands.new, needs_session=False),
    Command("resume", Commands.resume, "[SESSION]", needs_session=False),
    Command("fork", Commands.fork, "[BEFORE TURN]"),
    Command("rename", Commands.rename, "TITLE"),
    Command("export", Commands.export, "[md|html|json] [FILE]"),
    Command("copy", Commands.copy),
    Command("cost", Commands.cost),
    Command("context", Commands.context),
    Command("rules", Commands.rules, needs_session=False),
    Command("status", Commands.status, needs_session=False),
    Command("doctor", Commands.doctor, needs_session=False),
    Command("theme", Commands.theme, "[NAME]", needs_session=False),
    Command("language", Commands.language, "[en|zh]", needs_session=False),
    Command("settings", Commands.settings, needs_session=False),
    Command("init", Commands.init, "[WHAT ELSE]"),
    Command("quit", Commands.quit, needs_session=False),
)


def offers(words: Words) -> list[Offer]:
    """Return the table as the prompt box completes it."""
    return [Offer(one.name, words(f"help.{one.name}"), one.argument) for one in COMMANDS]


def themes_of(app: App[int]) -> list[str]:
    """Return the names of the themes, jumar's own first."""
    return sorted(app.available_themes, key=lambda name: (not name.startswith("jumar"), name))


def _of_home(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # of nobody's home
        return Path(name)
