"""Owns how names, ids, arguments and values go out: in the form that every server takes."""

import json
import re
from collections.abc import Collection

from agent.safe import mended

NOT_SHOWN = "(an image that this model cannot be shown)"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


def plain_name(name: str) -> str:
    """Return a tool's name with nothing in it that servers refuse."""
    return _NOT_IN_NAMES.sub("_", name)[:64] or "unknown"


def unused_id(wanted: str, used: Collection[str], longest: int) -> str:
    """Return an id of at most so many characters that is not used yet: the wanted one, else that with a number behind it."""
    count = len(used)
    legal = made = wanted[:longest] or f"call_{count}"
    while made in used:
        suffix = f"_{count}"
        made = f"{legal[: longest - len(suffix)]}{suffix}"
        count += 1
    return made


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
