"""Owns recordings of sessions: made from a log, and played again with tools that really run."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.errors import UsageError
from agent.events.call import CHECK, ToolFinished
from agent.events.conversation import TurnFinished, TurnStarted
from agent.events.event import Event
from agent.events.step import ModelAnswered
from agent.log import Log
from agent.providers.replay import Outcome, Recording, ReplayModel, Step, dump, load
from agent.safe import safe_json, safe_line
from jumar.arguments import NOT_OF_THE_SCREEN, need_terminal, options_of, run_parser
from jumar.headless import Headless
from jumar.run import Expected

_LARGEST = 64 << 20
PACE = 0.015  # seconds a piece of a dozen letters, so that it can be followed
_UNHEEDED = ("prompt", "image", "input_format", "go_on", "resume", "fork", "model", "effort", "context")
_DESCRIPTION = """Play a recording in the current folder: the model's words come from it, every call really runs. It needs the
--mode and rules that the recorded run had, and keeps no session."""


def record(sessions: Path, session: str, title: str, file: Path | None) -> None:
    """Write the recording of a session to a file or stdout. Raises UsageError."""
    path = sessions / f"{session}.jsonl"
    if path.parent != sessions or not path.is_file():
        raise UsageError(f"there is no session {session!r}; see jumar sessions")
    log, found = Log.open(path)
    log.close()
    written = dump(recording_of(found.events, title or session))
    if file is None:
        sys.stdout.buffer.write(safe_json(written.decode()).encode())
    else:
        try:
            with file.open("xb") as opened:
                opened.write(written)
        except FileExistsError:
            raise UsageError(f"{file} is there already; name a new file") from None
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error.strerror}") from error


def recording_of(events: Sequence[Event], title: str) -> Recording:
    """Return what the model said in a session and how its calls came out. Raises UsageError."""
    prompts: list[str] = []
    steps: list[Step] = []
    status, said = "done", False  # of the turn: how it ended, and whether the model said something in it
    for event in events:
        match event:
            case TurnStarted():
                if status != "done":
                    raise UsageError(
                        f"turn {len(prompts)} of the session ended as {status}; only what came to its end can be played"
                    )
                prompts.append(event.prompt)
                status, said = "interrupted", False
            case ModelAnswered(answer=answer):
                if steps and status == "interrupted" and said and not steps[-1].calls:
                    steps.pop()  # it was told more in this turn, which nobody tells a recording
                said = True
                steps.append(Step(answer.text, answer.reasoning, answer.calls, ()))
            case ToolFinished() if not event.call_id.startswith(CHECK):
                outcome = Outcome(event.call_id, event.status, event.exit_code)
                steps[-1] = replace(steps[-1], replies=(*steps[-1].replies, outcome))
            case TurnFinished():
                status = event.status
            case _:
                pass
    if not prompts or status != "done":
        raise UsageError("the session has no turn that came to its end, so there is nothing to play")
    return Recording(title, tuple(prompts), tuple(steps))


def expected(recording: Recording) -> Expected:
    """Return how the calls of a recording must come out."""
    return {one.call_id: (one.status, one.exit_code) for step in recording.steps for one in step.replies}


def about(folder: Path) -> str:
    """Say what is played, and where."""
    return f"This is a recording: the model's words were recorded, every call really runs, in {safe_line(str(folder))}"


def replay(arguments: Sequence[str]) -> int:
    """Play a recording in the current folder, and say where a call comes out differently."""
    parser = run_parser("jumar replay", "jumar replay FILE [OPTION ...]", _DESCRIPTION, ("ephemeral", *_UNHEEDED))
    parser.add_argument("file", metavar="FILE", help="what jumar record made")
    parser.add_argument("--screen", action="store_true", help="in the screen, where you approve, refuse and undo")
    given = parser.parse_args(arguments)
    parser.demand_heeded(given, _UNHEEDED, "a recording, which has its own prompts and model,")
    path = Path(given.file)
    try:
        with path.open("rb") as opened:
            raw = opened.read(_LARGEST)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    recording = load(raw)
    given.prompt = ""
    options = replace(options_of(parser, given), prompts=recording.prompts, ephemeral=True)
    if given.screen:
        parser.demand_heeded(given, NOT_OF_THE_SCREEN, "the screen")
        need_terminal(parser)
        from jumar.screen import FrontDesk, Played, show

        played = Played(ReplayModel(recording, pace=PACE), recording.prompts, about(options.cwd))
        return show(FrontDesk(replace(options, prompts=None, screen=True), os.environ, played))
    front_end = Headless(options, os.environ, sys.stdout, sys.stderr)
    return asyncio.run(front_end.run(ReplayModel(recording), expected(recording)))
