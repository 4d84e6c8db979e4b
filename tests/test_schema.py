"""The subset of JSON Schema that Moonshot's servers take: what is made of any schema, and that it takes what was described."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agent.schema import normal, parameters
from jumar.wiring import find_tools

TYPES = {"null", "boolean", "object", "array", "number", "integer", "string"}
FITTING: dict[str, set[str]] = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "enum"},
    "number": {"minimum", "maximum", "enum"},
    "integer": {"minimum", "maximum", "enum"},
    "boolean": set(),
    "null": set(),
}
ANYTHING = ["string", "number", "boolean", "object", "array", "null"]


def faults(schema: Any, place: str = "") -> Iterator[str]:
    """Yield what Moonshot's own checker would find, written from the rules in its documents."""
    if not isinstance(schema, dict) or not schema:
        yield f"{place}: a schema says something"
        return
    if "anyOf" in schema:
        if schema.keys() - {"anyOf", "description"}:
            yield f"{place}: stands beside anyOf: {schema.keys()}"
        if not 1 <= len(schema["anyOf"]) <= 10:
            yield f"{place}: {len(schema['anyOf'])} branches"
        for number, branch in enumerate(schema["anyOf"]):
            yield from faults(branch, f"{place}/anyOf/{number}")
        return
    kind = schema.get("type")
    if isinstance(kind, list):
        if not kind or set(kind) - TYPES or len(set(kind)) < len(kind) or schema.keys() - {"type", "description"}:
            yield f"{place}: {schema}"
        return
    if kind not in TYPES:
        yield f"{place}: has no type"
        return
    yield from at_type(schema, kind, place)
    yield from below(schema, place)


