"""Whatever goes wrong on the wire, a turn ends with a result that says so: no traceback, no hang, no history that is invalid."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from agent.ask import Patience
from agent.config import Connection
from agent.events.call import ToolFinished, ToolStarted
from agent.events.conversation import TurnFinished
from agent.events.event import Event
from agent.log import Log
from agent.messages import Call
from agent.model import Model
from agent.policy import Mode
from agent.providers.anthropic import AnthropicModel
from agent.providers.openai import OpenAIModel
from agent.session import Session
from agent.setting import Setting
from agent.workspace.local import LocalWorkspace
from jumar.wiring import find_tools
from tests.fakes import Response, ScriptedServer, answer, anthropic, event, failure
from tests.histories import fold, is_valid
from tests.runs import Person

WRITE = Call("c1", "write", '{"path": "made.txt", "content": "made"}')
WROTE = ("done",)
TOLD = {"error": {"message": "told so", "type": "server_error"}}
TWICE = [Call("same", "find", '{"glob": "a"}'), Call("same", "find", '{"glob": "b"}')]


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


class Wire:
    """How a server of one protocol says what all of them can say."""

    def __init__(self, protocol: Literal["openai", "anthropic"]) -> None:
        self.protocol = protocol
        self.done = self.says("Done.")

    def says(self, text: str = "", calls: Sequence[Call] = (), *, cut_short: bool = False) -> Response:
        """Return an answer; one that is cut short has reached its limit of tokens."""
        if self.protocol == "openai":
            return answer(text, calls, finish="length" if cut_short else "")
        return anthropic(text, calls, stop="max_tokens" if cut_short else "")

    def calling(self, arguments: str, name: str = "write", *, cut_short: bool = False) -> Response:
        """Return an answer with one call."""
        return self.says(calls=[Call("c1", name, arguments)], cut_short=cut_short)

    def error(self, told: Mapping[str, object]) -> Response:
        """Return a stream of an error alone."""
        body = json.dumps({"type": "error", **told})
        return Response((f"event: error\ndata: {body}\n\n".encode(),))

    def model(self, server: ScriptedServer) -> Model:
        """Return the model behind a server."""
        connection = Connection(server.base_url, "k", "K", "m", self.protocol)
        return OpenAIModel(connection, silence=5) if self.protocol == "openai" else AnthropicModel(connection, silence=5)


def cases(wire: Wire) -> dict[str, Case]:
    """Return what can go wrong on every wire."""
    done, calling, wrote = wire.done, wire.calling, wire.says(calls=[WRITE])
    return {
        # connections
        "cut before anything": Case((cut(done, 0), done)),
        "cut in the middle": Case((cut(wire.says("a\nb\nc"), 3), done)),
        "cut in a call": Case((cut(wrote, 3), done)),
        "cut for ever": Case((cut(done, 1),) * 3, "failed", "cut"),
        # statuses
        "500 three times": Case((failure(500, TOLD), failure(500, TOLD), done)),
        "503 for ever": Case((failure(503, TOLD),) * 3, "failed", "overloaded"),
        "529": Case((failure(529, {"error": {"type": "overloaded_error", "message": "Overloaded"}}), done)),
        "408": Case((failure(408), done)),
        "409": Case((failure(409, TOLD), done)),
        "504 as a web page": Case((failure(504, "<html><body>gateway</body></html>"), done)),
        "429 of load": Case((failure(429, {"error": {"type": "engine_overloaded_error", "message": "overloaded"}}), done)),
        "429 of the minute": Case((failure(429, {"error": {"type": "rate_limit_reached_error", "message": "TPM"}}), done)),
        "429 of the day": Case(
            (failure(429, {"error": {"type": "rate_limit_reached_error", "message": "request reached TPD rate limit"}}),),
            "failed",
            "quota",
        ),
        "429 of money": Case((failure(429, {"error": {"type": "exceeded_current_quota_error"}}),), "failed", "quota"),
        "429 with a wait of hours": Case((failure(429, TOLD, {"retry-after": "9999"}),), "failed", "rate"),
        "429 with a date": Case((failure(429, TOLD, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}), done)),
        "401": Case((failure(401, TOLD),), "failed", "authentication"),
        "403": Case((failure(403, TOLD),), "failed", "authentication"),
        "404": Case((failure(404, TOLD),), "failed", "refused"),
        "a filter": Case((failure(400, {"error": {"type": "content_filter", "message": "high risk"}}),), "failed", "refused"),
        # bodies
        "an error in the stream": Case((wire.error(TOLD), done)),
        "an error as plain JSON": Case((Response((json.dumps(TOLD).encode(),)), done)),
        "a web page": Case((Response((b"<!doctype html>",)),), "failed", "refused"),
        "events that are no JSON": Case((Response((b"data: {nope\n\n",)), done)),
        "an event without an end": Case((Response((b"data: " + b" " * (17 << 20),)), done)),
        "nothing at all": Case((Response(()),) * 3, "failed", "cut"),
        # shapes of a stream that are right
        "CRLF": Case((mapped(wrote, lambda body: body.replace(b"\n", b"\r\n")), done), calls=WROTE),
        "comments": Case((mapped(wrote, lambda body: body.replace(b"\n\n", b"\n\n: ping\n\n")), done), calls=WROTE),
        "a byte at a time": Case((mapped(wire.says("é打🎮", [WRITE]), lambda body: body, 1), done), calls=WROTE),
        "the wrong content type": Case((Response(done.pieces, 200, {"content-type": "text/plain"}),)),
        # calls that cannot run
        "a tool that is not there": Case((calling("{}", "bash"), done), calls=("invalid",)),
        "arguments cut": Case((calling('{"path": "made.txt", "content": "ma'), done), calls=("invalid",)),
        "a comma too much": Case((calling('{"path": "made.txt", "content": "made",}'), done), calls=("invalid",)),
        "NaN": Case((calling('{"path": NaN, "content": "made"}'), done), calls=("invalid",)),
        "wrong types": Case((calling('{"path": 7, "content": "made"}'), done), calls=("invalid",)),
        "keys too many": Case((calling('{"path": "made.txt", "content": "made", "x": 1}'), done), calls=("invalid",)),
        "a key twice": Case((calling('{"path": "made.txt", "path": "b", "content": "made"}'), done), calls=("invalid",)),
        "a string of 10 MB": Case(
            (calling(json.dumps({"path": "made.txt", "content": "x" * (10 << 20)})), done), calls=("invalid",)
        ),
        "deep nesting": Case((calling('{"path":' + "[" * 5000 + "]" * 5000 + "}"), done), calls=("invalid",)),
        "cut at the limit of tokens": Case((calling('{"path": "made.txt"', cut_short=True), done), calls=("invalid",)),
        "one id for two calls": Case((wire.says(calls=TWICE), done), calls=("done", "done")),
        "broken calls for ever": Case((calling("{"),) * 9, "failed", "garbled", ("invalid",) * 5),
    }


def parts(*deltas: Mapping[str, object], finish: str = "tool_calls") -> Response:
    pieces = [event({"tool_calls": [delta]}) for delta in deltas]
    return Response((*pieces, event({}, finish), b"data: [DONE]\n\n"))


def finishing(reason: str) -> Response:
    return answer(calls=[WRITE], finish=reason)


FUNCTION = {"name": "write", "arguments": WRITE.arguments}
OPENAI, ANTHROPIC = Wire("openai"), Wire("anthropic")
DONE = OPENAI.done
# What only a server of the older protocol can get wrong.
ODD = {
    "finish says stop": Case((finishing("stop"), DONE), calls=WROTE),
    "finish is a new word": Case((finishing("unexpected_state"), DONE), calls=WROTE),
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
}
CASES = {
    **{("openai", name): (OPENAI, case) for name, case in (cases(OPENAI) | ODD).items()},
    **{("anthropic", name): (ANTHROPIC, case) for name, case in cases(ANTHROPIC).items()},
}


@pytest.mark.parametrize("name", CASES, ids=" ".join)
async def test_a_turn_ends_as_the_catalogue_says(tmp_path: Path, name: tuple[str, str]) -> None:
    wire, case = CASES[name]
    root = tmp_path / "ws"
    root.mkdir()
    events: list[Event] = []
    async with ScriptedServer(case.script) as server:
        setting = Setting(
            models=(wire.model(server),),
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
        ([OPENAI.calling("{")] * 9, 75, "failed"),
        ([OPENAI.calling("{}", "bash"), DONE], 0, "done"),
    ],
)
async def test_a_run_tells_its_result_whatever_the_wire_did(
    person: Person, server: ScriptedServer, script: list[Response], code: int, status: str
) -> None:
    server.script.extend(script)
    run = await person.trusted("-p", "go", "--output-format", "stream-json")
    assert (run.code, run.result["type"], run.result["status"], run.result["exit_code"]) == (code, "result", status, code)
    assert "Traceback" not in run.err
