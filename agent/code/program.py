"""Owns how a parser is started as a program of its own, so that what crashes it or fills the memory is not jumar."""

import importlib.util
import sys
from pathlib import Path

import agent

# Isolated and without `site`: nothing is imported that a workspace or an environment supplies, and it starts at once.
_START = "import sys, importlib; sys.path += sys.argv[2:]; importlib.import_module(sys.argv[1]).main()"


def command(module: str) -> list[str]:
    """Return the command that runs `main` of one of our modules with the parsers that are installed."""
    folders = [str(Path(path).parent) for path in agent.__path__]
    installed = importlib.util.find_spec("tree_sitter")
    if installed is not None and installed.origin is not None:
        folders.append(str(Path(installed.origin).parent.parent))
    return [sys.executable, "-I", "-S", "-c", _START, module, *dict.fromkeys(folders)]