def at_type(schema: dict[str, Any], kind: str, place: str) -> Iterator[str]:
    if strange := schema.keys() - FITTING[kind] - {"type", "description"}:
        yield f"{place}: {strange} at {kind}"
    for least, most in (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum")):
        bounds = [schema[key] for key in (least, most) if key in schema]
        if any(isinstance(bound, bool) or "e" in json.dumps(bound) or "n" in json.dumps(bound) for bound in bounds):
            yield f"{place}: {bounds}"
        if least != "minimum" and any(not isinstance(bound, int) or bound < 0 for bound in bounds):
            yield f"{place}: {bounds}"
        if bounds != sorted(bounds):
            yield f"{place}: {bounds}"
    if "enum" in schema:
        python = {"string": str, "integer": int, "number": float}[kind]
        if not schema["enum"] or any(type(value) is not python for value in schema["enum"]):
            yield f"{place}: {schema['enum']}"


def below(schema: dict[str, Any], place: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    if set(schema.get("required", ())) - properties.keys() or schema.get("required") == []:
        yield f"{place}: requires what is not there"
    for name, value in properties.items():
        if name in {"", "$defs", "$ref", "anyOf", "required", "additionalProperties"}:
            yield f"{place}: the name {name!r}"
        yield from faults(value, f"{place}/{name}")
    if "items" in schema:
        yield from faults(schema["items"], f"{place}/items")
    if isinstance(more := schema.get("additionalProperties"), dict) and more:
        yield from faults(more, f"{place}/additionalProperties")


def clean(schema: dict[str, Any]) -> dict[str, Any]:
    assert list(faults(schema)) == []
    assert schema["type"] == "object"
    assert "properties" in schema
    assert normal(schema) == schema
    assert list(normal(schema)) == list(schema)
    return schema


NAMES = st.sampled_from(["a", "b", "c", "required", "$ref", ""])
TEXTS = st.text("ab é", max_size=4)
NUMBERS = st.integers(-5, 5) | st.sampled_from([0.5, 1.0, 1e30, -2.5, 1e-9])
SCALARS = TEXTS | NUMBERS | st.booleans() | st.none()
COUNTS = st.integers(0, 3)
WORDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "string": {"minLength": COUNTS, "maxLength": COUNTS, "pattern": st.sampled_from(["a", "^b"]), "format": st.just("date")},
    "number": {"minimum": NUMBERS, "maximum": NUMBERS, "exclusiveMinimum": NUMBERS, "multipleOf": st.sampled_from([1, 0.5])},
    "integer": {"minimum": NUMBERS, "maximum": NUMBERS, "exclusiveMaximum": NUMBERS},
    "array": {"minItems": COUNTS, "maxItems": COUNTS, "uniqueItems": st.booleans()},
    "object": {"minProperties": COUNTS, "required": st.lists(NAMES, max_size=2, unique=True)},
    "boolean": {},
}
REFERENCES = st.sampled_from(["#/$defs/a", "#/$defs/b", "#", "#/nowhere", "https://example.org/x"])


@st.composite
def schemas(draw: st.DrawFn, depth: int = 3) -> Any:
    """Return any schema: of a type, of listed values, of branches, of references, or none of these."""
    choice = draw(st.integers(0, 11))
    if choice == 0:
        return draw(st.sampled_from([True, False, {}, {"description": "free"}]))
    if choice == 1:
        return {"enum": draw(st.lists(SCALARS, min_size=1, max_size=4))}
    if choice == 2:
        return {"const": draw(SCALARS)}
    below = schemas(depth - 1) if depth else st.sampled_from([{}, {"type": "string"}, {"type": "integer"}])
    if choice == 3:
        return {draw(st.sampled_from(["anyOf", "oneOf", "allOf"])): draw(st.lists(below, min_size=1, max_size=3)), "title": "T"}
    if choice == 4:
        return {"$ref": draw(REFERENCES), "description": "referred"}
    kind = draw(st.sampled_from(["string", "number", "integer", "array", "object", "object", "boolean"]))
    schema: dict[str, Any] = {"type": draw(st.sampled_from([kind, [kind, "null"]]))}
    for word, value in WORDS[kind].items():
        if draw(st.integers(0, 2)) == 0:
            schema[word] = draw(value)
    if kind == "array":
        schema |= draw(st.sampled_from([{"items": draw(below)}, {"prefixItems": [draw(below)], "items": draw(below)}, {}]))
    if kind == "object":
        schema["properties"] = draw(st.dictionaries(NAMES, below, max_size=3))
        more = draw(below)
        schema |= draw(
            st.sampled_from(
                [{}, {"additionalProperties": False}, {"additionalProperties": more}, {"patternProperties": {"z": more}}]
            )
        )
    if choice == 5:
        schema["anyOf"] = draw(st.lists(below, min_size=1, max_size=2))
    if choice == 6:
        schema["$ref"] = draw(REFERENCES)
    if choice == 7:
        schema["default"] = draw(SCALARS)
    return schema


@st.composite
def documents(draw: st.DrawFn) -> Any:
    schema = draw(schemas())
    if not isinstance(schema, dict):
        return schema
    return {**schema, "$defs": draw(st.fixed_dictionaries({"a": schemas(2), "b": schemas(1)}))}


def described(draw: Any, schema: Any, document: Any, depth: int = 5) -> Any:
    """Return a value that a schema speaks of: not any that it only fails to forbid."""
    if not isinstance(schema, dict) or not schema or depth == 0:
        return draw(SCALARS)
    if "const" in schema or "enum" in schema:
        return draw(st.sampled_from([schema["const"]] if "const" in schema else schema["enum"]))
    if (reference := schema.get("$ref")) in {"#", "#/$defs/a", "#/$defs/b"} and draw(st.booleans()):
        target = document if reference == "#" else document["$defs"][reference[-1]]
        return described(draw, target, document, depth - 1)
    branches = [branch for key in ("anyOf", "oneOf", "allOf") for branch in schema.get(key, ())]
    if branches and ("type" not in schema or draw(st.booleans())):
        return described(draw, draw(st.sampled_from(branches)), document, depth - 1)
    kinds = schema.get("type", "object")
    kind = draw(st.sampled_from(kinds)) if isinstance(kinds, list) else kinds
    match kind:
        case "string":
            return draw(TEXTS)
        case "integer":
            return draw(st.integers(-6, 6))
        case "number":
            return draw(NUMBERS)
        case "boolean":
            return draw(st.booleans())
        case "null":
            return None
        case "array":
            of = schema.get("items", True)
            items = [described(draw, one, document, depth - 1) for one in schema.get("prefixItems", ())]
            return items + [described(draw, of, document, depth - 1) for _ in range(draw(COUNTS))]
    made = {}
    for name, value in schema.get("properties", {}).items():
        if name in schema.get("required", ()) or draw(st.booleans()):
            made[name] = described(draw, value, document, depth - 1)
    more = schema.get("additionalProperties", next(iter(schema.get("patternProperties", {}).values()), False))
    if more is not False and draw(st.booleans()):
        made["zz"] = described(draw, more, document, depth - 1)
    return made


def valid(schema: Any, value: Any) -> bool:
    try:
        return not any(True for _ in Draft202012Validator(schema).iter_errors(value))
    except Exception:  # noqa: BLE001 - a reference to nowhere, or one that never ends: such a schema takes nothing
        return False


@given(documents())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_schema_comes_is_made_one_of_the_subset(schema: Any) -> None:
    clean(normal(schema))


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_a_schema_describes_stays_valid(data: st.DataObject) -> None:
    schema = data.draw(documents())
    value = described(data.draw, schema, schema)
    if isinstance(value, dict) and valid(schema, value):
        assert valid(normal(schema), value), (schema, normal(schema), value)


KEYWORDS = [
    "type",
    "properties",
    "items",
    "enum",
    "anyOf",
    "allOf",
    "$ref",
    "required",
    "a",
    "minimum",
    "maxLength",
    "const",
    "additionalProperties",
    "patternProperties",
    "prefixItems",
    "description",
    "nullable",
    "exclusiveMinimum",
]
JUNK = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), below, max_size=4)
)


