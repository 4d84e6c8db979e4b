"""Owns what is known of a model: by the person, by its server, by the table of families, else assumed."""

import asyncio
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agent.config import Connection, ModelTable
from agent.endpoints import server_at
from agent.errors import ModelError
from agent.model import Capabilities, Price
from agent.providers.dialects import HOSTED, SELF_HOSTED
from agent.providers.families import Family, family_of
from agent.providers.listing import Inquiry, Listed, Listing, window_of

_FRESH = 24 * 3600.0  # seconds
_LARGEST = 32 << 20  # bytes
_ASSUMED = 131_072
_ASSUMPTION = "assumed; --context says otherwise"
_ASSUMED_AT_HOME = 32_768  # of a server that runs models with less than what they are made for
_TELL_MORE = frozenset({"llama.cpp", "lm-studio", "ollama"})


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model. Its efforts and its sampling are what the person or its server says; the rest is its family's."""

    capabilities: Capabilities
    server: str
    family: Family
    efforts: tuple[str, ...] = ()
    sampling: Mapping[str, float] = field(default_factory=dict)


class Catalogue:
    """Resolves models.

    `overrides` are the person's, by regular expression; `cache` is a file for what servers list; `seconds` is how long one is
    asked at most.
    """

    def __init__(
        self, overrides: Mapping[str, ModelTable] | None = None, cache: Path | None = None, *, seconds: float = 5.0
    ) -> None:
        self._seconds = seconds
        self._overrides = overrides or {}
        self._cache = _Cache(cache) if cache else None
        self._listings: dict[str, Listing | None] = {}  # by address, None where asking came to nothing
        self._more: dict[tuple[str, str], Listed] = {}
        self._asking = asyncio.Lock()

    def known(self, connection: Connection) -> Known:
        """Return what is known without asking anybody."""
        more = self._more.get((connection.base_url, connection.model))
        return self._resolved(connection, self._listings.get(connection.base_url), more)

    async def find(self, connection: Connection, inquiry: Inquiry) -> Known:
        """Return what is known, where need be after asking the server, once; that this came to nothing is no fault."""
        async with self._asking:
            with suppress(ModelError, TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._ask(connection, inquiry)
        return self.known(connection)

    def remember(self, base_url: str, listing: Listing) -> None:
        """Keep what a server listed, so that it is not asked again."""
        self._listings[base_url] = listing
        # What runs at home may run otherwise after its next start, and is asked in no time.
        if self._cache is not None and listing.server not in SELF_HOSTED:
            self._cache.write(base_url, listing)

    async def _ask(self, connection: Connection, inquiry: Inquiry) -> None:
        base_url = connection.base_url
        if self._enough(connection):
            return
        if base_url not in self._listings:
            kept = self._cache.read(base_url) if self._cache else None
            if kept is not None and kept.find(connection.model) is not None:
                self._listings[base_url] = kept
            else:
                self._listings[base_url] = None
                self.remember(base_url, await inquiry.models())
        server = _server(connection, self._listings[base_url])
        if server in _TELL_MORE and (base_url, connection.model) not in self._more:
            listing = self._listings[base_url]
            named = listing.find(connection.model) if listing else None
            self._more[base_url, connection.model] = await inquiry.more(server, named.id if named else connection.model)

    def _enough(self, connection: Connection) -> bool:
        """Tell whether the server could say nothing that is not known."""
        server, family = _server(connection, None), family_of(connection.model)
        if server in HOSTED - {"openrouter"}:
            return family.window is not None
        return server in {"vllm", "sglang"} and connection.window is not None and bool(family.name)

    def _resolved(self, connection: Connection, listing: Listing | None, more: Listed | None) -> Known:
        listed = listing.find(connection.model) if listing else None
        told = [one for one in (more, listed) if one]
        names = [connection.model, *[name for one in told for name in (one.id, *one.names)]]
        family = next((family for name in names if (family := family_of(name)).name), Family())
        said = self._said(names)
        server = _server(connection, listing)
        window, source = _window(connection, said, more, listed, family, server)
        images = _first(said.images, *[one.images for one in told])
        if images is None:  # who runs a model at home often has no more of it than what reads text
            images = family.images and server not in _TELL_MORE
        efforts = _first(said.efforts, *[one.efforts or None for one in told]) or ()
        sampling = {key: value for key in ("temperature", "top_p") if (value := getattr(said, key)) is not None}
        price = _price(connection, said, told, family)
        return Known(Capabilities(window, images, efforts, price, source, server=server), server, family, efforts, sampling)

    def _said(self, names: list[str]) -> ModelTable:
        for name in names:
            for pattern, table in self._overrides.items():
                if re.search(pattern, name, re.IGNORECASE):
                    return table
        return ModelTable()


def _server(connection: Connection, listing: Listing | None) -> str:
    """Return which kind of server it is: an address may only be a guess, where a list of models is a proof."""
    meant = connection.server or server_at(connection.base_url)
    if meant in HOSTED:
        return meant
    return (listing.server if listing else "") or meant


def _window(
    connection: Connection, said: ModelTable, more: Listed | None, listed: Listed | None, family: Family, server: str
) -> tuple[int, str]:
    if connection.window is not None:
        return connection.window, "as you said"
    if said.context is not None:
        return said.context, "config.toml"
    window = listed.window if listed else None
    if server in _TELL_MORE:
        if more is not None and more.window is not None:
            return more.window, "the server"
        # What a model is made for is no more than the most that a server at home may run it with.
        return min(window or family.window or _ASSUMED_AT_HOME, _ASSUMED_AT_HOME), _ASSUMPTION
    if window is not None:
        return window, "the server"
    if family.window is not None:
        return family.window, f"the table of models: {family.name}"
    return _ASSUMED, _ASSUMPTION


def _price(connection: Connection, said: ModelTable, told: list[Listed], family: Family) -> Price | None:
    """Return the price: it is the host's where the request really goes, and of no other that serves the same model."""
    if said.price is not None:
        return Price(said.price.hit, said.price.miss, said.price.output, said.price.write)
    host = server_at(connection.base_url)
    if host == "openrouter":
        return next((one.price for one in told if one.price), None)
    return family.prices.get(host)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


class _Cache:
    """What servers listed within the last day, in one file; a file or a disk that does not serve is no fault."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, base_url: str) -> Listing | None:
        """Return what is kept of the server at an address, where it is whole and fresh."""
        try:
            kept = self._all()[_key(base_url)]
            models = tuple(_listed(entry) for entry in kept["models"])
            if any(listed.window != entry["window"] for listed, entry in zip(models, kept["models"], strict=True)):
                return None
            return Listing(str(kept["server"]), models)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return None

    def write(self, base_url: str, listing: Listing) -> None:
        """Keep a listing, for the person's eyes alone."""
        servers = {**self._all(), _key(base_url): {"at": time.time(), **asdict(listing)}}
        text = json.dumps({"v": 1, "servers": servers}, separators=(",", ":"))
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number, name = tempfile.mkstemp(dir=self._path.parent, prefix=".models-")  # of mode 0600
            try:
                with os.fdopen(number, "w", encoding="utf-8") as file:
                    file.write(text)
                Path(name).replace(self._path)
            except OSError:
                Path(name).unlink(missing_ok=True)

    def _all(self) -> dict[str, Any]:
        try:
            if self._path.stat().st_size > _LARGEST:
                return {}
            kept = json.loads(self._path.read_text("utf-8"))
            if kept["v"] != 1:
                return {}
            return {key: one for key, one in kept["servers"].items() if 0 <= time.time() - one["at"] < _FRESH}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}


def _key(base_url: str) -> str:
    return hashlib.sha256(base_url.encode("utf-8", "replace")).hexdigest()[:32]  # an address may hold a password


def _listed(entry: Mapping[str, Any]) -> Listed:
    return Listed(
        id=str(entry["id"]),
        names=tuple(map(str, entry["names"])),
        window=window_of(entry["window"]),
        images=None if entry["images"] is None else bool(entry["images"]),
        efforts=tuple(map(str, entry["efforts"])),
        price=None if entry["price"] is None else _priced(entry["price"]),
    )


def _priced(price: Mapping[str, Any]) -> Price:
    write = price["write"]
    return Price(float(price["hit"]), float(price["miss"]), float(price["output"]), None if write is None else float(write))
