"""Owns the JSON object that a constrained model answers in: words and calls, its schema, and the reading of it as it comes."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import from_json

from agent.messages import Answer, Message, Prompt, Reply
from agent.model import ToolOffer
from agent.safe import mended
from prompts import words

_MOST_CALLS = 8
_NAME = re.compile(r'"name"\s*:\s*"([A-Za-z0-9_-]{1,64})"')
# White space without end is what small models write where a schema leaves them the choice.
_COMPACT = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}


def schema(tools: Sequence[ToolOffer]) -> dict[str, Any]:
    """Return what an answer looks like: words, and calls of the tools on offer with arguments that fit."""
    calls = [_object({"name": {"const": tool.name}, "arguments": tool.parameters}) for tool in tools]
    listed = {"type": "array", "items": {"anyOf": calls}, "maxItems": _MOST_CALLS}
    return {"x-guidance": _COMPACT, **_object({"text": {"type": "string"}, "calls": listed})}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def messages(system: str, history: Iterable[Message], tools: Sequence[ToolOffer]) -> list[dict[str, str]]:
    """Return a conversation for a model whose template knows of no tools: roles take turns, and the person begins."""
    offers = [f"{tool.name}: {tool.description}\n{_dump(tool.parameters)}" for tool in tools]
    head = "\n\n".join([system, words("local"), *offers]) if tools else system
    told = [{"role": "system", "content": head}] if head.strip() else []
    for message in history:
        match message:
            case Answer():
                role, content = "assistant", _written(message)
            case Prompt():
                role, content = "user", message.text
            case Reply():
                role, content = "user", f"[{message.name}]\n{message.text}"
        if not content.strip():
            continue
        if told and told[-1]["role"] == role:
            told[-1]["content"] += f"\n\n{content}"
        else:
            told.append({"role": role, "content": content})
    return told


def _written(answer: Answer) -> str:
    if not answer.text.strip() and not answer.calls:
        return ""
    calls = [{"name": call.name, "arguments": _arguments(call.arguments)} for call in answer.calls]
    return _dump({"text": answer.text, "calls": calls})


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {}


def _dump(value: object) -> str:
    return mended(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


class Envelope:
    """Takes an answer in and turns it into deltas as a server streams them."""

    __slots__ = ("_from", "_number", "_said", "_whole")

    def __init__(self, number: int) -> None:
        self._number = number  # of calls that the history holds
        self._whole = ""
        self._said = ""  # words that were told
        self._from = 0  # where the calls begin; 0 before they do

    def take(self, piece: str) -> str:
        """Take in a piece; return the words that it brings."""
        self._whole += piece
        if self._from:
            return ""
        partial = _partial(self._whole)
        said = partial.get("text")
        if "calls" in partial:
            self._from = len(self._whole)
        if not isinstance(said, str) or not said.startswith(self._said):
            return ""
        fresh, self._said = said[len(self._said) :], said
        return fresh

    @property
    def writing(self) -> tuple[str, int] | None:
        """The name of the call that is being written, and how many characters of the calls are there."""
        names = _NAME.findall(self._whole, self._from) if self._from else []
        return (names[-1], len(self._whole) - self._from) if names else None

    def rest(self) -> dict[str, Any]:
        """Return the last delta: the words that were not told, and the calls, the last maybe cut; or what came instead."""
        whole = _partial(self._whole)
        said, calls = whole.get("text"), whole.get("calls")
        if not isinstance(said, str):
            return {"content": self._whole}
        told = []
        for index, call in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(call, dict) and isinstance(name := call.get("name"), str) and name:
                function = {"name": name, "arguments": _dump(call.get("arguments", {}))}
                told.append({"index": index, "id": f"call_{self._number + index}", "function": function})
        more = said[len(self._said) :] if said.startswith(self._said) else ""
        return {"content": more, "tool_calls": told}


def _partial(text: str) -> dict[str, Any]:
    """Return as much of an object as is there."""
    try:
        value = from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