@given(JUNK)
@settings(max_examples=150, deadline=None)
def test_what_is_no_schema_at_all_is_made_one(junk: Any) -> None:
    clean(normal(junk))


def test_the_tools_of_jumar_are_in_the_subset_and_as_they_were_written() -> None:
    for name, tool in find_tools().items():
        schema = clean(parameters(tool.arguments))
        assert schema["properties"].keys() == tool.arguments.model_fields.keys(), name
    assert json.dumps(parameters(find_tools()["find"].arguments)) == (
        '{"type": "object", "properties": {"glob": {"description": "Such as *.py (at any depth), src/**/*.ts, or test_*.", '
        '"type": "string"}, "path": {"description": "Folder to look in; default the current one.", "type": "string"}}, '
        '"additionalProperties": false, "required": ["glob"]}'
    )


PROPERTY: list[tuple[str, Any, Any]] = [
    ("a constant is a list of one", {"const": "x"}, {"enum": ["x"], "type": "string"}),
    ("constants are one list", {"oneOf": [{"const": "x"}, {"const": "y"}]}, {"enum": ["x", "y"], "type": "string"}),
    ("what takes nothing in particular takes every type", {}, {"type": ANYTHING}),
    ("a type or null", {"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": ["string", "null"]}),
    (
        "a list of types with more beside it becomes branches",
        {"type": ["string", "null"], "minLength": 2},
        {"anyOf": [{"minLength": 2, "type": "string"}, {"type": "null"}]},
    ),
    (
        "values of several types are told apart",
        {"enum": ["a", 1, None]},
        {"anyOf": [{"enum": ["a"], "type": "string"}, {"enum": [1], "type": "integer"}, {"type": "null"}]},
    ),
    ("whole and broken numbers are one list", {"enum": [1, 2.5]}, {"enum": [1.0, 2.5], "type": "number"}),
    ("a type is inferred from its keywords", {"properties": {"a": {"minimum": 1}}}, {
        "properties": {"a": {"minimum": 1, "type": "number"}}, "type": "object"}),
    ("what has no keyword is told", {"type": "string", "pattern": "^a+$", "description": "A's."}, {
        "description": "A's. (pattern: ^a+$)", "type": "string"}),
    ("a bound that is not taken itself", {"type": "integer", "exclusiveMinimum": 3}, {
        "description": "(more than 3)", "minimum": 4, "type": "integer"}),
    ("parts that all hold are merged", {"allOf": [
        {"type": "object", "properties": {"a": {"type": "string"}}}, {"required": ["a"]}]}, {
        "properties": {"a": {"type": "string"}}, "required": ["a"], "type": "object"}),
    ("a tuple is an array of what may stand in it", {"type": "array", "prefixItems": [{"type": "string"}], "items": False}, {
        "items": {"type": "string"}, "maxItems": 1, "type": "array"}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "made"), [row[1:] for row in PROPERTY], ids=[row[0] for row in PROPERTY])
