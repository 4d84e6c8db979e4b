"""Owns the shape that the person wants the final answer in: JSON by a schema."""

import json
import re
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import UsageError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)


class OutputSchema:
    """A JSON Schema, and what it makes of an answer."""

    def __init__(self, schema: dict[str, Any]) -> None:
        from jsonschema.validators import validator_for
        from referencing import Registry

        kind = validator_for(schema)
        self._schema = schema
        self._validator = kind(schema, registry=Registry())  # an empty registry: a reference fetches nothing

    @classmethod
    def load(cls, path: Path) -> "OutputSchema":
        """Read a schema's file. Raises UsageError."""
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for

        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fault = getattr(error, "strerror", None) or error
            raise UsageError(f"--output-schema {path} cannot be read: {fault}") from error
        try:
            schema = _value(text)
            if not isinstance(schema, dict):
                raise UsageError(f"--output-schema {path}: a schema is a JSON object")
            kind = validator_for(schema)
            kind.check_schema(schema)
            if lost := _lost(schema, kind):
                raise UsageError(f"--output-schema {path}: it refers to what it does not hold: {lost}")
            made = cls(schema)
            examples: tuple[Any, ...] = ({}, [], "", 0, None)
            for example in examples:
                list(made._validator.iter_errors(example))
        except SchemaError as error:
            raise UsageError(f"--output-schema {path} is no JSON Schema: {error.message}") from error
        except RecursionError as error:
            raise UsageError(f"--output-schema {path}: it refers to itself without an end") from error
        except (ValueError, TypeError) as error:
            raise UsageError(f"--output-schema {path} is no JSON: {error}") from error
        return made

    def demand(self, prompt: str) -> str:
        """Return the prompt with the demand for JSON after it."""
        schema = json.dumps(self._schema, ensure_ascii=False)
        return f"{prompt}\n\nWhen all is done, answer with JSON alone, no other words, that fits this JSON Schema:\n{schema}"

    def read(self, text: str) -> tuple[Any, str]:
        """Return the value in an answer and, where it does not fit, the fault."""
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        candidates = [text, *reversed(_FENCE.findall(text))]
        for candidate in candidates:
            try:
                value = _value(candidate)
                fault = best_match(self._validator.iter_errors(value))
            except Unresolvable as error:
                return None, f"the schema refers to what it does not hold: {error}"
            except RecursionError:
                return None, "it is nested too deeply"
            except ValueError:
                continue
            if fault:
                return None, f"{fault.json_path}: {fault.message}"
            return value, ""
        return None, "it is no JSON"


def _value(text: str) -> Any:
    """Return what JSON says, without the numbers that it does not have. Raises ValueError."""

    def number(digits: str) -> float:
        value = float(digits)
        if not isfinite(value):
            raise ValueError(f"{digits} is no number of JSON")
        return value

    return json.loads(text, parse_constant=number, parse_float=number)


def _lost(schema: dict[str, Any], kind: "type[Validator]") -> str:
    """Return a reference that leads to no schema within, or nothing. Raises SchemaError where it leads to a wrong one."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import specification_with

    dialect = kind.META_SCHEMA
    specification = specification_with(dialect.get("$id") or dialect["id"])
    root = specification.create_resource(schema)
    waiting = [(Registry().resolver_with_root(root), root)]
    seen: set[int] = set()
    while waiting:
        resolver, part = waiting.pop()
        if id(part.contents) in seen or not isinstance(part.contents, dict):
            continue
        seen.add(id(part.contents))
        waiting += [(resolver.in_subresource(below), below) for below in part.subresources()]
        for reference in [part.contents[key] for key in _REFERENCES if key in part.contents and key in kind.VALIDATORS]:
            try:
                target = resolver.lookup(reference)
            except (Unresolvable, ValueError, TypeError):  # the latter two where a pointer leads through a word or a number
                return str(reference)
            if not isinstance(target.contents, dict | bool):
                return str(reference)
            if isinstance(target.contents, dict) and id(target.contents) not in seen:
                kind.check_schema(target.contents)  # it may lie where no schema is looked for
                waiting.append((target.resolver, specification.create_resource(target.contents)))
    return ""
