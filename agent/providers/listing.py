"""Owns what a server says of its models: GET /models in all its shapes, and what some tell elsewhere."""

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import isfinite
from typing import Any

from agent.model import Price
from agent.providers.faults import Faults
from agent.providers.http import Http
from agent.safe import mended

_PATH = "/models"
_LARGEST = 16 << 20  # bytes; OpenRouter's list is of more than one MiB
_SECONDS = 10.0
_MOST = 5_000  # models
_LONGEST = 300  # characters of a name
_OWNERS = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp", "library": "ollama", "organization_owner": "lm-studio"}
_WINDOWS = ("max_model_len", "context_length", "max_context_length", "context_window", "max_input_tokens")
_VERSION = re.compile(r"/v\d+/*\Z")
_SET_WINDOW = re.compile(r"^num_ctx\s+([0-9]{1,12})\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a server says of one of its models; None and nothing where it does not say."""

    id: str
    names: tuple[str, ...] = ()  # that it goes by elsewhere: a path, a vendor's own
    window: int | None = None
    images: bool | None = None
    efforts: tuple[str, ...] = ()
    price: Price | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A server's models, and what kind of server lists them so; an empty kind where that cannot be told."""

    server: str
    models: tuple[Listed, ...]

    def find(self, name: str) -> Listed | None:
        """Return the model of that name; for no name the only one."""
        if not name:
            return self.models[0] if len(self.models) == 1 else None
        wanted = name.lower()
        return next((one for one in self.models if one.id.lower() in {wanted, f"{wanted}:latest"}), None)


class Inquiry:
    """Asks one connection's server about its models."""

    def __init__(
        self, base_url: str, http: Http, headers: Callable[[], Mapping[str, str]], faults: Faults, path: str = _PATH
    ) -> None:
        self._base_url = base_url
        self._path = path
        self._http = http
        self._headers = headers
        self._faults = faults

    async def models(self) -> Listing:
        """Return what the server lists. Raises ModelError."""
        async with self._http.send("GET", self._path, self._headers()) as response:
            body = await response.read(_LARGEST, _SECONDS)
            if not 200 <= response.status < 300:
                raise self._faults.of_response(self._path, response.status, response.headers, body)
        if body.lstrip().startswith(b"<"):
            raise self._faults.of_page()
        value = _decoded(body)
        listing = read_listing(value)
        if listing is None:
            raise self._faults.of_list(value)
        return listing

    async def more(self, server: str, model: str) -> Listed:
        """Return what this kind of server tells of a model beside its list. Raises ModelError."""
        async with self._root() as root:
            match server:
                case "llama.cpp":
                    return _of_llama_cpp(model, await self._get(root, "/props"))
                case "lm-studio":
                    return _of_lm_studio(model, await self._get(root, "/api/v0/models"))
                case "ollama":
                    loaded = await self._get(root, "/api/ps")
                    return _of_ollama(model, loaded, await self._get(root, "/api/show", {"model": model}))
        return Listed(model)

    @asynccontextmanager
    async def _root(self) -> AsyncGenerator[Http, None]:
        http = Http(_VERSION.sub("", self._base_url), {}, connect=5.0, silence=5.0)
        try:
            yield http
        finally:
            await http.close()

    async def _get(self, root: Http, path: str, asked: Mapping[str, str] | None = None) -> Any:
        body = None if asked is None else json.dumps(asked).encode()
        async with root.send("GET" if body is None else "POST", path, self._headers(), body) as response:
            said = await response.read(_LARGEST, _SECONDS)
            return _decoded(said) if response.status == 200 else None


def read_listing(value: object) -> Listing | None:
    """Return the listing that a server's JSON is, or None where it is none."""
    keyed = value if isinstance(value, dict) else {"data": value}
    entries = next((entries for key in ("data", "models") if isinstance(entries := keyed.get(key), list)), None)
    if entries is None:
        return None
    told = [entry for entry in entries[:_MOST] if isinstance(entry, dict) and _name(entry.get("id"))]
    owners = {owner.lower() for entry in told if isinstance(owner := entry.get("owned_by"), str)}
    server = next((server for owner, server in _OWNERS.items() if owner in owners), "")
    return Listing(server, tuple(_listed(entry) for entry in told))


def _listed(entry: dict[str, Any]) -> Listed:
    meta = _dict(entry.get("meta"))
    top = _dict(entry.get("top_provider"))
    windows = [window_of(entry.get(key)) for key in _WINDOWS]
    windows += [window_of(top.get("context_length")), window_of(meta.get("n_ctx")), window_of(meta.get("n_ctx_train"))]
    known = {_name(entry.get(key)) for key in ("root", "canonical_slug", "hugging_face_id")}
    return Listed(
        id=_name(entry.get("id")),
        names=tuple(sorted(known - {"", _name(entry.get("id"))})),
        window=next((window for window in windows if window), None),
        images=_images(entry),
        efforts=_efforts(_dict(_dict(entry.get("capabilities")).get("effort"))),
        price=_price(_dict(entry.get("pricing"))),
    )


def _images(entry: dict[str, Any]) -> bool | None:
    if isinstance(told := entry.get("supports_image_in"), bool):
        return told
    for holder in (_dict(entry.get("architecture")), entry):
        if isinstance(modalities := holder.get("input_modalities"), list):
            return "image" in modalities
    capabilities = entry.get("capabilities")
    told = _dict(_dict(capabilities).get("image_input")).get("supported", _dict(capabilities).get("vision"))
    return told if isinstance(told, bool) else None


def _efforts(told: dict[str, Any]) -> tuple[str, ...]:
    order = ("low", "medium", "high", "xhigh", "max")
    return tuple(word for word in order if _dict(told.get(word)).get("supported") is True)


def _price(pricing: dict[str, Any]) -> Price | None:
    """Return a price that was told per token; a cache without one of its own costs what the rest does."""
    miss, output = _dollars(pricing.get("prompt")), _dollars(pricing.get("completion"))
    if miss is None or output is None:
        return None
    hit = _dollars(pricing.get("input_cache_read"))
    return Price(miss if hit is None else hit, miss, output, _dollars(pricing.get("input_cache_write")))


def _dollars(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        return None
    return round(number * 1_000_000, 6) if isfinite(number) and 0 <= number < 1 else None


def _of_llama_cpp(model: str, props: object) -> Listed:
    told = _dict(props)
    vision = _dict(told.get("modalities")).get("vision")
    names = {_name(told.get(key)) for key in ("model_path", "model_alias")}
    window = window_of(_dict(told.get("default_generation_settings")).get("n_ctx"))
    return Listed(model, tuple(sorted(names - {""})), window, vision if isinstance(vision, bool) else None)


def _of_lm_studio(model: str, listed: object) -> Listed:
    entries = _dict(listed).get("data")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("id") == model:
            return Listed(model, (), window_of(entry.get("loaded_context_length")), entry.get("type") == "vlm")
    return Listed(model)


def _of_ollama(model: str, loaded: object, shown: object) -> Listed:
    """Return what Ollama tells: the window is the one that it runs the model with, and not the one that this was made for."""
    names = {model.lower(), f"{model.lower()}:latest"}
    running = _dict(loaded).get("models")
    window = None
    for entry in running if isinstance(running, list) else []:
        if isinstance(entry, dict) and _name(entry.get("name")).lower() in names:
            window = window_of(entry.get("context_length"))
    told = _dict(shown)
    if window is None and isinstance(settings := told.get("parameters"), str) and (found := _SET_WINDOW.search(settings)):
        window = window_of(int(found[1]))
    if window is None and model.lower().endswith("cloud"):
        made_for = [value for key, value in _dict(told.get("model_info")).items() if str(key).endswith(".context_length")]
        window = next(filter(None, map(window_of, made_for)), None)
    abilities = told.get("capabilities")
    return Listed(model, (), window, "vision" in abilities if isinstance(abilities, list) else None)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(value: object) -> str:
    return mended(value) if isinstance(value, str) and len(value) <= _LONGEST else ""


def window_of(value: object) -> int | None:
    """Return the tokens that a value says; None where no model holds so many, or so few."""
    known = isinstance(value, int) and not isinstance(value, bool) and 256 <= value <= 1 << 30
    return value if known and isinstance(value, int) else None
