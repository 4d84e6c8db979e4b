"""Whatever goes wrong on the wire, a turn ends with a result that says so: no traceback, no hang, no history that is invalid."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.ask import Patience
from agent.config import Connection
from agent.events import Event, ToolFinished, ToolStarted, TurnFinished
from agent.history import fold, is_valid
from agent.log import Log
from agent.messages import Call
from agent.policy import Mode
from agent.providers.openai import OpenAIModel
from agent.session import Session, Setting
from agent.workspace.local import LocalWorkspace
from jumar.wiring import find_tools
from tests.fakes import Response, ScriptedServer, answer, event, failure
from tests.runs import Person

WRITE = Call("c1", "write", '{"path": "made.txt", "content": "made"}')
DONE = answer("Done.")


@dataclass(frozen=True, slots=True)
class Case:
    """A script of the server, how the turn must end, and how its calls must."""

    script: tuple[Response, ...]
    status: str = "done"
    fault: str = ""
    calls: tuple[str, ...] = ()


def cut(response: Response, pieces: int) -> Response:
    return Response(response.pieces[:pieces], response.status, response.headers, cut=True)


def mapped(response: Response, change: Callable[[bytes], bytes], size: int | None = None) -> Response:
    whole = change(b"".join(response.pieces))
    step = size or len(whole)
    return Response(tuple(whole[start : start + step] for start in range(0, len(whole), step)), response.status, response.headers)


def calling(arguments: str, name: str = "write", finish: str = "") -> Response:
    return answer(calls=[Call("c1", name, arguments)], finish=finish)


def parts(*deltas: Mapping[str, object], finish: str = "tool_calls") -> Response:
    pieces = [event({"tool_calls": [delta]}) for delta in deltas]
    return Response((*pieces, event({}, finish), b"data: [DONE]\n\n"))


FUNCTION = {"name": "write", "arguments": WRITE.arguments}
WROTE = ("done",)
TOLD = {"error": {"message": "told so", "type": "server_error"}}
TWICE = [Call("same", "find", '{"glob": "a"}'), Call("same", "find", '{"glob": "b"}')]
NUMBERED = [calling("{") for _ in range(9)]
CASES = {
    # connections
    "cut before anything": Case((cut(DONE, 0), DONE)),
    "cut in the middle": Case((cut(answer("a\nb\nc"), 2), DONE)),
    "cut in a call": Case((cut(answer(calls=[WRITE]), 2), DONE)),
    "cut for ever": Case((cut(DONE, 1),) * 3, "failed", "cut"),
    # statuses
    "500 three times": Case((failure(500, TOLD), failure(500, TOLD), DONE)),
    "503 for ever": Case((failure(503, TOLD),) * 3, "failed", "overloaded"),
    "529": Case((failure(529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}), DONE)),
    "408": Case((failure(408), DONE)),
    "409": Case((failure(409, TOLD), DONE)),
    "504 as a web page": Case((failure(504, "<html><body>gateway</body></html>"), DONE)),
    "429 of load": Case((failure(429, {"error": {"type": "engine_overloaded_error", "message": "overloaded"}}), DONE)),
    "429 of the minute": Case((failure(429, {"error": {"type": "rate_limit_reached_error", "message": "TPM"}}), DONE)),
    "429 of the day": Case(
        (failure(429, {"error": {"type": "rate_limit_reached_error", "message": "request reached TPD rate limit"}}),),
        "failed",
        "quota",
    ),
    "429 of money": Case((failure(429, {"error": {"type": "exceeded_current_quota_error"}}),), "failed", "quota"),
    "429 with a wait of hours": Case((failure(429, TOLD, {"retry-after": "9999"}),), "failed", "rate"),
    "429 with a date": Case((failure(429, TOLD, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}), DONE)),
    "401": Case((failure(401, TOLD),), "failed", "authentication"),
    "403": Case((failure(403, TOLD),), "failed", "authentication"),
    "404": Case((failure(404, TOLD),), "failed", "refused"),
    "a filter": Case((failure(400, {"error": {"type": "content_filter", "message": "high risk"}}),), "failed", "refused"),
    # bodies
    "an error in the stream": Case((Response((b"data: " + json.dumps(TOLD).encode() + b"\n\n",)), DONE)),
    "an error as plain JSON": Case((Response((json.dumps(TOLD).encode(),)), DONE)),
    "a web page": Case((Response((b"<!doctype html>",)),), "failed", "refused"),
    "events that are no JSON": Case((Response((b"data: {nope\n\n",)), DONE)),
    "an event without an end": Case((Response((b"data: " + b" " * (17 << 20),)), DONE)),
    "nothing at all": Case((Response(()),) * 3, "failed", "cut"),
    # shapes of a stream that are right
    "CRLF": Case((mapped(answer(calls=[WRITE]), lambda body: body.replace(b"\n", b"\r\n")), DONE), calls=WROTE),
    "comments": Case((mapped(answer(calls=[WRITE]), lambda body: body.replace(b"\n\n", b"\n\n: ping\n\n")), DONE), calls=WROTE),
    "a byte at a time": Case((mapped(answer("é打🎮", calls=[WRITE]), lambda body: body, 1), DONE), calls=WROTE),
    "the wrong content type": Case((Response(DONE.pieces, 200, {"content-type": "text/plain"}),)),
    "finish says stop": Case((calling(WRITE.arguments, finish="stop"), DONE), calls=WROTE),
    "finish is a new word": Case((calling(WRITE.arguments, finish="unexpected_state"), DONE), calls=WROTE),
    "no id": Case((parts({"index": 0, "function": FUNCTION}), DONE), calls=WROTE),
    "no index": Case((parts({"id": "x", "function": FUNCTION}), DONE), calls=WROTE),
    "the name last": Case(
        (parts({"index": 0, "function": {"arguments": WRITE.arguments}}, {"index": 0, "function": {"name": "write"}}), DONE),
        calls=WROTE,
    ),
    "arguments as an object": Case(
        (parts({"index": 0, "id": "x", "function": {"name": "write", "arguments": json.loads(WRITE.arguments)}}), DONE),
        calls=WROTE,
    ),
    "one id for two calls": Case((answer(calls=TWICE), DONE), calls=("done", "done")),
    # calls that cannot run
    "a tool that is not there": Case((calling("{}", "bash"), DONE), calls=("invalid",)),
    "arguments cut": Case((calling('{"path": "made.txt", "content": "ma'), DONE), calls=("invalid",)),
    "a comma too much": Case((calling('{"path": "made.txt", "content": "made",}'), DONE), calls=("invalid",)),
    "NaN": Case((calling('{"path": NaN, "content": "made"}'), DONE), calls=("invalid",)),
    "wrong types": Case((calling('{"path": 7, "content": "made"}'), DONE), calls=("invalid",)),
    "keys too many": Case((calling('{"path": "made.txt", "content": "made", "x": 1}'), DONE), calls=("invalid",)),
    "a key twice": Case((calling('{"path": "made.txt", "path": "b", "content": "made"}'), DONE), calls=("invalid",)),
    "a string of 10 MB": Case((calling(json.dumps({"path": "made.txt", "content": "x" * (10 << 20)})), DONE), calls=("invalid",)),
    "deep nesting": Case((calling('{"path":' + "[" * 5000 + "]" * 5000 + "}"), DONE), calls=("invalid",)),
    "cut at the limit of tokens": Case((calling('{"path": "made.txt"', finish="length"), DONE), calls=("invalid",)),
    "broken calls for ever": Case(tuple(NUMBERED), "failed", "garbled", ("invalid",) * 5),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_turn_ends_as_the_catalogue_says(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    root = tmp_path / "ws"
    root.mkdir()
    events: list[Event] = []
    async with ScriptedServer(case.script) as server:
        setting = Setting(
            models=(OpenAIModel(Connection(server.base_url, "k", "K", "m"), silence=5),),
            workspace=LocalWorkspace(root, root, spill=tmp_path / "spill", environment=os.environ),
            tools=find_tools(),
            system="system",
            preface="",
            version="0",
            mode=Mode.YOLO,
            patience=Patience(tries=3, base=0.0),
        )
        session = Session(setting, Log.create(tmp_path / "sessions", "s"), lambda event, line: events.append(event))
        try:
            ended = await asyncio.wait_for(session.turn("go"), 30)
        finally:
            await session.close()
    assert (ended.status, ended.fault) == (case.status, case.fault), ended.reason
    assert "\n" not in ended.reason
    assert [event.status for event in events if isinstance(event, ToolFinished)] == list(case.calls), events
    ran = any(isinstance(event, ToolStarted) for event in events)
    assert (root / "made.txt").exists() == (ran and case.calls == WROTE)
    assert is_valid(fold(events).messages)
    assert sum(isinstance(event, TurnFinished) for event in events) == 1


@pytest.mark.parametrize(
    ("script", "code", "status"),
    [
        ([failure(503, TOLD, {"retry-after": "0"})] * 6, 75, "failed"),
        ([failure(429, {"error": {"type": "exceeded_current_quota_error"}})], 1, "failed"),
        ([failure(401, TOLD)], 77, "failed"),
        ([Response((b"<!doctype html>",))], 1, "failed"),
        (NUMBERED, 75, "failed"),
        ([calling("{}", "bash"), DONE], 0, "done"),
    ],
)
async def test_a_run_tells_its_result_whatever_the_wire_did(
    person: Person, server: ScriptedServer, script: list[Response], code: int, status: str
) -> None:
    server.script.extend(script)
    run = await person.trusted("-p", "go", "--output-format", "stream-json")
    assert (run.code, run.result["type"], run.result["status"], run.result["exit_code"]) == (code, "result", status, code)
    assert "Traceback" not in run.err
