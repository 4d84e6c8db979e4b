"""Owns a history in Chat Completions form: each message once, in an order and with ids that its server takes."""

import re
from collections.abc import Sequence
from typing import Any, assert_never

from agent.blocks import Image
from agent.messages import Answer, Call, Message, Prompt, Reply
from agent.providers.dialects import Dialect
from agent.providers.plain import NOT_SHOWN, plain_arguments, plain_json, plain_name, unused_id

_NOT_IN_IDS = re.compile(r"[^\x21-\x7e]")


class Turns:
    """Encodes one history as it grows. `quiet`: the model does not think; `plain`: with all that a server could miss."""

    def __init__(self, dialect: Dialect, *, quiet: bool = False, plain: bool = False) -> None:
        self._dialect = dialect
        self._quiet = quiet
        self._plain = plain
        self._made_up = ""  # the key under which calls without reasoning get some
        self._begin()

    def _begin(self) -> None:
        self._messages: list[Message] = []
        self._encoded: list[bytes] = []
        self._ids: dict[str, str] = {}  # what went out for an id, the last time that it came
        self._used: set[str] = set()
        self._waiting: list[tuple[str, str]] = []  # calls without a reply so far: the id, and what went out for it
        self._pictures: list[dict[str, Any]] = []  # of replies, to be shown after the last of these

    def encode(self, messages: Sequence[Message]) -> list[bytes]:
        """Return the messages' bytes. A name, an id or half a character that servers refuse is made one they take."""
        seen = len(self._messages)
        if seen > len(messages) or any(old is not new for old, new in zip(self._messages, messages, strict=False)):
            self._begin()
            seen = 0
        self._made_up = self._lacking(messages) if self._plain else ""
        for message in messages[seen:]:
            if not isinstance(message, Reply):
                self._encoded += self._shown()
                self._pictures = []
            if encoded := self._message(message):
                self._encoded.append(encoded)
            self._messages.append(message)
        return [*self._encoded, *self._shown()]

    def _lacking(self, messages: Sequence[Message]) -> str:
        """Return the key for want of which calls may be refused; none where all have it, and it may be what is refused."""
        dialect = self._dialect
        if dialect.reasoning != "echoed":
            return dialect.reasoning_key
        keys = {message.reasoning_key for message in messages if isinstance(message, Answer) and message.calls}
        known = next((key for key in sorted(keys) if key), "reasoning_content" if dialect.thinks else "")
        return known if "" in keys else ""

    def _message(self, message: Message) -> bytes:
        match message:
            case Prompt():
                return plain_json({"role": "user", "content": self._content(message.text, message.images, "(nothing)")})
            case Reply():
                return self._reply(message)
            case Answer():
                return self._answer(message)
            case _ as never:
                assert_never(never)

    def _content(self, text: str, images: tuple[Image, ...], empty: str) -> str | list[dict[str, Any]]:
        if images and (self._plain or self._dialect.images == "none"):
            text = "\n".join([*filter(str.strip, (text,)), *[NOT_SHOWN] * len(images)])
            images = ()
        if not images:
            return text if text.strip() else empty
        return [{"type": "text", "text": text if text.strip() else "(an image)"}, *map(_picture, images)]

    def _reply(self, reply: Reply) -> bytes:
        images = reply.images
        if images and self._dialect.images == "prompts" and not self._plain:
            self._pictures += [{"type": "text", "text": f"(what {plain_name(reply.name)} returned)"}, *map(_picture, images)]
            content: object = self._content(reply.text, (), "(an image, see below)")
        else:
            content = self._content(reply.text, images, "(no output)")
        whole = {
            "role": "tool",
            "tool_call_id": self._answered(reply.call_id),
            "name": plain_name(reply.name),
            "content": content,
        }
        if self._plain:
            del whole["name"]
        return plain_json(whole)

    def _shown(self) -> list[bytes]:
        """Return the message that shows the pictures of replies, where these themselves cannot hold any."""
        return [plain_json({"role": "user", "content": self._pictures})] if self._pictures else []

    def _answer(self, answer: Answer) -> bytes:
        """Encode an answer; one of neither words nor calls is left out, since servers refuse it."""
        said = bool(answer.text.strip())
        if not said and not answer.calls:
            return b""
        whole: dict[str, Any] = {"role": "assistant"}
        if said:
            whole["content"] = answer.text
        elif self._plain:
            whole["content"] = "(a tool call)"
        elif self._dialect.null_content:
            whole["content"] = None
        whole |= self._reasoning(answer)
        if answer.calls:
            self._waiting = [(call.id, self._id(call)) for call in answer.calls]
            whole["tool_calls"] = [
                {
                    "id": call_id,
                    "type": "function",
                    "function": {"name": plain_name(call.name), "arguments": plain_arguments(call.arguments)},
                }
                for call, (_, call_id) in zip(answer.calls, self._waiting, strict=True)
            ]
        return plain_json(whole)

    def _reasoning(self, answer: Answer) -> dict[str, str]:
        dialect = self._dialect
        if self._made_up and answer.calls:
            return {dialect.reasoning_key or answer.reasoning_key or self._made_up: answer.reasoning or "."}
        if self._plain or self._quiet or dialect.reasoning == "dropped":
            return {}
        key = dialect.reasoning_key or answer.reasoning_key
        return {key: answer.reasoning} if key and (answer.reasoning or answer.calls) else {}

    def _id(self, call: Call) -> str:
        count = len(self._used)
        if self._plain:
            made = f"call_{count}"
        elif self._dialect.numbered_ids:
            made = f"functions.{plain_name(call.name)}:{count}"
        else:
            made = unused_id(_NOT_IN_IDS.sub("_", call.id), self._used, self._dialect.longest_id)
        self._used.add(made)
        self._ids[call.id] = made
        return made

    def _answered(self, call_id: str) -> str:
        """Return what went out for the id of a reply: with the last answer, or at some time before."""
        for position, (waiting, made) in enumerate(self._waiting):
            if waiting == call_id:
                del self._waiting[position]
                return made
        return self._ids.get(call_id) or _NOT_IN_IDS.sub("_", call_id)[: self._dialect.longest_id] or "call"


def _picture(image: Image) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{image.content}"}}
