"""Owns the model that costs nothing: asks for N shell commands, then streams N tokens of a kind, and keeps the times."""

import asyncio
import json
import sys
import time
from typing import Any

COMMAND = "true"


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    whole = {"id": "b", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"


def call(number: int) -> list[bytes]:
    function = {
        "name": "shell",
        "arguments": json.dumps({"command": f"{COMMAND} {number}"}),
    }  # the same again and again would be stopped
    one = {"index": 0, "id": f"functions.shell:{number}", "type": "function", "function": function}
    return [chunk({"role": "assistant", "content": None, "tool_calls": [one]}), chunk({}, "tool_calls")]


CODE = (
    "\n",
    "```",
    "python",
    "\n",
    "if",
    " a",
    " <",
    " b",
    ":",
    "\n",
    "   ",
    " print",
    "(x",
    ")",
    "\n",
    "```",
    "\n",
    "Then",
    " `",
    "a",
    "`",
    " is",
    " <",
    "1",
    ".",
)


def words(kind: str, count: int, together: int) -> list[bytes]:
    """Return the tokens of an answer, so many of them together in what is written at once."""
    match kind:
        case "code":
            deltas = [{"content": CODE[number % len(CODE)] + (str(number) if not number % 31 else "")} for number in range(count)]
        case "thinking":
            deltas = [{"reasoning_content": f" word{number % 977}"} for number in range(count)]
        case "call":
            head = "<|tool_call_begin|>functions.write:0<|tool_call_argument_begin|>"
            head += '{"path": "a", "content": "'
            deltas = [{"content": head}, *({"content": f" word{number % 977}"} for number in range(count))]
        case _:
            deltas = [{"content": f" word{number % 977}"} for number in range(count)]
    tokens = [chunk(delta) for delta in deltas]
    return [b"".join(tokens[start : start + together]) for start in range(0, count, together)] + [chunk({}, "stop")]


class Server:
    """Answers the first `steps` requests with a call each, the next with `tokens` tokens."""

    def __init__(self, steps: int, tokens: int, kind: str, together: int) -> None:
        self.steps = steps
        self.words = words(kind, tokens, together)
        self.arrived: list[float] = []
        self.answered: list[float] = []
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")), 0)
                body = await reader.readexactly(length)
                if lines[0].startswith(b"get "):  # it asks what models there are, which is no request to one
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    continue
                self.arrived.append(time.monotonic())
                self.bodies.append(body)
                await self._answer(writer)
                self.answered.append(time.monotonic())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        number = len(self.arrived) - 1
        parts = call(number) if number < self.steps else self.words
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        usage = {"id": "b", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
        for part in (*parts, b"data: " + json.dumps(usage).encode() + b"\n\n", b"data: [DONE]\n\n"):
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def main(steps: int, tokens: int, kind: str, together: int) -> None:
    """Serve until stdin closes, then print what was seen as one JSON object."""
    server = Server(steps, tokens, kind, together)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    listening.close()
    bodies = [body.decode() for body in server.bodies]
    print(json.dumps({"arrived": server.arrived, "answered": server.answered, "bodies": bodies}))


if __name__ == "__main__":
    kind, together = sys.argv[3:5] if len(sys.argv) == 5 else ("words", "100")
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), kind, int(together)))
