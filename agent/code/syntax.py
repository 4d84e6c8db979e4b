"""Owns whether a text is well-formed, in the words that a model reads."""

import asyncio
import json
import subprocess
from collections.abc import Sequence

from agent.code.grammars import checked
from agent.code.program import command

_SECONDS = 3.0


async def state(name: str, text: str, before: str | None = None) -> str:
    """Say in a few words whether a text is well-formed; `before` is what stood there, whose faults are not the change's."""
    found, known = await asyncio.to_thread(_faults, name, [text, before or ""])
    if found is None:
        return ""
    if not found:
        return "syntax ok, scripts and styles too" if checked(name) == "html" else "syntax ok"
    return f"SYNTAX FAULT at {found}{' (there was one before)' if known else ''}"


def _faults(name: str, texts: Sequence[str]) -> list[str | None]:
    """Return the fault of each text, None where it cannot be told: no parser, or one that came to no end."""
    nothing: list[str | None] = [None] * len(texts)
    if not checked(name):
        return nothing
    asked = json.dumps([name, [text.encode("utf-8", "replace").decode() for text in texts]])
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
        answered: list[str | None] = json.loads(ended.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return nothing
    return answered
