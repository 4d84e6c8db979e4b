"""Owns the values that a JSON Schema takes, as forms: one a type, with what holds for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, floor, isfinite
from typing import Any

KINDS = ("string", "number", "integer", "boolean", "object", "array", "null")
_FREE = ("string", "number", "boolean", "object", "array", "null")  # a number may be whole
_BRANCHES = 10

Form = dict[str, Any]  # one type and what holds for it, with Value in place of schemas


@dataclass(frozen=True, slots=True)
class Value:
    """A schema as the forms that its values can have; without a form there is no such value."""

    forms: tuple[Form, ...]
    description: str = ""


ANY = Value(tuple({"type": kind} for kind in _FREE))


def union(values: Sequence[Value]) -> Value:
    """Return what takes everything that one of the values takes; lists of words and numbers become one list."""
    forms: list[Form] = []
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
        forms = [{"type": kind} for kind in KINDS if kind in kinds and not (kind == "integer" and "number" in kinds)]
    return Value(tuple(forms))


def _lists(form: Form) -> bool:
    return form.keys() == {"type", "enum"}


def both(one: Value, other: Value) -> Value:
    """Return what takes everything that both of the values take; where that is nothing, what either takes."""
    forms = [form for a, b in product(one.forms[:50], other.forms[:50]) if (form := _same(a, b)) is not None]
    whole = union([Value((form,)) for form in forms]).forms if forms else one.forms or other.forms
    return Value(whole, one.description or other.description)


def _same(one: Form, other: Form) -> Form | None:
    kinds = {one["type"], other["type"]}
    if len(kinds) > 1 and kinds != {"integer", "number"}:
        return None
    kind = one["type"] if len(kinds) == 1 else "integer"
    form: Form = {**one, **other, "type": kind}
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
        form |= bounds(form, whole=True)
    for least, most in (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum")):
        if least in form and most in form and form[least] > form[most]:
            return None
    if kind == "object":
        form |= _same_object(one, other)
    if "items" in one and "items" in other:
        form["items"] = both(one["items"], other["items"])
    return form


def _same_object(one: Form, other: Form) -> Form:
    if "properties" not in one or "properties" not in other:
        return {**one, **other}
    first, second = one["properties"], other["properties"]
    properties = {**first, **second}
    for name in first.keys() & second.keys():
        properties[name] = both(first[name], second[name])
    more, others = one["additionalProperties"], other["additionalProperties"]
    closed = not more.forms or not others.forms
    return {
        "properties": properties,
        "required": list(dict.fromkeys([*one["required"], *other["required"]])),
        "additionalProperties": Value(()) if closed else others if more == ANY else more if others == ANY else both(more, others),
    }


def joined(values: Sequence[Value]) -> Value:
    """Return what takes what any of the values takes, described as the first is."""
    first = values[0]
    return first if all(value == first for value in values) else Value(union(values).forms, first.description)


def plain_number(value: object) -> int | float | None:
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


def bounds(schema: Mapping[str, Any], *, whole: bool) -> Form:
    """Return the least and the most that a number may be."""
    found: Form = {}
    for key, exclusive, step in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        value, beyond = plain_number(schema.get(key)), plain_number(schema.get(exclusive))
        if whole:
            value = value if value is None else ceil(value) if step > 0 else floor(value)
            beyond = beyond if beyond is None else (floor(beyond) if step > 0 else ceil(beyond)) + step
        known = [one for one in (value, beyond) if one is not None]
        if known:
            found[key] = max(known) if step > 0 else min(known)
    return in_order(found, "minimum", "maximum")


def in_order(found: Form, least: str, most: str) -> Form:
    """Return the bounds, none where the least is above the most."""
    if least in found and most in found and found[least] > found[most]:
        return {key: value for key, value in found.items() if key not in {least, most}}
    return found
