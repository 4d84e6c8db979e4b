"""Owns the person's settings: one TOML file and the environment → one frozen value."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.errors import UsageError

MOONSHOT = "https://api.moonshot.ai/v1"
_NO_KEY = (
    "no model is set up; see it work without one: jumar demo. "
    "To use one: export MOONSHOT_API_KEY=…, or JUMAR_BASE_URL, JUMAR_API_KEY and JUMAR_MODEL for any OpenAI-compatible server"
)


class Strict(BaseModel):
    """A table whose keys are all known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Endpoint(Strict):
    """A server of the person's: where it is, and the name of the variable that holds its key."""

    base_url: str
    key_env: str = ""
    model: str = ""


class Config(Strict):
    """What `config.toml` may say."""

    endpoint: str = ""
    model: str = ""
    mode: Literal["plan", "ask", "edits", "auto"] = "ask"
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    endpoints: dict[str, Endpoint] = {}


@dataclass(frozen=True, slots=True)
class Connection:
    """Where requests go, with which key, and where that key came from. An empty model means: the server's own choice."""

    base_url: str
    key: str
    key_source: str
    model: str
    protocol: Literal["openai", "anthropic"] = "openai"
    server: str = ""  # which endpoint of endpoints.py it is, where that is known
    headers: Mapping[str, str] = field(default_factory=dict)  # that the person adds
    window: int | None = None  # what the person says the model's context is, in tokens


def load(path: Path) -> Config:
    """Read the person's file; where there is none, all is at its default. Raises UsageError."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    import tomllib  # only where there is a file

    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            table = Endpoint if fault["loc"][0] == "endpoints" else Config
            near = difflib.get_close_matches(str(fault["loc"][-1]), table.model_fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(table.model_fields)}"
            raise UsageError(f"{path}: unknown key {where!r}{hint}") from error
        raise UsageError(f"{path}: {where}: {fault['msg']}") from error


def connect(config: Config, environment: Mapping[str, str], model: str = "") -> Connection:
    """Decide where requests go; a key is only ever sent to the host that its own layer names. Raises UsageError."""
    chosen = model or environment.get("JUMAR_MODEL", "")
    if base_url := environment.get("JUMAR_BASE_URL", ""):
        key = environment.get("JUMAR_API_KEY", "")
        return Connection(_checked(base_url, "JUMAR_BASE_URL"), key, "JUMAR_API_KEY", chosen or config.model)
    if environment.get("JUMAR_API_KEY"):
        raise UsageError("JUMAR_API_KEY is set, but not where to send it: set JUMAR_BASE_URL too", 77)
    for name in ("MOONSHOT_API_KEY", "KIMI_API_KEY"):
        if key := environment.get(name, ""):
            base_url = environment.get("MOONSHOT_BASE_URL") or MOONSHOT
            return Connection(_checked(base_url, "MOONSHOT_BASE_URL"), key, name, chosen or config.model)
    name = config.endpoint or (next(iter(config.endpoints)) if len(config.endpoints) == 1 else "")
    if not name and config.endpoints:
        names = sorted(config.endpoints)
        raise UsageError(f"config.toml has the endpoints {', '.join(names)}; say which: endpoint = {json.dumps(names[0])}")
    if not name:
        raise UsageError(_NO_KEY, 77)
    endpoint = config.endpoints.get(name)
    if endpoint is None:
        raise UsageError(f"the endpoint {name!r} is not in the configuration; there are: {', '.join(sorted(config.endpoints))}")
    key = environment.get(endpoint.key_env, "") if endpoint.key_env else ""
    if endpoint.key_env and not key:
        raise UsageError(f"the endpoint {name!r} takes its key from {endpoint.key_env}, which is not set", 77)
    base_url = _checked(endpoint.base_url, f"endpoints.{name}.base_url")
    return Connection(base_url, key, endpoint.key_env, chosen or endpoint.model or config.model)


def _checked(url: str, source: str) -> str:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        hint = "" if url.lower().startswith(("http://", "https://")) else "; begin it with http:// or https://"
        raise UsageError(f"{source} is no http address: {url!r}{hint}")
    return url.rstrip("/")
