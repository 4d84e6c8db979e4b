"""Owns reading a call of a model's: its tool, its arguments as that tool takes them, its effect; or what is wrong with it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from agent.effects import Effect
from agent.messages import Call
from agent.tool import AnyTool, Arguments, Tool

_LARGEST_ARGUMENTS = 4 << 20


@dataclass(frozen=True, slots=True)
class Parsed:
    """A call that can run: its tool, its arguments and its effect."""

    call: Call
    tool: AnyTool
    arguments: Arguments
    effect: Effect
    more: bool = False  # something stood after its arguments, and was left out

    @property
    def subject(self) -> str:
        """What rules match, and a person reads."""
        return self.tool.subject(self.arguments)

    @property
    def title(self) -> str:
        """What it is told by once it runs."""
        return self.tool.title(self.arguments)

    @property
    def given(self) -> str:
        """Its arguments as JSON text, without what was left to the tool."""
        return self.arguments.model_dump_json(exclude_unset=True)


@dataclass(frozen=True, slots=True)
class Invalid:
    """A call that cannot run, and the words that tell the model why; `reads` says that it would have changed nothing."""

    call: Call
    fault: str
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """What matters of the model whose calls these are: whether it sees pictures, and whether they are its calls at all."""

    pictures: bool
    doubted: bool


def parse(call: Call, tools: Mapping[str, AnyTool], offered: Iterable[str]) -> Parsed | Invalid:
    """Read a call; `offered` are the names that a model is told where it calls what is not there."""
    tool = tools.get(call.name)
    if tool is None:
        return Invalid(call, f"There is no tool {call.name!r}. The tools are: {', '.join(offered)}.")
    try:
        given, more = read_arguments(call.arguments)
        arguments = tool.arguments.model_validate(given)
    except ValidationError as error:
        return Invalid(call, f"The arguments of {call.name} do not fit, nothing was run: {_faults(error)}.", _only_reads(tool))
    except (ValueError, RecursionError) as error:
        words = f"The arguments of {call.name} are no JSON object, nothing was run: {error}."
        return Invalid(call, words, _only_reads(tool))
    effect = tool.effect_of(arguments)
    if more and effect is not Effect.READ:
        return Invalid(call, f"More stands after the arguments of {call.name}, nothing was run: send the one object alone.")
    return Parsed(call, tool, arguments, effect, more)


def read_arguments(text: str) -> tuple[dict[str, Any], bool]:
    """Return the object that a call's arguments begin with, and whether more stands after it.

    Raises ValueError with a word that the model can act on.
    """
    if len(text) > _LARGEST_ARGUMENTS:
        raise ValueError(f"they are longer than {_LARGEST_ARGUMENTS} characters")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        whole = dict(pairs)
        if len(whole) != len(pairs):
            raise ValueError("a key stands there twice")
        return whole

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    text = text.strip() or "{}"
    given, end = json.JSONDecoder(strict=False, object_pairs_hook=unique, parse_constant=constant).raw_decode(text)
    try:
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("they hold half a character, a lone surrogate") from None
    if isinstance(given, dict):
        return given, end < len(text)
    raise ValueError(f"they are a {type(given).__name__}")


def _faults(error: ValidationError) -> str:
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False)[:5]:
        where = ".".join(str(part) for part in fault["loc"])
        faults.append(f"{where}: {fault['msg']}" if where else fault["msg"])
    return "; ".join(faults)


def _only_reads(tool: AnyTool) -> bool:
    """Tell whether no call of the tool can change anything."""
    return tool.effect is Effect.READ and type(tool).effect_of is Tool.effect_of
