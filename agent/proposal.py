"""Owns asking a model once beside the conversation."""

import asyncio

from agent.errors import Fault, ModelError
from agent.messages import Prompt
from agent.model import Failed, Finished, Model, Request

_PATIENCE = 60.0  # seconds that a model has
_SYSTEM = "You help a person at their terminal. Answer with exactly what is asked for, and nothing around it."


async def proposed(model: Model, words: str, session_id: str) -> str:
    """Ask without tools, and return what the model answers. Raises ModelError."""
    await model.ready()
    request = Request(_SYSTEM, (Prompt(words),), (), session_id)
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in model.stream(request):
                if isinstance(chunk, Finished):
                    return chunk.answer.text.strip()
                if isinstance(chunk, Failed):
                    raise chunk.error
    except TimeoutError:
        raise ModelError(f"{model.name} took longer than {_PATIENCE:.0f} s", Fault.CUT) from None
    raise ModelError(f"{model.name} answered nothing", Fault.CUT)
