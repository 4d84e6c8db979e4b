"""Owns the command line: what a person may type, and which exit code answers it."""

import argparse
import sys
from collections.abc import Sequence

from jumar import __version__


def parser() -> argparse.ArgumentParser:
    """Return the whole command line."""
    top = argparse.ArgumentParser(prog="jumar", description="An autonomous coding agent for the terminal.")
    top.add_argument("--version", action="version", version=f"jumar {__version__}")
    return top


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line and return its exit code."""
    parser().parse_args(arguments)
    print("jumar: nothing to do; see jumar --help", file=sys.stderr)
    return 2
