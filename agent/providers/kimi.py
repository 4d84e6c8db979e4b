"""Owns what hosts want otherwise than the rest: Moonshot's above all."""

from dataclasses import dataclass
from urllib.parse import urlsplit

_MOONSHOT = ("moonshot.ai", "moonshot.cn", "kimi.com", "kimi.ai")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs in a request. `default_limit` is asked for where a request names none; None leaves it to the server."""

    moonshot: bool = False  # takes `prompt_cache_key` too
    limit_key: str = "max_tokens"
    default_limit: int | None = None
    reasoning_key: str = ""  # its calls are refused in a history without their reasoning, be it empty


def dialect(base_url: str) -> Dialect:
    """Return the dialect of the host of an address."""
    host = (urlsplit(base_url).hostname or "").lower()
    if any(host == known or host.endswith(f".{known}") for known in _MOONSHOT):
        # Without a limit the hosted models stop after about a thousand tokens; their minutes are charged by the limit.
        return Dialect(moonshot=True, limit_key="max_completion_tokens", default_limit=32_768, reasoning_key="reasoning_content")
    if host == "api.openai.com":
        return Dialect(limit_key="max_completion_tokens")
    return Dialect()
