"""The words said to models: Markdown files and this loader."""

from importlib import resources


def words(name: str) -> str:
    """Return the text of `prompts/NAME.md` without its final newline."""
    return resources.files(__name__).joinpath(f"{name}.md").read_text("utf-8").rstrip("\n")
