"""The doctor: three servers scored apart, and what is said where there is nothing to examine."""

import asyncio
import json
import os
import pty
import re
import signal
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.errors import Fault, ModelError
from agent.messages import Answer, Call, Usage
from agent.model import Finished
from jumar.findings import CHECKS, Outcome
from jumar.probes import PROBES, Probe
from tests.fakes import Response, ScriptedServer, answer, anthropic, event, failure
from tests.pty import read_all
from tests.runs import JUMAR, Ended, Person

Answering = Callable[[dict[str, Any]], Response]

_SAID = {
    "words": "January 31\nFebruary 28\nMarch 31\n",
    "cache-first": "119",
    "cache-again": "119",
    "port-told": "It is port 48213.",
    "towns-told": "Lima has QX71, Oslo has VB40.",
    "sum": "42.",
    "list": "Nodes, each with a link to the next.",
    "ready": "ready",
    "thanks": "You are welcome.",
}
_CALLED: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "port": [("read_file", {"path": "config/server.toml"})],
    "word": [("search_code", {"word": "legacy_login"})],
    "tests": [("run_tests", {})],
    "towns": [("station", {"town": "Lima"}), ("station", {"town": "Oslo"})],
    "files": [("read_file", {"path": f"{name}.toml"}) for name in "abc"],
    "issue": [("file_issue", {"title": "Crash on empty input", "labels": ["docs", "bug"], "priority": 2})],
    "contact": [("add_contact", {"name": "Zoë Łukasz-Çelik", "town": "東京", "motto": "naïve – 不怕慢 🙂"})],
}
_MEETING = '{"day": "wed", "start": {"hour": 9, "minute": 5}, "guests": ["ada", "linus"]}'
_APART = b":" + b" " * (68 << 10) + b"\n\n"  # a comment that no reader takes in at once, so that what it parts comes apart


def asked(body: dict[str, Any]) -> Probe:
    """Return the probe that a request is."""
    system, user, *more = [*([body["system"]] if "system" in body else []), *(one["content"] for one in body["messages"])]
    first = next(probe for probe in PROBES if (probe.system, probe.text) == (words(system), words(user)))
    return next(probe for probe in PROBES if probe.follows == first.name) if more else first


def words(content: Any) -> str:
    """Return the text of a content, also of one in blocks."""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def called(probe: Probe) -> list[tuple[str, dict[str, Any]]]:
    """Return the calls that a model in its right mind answers with."""
    if probe.calls != "must":
        return []
    return _CALLED.get(probe.name) or [(probe.tools[0].name, dict(probe.expected))]


class Good:
    """A server that does all as it should, and wants its own reasoning back."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def __call__(self, body: dict[str, Any]) -> Response:
        probe = asked(body)
        made = [message for message in body["messages"] if message["role"] == "assistant"]
        if any(message.get("reasoning_content") != "Let me look." for message in made):
            return failure(400, {"error": {"message": "reasoning_content is missing in assistant tool call message"}})
        told = [message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"]
        if told != [call["id"] for message in made for call in message["tool_calls"]]:
            return failure(400, {"error": {"message": "tool_call_id is not found"}})
        length = len(json.dumps(body)) // 4
        usage = Usage(length, 40, length - 10 if probe.name in self.seen else 0)
        self.seen.add(probe.name)
        whole = answer(_SAID.get(probe.name, ""), called(probe), reasoning="Let me look.", usage=usage)
        if probe.name == "words" or probe.name.startswith("long"):
            return Response(tuple(part for piece in whole.pieces for part in (piece, _APART)))
        return whole


class GoodMessages:
    """A server of the Messages API that does all as it should, and wants its signed thinking back."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def __call__(self, body: dict[str, Any]) -> Response:
        probe = asked(body)
        for message in body["messages"]:
            if message["role"] == "assistant" and message["content"][0].get("signature") != "of the test":
                return failure(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "no signature"}})
        usage = Usage(2_000, 40, 1_900 if probe.name in self.kept else 0)
        self.kept.append(probe.name)
        text = _SAID.get(probe.name, "")
        whole = anthropic(text, called(probe), thinking="Let me look.", signature="of the test", usage=usage)
        events = b"".join(whole.pieces).split(b"\n\n")
        return Response(tuple(part for piece in events if piece for part in (piece + b"\n\n", _APART)))


