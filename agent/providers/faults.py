"""Owns what a server's refusal means: which fault it is, and the one line that says what to do."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from agent.config import Connection
from agent.endpoints import server_at
from agent.errors import Fault, ModelError
from agent.mask import MASKED, Mask, without_keys
from agent.providers.dialects import MOONSHOT

_LONGEST = 300  # characters of a server's own words
_KEY = re.compile(r"\b(?:sk-|Bearer )[A-Za-z0-9*._-]{8,}")
_CONTEXT = re.compile(
    r"context.?(length|window|size|limit)|exceeds? the (available |model'?s? )?context|maximum context"
    r"|input token length too long|exceeds? the model specification|exceeded model token limit"
    r"|prompt is too long|input is too long|too many (input )?tokens",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"insufficient.?(balance|quota|funds|credit)|recharge|in arrears|exceeded.{0,6}current.?quota|quota exceeded|out of credits"
    r"|account.{0,20}suspended|credit balance|(reached|hit|exceeded).{0,40}usage limits?\b",
    re.IGNORECASE,
)
_PERHAPS_QUOTA = re.compile(r"billing|usage limits?\b", re.IGNORECASE)  # a limit per minute may speak of these too
_DAILY = re.compile(r"\b(TPD|RPD)\b|(tokens|requests) per day|daily", re.IGNORECASE)
_LOAD = re.compile(r"overload|server_busy|capacity|temporarily unavailable", re.IGNORECASE)
_RATE = re.compile(r"rate.?limit|too many requests", re.IGNORECASE)
_KEY_FAULT = re.compile(r"authentication|api.?key|unauthorized|permission.?denied", re.IGNORECASE)
_MODEL = re.compile(r"\bmodel\b|resource_not_found", re.IGNORECASE)
_PLACE = re.compile(r"unexpected endpoint", re.IGNORECASE)  # LM Studio, with a status of success
_KINDS = {  # of Anthropic's and Moonshot's errors, as the status that each comes with where it comes with one
    "content_filter": 400,
    "resource_not_found_error": 404,
    "invalid_request_error": 400,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "overloaded_error": 529,
}
_VERSION = re.compile(r"/v\d+/*\Z")
_HTML = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a server said of its refusal: its words for a person, and everything in which a reason may stand."""

    words: str
    all: str
    code: int = 0


