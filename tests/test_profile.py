"""What a model is given by the size of its window."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from prompts import words
from tests.fakes import ScriptedServer, answer, recorded
from tests.runs import Person


async def asked(person: Person, server: ScriptedServer, window: int) -> dict[str, Any]:
    """Return the first request of a run whose model has such a window."""
    server.script.append(answer("done"))
    run = await person.trusted("-p", "x", "--context", str(window), "--mode", "yolo")
    assert run.code == 0, run.err
    return server.bodies()[-1]


def tokens(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def test_the_short_words_are_at_most_a_third_of_the_long_ones() -> None:
    assert 150 < tokens(words("system-small")) <= tokens(words("system")) / 3
    assert not re.search(r"[{}]|\$\w|%s|\b20\d\d\b", words("system-small"))


async def test_a_small_window_gets_short_words_and_few_tools(person: Person, server: ScriptedServer) -> None:
    (person.root / "AGENTS.md").write_text("rule\n" * 10_000)
    small = await asked(person, server, 16_384)
    large = await asked(person, server, 131_072)
    assert [message["content"] for message in (small["messages"][0], large["messages"][0])] == [
        words("system-small"),
        words("system"),
    ]
    names = {tool["function"]["name"] for tool in small["tools"]}
    assert names == {"read", "edit", "write", "shell", "search", "outline", "symbols"}
    assert names < {tool["function"]["name"] for tool in large["tools"]}
    for tool in small["tools"]:
        assert 5 < tokens(tool["function"]["description"]) < 40
    assert len(json.dumps(small)) < 16_384 * 4 // 5 < len(json.dumps(large))


async def test_the_smallest_window_has_no_tool_that_the_work_can_do_without_and_no_map(
    person: Person, server: ScriptedServer
) -> None:
    least = await asked(person, server, 9000)
    assert {tool["function"]["name"] for tool in least["tools"]} == {"read", "edit", "write", "shell", "search"}
    assert "Map of the code" not in least["messages"][1]["content"]


async def test_a_small_window_is_given_small_outputs_with_their_start_and_end(person: Person, server: ScriptedServer) -> None:
    server.script.append(answer("", calls=[("shell", {"command": "seq 1 9000; exit 3"})]))
    reply = (await asked(person, server, 16_384))["messages"][-1]["content"]
    assert len(reply) < 9000
    assert reply.startswith("1\n2\n")
    assert "exit 3" in reply
    assert re.search(r"bytes of output left out; read \S+ for all of it\]\n\[exit 3", reply)
    assert "characters were left out" not in reply


@pytest.mark.parametrize("window", [16_000, 32_768, 1_000_000])
async def test_windows_of_all_sizes_work(person: Person, server: ScriptedServer, window: int) -> None:
    assert (await asked(person, server, window))["messages"][-1]["content"].endswith("x")


async def test_a_window_that_is_too_small_is_refused_and_the_way_out_named(person: Person, server: ScriptedServer) -> None:
    run = await person.trusted("-p", "x", "--context", "4096")
    assert run.code == 2
    assert "4096 tokens" in run.err
    assert "--context" in run.err
    assert len(run.err.strip().split("\n")) == 1
    assert not server.requests


async def test_what_the_server_never_takes_ends_the_run_with_an_exit_code(person: Person, server: ScriptedServer) -> None:
    refusal = recorded((Path(__file__).parent / "captures/llamacpp-error-context.sse").read_bytes())
    server.script.extend([refusal] * 30)
    run = await person.trusted("-p", "x", "--output-format", "json")
    assert (run.code, run.result["status"]) == (1, "failed")
    assert "start its server with a larger context" in run.result["reason"]
    assert len(server.requests) < 4
