"""What comes before the first frame, and what a frame costs: told by what is loaded and what is painted, not by a clock."""

import subprocess
import sys
from pathlib import Path

from agent.events.conversation import TurnStarted
from agent.events.step import StepStarted, TextStreamed
from tests.fakes import ScriptedServer
from tests.runs import Person
from tests.screens import screen_of
from tui.transcript import Transcript

LATER = (
    "agent.session", "agent.gate", "agent.policy", "agent.command.weigh", "agent.ledger.ledger", "agent.providers.openai",
    "httpx", "jumar.opening", "markdown_it", "pygments", "rapidfuzz", "textual.highlight",
)  # fmt: skip


def test_the_first_frame_waits_for_nothing_that_comes_after_it() -> None:
    code = "import sys; import tui.app, jumar.screen; print(*sys.modules)"
    root = str(Path(__file__).parent.parent)
    ended = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert not set(LATER) & set(ended.stdout.split())


async def test_what_stands_is_not_painted_again_for_what_is_said_below_it(person: Person, server: ScriptedServer) -> None:
    async with screen_of(person) as screen:
        screen.tell(TurnStarted(turn=1, prompt="go"))
        screen.tell(StepStarted(step=1))
        screen.tell(TextStreamed(text="\n\n".join(f"paragraph {number}" for number in range(200)) + "\n\nthe last"))
        await screen.see("the last")
        await screen.pilot.pause()  # all that was to be laid out is
        transcript = screen.app.query_one(Transcript)
        top, before = transcript.scroll_offset.y, dict(transcript._painted)
        screen.tell(TextStreamed(text=" words"))
        await screen.see("the last words")
        seen = range(top, top + transcript.size.height)
        assert [line for line in seen if transcript._painted[line] is not before[line]] == [seen[-1]]
        screen.tell(TextStreamed(text="\n\nand more"))
        await screen.see("and more")
        moved = transcript.scroll_offset.y - top
        assert moved == 2
        assert all(transcript._painted[line] is before[line] for line in seen[moved:-1])