def sloppy(body: dict[str, Any]) -> Response:
    """Answer as a server whose parser is loose: leaks, double encoding, the same id twice, one piece, no usage."""
    probe = asked(body)
    calls = called(probe)
    if probe.name in {"port", "word", "tests"}:
        [(name, arguments)] = calls
        text = f"<|tool_call_begin|>functions.{name}:0<|tool_call_argument_begin|>{json.dumps(arguments)}<|tool_call_end|>"
        return in_one(f"<|tool_calls_section_begin|>{text}<|tool_calls_section_end|>")
    if probe.name in {"issue", "deploy"}:
        return in_one("", [Call("call_1", name, json.dumps(json.dumps(arguments))) for name, arguments in calls])
    if probe.name == "towns":
        calls = calls[:1]
    return in_one(_SAID.get(probe.name, ""), [Call("call_1", name, json.dumps(arguments)) for name, arguments in calls])


def broken(body: dict[str, Any]) -> Response:
    """Answer as a server that no agent can work with."""
    probe = asked(body)
    match probe.name:
        case "port-told" | "towns-told":
            return failure(400, {"error": {"message": "unexpected role: \x1b[31mtool", "type": "invalid_request_error"}})
        case "port" | "word" | "tests" | "towns" | "files":
            return in_one("I would have to look at that.")
        case "issue" | "deploy" | "contact" | "meeting":
            return in_one("", [Call("call_1", probe.tools[0].name, '{"title": "Crash on')])
        case "long-code" | "long-world":
            text = str(probe.expected["text"]).replace("\\", "").encode("ascii", "replace").decode()
            return in_one("", [Call("call_1", "write_note", json.dumps({"text": text}))])
        case "words":
            return in_one(_SAID["words"])
    return Response((event({"role": "assistant", "content": ""}), event({}, "stop"), b"data: [DONE]\n\n"))


