"""Owns the JSON Schema of a tool's arguments, in the subset that Moonshot's servers take (MFJS)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, floor, isfinite
from typing import Any

from pydantic import BaseModel

_TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")
_FREE = ("string", "number", "boolean", "object", "array", "null")  # a number may be whole
_IMPLIED = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_TOLD = ("format", "pattern", "multipleOf", "uniqueItems", "minProperties", "maxProperties", "default", "examples")
_RESERVED = frozenset({"", "$defs", "$ref", "anyOf", "required", "additionalProperties"})
_BRANCHES = 10
_LEVELS = 5
_PROPERTIES = 100
_ENUM_VALUES = 500
_BYTES = 100_000
_PARTS = 20_000  # of a schema that are looked at
_DEEPEST = 60
_LONGEST_NOTE = 200  # characters
_LONGEST_NAME = 200

_Form = dict[str, Any]  # one type and what holds for it, with _Value in place of schemas


@dataclass(frozen=True, slots=True)
class _Value:
    """A schema as the forms that its values can have; without a form there is no such value."""

    forms: tuple[_Form, ...]
    description: str = ""


_ANY = _Value(tuple({"type": kind} for kind in _FREE))


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
    root = _root(_Reader(schema).value(schema))
    cut = {}
    for levels in range(_LEVELS, 0, -1):
        cut = _rendered(root, levels)
        if _fits(cut):
            return _ordered(cut)
    return _ordered(_shortened(cut))


class _Reader:
    """Reads schemas of one document, references within it included."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._left = _PARTS

    def value(self, schema: object, within: tuple[str, ...] = (), depth: int = 0) -> _Value:
        """Return what a schema takes; `within` are the references that led to it."""
        self._left -= 1
        if schema is False:
            return _Value(())
        if not isinstance(schema, dict) or not schema or depth > _DEEPEST or self._left < 0:
            return _ANY
        parts = [_Value(one) for one in self._own(schema, within, depth)]
        parts += [_union(values) for key in ("anyOf", "oneOf") if (values := self._branches(schema.get(key), within, depth))]
        parts += self._branches(schema.get("allOf"), within, depth)
        if isinstance(reference := schema.get("$ref"), str):
            if reference in within:
                parts.append(_Value(_kinds(self._target(reference))))
            else:
                parts.append(self.value(self._target(reference), (*within, reference), depth + 1))
        whole = parts[0] if parts else _ANY
        for part in parts[1:]:
            whole = _both(whole, part)
        if schema.get("nullable") is True:
            whole = _union([whole, _Value(({"type": "null"},))])
        return _Value(whole.forms, _told(schema) or whole.description)

    def _branches(self, branches: object, within: tuple[str, ...], depth: int) -> list[_Value]:
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

    def _own(self, schema: Mapping[str, Any], within: tuple[str, ...], depth: int) -> Iterable[tuple[_Form, ...]]:
        """Yield the forms by type and by enumeration, of what the schema itself says."""
        kinds = _declared(schema)
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list):
            yield _enumerated(values)
        elif not kinds:
            kinds = tuple(kind for kind, words in _IMPLIED.items() if any(word in schema for word in words))
        if kinds:
            yield tuple(self._form(kind, schema, within, depth) for kind in kinds)

    def _form(self, kind: str, schema: Mapping[str, Any], within: tuple[str, ...], depth: int) -> _Form:
        form: _Form = {"type": kind}
        match kind:
            case "string":
                form |= _counted(schema, "minLength", "maxLength")
            case "number" | "integer":
                form |= _bounds(schema, whole=kind == "integer")
            case "array":
                form |= self._array(schema, within, depth)
            case "object":
                form |= self._object(schema, within, depth)
        return form

    def _array(self, schema: Mapping[str, Any], within: tuple[str, ...], depth: int) -> _Form:
        form = _counted(schema, "minItems", "maxItems")
        items = schema.get("items", True)
        first = schema.get("prefixItems") or (items if isinstance(items, list) else None)
        longest: int | None = None
        if isinstance(first, list):
            rest = schema.get("additionalItems", True) if isinstance(items, list) else items
            form["items"] = _union([self.value(one, within, depth + 1) for one in (*first, rest)])
            longest = len(first) if rest is False else None
        else:
            form["items"] = self.value(items, within, depth + 1)
        if not form["items"].forms:
            del form["items"]
            longest = 0
        if longest is not None:
            form["maxItems"] = min(longest, form.get("maxItems", longest))
        return _in_order(form, "minItems", "maxItems")

    def _object(self, schema: Mapping[str, Any], within: tuple[str, ...], depth: int) -> _Form:
        told = schema.get("properties")
        properties = told if isinstance(told, dict) else {}
        read = {name: self.value(one, within, depth + 1) for name, one in properties.items() if _nameable(name)}
        form: _Form = {"properties": {name: value for name, value in read.items() if value.forms}}
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
    return tuple(kind for kind in _TYPES if kind in kinds)


