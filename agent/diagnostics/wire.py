"""Owns reading what a language server says: whole messages within bounds, and of those only what a client has to hear."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from agent.diagnostics.contract import Broken

_LARGEST = 8 << 20  # bytes of a message
_BESIDE = 256 << 10  # from how many on it is read in a thread
_MOST_HEADERS = 16
_WINDOW = 5.0  # seconds in which no more may come than this:
_MOST_MESSAGES = 4_000
_MOST_BYTES = 64 << 20
_MOST_WRONG = 20
_MOST_PROBLEMS = 500  # of one file
_REQUESTS = frozenset(
    (
        "workspace/configuration",
        "workspace/workspaceFolders",
        "workspace/diagnostic/refresh",
        "client/registerCapability",
        "client/unregisterCapability",
        "window/workDoneProgress/create",
        "window/showMessageRequest",
    )
)
UNHEARD = "jumar/unheard"  # stands for every other, which is refused, whatever the library would do
_NOTICES = frozenset(("textDocument/publishDiagnostics",))
_PROVIDES = "diagnosticProvider"
_PARTS = ("range", "severity", "code", "message", "source")  # of a problem


class NoMessageError(ValueError):
    """It is none of the protocol."""


async def messages(said: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Yield the messages that matter until there are no more. Raises Broken where it floods, or what it says is none."""
    wrong, count, size, since = 0, 0, 0, time.monotonic()
    while True:
        try:
            raw = await _message(said)
        except (EOFError, ConnectionError):
            return
        now = time.monotonic()
        if now - since > _WINDOW:
            count, size, since = 0, 0, now
        count, size = count + 1, size + len(raw)
        if count > _MOST_MESSAGES or size > _MOST_BYTES:
            raise Broken("it says more than anybody can hear")
        try:
            message = await asyncio.to_thread(json.loads, raw) if len(raw) > _BESIDE else json.loads(raw)
            heard = _trimmed(message)
        except (ValueError, RecursionError):
            heard = None
            wrong += 1
            if wrong > _MOST_WRONG:
                raise Broken("what it says is no JSON") from None
        if heard is not None:
            yield heard
        await asyncio.sleep(0)  # others have their turn, however much it says


async def _message(said: asyncio.StreamReader) -> bytes:
    """Return the next one. Raises EOFError, or Broken where there is none to be found."""
    length = -1
    for _ in range(_MOST_HEADERS):
        try:
            line = await said.readline()
        except ValueError:
            raise Broken("it speaks another language than it should") from None
        if not line:
            raise EOFError
        name, _, value = line.strip().partition(b":")
        if not name:
            break
        if name.lower() == b"content-length" and value.strip().isdigit() and len(value) < 20:
            length = int(value)
    if length < 0:
        raise Broken("it speaks another language than it should")
    if length > _LARGEST:
        raise Broken(f"it sends a message of {length >> 20} MiB")
    return await said.readexactly(length)


def _trimmed(message: object) -> dict[str, Any] | None:
    """Return a message without what nobody reads, None where nobody reads any of it. Raises NoMessageError where it is none."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise NoMessageError
    method, number = message.get("method"), message.get("id")
    if method is None:
        if not isinstance(number, str):
            raise NoMessageError
        if "error" not in message:
            message["result"] = _answer(message.get("result"))
        return message
    if number is not None:
        if not isinstance(number, int | str):
            raise NoMessageError
        return message if method in _REQUESTS else {"jsonrpc": "2.0", "id": number, "method": UNHEARD, "params": None}
    if method not in _NOTICES:
        return None
    said = message.get("params")
    if not isinstance(said, dict) or not isinstance(said.get("uri"), str):
        raise NoMessageError
    version = said.get("version")
    kept = {"uri": said["uri"], "diagnostics": _few(said.get("diagnostics"))}
    message["params"] = kept | ({"version": version} if isinstance(version, int) else {})
    return message


def _answer(result: object) -> object:
    """Return of what it answers what is asked of it: how it tells problems, and problems."""
    if not isinstance(result, dict):
        return result
    if isinstance(able := result.get("capabilities"), dict):
        return {"capabilities": {_PROVIDES: able[_PROVIDES]} if able.get(_PROVIDES) else {}}
    if "items" in result:
        return {"kind": "full", "items": _few(result["items"])}
    return {"kind": "unchanged", "resultId": str(result.get("resultId"))}


def _few(problems: object) -> list[dict[str, Any]]:
    if not isinstance(problems, list):
        raise NoMessageError
    return [{part: one[part] for part in _PARTS if part in one} for one in problems[:_MOST_PROBLEMS] if isinstance(one, dict)]
