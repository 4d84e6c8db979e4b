"""Owns the fakes: a real HTTP server on the loopback that plays a script of a model's answers."""

import asyncio
import json
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from agent.messages import Call, Usage

MODEL = "scripted"


@dataclass(frozen=True, slots=True)
class Response:
    """One answer of the server. After its pieces it waits for `hold`, or for the client to leave; `cut` breaks it off then."""

    pieces: tuple[bytes, ...]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream; charset=utf-8"})
    cut: bool = False
    hold: asyncio.Event | None = None


def event(delta: Mapping[str, Any], finish: str | None = None, **more: object) -> bytes:
    """Return one event as vLLM writes it."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _line({"choices": [choice], **more})


def answer(
    text: str = "",
    calls: Sequence[Call | tuple[str, Mapping[str, Any]]] = (),
    *,
    reasoning: str = "",
    usage: Usage | None = None,
    finish: str = "",
    cut: bool = False,
    hold: asyncio.Event | None = None,
) -> Response:
    """Build a streamed answer: reasoning, words in pieces, calls with their arguments in two, usage in a last event."""
    usage = usage or Usage(10, 5)
    pieces = [event({"role": "assistant", "content": ""})]
    if reasoning:
        pieces.append(event({"reasoning_content": reasoning}))
    pieces += [event({"content": word}) for word in text.splitlines(keepends=True)]
    for index, call in enumerate(calls):
        if isinstance(call, tuple):
            name, arguments = call
            call = Call(f"functions.{name}:{index}", name, json.dumps(arguments, ensure_ascii=False))
        middle = len(call.arguments) // 2
        function = {"name": call.name, "arguments": call.arguments[:middle]}
        pieces.append(event({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]}))
        pieces.append(event({"tool_calls": [{"index": index, "function": {"arguments": call.arguments[middle:]}}]}))
    pieces.append(event({}, finish or ("tool_calls" if calls else "stop")))
    counts = {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "cached_tokens": usage.cached}
    pieces += [_line({"choices": [], "usage": counts}), b"data: [DONE]\n\n"]
    return Response(tuple(pieces), cut=cut, hold=hold)


def said(kind: str, **more: object) -> bytes:
    """Return one event as the Messages API writes it."""
    data = json.dumps({"type": kind, **more}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def block(number: int, begun: Mapping[str, Any], *deltas: Mapping[str, Any]) -> bytes:
    """Return one block of an answer of the Messages API, from its beginning to its end."""
    pieces = [said("content_block_start", index=int(number), content_block=begun)]
    pieces += [said("content_block_delta", index=int(number), delta=delta) for delta in deltas]
    return b"".join([*pieces, said("content_block_stop", index=int(number))])


def anthropic(
    text: str = "",
    calls: Sequence[Call | tuple[str, Mapping[str, Any]]] = (),
    *,
    thinking: str = "",
    signature: str = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk=",
    usage: Usage | None = None,
    stop: str = "",
    cut: bool = False,
    hold: asyncio.Event | None = None,
) -> Response:
    """Build a streamed answer of the Messages API: signed thinking, words in pieces, calls with their input in two."""
    usage = usage or Usage(10, 5)
    counts = {
        "input_tokens": usage.prompt - usage.cached - usage.written,
        "cache_creation_input_tokens": usage.written,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": 1,
    }
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": MODEL}
    nothing = {"stop_reason": None, "stop_sequence": None}
    pieces = [said("message_start", message={**message, **nothing, "usage": counts}), said("ping")]
    if thinking:
        deltas = [{"type": "thinking_delta", "thinking": word} for word in thinking.splitlines(keepends=True)]
        signed = {"type": "signature_delta", "signature": signature}
        pieces.append(block(0, {"type": "thinking", "thinking": "", "signature": ""}, *deltas, signed))
    if text:
        deltas = [{"type": "text_delta", "text": word} for word in text.splitlines(keepends=True)]
        pieces.append(block(bool(thinking), {"type": "text", "text": ""}, *deltas))
    for index, call in enumerate(calls, bool(thinking) + bool(text)):
        if isinstance(call, tuple):
            name, arguments = call
            call = Call(f"toolu_{name}_{index}", name, json.dumps(arguments, ensure_ascii=False))
        middle = len(call.arguments) // 2
        halves = ("", call.arguments[:middle], call.arguments[middle:])
        begun = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        pieces.append(block(index, begun, *({"type": "input_json_delta", "partial_json": half} for half in halves)))
    reason = {"stop_reason": stop or ("tool_use" if calls else "end_turn"), "stop_sequence": None}
    pieces += [said("message_delta", delta=reason, usage={"output_tokens": usage.completion}), said("message_stop")]
    return Response(tuple(pieces), cut=cut, hold=hold)


def failure(status: int, body: Mapping[str, Any] | str = "", headers: Mapping[str, str] | None = None) -> Response:
    """Build a refusal; a mapping becomes JSON."""
    if isinstance(body, str):
        return Response((body.encode(),), status, {"content-type": "text/html", **(headers or {})})
    return Response((json.dumps(body).encode(),), status, {"content-type": "application/json", **(headers or {})})


def recorded(capture: bytes, size: int | None = None) -> Response:
    """Play a capture of a real server: its status line, headers and body, the body in pieces of `size` bytes."""
    head, _, body = capture.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    kept = {name: value for name, value in headers.items() if name.lower() in {"content-type", "server", "vary", "date"}}
    step = size or len(body)
    pieces = tuple(body[start : start + step] for start in range(0, len(body), step))
    return Response(pieces, int(first.split(" ")[1]), kept)


def _listed(models: Sequence[str]) -> Response:
    return failure(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in models]})


def _line(more: Mapping[str, Any]) -> bytes:
    whole = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1795447167, "model": MODEL, **more}
    return b"data: " + json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


class ScriptedServer:
    """Answers POSTs with the script's responses, one after the other, then by `answering`; keeps what was asked."""

    def __init__(
        self,
        script: Iterable[Response] = (),
        models: Sequence[str] | Response = (MODEL,),
        secured: ssl.SSLContext | None = None,
        answering: Callable[[dict[str, Any]], Response] | None = None,
        pages: Mapping[str, Response] | None = None,
    ) -> None:
        self.script = list(script)
        self._pages = pages or {}  # what stands at other paths
        self._answering = answering
        self.tokens: int | None = None  # what it counts of any prompt, where it counts at all
        self.counted: list[bytes] = []  # the bodies of questions for that
        self.models = models
        self._secured = secured
        self.requests: list[bytes] = []  # the bodies of POSTs
        self.heads: list[dict[str, str]] = []  # the headers of all requests, and `:path`
        self.key = ""  # the only one that is let in; without one, anybody is
        self.connections = 0
        self.asked = asyncio.Event()  # a POST came
        self.left = asyncio.Event()  # a client left before its answer was over
        self.base_url = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._secured)
        self.base_url = f"{'https' if self._secured else 'http'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def bodies(self) -> list[dict[str, Any]]:
        """Return the requests as what they say."""
        return [json.loads(request) for request in self.requests]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._once(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.heads.append({":path": path, **headers})
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            response = failure(401, {"error": {"message": f"Incorrect API key: {headers.get('authorization')}"}})
        elif method == "GET" and path == "/v1/models":
            response = self.models if isinstance(self.models, Response) else _listed(self.models)
        elif path in self._pages:
            response = self._pages[path]
        elif method == "POST" and path == "/v1/messages/count_tokens":
            self.counted.append(body)
            response = failure(404) if self.tokens is None else failure(200, {"input_tokens": self.tokens})
        elif method == "POST" and (self.script or self._answering):
            self.requests.append(body)
            self.asked.set()
            response = self.script.pop(0) if self.script or not self._answering else self._answering(json.loads(body))
        else:
            response = failure(400, {"error": {"message": "the script is over", "type": "invalid_request_error"}})
        return await self._play(response, reader, writer)

    async def _play(self, response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
        writer.write(f"HTTP/1.1 {response.status} Scripted\r\n{head}transfer-encoding: chunked\r\n\r\n".encode())
        for piece in response.pieces:
            if piece:
                writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                await writer.drain()
        if response.hold is not None and await self._leaves(reader, response.hold):
            self.left.set()
            return False
        if response.cut:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _leaves(self, reader: asyncio.StreamReader, hold: asyncio.Event) -> bool:
        """Wait for one of the two; tell whether the client left."""
        leaving, holding = asyncio.ensure_future(reader.read(1)), asyncio.ensure_future(hold.wait())
        try:
            await asyncio.wait({leaving, holding}, return_when=asyncio.FIRST_COMPLETED)
            return leaving.done()
        finally:
            leaving.cancel()
            holding.cancel()
            await asyncio.gather(leaving, holding, return_exceptions=True)
