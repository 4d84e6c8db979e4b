"""Owns the pictures that a person gives: files and base64, made ready to be shown to a model."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from agent.blocks import Image
from agent.errors import UsageError


async def shown(paths: Sequence[Path]) -> tuple[Image, ...]:
    """Return the pictures in files, one after the other, in a thread. Raises UsageError."""
    if not paths:
        return ()
    import asyncio

    from agent.pictures import MOST

    if len(paths) > MOST:
        raise UsageError(f"{len(paths)} pictures are too many: {MOST} may go with one prompt")
    return tuple([await asyncio.to_thread(_from_file, path) for path in paths])


def from_message(value: object) -> Image:
    """Return the picture that a message holds: `{"path": FILE}` or `{"base64": BYTES}`. Raises PydanticCustomError."""
    from pydantic_core import PydanticCustomError

    from agent.pictures import Unshowable, given, picture

    words = 'a picture is {"path": FILE} or {"base64": BYTES}'
    try:
        match value:
            case {"path": str(path), **more} if not more:
                return _from_file(Path(path))
            case {"base64": str(content), **more} if not more:
                if (image := picture(given(content), shown=True).image) is not None:
                    return image
            case _:
                pass
    except Unshowable as fault:
        words = f"what came as base64 {fault}"
    except UsageError as error:
        words = str(error)
    raise PydanticCustomError("picture", "{words}", {"words": words})


def blind(model: str) -> str:
    """Say that a model takes no pictures, and what a person can do."""
    return (
        f"{model} cannot be shown pictures, as far as is known; name another model with -m, "
        "or say that it can in config.toml: [overrides.'REGEX OF ITS NAME'] images = true"
    )


def _from_file(path: Path) -> Image:
    from agent.pictures import LARGEST, Unshowable, picture

    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UsageError(f"{path} is no file with a picture")
            raw = opened.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"the picture {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        image = picture(raw, shown=True).image
    except Unshowable as fault:
        text = "; it is SVG, which is text: name it in the prompt, and it can be read" if b"<svg" in raw[:4096] else ""
        raise UsageError(f"{path} {fault}{text}") from None
    if image is None:
        raise UsageError(f"{path} holds nothing that can be shown")
    return image
