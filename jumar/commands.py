"""Owns the commands beside a run: which code carries out each, and the options of the small ones."""

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from agent.errors import UsageError
from agent.safe import safe_json, safe_line
from jumar.arguments import MODES, Parser, need_terminal, options_of, run_parser, seconds, window
from jumar.home import home
from jumar.trust import distrust, tree_root, trust, trusted_roots

_ON_THE_LEDGER = ("actions", "diff", "ledger", "redo", "rescue", "rewind", "show", "undo", "why")


def run(name: str, arguments: Sequence[str]) -> int:
    """Carry out one command and return its exit code."""
    if name in _ON_THE_LEDGER:
        return _ledger(name, arguments)
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "checks": _checks,
        "demo": _demo,
        "doctor": _doctor,
        "endpoints": _endpoints,
        "login": _login,
        "logout": _logout,
        "record": _record,
        "replay": _replay,
        "rules": _rules,
        "schema": _schema,
        "sessions": _sessions,
        "status": _status,
        "trust": _trust,
        "watch": _watch,
        "web": _web,
    }
    return commands[name](arguments)


def _ledger(name: str, arguments: Sequence[str]) -> int:
    from jumar import timeline, undoing

    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "actions": timeline.actions,
        "diff": timeline.difference,
        "ledger": timeline.ledger,
        "redo": undoing.redo,
        "rescue": undoing.rescue,
        "rewind": undoing.rewind,
        "show": timeline.show,
        "undo": undoing.undo,
        "why": timeline.why,
    }
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # so that git, which runs apart from the terminal, ends too
    try:
        return commands[name](arguments)
    except KeyboardInterrupt:
        return 130


def _rules(arguments: Sequence[str]) -> int:
    from jumar.ruling import rules

    return rules(arguments)


def _checks(arguments: Sequence[str]) -> int:
    from jumar.checking import checks

    return checks(arguments)


def _status(arguments: Sequence[str]) -> int:
    from jumar.status import status

    return status(arguments)


def _schema(arguments: Sequence[str]) -> int:
    Parser(prog="jumar schema", description="Print the JSON Schema of one line of --output-format stream-json.").parse_args(
        arguments
    )
    from agent.events.event import schema

    print(json.dumps(schema(), indent=1))
    return 0


def _sessions(arguments: Sequence[str]) -> int:
    parser = Parser(prog="jumar sessions", description="List the sessions, newest first.")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args(arguments)
    from agent.log import sessions

    summary = None
    for summary in sessions(home(os.environ).sessions):
        if given.json:
            row = {**asdict(summary), "path": str(summary.path)}
            print(safe_json(json.dumps(row, ensure_ascii=False)))
        else:
            turns = f"{summary.turns:3} turn{' ' if summary.turns == 1 else 's'}"
            print(f"{summary.id}  {summary.status:11}  {turns}  {safe_line(summary.root)}  {safe_line(summary.title)}")
    if summary is None and not given.json:
        print("there is no session yet", file=sys.stderr)
    return 0


def _trust(arguments: Sequence[str]) -> int:
    parser = Parser(prog="jumar trust", description="Trust a work tree: its files may then be read, and run as you allow.")
    parser.add_argument("path", nargs="?", default=".", metavar="PATH")
    parser.add_argument("--list", action="store_true", help="list what is trusted")
    parser.add_argument("--remove", action="store_true", help="trust it no more")
    given = parser.parse_args(arguments)
    place = home(os.environ)
    if given.list:
        known = trusted_roots(place)
        if not known:
            print("nothing is trusted yet; jumar trust trusts the current work tree", file=sys.stderr)
        for one in known:
            print(safe_line(one))
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


def _watch(arguments: Sequence[str]) -> int:
    from jumar.watching import watch

    return watch(arguments)


def _web(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="jumar web",
        usage="jumar web [--port N] [--open] [OPTION ...]",
        description="Show the screen in a browser, on this machine alone. All options of a run that the screen has can follow.",
    )
    parser.add_argument("--port", type=int, default=0, metavar="N", help="where to listen on 127.0.0.1; a free one without it")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    given, rest = parser.parse_known_args(arguments)
    if not 0 <= given.port < 1 << 16:
        parser.error(f"{given.port} is no port")
    whole = run_parser("jumar web")
    if not options_of(whole, whole.parse_args(rest), terminal=True).screen:
        parser.error("the screen is what is served; -p and the formats are not for it")
    import asyncio

    from jumar.web import serve

    return asyncio.run(serve(rest, given.port, opens=given.open))


