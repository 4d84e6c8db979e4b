"""Owns how a JSON Schema is read into the values that it takes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.values import ANY, KINDS, Form, Value, both, bounds, in_order, joined, plain_number, union

MOST_LISTED = 500  # values of an enumeration
_IMPLIED = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_TOLD = ("format", "pattern", "multipleOf", "uniqueItems", "minProperties", "maxProperties", "default", "examples")
_RESERVED = frozenset({"", "$defs", "$ref", "anyOf", "required", "additionalProperties"})
_PARTS = 20_000  # of a schema that are looked at
_DEEPEST = 60
_LONGEST_NOTE = 200  # characters
_LONGEST_NAME = 200


def read(schema: object) -> Value:
    """Return what a schema of objects takes, as one form of an object."""
    return _root(_Reader(schema).value(schema))


class _Reader:
    """Reads schemas of one document, references within it included."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._left = _PARTS

    def value(self, schema: object, within: tuple[str, ...] = (), depth: int = 0) -> Value:
        """Return what a schema takes; `within` are the references that led to it."""
        self._left -= 1
        if schema is False:
            return Value(())
        if not isinstance(schema, dict) or not schema or depth > _DEEPEST or self._left < 0:
            return ANY
        parts = [Value(one) for one in self._own(schema, within, depth)]
        parts += [union(values) for key in ("anyOf", "oneOf") if (values := self._branches(schema.get(key), within, depth))]
        parts += self._branches(schema.get("allOf"), within, depth)
        if isinstance(reference := schema.get("$ref"), str):
            if reference in within:
                parts.append(Value(_kinds(self._target(reference))))
            else:
                parts.append(self.value(self._target(reference), (*within, reference), depth + 1))
        whole = parts[0] if parts else ANY
        for part in parts[1:]:
            whole = both(whole, part)
        if schema.get("nullable") is True:
            whole = union([whole, Value(({"type": "null"},))])
        return Value(whole.forms, _told(schema) or whole.description)

    def _branches(self, branches: object, within: tuple[str, ...], depth: int) -> list[Value]:
        return [self.value(one, within, depth + 1) for one in branches] if isinstance(branches, list) else []

    def _target(self, reference: str) -> object:
        """Return what a reference within the document leads to; what takes everything where it leads to nothing."""
        if not reference.startswith("#"):
            return True
        place: object = self._document
        for step in reference[1:].split("/")[1:]:
            key = step.replace("%24", "$").replace("~1", "/").replace("~0", "~")
            if isinstance(place, dict):
                place = place.get(key, True)
            elif isinstance(place, list) and key.isdecimal() and int(key) < len(place):
                place = place[int(key)]
            else:
                return True
        return place

    def _own(self, schema: Mapping[str, Any], within: tuple[str, ...], depth: int) -> Iterable[tuple[Form, ...]]:
        """Yield the forms by type and by enumeration, of what the schema itself says."""
        kinds = _declared(schema)
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list):
            yield _enumerated(values)
        elif not kinds:
            kinds = tuple(kind for kind, words in _IMPLIED.items() if any(word in schema for word in words))
        if kinds:
            yield tuple(self._form(kind, schema, within, depth) for kind in kinds)

    def _form(self, kind: str, schema: Mapping[str, Any], within: tuple[str, ...], depth: int) -> Form:
        form: Form = {"type": kind}
        match kind:
            case "string":
                form |= _counted(schema, "minLength", "maxLength")
            case "number" | "integer":
                form |= bounds(schema, whole=kind == "integer")
            case "array":
                form |= self._array(schema, within, depth)
            case "object":
                form |= self._object(schema, within, depth)
        return form

    def _array(self, schema: Mapping[str, Any], within: tuple[str, ...], depth: int) -> Form:
        form = _counted(schema, "minItems", "maxItems")
        items = schema.get("items", True)
        first = schema.get("prefixItems") or (items if isinstance(items, list) else None)
        longest: int | None = None
        if isinstance(first, list):
            rest = schema.get("additionalItems", True) if isinstance(items, list) else items
            form["items"] = union([self.value(one, within, depth + 1) for one in (*first, rest)])
            longest = len(first) if rest is False else None
        else:
            form["items"] = self.value(items, within, depth + 1)
        if not form["items"].forms:
            del form["items"]
            longest = 0
        if longest is not None:
            form["maxItems"] = min(longest, form.get("maxItems", longest))
        return in_order(form, "minItems", "maxItems")

    def _object(self, schema: Mapping[str, Any], within: tuple[str, ...], depth: int) -> Form:
        told = schema.get("properties")
        properties = told if isinstance(told, dict) else {}
        read = {name: self.value(one, within, depth + 1) for name, one in properties.items() if _nameable(name)}
        form: Form = {"properties": {name: value for name, value in read.items() if value.forms}}
        required = schema.get("required")
        names = required if isinstance(required, list) else []
        form["required"] = list(dict.fromkeys(name for name in names if isinstance(name, str)))
        more = schema.get("additionalProperties", True)
        patterns = schema.get("patternProperties")
        if isinstance(patterns, dict) and patterns and more is not True:
            more = next(iter(patterns.values())) if len(patterns) == 1 and more is False else True
        if not all(map(_nameable, properties)):
            more = True  # they have no place in the subset, but may come
        value = self.value(more, within, depth + 1)
        form["additionalProperties"] = value
        return form


