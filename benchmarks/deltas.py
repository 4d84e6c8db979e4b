"""Owns the cost of a delta: CPU from the bytes on the wire to the event, repairs watching. `python benchmarks/deltas.py`."""

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

from agent.ask import Patience, Pause, ask
from agent.config import Connection
from agent.events.event import Event
from agent.messages import Prompt
from agent.model import Request, ToolOffer
from agent.providers.openai import OpenAIModel

DELTAS = 5000
RUNS = 7
GOAL = 25  # microseconds
KINDS = ("words", "code", "thinking", "call")  # that server.py can say
WRITE = ToolOffer(
    "write", "", {"type": "object", "properties": {"path": {"type": "string"}, "content": {"type": "string"}}, "required": []}
)


async def cost(kind: str, together: int) -> tuple[float, int]:
    """Return the seconds of CPU that one delta takes, and how many events came of all."""
    command = [sys.executable, str(Path(__file__).parent / "server.py"), "0", str(DELTAS), kind, str(together)]
    server = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=1 << 24)
    assert server.stdout is not None
    model = OpenAIModel(Connection(f"http://127.0.0.1:{int(await server.stdout.readline())}/v1", "", "", "m"))
    events: list[Event] = []
    costs = []
    for _ in range(RUNS):
        events.clear()
        began = time.process_time()
        await ask(model, Request("", (Prompt("go"),), (WRITE,), "b"), 1, events.append, Pause(Patience(tries=1)))
        costs.append((time.process_time() - began) / DELTAS)
    await model.close()
    await server.communicate(b"")
    return statistics.median(costs), len(events)


async def main() -> None:
    """Print the cost for each kind of words, one delta in a piece and a hundred."""
    for kind in KINDS:
        for together in (1, 100):
            seconds, events = await cost(kind, together)
            shape = f"{kind}, {together} in a piece of the network"
            print(f"{shape:46} {seconds * 1e6:5.1f} µs a delta ({events} events)   goal {GOAL}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
