"""Models in files: what is one, what is asked of it, and that its thread stops."""

import asyncio
import importlib.util
import json
import os
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agent.config import Config
from agent.errors import Fault, UsageError
from agent.messages import Answer, Call, Message, Prompt, Reply, Usage
from agent.model import CallDelta, Chunk, Failed, Finished, Request, TextDelta, ToolOffer
from agent.providers.envelope import Envelope, messages, schema
from agent.providers.gguf import Head, head
from agent.providers.local import LocalModel
from agent.route import LocalRoute, routes
from agent.schema import parameters
from jumar.wiring import find_tools

TOOLS = tuple(ToolOffer(name, tool.__doc__ or "", parameters(tool.arguments)) for name, tool in sorted(find_tools().items()))


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words)) + words.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def gguf(*pairs: bytes, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, 0, len(pairs)) + b"".join(pairs)


LLAMA = pair("general.architecture", 8, text("llama"))
WINDOW = pair("llama.context_length", 4, struct.pack("<I", 8192))
BETWEEN = (
    pair("general.name", 8, text("x" * 99)),
    pair("general.size", 12, struct.pack("<d", 1.5)),
    pair("general.good", 7, b"\1"),
    pair("general.tags", 9, struct.pack("<IQ", 8, 2) + text("a") + text("b")),
    pair("general.numbers", 9, struct.pack("<IQ", 5, 3) + b"\0" * 12),
)
WHOLE = gguf(LLAMA, *BETWEEN, WINDOW, pair("llama.more", 4, b"\0\0\0\0"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "model.gguf").write_bytes(WHOLE)
    return tmp_path / "model.gguf"


def test_the_head_tells_architecture_and_window(file: Path) -> None:
    assert head(file) == Head("llama", 8192)
    file.write_bytes(gguf(LLAMA, version=2))
    assert head(file) == Head("llama", None)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is no GGUF file"),
        (b"PK\3\4 an archive", "is no GGUF file"),
        (b"GGUF", "damaged"),
        (gguf(LLAMA, version=1), "of version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "of the other byte order"),
        (gguf(), "of no language model"),
        (gguf(pair("general.architecture", 8, text("clip"))), "of no language model"),
        (gguf(pair("general.architecture", 8, struct.pack("<Q", 1 << 60))), "damaged"),
        (gguf(pair("a", 9, struct.pack("<IQ", 8, 1 << 60)), LLAMA), "damaged"),
        (gguf(pair("a", 9, struct.pack("<IQ", 9, 1)), LLAMA), "damaged"),
        (gguf(pair("a", 99, b""), LLAMA), "damaged"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(file: Path, raw: bytes, words: str) -> None:
    file.write_bytes(raw)
    with pytest.raises(UsageError, match=words) as error:
        head(file)
    assert "\n" not in str(error.value)


def test_a_head_that_is_cut_or_damaged_anywhere_is_read_or_refused(file: Path) -> None:
    for end in range(len(WHOLE) - 40):
        file.write_bytes(WHOLE[:end])
        with pytest.raises(UsageError):
            head(file)
    for place in range(len(WHOLE)):
        file.write_bytes(WHOLE[:place] + bytes([WHOLE[place] ^ 0xFF]) + WHOLE[place + 1 :])
        with suppress(UsageError):
            head(file)


def test_no_file_and_a_folder_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.gguf cannot be read: No such file"):
        LocalModel(str(tmp_path / "gone.gguf"), opening=Engine)
    with pytest.raises(UsageError, match="is a folder"):
        LocalModel(str(tmp_path), opening=Engine)


def test_a_pipe_and_names_that_no_file_can_have_are_told_in_one_line_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    for name, words in (
        (str(tmp_path / "pipe.gguf"), "is no file"),
        ("~no.such.person/m.gguf", "cannot be read"),
        ("a\0b.gguf", "cannot be the name of a file"),
    ):
        with pytest.raises(UsageError, match=words):
            LocalModel(name, opening=Engine)


@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is not None, reason="the extra is installed")
def test_without_the_extra_it_is_said_how_to_get_it(file: Path) -> None:
    with pytest.raises(UsageError, match=r"pip install 'jumar\[local\]'"):
        LocalModel(str(file))


class Engine:
    """In place of llama.cpp: gives the events of a script, and keeps what was asked."""

    def __init__(self, path: Path, window: int, threads: int) -> None:
        self.loaded = (path.name, window, threads)
        self.asked: list[Mapping[str, Any]] = []
        self.script: Callable[[], Iterator[object]] = lambda: iter(())
        self.stopped = threading.Event()

    def handle_chat_completions(self, request: dict[str, Any], hear: Callable[[Any], bool]) -> None:
        self.asked.append(request)
        for event in self.script():
            if isinstance(event, Exception):
                raise event
            if hear(event):
                self.stopped.set()
                return


class Bench:
    """A model in a file, and the engine that it opens."""

    def __init__(self, file: Path, window: int | None = None) -> None:
        self.engines: list[Engine] = []
        self.script: Callable[[], Iterator[object]] = lambda: iter(())

        def opening(path: Path, window: int, threads: int) -> Engine:
            engine = Engine(path, window, threads)
            engine.script = lambda: self.script()
            self.engines.append(engine)
            return engine

        self.model = LocalModel(str(file), window, opening=opening)

    async def ask(self, *said: Message, tools: tuple[ToolOffer, ...] = TOOLS, limit: int | None = None) -> list[Chunk]:
        request = Request("be good", said or (Prompt("go"),), tools, "s", max_tokens=limit)
        return [chunk async for chunk in self.model.stream(request)]


@pytest.fixture
async def bench(file: Path) -> Bench:
    return Bench(file)


def event(content: str | None, finish: str | None = None) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "delta": {} if content is None else {"content": content}, "finish_reason": finish}],
        "model": "/a/b",
    }


