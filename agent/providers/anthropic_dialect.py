"""Owns what hosts and model families want otherwise than the rest, in a Messages request."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.providers.dialects import HOSTED, MOONSHOT, OFF, Fields
from agent.providers.families import Family

_CLAUDE = re.compile(r"claude-(?:(?P<line>[a-z]+)-)?(?P<major>\d)(?!\d)(?:[-.](?P<minor>\d)(?!\d))?", re.IGNORECASE)
_BUDGETS = {"low": 4_096, "medium": 12_288, "high": 24_576}  # tokens of thinking
_LEAST_BUDGET = 1_024
_BESIDE_THINKING = 1_024  # tokens that are left for the answer itself, at least
_LIMIT = 32_768  # tokens
_MAPPED = 0.6  # Moonshot's hosts make of a temperature for K2 this part of it


@dataclass(frozen=True, slots=True)
class MessagesDialect:
    """What differs in a request. The defaults are what most servers take."""

    limit: int = _LIMIT  # asked for where a request names none: the protocol wants one
    efforts: Mapping[str, Fields] = field(default_factory=lambda: {"": {}})  # what a request carries for a word of effort
    extras: Fields = field(default_factory=dict)  # what every request carries
    thought: bool = False  # calls are refused in a history without thinking before them
    strict: bool = False  # thinking that is asked for by a budget is refused where the last calls came without any
    user: bool = False  # takes the session's name, for its cache
    images: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The words of effort that the model takes."""
        return tuple(word for word in self.efforts if word)


def messages_dialect(
    server: str,
    model: str,
    family: Family,
    *,
    window: int,
    images: bool,
    efforts: tuple[str, ...] = (),
    sampling: Mapping[str, float] | None = None,
) -> MessagesDialect:
    """Return the dialect of a model on a server; efforts and sampling are what the person says of them, if anything."""
    words = efforts or (("on", "off") if family.thinking == "switch" else family.efforts)
    room = window // 4
    if version := _version(model):
        dialect = _claude(version, model, words)
        return replace(dialect, limit=min(dialect.limit, room), images=images)
    first_party = server in MOONSHOT
    extras = {**_sampling(server, family), **(sampling or {})}
    if first_party and family.thinking == "levels":
        extras["cache_control"] = {"type": "ephemeral"}  # without it K3's requests are read from the cache, but not kept there
    return MessagesDialect(
        limit=min(_LIMIT, room),
        efforts={"": {}, **{word: _thinking(server, family, word) for word in words}},
        extras=extras,
        thought=first_party and family.thinking in {"switch", "levels", "always"},
        user=first_party,
        images=images,
    )


def fitted(fields: Fields, limit: int) -> Fields:
    """Return the fields with a budget of thinking that leaves room for the answer; without one where there is no room."""
    budget = fields.get("thinking", {}).get("budget_tokens")
    if budget is None or budget <= limit - _BESIDE_THINKING:
        return fields
    budget = limit - _BESIDE_THINKING
    return {"thinking": {"type": "enabled", "budget_tokens": budget}} if budget >= _LEAST_BUDGET else {}


def _claude(version: tuple[int, int], model: str, words: tuple[str, ...]) -> MessagesDialect:
    if version < (3, 7):
        return MessagesDialect(limit=8_192 if version >= (3, 5) else 4_096)
    if version < (4, 6):
        budgets = {word: {"thinking": {"type": "enabled", "budget_tokens": _BUDGETS[word]}} for word in words if word in _BUDGETS}
        return MessagesDialect(efforts={"": {}, **budgets, "off": {}}, strict=True)
    # What it thinks is not told from 4.7 on where that is not asked for, and from 5.5 on its words between calls are thinking.
    adaptive = {"type": "adaptive", **({"display": "summarized"} if version >= (4, 7) else {})}
    levels = {word: {"thinking": adaptive, "output_config": {"effort": word}} for word in words if word not in OFF}
    never_off = version >= (5, 5) or re.search(r"fable|mythos", model, re.IGNORECASE)
    off = {} if never_off else {"off": {"thinking": {"type": "disabled"}}}
    return MessagesDialect(limit=64_000, efforts={"": {"thinking": adaptive}, **levels, **off})


def _version(model: str) -> tuple[int, int] | None:
    """Return a Claude's version; None for what is no Claude."""
    if found := _CLAUDE.search(model):
        return int(found["major"]), int(found["minor"] or 0)
    return (5, 0) if re.search(r"(^|[/.])claude-", model, re.IGNORECASE) else None


def _sampling(server: str, family: Family) -> Fields:
    """Return what a model is to be asked with; hosts of their makers refuse all but their own choice."""
    told = {key: value for key, value in family.sampling.items() if key in {"temperature", "top_p"}}
    if server not in HOSTED:
        return told
    if server in MOONSHOT and family.thinking == "none" and "temperature" in told:
        return {"temperature": round(told["temperature"] / _MAPPED, 2)}
    return {}


def _thinking(server: str, family: Family, word: str) -> Fields:
    if word in OFF:
        return {"thinking": {"type": "disabled"}}
    if family.thinking == "switch":
        return {"thinking": {"type": "enabled"}}
    level: Fields = {"output_config": {"effort": word}}
    return {"thinking": {"type": "enabled"}, **level} if server == "kimi-code" else level
