"""Owns the values of a conversation: what was said, called and replied."""

from dataclasses import dataclass

from agent.blocks import Image


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call of the model, its arguments as the JSON text that came."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the person said, and showed."""

    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class Sealed:
    """An answer's content in its wire's own form, signatures in it: goes back unchanged, and only to the model that made it."""

    by: str
    content: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said in one step. `reasoning_key` is the wire's name for its reasoning, to be echoed under."""

    text: str
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    reasoning_key: str = ""
    sealed: Sealed | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model is told about one call of its."""

    call_id: str
    name: str
    text: str
    images: tuple[Image, ...] = ()


Message = Prompt | Answer | Reply


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a request cost; `cached` is the part of `prompt` that the provider had kept, `written` what it keeps now."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    written: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.written + other.written,
        )