def test_a_property_is_made_one_of_the_subset(schema: Any, made: Any) -> None:
    whole = clean(normal({"type": "object", "properties": {"p": schema}, "required": ["p", "gone"]}))
    assert whole == {"type": "object", "properties": {"p": made}, "required": ["p"]}


def test_references_are_written_out_and_end_where_they_come_again() -> None:
    tree = {"description": "A tree.", "properties": {"kids": {"items": {"$ref": "#/definitions/Tree"}, "type": "array"}}}
    whole = clean(normal({"properties": {"tree": {"$ref": "#/definitions/Tree"}}, "definitions": {"Tree": tree}}))
    kids = {"items": {"type": "object"}, "type": "array"}
    assert whole["properties"]["tree"] == {"description": "A tree.", "properties": {"kids": kids}, "type": "object"}


def test_a_name_that_has_no_place_is_told_and_stays_allowed() -> None:
    whole = clean(
        normal({"properties": {"required": {"type": "string"}, "a": {"type": "string"}}, "additionalProperties": False})
    )
    assert whole == {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "description": "(also takes the property required)",
    }


def test_the_forms_of_a_root_are_one_object() -> None:
    forms = [
        {"properties": {"path": {"type": "string"}, "kind": {"const": "file"}}, "required": ["kind", "path"]},
        {"properties": {"url": {"type": "string"}, "kind": {"const": "page"}}, "required": ["kind", "url"]},
    ]
    whole = clean(normal({"type": "object", "oneOf": forms}))
    assert whole["required"] == ["kind"]
    assert whole["properties"] == {
        "path": {"type": "string"},
        "kind": {"enum": ["file", "page"], "type": "string"},
        "url": {"type": "string"},
    }


def test_a_schema_that_is_too_large_is_cut_where_it_matters_least() -> None:
    many = {f"p{number}": {"type": "object", "properties": {"x": {"type": "string"}}} for number in range(90)}
    whole = clean(normal({"properties": many}))
    assert len(whole["properties"]) == 90
    assert whole["properties"]["p0"] == {"type": "object"}
    more = {f"p{number}": {"type": "string", "description": "x" * 3000} for number in range(300)}
    whole = clean(normal({"properties": more, "required": ["p299"], "additionalProperties": False}))
    assert len(whole["properties"]) == 100
    assert whole["required"] == ["p299"]
    assert "additionalProperties" not in whole
    assert len(json.dumps(whole)) < 100_000


def test_a_hostile_schema_is_read_in_bounds() -> None:
    laughs = {f"l{number}": {"properties": {side: {"$ref": f"#/$defs/l{number + 1}"} for side in "ab"}} for number in range(60)}
    clean(normal({"$ref": "#/$defs/l0", "$defs": laughs}))
    deep: Any = {"type": "string"}
    for _ in range(900):
        deep = {"type": "object", "properties": {"a": deep}}
    clean(normal(deep))
    clean(normal({"properties": {"a": {"enum": [f"v{number}" for number in range(5000)]}}}))
    clean(normal({"properties": {"a": {"anyOf": [{"type": "string", "minLength": number} for number in range(1, 300)]}}}))
