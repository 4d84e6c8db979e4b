"""Owns a history in Messages form: user and assistant in turn, every call with its result at once and in order."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from agent.blocks import Image
from agent.messages import Answer, Message, Prompt, Reply, Sealed
from agent.providers.plain import NOT_SHOWN, plain_arguments, plain_json, plain_name, unused_id

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_ID = 64
_LOST = "Unknown: the record of how this call ended is lost. Look at the state before you go on."
_NO_THINKING = "(no thinking was kept)"


@dataclass(slots=True)
class Turn:
    """One message as it goes out: whole blocks, as JSON."""

    user: bool
    blocks: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Waiting:
    """A call of the last answer: its id, what goes out for that, and its result as soon as there is one."""

    call_id: str
    made: str
    result: bytes = b""


class BlockTurns:
    """Encodes one history as it grows; a message that was encoded before is not encoded again."""

    def __init__(self, by: str, *, images: bool, thought: bool) -> None:
        self._by = by
        self._images = images
        self._thought = thought
        self._void: set[str] = set()
        # By identity: a message is a value that never changes, and is held here as long as it counts.
        self._known: dict[int, tuple[Message, tuple[bytes, ...]]] = {}
        self._used: set[str] = set()
        self._waiting: list[_Waiting] = []
        self._turns: list[Turn] = []
        self._said: list[bytes] = []

    def sealed(self, answer: Answer) -> Sealed | None:
        """Return an answer's content in the form in which it came, where that may go back to where it came from."""
        sealed = answer.sealed
        return sealed if sealed and sealed.by == self._by and sealed.content not in self._void else None

    def forget(self, messages: Sequence[Message]) -> bool:
        """Send no sealed content of these messages any more; tell whether there was any."""
        found = {sealed.content for message in messages if isinstance(message, Answer) and (sealed := self.sealed(message))}
        self._void |= found
        self._known.clear()
        return bool(found)

    def encode(self, messages: Sequence[Message]) -> list[Turn]:
        """Return the turns, the first and the last of them the user's, whatever the history."""
        self._used, self._waiting, self._turns, self._said = set(), [], [], []
        known, self._known = self._known, {}
        for message in messages:
            pieces = kept[1] if (kept := known.get(id(message))) else self._pieces(message)
            self._known[id(message)] = (message, pieces)
            match message:
                case Prompt():
                    self._said += pieces
                case Reply():
                    self._reply(message, pieces[0])
                case Answer():
                    self._answer(message, pieces)
                case _ as never:
                    assert_never(never)
        self._close()
        if not self._turns or not self._turns[-1].user:
            self._turns.append(Turn(user=True, blocks=[_text("(go on)" if self._turns else "(nothing)")]))
        return self._turns

    def _answer(self, answer: Answer, pieces: tuple[bytes, ...]) -> None:
        """Take in an answer; one of neither words nor calls is left out, since servers refuse it."""
        if not pieces:
            return
        self._close()
        if not self._turns:
            self._turns.append(Turn(user=True, blocks=[_text("(nothing)")]))
        if self._turns[-1].user:
            self._turns.append(Turn(user=False))
        calls = iter(answer.calls)
        for piece in pieces:
            if not piece.startswith(b","):
                self._turns[-1].blocks.append(piece)
            elif call := next(calls, None):
                made = self._id(call.id)
                self._waiting.append(_Waiting(call.id, made))
                self._turns[-1].blocks.append(b'{"type":"tool_use","id":"' + made.encode() + b'"' + piece)

    def _reply(self, reply: Reply, content: bytes) -> None:
        for waiting in self._waiting:
            if waiting.call_id == reply.call_id and not waiting.result:
                waiting.result = content
                return
        name = plain_name(reply.name)
        self._said.append(_text(f"(what a call of {name} returned, which is not shown here any more)\n{reply.text}"))

    def _close(self) -> None:
        """End the user's turn: results first, in the order of the calls, then what was said."""
        blocks = [
            b'{"type":"tool_result","tool_use_id":"' + waiting.made.encode() + b'","content":' + result + b"}"
            for waiting in self._waiting
            if (result := waiting.result or plain_json(_LOST))
        ] + self._said
        if blocks:
            self._turns.append(Turn(user=True, blocks=blocks))
        self._waiting, self._said = [], []

    def _pieces(self, message: Message) -> tuple[bytes, ...]:
        """Return blocks; of a call what stands behind its id, and of a reply its content."""
        match message:
            case Prompt():
                said = (_text(message.text),) if message.text.strip() else ()
                return (*said, *map(self._picture, message.images)) or (_text("(nothing)"),)
            case Reply():
                if not message.images:
                    return (plain_json(message.text if message.text.strip() else "(no output)"),)
                said = (_text(message.text),) if message.text.strip() else ()
                return (b"[" + b",".join((*said, *map(self._picture, message.images))) + b"]",)
            case Answer():
                if not message.text.strip() and not message.calls:
                    return ()
                if sealed := self.sealed(message):
                    return tuple(map(_sealed_piece, json.loads(sealed.content)))
                said = (_text(message.text),) if message.text.strip() else ()
                calls = tuple(_call(call.name, plain_arguments(call.arguments)) for call in message.calls)
                thought = {"type": "thinking", "thinking": message.reasoning if message.reasoning.strip() else _NO_THINKING}
                before = (plain_json(thought),) if self._thought and calls else ()
                return (*before, *said, *calls)
            case _ as never:
                assert_never(never)

    def _picture(self, image: Image) -> bytes:
        if not self._images:
            return _text(NOT_SHOWN)
        source = {"type": "base64", "media_type": image.media_type, "data": image.content}
        return plain_json({"type": "image", "source": source})

    def _id(self, call_id: str) -> str:
        made = unused_id(_NOT_IN_IDS.sub("_", call_id), self._used, _LONGEST_ID)
        self._used.add(made)
        return made


def _text(text: str) -> bytes:
    return plain_json({"type": "text", "text": text})


def _call(name: str, arguments: str) -> bytes:
    return b',"name":"' + plain_name(name).encode() + b'","input":' + arguments.encode() + b"}"


def _sealed_piece(block: dict[str, object]) -> bytes:
    if block.get("type") == "tool_use":
        return _call(str(block.get("name")), plain_json(block.get("input")).decode())
    return plain_json(block)
