"""What a language server says is read within bounds, and of it only what a client has to hear."""

import asyncio
import json
from typing import Any

import pytest

from agent.diagnostics.contract import Broken
from agent.diagnostics.wire import UNHEARD, messages

PUBLISHED = "textDocument/publishDiagnostics"


def framed(message: object) -> bytes:
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"Content-Type: x\r\ncontent-length: %d\r\n\r\n%b" % (len(raw), raw)


def said(**message: Any) -> bytes:
    return framed({"jsonrpc": "2.0", **message})


async def heard(*raw: bytes) -> list[dict[str, Any]]:
    reader = asyncio.StreamReader(1 << 16)
    reader.feed_data(b"".join(raw))
    reader.feed_eof()
    return [message async for message in messages(reader)]


async def test_only_what_a_client_has_to_hear_is_heard() -> None:
    found = await heard(
        said(method="exit"),
        said(method="window/logMessage", params={"message": "x"}),
        said(method="initialize", id=1, params={}),
        said(method="shutdown", id=2),
        said(method="workspace/configuration", id=3, params={"items": []}),
        said(method="workspace/applyEdit", id=4, params={}),
        said(id="ours", result=None),
        said(method=PUBLISHED, params={"uri": "file:///a", "diagnostics": []}),
    )
    assert [(message.get("method"), message.get("id")) for message in found] == [
        (UNHEARD, 1),
        (UNHEARD, 2),
        ("workspace/configuration", 3),
        (UNHEARD, 4),
        (None, "ours"),
        (PUBLISHED, None),
    ]


async def test_problems_are_few_and_hold_only_what_is_read() -> None:
    one = {"message": "m", "range": {}, "relatedInformation": ["x"] * 9, "data": {"jsonrpc": "2.0"}}
    [published] = await heard(said(method=PUBLISHED, params={"uri": "u", "version": 3, "diagnostics": [one, 7] * 2000}))
    assert published["params"]["version"] == 3
    assert published["params"]["diagnostics"] == [{"message": "m", "range": {}}] * 250
    [answered] = await heard(said(id="1", result={"kind": "full", "items": [one], "relatedDocuments": {"u": 1}}))
    assert answered["result"] == {"kind": "full", "items": [{"message": "m", "range": {}}]}
    [greeted] = await heard(said(id="1", result={"capabilities": {"diagnosticProvider": {"a": 1}, "hoverProvider": []}}))
    assert greeted["result"] == {"capabilities": {"diagnosticProvider": {"a": 1}}}


@pytest.mark.parametrize(
    "wrong", [b"{", b"[]", b"7", b'{"jsonrpc": "1.0"}', b"[" * 100_000, framed({"id": {}})[-9:], b'{"jsonrpc": "2.0", "id": 7}']
)
async def test_what_is_no_message_is_passed_over_and_not_for_ever(wrong: bytes) -> None:
    assert [message["id"] for message in await heard(framed(wrong), said(id="ours", result=1))] == ["ours"]
    with pytest.raises(Broken, match="what it says is no JSON"):
        await heard(*[framed(wrong)] * 21)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"Content-Length: 99999999999\r\n\r\n", "it sends a message of 95367 MiB"),
        (b"x" * 300_000, "it speaks another language than it should"),
        (b"\r\n", "it speaks another language than it should"),
        (b"a: b\r\n" * 20, "it speaks another language than it should"),
        (said(method="$/progress") * 4001, "it says more than anybody can hear"),
    ],
)
async def test_what_has_no_bounds_is_the_end(raw: bytes, why: str) -> None:
    with pytest.raises(Broken, match=why):
        await heard(raw)


async def test_what_is_cut_off_is_the_end_and_no_fault() -> None:
    assert await heard(said(id="1", result=1)[:-1]) == []
