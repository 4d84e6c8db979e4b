"""Owns what stands before a session: whether the work tree is trusted, and what to do where no session can be opened."""

import asyncio
import os
from itertools import islice
from pathlib import Path

from textual.app import App
from textual.content import Content

from agent.errors import JumarError
from agent.safe import safe_line
from tui.choosing import Question
from tui.desk import Choice
from tui.stage import Stage
from tui.words import Words

_UNTRUSTED = 3  # the exit code where the person does not trust the work tree
_FAILED = 1
_NAMES = 12
_MOST = 1000  # names that are looked at


async def start(stage: Stage, app: App[int], choice: Choice) -> None:
    """Open the first session, once the work tree is trusted. Until then nothing of it is read but its names."""
    words, desk = stage.words, stage.desk
    await _painted(app)
    try:
        if not desk.trusted():
            body = Content("\n\n").join([Content.styled(safe_line(str(desk.root)), "bold"), *_about(desk.root, words)])
            if not await _asked(app, Question(words("start.trust"), body, words("start.keys_trust"))):
                app.exit(_UNTRUSTED, message=words("start.untrusted", root=safe_line(str(desk.root))))
                return
            desk.trust()
        await stage.open(choice)
    except JumarError as error:
        why = Content.styled(safe_line(words.told(str(error))), "$text-error")
        body = Content("\n\n").join([why, Content(words("start.mend"))])
        if await _asked(app, Question(words("start.failed"), body, words("start.keys_failed"), "r")):
            await start(stage, app, choice)
        else:
            app.exit(_FAILED, message=safe_line(str(error)))


async def _painted(app: App[int]) -> None:
    """Wait until the first frame can be seen: what a session takes to be opened would hold it up."""
    painted = asyncio.Event()
    app.call_after_refresh(painted.set)
    await painted.wait()


async def _asked(app: App[int], question: Question) -> bool:
    answered: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
    app.push_screen(question, answered.set_result)
    return bool(await answered)


def _about(root: Path, words: Words) -> list[Content]:
    """Say what trusting means, and which names stand there; no file is opened."""
    try:
        with os.scandir(root) as found:
            names = sorted(entry.name for entry in islice(found, _MOST))
    except OSError:
        names = []
    shown = ", ".join(safe_line(name) for name in names[:_NAMES])
    more = f" {words('start.more', count=len(names) - _NAMES)}" if len(names) > _NAMES else ""
    there = [Content.styled(words("start.names", names=f"{shown}{more}"), "$text-muted")] if names else []
    return [Content(words("start.about")), *there]
