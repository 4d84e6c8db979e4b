"""Owns figures in words: what the session has cost, and what fills the model's window."""

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from agent.messages import Usage
from agent.safe import safe_line
from tui.story import Story
from tui.words import Words

if TYPE_CHECKING:
    from agent.estimate import Filling

_BAR = 60  # columns at most
_KINDS = (("fixed", "█", "$primary"), ("person", "▓", "$success"), ("answers", "▒", "$warning"), ("replies", "░", "$accent"))


def cost(story: Story, words: Words) -> Content:
    """Return what each model was asked and answered, and what that cost."""
    if not story.spent:
        return Content(words("cost.nothing"))
    blocks = [_spent(name, spent.usage, spent.cost, words) for name, spent in story.spent.items()]
    if len(blocks) > 1:
        blocks.append(_spent(words("cost.together"), story.usage, story.cost, words))
    return Content("\n\n").join(blocks)


def _spent(name: str, usage: Usage, price: float | None, words: Words) -> Content:
    cached = usage.cached * 100 // usage.prompt if usage.prompt else 0
    lines = [
        words("cost.prompt", tokens=f"{usage.prompt:,}", percent=cached),
        words("cost.answers", tokens=f"{usage.completion:,}"),
        words("cost.unknown") if price is None else words("cost.cost", dollars=f"{price:.4f}"),
    ]
    return Content("\n").join([Content.styled(safe_line(name), "bold"), *(Content(f"  {line}") for line in lines)])


def context(filling: "Filling", words: Words, width: int) -> Content:
    """Return a bar of what fills the window, by kind, and its figures."""
    sizes = {"fixed": filling.fixed, "person": filling.person, "answers": filling.answers, "replies": filling.replies}
    used, window = sum(sizes.values()), max(filling.window, sum(sizes.values()), 1)
    columns = min(_BAR, width)
    cells = {name: -(-size * columns // window) if size else 0 for name, size in sizes.items()}
    free = max(0, columns - sum(cells.values()))
    bar = Content.assemble(*((mark * cells[name], style) for name, mark, style in _KINDS), ("·" * free, "$text-muted"))
    rows = [(mark, style, words(f"context.{name}"), sizes[name]) for name, mark, style in _KINDS]
    rows.append(("·", "$text-muted", words("context.free"), max(0, filling.window - used)))
    widest = max(cell_len(name) for _, _, name, _ in rows)
    lines = [
        Content.assemble(
            (mark, style),
            " ",
            name,
            " " * (widest - cell_len(name) + 2),
            f"{size:>9,}",
            (f"{size * 100 / window:6.1f} %", "$text-muted"),
        )
        for mark, style, name, size in rows
    ]
    told = words("context.about", used=f"{used:,}", window=f"{filling.window:,}")
    notes = [Content.styled(words("context.shortened"), "$text-muted")] if filling.shortened else []
    return Content("\n").join([bar, Content(""), *lines, Content(""), Content.styled(told, "$text-muted"), *notes])
