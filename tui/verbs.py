"""Owns the commands on the session: what was done, and how it goes on."""

from typing import TYPE_CHECKING

from agent.checklist import Change, carried_out
from agent.safe import safe_line
from prompts import words as said
from tui.choosing import Row
from tui.hands import Hands
from tui.preview import Undoing
from tui.words import Words

if TYPE_CHECKING:
    from agent.policy import Mode


class Verbs(Hands):
    """Each takes what follows its name."""

    def undo(self, argument: str) -> None:
        """Take actions back, after a look at what that changes."""
        if argument in {"", "last"}:
            last = next(
                (
                    one.action.id
                    for one in reversed(self._session.hands.actions())
                    if one.undoable and one.action.session == self._session.id and one.action.kind == "call"
                ),
                "",
            )
            if not last:
                self._tell(self._stage.words("commands.nothing_to_undo"))
                return
            argument = last
        if numbers := self._numbers(argument):
            self._stage.reversal.preview(Undoing("undo", tuple(numbers)))

    def redo(self, _: str) -> None:
        """Bring back what was taken back last."""
        self._stage.reversal.redo()

    def rewind(self, argument: str) -> None:
        """Go back to before an action."""
        if not argument:
            self._usage("rewind")
        elif len(numbers := self._numbers(argument)) == 1:
            self._stage.reversal.preview(Undoing("rewind", (numbers[0],)))

    def diff(self, argument: str) -> None:
        """Show what an action did; without one, all that was changed."""
        if not argument:
            self._stage.review()
        elif len(numbers := self._numbers(argument)) == 1:
            self._stage.reversal.look((numbers[0],))

    def _numbers(self, argument: str) -> list[str]:
        """Return the numbers of actions that words name; none where one of them is none, which is told."""
        known = {one.action.id for one in self._session.hands.actions()}
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
        from agent.policy import ORDER, Mode  # loaded with the session, not before the first frame

        session, words = self._session, self._stage.words
        if argument:
            if argument not in [mode.value for mode in Mode]:
                self._usage("mode")
                return
            session.set_mode(Mode(argument))
            return
        modes = [*ORDER, Mode.YOLO] if session.mode is Mode.YOLO else list(ORDER)
        rows = [Row(mode, _called(mode, words), words(f"mode.{mode}"), current=mode is session.mode) for mode in modes]
        self._choose(words("mode.title"), rows, lambda chosen: session.set_mode(Mode(chosen)))

    def plan(self, argument: str) -> None:
        """Let it look and plan only; what follows is said to it."""
        from agent.policy import Mode  # loaded with the session, not before the first frame

        self._session.set_mode(Mode.PLAN)
        if argument:
            self._stage.turns.prompt(argument)

    def step(self, argument: str) -> None:
        """Add a step to the plan, the first one too."""
        text, plan = argument.strip().partition("\n")[0], self._session.checklist.plan
        if not text:
            self._usage("step")
        elif (longer := carried_out(plan, Change("added", text, len(plan.items)))) is not None:
            self._session.set_plan(longer)

    def compact(self, argument: str) -> None:
        """Shorten what the model is told."""
        self._stage.turns.compact(argument)

    def uncompact(self, _: str) -> None:
        """Take the last shortening back."""
        if why := self._session.uncompact():
            self._tell(self._stage.words.told(why))

    def init(self, argument: str) -> None:
        """Have AGENTS.md written."""
        self._stage.turns.prompt(f"{said('init')}\n\n{argument}".rstrip())


def _called(mode: "Mode", words: Words) -> str:
    """Return what a mode is called, with the name that is typed where that is another."""
    called = words.mode(mode)
    return called if called == mode else f"{called} ({mode})"