def in_one(text: str, calls: Iterable[Call] = ()) -> Response:
    """Return an answer as one delta, and no usage."""
    made = [
        {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for index, call in enumerate(calls)
    ]
    delta: dict[str, Any] = {"role": "assistant", "content": text, **({"tool_calls": made} if made else {})}
    return Response((event(delta), event({}, "tool_calls" if made else "stop"), b"data: [DONE]\n\n"))


class Holding:
    """A server that holds back one answer until its client leaves."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._good = Good()
        self.held = asyncio.Event()

    def __call__(self, body: dict[str, Any]) -> Response:
        if asked(body).name == self._name:
            self.held.set()
            return Response((event({"role": "assistant", "content": "Jan"}),), hold=asyncio.Event())
        return self._good(body)


def refusing(status: int, message: str, *, before: int = 0, headers: dict[str, str] | None = None) -> Answering:
    """Answer well for a while, and then no more."""
    good = Good()
    count = iter(range(1000))

    def answering(body: dict[str, Any]) -> Response:
        told = {"error": {"message": message, "type": "of_the_test"}}
        return good(body) if next(count) < before else failure(status, told, headers)

    return answering


async def examined(
    folder: Path, answering: Answering, *arguments: str, owner: str = "", window: int | None = None, config: str = ""
) -> Ended:
    """Run the doctor against a server; its list of models tells of the owner and the window."""
    folder.mkdir(exist_ok=True)
    model = {"id": "test-model", "object": "model", "owned_by": owner, "max_model_len": window}
    models = failure(200, {"object": "list", "data": [model]})
    async with ScriptedServer(answering=answering, models=models) as server:
        person = Person(folder, server.base_url)
        if config:
            person.configure(config)
            person.environment["JUMAR_HOME"] = str(person.home / ".config" / "jumar")
        run = await person.run("doctor", *arguments)
        assert not list(person.root.iterdir())
        assert not list(person.home.rglob("*.jsonl"))
        return run


def faults(told: dict[str, Any]) -> dict[str, set[str]]:
    """Return the faults that were named, by check."""
    return {check["name"]: {fault["kind"] for fault in check["faults"]} for check in told["checks"]}


def scores(told: dict[str, Any]) -> dict[str, float]:
    """Return the score of each check."""
    return {check["name"]: check["score"] for check in told["checks"]}


async def test_three_servers_are_scored_apart_and_their_faults_named(tmp_path: Path) -> None:
    good, weak, bad = runs = [
        await examined(tmp_path / name, answering, "--json")
        for name, answering in (("good", Good()), ("sloppy", sloppy), ("broken", broken))
    ]
    assert [(run.code, run.result["grade"]) for run in runs] == [(0, "good"), (0, "weak"), (1, "broken")]
    assert good.result["score"] == 1.0
    assert 0.5 < weak.result["score"] < 0.85
    assert bad.result["score"] < 0.4
    assert set(scores(good.result).values()) == {1.0}
    assert not set().union(*faults(good.result).values())
    named = faults(weak.result)
    assert {"leaked_call", "arguments", "identity"} <= named["calls"]
    assert named["usage"] == {"no_usage"}
    assert named["parallel"] == {"one_at_a_time"}
    assert named["stream"] == {"one_piece", "one_piece_call"}
    assert scores(weak.result)["trigger"] == 1.0  # what leaks is read
    named = faults(bad.result)
    assert "missed_call" in named["trigger"]
    assert "no_json" in named["schema"]
    assert named["echo"] == {"refused"}
    assert named["long"] == {"mangled"}
    assert named["answers"] & {"empty", "garbled"}
    spent = good.result["spent"]
    assert (spent["calls"], spent["requests"]) == (20, 20)
    assert spent["prompt_tokens"] + spent["completion_tokens"] < good.result["budget"]["tokens"]


async def test_a_server_of_the_messages_api_is_examined_alike(tmp_path: Path) -> None:
    async with ScriptedServer(answering=GoodMessages()) as server:
        person = Person(tmp_path, f"{server.base_url.removesuffix('/v1')}/anthropic")
        run = await person.run("doctor", "--json", "--context", "200000")
    told = run.result
    assert (run.code, told["grade"], told["score"]) == (0, "good", 1.0)
    assert told["detected"]["window"] == 200_000
    assert told["detected"]["protocol"] == "anthropic"


async def test_the_words_say_the_budget_first_and_the_verdict_last(tmp_path: Path) -> None:
    run = await examined(tmp_path, sloppy)
    lines = run.out.splitlines()
    assert run.code == 0
    assert run.err == ""
    assert "\x1b" not in run.out
    budget = next(number for number, line in enumerate(lines) if line.startswith("  budget    20 calls, at most about "))
    assert budget < next(number for number, line in enumerate(lines) if line.startswith(("✓", "!", "✗")))
    assert lines[-1].startswith("! weak, ")
    assert "two calls in one answer" in run.out
    assert "1× one call at a time" in run.out
    assert "tokens are not counted" in run.out.partition("What jumar does about it")[2]
    for flag in ("--enable-auto-tool-choice --tool-call-parser PARSER", "--enable-cache-report", "--jinja"):
        assert flag in " ".join(run.out.split())


async def test_only_the_flags_of_the_server_that_runs_are_told(tmp_path: Path) -> None:
    def without_tools(body: dict[str, Any]) -> Response:
        words = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
        return failure(400, {"error": {"message": words}}) if body.get("tools") else Good()(body)

    run = await examined(tmp_path, without_tools, "--json", "-m", "moonshotai/Kimi-K2.6", owner="vllm")
    told = run.result
    assert (run.code, told["grade"]) == (1, "broken")
    assert told["detected"]["server"] == "vllm"
    assert set(told["launch"]) == {"vllm"}
    assert "--enable-auto-tool-choice --tool-call-parser kimi_k2" in told["launch"]["vllm"]
    advice = [one for check in told["checks"] for one in check["advice"] if one["fault"] == "refused"]
    assert advice[0]["flags"]["vllm"][0] == "--enable-auto-tool-choice"


@pytest.mark.parametrize(("window", "grade"), [(8_192, "broken"), (24_576, "weak"), (65_536, "good")])
async def test_a_window_that_holds_no_session_is_a_fault(tmp_path: Path, window: int, grade: str) -> None:
    run = await examined(tmp_path, Good(), "--json", owner="sglang", window=window)
    assert run.result["grade"] == grade
    assert (run.result["detected"]["window"], run.result["detected"]["window_source"]) == (window, "the server")
    assert ("--context-length" in run.result["launch"].get("sglang", "")) == (grade != "good")


@pytest.mark.parametrize(
    ("answering", "code", "words"),
    [
        (refusing(401, "no such key"), 77, "does not accept the key in JUMAR_API_KEY"),
        (refusing(404, "no such model"), 1, "has no model 'test-model'"),
        (refusing(503, "starting", headers={"retry-after": "0"}), 75, "could not answer (503): starting"),
        (Holding("words"), 75, "the model gave no whole answer within 0.3 s"),
    ],
)
async def test_what_cannot_be_reached_is_told_in_a_line(tmp_path: Path, answering: Answering, code: int, words: str) -> None:
    seconds = "0.3" if isinstance(answering, Holding) else "60"
    run = await examined(tmp_path, answering, "--timeout", seconds, window=65_536)
    assert run.code == code
    assert words in run.out.splitlines()[-1]
    assert "✓" not in run.out


async def test_a_program_is_told_what_cannot_be_reached(tmp_path: Path) -> None:
    run = await examined(tmp_path, refusing(401, "no such key"), "--json", window=65_536)
    assert run.code == 77
    assert run.result["grade"] == "unreachable"
    assert "does not accept the key" in run.result["error"]
    assert run.result["checks"] == []


async def test_where_no_server_is_it_says_so(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        person = Person(tmp_path, f"http://127.0.0.1:{free.getsockname()[1]}/v1")
        run = await person.run("doctor", "--json")
    assert run.code == 75
    assert run.result["grade"] == "unreachable"
    assert "is the server running" in run.result["error"]


async def test_without_a_key_it_is_told_what_to_set(tmp_path: Path) -> None:
    run = await Person(tmp_path).run("doctor")
    assert run.code == 77
    assert run.out == ""
    assert "MOONSHOT_API_KEY" in run.err


async def test_a_request_that_fails_once_is_sent_again(tmp_path: Path) -> None:
    good = Good()
    failed: list[bool] = []

    def failing_once(body: dict[str, Any]) -> Response:
        if asked(body).name == "sum" and not failed:
            failed.append(True)
            return failure(503, {"error": {"message": "busy"}}, {"retry-after": "0"})
        return good(body)

    run = await examined(tmp_path, failing_once, "--json")
    assert (run.code, run.result["grade"], run.result["score"]) == (0, "good", 1.0)
    assert run.result["spent"]["requests"] == 21


@pytest.mark.parametrize(
    ("status", "message", "code"), [(503, "out of memory", 75), (401, "revoked", 77), (402, "insufficient balance", 1)]
)
async def test_where_the_server_gives_up_no_more_is_asked(tmp_path: Path, status: int, message: str, code: int) -> None:
    run = await examined(tmp_path, refusing(status, message, before=5, headers={"retry-after": "0"}), "--json")
    assert (run.code, run.result["grade"]) == (code, "unknown")
    assert run.result["error"]
    assert run.result["spent"]["calls"] <= 10
    assert {"stream", "cache"} & scores(run.result).keys() == {"cache", "stream"}


async def test_what_was_begun_is_not_asked_again_where_the_budget_would_not_hold(tmp_path: Path) -> None:
    def breaking_off(body: dict[str, Any]) -> Response:
        if asked(body).name == "words":
            return in_one(_SAID["words"])
        return Response((event({"role": "assistant", "content": "I "}),), cut=True)

    run = await examined(tmp_path, breaking_off, "--json")
    assert (run.code, run.result["grade"]) == (1, "broken")
    assert "cut_off" in faults(run.result)["answers"]
    assert run.result["spent"]["requests"] == 20


async def test_where_answers_keep_to_no_limit_no_more_is_asked_than_the_budget_holds(tmp_path: Path) -> None:
    run = await examined(tmp_path, lambda body: answer(_SAID["words"], usage=Usage(10_000, 10_000)), "--json")
    assert (run.code, run.result["grade"]) == (1, "unknown")
    assert "the budget is used up" in run.result["error"]
    spent, budget = run.result["spent"], run.result["budget"]
    assert spent["prompt_tokens"] + spent["completion_tokens"] <= budget["tokens"] + 2 * 20_000  # of those under way
    assert "stream" in scores(run.result)


async def test_where_requests_are_limited_one_alone_is_asked(tmp_path: Path) -> None:
    good = Good()
    limited: list[bool] = []

    def limiting(body: dict[str, Any]) -> Response:
        if asked(body).calls and not limited:
            limited.append(True)
            return failure(429, {"error": {"message": "too many requests at once"}}, {"retry-after": "0"})
        return good(body)

    run = await examined(tmp_path, limiting, "--json")
    assert (run.code, run.result["score"]) == (0, 1.0)
    assert run.result["spent"]["requests"] == 21


async def test_no_more_than_two_requests_are_under_way_at_a_time(tmp_path: Path) -> None:
    async with ScriptedServer(answering=Good()) as server:
        run = await Person(tmp_path, server.base_url).run("doctor", "--json")
        assert run.code == 0
        assert server.connections <= 3  # one of them asks what the server has


async def test_who_reads_no_further_ends_it_quietly(tmp_path: Path) -> None:
    async with ScriptedServer(answering=Good()) as server:
        run = await Person(tmp_path, server.base_url).shell("$JUMAR doctor | head -1; echo ${PIPESTATUS[0]}")
    first, code = run.out.splitlines()
    assert first.startswith("jumar doctor · test-model at 127.0.0.1:")
    assert code == "141"
    assert run.err == ""


@pytest.mark.parametrize("form", ["words", "json"])
async def test_an_interrupt_tells_what_is_known_so_far(tmp_path: Path, form: str) -> None:
    holding = Holding("list")
    async with ScriptedServer(answering=holding) as server:
        person = Person(tmp_path, server.base_url)
        program = await person.start("doctor", *(["--json"] if form == "json" else []))
        await asyncio.wait_for(holding.held.wait(), 30)
        program.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(program.communicate(), 30)
        await asyncio.wait_for(server.left.wait(), 30)
    assert program.returncode == 130
    assert b"Traceback" not in err
    if form == "json":
        told = json.loads(out)
        assert told["interrupted"]
        assert scores(told)["cache"] == 1.0
        assert told["grade"] == "unknown"
    else:
        assert "✓ cache " in out.decode()
        assert out.decode().splitlines()[-1].startswith("■ interrupted · ")


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=["", "plain", "dumb"]
)
async def test_a_terminal_gets_colours_and_how_far_it_is(tmp_path: Path, environment: dict[str, str], coloured: bool) -> None:
    async with ScriptedServer(answering=broken) as server:
        person = Person(tmp_path, server.base_url)
        primary, secondary = pty.openpty()
        program = await asyncio.create_subprocess_exec(
            str(JUMAR),
            "doctor",
            env={**person.environment, "TERM": "xterm-256color", "COLUMNS": "60", **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=secondary,
            stderr=secondary,
        )
        os.close(secondary)
        told = (await asyncio.to_thread(read_all, primary)).decode()
        assert await program.wait() == 1
    assert ("\x1b[31m✗ schema" in told) == coloured
    assert ("of 20 calls" in told) == coloured
    assert ("\x1b" in told) == coloured
    shown = [line.rpartition("\x1b[2K")[2] for line in told.splitlines()]
    assert max(len(re.sub("\x1b\\[[0-9;]*m", "", line)) for line in shown) < 60


async def test_the_price_is_told_where_it_is_known(tmp_path: Path) -> None:
    price = '[overrides."test-model"]\nprice = {hit = 0.1, miss = 1.0, output = 4.0}\n'
    run = await examined(tmp_path, Good(), "--json", config=price)
    told = run.result
    budget, spent = told["budget"], told["spent"]
    assert budget["cost"] == pytest.approx((budget["prompt_tokens"] + 4 * budget["completion_tokens"]) / 1e6)
    missed = spent["prompt_tokens"] - spent["cached_tokens"]
    assert spent["cost"] == pytest.approx((0.1 * spent["cached_tokens"] + missed + 4 * spent["completion_tokens"]) / 1e6)


@pytest.mark.parametrize(
    ("change", "score"),
    [
        (lambda text: text, 1.0),
        (lambda text: text.replace("rule_11", "rule_1l"), 0.5),
        (lambda text: text.replace("\\", ""), 0.0),
    ],
)
def test_a_slip_in_a_long_text_is_not_as_bad_as_a_text_that_is_changed_all_over(
    change: Callable[[str], str], score: float
) -> None:
    check = next(check for check in CHECKS if check.name == "long")
    probe = next(probe for probe in PROBES if probe.name == "long-code")
    call = Call("1", "write_note", json.dumps({"text": change(str(probe.expected["text"]))}))
    ended = Finished(Answer("", (call,)), "calls", Usage(10, 10), "m")
    finding = check.find({probe.name: Outcome(probe, probe.request(), ended, 1.0)})
    assert finding is not None
    assert finding.score == score


_READ = Call("1", "read_file", '{"path": "config/server.toml"}')


@pytest.mark.parametrize(
    ("check", "probe", "ended", "kind"),
    [
        ("echo", "port-told", Answer("It is port 48213."), ""),
        ("echo", "port-told", Answer("I cannot know that."), "lost_result"),
        ("echo", "port-told", Answer("", (_READ,)), "asks_again"),
        ("echo", "port-told", Answer("", reasoning="48213, is it?"), "empty"),
        ("trigger", "sum", Answer("", (_READ,)), "needless_call"),
        ("trigger", "port", Answer("", (_READ,)), ""),
        ("schema", "port", Answer("", (Call("1", "run_tests", "{}"),)), "wrong_tool"),
        ("schema", "port", Answer("", (Call("1", "read_file", '{"path": 3}'),)), "schema"),
        ("schema", "meeting", Answer("", (Call("1", "plan_meeting", _MEETING.replace("wed", "thu")),)), "wrong_value"),
        ("schema", "meeting", Answer("", (Call("1", "plan_meeting", _MEETING.replace('"ada", "linus"', '"linus", "ada"')),)), ""),
        ("schema", "meeting", Answer("", (Call("1", "plan_meeting", _MEETING.replace("5", '"5"')),)), "schema"),
        ("parallel", "files", Answer("", (_READ, replace(_READ, id="2"))), "one_at_a_time"),
        ("calls", "port", Answer("", (Call("1", "rm", "{}"),)), "unknown_tool"),
        ("calls", "list", Answer("Nodes.<|im_end|>"), "markup"),
        ("answers", "list", ModelError("no", Fault.CONTEXT), "context"),
        ("answers", "list", ModelError("no", Fault.GARBLED), "garbled"),
    ],
)
def test_each_fault_is_called_by_its_name(check: str, probe: str, ended: Answer | ModelError, kind: str) -> None:
    asked = next(one for one in PROBES if one.name == probe)
    first = next((one for one in PROBES if one.name == asked.follows), None)
    whole = Finished(ended, "stop", Usage(10, 10), "m") if isinstance(ended, Answer) else ended
    finding = next(one for one in CHECKS if one.name == check).find({probe: Outcome(asked, asked.request(first), whole, 1.0)})
    assert finding is not None
    assert [flaw.kind for flaw in finding.flaws] == ([kind] if kind else [])
    assert (finding.passed == finding.total) == (not kind)


def test_there_are_twenty_probes_and_each_has_a_place_in_a_check() -> None:
    assert len(PROBES) == 20
    judged = {name for check in CHECKS for name in check.probes if check.name not in {"answers", "usage", "calls"}}
    assert judged == {probe.name for probe in PROBES}
