"""The shape that an answer must have."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.errors import UsageError
from jumar.output_schema import OutputSchema

BUNDLE = {
    "$id": "https://h/schemas/person",
    "properties": {"home": {"$ref": "/schemas/address"}, "work": {"$ref": "address#street"}},
    "$defs": {
        "address": {
            "$id": "/schemas/address",
            "properties": {"street": {"$ref": "#/$defs/word"}},
            "$defs": {"word": {"$anchor": "street", "type": "string"}},
        }
    },
}
TREE = {"$ref": "#/$defs/node", "$defs": {"node": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}


def schema(folder: Path, content: object) -> OutputSchema:
    file = folder / "schema.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return OutputSchema.load(file)


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        "NaN",
        "[" * 100_000,
        {"type": "nonsense"},
        {"$schema": []},
        {"$ref": "#"},
        {"$ref": "#/nope"},
        {"properties": {"a": {"items": {"$ref": "#/$defs/none"}}}},
        {"properties": {"a": {"$ref": "defs.json#/x"}}},
        {"properties": {"a": {"$ref": "#nope"}}},
        {"properties": {"a": {"$dynamicRef": "#nope"}}},
        {"properties": {"a": {"$ref": "#/title"}}, "title": "a word"},
        {"properties": {"a": {"$ref": "#/title/x"}}, "title": "a word"},
        {"properties": {"a": {"$ref": "#/minProperties/x"}}, "minProperties": 0},
        {"properties": {"a": {"$ref": "#/x"}}, "x": {"type": "nonsense"}},
        {"properties": {"a": {"$ref": "#/x"}}, "x": {"items": {"$ref": "#/y"}}},
        {"$id": "https://h/a", "properties": {"a": {"$id": "b", "items": {"$ref": "#/$defs/c"}}}, "$defs": {"c": {}}},
    ],
)
def test_what_is_no_usable_schema_is_a_wrong_command_line(tmp_path: Path, content: object) -> None:
    with pytest.raises(UsageError, match="--output-schema") as caught:
        schema(tmp_path, content)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "answer", "value"),
    [
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "number"}, "It is:\n```json\n2\n```", 2),
        (TREE, "[[], [[]]]", [[], [[]]]),
        (BUNDLE, '{"home": {"street": "a"}, "work": "b"}', {"home": {"street": "a"}, "work": "b"}),
        ({"const": {"$ref": "#/nope"}}, '{"$ref": "#/nope"}', {"$ref": "#/nope"}),
        ({"enum": [{"$ref": "no.json"}, 1]}, "1", 1),
        ({"properties": {"$ref": {"type": "number"}}}, '{"$ref": 1}', {"$ref": 1}),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "$dynamicRef": "#nope"}, "1", 1),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "items": {"$ref": "#"}}, "[[]]", [[]]),
        ({"items": {"$ref": "#/definitions/a"}, "definitions": {"a": {"$ref": "#"}}}, "[[]]", [[]]),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/b~1c"}}, "$defs": {"b/c": {"type": "null"}}},
            '{"a": null}',
            {"a": None},
        ),
    ],
)
def test_an_answer_that_fits_is_taken(tmp_path: Path, content: object, answer: str, value: Any) -> None:
    assert schema(tmp_path, content).read(answer) == (value, "")


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ({"type": "number"}, "NaN"),
        ({"type": "number"}, "1e999"),
        ({"type": "number"}, "-Infinity"),
        ({"type": "number"}, '"1"'),
        ({"type": "number"}, "twelve"),
        (TREE, "[" * 100_000),
        (TREE, "[" * 400 + "]" * 400),
        (BUNDLE, '{"home": {"street": 1}}'),
        (BUNDLE, '{"work": 1}'),
    ],
)
def test_an_answer_that_does_not_fit_is_told_why(tmp_path: Path, content: object, answer: str) -> None:
    value, fault = schema(tmp_path, content).read(answer)
    assert value is None
    assert fault