def _nameable(name: str) -> bool:
    return name not in _RESERVED and len(name) <= _LONGEST_NAME


def _declared(schema: Mapping[str, Any]) -> tuple[str, ...]:
    told = schema.get("type")
    kinds = told if isinstance(told, list) else [told]
    return tuple(kind for kind in KINDS if kind in kinds)


def _kinds(schema: object) -> tuple[Form, ...]:
    """Return the bare types of a schema, for a place where it would hold itself."""
    kinds = _declared(schema) if isinstance(schema, dict) else ()
    if not kinds and isinstance(schema, dict):
        kinds = tuple(kind for kind, words in _IMPLIED.items() if any(word in schema for word in words))
    return tuple({"type": kind} for kind in kinds) or ANY.forms


def _enumerated(values: Sequence[Any]) -> tuple[Form, ...]:
    """Return the forms of listed values: words and numbers one by one, all else by its type."""
    words = list(dict.fromkeys(value for value in values if isinstance(value, str)))
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    forms: list[Form] = []
    if words:
        forms.append({"type": "string", "enum": words})
    if numbers:
        whole = [plain_number(value) for value in numbers]
        if all(isinstance(value, int) for value in whole):
            forms.append({"type": "integer", "enum": list(dict.fromkeys(whole))})
        elif None in whole or any("e" in repr(float(value)) for value in numbers):
            forms.append({"type": "number"})
        else:
            forms.append({"type": "number", "enum": list(dict.fromkeys(map(float, numbers)))})
    for kind, python in (("boolean", bool), ("object", dict), ("array", list), ("null", type(None))):
        if any(isinstance(value, python) for value in values):
            forms.append({"type": kind})
    return tuple(forms)


def _counted(schema: Mapping[str, Any], least: str, most: str) -> Form:
    found = {}
    for key in (least, most):
        value = plain_number(schema.get(key))
        if isinstance(value, int) and 0 <= value < 10**15 and not (key == least and value == 0):
            found[key] = value
    return in_order(found, least, most)


def _told(schema: Mapping[str, Any]) -> str:
    """Return the description, and what the subset has no keyword for."""
    told = schema.get("description")
    text = told if isinstance(told, str) else ""
    notes = [f"{key}: {short(schema[key])}" for key in _TOLD if schema.get(key) is not None]
    for key, words in (("exclusiveMinimum", "more than"), ("exclusiveMaximum", "less than")):
        if plain_number(schema.get(key)) is not None:
            notes.append(f"{words} {short(schema[key])}")
    properties = schema.get("properties")
    if isinstance(properties, dict):
        notes += [f"also takes the property {short(name)}" for name in properties if not _nameable(name)]
    values = schema.get("enum")
    if isinstance(values, list) and len(values) > MOST_LISTED:
        notes.append(f"one of: {short(values)}")
    return " ".join(filter(None, (text, f"({'; '.join(notes)})" if notes else "")))


def short(value: object) -> str:
    """Return a value in few words."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_NOTE else f"{text[:_LONGEST_NOTE]}…"


def _root(value: Value) -> Value:
    """Return the value as one form of an object: properties that stand in any of its forms, required where in all."""
    forms = [form for form in value.forms if form["type"] == "object" and "properties" in form]
    if not forms:
        return Value(({"type": "object", "properties": {}, "required": [], "additionalProperties": ANY},), value.description)
    names = dict.fromkeys(name for form in forms for name in form["properties"])
    alike = {name: [form["properties"][name] for form in forms if name in form["properties"]] for name in names}
    more = [form["additionalProperties"] for form in forms]
    whole: Form = {
        "type": "object",
        "properties": {name: values[0] if len(values) == 1 else joined(values) for name, values in alike.items()},
        "required": [name for name in forms[0]["required"] if all(name in form["required"] for form in forms)],
        "additionalProperties": union(more) if len(more) > 1 else more[0],
    }
    return Value((whole,), value.description or next((form["description"] for form in forms if "description" in form), ""))
