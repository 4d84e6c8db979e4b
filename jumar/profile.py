"""Owns what a model is given by the size of its window: its words, its tools, and how much it is told at once."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.errors import UsageError
from agent.model import Model
from agent.tool import AnyTool
from agent.workspace.output import SHOWN
from prompts import words

_LEAST = 8192  # tokens
_SMALL = 32_000  # a window below this gets the short words and few tools
_SMALLEST = 16_000  # one below this has no room for more than what the work cannot do without
_FEWEST = frozenset({"edit", "read", "search", "shell", "write"})
_FEW = _FEWEST | {"outline", "symbols"}  # which spare more than they take
_SMALL_MAP = 300  # tokens
_MOST_INSTRUCTIONS = 32 << 10  # bytes of AGENTS.md
_MOST_REPLY = 100_000  # characters of one tool's output
_NOTES = 500  # characters that a command's reply says beside its output


@dataclass(frozen=True, slots=True)
class Profile:
    """What fits a window. `brief` says that tools are described in one sentence each."""

    system: str
    tools: Mapping[str, AnyTool]
    brief: bool
    instructions: int
    reply: int
    output: int  # of a command
    map: int  # tokens of the map of the code; 0 for none


async def profile_of(model: Model, tools: Mapping[str, AnyTool], map_tokens: int) -> Profile:
    """Find out how large the model's window is, and return what fits it. Raises UsageError where nothing does.

    `map_tokens` is how large the map of the code may be.
    """
    await model.ready()
    window = model.capabilities.window
    if window < _LEAST:
        raise UsageError(
            f"{model.name} takes {window} tokens ({model.capabilities.source}), and jumar needs {_LEAST} at least: start its "
            "server with more, or say with --context N how many it really takes"
        )
    small, smallest = window < _SMALL, window < _SMALLEST
    few = _FEWEST if smallest else _FEW
    return Profile(
        system=words("system-small" if small else "system"),
        tools={name: tool for name, tool in tools.items() if name in few} if small else tools,
        brief=small,
        instructions=min(_MOST_INSTRUCTIONS, window // 4),
        reply=min(_MOST_REPLY, window // 2),
        output=min(SHOWN, window // 2 - _NOTES),
        map=0 if smallest else min(map_tokens, _SMALL_MAP) if small else map_tokens,
    )
