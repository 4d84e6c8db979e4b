"""Owns drawing blocks: one look for each kind, whatever tool made it."""

from typing import assert_never

from textual.content import Content

from agent.blocks import Block, DiffBlock, PlanBlock, TableBlock, TerminalBlock, TextBlock
from agent.safe import safe_line, safe_text
from tui.diffs import difference
from tui.markdown import code, table
from tui.words import Words

PLAN_MARKS = {"open": ("○", ""), "doing": ("◐", "bold"), "done": ("●", "$text-muted"), "dropped": ("⊘", "$text-muted strike")}


def draw(block: Block, words: Words, width: int = 100, split: str = "auto") -> Content:
    """Return what a person sees of a block; all of it safe. `split` says whether a difference is drawn side by side."""
    match block:
        case TextBlock():
            return code(safe_text(block.text), block.language)
        case DiffBlock():
            return difference(block, words, width, split)
        case TerminalBlock():
            return _terminal(block, words)
        case TableBlock():
            rows = [block.head, *block.rows]
            return Content("\n").join(table([[Content(safe_line(cell)) for cell in row] for row in rows]))
        case PlanBlock():
            return Content("\n").join(
                Content.styled(f"{PLAN_MARKS[item.state][0]} {safe_line(item.text)}", PLAN_MARKS[item.state][1])
                for item in block.items
            )
    assert_never(block)


def _terminal(block: TerminalBlock, words: Words) -> Content:
    lines = [Content.assemble(("$ ", "$text-muted"), (safe_text(block.command), "bold"))]
    if block.output:
        lines.append(Content(safe_text(block.output.rstrip("\n"))))
    if block.exit_code is not None:
        style = "$text-muted" if block.exit_code == 0 else "$text-error"
        took = f" · {words('status.seconds', seconds=f'{block.seconds:.1f}')}" if block.seconds is not None else ""
        lines.append(Content.styled(f"{words('call.exit', code=block.exit_code)}{took}", style))
    return Content("\n").join(lines)