def _demo(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="jumar demo", description="See jumar build a typing game from a recording: no key, no network, real tools."
    )
    parser.add_argument("--into", metavar="DIR", help="an empty or new folder for it; a fresh temporary one without it")
    parser.add_argument("--fast", action="store_true", help="do not wait between the steps")
    parser.add_argument("--screen", action="store_true", help="in the screen, where you approve, refuse and undo")
    parser.add_argument("--mode", default="", choices=MODES, metavar="MODE", help="of --screen; else what is usual: auto, or ask")
    given = parser.parse_args(arguments)
    from jumar.demo import demo, demo_on_screen

    into = Path(given.into) if given.into else None
    if given.screen:
        need_terminal(parser)
        return demo_on_screen(into, given.mode, fast=given.fast, progress=sys.stderr)
    if given.mode:
        parser.error("--mode is for --screen; without it nothing is asked")
    return demo(into, fast=given.fast, out=sys.stdout, progress=sys.stderr)


def _endpoints(arguments: Sequence[str]) -> int:
    parser = Parser(prog="jumar endpoints", description="List the servers that are known, and where their keys are.")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args(arguments)
    return _list_endpoints(as_json=given.json)


def _list_endpoints(*, as_json: bool) -> int:
    from agent.config import load
    from agent.stored import Stored
    from jumar.login import print_rows, rows

    place = home(os.environ)
    listed = rows(load(place.config / "config.toml"), os.environ, Stored(place.state))
    if as_json:
        for row in listed:
            print(safe_json(json.dumps(row, ensure_ascii=False)))
    else:
        print_rows(listed, sys.stdout)
    return 0


def _login(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="jumar login",
        description="Store the key of an endpoint: it is typed without being shown, or the first line of stdin.",
    )
    parser.add_argument("endpoint", nargs="?", default="", metavar="ENDPOINT", help="its name, see jumar endpoints")
    parser.add_argument("--list", action="store_true", help="what jumar endpoints says")
    given = parser.parse_args(arguments)
    if given.list:
        return _list_endpoints(as_json=False)
    if not given.endpoint:
        parser.error("say which endpoint; jumar endpoints lists them")
    import asyncio

    from agent.config import load
    from agent.keys import Keys
    from agent.stored import Stored
    from jumar.login import ask_for_key, log_in, named

    place = home(os.environ)
    endpoint = named(given.endpoint, load(place.config / "config.toml"))
    asyncio.run(log_in(endpoint, ask_for_key(endpoint), Keys(os.environ, Stored(place.state)), sys.stdout))
    return 0


def _logout(arguments: Sequence[str]) -> int:
    parser = Parser(prog="jumar logout", description="Remove the stored key of an endpoint.")
    parser.add_argument("endpoint", metavar="ENDPOINT", help="its name, see jumar endpoints")
    given = parser.parse_args(arguments)
    import asyncio

    from agent.stored import Stored

    where = asyncio.run(Stored(home(os.environ).state).forget(given.endpoint))
    print(f"the key of {safe_line(given.endpoint)} is removed from {safe_line(where)}")
    return 0


def _doctor(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="jumar doctor",
        description="Ask a model twenty short questions: how well it and its server work with jumar, and what mends it. "
        "It says first how many tokens that may take. Exit codes: 0 it works, 1 it does not or was refused, "
        "75 no connection, 77 no key, 130 interrupted.",
    )
    parser.add_argument("-m", "--model", default="", metavar="NAME", help="the model; without it the one that a run would ask")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--context", type=window, metavar="TOKENS", help="how much it holds, where that is not found out")
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="for each answer; 180 without it")
    given = parser.parse_args(arguments)
    import asyncio

    from jumar.doctor import SECONDS, Asked, Doctor

    asked = Asked(given.model, given.context, given.timeout or SECONDS, as_json=given.json)
    return asyncio.run(Doctor(os.environ, asked, sys.stdout, sys.stderr).run())
