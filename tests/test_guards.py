"""What a turn does about a model that goes in circles, answers nothing, or fails for good."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.ask import Patience
from agent.config import Connection, ModelTable, PriceTable
from agent.errors import Fault, ModelError
from agent.events.call import ToolFinished
from agent.events.conversation import TurnFinished
from agent.events.event import Event
from agent.events.step import ModelAnswered, ModelSwitched, Repaired, RequestRetried
from agent.log import Log
from agent.messages import Call, Usage
from agent.policy import Mode
from agent.providers.catalogue import Catalogue
from agent.providers.openai import OpenAIModel
from agent.repetition import STOPPED_AT, Repetition
from agent.session import Session
from agent.setting import Setting
from agent.workspace.local import LocalWorkspace
from jumar.wiring import find_tools
from tests.fakes import Response, ScriptedServer, answer, failure
from tests.histories import fold, is_valid

NOTHING = answer("")
THOUGHT = answer("", reasoning="I wonder.")


class Events(list[Event]):
    """What a session told."""

    def replies(self) -> list[str]:
        return [event.reply for event in self if isinstance(event, ToolFinished)]

    def repairs(self) -> list[str]:
        return [event.kind for event in self if isinstance(event, Repaired)]


@asynccontextmanager
async def session_of(
    folder: Path, *servers: ScriptedServer, price: PriceTable | None = None, patience: Patience | None = None
) -> AsyncIterator[tuple[Session, Events]]:
    root = folder / "ws"
    root.mkdir()
    events = Events()
    catalogue = Catalogue({"model-1": ModelTable(context=10_000_000, price=price)})
    models = tuple(
        OpenAIModel(Connection(server.base_url, "k", "K", f"model-{number}"), catalogue=catalogue)
        for number, server in enumerate(servers, 1)
    )
    setting = Setting(
        models=models,
        workspace=LocalWorkspace(root, root, spill=folder / "spill", environment=os.environ),
        tools=find_tools(),
        system="system",
        preface="",
        version="0",
        mode=Mode.YOLO,
        patience=patience or Patience(tries=2, base=0.0),
    )
    session = Session(setting, Log.create(folder / "sessions", "s"), lambda event, line: events.append(event))
    try:
        yield session, events
    finally:
        await session.close()
    assert is_valid(fold(events).messages)


def same(times: int) -> list[Response]:
    return [answer(calls=[Call(f"c{number}", "find", '{"glob": "*.py"}')]) for number in range(times)]


async def turn(session: Session, server: ScriptedServer, *script: Response) -> TurnFinished:
    server.script.extend(script)
    return await asyncio.wait_for(session.turn("go"), 30)


async def test_a_call_sent_again_and_again_is_remarked_on_and_then_stopped(tmp_path: Path, server: ScriptedServer) -> None:
    async with session_of(tmp_path, server) as (session, events):
        ended = await turn(session, server, *same(STOPPED_AT + 3))
    assert (ended.status, ended.reason) == ("limit", "the model sent the same call 12 times in a row")
    remarked = [number for number, reply in enumerate(events.replies(), 1) if "time in a row that you send this" in reply]
    assert remarked == [3, 5, 8]
    assert events.repairs() == ["repeated"] * 3
    assert len(server.script) == 3
    assert [event.status for event in events if isinstance(event, ToolFinished)][-1] == "skipped"


@pytest.mark.parametrize(
    ("steps", "times"),
    [
        ([["a", "b"], ["a", "b"], ["a", "b"]], [1, 2, 3]),  # the same step
        ([["a", "a", "a"]], [3]),  # in one step
        ([["a1", "t"], ["a2", "t"], ["a3", "t"]], [1, 1, 1]),  # a test after each of several edits
        ([["a"], ["b"], ["a"], ["b"]], [1, 1, 1, 1]),
    ],
)
def test_only_what_comes_in_a_row_is_repetition(steps: list[list[str]], times: list[int]) -> None:
    repetition = Repetition()
    seen = []
    for step in steps:
        repetition.take([Call(str(number), name, "{}") for number, name in enumerate(step)])
        seen.append(repetition.times)
    assert seen == times


def test_the_order_of_arguments_and_the_space_between_them_make_no_other_call() -> None:
    repetition = Repetition()
    repetition.take([Call("1", "a", '{"x": 1, "y": 2}')])
    repetition.take([Call("2", "a", '{"y":2,"x":1}')])
    assert repetition.times == 2


@pytest.mark.parametrize("nothing", [NOTHING, THOUGHT])
async def test_a_model_that_answers_nothing_is_asked_to_go_on(tmp_path: Path, server: ScriptedServer, nothing: Response) -> None:
    async with session_of(tmp_path, server) as (session, events):
        # What came whole and empty may be asked for once more without streaming, so each emptiness is scripted twice.
        ended = await turn(session, server, nothing, *([nothing] if nothing is NOTHING else []), answer("Done."))
    assert (ended.status, ended.text) == ("done", "Done.")
    assert events.repairs()[-1] == "empty"
    assert "neither words nor a tool call" in server.bodies()[-1]["messages"][-1]["content"]


async def test_a_model_that_goes_on_answering_nothing_fails_the_turn(tmp_path: Path, server: ScriptedServer) -> None:
    async with session_of(tmp_path, server) as (session, events):
        ended = await turn(session, server, *[THOUGHT] * 9)
    assert (ended.status, ended.fault) == ("failed", "garbled")
    assert ended.reason == "the model thought, but answered nothing, 3 times in a row"
    assert events.repairs() == ["empty", "empty"]
    assert len(server.script) == 6


async def test_a_model_whose_calls_cannot_be_read_fails_the_turn(tmp_path: Path, server: ScriptedServer) -> None:
    broken = [answer(calls=[Call(f"c{number}", "read", f'{{"path": {number}')]) for number in range(9)]
    async with session_of(tmp_path, server) as (session, _events):
        ended = await turn(session, server, *broken)
    assert (ended.status, ended.reason) == ("failed", "in 5 steps in a row no call of the model could be read")
    assert len(server.script) == 4


async def test_a_model_whose_calls_are_always_cut_fails_the_turn(tmp_path: Path, server: ScriptedServer) -> None:
    cut = [answer(calls=[("read", {"path": f"{number}.txt"})], finish="length") for number in range(9)]
    async with session_of(tmp_path, server) as (session, events):
        ended = await turn(session, server, *cut)
    words = "in 5 steps in a row the calls of the model were cut at the server's limit of tokens"
    assert (ended.status, ended.reason) == ("failed", words)
    assert len(server.script) == 4
    assert len(events.replies()) == 5


@pytest.mark.parametrize(
    "refusal",
    [
        failure(401, {"error": {"message": "Invalid Authentication", "type": "invalid_authentication_error"}}),
        failure(429, {"error": {"message": "insufficient balance", "type": "exceeded_current_quota_error"}}),
        failure(503, {"error": {"message": "down"}}),
    ],
)
async def test_the_next_model_of_the_list_goes_on_where_one_fails_for_good(
    tmp_path: Path, server: ScriptedServer, refusal: Response
) -> None:
    async with ScriptedServer([answer("From the other.")]) as other, session_of(tmp_path, server, other) as (session, events):
        ended = await turn(session, server, answer(calls=[("find", {"glob": "*"})]), *[refusal] * 2)
    assert (ended.status, ended.text) == ("done", "From the other.")
    [switched] = [event for event in events if isinstance(event, ModelSwitched)]
    assert (switched.before, switched.after, switched.step) == ("model-1", "model-2", 2)
    assert switched.reason
    assert [message["role"] for message in other.bodies()[0]["messages"]] == ["system", "user", "assistant", "tool"]


async def test_the_next_turn_begins_with_the_first_model_again(tmp_path: Path, server: ScriptedServer) -> None:
    refusal = failure(503, {"error": {"message": "down"}})
    async with ScriptedServer([answer("Two.")]) as other, session_of(tmp_path, server, other) as (session, _events):
        assert (await turn(session, server, refusal, refusal)).text == "Two."
        assert (await turn(session, server, answer("One."))).text == "One."


async def test_the_turn_fails_as_the_last_model_does(tmp_path: Path, server: ScriptedServer) -> None:
    refusal = failure(401, {"error": {"message": "no"}})
    async with ScriptedServer([failure(503)] * 2) as other, session_of(tmp_path, server, other) as (session, _events):
        ended = await turn(session, server, refusal)
    assert (ended.status, ended.fault) == ("failed", "overloaded")


async def test_a_turns_cost_is_the_sum_of_its_steps(tmp_path: Path, server: ScriptedServer) -> None:
    script = [
        answer(calls=[("find", {"glob": "*"})], usage=Usage(1_000_000, 0, 500_000)),
        answer("Done.", usage=Usage(1_000_000, 100_000)),
    ]
    async with session_of(tmp_path, server, price=PriceTable(hit=0.1, miss=1.0, output=4.0)) as (session, events):
        ended = await turn(session, server, *script)
    assert ended.cost == pytest.approx(0.05 + 0.5 + 1.0 + 0.4)
    assert [event.cost for event in events if isinstance(event, ModelAnswered)] == [pytest.approx(0.55), pytest.approx(1.4)]


@pytest.mark.parametrize("usage", [Usage(0, 0), Usage(10, 5)])
async def test_a_cost_of_which_a_part_is_unknown_is_unknown_and_never_zero(
    tmp_path: Path, server: ScriptedServer, usage: Usage
) -> None:
    price = None if usage.prompt else PriceTable(hit=0.1, miss=1.0, output=4.0)
    async with session_of(tmp_path, server, price=price) as (session, _events):
        ended = await turn(session, server, answer("Done.", usage=usage))
    assert ended.cost is None


async def test_a_wait_can_be_cut_short(tmp_path: Path, server: ScriptedServer) -> None:
    server.script.append(failure(429, {"error": {"message": "slow down"}}, {"retry-after": "59"}))
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.sleep(seconds)

    async with session_of(tmp_path, server, patience=Patience(sleep=sleep)) as (session, events):
        running = asyncio.create_task(session.turn("go"))
        await waiting.wait()
        session.cancel()
        ended = await asyncio.wait_for(running, 5)
    assert ended.status == "cancelled"
    [retried] = [event for event in events if isinstance(event, RequestRetried)]
    assert (retried.seconds, "slow down" in retried.reason) == (59.0, True)


def test_a_server_that_wants_to_be_asked_at_once_is_asked_ever_later() -> None:
    at_once = ModelError("busy", Fault.OVERLOADED, 0.0)
    waits = [Patience().wait(attempt, at_once) for attempt in range(1, 7)]
    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, None]
    assert Patience().wait(1, ModelError("busy", Fault.OVERLOADED, 7.0)) == 7.0
    assert Patience().wait(1, ModelError("busy", Fault.OVERLOADED, 61.0)) is None
