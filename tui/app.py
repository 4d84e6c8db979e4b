"""Owns the wiring of the screen: events go to the story and the panels, what the person does goes to the session's verbs."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from textual import constants, events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.command import CommandPalette
from textual.containers import Horizontal, Vertical
from textual.driver import Driver
from textual.worker import WorkerFailed

from agent.blocks import PlanBlock
from agent.checklist import carried_out, listed
from agent.errors import JumarError
from agent.events.event import Event
from agent.events.news import Warned
from agent.events.step import ReasoningStreamed, TextStreamed
from agent.safe import safe_text
from prompts import words as said
from tui import memory
from tui.asking import Asking
from tui.background import has_shell, has_terminal
from tui.branch import branch
from tui.chips import Written
from tui.commands import COMMANDS, Commands, offers
from tui.composer import Composer
from tui.desk import Choice, Desk, Held, Taste
from tui.goahead import GoAhead
from tui.hearing import Ear, Hearing
from tui.keymap import keymap
from tui.palette import palette
from tui.pictures import has_colours
from tui.plan import PlanPanel
from tui.preview import Undoing
from tui.prompt import Prompt
from tui.punctual import Punctual
from tui.reversal import Reversal
from tui.review import Place, Review
from tui.rows import Rows
from tui.side import Side
from tui.small import guard
from tui.starting import start
from tui.status import Standing, StatusLine
from tui.story import Story
from tui.summons import Summons
from tui.terminal import outliving
from tui.themes import DEFAULT, bared, dress
from tui.timeline import Timeline
from tui.transcript import Transcript
from tui.turns import Turns
from tui.viewing import Terminal, Viewing, knows_kitty
from tui.words import words

if TYPE_CHECKING:
    from agent.session import Session

_STREAMS = {TextStreamed, ReasoningStreamed}
_LOOK = 2.0  # seconds between two looks whether the terminal is still there
_TWICE = 2.0  # seconds within which Ctrl+C twice quits


class JumarApp(Punctual, App[int]):
    """The screen of one work tree."""

    TITLE = "jumar"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [
        Binding("ctrl+c", "interrupt", priority=True, show=False, id="interrupt"),
        Binding("escape", "stop", show=False),
        Binding("shift+tab", "next_mode", priority=True, show=False, id="mode"),
        Binding("ctrl+t", "toggle_side", show=False, id="side"),
        Binding("f1", "help", show=False, id="help"),
        Binding("ctrl+p", "palette", show=False, id="palette"),
        Binding("f6", "focus_timeline", show=False, id="timeline"),
        Binding("f7", "review", priority=True, show=False, id="review"),
        Binding("ctrl+z", "background", priority=True, show=False, id="suspend"),
        Binding("ctrl+q", "quit", priority=True, show=False, id="quit"),
    ]

    def __init__(self, desk: Desk, choice: Choice) -> None:
        super().__init__()
        dress(self)
        self._filters = bared(self, self._filters)
        self.set_keymap(keymap(desk.taste.keys))
        self.desk = desk
        self.words = words(desk.environment, desk.taste.language)
        self.story = Story()
        self._choice = choice
        self._summons = Summons(self.words, desk.root.name, desk.environment, self._write)
        self._session: Session | None = None
        self._transcript: Transcript | None = None
        self._streams: set[type[Event]] = set()  # the kinds of what was heard for the last frame
        self.reversal = Reversal(self, self)
        self.turns = Turns(self, self, self._follow)
        self._hearing = Hearing(self.call_later, self._paint, self.turns.hear)
        self._opening = asyncio.Lock()  # one session after the other
        for text in desk.prompts:
            self.turns.queue.add(Written(text, typed=safe_text(text)))
        self._slash = Commands(self, self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._interrupted = -_TWICE

    def get_driver_class(self) -> type[Driver]:
        """Write to the terminal so that nothing waits for one that is gone."""
        return outliving(super().get_driver_class())

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Horizontal(id="body"):
            with Vertical(id="main"):
                self._transcript = Transcript(self.words)
                yield self._transcript
                yield Asking(self.words)
                yield GoAhead(self.words)
                yield Composer(self.words, self.desk, self.turns.queue, offers(self.words))
            with Side():
                yield PlanPanel(self.words)
                yield Timeline(self.words)
        yield StatusLine(self.words)

    async def on_mount(self) -> None:
        """Open the session once the first frame can be seen."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit, 128 + number)
        self.query_one(Prompt).focus()
        if not self.is_headless:
            self.set_interval(_LOOK, self._look_for_terminal)
        self.follow_taste(self.desk.taste)
        self.app_suspend_signal.subscribe(self, lambda _: self._summons.leave(), immediate=True)
        self.app_resume_signal.subscribe(self, lambda _: self._come_back(), immediate=True)
        self.theme_changed_signal.subscribe(self, lambda _: self.query_one(Transcript).redraw())
        self.run_task(start(self, self, self._choice))

    def _come_back(self) -> None:
        self._summons.come()
        self.refresh(layout=True)  # the terminal is empty, and nothing else may have changed

    def on_resize(self, event: events.Resize) -> None:
        """Lay the plan and the timeline where there is room for them."""
        for side in self.query(Side):
            side.fit(event.size.width)
            guard(self, self.words, event.size)

    def on_unmount(self) -> None:
        """Leave the terminal as it was."""
        self._summons.leave()

    @property
    def fault(self) -> BaseException | None:
        """A fault of our own that ended the screen."""
        return self._exception.error if isinstance(self._exception, WorkerFailed) else self._exception

    def _fatal_error(self) -> None:
        # Nothing of it is printed: a traceback shows what nobody should read over a shoulder.
        self._close_messages_no_wait()

    def panic(self, *renderables: RenderableType) -> None:
        """End, where Textual itself is at its end."""
        self._handle_exception(RuntimeError("the terminal could not be read"))

    def _look_for_terminal(self) -> None:
        if not has_terminal():
            self.exit(128 + signal.SIGHUP)

    def _write(self, sequence: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    @property
    def session(self) -> "Session | None":
        """The open session."""
        return self._session

    def run_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside the screen; what goes wrong is told in one line."""

        async def guarded() -> None:
            try:
                await work
            except JumarError as error:
                self.say(str(error))
            except Exception as error:  # noqa: BLE001 - told in one place with every other fault of ours
                self._handle_exception(error)

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def say(self, text: str) -> None:
        """Tell the person something that is no event of the session."""
        self.tell(Warned(text=text))

    def tell(self, event: Event) -> None:
        """Show something that the session cannot tell."""
        self._hearing.say(event)

    async def open(self, choice: Choice) -> None:
        """Open a session in place of the one before; where that one had to give its log back already, open it again."""
        async with self._opening:
            self._paint()
            before, self._session, ear = self._session, None, self._hearing.ear()
            held: Held | None = None
            try:
                held = await self.desk.open(choice, ear.hear)
            except BaseException as error:
                if before is None or not before.closed or not isinstance(error, JumarError):
                    self._session = before
                    raise
                self.say(str(error))
            else:
                self._show(held, ear, choice)
        if held is None:
            await start(self, self, self._choice if before is None else replace(self._choice, mode=before.mode.value))
        elif not self.is_headless:
            self.call_after_refresh(memory.open_session, again=before is not None)

    def _show(self, held: Held, ear: Ear, choice: Choice) -> None:
        """Show an open session from its beginning."""
        self._choice = replace(choice, resume=held.session.id, fork=False, before_turn=0)
        self._hearing.turn_to(ear)
        story = Story()
        story.replay(held.earlier)
        story.replay(self._hearing.take())
        self.story, self._session = story, held.session
        self.query_one(Transcript).restart(story)
        self.query_one(Timeline).restart(story, held.session)
        self.turns.go_on()

    def _paint(self) -> None:
        transcript = self._transcript
        if not self._hearing or self._session is None or transcript is None or not (self.is_running and transcript.is_attached):
            return  # the last: the screen is being taken down
        heard = self._hearing.take()
        timeline = self.query_one(Timeline)
        for event in heard:
            news = self.story.apply(event)
            transcript.follow(news)
            timeline.follow(news, event)
        before, self._streams = self._streams, {type(event) for event in heard}
        if self._streams != before or not self._streams <= _STREAMS:  # else nothing but the conversation has changed
            self._summons.follow(self.story, focused=self.app_focus)
            self._follow()

    def _follow(self) -> None:
        if not self.is_running:
            return
        self.query_one(Asking).follow(self.story)
        self.query_one(Timeline).settle()
        self.query_one(PlanPanel).follow(self.story)
        self.query_one(GoAhead).follow(self.story)
        turns = self.turns
        self.query_one(Composer).follow(running=turns.busy, command=turns.command)
        window, measured = self._session.window(self.story.model) if self._session is not None else (0, False)
        on = branch(self.desk.root) if self._session is not None else ""
        self.query_one(StatusLine).tell(Standing(self.story, window, measured, on, len(turns.queue), turns.command))

    # What the person does.

    def on_prompt_sent(self, sent: Prompt.Sent) -> None:
        """Send a prompt, queue it, or steer the running turn with it."""
        self.turns.send(sent.written, steer=sent.steer)

    def on_prompt_requeued(self) -> None:
        """Go on with what waits, where nothing runs."""
        self.turns.go_on()

    def on_prompt_hurried(self) -> None:
        """Wait no longer."""
        self.turns.hurry()

    def on_prompt_shell(self, shell: Prompt.Shell) -> None:
        """Run a command of the person's."""
        self.turns.shell(shell.command)

    def on_prompt_noted(self, noted: Prompt.Noted) -> None:
        """Keep a line in AGENTS.md."""
        try:
            self.notify(self.words("prompt.noted", file=self.desk.note(noted.text)), markup=False)
        except JumarError as error:
            self.say(str(error))

    def on_asking_decided(self, decided: Asking.Decided) -> None:
        """Answer an approval."""
        if self._session is not None:
            try:
                self._session.decide(decided.call_id, decided.answered)
            except JumarError as error:
                self.say(str(error))

    def on_asking_tried(self, tried: Asking.Tried) -> None:
        """Say which earlier calls rules would have covered."""
        if self._session is not None:
            asking = self.query_one(Asking)
            try:
                asking.tried(self._session.would_allow(tried.rules))
            except JumarError as error:
                asking.tried((), str(error))

    def on_asking_told(self, told: Asking.Told) -> None:
        """Answer a question of the model's."""
        if self._session is not None:
            self._session.answer(told.call_id, told.text)

    def on_prompt_commanded(self, commanded: Prompt.Commanded) -> None:
        """Carry out a command."""
        self._slash.run(commanded.name, commanded.argument)

    def follow_taste(self, taste: Taste) -> None:
        """Look as the person wants it from now on."""
        self.theme = taste.theme if taste.theme in self.available_themes else DEFAULT
        self.animation_level = "none" if taste.reduced_motion else constants.TEXTUAL_ANIMATIONS
        self.query_one(Side).follow(taste.side)
        self.query_one(Transcript).split = taste.diffs
        self.query_one(StatusLine).still = taste.reduced_motion
        self.query_one(Prompt).cursor_blink = not taste.reduced_motion
        self._summons.follow_taste(taste)
        if words(self.desk.environment, taste.language) is not self.words:
            self.call_later(self._speak)

    async def _speak(self) -> None:
        """Lay everything out in another language, once nothing lies over it."""
        spoken = words(self.desk.environment, self.desk.taste.language)
        if self.screen is not self.default_screen or spoken is self.words:
            return
        if self._session is None or not self.turns.rests:
            self.notify(self.words("settings.next_start"), markup=False)
            return
        self.words = spoken
        await self.recompose()
        self.query_one(Side).fit(self.size.width)
        self.follow_taste(self.desk.taste)
        self.query_one(Transcript).restart(self.story)
        self.query_one(Timeline).restart(self.story, self._session)
        self.query_one(Prompt).focus()
        self._follow()
        self._paint()

    def on_plan_panel_edited(self, edited: PlanPanel.Edited) -> None:
        """Change the plan."""
        if self._session is not None:
            self._plan(self._session, carried_out(self._session.checklist.plan, edited.change), "plan.gone")

    def on_plan_panel_taken_back(self) -> None:
        """Take the person's last edit of the plan back."""
        if self._session is not None:
            self._plan(self._session, self._session.checklist.taken_back(), "plan.nothing")

    def _plan(self, session: "Session", plan: PlanBlock | None, otherwise: str) -> None:
        if plan is not None:
            session.set_plan(plan)
        else:
            self.notify(self.words(otherwise), markup=False)

    def on_go_ahead_approved(self, approved: GoAhead.Approved) -> None:
        """Have the plan carried out as it is now."""
        if self._session is not None and not self.turns.busy:
            self._session.set_mode(approved.mode)
            self.turns.prompt(f"{said('approved')}\n\n{listed(self._session.checklist.plan)}")

    def on_go_ahead_edited(self) -> None:
        """Go to the plan."""
        self.query_one(Side).open()
        self.query_one(PlanPanel).focus()

    def on_plan_panel_followed(self, followed: PlanPanel.Followed) -> None:
        """Show what was done for a step of the plan."""
        timeline = self.query_one(Timeline)
        timeline.only(self.story.checklist.names(followed.step), followed.step.text)
        timeline.focus()

    def on_rows_show(self, wanted: Rows.Show) -> None:
        """Show what an action did."""
        self.reversal.show(wanted.act)

    def on_transcript_looked(self, looked: Transcript.Looked) -> None:
        """Show pictures as large as may be."""
        coloured = has_colours(self.console.color_system, bare=self.no_color)
        kitty = knows_kitty(self.desk.environment) and not self.is_web
        self.push_screen(Viewing(self.words, looked.images, Terminal(self._write, coloured, kitty)))

    def on_transcript_chosen(self, chosen: Transcript.Chosen) -> None:
        """Show what actions did, the later ones upon the earlier."""
        self.reversal.look(chosen.actions)

    def on_rows_undo(self, wanted: Rows.Undo) -> None:
        """Take actions back, once the person has seen what that changes."""
        self.reversal.preview(Undoing("undo", wanted.actions))

    def on_rows_rewind(self, wanted: Rows.Rewind) -> None:
        """Go back to before an action, once the person has seen what that changes."""
        self.reversal.preview(Undoing("rewind", (wanted.action,)))

    def on_rows_redo(self) -> None:
        """Bring back what was taken back last."""
        self.reversal.redo()

    def on_rows_fork(self, wanted: Rows.Fork) -> None:
        """Go on in another session from before a turn."""
        self._slash.run("fork", str(wanted.turn))

    def action_stop(self) -> None:
        """Stop what runs."""
        self.turns.stop()

    def action_interrupt(self) -> None:
        """Stop what runs; twice within two seconds, quit."""
        now = asyncio.get_running_loop().time()
        if now - self._interrupted < _TWICE:
            self.exit(0)
            return
        self._interrupted = now
        self.action_stop()
        self.notify(self.words("app.quit_again"), markup=False, timeout=_TWICE)

    def action_background(self) -> None:
        """Go into the background, where a shell can bring us back."""
        if has_shell() and not self.is_headless:
            self.app_suspend_signal.publish(self)
            os.killpg(os.getpgrp(), signal.SIGTSTP)  # what started us waits for the shell with us
        else:
            self.notify(self.words("app.no_shell"), markup=False)

    def action_next_mode(self) -> None:
        """Let more or less run without asking."""
        from agent.policy import ORDER  # loaded with the session, not before the first frame

        if self._session is not None:
            at = ORDER.index(self._session.mode) + 1 if self._session.mode in ORDER else 0
            self._session.set_mode(ORDER[at % len(ORDER)])

    def action_toggle_side(self) -> None:
        """Show or hide the plan and the timeline. Where they lie over the conversation, keys are for them."""
        side = self.query_one(Side)
        side.toggle()
        if side.is_sheet:
            self.query_one(Timeline).focus()
        elif not side.display:
            self.query_one(Prompt).focus()

    def action_focus_timeline(self) -> None:
        """Go to the timeline, from there to the plan, from there to the prompt."""
        timeline, plan = self.query_one(Timeline), self.query_one(PlanPanel)
        self.query_one(Side).open()
        if timeline.has_focus_within and plan.display:
            plan.focus()
        elif timeline.has_focus_within or plan.has_focus_within:
            self.query_one(Prompt).focus()
        else:
            timeline.focus()

    def action_help(self) -> None:
        """Show all commands and keys."""
        if self.screen is self.default_screen:
            self._slash.run("help")

    def action_palette(self) -> None:
        """Search the commands by what they are for."""
        if self.screen is self.default_screen:
            words = self.words
            self.push_screen(CommandPalette([palette(offers(words), self._from_palette)], placeholder=words("palette.find")))

    def _from_palette(self, name: str) -> None:
        command = next(one for one in COMMANDS if one.name == name)
        if command.argument and not command.argument.startswith("["):
            self.query_one(Prompt).put(f"/{name} ")
        else:
            self._slash.run(name)

    def action_review(self) -> None:
        """See all that was changed, keep it, take it back or commit it."""
        self.review()

    def review(self, *, commits: bool = False) -> None:
        """Open the review; what is marked is committed at once, once the person wrote why."""
        if self._session is not None and self.screen is self.default_screen:
            place = Place(self.desk.root, self.desk.environment, self.story.turn)
            self.push_screen(Review(self.words, self._session, place, commits=commits))
