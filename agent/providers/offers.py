"""Owns what a request offered: which words name one of its tools, and which objects can be that tool's arguments."""

import json
import re
from collections.abc import Sequence
from typing import Any

from agent.model import ToolOffer

DECORATED = re.compile(r"(?:functions\.)?(?P<name>.+?)(?::\d+)?")  # K2's own ids and names: functions.NAME:INDEX


class Offers:
    """The tools of one request. `as_json`: the model may write a call as JSON, in a tag or without."""

    __slots__ = ("_tools", "as_json")

    def __init__(self, tools: Sequence[ToolOffer] = (), *, as_json: bool = True) -> None:
        self.as_json = as_json
        self._tools = {tool.name: tool.parameters for tool in tools}

    def __bool__(self) -> bool:
        return bool(self._tools)

    def named(self, words: str) -> str:
        """Return the tool that the words name, exactly or as K2 writes it; empty where they name none."""
        words = words.strip()
        if words in self._tools:
            return words
        found = DECORATED.fullmatch(words)
        return found["name"] if found and found["name"] in self._tools else ""

    def fit(self, name: str, arguments: dict[str, Any]) -> bool:
        """Whether the object has all that the tool requires, and nothing that it does not declare."""
        parameters = self._tools[name]
        declared, required = parameters.get("properties") or {}, parameters.get("required") or ()
        return all(key in declared for key in arguments) and all(key in arguments for key in required)


def objects(text: str, at: int) -> tuple[Any, int]:
    """Return the JSON value that begins at a place, and where it ends. Raises ValueError for one that is broken."""
    try:
        return _DECODER.raw_decode(text, at)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    whole = dict(pairs)
    if len(whole) != len(pairs):
        raise ValueError("a key stands there twice")
    return whole


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_unique, parse_constant=_refuse)
