"""Owns what a person may say of one run, as one frozen value."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

OutputFormat = Literal["text", "json", "stream-json"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """One run. `prompts` None means that they come as JSON lines on stdin, or from the screen."""

    prompts: tuple[str, ...] | None
    cwd: Path
    screen: bool = False
    images: tuple[Path, ...] = ()  # that go with the prompt
    add_dirs: tuple[Path, ...] = ()
    output_format: OutputFormat = "text"
    deltas: bool = False
    output_schema: Path | None = None
    output_file: Path | None = None
    mode: str = ""
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    max_steps: int | None = None
    max_tokens: int | None = None
    seconds: float | None = None
    verify: str = ""
    patch: Path | None = None
    revert_on_fail: bool = False
    trust: bool = False
    ephemeral: bool = False
    resume: str = ""  # a session's id, or "-" for the latest of this work tree
    fork: bool = False
    before: int = 0  # of a fork: only what came before this turn goes with it; 0 for all
    models: tuple[str, ...] = ()  # the first is asked; the others where those before it fail for good
    effort: str = ""
    context: int | None = None  # tokens
    quiet: bool = False
