"""Owns the bytes of a request: from step to step the same, but for what was added at the end."""

from collections.abc import Mapping
from typing import Any

from agent.model import Request, ToolOffer
from agent.providers.dialects import OFF, Dialect, Fields, carried
from agent.providers.plain import plain_json
from agent.providers.turns import Turns


class Body:
    """Encodes requests; what was sent before is not encoded again. A spare model does without efforts that it does not take."""

    def __init__(self, model: str, dialect: Dialect, *, spare: bool = False) -> None:
        self._spare = spare
        self._model = model
        self._dialect = dialect
        self._turns: dict[bool, Turns] = {}  # by whether the model's thinking goes back to it
        self._head_of: tuple[str, tuple[ToolOffer, ...], str] | None = None
        self._head = b""

    def encode(self, request: Request, *, stream: bool = True, plain: bool = False) -> bytes:
        """Return the request's body. Raises ModelError for a word of effort that the model does not take.

        `plain` is for one more try after a refusal: nothing in it that a server can do without.
        """
        fields = carried(self._dialect.efforts, request.effort, self._model, spare=self._spare)
        limit = self._dialect.default_limit if request.max_tokens is None else request.max_tokens
        limited = {} if limit is None else {self._dialect.limit_key: limit}
        if plain:
            turns = Turns(self._dialect, plain=True)
            head = self._begin(request, {"stream": stream})
            return _joined(head, turns.encode(request.messages), limited)
        if stream:
            head_of = (request.system, request.tools, request.session_id)
            if head_of != self._head_of:
                self._head, self._head_of = self._begin(request, self._extras(request, stream=True)), head_of
            head = self._head
        else:
            head = self._begin(request, self._extras(request, stream=False))
        quiet = request.effort in OFF
        turns = self._turns.setdefault(quiet, Turns(self._dialect, quiet=quiet))
        # What may be another in the next step stands behind the messages, so that the bytes before it stay the same.
        return _joined(head, turns.encode(request.messages), {**fields, **limited})

    def _extras(self, request: Request, *, stream: bool) -> Fields:
        extras: dict[str, Any] = {"stream": stream}
        if stream:
            extras["stream_options"] = {"include_usage": True}
        if self._dialect.cache_key and request.session_id:
            extras["prompt_cache_key"] = request.session_id
        return extras

    def _begin(self, request: Request, extras: Fields) -> bytes:
        whole: dict[str, Any] = {"model": self._model} if self._model else {}
        whole |= extras
        if request.tools:
            whole["tools"] = [_offer(tool) for tool in request.tools]
        system = [{"role": "system", "content": request.system}] if request.system.strip() else []
        return plain_json({**whole, "messages": system}).removesuffix(b"]}")


def _joined(head: bytes, turns: list[bytes], tail: Mapping[str, Any]) -> bytes:
    comma = b"," if turns and not head.endswith(b"[") else b""
    rest = b"," + plain_json(tail).removeprefix(b"{") if tail else b"}"
    return head + comma + b",".join(turns) + b"]" + rest


def _offer(tool: ToolOffer) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}
