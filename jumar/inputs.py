"""Owns what comes in on stdin: words appended to the prompt, or one JSON message a line."""

import asyncio
import json
import os
import select
import stat
import sys
import threading
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, TypeAdapter, ValidationError

from agent.blocks import Image
from agent.errors import UsageError
from agent.events.call import RuleScope
from agent.gate import Answered
from agent.pictures import MOST
from jumar.pictures import from_message

_PATIENCE = 1.0  # seconds that a silent pipe is waited for
_LARGEST = 4 << 20  # bytes that are appended to a prompt
_LONGEST = 16 << 20  # bytes of one message


Pictures = Annotated[tuple[Annotated[Image, BeforeValidator(from_message)], ...], Field(max_length=MOST)]


class Message(BaseModel):
    """One line of `--input-format stream-json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PromptMessage(Message):
    """Begin a turn, after the running one."""

    type: Literal["prompt"]
    text: str = Field(min_length=1)
    images: Pictures = ()


class SteerMessage(Message):
    """Say more to the running turn."""

    type: Literal["steer"]
    text: str = Field(min_length=1)
    images: Pictures = ()


class DecideMessage(Message):
    """Answer an `approval.asked`. Only what it shows under `digest` is answered, where that is given.

    Of what is allowed, `arguments` stand in place of the call's, or `hunks` are all that is made of its change; `rules` hold
    from now on, as long as `scope` says.
    """

    type: Literal["decide"]
    call_id: str
    allow: bool
    words: str = ""
    digest: str = ""
    rules: tuple[str, ...] = ()
    scope: RuleScope = "session"
    arguments: dict[str, Any] | str | None = None
    hunks: tuple[StrictInt, ...] | None = None

    @property
    def answered(self) -> Answered:
        """What the person said."""
        given = self.arguments
        arguments = json.dumps(given, ensure_ascii=False) if isinstance(given, dict) else given
        return Answered(self.allow, self.words, self.rules, self.scope, arguments, self.hunks, self.digest)


class AnswerMessage(Message):
    """Answer a `question.asked`."""

    type: Literal["answer"]
    call_id: str
    text: str


class CancelMessage(Message):
    """Stop the running turn."""

    type: Literal["cancel"]


class HurryMessage(Message):
    """Try at once what waits to be tried again."""

    type: Literal["hurry"]


class CompactMessage(Message):
    """Shorten what the model is told; `hint` is for the note that stands in its place."""

    type: Literal["compact"]
    hint: str = ""


class UncompactMessage(Message):
    """Take the last shortening back."""

    type: Literal["uncompact"]


class UndoMessage(Message):
    """Take actions back, all or, where there is a conflict, none; `files` names those of it, else it is all."""

    type: Literal["undo"]
    actions: tuple[str, ...] = Field(min_length=1)
    files: tuple[str, ...] = ()
    preference: Literal["", "ours", "theirs", "markers"] = ""
    interrupt: bool = False


class RewindMessage(Message):
    """Take an action and all later ones back."""

    type: Literal["rewind"]
    action: str
    preference: Literal["", "ours", "theirs", "markers"] = ""
    interrupt: bool = False


class RedoMessage(Message):
    """Bring back what was taken back last."""

    type: Literal["redo"]
    preference: Literal["", "ours", "theirs", "markers"] = ""
    interrupt: bool = False


AnyMessage = (
    PromptMessage
    | SteerMessage
    | DecideMessage
    | AnswerMessage
    | CancelMessage
    | HurryMessage
    | CompactMessage
    | UncompactMessage
    | UndoMessage
    | RewindMessage
    | RedoMessage
)


def read_messages(queue: "asyncio.Queue[AnyMessage | str | None]") -> None:
    """Put each line of stdin into the queue, from a thread of its own: a message, the fault of a bad line, None at the end."""
    adapter: TypeAdapter[AnyMessage] = TypeAdapter(Annotated[AnyMessage, Field(discriminator="type")])
    loop = asyncio.get_running_loop()

    def put(item: AnyMessage | str | None) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, item)
        except RuntimeError:
            sys.exit()  # the run is over; the thread ends with it

    def read() -> None:
        try:
            pieces()
        except OSError as error:
            put(f"stdin cannot be read: {error.strerror}")
        finally:
            put(None)

    def pieces() -> None:
        os.set_blocking(0, True)
        number, rest = 0, b""
        # Not through sys.stdin: the interpreter could not end while a thread holds its buffer.
        while more := os.read(0, 1 << 16):
            *lines, rest = (rest + more).split(b"\n")
            if len(rest) > _LONGEST:
                put(f"line {number + len(lines) + 1} of stdin is longer than {_LONGEST} bytes; nothing more is read")
                return
            for line in lines:
                number += 1
                take(number, line)
        take(number + 1, rest)

    def take(number: int, line: bytes) -> None:
        if not line.strip():
            return
        try:
            put(adapter.validate_json(line))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in fault["loc"][1:])  # the first is its type
            put(f"line {number} of stdin is no message and was passed over: {f'{where}: ' if where else ''}{fault['msg']}")

    threading.Thread(target=read, name="stdin", daemon=True).start()


def piped_text() -> tuple[str, str]:
    """Return what a file or a pipe on stdin holds, and a warning where a pipe stays silent. Raises UsageError."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return "", ""
    os.set_blocking(0, True)
    if stat.S_ISREG(mode):
        return _all_of_stdin(), ""
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return "", ""
    ready, _, _ = select.select([0], [], [], _PATIENCE)
    if not ready:
        return (
            "",
            f"nothing came on stdin within {_PATIENCE:g} s, so it was not read; redirect it from /dev/null to skip the wait",
        )
    return _all_of_stdin(), ""


def _all_of_stdin() -> str:
    raw = sys.stdin.buffer.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise UsageError(f"stdin holds more than {_LARGEST} bytes; write it to a file and name that in the prompt")
    return raw.decode("utf-8", "replace")
