"""The words said to models: Markdown files and this loader."""

from pathlib import Path


def words(name: str) -> str:
    """Return the text of `prompts/NAME.md` without its final newline."""
    return (Path(__file__).parent / f"{name}.md").read_text("utf-8").rstrip("\n")
