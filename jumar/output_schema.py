"""Owns the shape that the person wants the final answer in: JSON by a schema."""

import json
import re
from pathlib import Path
from typing import Any

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

        try:
            schema = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"--output-schema {path}: {error}") from error
        if not isinstance(schema, dict):
            raise UsageError(f"--output-schema {path}: a schema is a JSON object")
        try:
            validator_for(schema).check_schema(schema)
        except SchemaError as error:
            raise UsageError(f"--output-schema {path}: {error.message}") from error
        return cls(schema)

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
                value = json.loads(candidate)
            except ValueError:
                continue
            try:
                fault = best_match(self._validator.iter_errors(value))
            except Unresolvable as error:
                return None, f"the schema refers to what it does not hold: {error}"
            return value, f"{fault.json_path}: {fault.message}" if fault else ""
        return None, "it is no JSON"
