"""Owns the bytes of a Messages request: from step to step the same, but for what was added at the end."""

import json
from collections.abc import Mapping
from typing import Any

from agent.messages import Answer, Message, Reply
from agent.model import Request, ToolOffer
from agent.providers.anthropic_dialect import MessagesDialect, fitted
from agent.providers.anthropic_turns import BlockTurns, Turn
from agent.providers.dialects import Fields, carried
from agent.providers.plain import plain_json, plain_name

_MARK = b',"cache_control":{"type":"ephemeral"}}'  # up to here the server is to keep what it read
_LOOKED_BACK = 18  # blocks; from a mark the server looks back 20 of them for what it kept before


class MessagesBody:
    """Encodes requests; `by` is the server and the model, to which alone sealed content goes back.

    A spare model does without efforts it does not take.
    """

    def __init__(self, model: str, dialect: MessagesDialect, by: str, *, spare: bool = False) -> None:
        self._spare = spare
        self._model = model
        self._dialect = dialect
        self._turns = BlockTurns(by, images=dialect.images, thought=dialect.thought)
        self._plain_turns = BlockTurns("", images=False, thought=dialect.thought)
        self._most: int | None = None  # tokens of an answer that the server takes, where it said so
        self._head_of: object = None
        self._head = b""

    def encode(self, request: Request, *, stream: bool = True, plain: bool = False) -> bytes:
        """Return the request's body. Raises ModelError for a word of effort that the model does not take.

        `plain` is for one more try after a refusal: nothing in it that a server can do without.
        """
        limit = self._limit(request)
        fields = self._fields(request, limit)
        if plain:
            return self._plain(request, {"stream": stream}, {"max_tokens": limit})
        # What may be another in the next step stands behind the messages, so that the bytes before it stay the same.
        tail = {**self._dialect.extras, **fields, "max_tokens": limit}
        if "thinking" in tail:
            tail.pop("temperature", None)  # which is refused beside it
        return self._whole(request, {"stream": stream}, tail)

    def encode_count(self, request: Request) -> bytes:
        """Return the body of the question how many tokens the request's prompt is. Raises ModelError."""
        limit = self._limit(request)
        fields = self._fields(request, limit)
        return self._whole(request, {}, {key: value for key, value in fields.items() if key == "thinking"})

    def shorten(self, limit: int) -> bool:
        """Ask for no longer answers than so many tokens; tell whether that is news."""
        if self._most is not None and limit >= self._most:
            return False
        self._most = limit
        return True

    def _limit(self, request: Request) -> int:
        wanted = self._dialect.limit if request.max_tokens is None else request.max_tokens
        return wanted if self._most is None else min(wanted, self._most)

    def forget(self, messages: tuple[Message, ...]) -> bool:
        """Send the thinking in these messages no more; tell whether there was any."""
        return self._turns.forget(messages)

    def _whole(self, request: Request, first: Fields, tail: Mapping[str, Any]) -> bytes:
        names = _called(request.messages) if not request.tools else ()
        head_of = (request.system, request.tools, request.session_id, names, tuple(first.items()))
        if head_of != self._head_of:
            self._head, self._head_of = self._begin(request, names, first), head_of
        turns = _encoded(self._turns.encode(request.messages))
        rest = b"]," + plain_json(tail).removeprefix(b"{") if tail else b"]}"
        return self._head + turns + rest

    def _plain(self, request: Request, first: Fields, tail: Fields) -> bytes:
        whole: dict[str, Any] = {"model": self._model, **first} if self._model else {**first}
        names = () if request.tools else _called(request.messages)
        if tools := request.tools or tuple(map(_gone, names)):
            whole["tools"] = [json.loads(_offer(tool)) for tool in tools]
        if request.system.strip():
            whole["system"] = request.system
        turns = self._plain_turns.encode(request.messages)
        whole["messages"] = [
            {"role": "user" if turn.user else "assistant", "content": json.loads(b"[" + b",".join(turn.blocks) + b"]")}
            for turn in turns
        ]
        return plain_json({**whole, **tail})

    def _begin(self, request: Request, names: tuple[str, ...], first: Fields) -> bytes:
        whole: dict[str, Any] = {"model": self._model} if self._model else {}
        whole |= first
        if first and self._dialect.user and request.session_id:
            whole["metadata"] = {"user_id": request.session_id}
        # A history with calls is refused where no tool is on offer.
        tools = [_offer(tool) for tool in request.tools] or [_offer(_gone(name)) for name in names]
        if names:
            whole["tool_choice"] = {"type": "none"}
        head = plain_json(whole).removesuffix(b"}")
        if tools:
            head += (b',"tools":[' if whole else b'"tools":[') + _marked(tools) + b"]"
        if request.system.strip():
            system = plain_json({"type": "text", "text": request.system})
            head += b"," * (head != b"{") + b'"system":[' + _marked([system]) + b"]"
        return head + b"," * (head != b"{") + b'"messages":['

    def _fields(self, request: Request, limit: int) -> Fields:
        told = carried(self._dialect.efforts, request.effort, self._model, spare=self._spare)
        if self._dialect.strict and self._unthought(request.messages):
            return {}
        return fitted(told, limit)

    def _unthought(self, messages: tuple[Message, ...]) -> bool:
        """Whether the history ends with the results of calls that came without thinking: of another model, say."""
        if not messages or not isinstance(messages[-1], Reply):
            return False
        last = next((message for message in reversed(messages) if isinstance(message, Answer)), None)
        return last is not None and self._turns.sealed(last) is None


def _encoded(turns: list[Turn]) -> bytes:
    last = len(turns) - 1
    far = len(turns) > 2 and sum(len(turn.blocks) for turn in turns[-2:]) > _LOOKED_BACK
    marked = {last, last - 2} if far else {last}
    return b",".join(
        (b'{"role":"user","content":[' if turn.user else b'{"role":"assistant","content":[')
        + (_marked(turn.blocks) if number in marked else b",".join(turn.blocks))
        + b"]}"
        for number, turn in enumerate(turns)
    )


def _marked(blocks: list[bytes]) -> bytes:
    return b",".join(blocks)[:-1] + _MARK


def _called(messages: tuple[Message, ...]) -> tuple[str, ...]:
    called = (call.name for message in messages if isinstance(message, Answer) for call in message.calls)
    return tuple(dict.fromkeys(map(plain_name, called)))


def _gone(name: str) -> ToolOffer:
    return ToolOffer(name, "Cannot be called now.", {"type": "object", "properties": {}})


def _offer(tool: ToolOffer) -> bytes:
    return plain_json({"name": tool.name, "description": tool.description, "input_schema": tool.parameters})
