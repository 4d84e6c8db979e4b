"""Owns asking the person, in place: a call that waits for approval, or a question of the model's."""

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static, TextArea

from agent.events.call import RuleScope
from agent.safe import safe_line, safe_text
from tui.approval import Approval
from tui.entries import Called
from tui.fields import Area, Line
from tui.forms import Form, Unreadable
from tui.hints import Hints
from tui.story import Story
from tui.words import Words

if TYPE_CHECKING:
    from agent.gate import Answered

DEAF = 0.5  # seconds in which keys that were meant for something else are passed over
_SCOPES: tuple[RuleScope, ...] = ("session", "workspace", "always")
Doing = Literal["deciding", "ruling", "refusing", "editing", "telling"]


class Asking(Vertical, can_focus=True):
    """Shows the first call that waits, whole; hidden while none does.

    It cannot be answered in its first half second, nor before it was shown to its end.
    """

    @dataclass
    class Decided(Message):
        """The person answered an approval."""

        call_id: str
        answered: "Answered"

    @dataclass
    class Told(Message):
        """The person answered a question of the model's."""

        call_id: str
        text: str

    @dataclass
    class Tried(Message):
        """The person looks at which earlier calls rules would have covered."""

        rules: tuple[str, ...]

    def __init__(self, words: Words) -> None:
        super().__init__(id="asking")
        self._words = words
        self._called: Called | None = None
        self._approval: Approval | None = None  # of that call, where it is no question of the model's
        self._digest = ""
        self._doing: Doing = "deciding"
        self._since = 0.0
        self._seen = False  # to its end
        self._scope: RuleScope = "session"
        self._away = False  # keys go elsewhere
        self._form: Form | None = None  # where all arguments are changed, not one text
        self.display = False

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static("", id="asking-head", markup=False)
        with VerticalScroll(id="asking-body", can_focus=False):
            yield Static("", id="asking-what", markup=False)
            yield Static("", id="asking-why", markup=False)
        with Vertical(id="asking-foot"):  # always seen, however much there is to read above it
            yield Line(id="asking-line")
            yield Area("", id="asking-text", soft_wrap=True, show_line_numbers=False, compact=True)
            yield Hints(id="asking-keys")

    def follow(self, story: Story) -> None:
        """Show the call that waits now, if one does."""
        called = story.call(story.waiting[0]) if story.waiting else None
        digest = called.asked.digest if called is not None and called.asked is not None else ""
        if called is self._called and digest == self._digest:
            return
        before = self._called
        self._called, self._digest = called, digest
        self.display = called is not None
        if called is None:
            if before is not None and self.has_focus_within:
                self.screen.focus_next("#prompt")
            return
        self._seen, self._scope = False, "session"
        asked = called.asked if called.question is None else None
        self._approval = Approval(asked, called.tool, self._words) if asked is not None else None
        line = self.query_one("#asking-line", Input)
        line.value = line.placeholder = ""  # what was written for another is no answer to this one
        # Who is writing goes on writing: the keys of a decision are letters.
        prompt = self.screen.query_one("#prompt", TextArea)
        self._away = prompt.has_focus and bool(prompt.text)
        self._begin("telling" if called.question is not None else "deciding", focused=not self._away)
        self._paint()
        self.query_one("#asking-body", VerticalScroll).scroll_home(animate=False)
        self._come_to_sight()

    def on_mount(self) -> None:
        """Begin to be seen once nothing lies over it any more."""
        self.app.screen_change_signal.subscribe(self, lambda _: self._come_to_sight())

    def _come_to_sight(self) -> None:
        if self._called is not None and self.screen is self.app.screen:
            self._since = time.monotonic()
            self.call_after_refresh(self._look)

    # What is shown.

    def _paint(self) -> None:
        called = self._called
        if called is None:
            return
        words = self._words
        head, what, why = (self.query_one(f"#asking-{name}", Static) for name in ("head", "what", "why"))
        if called.question is not None:
            choices = [f"{number}  {safe_line(choice)}" for number, choice in enumerate(called.question.choices, 1)]
            head.update(Content.styled(words("asking.question"), "bold $warning"))
            what.update(Content("\n".join([safe_text(called.question.question), *choices])))
            why.update("")
        elif self._approval is not None:
            head.update(self._approval.head)
            what.update(self._approval.what(choosing=self._doing != "editing"))
            why.update(Content("\n").join(self._approval.facts(self._holding)))
        self._tell_keys()

    def tried(self, covered: tuple[str, ...], fault: str = "") -> None:
        """Show what the rule that is being written would have covered."""
        if self._doing != "ruling" or self._approval is None:
            return
        lines = self._approval.facts(self._holding)
        if fault:
            lines.append(Content.styled(safe_line(self._words.told(fault)), "$text-error"))
        else:
            told = self._words.counted("asking.would_allow", len(covered), count=len(covered))
            lines.append(Content.styled(told, "$text-muted"))
            lines += [Content(f"  {safe_line(subject)}") for subject in covered[:5]]
        self.query_one("#asking-why", Static).update(Content("\n").join(lines))
        self.query_one("#asking-body", VerticalScroll).scroll_end(animate=False)

    @property
    def _holding(self) -> RuleScope | None:
        """How long the rule that is being written would hold."""
        return self._scope if self._doing == "ruling" else None

    @property
    def _several(self) -> bool:
        return self._approval is not None and self._approval.count > 1

    @property
    def _chosen(self) -> tuple[int, ...] | None:
        return self._approval.chosen if self._approval is not None else None

    def _tell_keys(self) -> None:
        self.query_one("#asking-keys", Static).update(Content.styled(self._keys(), "$text-muted"))

    def _keys(self) -> str:
        words, approval = self._words, self._approval
        if self._away:
            return words("asking.keys_elsewhere")
        if self._called is not None and self._called.question is not None and self._called.question.choices:
            return words("asking.keys_question")
        if self._doing != "deciding" or approval is None:
            return words(f"asking.keys_{self._doing}")
        if not self._seen:
            return words("asking.more")
        asked = approval.asked
        keys = ["allow", *(["rule"] if asked.suggested else []), "refuse", *(["edit"] if asked.arguments else [])]
        return " · ".join(words(f"asking.keys_{one}") for one in [*keys, *(["hunks"] if self._several else [])])

    def on_descendant_focus(self) -> None:
        """Say what keys do."""
        self._turn_to(away=False)

    def on_focus(self) -> None:
        """Say what keys do."""
        self._turn_to(away=False)

    def on_descendant_blur(self) -> None:
        """Say how to come back."""
        self._turn_to(away=not self.has_focus_within)

    def on_blur(self) -> None:
        """Say how to come back."""
        self._turn_to(away=not self.has_focus_within)

    def _turn_to(self, *, away: bool) -> None:
        if away != self._away and self._called is not None:
            self._away = away
            self._tell_keys()

    def _begin(self, doing: Doing, *, focused: bool = True) -> None:
        self._doing = doing
        line, text = self.query_one("#asking-line", Input), self.query_one("#asking-text", TextArea)
        line.display = doing in {"ruling", "refusing", "telling"}
        text.display = doing == "editing"
        if focused and (line.display or text.display):
            self.call_later(self._hand_over)
        elif focused:
            self.focus()

    def _hand_over(self) -> None:
        """Have keys go to what is written in, once all that came before that are in it."""
        if self.message_queue_size:
            self.call_later(self._hand_over)
        elif (writing := self._writing) is not None:
            self.screen.set_focus(writing)

    @property
    def _writing(self) -> Line | Area | None:
        """What is written in now."""
        if self._doing in {"ruling", "refusing", "telling"}:
            return self.query_one("#asking-line", Line)
        return self.query_one("#asking-text", Area) if self._doing == "editing" else None

    # What the person does.

    @property
    def is_deaf(self) -> bool:
        """Whether keys are passed over still: they were meant for something else."""
        return time.monotonic() - self._since < DEAF

    def on_key(self, event: events.Key) -> None:
        """Take what the person decides."""
        if self._called is None:
            return
        if self.is_deaf:
            event.stop()
            event.prevent_default()
            return
        if event.key == "escape" and self._doing not in {"deciding", "telling"}:
            event.stop()
            self._begin("deciding")
            self._paint()
        elif self._doing == "editing" and event.key in {"ctrl+s", "f2"}:
            event.stop()
            self._edited()
        elif self._doing == "ruling" and event.key in {"tab", "down"}:
            event.stop()
            event.prevent_default()
            self._scope = _SCOPES[(_SCOPES.index(self._scope) + 1) % len(_SCOPES)]
            self.post_message(self.Tried(_rules(self.query_one("#asking-line", Input).value)))
        elif self._doing == "deciding":
            self._decide(event)
        elif self.has_focus:
            self._write(event)

    def _write(self, event: events.Key) -> None:
        """Write what is typed before keys go where it is written."""
        event.stop()
        event.prevent_default()
        match self._writing:
            case Line() as line if event.key == "enter":
                self._submit(line.value)
            case Line() as line if event.key == "backspace":
                line.action_delete_left()
            case Line() as line if event.is_printable and event.character:
                line.insert_text_at_cursor(event.character)
            case Area() as area if event.key == "enter":
                area.insert("\n")
            case Area() as area if event.key == "backspace":
                area.action_delete_left()
            case Area() as area if event.is_printable and event.character:
                area.insert(event.character)
            case _:
                pass

    def on_paste(self, event: events.Paste) -> None:
        """Write what is pasted before keys go where it is written."""
        if self.has_focus and not self.is_deaf:
            match self._writing:
                case Line() as line:
                    event.stop()
                    line.insert_text_at_cursor(event.text.partition("\n")[0])
                case Area() as area:
                    event.stop()
                    area.insert(event.text)
                case None:
                    pass

    def _decide(self, event: events.Key) -> None:
        body = self.query_one("#asking-body", VerticalScroll)
        match event.key:
            case "a" | "A" | "upper_a" | "e" if not self._seen:
                self._scroll(body.scroll_offset.y + body.size.height)
            case "a":
                self._answer(allowed=True, hunks=self._chosen)
            case "A" | "upper_a":
                self._rule()
            case "r":
                self.query_one("#asking-line", Input).value = ""
                self.query_one("#asking-line", Input).placeholder = self._words("asking.refuse")
                self._begin("refusing")
                self._paint()
            case "e":
                self._edit()
            case "space" if self._approval is not None and self._approval.count:
                self._approval.turn()
                self._paint()
                self.call_after_refresh(self._show_hunk)
            case "down" | "j" | "up" | "k" if self._approval is not None and self._several:
                self._approval.step(1 if event.key in {"down", "j"} else -1)
                self._paint()
                self.call_after_refresh(self._show_hunk)
            case "pagedown" | "down" | "j":
                self._scroll(body.scroll_offset.y + body.size.height)
            case "pageup" | "up" | "k":
                self._scroll(body.scroll_offset.y - body.size.height)
            case "home":
                self._scroll(0)
            case "end":
                self._scroll(body.max_scroll_y)
            case _:
                return
        event.stop()
        event.prevent_default()

    def _tops(self) -> list[int]:
        """Return the row at which each hunk begins, as it is laid out."""
        size = self.query_one("#asking-what", Static).content_size
        return self._approval.tops(size.width, size.height) if self._approval is not None else []

    def _show_hunk(self) -> None:
        """Bring the hunk that keys are for to sight."""
        if self._approval is not None and (tops := self._tops()):
            self.query_one("#asking-body", VerticalScroll).scroll_to(y=tops[self._approval.hunk], animate=False, immediate=True)
        self._look()

    def _scroll(self, row: int) -> None:
        """Go to a row, and let keys be for a hunk that can be seen there."""
        body = self.query_one("#asking-body", VerticalScroll)
        body.scroll_to(y=row, animate=False, immediate=True)
        top, bottom = body.scroll_offset.y, body.scroll_offset.y + body.size.height
        if self._approval is not None and self._approval.see(self._tops(), top, bottom):
            self._paint()
        self._look()

    def _look(self) -> None:
        """Take note of whether its end can be seen."""
        if self.screen is not self.app.screen:
            return  # what lies over it is painted before this is laid out
        body = self.query_one("#asking-body", VerticalScroll)
        self._seen = self._seen or body.scroll_offset.y >= body.max_scroll_y
        self._tell_keys()

    def _rule(self) -> None:
        asked = self._approval.asked if self._approval is not None else None
        if asked is None or not asked.suggested:
            self.app.notify(self._words("asking.no_rule"), markup=False)
            return
        line = self.query_one("#asking-line", Input)
        line.value = "; ".join(asked.suggested)
        self._begin("ruling")
        self._paint()
        self.post_message(self.Tried(asked.suggested))

    def _edit(self) -> None:
        asked = self._approval.asked if self._approval is not None else None
        if asked is None or not asked.arguments:
            return
        arguments = json.loads(asked.arguments)
        text = arguments.get(asked.editable) if asked.editable else None
        area = self.query_one("#asking-text", TextArea)
        if isinstance(text, str) and text:
            self._form, area.text = None, text
        else:
            self._form = Form(arguments)
            area.text = self._form.text
        self._begin("editing")
        self._paint()

    def _edited(self) -> None:
        asked = self._approval.asked if self._approval is not None else None
        if asked is None:
            return
        text = self.query_one("#asking-text", TextArea).text
        try:
            changed = {**json.loads(asked.arguments), asked.editable: text} if self._form is None else self._form.read(text)
        except Unreadable as fault:
            self.app.notify(self._words("asking.unreadable", name=safe_line(str(fault))), severity="warning", markup=False)
            return
        text = json.dumps(changed, ensure_ascii=False)
        self._answer(allowed=True, arguments=text)

    def on_input_changed(self, changed: Input.Changed) -> None:
        """Try the rule that is being written."""
        changed.stop()
        if self._doing == "ruling":
            self.post_message(self.Tried(_rules(changed.value)))

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Take the words, the rule, or the answer."""
        submitted.stop()
        self._submit(submitted.value)

    def _submit(self, text: str) -> None:
        called = self._called
        if called is None:
            return
        if called.question is not None:
            choices = called.question.choices
            text = text.strip()
            if text.isdecimal() and 0 < int(text) <= len(choices):
                text = choices[int(text) - 1]
            if text:
                self.post_message(self.Told(called.call_id, text))
        elif self._doing == "refusing":
            self._answer(allowed=False, words=text.strip())
        elif self._doing == "ruling":
            self._answer(allowed=True, rules=_rules(text), hunks=self._chosen)

    def _answer(
        self,
        *,
        allowed: bool,
        words: str = "",
        rules: tuple[str, ...] = (),
        arguments: str | None = None,
        hunks: tuple[int, ...] | None = None,
    ) -> None:
        from agent.gate import Answered  # not before the first frame is seen: much comes with it

        if self._called is not None:
            answered = Answered(allowed, words, rules, self._scope if rules else "session", arguments, hunks, self._digest)
            self.post_message(self.Decided(self._called.call_id, answered))


def _rules(text: str) -> tuple[str, ...]:
    return tuple(rule.strip() for rule in text.split(";") if rule.strip())
