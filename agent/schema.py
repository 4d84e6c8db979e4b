"""Owns the JSON Schema of a tool's arguments, in the subset that Moonshot's servers take (MFJS)."""

from typing import Any

from pydantic import BaseModel

_KEPT = {
    "type", "description", "properties", "required", "additionalProperties", "items", "enum",
    "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
}  # fmt: skip


def parameters(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of the model: no references, no titles, no defaults, a type on everything."""
    whole = model.model_json_schema()
    plain = _plain(whole, whole.get("$defs", {}))
    plain.pop("description", None)
    return {"type": "object", "properties": plain.get("properties", {}), **{k: v for k, v in plain.items() if k != "type"}}


def _plain(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[1]]
        return _plain({**{k: v for k, v in target.items() if k != "description"}, **_without(schema, "$ref")}, definitions)
    if "const" in schema:
        schema = {**_without(schema, "const"), "enum": [schema["const"]]}
    plain = {key: value for key, value in schema.items() if key in _KEPT}
    if "properties" in plain:
        plain["properties"] = {name: _plain(inner, definitions) for name, inner in plain["properties"].items()}
    if "items" in plain:
        plain["items"] = _plain(plain["items"], definitions)
    if "type" not in plain:
        raise TypeError(f"a tool's argument has no single type: {schema}")
    return plain


def _without(schema: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != key}
