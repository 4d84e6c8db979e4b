"""Owns whether a text is well-formed in the language that its name tells; parsers are loaded when first needed."""

import importlib
from pathlib import PurePosixPath

_LARGEST = 1 << 20
_NEAR = 60
_LANGUAGES = {
    "python": ".py .pyi",
    "javascript": ".js .mjs .cjs .jsx",
    "typescript": ".ts .mts .cts",
    "tsx": ".tsx",
    "json": ".json",
    "html": ".html .htm",
    "css": ".css",
    "bash": ".sh .bash",
    "go": ".go",
    "rust": ".rs",
    "java": ".java",
    "c": ".c",
    "cpp": ".cc .cpp .cxx .hpp .hh",
    "ruby": ".rb",
    "php": ".php",
    "toml": ".toml",
    "yaml": ".yaml .yml",
}
_BY_SUFFIX = {suffix: language for language, suffixes in _LANGUAGES.items() for suffix in suffixes.split()}
_SPECIAL = {
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "php": ("tree_sitter_php", "language_php"),
}


def language(name: str) -> str:
    """Return the language of a file by its name, or nothing."""
    return _BY_SUFFIX.get(PurePosixPath(name).suffix.lower(), "")


def fault(name: str, text: str) -> str | None:
    """Return where a text is not well-formed and what stands there, "" where it is, None where that cannot be told."""
    spoken = language(name)
    if not spoken or len(text) > _LARGEST:
        return None
    from tree_sitter import Language, Node, Parser

    module, attribute = _SPECIAL.get(spoken, (f"tree_sitter_{spoken}", "language"))
    grammar = Language(getattr(importlib.import_module(module), attribute)())
    raw = text.encode("utf-8", "replace")
    node: Node = Parser(grammar).parse(raw).root_node
    if not node.has_error:
        return ""
    while not (node.is_error or node.is_missing):
        below = next((child for child in node.children if child.has_error or child.is_missing), None)
        if below is None:
            break
        node = below
    line = node.start_point[0] + 1
    if node.is_missing:
        return f"line {line}: {node.type!r} is missing"
    lines = text.split("\n")
    near = lines[line - 1].strip()[:_NEAR] if line <= len(lines) else ""
    return f"line {line}: near {near!r}"


def state(name: str, text: str, before: str | None = None) -> str:
    """Say in a few words whether a text is well-formed; `before` is what stood there, whose faults are not the change's."""
    found = fault(name, text)
    if found is None:
        return ""
    if not found:
        return "syntax ok"
    known = before is not None and fault(name, before)
    return f"SYNTAX FAULT at {found}{' (there was one before)' if known else ''}"
