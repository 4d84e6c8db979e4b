"""The size of a request, told without a tokenizer."""

import asyncio
import json
import time

import pytest

from agent.blocks import Image
from agent.estimate import Estimate, of_message, tokens
from agent.messages import Answer, Call, Message, Prompt, Reply
from agent.model import ToolOffer

_CODE = """
def _follow(self, messages: tuple[Message, ...]) -> None:
    same = 0
    for old, new in zip(self._messages, messages, strict=False):
        if old is not new:
            break
        same += 1
    del self._messages[same:], self._encoded[same:]
    for message in messages[same:]:
        self._encoded.append(self._message(message))
        self._messages.append(message)
"""
_PROSE = (
    "Look before you change. Find the code that matters, read it, and read how it is used and tested. Do not guess a path, "
    "a name, an API or a version: look it up. If a check fails, mend the cause; never weaken or delete a test.\n"
)
_CHINESE = "先看清楚再修改。找到相关的代码，阅读它，并了解它是如何被使用和测试的。不要猜测路径、名称或版本。"
_RUSSIAN = "Программа работает в терминале и ничего не теряет. Каждое действие видно, и его можно отменить. "
_ROWS = [{"id": i, "name": f"user{i}", "email": f"u{i}@example.com", "active": i % 2 == 0} for i in range(100)]
_LOG = "\n".join(
    f"2026-11-{i % 28 + 1:02d}T{i % 24:02d}:{i % 60:02d}:{i * 7 % 60:02d}Z INFO [worker-{i % 8}] id={i * 2654435761 % 2**32:08x} "
    f"status=200 took={i * 13 % 997}ms path=/api/v1/items/{i}"
    for i in range(100)
)
_LISTING = "\n".join(f"-rw-r--r-- 1 user user {i * 917 % 99999} Nov 26 01:{i % 60:02d} some_file_{i}.py" for i in range(100))
TEXTS = {
    "code": _CODE * 5,
    "prose": _PROSE * 5,
    "chinese": _CHINESE * 5,
    "russian": _RUSSIAN * 5,
    "json": json.dumps(_ROWS),
    "indented json": json.dumps(_ROWS, indent=2),
    "log": _LOG,
    "listing": _LISTING,
}
# What the tokenizer o200k_base makes of them.
COUNTED = {
    "code": 471,
    "prose": 290,
    "chinese": 170,
    "russian": 121,
    "json": 2701,
    "indented json": 3502,
    "log": 4165,
    "listing": 2597,
}


@pytest.mark.parametrize("kind", TEXTS)
def test_the_estimate_is_within_twelve_percent_of_a_real_tokenizer(kind: str) -> None:
    assert tokens(TEXTS[kind]) == pytest.approx(COUNTED[kind], rel=0.12)


def test_all_that_a_message_holds_counts() -> None:
    plain = of_message(Answer("hello"))
    assert of_message(Answer("hello", (Call("1", "read", '{"path": "a.py"}'),))) > plain + 5
    assert of_message(Answer("hello", reasoning="I wonder about this")) >= plain + 4
    picture = Image("image/png", "aGVsbG8=" * 10_000)
    assert 1000 < of_message(Prompt("look", (picture,))) < 3000
    assert of_message(Reply("1", "read", "", (picture, picture))) > 3000


def test_what_a_server_counts_corrects_the_next_estimate() -> None:
    estimate = Estimate("system", [ToolOffer("read", "Read a file.", {"type": "object", "properties": {}})])
    messages: list[Message] = [Prompt(_LOG)]
    raw = estimate.of(messages, "m")
    assert not estimate.known("m")
    estimate.learn(messages, "m", raw * 3 // 2)
    messages.append(Reply("1", "read", _LOG))
    assert estimate.of(messages, "m") == pytest.approx(raw * 3, rel=0.02)
    assert estimate.of(messages, "another model") == pytest.approx(raw * 2, rel=0.02)


def test_a_count_that_cannot_be_one_of_the_whole_request_is_not_believed() -> None:
    estimate = Estimate("system", [])
    raw = estimate.of([Prompt(_LOG)], "m")
    for counted in (0, 10, raw // 4):
        estimate.learn([Prompt(_LOG)], "m", counted)
        assert estimate.of([Prompt(_LOG)], "m") == raw
    estimate.learn([Prompt(_LOG)], "m", raw * 100)
    assert estimate.of([Prompt(_LOG)], "m") < raw * 3


def test_messages_are_counted_once_and_a_history_that_was_replaced_is_counted_anew() -> None:
    estimate = Estimate("", [])
    messages: list[Message] = [Prompt(_LOG) for _ in range(300)]
    whole = estimate.of(messages, "m")
    began = time.process_time()
    for _ in range(100):
        messages.append(Prompt("go on"))
        estimate.of(messages, "m")
    assert time.process_time() - began < 1.0  # counting all of it each time takes minutes
    assert estimate.of(messages[:300], "m") == whole
    assert estimate.of([Prompt("short")], "m") < 100
    assert estimate.of(messages[:1], "m") < estimate.of(messages[:2], "m") < whole


async def test_others_have_their_turn_while_a_long_history_is_counted_for_the_first_time() -> None:
    messages: list[Message] = [Prompt("look")]
    for number in range(300):
        messages += [Answer("I look.", (Call(str(number), "read", "{}"),)), Reply(str(number), "read", f"{number}\n{_LOG}")]
    estimate, at_once = Estimate("", []), Estimate("", [])
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    await estimate.take_in(messages)
    assert turns >= 10
    before = turns
    await estimate.take_in([*messages, Prompt("go on")])
    assert turns == before  # what was counted is not gone through again
    running.cancel()
    assert estimate.of(messages, "m") == at_once.of(messages, "m")


def test_a_reply_that_was_counted_is_not_counted_again_where_the_history_before_it_is_another() -> None:
    estimate = Estimate("", [])
    replies = [Reply("1", "read", f"{number}\n{_LOG}") for number in range(50)]
    estimate.of(replies, "m")
    began = time.process_time()
    for number in range(50):
        estimate.of([Prompt(f"{number}"), *replies], "m")
    assert time.process_time() - began < 1.0  # counting all of it each time takes several
