"""Owns what a front end holds: one conversation with its log, and the verbs on it."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from agent import checklist
from agent.ask import Words
from agent.blocks import Image, PlanBlock
from agent.checklist import Checklist
from agent.earlier import Earlier
from agent.effects import Effect
from agent.ending import Ending
from agent.errors import ModelError, UsageError
from agent.estimate import Filling, filling
from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.call import ToolFinished
from agent.events.conversation import SessionRenamed, SessionStarted, Steered, TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.news import Informed, Warned
from agent.events.run import RunFinished
from agent.events.step import Uncompacted
from agent.execute import Execute, offered
from agent.gate import Answered, Gate
from agent.hands import Hands
from agent.history import History
from agent.instructions import Instructions
from agent.log import Log, LogBroken, Opened
from agent.loop import Limits, Loop
from agent.masking import Masking
from agent.model import ToolOffer
from agent.policy import Mode
from agent.proposal import proposed
from agent.questions import Questions
from agent.record import Recorder
from agent.recovery import closed
from agent.schema import parameters
from agent.setting import Setting, Survey
from agent.tool import AnyTool
from agent.workspace.contract import View

if TYPE_CHECKING:
    from agent.diagnostics.diagnostics import Diagnostics

Listener = Callable[[Event, bytes], None]  # the event, and its line in the log where it is settled


def _described(tool: AnyTool, *, brief: bool) -> str:
    whole = " ".join((tool.__doc__ or "").split())
    return re.split(r"(?<=\.)\s", whole, maxsplit=1)[0] if brief else whole


class Session:
    """One conversation. Every settled event is in the log before anybody hears of it."""

    def __init__(self, setting: Setting, log: Log, listen: Listener, found: Opened | None = None, forked_from: str = "") -> None:
        self.id = log.id
        self.closed = False
        self._setting = setting
        self._log = log
        self._listen = listen
        self._history = History()
        self.checklist = Checklist()
        self._running: asyncio.Task[TurnFinished] | None = None
        self._compacting: asyncio.Task[str] | None = None
        self._early: list[tuple[str, tuple[Image, ...]]] | None = None  # what was said after a prompt that is not told yet
        self._questions = Questions(self.tell)
        self._masking = Masking(setting.mask)
        place, most = setting.workspace, setting.instructions
        self._instructions = Instructions(place.root, place.cwd, place.locate, most) if most else None
        self._recorder: Recorder | None = None
        if setting.ledger is not None and setting.capture is not None:
            self._recorder = Recorder(
                setting.ledger,
                setting.capture,
                log.id,
                self.tell,
                self._due,
                known=self._history.sightings.known,
                eager=setting.mode is not Mode.PLAN,
                exact={name for name, tool in setting.tools.items() if tool.effect is Effect.WRITE},
            )
        self.hands = Hands(log.id, setting, self._history, self._recorder, self.tell, self._due, self._interrupt)
        self._gate = Gate(
            setting.mode,
            setting.rules,
            self.tell,
            person=setting.person,
            ground=setting.ground,
            keep=setting.keep,
            earlier=Earlier(setting.tools, setting.workspace.locate, self._recorder) if self._recorder is not None else None,
        )
        self._execute = Execute(
            setting.tools,
            setting.workspace,
            self._gate,
            self.tell,
            self._questions.ask,
            setting.before_change,
            self._history,
            setting.longest,
            self._recorder,
            setting.mask,
            setting.diagnostics,
        )
        tools = offered(setting.tools, attended=setting.person)
        offers = tuple(
            ToolOffer(name, _described(tool, brief=setting.brief), parameters(tool.arguments)) for name, tool in tools.items()
        )
        self._offers = offers
        words = Words(setting.system, offers, log.id, setting.effort)
        self._ending = Ending(setting.checks, setting.workspace.root, self._execute, self.tell, self._due)
        self._loop = Loop(
            setting.models, words, self._execute, self._history, self.tell, setting.patience, self._news, self._ending
        )
        for event in found.events if found else ():
            self._take_in(event)
        self.tell(
            SessionStarted(
                version=setting.version,
                root=str(setting.workspace.root),
                cwd=str(setting.workspace.cwd),
                model=setting.models[0].name,
                mode=setting.mode,
                sandbox=setting.workspace.sandbox,
                tools=tuple(tools),
                resumed=found is not None,
                forked_from=forked_from,
            )
        )
        if self._recorder is not None:
            self._recorder.go_live()
        for fault in found.faults if found else ():
            self.tell(Warned(text=fault))
        for closing in closed(self._history, self._ending.running):
            self.tell(closing)

    def tell(self, event: Event) -> None:
        """Log the event where it is settled, take it into the history, then let the front end hear it; no secret is in it."""
        event = self._masking.event(event)
        line = b""
        if event.settled:
            line = self._kept(event)
            self._take_in(event)
        self._listen(event, line)
        if isinstance(event, ToolFinished) and self.checklist.objections and any(isinstance(b, PlanBlock) for b in event.blocks):
            told = checklist.objected(self.checklist.objections)
            self.tell(Informed(kind="plan", title="the plan goes against the person's changes", told=told, step=self._due()))

    def _kept(self, event: Event) -> bytes:
        """Log an event and return its line; how a run ended is told even where nothing can hold it."""
        try:
            return self._log.append(event)
        except LogBroken:
            if isinstance(event, RunFinished):
                return self._log.line(event)
            raise

    async def _news(self) -> None:
        """Tell what the model should know with its next step: what others did, and what folders that it came to say."""
        if self._recorder is not None:
            await self._recorder.between()
        if (changed := self._history.sightings.changed_by_checks()) is not None:
            self.tell(changed)
        touched, self._execute.touched = self._execute.touched, set()
        if self._instructions is not None and touched:
            fresh = self._instructions.fresh(touched, self._history.instructed, self._due(), self._setting.mask.text)
            for event in await asyncio.to_thread(list, fresh):
                self.tell(event)
        if self._setting.diagnostics is not None:
            await self._tell_problems(self._setting.diagnostics)

    async def _tell_problems(self, diagnostics: "Diagnostics") -> None:
        """Tell of problems that were found after the reply to the change that brought them, and of servers that were given up."""
        if late := await diagnostics.came_late():
            told = "(Noticed by jumar, not the person's words: found after your last changes:)"
            title = late[0] if len(late) == 1 else f"{late[0]} · and {len(late) - 1} more"
            self.tell(Informed(kind="problems", title=title, told="\n".join([told, *late]), step=self._due()))
        for note in diagnostics.notes():
            self.tell(Warned(text=note))

    def _take_in(self, event: Event) -> None:
        self._history.apply(event)
        self.checklist.apply(event)
        self._ending.hear(event)
        if isinstance(event, ActionRecorded):
            self._execute.touched.update(self._setting.workspace.root / file.path for file in event.files)
        if isinstance(event, ActionRecorded | ActionsUndone) and self._setting.diagnostics is not None:
            self._setting.diagnostics.noticed(str(self._setting.workspace.root / file.path) for file in event.files)
        if self._recorder is not None:
            self._recorder.hear(event)

    @property
    def model(self) -> str:
        """The name of the model that is asked first."""
        return self._setting.models[0].name

    def window(self, model: str) -> tuple[int, bool]:
        """Return how many tokens the window of one of its models holds, and whether that is known, not assumed."""
        models = self._setting.models
        known = next((one for one in models if one.name == model), models[0]).capabilities
        return known.window, not known.source.startswith("assumed")

    @property
    def sees(self) -> bool:
        """Whether that model can be shown pictures."""
        return self._setting.models[0].capabilities.images

    @property
    def running(self) -> bool:
        """Whether a turn runs."""
        return self._running is not None

    async def turn(
        self, prompt: str, limits: Limits | None = None, *, by_check: bool = False, images: tuple[Image, ...] = ()
    ) -> TurnFinished:
        """Run one turn to its end. A cancelled one ends as such; an outer cancellation is passed on when it has."""
        if self._running is not None or self._compacting is not None:
            raise RuntimeError("a turn is running; steer it instead")
        first = not self._history.turn
        preface = self._setting.preface if first else ""
        by: Literal["person", "check"] = "check" if by_check else "person"
        began = TurnStarted(turn=self._history.turn + 1, prompt=prompt, preface=preface, by=by, images=images)
        survey = self._setting.survey if first else None
        self._early = []
        if survey is None:
            self._begin(began)
        self._running = running = asyncio.create_task(self._turn(began, survey, limits or Limits()))
        outer: asyncio.CancelledError | None = None
        while not running.done():
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError as cancelled:
                if outer is None:
                    running.cancel()
                outer = cancelled
        self._running = None
        if not running.cancelled() and running.exception() is not None:
            return running.result()  # nothing more can be told of it
        if self._history.turn < began.turn:  # it was stopped before even that was told
            self._begin(began)
        stopped = TurnFinished(turn=self._history.turn, status="cancelled", text="", reason="the person stopped it")
        if self._history.open_turn:  # it was stopped before it began
            self.tell(stopped)
        if outer is not None:
            raise outer
        return stopped if running.cancelled() else running.result()

    async def _turn(self, began: TurnStarted, survey: Survey | None, limits: Limits) -> TurnFinished:
        if survey is not None:
            more = await survey(began.prompt, self._view())
            self._begin(replace(began, preface=f"{began.preface}\n\n{more}".strip()))
        if self._recorder is not None:
            await self._recorder.border()
        return await self._loop.turn(limits)

    def _begin(self, began: TurnStarted) -> None:
        """Tell a turn's prompt, and what was said after it."""
        self.tell(began)
        early, self._early = self._early, None
        for text, images in early or ():
            self.tell(Steered(text=text, step=self._due(), images=images))

    def _view(self) -> View:
        """Return what every tool that reads may show."""
        views = [self._gate.view(name) for name, tool in self._setting.tools.items() if tool.effect is Effect.READ]
        return View(lambda path: all(view.shows(path) for view in views), plain=all(view.plain for view in views))

    def steer(self, text: str, images: tuple[Image, ...] = ()) -> bool:
        """Say more while a turn runs; it reaches the model with the next step. False where no turn runs."""
        if self._running is None or self._running.done():
            return False
        if self._early is not None:
            self._early.append((text, images))
        else:
            self.tell(Steered(text=text, step=self._due(), images=images))
        return True

    def _due(self) -> int:
        """Return the step with which the model learns of what happens now."""
        return self._history.step + (2 if self._loop.asking else 1)

    def decide(self, call_id: str, answered: Answered) -> bool:
        """Answer an approval; False where none of that id waits. Raises UsageError where the answer is none."""
        return self._gate.decide(call_id, answered)

    @property
    def mode(self) -> Mode:
        """How much may run without asking."""
        return self._gate.mode

    def set_mode(self, mode: Mode) -> None:
        """Let more or less run without asking from now on; the model learns of it. Raises UsageError."""
        if mode is Mode.YOLO and self._setting.mode is not Mode.YOLO:
            raise UsageError("yolo mode can only be given on the command line: jumar --mode yolo")
        if mode is not self._gate.mode:
            self._gate.mode = mode
            told = f"From now on this session is in {mode} mode. {self._gate.permits()}"
            self.tell(Informed(kind="mode", title=f"{mode} mode", told=told, step=self._due(), mode=mode))

    def rename(self, title: str) -> None:
        """Give the session another title."""
        self.tell(SessionRenamed(title=title))

    def set_plan(self, plan: PlanBlock) -> None:
        """Change the model's checklist; it learns of what was changed with its next step."""
        if changes := checklist.compared(self.checklist.plan, plan):
            told = checklist.told(changes)
            self.tell(Informed(kind="plan", title="the plan was changed", told=told, step=self._due(), plan=plan))

    def would_allow(self, rules: tuple[str, ...]) -> tuple[str, ...]:
        """Return the earlier calls that rules would have covered. Raises UsageError where one is none."""
        return self._gate.would_allow(rules)

    def cancel(self) -> None:
        """Stop the running turn: no child is left, and every call has its reply."""
        if self._running is not None:
            self._running.cancel()
        if self._compacting is not None:
            self._compacting.cancel()

    def hurry(self) -> bool:
        """Try the request again at once that waits to be; False where none waits."""
        return self._loop.hurry()

    async def propose(self, words: str) -> str:
        """Ask the model once, beside the conversation and without tools, and return what it answers. Raises ModelError."""
        return await proposed(self._setting.models[0], words, f"{self.id}-beside")

    async def _interrupt(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def compact(self, hint: str = "") -> str:
        """Shorten what the model is told, between turns; return why not, where it cannot be. `hint` is for the note."""
        if self._running is not None or self._compacting is not None:
            return "a turn is running; compact when it is over"
        self._compacting = compacting = asyncio.create_task(self._loop.compact(hint))
        try:
            await asyncio.wait({compacting})
        except asyncio.CancelledError:
            compacting.cancel()
            await asyncio.wait({compacting})
            raise
        finally:
            self._compacting = None
        if compacting.cancelled():
            return "it was stopped"
        try:
            return compacting.result()
        except ModelError as error:
            return str(error)

    def uncompact(self) -> str:
        """Take the last shortening back, between turns; return why not, where it cannot be."""
        if self._running is not None or self._compacting is not None:
            return "a turn is running; uncompact when it is over"
        if not self._history.compacted:
            return "nothing is compacted"
        self.tell(Uncompacted())
        return ""

    async def filling(self) -> Filling:
        """Tell what fills the window of the model that is asked first."""
        setting, history = self._setting, self._history
        preface = "\n\n".join(said.preface for said in history.said if said.preface)
        model = setting.models[0]
        await model.ready()
        return await asyncio.to_thread(
            filling,
            setting.system,
            self._offers,
            tuple(history.messages),
            preface,
            model.capabilities.window,
            shortened=history.start > 0,
        )

    def attend(self) -> None:
        """From now on notice soon, between steps and turns too, what others change in the work tree."""
        if self._recorder is not None:
            self._recorder.attend()

    def asked_of_problems(self) -> list[tuple[str, str]]:
        """Return the language servers and linters that were asked of changes, and how each stands."""
        return self._setting.diagnostics.standing() if self._setting.diagnostics is not None else []

    def leave(self) -> None:
        """Nobody can answer any more: what waits for a person is refused, or answered so."""
        self._gate.leave()
        self._questions.leave()

    async def close(self) -> None:
        """End the turn and every process, and give the log back."""
        self.closed = True
        self.cancel()
        if ending := [task for task in (self._running, self._compacting) if task is not None]:
            await asyncio.wait(ending)  # what they still tell belongs into the log
        if self._setting.diagnostics is not None:
            await self._setting.diagnostics.close()
        await self._setting.workspace.close()
        if self._recorder is not None:
            await self._recorder.close()
        for model in self._setting.models:
            await model.close()
        self._log.close()

    def answer(self, call_id: str, text: str) -> bool:
        """Answer a question of the model's; False where none of that id waits."""
        return self._questions.answer(call_id, text)
