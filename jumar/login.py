"""Owns the commands on keys: storing one, removing it, and telling where they are without telling one."""

import asyncio
import sys
from collections.abc import Mapping
from typing import TextIO

from agent.config import Config
from agent.endpoints import Endpoint, is_open_line, shown
from agent.errors import Fault, ModelError, UsageError
from agent.keys import Keys
from agent.route import Route, known, unknown
from agent.safe import safe_line
from agent.stored import Found, Stored
from jumar.wiring import provider

_LONGEST = 16 << 10  # characters of a key
_SECONDS = 30.0  # for the server to say what it thinks of a key


def named(name: str, settings: Config) -> Endpoint:
    """Return the endpoint of that name. Raises UsageError."""
    endpoints = known(settings)
    endpoint = endpoints.get(name)
    if endpoint is None:
        raise UsageError(unknown(name, endpoints))
    return endpoint


async def log_in(endpoint: Endpoint, key: str, keys: Keys, out: TextIO) -> None:
    """Ask the endpoint what it thinks of the key, store it, and say both. Raises JumarError where it is refused."""
    stored = keys.stored
    if not key:
        raise UsageError("no key was given; nothing is stored")
    if len(key) > _LONGEST or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("this is no key: it holds spaces or characters that no key has; nothing is stored")
    out.write(f"{safe_line(await _verdict(endpoint, key))}\n")
    if is_open_line(endpoint.base_url):
        out.write("the key goes there unencrypted, where others on the way can read it: its address begins with http://\n")
    where = await stored.keep(endpoint, key)
    if where == str(stored.path):
        out.write("no keyring takes it (is jumar[keyring] installed?), so it is in a file that only you can read\n")
    out.write(f"the key of {endpoint.name} is stored in {where}; use it: jumar -p PROMPT -m {endpoint.name}:MODEL\n")
    if earlier := keys.where(endpoint, {}):
        out.write(f"but the key in {safe_line(earlier)} comes before it\n")


async def _verdict(endpoint: Endpoint, key: str) -> str:
    """Return what the endpoint says of the key, in words. Raises ModelError where it does not accept it."""
    where = shown(endpoint.base_url)
    try:
        async with asyncio.timeout(_SECONDS):
            offered = await _offered(endpoint, key)
            open_to_all = await _is_open(endpoint)
    except TimeoutError:
        return f"not verified: {where} did not answer for {_SECONDS:g} s"
    except ModelError as error:
        if error.fault is Fault.AUTHENTICATION:
            raise ModelError(f"{error}; nothing is stored", error.fault) from error
        return f"not verified: {error}"
    more = f" and {len(offered) - 4} more" if len(offered) > 4 else ""
    has = f"it has {', '.join(offered[:4])}{more}" if offered else "it names no model"
    if open_to_all:
        return f"not verified: {where} lists its models without a key too; {has}"
    return f"{where} accepts the key; {has}"


async def _offered(endpoint: Endpoint, key: str) -> list[str]:
    model = provider(Route(endpoint, "").connection(Found(key, "what you typed")))
    try:
        return await model.list_models()
    finally:
        await model.close()


async def _is_open(endpoint: Endpoint) -> bool:
    """Whether it lists its models for anybody: that it does so says nothing of a key."""
    try:
        await _offered(endpoint, "")
    except ModelError:
        return False
    return True


def ask_for_key(endpoint: Endpoint) -> str:
    """Read a key from the terminal without showing it, or the first line of stdin where that is none. Raises UsageError."""
    if endpoint.terms:
        print(endpoint.terms, file=sys.stderr)
    if not sys.stdin.isatty():
        return sys.stdin.buffer.readline(_LONGEST + 2).decode("utf-8", "replace").strip()
    import getpass
    import signal

    def end(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    # Without this, a signal would leave the terminal as it is while nothing is to be shown.
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return getpass.getpass(f"key of {endpoint.name} ({shown(endpoint.base_url)}; it is not shown): ").strip()
    except (EOFError, KeyboardInterrupt) as error:
        print(file=sys.stderr)
        number = error.args[0] if isinstance(error, KeyboardInterrupt) else signal.SIGINT
        raise UsageError("nothing is stored", 128 + number) from None
    finally:
        for number, handling in before.items():
            signal.signal(number, handling)


def rows(settings: Config, environment: Mapping[str, str], stored: Stored) -> list[dict[str, str]]:
    """Return every endpoint: its name, address and protocol, where its key is, and a word on it. Raises UsageError."""
    keys, places = Keys(environment, stored), stored.places()
    found = []
    for endpoint in known(settings).values():
        where = keys.where(endpoint, places)
        found.append(
            {
                "name": endpoint.name,
                "base_url": shown(endpoint.base_url),
                "protocol": endpoint.protocol,
                "key": where or ("not needed" if endpoint.keyless else "none"),
                "variable": endpoint.variable,
                "note": endpoint.note,
            }
        )
    return found


def print_rows(listed: list[dict[str, str]], out: TextIO) -> None:
    """Write one line an endpoint."""
    widths = {column: max(len(row[column]) for row in listed) for column in ("name", "base_url", "protocol")}
    for row in listed:
        cells = "  ".join(row[column].ljust(width) for column, width in widths.items())
        key = row["key"]
        if key == "none":
            key = f"none: export {row['variable']}" if row["variable"] else f"none: jumar login {row['name']}"
        elif key != "not needed":
            key = f"in {key}"
        line = f"{cells}  key {key} · {row['note']}"
        out.write(f"{safe_line(line)}\n")
