"""Owns the shape that the person wants the final answer in: JSON by a schema."""

import json
import re
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from agent.errors import UsageError

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
        from referencing.exceptions import Unresolvable

        try:
            schema = _value(path.read_text("utf-8"))
            if not isinstance(schema, dict):
                raise UsageError(f"--output-schema {path}: a schema is a JSON object")
            validator_for(schema).check_schema(schema)
            made = cls(schema)
            examples: tuple[Any, ...] = ({}, [], "", 0, None)
            for example in examples:
                list(made._validator.iter_errors(example))
        except SchemaError as error:
            raise UsageError(f"--output-schema {path}: {error.message}") from error
        except Unresolvable as error:
            raise UsageError(f"--output-schema {path}: it refers to what it does not hold: {error.ref}") from error
        except RecursionError as error:
            raise UsageError(f"--output-schema {path}: it refers to itself without an end") from error
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"--output-schema {path}: {error}") from error
        if lost := _lost(schema):
            raise UsageError(f"--output-schema {path}: it refers to what it does not hold: {lost}")
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


def _lost(schema: dict[str, Any]) -> str:
    """Return a pointer within the schema that leads nowhere, or nothing."""
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            reference = part.get("$ref")
            if isinstance(reference, str) and reference.startswith("#/") and not _leads(schema, reference):
                return reference
    return ""


def _leads(schema: dict[str, Any], pointer: str) -> bool:
    place: Any = schema
    for step in pointer.removeprefix("#/").split("/"):
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(place, dict) and name in place:
            place = place[name]
        elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
        else:
            return False
    return True