def events(content: str, finish: str = "stop", size: int = 3) -> list[dict[str, Any]]:
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    usage = {"prompt_tokens": 40, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 30}}
    begin = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}], "prompt_progress": {"total": 40}}
    return [begin, *map(event, pieces), event(None, finish), {"choices": [], "usage": usage}]


LETTER = (
    '{"text":"I \\"look\\" \\ud83d\\ude00.","calls":[{"name":"read","arguments":{"path":"a.py"}},'
    '{"name":"shell","arguments":{"command":"ls"}}]}'
)


async def test_words_stream_and_calls_come_whole(bench: Bench) -> None:
    bench.script = lambda: iter(events(LETTER))
    chunks = await bench.ask()
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta)) == 'I "look" 😀.'
    assert sum(isinstance(chunk, TextDelta) for chunk in chunks) > 2
    assert {chunk.name for chunk in chunks if isinstance(chunk, CallDelta)} == {"read", "shell"}
    last = chunks[-1]
    assert isinstance(last, Finished)
    calls = (Call("call_0", "read", '{"path":"a.py"}'), Call("call_1", "shell", '{"command":"ls"}'))
    assert last.answer == Answer('I "look" 😀.', calls)
    assert (last.finish, last.usage, last.model, last.repairs) == ("calls", Usage(40, 9, 30), "model.gguf", ())
    await bench.model.close()


@given(st.integers(1, len(LETTER)))
def test_an_answer_is_the_same_however_it_is_cut_into_pieces(size: int) -> None:
    letter = Envelope(0)
    told = "".join(letter.take(LETTER[start : start + size]) for start in range(0, len(LETTER), size))
    rest = letter.rest()
    assert told + rest["content"] == 'I "look" 😀.'
    assert [call["function"]["name"] for call in rest["tool_calls"]] == ["read", "shell"]


async def test_an_answer_that_is_cut_says_so_and_keeps_the_call_that_it_was_cut_in(bench: Bench) -> None:
    bench.script = lambda: iter(events(LETTER[:60], "length"))
    last = (await bench.ask())[-1]
    assert isinstance(last, Finished)
    assert last.finish == "length"
    assert [call.name for call in last.answer.calls] == ["read"]
    bench.script = lambda: iter(events(LETTER[:15], "length"))
    last = (await bench.ask())[-1]
    assert isinstance(last, Finished)
    assert (last.answer.text, last.answer.calls) == ('I "lo', ())
    await bench.model.close()


async def test_what_is_no_such_object_counts_as_words(bench: Bench) -> None:
    bench.script = lambda: iter(events("Just words."))
    for tools in (TOOLS, ()):
        last = (await bench.ask(tools=tools))[-1]
        assert isinstance(last, Finished)
        assert last.answer == Answer("Just words.")
    await bench.model.close()


async def test_a_request_binds_the_answer_to_the_tools_on_offer(bench: Bench) -> None:
    bench.script = lambda: iter(events(LETTER))
    await bench.ask(limit=77)
    await bench.ask(tools=())
    [engine] = bench.engines
    bound, free = engine.asked
    assert engine.loaded == ("model.gguf", 8192, 1)
    assert (bound["max_tokens"], free["max_tokens"]) == (77, 2048)
    assert "response_format" not in free
    assert free["messages"] == [{"role": "system", "content": "be good"}, {"role": "user", "content": "go"}]
    wanted = bound["response_format"]["json_schema"]["schema"]
    assert wanted == schema(TOOLS)
    fits = Draft202012Validator(wanted).is_valid
    assert fits(json.loads(LETTER))
    assert fits({"text": "done", "calls": []})
    assert not fits({"text": "", "calls": [{"name": "remove", "arguments": {}}]})
    assert not fits({"text": "", "calls": [{"name": "read", "arguments": {"file": "a"}}]})
    assert all(f"\n\n{tool.name}: {tool.description}" in bound["messages"][0]["content"] for tool in TOOLS)
    await bench.model.close()


