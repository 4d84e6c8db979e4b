"""Owns where secrets are masked: in what comes into a session from outside, before anybody hears it, the log first."""

from collections.abc import Callable
from dataclasses import replace

from agent.blocks import Block, DiffBlock, PlanBlock, TableBlock, TerminalBlock, TextBlock
from agent.events.action import ActionsUndone
from agent.events.call import ApprovalAsked, ToolFinished, ToolProgressed
from agent.events.conversation import TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.news import Informed, Warned
from agent.events.run import RunFinished, Verified
from agent.events.step import ModelSwitched, RequestRetried
from agent.mask import MASKED, Mask

_REMARK = f"[{MASKED} stands for a secret that you are not shown; the file has it. Edit around it, and never write {MASKED}.]"


class Masking:
    """Masks events, so that log, model, screen and report tell one story.

    What a model wrote stays: what runs is what is shown, and it knows no secret that it was not told. So does what the person
    said. Files and the ledger keep their bytes.
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._flows: dict[str, Callable[[str], str]] = {}  # of the calls that run

    def event(self, event: Event) -> Event:
        """Return the event as it may be told."""
        text = self._mask.text
        match event:
            case ToolProgressed():
                flow = self._flows.setdefault(event.call_id, self._mask.flow())
                return replace(event, text=flow(event.text))
            case ToolFinished():
                self._flows.pop(event.call_id, None)
                reply = text(event.reply)
                if reply != event.reply:
                    reply = f"{reply}\n{_REMARK}"
                return replace(event, reply=reply, blocks=self.blocks(event.blocks))
            case ApprovalAsked():
                return replace(event, blocks=self.blocks(event.blocks))
            case Informed():
                title = text(event.title) if event.kind == "problems" else event.title
                return replace(event, title=title, told=text(event.told), blocks=self.blocks(event.blocks))
            case ActionsUndone():
                return replace(event, told=text(event.told))
            case TurnStarted():
                prompt = text(event.prompt) if event.by == "check" else event.prompt
                return replace(event, preface=text(event.preface), prompt=prompt)
            case Verified():
                return replace(event, output=text(event.output))
            case RequestRetried() | ModelSwitched() | TurnFinished() | RunFinished():
                return replace(event, reason=text(event.reason))
            case Warned():
                return replace(event, text=text(event.text))
            case _:
                return event

    def blocks(self, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
        """Return blocks without secrets, but for commands: nothing of what runs is hidden from who allows it."""
        return tuple(self._block(block) for block in blocks)

    def _block(self, block: Block) -> Block:
        text = self._mask.text
        match block:
            case TextBlock():
                return replace(block, text=text(block.text))
            case DiffBlock():
                return replace(block, diff=text(block.diff))
            case TerminalBlock():
                return replace(block, output=text(block.output))
            case TableBlock():
                return replace(block, rows=tuple(tuple(text(cell) for cell in row) for row in block.rows))
            case PlanBlock():
                return block
