"""Owns the commands beside a run: sessions, schema, trust, record, replay, demo, endpoints, login, logout."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from agent.errors import UsageError
from agent.safe import safe_line
from jumar.arguments import Parser, seconds
from jumar.home import home
from jumar.trust import distrust, tree_root, trust, trusted_roots


def run(name: str, arguments: Sequence[str]) -> int:
    """Carry out one command and return its exit code."""
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "demo": _demo,
        "record": _record,
        "replay": _replay,
        "schema": _schema,
        "sessions": _sessions,
        "trust": _trust,
    }
    return commands[name](arguments)


def _schema(arguments: Sequence[str]) -> int:
    Parser(prog="jumar schema", description="Print the JSON Schema of one line of --output-format stream-json.").parse_args(
        arguments
    )
    from agent.events import schema

    print(json.dumps(schema(), indent=1))
    return 0


def _sessions(arguments: Sequence[str]) -> int:
    parser = Parser(prog="jumar sessions", description="List the sessions, newest first.")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args(arguments)
    from agent.log import sessions

    for summary in sessions(home(os.environ).sessions):
        if given.json:
            row = {**asdict(summary), "path": str(summary.path)}
            print(json.dumps(row, ensure_ascii=False))
        else:
            turns = f"{summary.turns:3} turn{' ' if summary.turns == 1 else 's'}"
            print(f"{summary.id}  {summary.status:11}  {turns}  {safe_line(summary.root)}  {safe_line(summary.title)}")
    return 0


def _trust(arguments: Sequence[str]) -> int:
    parser = Parser(prog="jumar trust", description="Trust a work tree: its files may then be read, and run as you allow.")
    parser.add_argument("path", nargs="?", default=".", metavar="PATH")
    parser.add_argument("--list", action="store_true", help="list what is trusted")
    parser.add_argument("--remove", action="store_true", help="trust it no more")
    given = parser.parse_args(arguments)
    place = home(os.environ)
    if given.list:
        for known in trusted_roots(place):
            print(safe_line(known))
        return 0
    if not Path(given.path).is_dir():
        raise UsageError(f"{given.path!r} is no folder")
    root = tree_root(Path(given.path))
    if given.remove:
        distrust(place, root)
        print(f"no longer trusted: {safe_line(str(root))}")
    else:
        trust(place, root)
        print(f"trusted: {safe_line(str(root))}")
    return 0


def _record(arguments: Sequence[str]) -> int:
    parser = Parser(prog="jumar record", description="Make a recording of a session, to be replayed without a model.")
    parser.add_argument("session", metavar="SESSION", help="its id, see jumar sessions")
    parser.add_argument("file", nargs="?", metavar="FILE", help="where to write; stdout without it")
    parser.add_argument("--title", default="", help="what the recording is called")
    given = parser.parse_args(arguments)
    from jumar.recording import record

    record(home(os.environ).sessions, given.session, given.title, Path(given.file) if given.file else None)
    return 0


def _replay(arguments: Sequence[str]) -> int:
    from jumar.recording import replay

    return replay(arguments)


def _demo(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="jumar demo", description="See jumar build a typing game from a recording: no key, no network, real tools."
    )
    parser.add_argument("--into", metavar="DIR", help="an empty or new folder for it; a fresh temporary one without it")
    parser.add_argument("--fast", action="store_true", help="do not wait between the steps")
    given = parser.parse_args(arguments)
    from jumar.demo import demo

    return demo(Path(given.into) if given.into else None, fast=given.fast, out=sys.stdout, progress=sys.stderr)
