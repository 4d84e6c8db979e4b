"""Owns the fold from events to what the model is told: valid however a turn ended."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.events import Event, ModelAnswered, Repaired, Steered, ToolFinished, ToolStarted, TurnFinished, TurnStarted
from agent.messages import Answer, Call, Message, Prompt, Reply


@dataclass(slots=True)
class History:
    """The messages so far. Replies stand in the order of their calls, whatever order they came in."""

    messages: list[Message] = field(default_factory=list)
    step: int = 0
    turn: int = 0
    started: set[str] = field(default_factory=set)
    open_turn: bool = False
    _open: dict[str, Call] = field(default_factory=dict)
    _replies: dict[str, Reply] = field(default_factory=dict)
    _steered: list[Steered] = field(default_factory=list)

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case TurnStarted():
                self._close()
                self._deliver(None)
                self.turn, self.open_turn = event.turn, True
                prompt = f"{event.preface}\n\n{event.prompt}" if event.preface else event.prompt
                self.messages.append(Prompt(prompt, event.images))
            case Steered():
                self._steered.append(event)
            case ModelAnswered():
                self._close()
                self._deliver(event.step)
                self.step = event.step
                self.messages.append(event.answer)
                self._open = {call.id: call for call in event.answer.calls}
                self._replies, self.started = {}, set()
            case ToolStarted():
                self.started.add(event.call_id)
            case ToolFinished():
                if event.call_id in self._open and event.call_id not in self._replies:
                    self._replies[event.call_id] = Reply(event.call_id, event.tool, event.reply, event.images)
                    if len(self._replies) == len(self._open):
                        self.messages.extend(self._replies[call_id] for call_id in self._open)
            case Repaired(told=told) if told:
                self._close()
                self.messages.append(Prompt(told))
            case TurnFinished():
                self.open_turn = False
            case _:
                pass

    def _close(self) -> None:
        """Give calls a reply whose record is lost, so that the next request is valid whatever the log holds."""
        lost = self.unanswered()
        if lost:
            words = "Unknown: the record of how this call ended is lost. Look at the state before you go on."
            self._replies |= {call.id: Reply(call.id, call.name, words) for call in lost}
            self.messages.extend(self._replies[call_id] for call_id in self._open)

    def unanswered(self) -> tuple[Call, ...]:
        """Return the calls of the last answer that have no reply yet."""
        return tuple(call for call_id, call in self._open.items() if call_id not in self._replies)

    def steered(self) -> bool:
        """Whether the person said something that the model was not told yet."""
        return bool(self._steered)

    def deliver(self) -> None:
        """Put what the person said meanwhile before the next request."""
        self._deliver(None)

    def _deliver(self, step: int | None) -> None:
        due = [event for event in self._steered if step is None or event.step <= step]
        self._steered = [event for event in self._steered if event not in due]
        self.messages.extend(Prompt(event.text, event.images) for event in due)


def fold(events: Iterable[Event]) -> History:
    """Return the history that a log tells."""
    history = History()
    for event in events:
        history.apply(event)
    return history


def is_valid(messages: Iterable[Message]) -> bool:
    """Whether every call has exactly one reply, at once and in order, and every reply a call."""
    due: list[str] = []
    for message in messages:
        if isinstance(message, Reply):
            if not due or due.pop(0) != message.call_id:
                return False
        elif due:
            return False
        elif isinstance(message, Answer):
            due = [call.id for call in message.calls]
    return not due
