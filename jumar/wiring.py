"""Owns how the parts are put together: tools found by looking, a model for a connection."""

import importlib
import pkgutil
import re
from collections.abc import Sequence
from dataclasses import replace

import tools
from agent.config import Connection
from agent.errors import UsageError
from agent.model import Model
from agent.providers.openai import OpenAIModel
from agent.tool import AnyTool, Tool

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


async def connected_model(connection: Connection) -> Model:
    """Return the model of a connection; where none is named, one of those that the server offers. Raises JumarError."""
    model = OpenAIModel(connection)
    if connection.model:
        return model
    try:
        offered = await model.list_models()
    finally:
        await model.close()
    return OpenAIModel(replace(connection, model=chosen(offered)))


def chosen(offered: Sequence[str]) -> str:
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
