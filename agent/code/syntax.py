"""Owns whether a text is well-formed, in the words that a model reads."""

import asyncio
import json
import subprocess

from agent.code.grammars import YOUNG, checked
from agent.code.program import command

_SECONDS = 3.0
_MOST_TOLD = 5  # faults


async def state(name: str, text: str, before: str | None = None) -> str:
    """Say in a few words whether a text is well-formed; `before` is what stood there, whose faults are not the change's."""
    language = checked(name)
    found = await asyncio.to_thread(_faults, name, text, before or "") if language else None
    if found is None:
        return ""
    new, old = found
    there = f"{old} {'fault' if old == 1 else 'faults'} there before" if old else ""
    if not new:
        whole = "syntax ok, scripts and styles too" if language == "html" else "syntax ok"
        return f"no new syntax fault ({there})" if old else whole
    word = "SYNTAX FAULT" if len(new) == 1 else "SYNTAX FAULTS"
    if language in YOUNG:  # what it does not know looks like a fault
        word = f"possible {word}"
    told = "; ".join(f"line {line}: {words}" for line, words in new[:_MOST_TOLD])
    more = f"; and {len(new) - _MOST_TOLD} more" if len(new) > _MOST_TOLD else ""
    return f"{word} at {told}{more}{f' ({there})' if old else ''}"


def _faults(name: str, text: str, before: str) -> tuple[list[tuple[int, str]], int] | None:
    """Return what is new, and how many faults are not; None where it cannot be told: the parser came to no end."""
    asked = json.dumps([name, *(one.encode("utf-8", "replace").decode() for one in (text, before))])
    try:
        ended = subprocess.run(
            command("agent.code.parse"),
            input=asked.encode(),
            capture_output=True,
            timeout=_SECONDS,
            env={},
            cwd="/",
            check=True,
        )
        answered: tuple[list[tuple[int, str]], int] | None = json.loads(ended.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return answered