def _kinds(schema: object) -> tuple[_Form, ...]:
    """Return the bare types of a schema, for a place where it would hold itself."""
    kinds = _declared(schema) if isinstance(schema, dict) else ()
    if not kinds and isinstance(schema, dict):
        kinds = tuple(kind for kind, words in _IMPLIED.items() if any(word in schema for word in words))
    return tuple({"type": kind} for kind in kinds) or _ANY.forms


def _enumerated(values: Sequence[Any]) -> tuple[_Form, ...]:
    """Return the forms of listed values: words and numbers one by one, all else by its type."""
    words = list(dict.fromkeys(value for value in values if isinstance(value, str)))
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    forms: list[_Form] = []
    if words:
        forms.append({"type": "string", "enum": words})
    if numbers:
        whole = [_plain_number(value) for value in numbers]
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


def _plain_number(value: object) -> int | float | None:
    """Return a number as JSON writes it without an exponent; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**30 else None
    if not isfinite(value):
        return None
    if value == floor(value) and abs(value) < 10**15:
        return int(value)
    return None if "e" in repr(value) else value


def _counted(schema: Mapping[str, Any], least: str, most: str) -> _Form:
    found = {}
    for key in (least, most):
        value = _plain_number(schema.get(key))
        if isinstance(value, int) and 0 <= value < 10**15 and not (key == least and value == 0):
            found[key] = value
    return _in_order(found, least, most)


def _bounds(schema: Mapping[str, Any], *, whole: bool) -> _Form:
    found: _Form = {}
    for key, exclusive, step in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        value, beyond = _plain_number(schema.get(key)), _plain_number(schema.get(exclusive))
        if whole:
            value = value if value is None else ceil(value) if step > 0 else floor(value)
            beyond = beyond if beyond is None else (floor(beyond) if step > 0 else ceil(beyond)) + step
        known = [one for one in (value, beyond) if one is not None]
        if known:
            found[key] = max(known) if step > 0 else min(known)
    return _in_order(found, "minimum", "maximum")


def _in_order(found: _Form, least: str, most: str) -> _Form:
    if least in found and most in found and found[least] > found[most]:
        return {key: value for key, value in found.items() if key not in {least, most}}
    return found


def _told(schema: Mapping[str, Any]) -> str:
    """Return the description, and what the subset has no keyword for."""
    told = schema.get("description")
    text = told if isinstance(told, str) else ""
    notes = [f"{key}: {_short(schema[key])}" for key in _TOLD if schema.get(key) is not None]
    for key, words in (("exclusiveMinimum", "more than"), ("exclusiveMaximum", "less than")):
        if _plain_number(schema.get(key)) is not None:
            notes.append(f"{words} {_short(schema[key])}")
    properties = schema.get("properties")
    if isinstance(properties, dict):
        notes += [f"also takes the property {_short(name)}" for name in properties if not _nameable(name)]
    values = schema.get("enum")
    if isinstance(values, list) and len(values) > _ENUM_VALUES:
        notes.append(f"one of: {_short(values)}")
    return " ".join(filter(None, (text, f"({'; '.join(notes)})" if notes else "")))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_NOTE else f"{text[:_LONGEST_NOTE]}…"


def _union(values: Sequence[_Value]) -> _Value:
    """Return what takes everything that one of the values takes; lists of words and numbers become one list."""
    forms: list[_Form] = []
    for value in values:
        for form in value.forms:
            named = value.description and len(value.forms) == 1 and "description" not in form
            form = {**form, "description": value.description} if named else form
            listed = next((one for one in forms if _lists(one) and _lists(form) and one["type"] == form["type"]), None)
            if listed is not None:
                listed["enum"] = list(dict.fromkeys([*listed["enum"], *form["enum"]]))
            elif form not in forms:
                forms.append(dict(form))
    if len(forms) > _BRANCHES:
        kinds = {form["type"] for form in forms}
        forms = [{"type": kind} for kind in _TYPES if kind in kinds and not (kind == "integer" and "number" in kinds)]
    return _Value(tuple(forms))


def _lists(form: _Form) -> bool:
    return form.keys() == {"type", "enum"}


def _both(one: _Value, other: _Value) -> _Value:
    """Return what takes everything that both of the values take; where that is nothing, what either takes."""
    forms = [form for a, b in product(one.forms[:50], other.forms[:50]) if (form := _same(a, b)) is not None]
    whole = _union([_Value((form,)) for form in forms]).forms if forms else one.forms or other.forms
    return _Value(whole, one.description or other.description)


def _same(one: _Form, other: _Form) -> _Form | None:
    kinds = {one["type"], other["type"]}
    if len(kinds) > 1 and kinds != {"integer", "number"}:
        return None
    kind = one["type"] if len(kinds) == 1 else "integer"
    form: _Form = {**one, **other, "type": kind}
    if "enum" in one and "enum" in other:
        form["enum"] = [value for value in one["enum"] if value in other["enum"]]
        if not form["enum"]:
            return None
    if kind == "integer" and "enum" in form:
        form["enum"] = [int(value) for value in form["enum"] if value == floor(value)]
        if not form["enum"]:
            return None
    for key, choose in (
        ("minLength", max),
        ("minItems", max),
        ("minimum", max),
        ("maxLength", min),
        ("maxItems", min),
        ("maximum", min),
    ):
        if key in one and key in other:
            form[key] = choose(one[key], other[key])
    if kind == "integer":
        form |= _bounds(form, whole=True)
    for least, most in (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum")):
        if least in form and most in form and form[least] > form[most]:
            return None
    if kind == "object":
        form |= _same_object(one, other)
    if "items" in one and "items" in other:
        form["items"] = _both(one["items"], other["items"])
    return form


def _same_object(one: _Form, other: _Form) -> _Form:
    if "properties" not in one or "properties" not in other:
        return {**one, **other}
    first, second = one["properties"], other["properties"]
    properties = {**first, **second}
    for name in first.keys() & second.keys():
        properties[name] = _both(first[name], second[name])
    more, others = one["additionalProperties"], other["additionalProperties"]
    closed = not more.forms or not others.forms
    return {
        "properties": properties,
        "required": list(dict.fromkeys([*one["required"], *other["required"]])),
        "additionalProperties": _Value(())
        if closed
        else others
        if more == _ANY
        else more
        if others == _ANY
        else _both(more, others),
    }


def _root(value: _Value) -> _Value:
    """Return the value as one form of an object: properties that stand in any of its forms, required where in all."""
    forms = [form for form in value.forms if form["type"] == "object" and "properties" in form]
    if not forms:
        return _Value(({"type": "object", "properties": {}, "required": [], "additionalProperties": _ANY},), value.description)
    names = dict.fromkeys(name for form in forms for name in form["properties"])
    alike = {name: [form["properties"][name] for form in forms if name in form["properties"]] for name in names}
    more = [form["additionalProperties"] for form in forms]
    whole: _Form = {
        "type": "object",
        "properties": {name: values[0] if len(values) == 1 else _alike(values) for name, values in alike.items()},
        "required": [name for name in forms[0]["required"] if all(name in form["required"] for form in forms)],
        "additionalProperties": _union(more) if len(more) > 1 else more[0],
    }
    return _Value((whole,), value.description or next((form["description"] for form in forms if "description" in form), ""))


def _alike(values: Sequence[_Value]) -> _Value:
    first = values[0]
    return first if all(value == first for value in values) else _Value(_union(values).forms, first.description)


def _rendered(value: _Value, levels: int) -> dict[str, Any]:
    """Return the value as a schema; what lies deeper than so many levels only as its type."""
    forms = [_rendered_form(form, levels) for form in value.forms or _ANY.forms]
    forms = [form for number, form in enumerate(forms) if form not in forms[:number]]
    told = {"description": value.description} if value.description else {}
    if len(forms) == 1:
        return _sorted({**forms[0], **told})
    if all(form.keys() == {"type"} for form in forms):
        return _sorted({"type": sorted((form["type"] for form in forms), key=_TYPES.index), **told})
    return _sorted({"anyOf": forms, **told})


def _rendered_form(form: _Form, levels: int) -> dict[str, Any]:
    plain = {key: item for key, item in form.items() if key not in {"properties", "required", "additionalProperties", "items"}}
    if "enum" in plain:
        plain = {key: item for key, item in plain.items() if key in {"type", "enum", "description"}}
        if len(plain["enum"]) > _ENUM_VALUES:
            del plain["enum"]
    if levels <= 0:
        return _sorted(plain)
    if "items" in form and form["items"] != _ANY:
        plain["items"] = _rendered(form["items"], levels - 1)
    if "properties" in form:
        if form["properties"]:
            plain["properties"] = {name: _rendered(value, levels - 1) for name, value in form["properties"].items()}
        if required := [name for name in form["required"] if name in form["properties"]]:
            plain["required"] = required
        more = form["additionalProperties"]
        if not more.forms:
            plain["additionalProperties"] = False
        elif more != _ANY:
            plain["additionalProperties"] = _rendered(more, levels - 1)
    return _sorted(plain)


def _sorted(schema: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(schema.items()))


def _fits(schema: dict[str, Any]) -> bool:
    properties, values = _sizes(schema)
    return properties <= _PROPERTIES and values <= _ENUM_VALUES and len(json.dumps(schema)) <= _BYTES


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
            properties[name] = _sorted({**_unlisted(bare), **({"description": _short(told)} if told else {})})
    short: dict[str, Any] = {"type": "object", "properties": properties}
    if names := [name for name in required if name in kept]:
        short["required"] = names
    if len(kept) == len(schema["properties"]) and "additionalProperties" in schema:
        short["additionalProperties"] = schema["additionalProperties"]
    return short


def _unlisted(schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema:
        return {"type": sorted({branch["type"] for branch in schema["anyOf"]}, key=_TYPES.index)}
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