def test_roles_take_turns_and_an_answer_is_written_as_it_is_due() -> None:
    calls = (Call("call_0", "read", '{"path":"a"}'), Call("call_1", "shell", "{no json"))
    replies = (Reply("call_0", "read", "1\ta"), Reply("call_1", "shell", "no JSON"))
    history = (Prompt("go"), Answer("I look.", calls), *replies, Prompt("and hurry"), Answer(""), Prompt("well?"))
    told = messages("system", history, TOOLS)
    assert [message["role"] for message in told] == ["system", "user", "assistant", "user"]
    expected = {"text": "I look.", "calls": [{"name": "read", "arguments": {"path": "a"}}, {"name": "shell", "arguments": {}}]}
    assert json.loads(told[2]["content"]) == expected
    assert told[3]["content"] == "[read]\n1\ta\n\n[shell]\nno JSON\n\nand hurry\n\nwell?"


async def test_ids_go_on_from_those_of_the_history(bench: Bench) -> None:
    bench.script = lambda: iter(events(LETTER))
    last = (await bench.ask(Prompt("go"), Answer("", (Call("call_0", "read", "{}"),)), Reply("call_0", "read", "x")))[-1]
    assert isinstance(last, Finished)
    assert [call.id for call in last.answer.calls] == ["call_1", "call_2"]
    await bench.model.close()


async def test_faults_are_told_as_what_they_are(bench: Bench) -> None:
    too_long = {"error": {"code": 400, "message": "request (9 tokens) exceeds", "type": "exceed_context_size_error"}}
    for script, fault in (
        ([too_long], Fault.CONTEXT),
        ([event("a"), {"error": {"message": "bad"}}], Fault.GARBLED),
        ([event("a"), ValueError("'messages' is\nrequired")], Fault.REFUSED),
        ([event("a")], Fault.CUT),
        ([None, 7, {"choices": 3}], Fault.CUT),
    ):
        bench.script = partial(iter, script)
        last = (await bench.ask())[-1]
        assert isinstance(last, Failed)
        assert last.error.fault is fault
        assert "\n" not in str(last.error)
    await bench.model.close()


async def test_a_model_that_cannot_be_loaded_fails_the_request_and_is_tried_again(file: Path) -> None:
    tries = []

    def opening(path: Path, window: int, threads: int) -> Engine:
        tries.append(path)
        raise RuntimeError("Failed to init server")

    model = LocalModel(str(file), opening=opening)
    for _ in range(2):
        [last] = [chunk async for chunk in model.stream(Request("", (Prompt("go"),), (), "s"))]
        assert isinstance(last, Failed)
        assert last.error.fault is Fault.REFUSED
        assert "could not be loaded: the file is damaged" in str(last.error)
    assert len(tries) == 2
    await model.close()


async def test_cancelling_stops_the_thread_and_the_next_request_waits_for_it(bench: Bench) -> None:
    first, goes_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def endless() -> Iterator[object]:
        yield event('{"text":"a')
        loop.call_soon_threadsafe(first.set)
        goes_on.wait(30)
        while True:
            yield event("a")

    bench.script = endless
    asking = asyncio.create_task(bench.ask())
    await asyncio.wait_for(first.wait(), 30)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    [engine] = bench.engines
    bench.script = lambda: iter(events(LETTER))
    again = asyncio.create_task(bench.ask())
    assert not engine.stopped.is_set()
    goes_on.set()
    assert isinstance((await asyncio.wait_for(again, 30))[-1], Finished)
    assert engine.stopped.is_set()
    assert len(bench.engines) == 1
    await bench.model.close()


async def test_closing_leaves_no_thread_and_frees_the_model(bench: Bench) -> None:
    before = set(threading.enumerate())

    def endless() -> Iterator[object]:
        while True:
            yield event("a")

    bench.script = endless
    async with aclosing(bench.model.stream(Request("", (Prompt("go"),), (), "s"))) as chunks:
        async for _ in chunks:
            break
    await bench.model.close()
    assert set(threading.enumerate()) == before
    assert bench.engines[0].stopped.is_set()
    await bench.model.close()
    bench.script = lambda: iter(events("again"))
    assert isinstance((await bench.ask(tools=()))[-1], Finished)
    assert len(bench.engines) == 2  # it was freed, and is loaded again
    await bench.model.close()


def test_the_window_is_what_the_person_says_else_the_files_but_not_more_than_memory_is_spent_for_unasked(file: Path) -> None:
    def window(trained: int, said: int | None = None) -> int:
        file.write_bytes(gguf(LLAMA, pair("llama.context_length", 4, struct.pack("<I", trained))))
        return LocalModel(str(file), said, opening=Engine).capabilities.window

    assert (window(8192), window(131072), window(131072, 65536), window(0)) == (8192, 32768, 65536, 32768)


async def test_a_person_says_how_many_threads_run_it(file: Path) -> None:
    [route] = routes(Config(local_threads=3), {}, (f"local:{file}",))
    assert route == LocalRoute(str(file), threads=3)
    loaded: list[int] = []

    def opening(path: Path, window: int, threads: int) -> Engine:
        loaded.append(threads)
        return Engine(path, window, threads)

    model = LocalModel(str(file), threads=3, opening=opening)
    assert isinstance([chunk async for chunk in model.stream(Request("", (Prompt("go"),), (), "s"))][-1], Failed)
    assert loaded == [3]
    await model.close()
