"""Owns writing in the person's own editor, while everything else goes on behind it."""

import asyncio
import shlex
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from textual.app import App, SuspendNotSupported

from agent.errors import UsageError
from agent.safe import safe_text
from tui.words import Words

_LARGEST = 1 << 20  # bytes that are taken back


async def edited(app: App[Any], words: Words, text: str, environment: Mapping[str, str], cwd: Path) -> str:
    """Return the text as the person left it in their editor. Raises UsageError where there is none, or it failed."""
    with tempfile.TemporaryDirectory(prefix="jumar-") as folder:
        file = Path(folder) / "prompt.md"
        file.touch(mode=0o600)
        file.write_text(text, "utf-8", "replace")
        await opened(app, words, (str(file),), environment, cwd)
        with file.open("rb") as left:
            raw = left.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise UsageError(words("editor.too_long", most=_LARGEST >> 20))
    return safe_text(raw.decode("utf-8", "replace").removesuffix("\n"))


async def opened(app: App[Any], words: Words, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
    """Let the person edit a file until they end their editor. Raises UsageError where there is none, or it failed."""
    named = environment.get("VISUAL") or environment.get("EDITOR") or "vi"
    try:
        code = await ran(app, words, (*shlex.split(named), *arguments), environment, cwd)
    except (OSError, ValueError) as error:
        raise UsageError(words("editor.not_started", editor=named, why=error)) from error
    if code != 0:
        raise UsageError(words("editor.failed", editor=named))


async def ran(app: App[Any], words: Words, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> int:
    """Give the terminal to a command, and return its exit code. Raises UsageError where there is no terminal; OSError."""
    # Nothing is painted meanwhile, but the loop runs on: a turn does not wait for it.
    try:
        with app.batch_update(), app.suspend(), _deaf():
            program = await asyncio.create_subprocess_exec(*command, cwd=cwd, env=dict(environment))
            return await program.wait()
    except SuspendNotSupported:
        raise UsageError(words("editor.no_terminal")) from None


@contextmanager
def _deaf() -> Iterator[None]:
    """Let a Ctrl+C in the editor be the editor's: the terminal sends it to us too."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
