"""Owns what a person may be shown: tools make blocks, front ends draw them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Image:
    """A picture, in base64."""

    media_type: Literal["image/png", "image/jpeg", "image/webp"]
    content: str


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Plain words, or a file's text with the language it is in."""

    text: str
    language: str = ""
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class DiffBlock:
    """A unified diff of one file; `change` says what becomes of it."""

    path: str
    diff: str
    added: int
    removed: int
    change: Literal["created", "modified", "deleted"] = "modified"
    kind: Literal["diff"] = "diff"


@dataclass(frozen=True, slots=True)
class TerminalBlock:
    """A command and what it printed; `exit_code` is None before it ended."""

    command: str
    output: str = ""
    exit_code: int | None = None
    seconds: float | None = None
    kind: Literal["terminal"] = "terminal"


@dataclass(frozen=True, slots=True)
class TableBlock:
    """Rows under headings."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One line of the model's checklist."""

    text: str
    state: Literal["open", "doing", "done", "dropped"] = "open"


@dataclass(frozen=True, slots=True)
class PlanBlock:
    """The model's checklist, whole."""

    items: tuple[PlanItem, ...]
    kind: Literal["plan"] = "plan"


Block = TextBlock | DiffBlock | TerminalBlock | TableBlock | PlanBlock
