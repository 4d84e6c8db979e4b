"""Owns the person's settings: one TOML file → one frozen value, and the connection that comes of it."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from agent.endpoints import Protocol, built_in
from agent.errors import ToolFailure, UsageError
from agent.workspace.globs import matching

Effort = Literal["on", "off", "none", "minimal", "low", "medium", "high", "xhigh", "max"]
_Dollars = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
_Tokens = Annotated[int, Field(strict=True, ge=1024, le=1 << 30)]
_Yes = Annotated[bool, Field(strict=True)]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_KEY_HEADERS = frozenset({"authorization", "x-api-key"})
# In the words of the file, where pydantic has those of Python.
_WRONG_KINDS = {
    "tuple_type": 'it is a list, such as ["a", "b"]',
    "string_type": "it is a text in quotes",
    "int_type": "it is a whole number",
    "float_type": "it is a number",
    "finite_number": "it is a number",
    "bool_type": "it is true or false",
    "missing": "it is missing",
    "dict_type": "it is a table",
    "model_type": "it is a table",
}


class Strict(BaseModel):
    """A table whose keys are all known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EndpointTable(Strict):
    """A server of the person's: where it is, and where its key comes from."""

    base_url: str = ""
    protocol: Protocol | None = None
    key_env: str = ""
    key_command: tuple[str, ...] = ()
    server: str = ""
    model: str = ""
    headers: dict[str, str] = {}
    context: _Tokens | None = None

    @field_validator("key_env")
    @classmethod
    def _variable(cls, name: str) -> str:
        if name and (not _VARIABLE.fullmatch(name) or name in {"HOME", "PATH"}):
            raise ValueError("it names the variable that holds the key; a key itself never stands in this file")
        return name

    @field_validator("server")
    @classmethod
    def _known(cls, server: str) -> str:
        if server and built_in(server) is None:
            raise ValueError(f"{server!r} is no built-in endpoint; jumar endpoints lists them")
        return server

    @field_validator("key_command")
    @classmethod
    def _whole(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if command and (not command[0] or any("\0" in word for word in command)):
            raise ValueError('it is a list of words, such as ["pass", "show", "moonshot"]')
        return command

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if name.lower() in _KEY_HEADERS:
                raise ValueError(f"{name} is made from the key: name its variable with key_env, or use key_command")
            if not _HEADER.fullmatch(name) or not (value.isascii() and value.isprintable()):
                raise ValueError(f"{name!r} cannot be sent as a header")
        return headers


class PriceTable(Strict):
    """US dollars for a million tokens: read from the cache, not read from it, answered, written to the cache."""

    hit: _Dollars
    miss: _Dollars
    output: _Dollars
    write: _Dollars | None = None


class ModelTable(Strict):
    """What the person says of the models whose names a regular expression matches."""

    context: _Tokens | None = None
    images: _Yes | None = None
    efforts: tuple[Effort, ...] | None = None
    price: PriceTable | None = None
    temperature: Annotated[float, Field(strict=True, ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None


class CheckTable(Strict):
    """A check of the person's: a command that says whether the work is as it should be, and the files that it is of."""

    command: str
    files: tuple[str, ...] = ()
    when: Literal["turn", "edit"] = "turn"
    seconds: Annotated[float, Field(strict=True, gt=0, le=1800)] = 600
    folder: str = ""  # the only work tree that it is of

    @field_validator("command")
    @classmethod
    def _one(cls, command: str) -> str:
        if not command.strip() or "\0" in command:
            raise ValueError("it is a command, such as 'pytest -q'")
        return command

    @field_validator("files")
    @classmethod
    def _globs(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        for glob in files:
            try:
                matching(glob)
            except ToolFailure as error:
                raise ValueError(str(error).rstrip(".")) from error
        return files

    @field_validator("folder")
    @classmethod
    def _whole(cls, folder: str) -> str:
        if folder and not folder.startswith(("/", "~")):
            raise ValueError(f"{folder!r} is no whole path; it begins with / or ~")
        return folder


class DiagnosticsTable(Strict):
    """Whether language servers and linters are asked what is wrong with changes, and which are not."""

    enabled: _Yes = True
    without: tuple[str, ...] = ()

    @field_validator("without")
    @classmethod
    def _known(cls, without: tuple[str, ...]) -> tuple[str, ...]:
        if without:
            from agent.diagnostics.programs import programs  # for those who leave some out

            known = sorted({program.name for programs_of_kind in programs() for program in programs_of_kind})
            if unknown := [name for name in without if name not in known]:
                raise ValueError(f"{unknown[0]!r} is no language server or linter; known are {', '.join(known)}")
        return without


class Config(Strict):
    """What `config.toml` may say."""

    endpoint: str = ""
    model: str = ""
    models: tuple[str, ...] = ()
    effort: Effort | None = None
    local_threads: Annotated[int, Field(strict=True, ge=1, le=512)] = 1  # of a model in a file
    mode: Literal["plan", "ask", "edits", "auto"] | None = None  # None: auto where a sandbox holds, else ask
    sandbox: Literal["auto", "bubblewrap", "landlock", "seatbelt", "off"] = "auto"
    map_tokens: Annotated[int, Field(strict=True, ge=0, le=20_000)] = 1200  # of the map of the code; 0 for none
    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    endpoints: dict[str, EndpointTable] = {}
    overrides: dict[str, ModelTable] = {}
    checks: dict[str, CheckTable] = {}
    diagnostics: DiagnosticsTable = DiagnosticsTable()
    remind: _Yes = True  # the model, once a turn, of what it leaves unchecked and of files that commands left
    keys: dict[str, str] = {}  # of the screen, which says what they may be

    @field_validator("endpoint", mode="before")
    @classmethod
    def _one(cls, endpoint: object) -> object:
        if isinstance(endpoint, Mapping):
            raise PydanticCustomError("endpoint", "it is the name of one; what is known of it stands in [endpoints.NAME]")
        return endpoint

    @field_validator("models", mode="before")
    @classmethod
    def _listed(cls, models: object) -> object:
        if isinstance(models, Mapping):
            raise PydanticCustomError("models", 'it is a list of names; what is known of a model stands in [overrides."REGEX"]')
        return models

    @field_validator("endpoints")
    @classmethod
    def _named(cls, endpoints: dict[str, EndpointTable]) -> dict[str, EndpointTable]:
        for name, table in endpoints.items():
            if name == "local":
                raise ValueError("'local' means a model file (-m local:FILE.gguf); call the endpoint otherwise")
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of an endpoint: letters, digits, '.', '_' and '-'")
            if not table.base_url and not table.server and built_in(name) is None:
                raise ValueError(f"{name!r} has no base_url")
        return endpoints

    @field_validator("overrides")
    @classmethod
    def _regular(cls, overrides: dict[str, ModelTable]) -> dict[str, ModelTable]:
        for pattern in overrides:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return overrides

    @model_validator(mode="after")
    def _one_way(self) -> "Config":
        if self.model and self.models:
            raise ValueError("say model or models, not both; the first of models is asked first")
        return self


@dataclass(frozen=True, slots=True)
class Connection:
    """Where requests go, with which key, and where that key came from. An empty model means: the server's own choice."""

    base_url: str
    key: str = field(repr=False)
    key_source: str
    model: str
    protocol: Protocol = "openai"
    server: str = ""  # which endpoint of endpoints.py it is, where that is known
    headers: Mapping[str, str] = field(default_factory=dict)  # that the person adds
    window: int | None = None  # what the person says the model's context is, in tokens


def load(path: Path) -> Config:
    """Read the person's file; where there is none, all is at its default. Raises UsageError."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    import tomllib  # only where there is a file

    try:
        return Config.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        # What is misspelt is missing too, and the spelling is the cause.
        fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            table = _table(fault["loc"])
            near = difflib.get_close_matches(str(fault["loc"][-1]), table.model_fields, n=2)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else f"; known are {', '.join(table.model_fields)}"
            raise UsageError(f"{path}: unknown key {where!r}{hint}") from error
        said = _WRONG_KINDS.get(fault["type"]) or fault["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        raise UsageError(f"{path}: {f'{where}: ' if where else ''}{said}") from error


def _table(place: tuple[int | str, ...]) -> type[Strict]:
    match place:
        case ("endpoints", _, _):
            return EndpointTable
        case ("checks", _, _):
            return CheckTable
        case ("diagnostics", _):
            return DiagnosticsTable
        case ("overrides", _, "price", _):
            return PriceTable
        case ("overrides", _, _):
            return ModelTable
    return Config
