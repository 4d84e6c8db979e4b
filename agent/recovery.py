"""Owns what closes a log that a killed process left open: no call is run twice, and the model learns what is unknown."""

from collections.abc import Iterator

from agent.events.call import ToolFinished, ToolStarted
from agent.events.conversation import TurnFinished
from agent.history import History


def closed(history: History, check: ToolStarted | None) -> Iterator[ToolFinished | TurnFinished]:
    """Yield the reply to each call that has none, and to a check of the person's that ran, then the turn's end."""
    for call in history.unanswered():
        ran = call.id in history.started
        words = (
            "Interrupted: jumar was killed while this ran, so its outcome is unknown. Look at the state before you try again."
            if ran
            else "Not run: jumar was killed before this call began."
        )
        yield ToolFinished(call_id=call.id, tool=call.name, status="unknown" if ran else "skipped", reply=words)
    if check is not None:
        words = "Interrupted: jumar was killed while this ran, so its outcome is unknown."
        yield ToolFinished(call_id=check.call_id, tool=check.tool, status="unknown", reply=words, subject=check.subject)
    if history.open_turn:
        yield TurnFinished(turn=history.turn, status="interrupted", text="", reason="jumar was killed")
