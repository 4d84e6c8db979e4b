"""Owns the table of model families: what is known of a model by its name alone."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from agent.model import Price

_TABLE = Path(__file__).with_name("models.json")
Thinking = Literal[
    "",  # not known
    "none",
    "always",  # and no request can change that
    "switch",  # on or off
    "levels",  # more or less of it, by a word of `efforts`
]


@dataclass(frozen=True, slots=True)
class Template:
    """What a chat template calls its own switches; empty where it has none."""

    switch: str = ""  # thinking: true or false
    level: str = ""  # how much of it: a word
    keep: str = ""  # the thinking of earlier turns too: true


@dataclass(frozen=True, slots=True)
class Family:
    """What models of one name have in common. `prices` are those of a host by its name, and of no other host."""

    name: str = ""
    window: int | None = None
    images: bool = False
    thinking: Thinking = ""
    efforts: tuple[str, ...] = ()
    template: Template = Template()
    sampling: Mapping[str, float] = field(default_factory=dict)  # as its makers advise
    instant: Mapping[str, float] = field(default_factory=dict)  # what of that is otherwise without thinking
    numbered: bool = False  # it knows its own calls by `functions.NAME:INDEX` alone
    prices: Mapping[str, Price] = field(default_factory=dict)


def family_of(model: str) -> Family:
    """Return the first family of the table that the name fits; one of which nothing is known where none does."""
    return next((family for pattern, family in _families() if pattern.search(model)), Family())


@cache
def _families() -> tuple[tuple[re.Pattern[str], Family], ...]:
    rows = json.loads(_TABLE.read_text("utf-8"))["families"]
    return tuple((re.compile(row["match"], re.IGNORECASE), _family(row)) for row in rows)


def _family(row: Mapping[str, Any]) -> Family:
    plain = {key: value for key, value in row.items() if key not in {"match", "efforts", "template", "prices"}}
    prices = {server: Price(**price) for server, price in row.get("prices", {}).items()}
    return Family(**plain, efforts=tuple(row.get("efforts", ())), template=Template(**row.get("template", {})), prices=prices)
