"""The subset of JSON Schema that Moonshot's servers take: what is made of any schema, and that it takes what was described."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
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


NAMES = ["a", "b", "c", "d", "required", "$ref", ""]
NUMBERS = [*range(-5, 6), 0.5, 1.0, -2.5, 1e30, 1e-9]
SCALARS = ["", "a", "ab", "b é", "bbbb", *NUMBERS, True, False, None]
REFERENCES = ["#/$defs/a", "#/$defs/b", "#", "#/nowhere", "https://example.org/x"]
KEYWORDS: dict[str, dict[str, list[Any]]] = {
    "string": {"minLength": [0, 1, 2], "maxLength": [1, 2, 3], "pattern": ["a", "^b"], "format": ["date"]},
    "number": {"minimum": NUMBERS, "maximum": NUMBERS, "exclusiveMinimum": NUMBERS, "multipleOf": [1, 0.5]},
    "integer": {"minimum": NUMBERS, "maximum": NUMBERS, "exclusiveMinimum": NUMBERS, "exclusiveMaximum": NUMBERS},
    "array": {"minItems": [0, 1, 2], "maxItems": [0, 1, 2, 3], "uniqueItems": [True, False]},
    "object": {"minProperties": [0, 1], "required": [["a"], ["b", "required"], ["d"]]},
    "boolean": {},
}


def any_schema(random: Random, depth: int = 3) -> Any:
    """Return any schema: of a type, of listed values, of branches, of references, or none of these."""

    def below() -> Any:
        return any_schema(random, depth - 1) if depth else random.choice([{}, {"type": "string"}, {"type": "integer"}])

    match random.randrange(16):
        case 0:
            return random.choice([True, False, {}, {"description": "free"}])
        case 1:
            return {"enum": random.sample(SCALARS, random.randint(1, 4))}
        case 2:
            return {"const": random.choice(SCALARS)}
        case 3 | 4:
            return {random.choice(["anyOf", "oneOf", "allOf"]): [below() for _ in range(random.randint(1, 3))], "title": "T"}
        case 5:
            return {"$ref": random.choice(REFERENCES), "description": "referred"}
        case more:
            kind = random.choice(["string", "number", "integer", "array", "object", "object", "boolean"])
            schema = {"type": random.choice([kind, kind, [kind, "null"]]), **of_type(random, kind, below)}
            extra: dict[int, dict[str, Any]] = {
                6: {"anyOf": [below(), below()]},
                7: {"$ref": random.choice(REFERENCES)},
                8: {"default": random.choice(SCALARS)},
                9: {"allOf": [{"type": kind, **of_type(random, kind, below)}]},
            }
            return {**schema, **extra.get(more, {})}


def of_type(random: Random, kind: str, below: Callable[[], Any]) -> dict[str, Any]:
    schema = {word: random.choice(values) for word, values in KEYWORDS[kind].items() if random.randrange(3) == 0}
    if kind == "array":
        schema |= random.choice([{"items": below()}, {"items": below()}, {"prefixItems": [below()], "items": below()}, {}])
    if kind == "object":
        schema["properties"] = {name: below() for name in random.sample(NAMES, random.randint(0, 3))}
        closed = {"additionalProperties": False}
        patterns = {"patternProperties": {"z": below()}}
        schema |= random.choice([{}, closed, {"additionalProperties": below()}, patterns, {**patterns, **closed}])
    return schema


def any_document(random: Random) -> dict[str, Any]:
    properties = {name: any_schema(random) for name in "pqrs"}
    return {"type": "object", "properties": properties, "$defs": {"a": any_schema(random, 2), "b": any_schema(random, 1)}}


def described(random: Random, schema: Any, document: Any, depth: int = 6) -> Any:
    """Return a value that a schema speaks of: not any that it only fails to forbid."""
    if not isinstance(schema, dict) or not schema or depth == 0:
        return random.choice(SCALARS)
    if "const" in schema or "enum" in schema:
        return random.choice([schema["const"]] if "const" in schema else schema["enum"])
    if (reference := schema.get("$ref")) in REFERENCES[:3] and random.randrange(2):
        target = document if reference == "#" else document["$defs"][reference[-1]]
        return described(random, target, document, depth - 1)
    branches = [branch for key in ("anyOf", "oneOf", "allOf") for branch in schema.get(key, ())]
    if branches and ("type" not in schema or random.randrange(2)):
        return described(random, random.choice(branches), document, depth - 1)
    kinds = schema.get("type", "object")
    match random.choice(kinds) if isinstance(kinds, list) else kinds:
        case "string":
            return random.choice([value for value in SCALARS if isinstance(value, str)])
        case "integer" | "number" as kind:
            bounds = [bound for key, bound in schema.items() if "inimum" in key or "aximum" in key]
            near = [bound + step for bound in bounds for step in (-1, 0, 1)]
            return random.choice([number for number in (*NUMBERS, *near) if kind == "number" or number == int(number)])
        case "boolean":
            return random.choice([True, False])
        case "null":
            return None
        case "array":
            items = [described(random, one, document, depth - 1) for one in schema.get("prefixItems", ())]
            return items + [described(random, schema.get("items", True), document, depth - 1) for _ in range(random.randrange(4))]
    made = {}
    for name, value in schema.get("properties", {}).items():
        if name in schema.get("required", ()) or random.randrange(2):
            made[name] = described(random, value, document, depth - 1)
    more = next(iter(schema.get("patternProperties", {}).values()), schema.get("additionalProperties", False))
    if more is not False and random.randrange(2):
        made["zz"] = described(random, more, document, depth - 1)
    return made


def valid(schema: Any, value: Any) -> bool:
    try:
        return not any(True for _ in Draft202012Validator(schema).iter_errors(value))
    except Exception:  # noqa: BLE001 - a reference to nowhere, or one that never ends: such a schema takes nothing
        return False


RANDOM = st.randoms(use_true_random=True)


@given(RANDOM)
@settings(max_examples=200, deadline=None)
def test_whatever_schema_comes_is_made_one_of_the_subset(random: Random) -> None:
    clean(normal(any_document(random)))
    clean(normal(any_schema(random)))


@given(RANDOM)
@settings(max_examples=200, deadline=None)
def test_what_a_schema_describes_stays_valid(random: Random) -> None:
    schema = any_document(random)
    for name, inner in schema["properties"].items():
        value = {name: described(random, inner, schema)}
        if valid(schema, value):
            assert valid(normal(schema), value), (inner, normal(schema)["properties"].get(name), value)


WORDS = (
    *("type", "properties", "items", "enum", "anyOf", "allOf", "$ref", "required", "a", "minimum", "maxLength", "const"),
    *("additionalProperties", "patternProperties", "prefixItems", "description", "nullable", "exclusiveMinimum"),
)
JUNK = st.recursive(
    st.sampled_from([*SCALARS, "string", "object"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(WORDS), below, max_size=4),
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
