"""Owns how names, arguments and values go out: in the form that every server takes."""

import json
import re

from agent.safe import mended

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


def plain_name(name: str) -> str:
    """Return a tool's name with nothing in it that servers refuse."""
    return _NOT_IN_NAMES.sub("_", name)[:64] or "unknown"


def plain_arguments(text: str) -> str:
    """Return arguments that every server takes: as they came where they are a JSON object, else mended, else `{}`.

    Of an object and more only the object goes back: it is what ran, where anything did.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
        if isinstance(value, dict):
            return _compact(value) if _HALF_CHARACTER.search(text) else text
    except (ValueError, RecursionError):
        pass
    try:
        value, _ = json.JSONDecoder(strict=False, parse_constant=_refuse).raw_decode(text.strip())
        return _compact(value) if isinstance(value, dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _compact(value: object) -> str:
    return mended(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def plain_json(value: object) -> bytes:
    """Return the value as JSON without a needless byte, and with no half of a character in it."""
    return _compact(value).encode()
