"""Owns what hosts and model families want otherwise than the rest, in a request's form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agent.errors import Fault, ModelError
from agent.providers.families import Family

Fields = Mapping[str, Any]

MOONSHOT = frozenset({"moonshot-intl", "moonshot-cn", "kimi-code"})
SELF_HOSTED = frozenset({"vllm", "sglang", "llama.cpp", "ollama", "lm-studio"})
BY_MAKERS = MOONSHOT | {"openai", "anthropic"}  # what runs a model as its makers do: calls never stand in its words as mere JSON
HOSTED = BY_MAKERS | {"openrouter"}
OFF = frozenset({"none", "off"})  # the words of effort that mean: without thinking
_LIMIT = 32_768  # tokens


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs in a request. The defaults are what most servers take."""

    limit_key: str = "max_tokens"
    default_limit: int | None = None  # asked for where a request names none; None leaves it to the server
    cache_key: bool = False  # takes `prompt_cache_key`
    reasoning: Literal["echoed", "demanded", "dropped"] = "echoed"  # demanded: with every call, be it empty
    reasoning_key: str = ""  # under which it goes back; empty: under the one it came by
    thinks: bool = False  # as far as is known
    null_content: bool = True  # beside calls without words: null, else nothing
    numbered_ids: bool = False  # the calls of a whole history are `functions.NAME:INDEX`, counted from 0
    longest_id: int = 64
    images: Literal["none", "prompts", "replies"] = "none"  # where they may stand; replies: in these and in prompts
    efforts: Mapping[str, Fields] = field(default_factory=lambda: {"": {}})  # what a request carries for a word of effort

    @property
    def words(self) -> tuple[str, ...]:
        """The words of effort that the model takes."""
        return tuple(word for word in self.efforts if word)


def dialect_of(
    server: str,
    family: Family,
    *,
    images: bool = False,
    efforts: tuple[str, ...] = (),
    sampling: Mapping[str, float] | None = None,
) -> Dialect:
    """Return the dialect of a model on a server; efforts and sampling are what the person says of them, if anything."""
    first_party = server in MOONSHOT
    words = efforts or (("on", "off") if family.thinking == "switch" else family.efforts)
    return Dialect(
        limit_key="max_completion_tokens" if first_party or server == "openai" else "max_tokens",
        # Without a limit the hosted models stop after about a thousand tokens; their minutes are charged by the limit.
        default_limit=_LIMIT if first_party else None,
        cache_key=first_party,
        reasoning="demanded" if first_party else "dropped" if server == "openai" else "echoed",
        reasoning_key="reasoning_content" if first_party else "",
        thinks=family.thinking in {"always", "switch", "levels"},
        null_content=not first_party,
        numbered_ids=family.numbered and not first_party,
        longest_id=40 if server == "openai" else 64,
        images="none" if not images else "replies" if first_party else "prompts",
        efforts={
            word: {**_sampling(server, family, word), **(sampling or {}), **_thinking(server, family, word)}
            for word in ("", *words)
        },
    )


def carried(efforts: Mapping[str, Fields], effort: str, model: str, *, spare: bool = False) -> Fields:
    """Return what a request carries for the person's word of effort. Raises ModelError for one that the model does not take.

    A spare model, which goes on where the one that the word was meant for failed, does without it.
    """
    word = "off" if effort in OFF and effort not in efforts else effort
    if word in efforts:
        return efforts[word]
    if spare:
        return efforts[""]
    words = ", ".join(word for word in efforts if word)
    how = f"it takes {words}" if words else "it takes none, as far as is known"
    raise ModelError(f"{model or 'the model'} does not take the effort {effort!r}: {how}", Fault.REFUSED)


def _sampling(server: str, family: Family, word: str) -> Fields:
    """Return what self-hosted models are to be asked with; hosts of their makers refuse all but their own choice."""
    if server in HOSTED:
        return {}
    whole = {**family.sampling, **(family.instant if word in OFF else {})}
    return {key: value for key, value in whole.items() if key != "min_p" or server == "llama.cpp"}


def _thinking(server: str, family: Family, word: str) -> Fields:
    switch = family.thinking == "switch"
    if server == "kimi-code" and (switch or family.thinking == "levels"):
        if word in OFF:
            return {"thinking": {"type": "disabled"}}
        level = {"effort": word} if word and not switch else {}
        return {"thinking": {"type": "enabled", **level, "keep": "all"}}
    if server in MOONSHOT and switch:
        return {"thinking": {"type": "disabled"} if word in OFF else {"type": "enabled", "keep": "all"}}
    if server in {"vllm", "sglang", "llama.cpp"} or (server not in HOSTED and server not in SELF_HOSTED and word):
        return _template(server, family, word)
    if not word:
        return {}
    if server == "openrouter":
        return {"reasoning": {"enabled": word not in OFF} if switch else {"effort": word}}
    if switch:
        return {"reasoning_effort": "none"} if word in OFF else {}
    return {"reasoning_effort": word}


def _template(server: str, family: Family, word: str) -> Fields:
    """Return what reaches the chat template of a model on a person's own server."""
    names = family.template
    switches: dict[str, Any] = {}
    if family.thinking == "switch" and names.switch and (word or names.keep):
        switches[names.switch] = word not in OFF
    elif word and (level := names.level or ("reasoning_effort" if server == "llama.cpp" else "")):
        switches[level] = word
    elif word:
        return {"reasoning_effort": word}
    if names.keep and word not in OFF:
        switches[names.keep] = True
    return {"chat_template_kwargs": switches} if switches else {}
