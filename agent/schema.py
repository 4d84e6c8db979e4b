"""Owns the JSON Schema of a tool's arguments, in the subset that Moonshot's servers take (MFJS)."""

import json
from typing import Any

from pydantic import BaseModel

from agent.reader import MOST_LISTED, read, short
from agent.values import ANY, KINDS, Form, Value

_LEVELS = 5
_PROPERTIES = 100
_BYTES = 100_000


def parameters(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of the model: no references, no titles, no defaults, a type on everything."""
    whole = _bare(model.model_json_schema())
    whole.pop("description", None)
    for definition in whole.get("$defs", {}).values():
        definition.pop("description", None)
    return normal(whole)


def normal(schema: object) -> dict[str, Any]:
    """Return a schema of objects that takes at least what this JSON Schema describes, in the subset and within its limits.

    What the subset has no word for is told in descriptions. Where a schema leaves the type open but speaks of one type's
    properties, that type is meant.
    """
    root = read(schema)
    cut = {}
    for levels in range(_LEVELS, 0, -1):
        cut = _rendered(root, levels)
        if _fits(cut):
            return _ordered(cut)
    return _ordered(_shortened(cut))


def _rendered(value: Value, levels: int) -> dict[str, Any]:
    """Return the value as a schema; what lies deeper than so many levels only as its type."""
    forms = [_rendered_form(form, levels) for form in value.forms or ANY.forms]
    forms = [form for number, form in enumerate(forms) if form not in forms[:number]]
    told = {"description": value.description} if value.description else {}
    if len(forms) == 1:
        return _sorted({**forms[0], **told})
    if all(form.keys() == {"type"} for form in forms):
        return _sorted({"type": sorted((form["type"] for form in forms), key=KINDS.index), **told})
    return _sorted({"anyOf": forms, **told})


def _rendered_form(form: Form, levels: int) -> dict[str, Any]:
    plain = {key: item for key, item in form.items() if key not in {"properties", "required", "additionalProperties", "items"}}
    if "enum" in plain:
        plain = {key: item for key, item in plain.items() if key in {"type", "enum", "description"}}
        if len(plain["enum"]) > MOST_LISTED:
            del plain["enum"]
    if levels <= 0:
        return _sorted(plain)
    if "items" in form and form["items"] != ANY:
        plain["items"] = _rendered(form["items"], levels - 1)
    if "properties" in form:
        if form["properties"]:
            plain["properties"] = {name: _rendered(value, levels - 1) for name, value in form["properties"].items()}
        if required := [name for name in form["required"] if name in form["properties"]]:
            plain["required"] = required
        more = form["additionalProperties"]
        if not more.forms:
            plain["additionalProperties"] = False
        elif more != ANY:
            plain["additionalProperties"] = _rendered(more, levels - 1)
    return _sorted(plain)


def _sorted(schema: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(schema.items()))


def _fits(schema: dict[str, Any]) -> bool:
    properties, values = _sizes(schema)
    return properties <= _PROPERTIES and values <= MOST_LISTED and len(json.dumps(schema)) <= _BYTES


def _sizes(schema: object) -> tuple[int, int]:
    """Return how many properties and how many listed values a schema has in all."""
    if not isinstance(schema, dict):
        return 0, 0
    below = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    below += [schema[key] for key in ("items", "additionalProperties") if key in schema]
    sizes = [_sizes(one) for one in below]
    return (
        len(schema.get("properties", ())) + sum(size[0] for size in sizes),
        len(schema.get("enum", ())) + sum(size[1] for size in sizes),
    )


def _shortened(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of one level with as many properties as may be, the required ones first, each in few words."""
    required = schema.get("required", [])
    order = [*required, *[name for name in schema["properties"] if name not in required]]
    kept = set(order[:_PROPERTIES])
    properties: dict[str, Any] = {}
    for name, value in schema["properties"].items():
        if name in kept:
            bare = {key: item for key, item in value.items() if key in {"type", "anyOf"}}
            told = value.get("description", "")
            properties[name] = _sorted({**_unlisted(bare), **({"description": short(told)} if told else {})})
    whole: dict[str, Any] = {"type": "object", "properties": properties}
    if names := [name for name in required if name in kept]:
        whole["required"] = names
    if len(kept) == len(schema["properties"]) and "additionalProperties" in schema:
        whole["additionalProperties"] = schema["additionalProperties"]
    return whole


def _unlisted(schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema:
        return {"type": sorted({branch["type"] for branch in schema["anyOf"]}, key=KINDS.index)}
    return schema


def _ordered(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": schema.get("properties", {}), **schema}


def _bare(schema: Any) -> Any:
    """Return the schema without what its program has and its reader does not need."""
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _bare(one) for name, one in value.items()} if key in {"properties", "$defs"} else _bare(value)
        for key, value in schema.items()
        if key not in {"title", "default", "exclusiveMinimum"}
    }
