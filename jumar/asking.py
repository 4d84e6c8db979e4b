"""Owns asking a person at a plain terminal, line by line: may a call run, and what is the answer to a model's question."""

import asyncio
import os
import termios
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from agent.blocks import TerminalBlock
from agent.errors import UsageError
from agent.events.call import ApprovalAsked, ApprovalDecided, QuestionAsked, ToolFinished
from agent.events.conversation import TurnFinished
from agent.events.event import Event
from agent.gate import Answered
from agent.safe import lay_open, safe_line, safe_text
from jumar.lines import Line, drawn

_LONGEST = 4096  # bytes of a line that are read
_YES = frozenset({"y", "yes", "j", "ja", "是"})
_NO = frozenset({"n", "no", "nein", "否"})


class Answering(Protocol):
    """The verbs of a session that answers go to."""

    def decide(self, call_id: str, answered: Answered) -> bool:
        """Answer an approval. Raises UsageError."""
        ...

    def answer(self, call_id: str, text: str) -> bool:
        """Answer a question."""
        ...

    def leave(self) -> None:
        """Nobody can answer any more."""
        ...


class TerminalAsking:
    """Asks one thing after the other; `say` prints a line, and `handle` is the terminal that answers come from."""

    def __init__(self, say: Callable[[Line], None], handle: int = 0) -> None:
        self._say = say
        self._handle = handle
        self._waiting: deque[ApprovalAsked | QuestionAsked] = deque()
        self._session: Answering | None = None
        self._rest = b""

    def begin(self, session: Answering) -> None:
        """Listen to the terminal from now on."""
        self._session = session
        asyncio.get_running_loop().add_reader(self._handle, self._hear)

    def end(self) -> None:
        """Listen no longer."""
        self._session = None
        asyncio.get_running_loop().remove_reader(self._handle)

    def take(self, event: Event) -> None:
        """Take in an event of the session: ask what it asks, and ask no longer what is settled."""
        match event:
            case ApprovalAsked() | QuestionAsked():
                self._waiting.append(event)
                if len(self._waiting) == 1:
                    self._ask()
            case ApprovalDecided() | ToolFinished():
                self._settle({event.call_id})
            case TurnFinished():
                self._settle({one.call_id for one in self._waiting})
            case _:
                pass

    def _settle(self, call_ids: set[str]) -> None:
        first = self._waiting[0] if self._waiting else None
        self._waiting = deque(one for one in self._waiting if one.call_id not in call_ids)
        if self._waiting and self._waiting[0] is not first:
            self._ask()

    def _ask(self) -> None:
        asked = self._waiting[0]
        if isinstance(asked, QuestionAsked):
            self._say(("strong", f"? {safe_text(asked.question)}"))
            for number, choice in enumerate(asked.choices, 1):
                self._say(("plain", f"  {number}  {safe_line(choice)}"))
            self._say(("running", "  type the answer, or its number"))
        else:
            self._show(asked)
        self._rest = b""
        with suppress(termios.error):  # what was typed before it could be read is no answer
            termios.tcflush(self._handle, termios.TCIFLUSH)

    def _show(self, asked: ApprovalAsked) -> None:
        """Show an approval whole: what is cut could not be allowed."""
        self._say(("strong", f"? may it {safe_line(asked.tool)} {safe_line(asked.subject)} · {safe_line(asked.reason)}"))
        for block in asked.blocks:
            if isinstance(block, TerminalBlock):
                laid = lay_open(block.command)
                self._say(("plain", "\n".join(f"  {text}" for text in laid.text.split("\n"))))
                for note in laid.notes:
                    self._say(("warning", f"  ! {note}"))
        for style, text in drawn(asked.blocks, whole=True):
            self._say((style, f"  {text}"))
        facts = [f"in {asked.cwd}", asked.confined, *(f"could not be undone: {one}" for one in asked.irreversible)]
        for fact in filter(None, facts):
            self._say(("dim", f"  {safe_line(fact)}"))
        self._say(("running", "  y: yes, this once · n: no · anything else: no, and these words go to the model"))

    def _hear(self) -> None:
        """Take in what was typed."""
        try:
            typed = os.read(self._handle, _LONGEST)
        except OSError:
            typed = b""
        if not typed:  # nobody sits there any more
            asyncio.get_running_loop().remove_reader(self._handle)
            if self._session is not None:
                self._session.leave()
            return
        *lines, rest = (self._rest + typed).split(b"\n")
        self._rest = rest[-_LONGEST:]
        for line in lines:
            self._answer(line.decode("utf-8", "replace").strip())

    def _answer(self, text: str) -> None:
        if self._session is None or not self._waiting or not text:
            return
        asked = self._waiting[0]
        if isinstance(asked, QuestionAsked):
            if text.isdecimal() and 0 < int(text) <= len(asked.choices):
                text = asked.choices[int(text) - 1]
            self._session.answer(asked.call_id, text)
            self._settle({asked.call_id})
            return
        allowed = text.casefold() in _YES
        words = "" if allowed or text.casefold() in _NO else text
        try:
            self._session.decide(asked.call_id, Answered(allowed, words, digest=asked.digest))
        except UsageError as error:
            self._say(("warning", f"! {safe_line(str(error))}"))
