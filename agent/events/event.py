"""Owns the one union of all that a front end can learn, and its JSON."""

import json
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from pydantic_core import PydanticSerializationError

from agent.events.action import ActionRecorded, ActionsUndone
from agent.events.call import ApprovalAsked, ApprovalDecided, QuestionAsked, ToolFinished, ToolProgressed, ToolStarted
from agent.events.conversation import SessionRenamed, SessionStarted, Steered, TurnFinished, TurnStarted
from agent.events.news import Informed, Warned
from agent.events.run import RunFinished, Verified
from agent.events.step import (
    CallStreamed,
    Compacted,
    ModelAnswered,
    ModelSwitched,
    ReasoningStreamed,
    Repaired,
    RequestRetried,
    StepStarted,
    TextStreamed,
    Uncompacted,
)
from agent.safe import mended

SCHEMA_VERSION = 1

Event = (
    SessionStarted
    | SessionRenamed
    | TurnStarted
    | Steered
    | StepStarted
    | TextStreamed
    | ReasoningStreamed
    | CallStreamed
    | RequestRetried
    | ModelAnswered
    | Repaired
    | ModelSwitched
    | Compacted
    | Uncompacted
    | ApprovalAsked
    | ApprovalDecided
    | QuestionAsked
    | ToolStarted
    | ToolProgressed
    | ToolFinished
    | ActionRecorded
    | ActionsUndone
    | Informed
    | Warned
    | Verified
    | TurnFinished
    | RunFinished
)


@cache
def adapter() -> TypeAdapter[Event]:
    """Return what reads any event, and what their schema is made of."""
    return TypeAdapter(Annotated[Event, Field(discriminator="type")])


@cache
def _writer(kind: Any) -> TypeAdapter[Event]:
    """Return what writes one type of event; made when the first one comes, since all together are slow to make."""
    return TypeAdapter(kind)


def encode(event: Event, *, seq: int, ts: str, session_id: str) -> bytes:
    """Return the event as one JSON line, with its envelope, without the newline."""
    kind: Any = type(event)
    writer = _writer(kind)
    try:
        body = writer.dump_json(event)
    except PydanticSerializationError:  # a name or a word with half a character: it is told as what it can be told as
        body = mended(json.dumps(writer.dump_python(event), ensure_ascii=False, separators=(",", ":"))).encode()
    return f'{{"v":{SCHEMA_VERSION},"seq":{seq},"ts":"{ts}","session_id":"{session_id}",'.encode() + body[1:]


def decode(line: bytes) -> Event:
    """Return the event of one JSON line; raises ValueError where it is none."""
    return adapter().validate_json(line)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of one line."""
    inner = adapter().json_schema(mode="serialization")
    envelope = {
        "v": {"type": "integer", "const": SCHEMA_VERSION},
        "seq": {"type": "integer", "minimum": 0, "description": "counts settled events; others carry the last one's"},
        "ts": {"type": "string", "description": "RFC 3339, UTC"},
        "session_id": {"type": "string"},
    }
    definitions = inner.pop("$defs")
    for name in sorted({reference.rsplit("/", 1)[1] for reference in inner["discriminator"]["mapping"].values()}):
        definitions[name]["properties"] = {**envelope, **definitions[name]["properties"]}
        definitions[name]["required"] = [*envelope, *definitions[name].get("required", ()), "type"]
        definitions[name]["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "jumar event", **inner, "$defs": definitions}
