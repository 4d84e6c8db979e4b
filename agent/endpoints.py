"""Owns endpoints: those that are known from the start, and what the address of one tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from agent.errors import UsageError

Protocol = Literal["openai", "anthropic"]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that holds a key. Where one of `addresses` is set beside it, the key is for that address alone."""

    name: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server: where it is, what it speaks, and where its key comes from. `name` is "" for one that only variables name."""

    name: str
    base_url: str
    note: str = ""
    protocol: Protocol = "openai"
    messages_url: str = ""  # where it speaks Anthropic's protocol, where that is elsewhere
    variables: tuple[Variable, ...] = ()  # that hold its key; the first that does is taken
    keyless: bool = False  # it may well want no key
    terms: str = ""  # what a person must know before using it
    server: str = ""  # which of the built-in ones it is like
    key_command: tuple[str, ...] = ()
    model: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    context: int | None = None  # tokens
    own: bool = False  # the person's, from config.toml

    @property
    def variable(self) -> str:
        """The variable that a person is told to set; "" where none holds its key."""
        names = [variable.name for variable in self.variables]
        return next((name for name in names if self.own or name.endswith("_API_KEY")), "")


_MOONSHOT = ("MOONSHOT_BASE_URL", "MOONSHOT_API_BASE")
_KIMI = Variable("KIMI_API_KEY", ("KIMI_BASE_URL", "KIMI_CODE_BASE_URL", *_MOONSHOT))
_ANTHROPIC = ("ANTHROPIC_BASE_URL",)
_KIMI_CODE_TERMS = (
    "Kimi Code's membership names Kimi Code CLI, Claude Code and Roo Code as the clients it is for, and may take any other for a "
    "breach of its terms; jumar calls itself jumar there"
)

# In the order in which their variables are looked for where nothing else says which endpoint to use.
BUILT_IN = (
    Endpoint(
        "moonshot-intl",
        "https://api.moonshot.ai/v1",
        "Moonshot's open platform; keys from platform.kimi.ai",
        messages_url="https://api.moonshot.ai/anthropic",
        variables=(Variable("MOONSHOT_API_KEY", _MOONSHOT), _KIMI),
    ),
    Endpoint(
        "moonshot-cn",
        "https://api.moonshot.cn/v1",
        "Moonshot's open platform in China; keys from platform.kimi.com",
        messages_url="https://api.moonshot.cn/anthropic",
        variables=(Variable("MOONSHOT_CN_API_KEY"), Variable("MOONSHOT_API_KEY", _MOONSHOT)),
    ),
    Endpoint(
        "kimi-code",
        "https://api.kimi.com/coding/v1",
        "Kimi's coding membership; keys from kimi.com/code",
        messages_url="https://api.kimi.com/coding",
        variables=(Variable("KIMI_CODE_API_KEY", ("KIMI_CODE_BASE_URL",)), _KIMI),
        terms=_KIMI_CODE_TERMS,
    ),
    Endpoint(
        "anthropic",
        "https://api.anthropic.com",
        "Claude; keys from console.anthropic.com",
        protocol="anthropic",
        variables=(Variable("ANTHROPIC_AUTH_TOKEN", _ANTHROPIC), Variable("ANTHROPIC_API_KEY", _ANTHROPIC)),
    ),
    Endpoint(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "models of many vendors; keys from openrouter.ai/keys",
        variables=(Variable("OPENROUTER_API_KEY"),),
    ),
    Endpoint(
        "openai",
        "https://api.openai.com/v1",
        "OpenAI; keys from platform.openai.com",
        variables=(Variable("OPENAI_API_KEY", ("OPENAI_BASE_URL", "OPENAI_API_BASE")),),
    ),
    Endpoint("vllm", "http://127.0.0.1:8000/v1", "vLLM on this machine", keyless=True),
    Endpoint("sglang", "http://127.0.0.1:30000/v1", "SGLang on this machine", keyless=True),
    Endpoint("llama.cpp", "http://127.0.0.1:8080/v1", "llama-server on this machine", keyless=True),
    Endpoint("ollama", "http://127.0.0.1:11434/v1", "Ollama on this machine", keyless=True),
    Endpoint("lm-studio", "http://127.0.0.1:1234/v1", "LM Studio on this machine", keyless=True),
)
_TELLING_PORTS = {11434: "ollama", 1234: "lm-studio", 30000: "sglang"}  # 8000 and 8080 are anybody's
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def built_in(name: str) -> Endpoint | None:
    """Return the endpoint of that name."""
    return next((endpoint for endpoint in BUILT_IN if endpoint.name == name), None)


def server_at(base_url: str) -> str:
    """Return the name of the built-in endpoint that an address belongs to, or ""."""
    parts = urlsplit(base_url)
    if parts.hostname in _LOOPBACK:
        return _TELLING_PORTS.get(parts.port or 0, "")
    host = {"api.kimi.ai": "api.kimi.com"}.get(parts.hostname or "", parts.hostname)
    return next((endpoint.name for endpoint in BUILT_IN if urlsplit(endpoint.base_url).hostname == host), "")


def is_open_line(base_url: str) -> bool:
    """Whether what goes there crosses a network unencrypted."""
    parts = urlsplit(base_url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def same_host(one: str, other: str) -> bool:
    """Whether two addresses lead to the same host and port; no key goes from one to the other else."""
    return origin(one) == origin(other)


def origin(url: str) -> str:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme.lower()}://{(parts.hostname or '').lower()}:{port}"


def protocol_at(url: str) -> Protocol:
    """Return what a server speaks where only its address tells."""
    parts = _parts(url)
    if parts is None:  # who takes it for an address says so
        return "openai"
    path = parts.path.rstrip("/")
    at_end = path.endswith(("/anthropic", "/anthropic/v1", "/v1/messages"))
    return "anthropic" if at_end or parts.hostname == "api.anthropic.com" else "openai"


def normal(url: str, source: str, protocol: Protocol) -> str:
    """Return an address as providers take it; `source` is what said it. Raises UsageError.

    For Anthropic's protocol that is without /v1 at its end: documents disagree on it.
    """
    parts = _parts(url)
    if parts is None:
        begun = url.lower().startswith(("http://", "https://"))
        hint = "" if begun else "; begin it with http:// or https://"
        # What is no address may be a key in the wrong place.
        shown = f": {url!r}" if len(url) < 300 and "@" not in url and (begun or "/" in url or ":" in url) else ""
        raise UsageError(f"{source} is no http address{shown}{hint}")
    if parts.query or parts.fragment:
        raise UsageError(f"{source} must end with its path, without ? or #")
    path = parts.path.rstrip("/")
    endings = ("/messages", "/v1") if protocol == "anthropic" else ("/chat/completions",)
    for ending in endings:
        path = path.removesuffix(ending).rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def shown(base_url: str) -> str:
    """Return an address as a person may be shown it: without what may be a password."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return None
    return parts if known and " " not in url else None