class Faults:
    """Reads the refusals of one connection's server; no line it writes holds the key."""

    def __init__(self, connection: Connection, where: str) -> None:
        self._connection = connection
        self._where = where
        self._mask = Mask((connection.key,))

    def of_response(self, path: str, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        """Return the fault of an answer that is no success; `path` is what was asked for."""
        told = self._read(body)
        if 300 <= status < 400:
            target = urlsplit(headers.get("location", "")).netloc or "another place"
            return ModelError(
                f"{self._where} sends requests on to {target}; set the base URL to where it really is", Fault.REFUSED
            )
        if (status in {404, 405} or (status < 500 and _PLACE.search(told.all))) and not _CONTEXT.search(told.all):
            return self._missing_place(path, status, told)
        return self._classified(status, told, _wait(headers))

    def of_event(self, error: object) -> ModelError:
        """Return the fault of an error that came in place of an answer, where the status said success."""
        told = self._told(error)
        if _PLACE.search(told.all):
            return self._missing_place(self._path(), 0, told)
        return self._classified(told.code, told, None)

    def of_list(self, listed: object) -> ModelError:
        """Return the fault of what came in place of a list of models, where the status said success."""
        error = listed.get("error") if isinstance(listed, dict) else None
        if not error:
            words = f"{self._where} does not list its models; name one with -m or JUMAR_MODEL"
            return ModelError(words, Fault.REFUSED)
        told = self._told(error)
        fault = self._classified(told.code, told, None)
        # Of an error without a reason, that the place is wrong is the likeliest: nothing but the list was asked for.
        unclear = fault.fault is Fault.OVERLOADED and not told.code and not _LOAD.search(told.all)
        return self._missing_place(self._list(), 0, told) if unclear or _PLACE.search(told.all) else fault

    def of_page(self) -> ModelError:
        """Return the fault of an answer that is a web page."""
        hint = self._missing() or "; is the base URL right?"
        return ModelError(f"{self._where} answered with a web page and not as a model{hint}", Fault.REFUSED)

    def of_key(self) -> ModelError | None:
        """Return the fault of a key that cannot be sent at all."""
        key = self._connection.key
        if key.isascii() and key.isprintable() and " " not in key:
            return None
        return ModelError(f"{self._source()} holds characters that no key has; set it again", Fault.AUTHENTICATION)

    def _classified(self, status: int, told: _Told, wait: float | None) -> ModelError:
        said = f": {told.words}" if told.words else ""
        if status == 402 or (status in {0, 400, 403, 429} and _spent(told.all)):
            return ModelError(f"{self._where}: the account of {self._source()} has nothing left to spend{said}", Fault.QUOTA)
        if status == 429 or (not status and _RATE.search(told.all)):
            if _DAILY.search(told.all):
                return ModelError(f"{self._where}: the day's limit is used up{said}", Fault.QUOTA)
            if _LOAD.search(told.all):
                return ModelError(f"{self._where} is overloaded{said}", Fault.OVERLOADED, wait)
            return ModelError(f"{self._where} allows no more requests for now{said}", Fault.RATE, wait)
        if status in {401, 403} or (not status and _KEY_FAULT.search(told.all)):
            return self._authentication(status, said)
        if status == 413 or _CONTEXT.search(told.all):
            return ModelError(f"{self._where}: the conversation no longer fits the model{said}", Fault.CONTEXT)
        if status in {408, 409} or status >= 500 or not status:
            number = f" ({status})" if status else ""
            return ModelError(f"{self._where} could not answer{number}{said}", Fault.OVERLOADED, wait)
        return ModelError(f"{self._where} refused the request ({status}){said}", Fault.REFUSED)

    def _authentication(self, status: int, said: str) -> ModelError:
        connection = self._connection
        if not connection.key:
            how = f"set {connection.key_source}" if connection.key_source else "name its variable as key_env in config.toml"
            return ModelError(f"{self._where} wants a key, and there is none: {how}", Fault.AUTHENTICATION)
        hint = ""
        if server_at(connection.base_url) in MOONSHOT:
            hint = "; keys of api.moonshot.ai, api.moonshot.cn and api.kimi.com are not interchangeable"
        if status == 403:
            return ModelError(f"{self._where}: the key in {self._source()} may not do this{said}{hint}", Fault.AUTHENTICATION)
        words = (
            f"{self._where} does not accept the key in {self._source()}: check that it is whole and belongs to this host{hint}"
        )
        return ModelError(words, Fault.AUTHENTICATION)

    def _missing_place(self, path: str, status: int, told: _Told) -> ModelError:
        said = f": {told.words}" if told.words else ""
        if path != self._list() and status == 404 and told.words and _MODEL.search(told.all):
            name = repr(self._connection.model) if self._connection.model else "a model of its own choice"
            how = f"choose one with -m or JUMAR_MODEL, {self._shown()}{self._list()} lists them"
            return ModelError(f"{self._where} has no model {name} for this key; {how}{said}", Fault.REFUSED)
        number = f" ({status})" if status else ""
        return ModelError(f"{self._shown()}{path} is not there{number}{said}{self._missing()}", Fault.REFUSED)

    def _path(self) -> str:
        return "/v1/messages" if self._connection.protocol == "anthropic" else "/chat/completions"

    def _list(self) -> str:
        return "/v1/models" if self._connection.protocol == "anthropic" else "/models"

    def _missing(self) -> str:
        if self._connection.protocol == "anthropic":
            return "; is it a server of Anthropic's Messages API, and its address whole, as in https://api.moonshot.ai/anthropic?"
        versioned = _VERSION.search(urlsplit(self._connection.base_url).path)
        return "" if versioned else "; does the base URL miss /v1 at its end?"

    def _shown(self) -> str:
        parts = urlsplit(self._connection.base_url)
        return f"{parts.scheme}://{self._where}{parts.path}"

    def _source(self) -> str:
        return self._connection.key_source or "the endpoint's key"

    def _read(self, body: bytes) -> _Told:
        if _HTML.match(body):
            return _Told("", "")
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            text = body.decode("utf-8", "replace")
            return _Told(self._line(text), text)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            value = value.get("error") or value
        return self._told(value)

    def _told(self, error: object) -> _Told:
        if not isinstance(error, dict):
            text = error if isinstance(error, str) else json.dumps(error)
            return _Told(self._line(text), text)
        words = next((error[key] for key in ("message", "detail", "msg", "error") if isinstance(error.get(key), str)), "")
        reasons = " ".join(str(error[key]) for key in ("type", "code", "status") if isinstance(error.get(key), str | int))
        return _Told(self._line(words or reasons), f"{reasons} {words}", _code(error))

    def _line(self, text: str) -> str:
        text = without_keys(self._mask.text(text))
        line = " ".join("".join(character if character.isprintable() else " " for character in text[: 4 * _LONGEST]).split())
        line = _KEY.sub(MASKED, line)
        return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _spent(told: str) -> bool:
    return bool(_QUOTA.search(told) or (_PERHAPS_QUOTA.search(told) and not _RATE.search(told)))


def _code(error: dict[str, Any]) -> int:
    for key in ("code", "status", "status_code"):
        value = error.get(key)
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return _KINDS.get(str(error.get("type")), 0)


def _wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds after which the server wants to be asked again."""
    told = headers.get("retry-after", "").strip()
    if not told:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", told):
        return float(told)
    try:
        then = parsedate_to_datetime(told)
        # The server's own clock, so that a wrong one here makes no difference.
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):
        return None
