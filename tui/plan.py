"""Owns the plan panel: the checklist as the model and the person make it together, and the keys that change it."""

from dataclasses import dataclass
from typing import Self

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual
from textual.widgets import Input, Static

from agent.checklist import Change, Checklist, Step
from agent.safe import safe_line
from tui.draw import PLAN_MARKS
from tui.entries import Called
from tui.hints import broken
from tui.story import Story
from tui.words import Words


class PlanPanel(Vertical):
    """Shows the plan, how far it is, and what is known of the step that keys are for; hidden while there is none."""

    @dataclass
    class Edited(Message):
        """The person changed the plan."""

        change: Change

    @dataclass
    class TakenBack(Message):
        """The person takes their last edit back."""

    @dataclass
    class Followed(Message):
        """The person looks at what was done for a step."""

        step: Step

    def __init__(self, words: Words) -> None:
        super().__init__(id="plan")
        self._words = words
        self._story = Story()
        self._adding = False  # a step, else one is worded otherwise
        self.display = False

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Steps(self._words)
        line = Input(id="plan-line", compact=True)
        line.display = False
        yield line
        yield Static("", id="plan-about", markup=False)

    @property
    def steps(self) -> "Steps":
        """The list."""
        return self.query_one(Steps)

    def focus(self, scroll_visible: bool = True) -> Self:
        """Have keys go to the list."""
        self.steps.focus(scroll_visible)
        return self

    def follow(self, story: Story) -> None:
        """Show the plan as it is now."""
        self._story = story
        self.display = bool(story.checklist.steps) or self.has_focus_within
        if self.display or self.steps.filled:  # else nothing of it is seen, before or after
            title = Content(self._title(story.checklist))
            if title.markup != self.border_title:
                self.border_title = title
            self.steps.show(story.checklist)
            self._tell()

    def _title(self, checklist: Checklist) -> str:
        wanted = [step for step in checklist.steps if step.state != "dropped"]
        done = sum(step.state == "done" for step in wanted)
        return f"{self._words('plan.title')} {done}/{len(wanted)}" if wanted else self._words("plan.title")

    def _tell(self) -> None:
        """Say what is known of the step that keys are for."""
        about, step = self.query_one("#plan-about", Static), self.steps.current
        about.display = self.has_focus_within
        if not about.display:
            return
        if self.query_one("#plan-line", Input).display:
            lines = [self._words("plan.keys_line")]
        else:
            lines = [*(self._about(step) if step is not None else []), self._words("plan.keys")]
        keys = broken(Content.styled(lines[-1], "$text-muted"), self.size.width - 2)
        about.update(Content("\n").join([*map(Content, lines[:-1]), keys]))

    def _about(self, step: Step) -> list[str]:
        words = self._words
        lines = [safe_line(step.text)] if self.steps.cuts(step) else []
        lines.append(" · ".join([words(f"plan.{step.state}"), *([words(f"plan.mark_{step.mark}")] if step.mark else [])]))
        names = self._story.checklist.names(step)
        calls = [one for one in self._story.entries if isinstance(one, Called) and one.item in names]
        acted = [one for one in calls if one.files]
        if acted:
            added = sum(file.added for one in acted for file in one.files)
            removed = sum(file.removed for one in acted for file in one.files)
            lines.append(words("plan.acted", count=len(acted), added=added, removed=removed))
        ran = next((one for one in reversed(calls) if one.exit_code is not None), None)
        if ran is not None:
            key = "plan.passed" if ran.exit_code == 0 else "plan.failed"
            lines.append(words(key, command=safe_line(ran.subject), code=ran.exit_code))
        return lines

    # What the person does.

    def on_steps_moved(self) -> None:
        """Say what is known of the next one."""
        self._tell()

    def on_descendant_focus(self) -> None:
        """Say what is known of it, and which keys there are."""
        self._tell()

    def on_descendant_blur(self) -> None:
        """Leave the list alone."""
        self.query_one("#plan-about").display = False

    def on_steps_written(self, written: "Steps.Written") -> None:
        """Let the person word a step."""
        step, line = self.steps.current, self.query_one("#plan-line", Input)
        self._adding = written.adds or step is None
        line.value = "" if self._adding or step is None else safe_line(step.text)
        line.placeholder = self._words("plan.new")
        line.display = True
        line.focus()

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Take the words."""
        submitted.stop()
        text, step = submitted.value.strip(), self.steps.current
        if text and self._adding:
            self.steps.want(text)
            self.post_message(self.Edited(Change("added", text, self.steps.at + 1)))
        elif text and step is not None and text != safe_line(step.text):
            self.steps.want(text)
            self.post_message(self.Edited(Change("reworded", step.text, self.steps.at, new=text)))
        self._leave_line()

    def on_input_changed(self, changed: Input.Changed) -> None:
        """Nobody else needs to know."""
        changed.stop()

    def on_key(self, event: events.Key) -> None:
        """Give up an edit with Escape."""
        if event.key == "escape" and self.query_one("#plan-line", Input).has_focus:
            event.stop()
            self._leave_line()

    def _leave_line(self) -> None:
        self.steps.focus()
        self.query_one("#plan-line", Input).display = False
        self._tell()


class Steps(ScrollView, can_focus=True):
    """The list itself: one line a step."""

    COMPONENT_CLASSES = {"rows--cursor"}
    BINDINGS = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("alt+up,K,upper_k", "push(-1)", show=False),
        Binding("alt+down,J,upper_j", "push(1)", show=False),
        Binding("a", "write(True)", show=False),
        Binding("e", "write(False)", show=False),
        Binding("x", "strike", show=False),
        Binding("delete", "remove", show=False),
        Binding("u", "take_back", show=False),
        Binding("enter", "show", show=False),
        Binding("escape", "leave", show=False),
    ]

    @dataclass
    class Moved(Message):
        """Keys are for another step."""

    @dataclass
    class Written(Message):
        """The person wants to word a step: a new one below, or this one."""

        adds: bool

    def __init__(self, words: Words) -> None:
        super().__init__(id="plan-steps")
        self._words = words
        self._checklist = Checklist()
        self._steps: tuple[Step, ...] = ()
        self.at = -1
        self._drawn: object = None  # what the last drawing was of
        self._wanted = ""  # the step that keys are for once it is there

    @property
    def current(self) -> Step | None:
        """The step that keys are for."""
        return self._steps[self.at] if 0 <= self.at < len(self._steps) else None

    def want(self, text: str) -> None:
        """Have keys be for the step of these words, once it is there."""
        self._wanted = text

    def show(self, checklist: Checklist) -> None:
        """Show the steps as they are now. Keys stay for the step that they were for; left alone, for the one being done."""
        self._checklist, before, steps = checklist, self.current, checklist.steps
        wanted = next((at for at, step in enumerate(steps) if step.text == self._wanted), -1) if self._wanted else -1
        if wanted >= 0:
            self.at, self._wanted = wanted, ""
        elif not self.has_focus_within and not self._wanted:
            done = sum(step.state == "done" for step in steps)
            doing = next((at for at, step in enumerate(steps) if step.state == "doing"), done)
            self.at = min(doing, len(steps) - 1)
        elif before is not None and not (self.at < len(steps) and steps[self.at].text == before.text):
            self.at = next((at for at, step in enumerate(steps) if step.text == before.text), self.at)
        self.at = min(max(self.at, 0), len(steps) - 1)
        self._steps = steps
        size = Size(self.scrollable_content_region.width, max(1, len(steps)))
        if size != self.virtual_size:
            self.virtual_size = size
            self.refresh(layout=True)
        self._see()
        drawn = steps, self.at, size.width, self.has_focus_within
        if drawn != self._drawn:  # else what is streamed would draw it anew with each frame
            self._drawn = drawn
            self.refresh()

    @property
    def filled(self) -> bool:
        """Whether there are steps in it."""
        return bool(self._steps)

    def cuts(self, step: Step) -> bool:
        """Whether not all of it can be seen."""
        return cell_len(safe_line(step.text)) + self._around(step) > self.scrollable_content_region.width

    def _around(self, step: Step) -> int:
        return 3 + (cell_len(self._words(f"plan.mark_{step.mark}")) + 2 if step.mark else 0)

    def _see(self) -> None:
        height, top = self.scrollable_content_region.height, self.scroll_offset.y
        if self.at >= 0 and height and not top <= self.at < top + height:
            self.scroll_to(y=self.at if self.at < top else self.at - height + 1, animate=False, immediate=True, force=True)

    def on_resize(self) -> None:
        """Fit the new width."""
        self.show(self._checklist)

    # Drawing.

    def render_line(self, y: int) -> Strip:
        """Draw one step."""
        width, at = self.scrollable_content_region.width, y + self.scroll_offset.y
        if at >= len(self._steps):
            return Strip.blank(width, self.rich_style)
        step, here = self._steps[at], at == self.at and self.has_focus
        mark, style = PLAN_MARKS[step.state]
        tail = f"  {self._words(f'plan.mark_{step.mark}')}" if step.mark else ""
        room = max(4, width - 3 - cell_len(tail))
        text = safe_line(step.text)
        if cell_len(text) > room:
            text = f"{set_cell_size(text, room - 1).rstrip()}…"
        content = Content.assemble(
            "▸" if here else " ",
            (f"{mark} ", "$text-accent" if step.state == "doing" else style),
            (text, style),
            (tail, "$text-warning" if step.mark in {"back", "missing"} else "$text-muted"),
        )
        strip = Visual.to_strips(self, content, width, 1, self.visual_style)[0]
        if here:
            ground = Style(bgcolor=self.get_component_rich_style("rows--cursor").bgcolor)
            return Strip(Segment.apply_style(strip, post_style=ground)).extend_cell_length(width, ground)
        return strip.extend_cell_length(width, self.rich_style)

    # What the person does.

    def action_move(self, step: int) -> None:
        """Go to another step."""
        self._to(self.at + step)

    def _to(self, at: int) -> None:
        self.at = min(max(at, 0), len(self._steps) - 1)
        self._see()
        self.refresh()
        self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        """Go to a step; once more, see what was done for it."""
        self._to(event.y + self.scroll_offset.y)
        if event.chain == 2:
            self.action_show()

    def on_focus(self) -> None:
        """Show where keys go."""
        self.refresh()

    def action_push(self, by: int) -> None:
        """Put the step before or after another."""
        step, to = self.current, self.at + by
        if step is not None and 0 <= to < len(self._steps):
            self.post_message(PlanPanel.Edited(Change("moved", step.text, to, was=self.at)))

    def action_write(self, adds: bool) -> None:
        """Word a step."""
        self.post_message(self.Written(adds))

    def action_strike(self) -> None:
        """Strike the step, or have it done after all."""
        if (step := self.current) is not None:
            kind, state = ("restored", "open") if step.state == "dropped" else ("struck", "dropped")
            self.post_message(PlanPanel.Edited(Change(kind, step.text, self.at, state=state)))  # type: ignore[arg-type]

    def action_remove(self) -> None:
        """Take the step out."""
        if (step := self.current) is not None:
            self.post_message(PlanPanel.Edited(Change("removed", step.text, self.at)))

    def action_take_back(self) -> None:
        """Take the last edit back."""
        self.post_message(PlanPanel.TakenBack())

    def action_show(self) -> None:
        """See what was done for the step."""
        if (step := self.current) is not None:
            self.post_message(PlanPanel.Followed(step))

    def action_leave(self) -> None:
        """Go back to the prompt."""
        self.screen.query_one("#prompt").focus()
