"""Owns which calls are undone, wholly or in part: a fold over the actions that they made, and what took these back."""

from dataclasses import dataclass, field

from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.news import ActionPart
from tui.entries import Called


@dataclass(slots=True)
class Undone:
    """Knows the call of each action of the ledger."""

    _calls: dict[str, Called] = field(default_factory=dict)
    _parts: dict[str, tuple[ActionPart, ...]] = field(default_factory=dict)  # of others, that an action took back
    _takers: dict[str, ActionsUndone] = field(default_factory=dict)

    def record(self, called: Called, event: ActionRecorded) -> None:
        """Take in an action that a call made."""
        called.action, called.files = event.action, (*called.files, *event.files)
        called.not_captured = {**called.not_captured, **event.not_captured}
        called.parts |= {(event.action, file.path) for file in event.files}
        self._calls[event.action] = called

    def undo(self, event: ActionsUndone) -> list[Called]:
        """Take in an undoing; return the calls that it turned."""
        self._takers[event.action] = event
        return self._turned(event)

    def cut(self, action: str, parts: tuple[ActionPart, ...]) -> list[Called]:
        """Take in an action that took parts of others back; return their calls."""
        self._parts[action] = parts
        return self._cut(action, taken=True)

    def _turned(self, event: ActionsUndone, only: frozenset[str] = frozenset(), *, back: bool = False) -> list[Called]:
        """Return the calls that an undoing takes back; that of an undoing brings back."""
        changed: list[Called] = []
        names = frozenset(event.only)
        only = only & names if only and names else only or names
        for action in event.undoes:
            called = self._calls.get(action)
            if called is not None:
                turned = {part for part in called.parts if part[0] == action and (not only or part[1] in only)}
                called.taken = called.taken - turned if back else called.taken | turned
                called.turn_over(back=back)
                changed += [called, *self._cut(action, taken=back)]
            elif action in self._takers:
                changed += self._turned(self._takers[action], only, back=not back)
        return changed

    def _cut(self, action: str, *, taken: bool) -> list[Called]:
        """Return the calls of which an action took parts back, or, where it is undone itself, brought them back."""
        changed: list[Called] = []
        for part in self._parts.get(action, ()):
            called = self._calls.get(part.action)
            if called is None:
                continue
            place = part.action, part.path
            if part.whole:
                called.taken = called.taken | {place} if taken else called.taken - {place}
            else:
                called.cut = called.cut | {(action, *place)} if taken else called.cut - {(action, *place)}
            called.turn_over(back=not taken)
            changed.append(called)
        return changed
