"""Owns the bytes of a request: from step to step the same, but for what was added at the end."""

import json
import re
from typing import Any, assert_never

from agent.messages import Answer, Message, Prompt, Reply
from agent.model import Request, ToolOffer
from agent.providers.kimi import Dialect
from agent.safe import mended

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


class Body:
    """Encodes requests; a message that was sent before is not encoded again."""

    def __init__(self, model: str, dialect: Dialect) -> None:
        self._model = model
        self._dialect = dialect
        self._messages: list[Message] = []
        self._encoded: list[bytes] = []
        self._head_of: tuple[str, tuple[ToolOffer, ...], str, int | None] | None = None
        self._head = b""
        self._system = b""

    def encode(self, request: Request) -> bytes:
        """Return the request's body. A tool's name, an id or half a character that servers refuse is made one they take."""
        self._follow(request.messages)
        head_of = (request.system, request.tools, request.session_id, request.max_tokens)
        if head_of != self._head_of:
            self._head, self._head_of = self._begin(request), head_of
            self._system = _dump({"role": "system", "content": request.system}) if request.system.strip() else b""
        return self._head + b",".join(filter(None, (self._system, *self._encoded))) + b"]}"

    def _begin(self, request: Request) -> bytes:
        whole: dict[str, Any] = {"model": self._model} if self._model else {}
        whole |= {"stream": True, "stream_options": {"include_usage": True}}
        limit = self._dialect.default_limit if request.max_tokens is None else request.max_tokens
        if limit is not None:
            whole[self._dialect.limit_key] = limit
        if self._dialect.moonshot and request.session_id:
            whole["prompt_cache_key"] = request.session_id
        if request.tools:
            whole["tools"] = [_offer(tool) for tool in request.tools]
        return _dump({**whole, "messages": []}).removesuffix(b"]}")

    def _follow(self, messages: tuple[Message, ...]) -> None:
        same = 0
        for old, new in zip(self._messages, messages, strict=False):
            if old is not new:
                break
            same += 1
        del self._messages[same:], self._encoded[same:]
        for message in messages[same:]:
            self._encoded.append(self._message(message))
            self._messages.append(message)

    def _message(self, message: Message) -> bytes:
        match message:
            case Prompt():
                return _dump({"role": "user", "content": message.text if message.text.strip() else "(nothing)"})
            case Reply():
                text = message.text if message.text.strip() else "(no output)"
                whole = {"role": "tool", "tool_call_id": message.call_id, "name": _name(message.name), "content": text}
                return _dump(whole)
            case Answer():
                return self._answer(message)
            case _ as never:
                assert_never(never)

    def _answer(self, answer: Answer) -> bytes:
        """Encode an answer; one of neither words nor calls is left out, since servers refuse it."""
        said = bool(answer.text.strip())
        if not said and not answer.calls:
            return b""
        whole: dict[str, Any] = {"role": "assistant"}
        if said or not self._dialect.moonshot:
            whole["content"] = answer.text if said else None
        key = self._dialect.reasoning_key or answer.reasoning_key
        if key and (answer.reasoning or answer.calls):
            whole[key] = answer.reasoning
        if answer.calls:
            whole["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": _name(call.name), "arguments": _arguments(call.arguments)},
                }
                for call in answer.calls
            ]
        return _dump(whole)


def _offer(tool: ToolOffer) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _name(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)[:64] or "unknown"


def _arguments(text: str) -> str:
    """Return arguments that every server takes: as they came where they are a JSON object, else mended, else `{}`."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        if isinstance(value, dict):
            return _compact(value) if _HALF_CHARACTER.search(text) else text
    except (ValueError, RecursionError):
        pass
    try:
        value = json.loads(text, strict=False, parse_constant=_refuse)
        return _compact(value) if isinstance(value, dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _compact(value: object) -> str:
    return mended(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _dump(value: object) -> bytes:
    return _compact(value).encode()
