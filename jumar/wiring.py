"""Owns how the parts are put together: tools found by looking, models for what a person chose."""

import importlib
import pkgutil
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import tools
from agent.config import Config, Connection
from agent.errors import JumarError, UsageError
from agent.keys import Keys
from agent.model import Model
from agent.providers.catalogue import Catalogue
from agent.providers.openai import OpenAIModel
from agent.route import LocalRoute, routes
from agent.stored import Stored
from agent.tool import AnyTool, Tool
from jumar import __version__
from jumar.home import Home

if TYPE_CHECKING:
    from agent.providers.anthropic import AnthropicModel

_K2 = re.compile(r"(?:.*/)?kimi-k(2(?:\.\d+)?)(?:-code|-instruct.*|-thinking)?", re.IGNORECASE)


def find_tools() -> dict[str, AnyTool]:
    """Return every tool in `tools/`, under its module's name."""
    found: dict[str, AnyTool] = {}
    for module in pkgutil.iter_modules(tools.__path__):
        names = vars(importlib.import_module(f"tools.{module.name}"))
        [kind] = [
            value
            for value in names.values()
            if isinstance(value, type) and issubclass(value, Tool) and value.__module__ == f"tools.{module.name}"
        ]
        found[module.name] = kind()
    return found


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is asked, the first first: connections, and files of models. `warnings` say what was left out and why."""

    connections: tuple[Connection | LocalRoute, ...]
    warnings: tuple[str, ...] = ()
    catalogue: Catalogue | None = None  # what is known of models

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in use."""
        return tuple(one.key for one in self.connections if isinstance(one, Connection) and one.key)


async def choose(
    settings: Config, environment: Mapping[str, str], place: Home, named: Sequence[str] = (), window: int | None = None
) -> Chosen:
    """Decide what is asked, and find its keys; `window` is the first one's context. Raises UsageError.

    Where only those further down the list have no key, they are left out with a warning.
    """
    stored = Stored(place.state)
    keys = Keys(environment, stored)
    found: list[Connection | LocalRoute] = []
    warnings: list[str] = []
    for number, route in enumerate(routes(settings, environment, named, stored.places)):
        if isinstance(route, LocalRoute):
            found.append(route if number else replace(route, window=window))
            continue
        try:
            key = route.found or await keys.find(route.endpoint)
        except UsageError as error:
            if not found:
                raise
            name = f"{route.endpoint.name}:{route.model}".removesuffix(":")
            warnings.append(f"{name} is left out of the models: {error}")
            continue
        found.append(route.connection(key, None if number else window))
        if route.endpoint.terms and _first_time(place.state / "told" / route.endpoint.server):
            warnings.append(route.endpoint.terms)
    return Chosen(tuple(found), tuple(warnings), Catalogue(settings.overrides, place.models))


async def connected_models(chosen: Chosen) -> tuple[tuple[Model, ...], tuple[str, ...]]:
    """Return the models that are asked, and what was left out of them and why. Raises JumarError for the first."""
    models: list[Model] = []
    warnings: list[str] = []
    try:
        for one in chosen.connections:
            try:
                spare = bool(models)
                found = (
                    _in_file(one) if isinstance(one, LocalRoute) else await connected_model(one, chosen.catalogue, spare=spare)
                )
                models.append(found)
            except JumarError as error:
                if not models:
                    raise
                warnings.append(f"a further model is left out: {error}")
    except BaseException:
        for model in models:
            await model.close()
        raise
    return tuple(models), tuple(warnings)


async def connected_model(connection: Connection, catalogue: Catalogue | None = None, *, spare: bool = False) -> Model:
    """Return the model of a connection; where none is named, one of those that the server offers. Raises JumarError."""
    catalogue = catalogue or Catalogue()
    model = provider(connection, catalogue, spare=spare)
    if connection.model:
        return model
    try:
        offered = await model.list_models()
    finally:
        await model.close()
    return provider(replace(connection, model=pick(offered)), catalogue, spare=spare)


def provider(
    connection: Connection, catalogue: Catalogue | None = None, *, spare: bool = False
) -> "OpenAIModel | AnthropicModel":
    """Return what speaks the protocol of a connection; its model need not be named. A spare one goes on where another failed."""
    user_agent = f"jumar/{__version__}"
    if connection.protocol == "anthropic":
        from agent.providers.anthropic import AnthropicModel  # for those who speak it

        return AnthropicModel(connection, catalogue=catalogue, user_agent=user_agent, spare=spare)
    return OpenAIModel(connection, catalogue=catalogue, user_agent=user_agent, spare=spare)


def _in_file(route: LocalRoute) -> Model:
    from agent.providers.local import LocalModel  # for those who have one

    return LocalModel(route.path, route.window, threads=route.threads)


def _first_time(mark: Path) -> bool:
    """Whether this was not told before; it counts as told from now on."""
    try:
        mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def pick(offered: Sequence[str]) -> str:
    """Choose of a server's models: the only one, else the newest of the Kimi K2 line, else none. Raises UsageError."""
    if len(offered) == 1:
        return offered[0]
    line = {name: float(match[1]) for name in offered if (match := _K2.fullmatch(name))}
    if line:
        return max(line, key=lambda name: (line[name], -len(name), name))
    if not offered:
        raise UsageError("the server names no model; set JUMAR_MODEL, or -m")
    more = f" and {len(offered) - 8} more" if len(offered) > 8 else ""
    raise UsageError(f"say which model: -m or JUMAR_MODEL; the server has {', '.join(offered[:8])}{more}")
