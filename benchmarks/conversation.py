"""Owns a long conversation: the log of a session with as many events, or as many blocks on the screen, as are wanted."""

from collections.abc import Iterator
from pathlib import Path

from agent.blocks import DiffBlock, TerminalBlock
from agent.effects import Effect
from agent.events.action import ActionFile, ActionRecorded
from agent.events.call import ToolFinished, ToolStarted
from agent.events.conversation import SessionStarted, TurnFinished, TurnStarted
from agent.events.event import Event, encode
from agent.events.step import ModelAnswered
from agent.log import new_id, now
from agent.messages import Answer, Call, Usage

LAST = "the-very-last-word"
_TEXT = """I looked at **{n}** files. What I found:

- `parse()` reads the header twice, which costs about {n} ms
- the cache is never emptied

```python
def parse(header: str) -> dict[str, int]:
    return {{name: int(value) for name, _, value in map(split, header.splitlines())}}
```

Shall I go on with the second one?"""
_DIFF = """--- a/src/part{n}.py
+++ b/src/part{n}.py
@@ -1,3 +1,3 @@
 def total(rows):
-    return sum(row for row in rows)
+    return sum(rows) + {n}
 print(total([1, 2]))
"""


def conversation(root: Path) -> Iterator[Event]:
    """Yield the settled events of a session that never ends, each turn whole: nine blocks in fourteen events."""
    usage = Usage(1000, 100, 900)
    yield SessionStarted(
        version="0", root=str(root), cwd=str(root), model="m", mode="auto", sandbox="none", tools=("read", "edit", "shell")
    )
    turn = 0
    while True:
        turn += 1
        yield TurnStarted(turn=turn, prompt=f"Please see to number {turn}, and say what you find.")
        names = ("read", "edit", "shell", "read")
        calls = tuple(Call(f"c{turn}-{number}", name, "{}") for number, name in enumerate(names))
        answer = Answer(_TEXT.format(n=turn), calls, f"They want number {turn}.\nI look at it first.", "reasoning_content")
        yield ModelAnswered(step=1, answer=answer, usage=usage, model="m", seconds=2.0, cost=0.001)
        for call in calls:
            subject = f"src/part{turn}.py" if call.name != "shell" else "python -m pytest -q"
            effect = {"read": Effect.READ, "edit": Effect.WRITE}.get(call.name, Effect.EXEC)
            yield ToolStarted(call_id=call.id, tool=call.name, subject=subject, effect=effect)
            diff = DiffBlock(f"src/part{turn}.py", _DIFF.format(n=turn), 1, 1)
            terminal = TerminalBlock("python -m pytest -q", "....\n" * 20 + "80 passed in 0.31s\n", 0, 0.4)
            blocks = (diff,) if call.name == "edit" else (terminal,) if call.name == "shell" else ()
            yield ToolFinished(
                call_id=call.id, tool=call.name, status="done", reply="line\n" * 30, subject=subject, blocks=blocks, seconds=0.1
            )
            if call.name != "read":
                changed = (ActionFile(path=subject, kind="modified", added=1, removed=1),) if call.name == "edit" else ()
                yield ActionRecorded(
                    action=str(turn * 2 + (call.name == "shell")),
                    seal="",
                    call_id=call.id,
                    tool=call.name,
                    title=subject,
                    files=changed,
                )
        yield ModelAnswered(step=2, answer=Answer(f"Number {turn} is done."), usage=usage, model="m", seconds=1.0, cost=0.001)
        yield TurnFinished(turn=turn, status="done", text="", steps=2, usage=usage, seconds=3.0)


def keep(folder: Path, root: Path, events: int) -> str:
    """Write the log of a session of about so many events, its last turn whole; return its id."""
    told: list[Event] = []
    turns = 0
    for event in conversation(root):
        if isinstance(event, TurnStarted):
            if len(told) >= events:
                break
            turns += 1
        told.append(event)
    last = Answer(f"All numbers are done: {LAST}")
    told += [
        TurnStarted(turn=turns + 1, prompt="And now?"),
        ModelAnswered(step=1, answer=last, usage=Usage(1, 1), model="m", seconds=1.0),
        TurnFinished(turn=turns + 1, status="done", text="", steps=1),
    ]
    session, ts = new_id(), now()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = [encode(event, seq=seq, ts=ts, session_id=session) + b"\n" for seq, event in enumerate(told, 1)]
    (folder / f"{session}.jsonl").write_bytes(b"".join(lines))
    return session
