"""Owns a language server for tests that finds "BAD" in texts, and does what its arguments say beside that: it misbehaves too."""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

HOW = set(sys.argv[1:])
TEXTS: dict[str, str] = {}
ANSWERS: dict[int, dict[str, Any]] = {}


def read() -> dict[str, Any]:
    length = 0
    while (line := sys.stdin.buffer.readline()).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if not length:
        sys.exit()
    message: dict[str, Any] = json.loads(sys.stdin.buffer.read(length))
    return message


def say(**message: Any) -> None:
    raw = json.dumps({"jsonrpc": "2.0", **message}).encode()
    write(b"Content-Length: %d\r\n\r\n" % len(raw) + raw)


def write(raw: bytes) -> None:
    sys.stdout.buffer.write(raw)
    sys.stdout.buffer.flush()


def found(text: str) -> list[dict[str, Any]]:
    rows = [number for number, line in enumerate(text.split("\n")) for _ in range(line.count("BAD"))]
    return [
        {
            "range": {"start": {"line": row, "character": 0}, "end": {"line": row, "character": 3}},
            "severity": 1,
            "code": "bad",
            "message": "it is bad",
        }
        for row in rows
    ]


def beside(uri: str) -> None:
    """Say of another file of the folder what this one makes of it."""
    other = uri.rpartition("/")[0] + "/other.py"
    text = "BAD" if "BREAKS other.py" in TEXTS[uri] else ""
    say(method="textDocument/publishDiagnostics", params={"uri": other, "diagnostics": found(text)})


def publish(uri: str, version: int) -> None:
    if "hang" in HOW and "BAD" in TEXTS[uri]:
        time.sleep(60)
    if "plant" in HOW:
        with suppress(OSError):
            Path("planted").touch()
    while "LATE" in TEXTS[uri] and not Path("go").exists():
        time.sleep(0.005)
    if "crash" in HOW and "BAD" in TEXTS[uri]:
        os.write(2, b"it hurts\n")
        os._exit(3)
    if "crash-once" in HOW and not Path("crashed").exists():
        Path("crashed").touch()
        os._exit(3)
    if "flood" in HOW:
        while True:
            say(method="window/logMessage", params={"type": 3, "message": "x" * 1000})
    beside(uri)
    version_of = {} if "unversioned" in HOW else {"version": version}
    say(method="textDocument/publishDiagnostics", params={"uri": uri, "diagnostics": found(TEXTS[uri]), **version_of})
    if "LATE" in TEXTS[uri]:
        Path("said").touch()


def main() -> None:
    if "silent" in HOW:
        time.sleep(60)
    while True:
        message = read()
        said = message.get("params") or {}
        match message.get("method"):
            case None:
                ANSWERS[message["id"]] = message
                if len(ANSWERS) == 2:
                    assert ANSWERS[1]["error"]["code"] == -32601
                    assert ANSWERS[2]["result"][1] is None
            case "initialize":
                say(method="exit")  # what no server says, and no client obeys
                say(id=1, method="shutdown")
                say(id=2, method="workspace/configuration", params={"items": [{"section": "python.analysis"}, {"section": "x"}]})
                say(id=message["id"], result={"capabilities": {"textDocumentSync": 1}})
            case "textDocument/didOpen":
                document = said["textDocument"]
                TEXTS[document["uri"]] = document["text"]
                publish(document["uri"], document["version"])
            case "textDocument/didChange":
                document = said["textDocument"]
                TEXTS[document["uri"]] = said["contentChanges"][0]["text"]
                publish(document["uri"], document["version"])


if __name__ == "__main__":
    main()
