"""Owns the commands that begin with a slash: one table of them, and what each does."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from textual.app import App
from textual.content import Content

from agent.errors import JumarError
from agent.safe import safe_line, safe_text
from tui.choosing import Choosing, Row, fixed
from tui.completion import Offer
from tui.editor import ran
from tui.entries import Answered
from tui.exporting import FORMS, Exporting, form_of
from tui.figures import context, cost
from tui.help import Telling, help_text, paired
from tui.keymap import places
from tui.opening import Opening
from tui.prompt import Prompt
from tui.settings import Settings
from tui.verbs import Verbs
from tui.words import LANGUAGES, Words

_PAUSE = '"$@"; printf "\\n%s " "$0"; read -r _'  # a shell's: run it, and leave it to be read
_PROPOSED = "+"  # before the name of a check that is not the person's yet


class Commands(Verbs, Opening):
    """Carries out commands. What is wrong with one is told in one line."""

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
                self._tell(self._stage.words.told(str(error)))

    def _usage(self, name: str) -> None:
        command = next(one for one in COMMANDS if one.name == name)
        self._tell(self._stage.words("commands.usage", usage=f"/{name} {command.argument}"))

    # To read.

    def help(self, _: str) -> None:
        """Show all commands and keys."""
        words = self._stage.words
        text = help_text(words, offers(words), places(self._stage.desk.taste.keys))
        self._app.push_screen(Telling(words, words("help.title"), text))

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
        held = self._stage.desk.rules()
        pairs = [Row(rule, rule, f"{words.told(decision)} · {words.told(source)}") for decision, rule, source in held]
        self._app.push_screen(Choosing(words, words("rules.title"), fixed(pairs)))

    def checks(self, _: str) -> None:
        """Show what checks the work tree; what its files propose can be taken over."""
        words, found = self._stage.words, self._stage.desk.checks()
        if not found:
            self._tell(words("checks.none"))
            return
        rows = []
        for name, what, kept in found:
            stands = words("checks.kept" if kept else "checks.found")
            rows.append(Row(name if kept else f"{_PROPOSED}{name}", name, f"{safe_line(what)} · {stands}"))

        def take(key: str) -> None:
            if key.startswith(_PROPOSED):
                name = self._stage.desk.keep_check(key.removeprefix(_PROPOSED))
                self._tell(words("checks.taken", name=name))

        self._choose(words("checks.title"), rows, take)

    def skills(self, _: str) -> None:
        """Show the skills and commands that the person and the project wrote."""
        words, found = self._stage.words, self._stage.desk.customs()
        if not found:
            self._tell(words("skills.none"))
            return
        rows = []
        for one in found:
            what = words(f"skills.{one.kind}_{'own' if one.own else 'project'}")
            called = f"/{one.name} {safe_line(one.argument)}".rstrip()
            rows.append(Row(one.name, called, f"{what} · {safe_line(one.about)}"))
        self._choose(words("skills.title"), rows, self._write)

    def _write(self, name: str) -> None:
        """Have a command stand in the prompt."""
        self._app.screen_stack[0].query_one(Prompt).put(f"/{name} ")

    def status(self, _: str) -> None:
        """Show what holds in this session, and here without it."""
        self._stage.run_task(self._status())

    async def _status(self) -> None:
        words, session, story = self._stage.words, self._stage.session, self._stage.story
        lines = await asyncio.to_thread(self._stage.desk.status)
        here = paired(words("status.here"), [(safe_line(words.told(name)), safe_line(words.told(text))) for name, text in lines])
        mine: list[tuple[str, str]] = []
        if session is not None and story.started is not None:
            mode, sandbox = words.mode(session.mode), words.told(story.started.sandbox)
            told = {"session": session.id, "model": session.model, "mode": mode, "sandbox": sandbox}
            mine = [(words(f"status.{name}"), safe_line(text)) for name, text in told.items()]
            mine += [(safe_line(name), safe_line(words.told(stands))) for name, stands in session.asked_of_problems()]
        parts = [paired(words("status.now"), mine), here] if mine else [here]
        shown = Telling(words, words("status.title"), lambda width: Content("\n\n").join(part(width) for part in parts))
        self._app.push_screen(shown)

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
    Command("step", Commands.step, "TEXT"),
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
    Command("checks", Commands.checks, needs_session=False),
    Command("skills", Commands.skills),
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
