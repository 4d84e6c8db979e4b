"""Owns how the parts are put together: tools found by looking, a model for a connection."""

import importlib
import pkgutil

import tools
from agent.tool import AnyTool, Tool


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
