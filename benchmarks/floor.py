"""Owns the floor: the least that httpx and subprocess need for the same requests and the same commands."""

import json
import subprocess
import sys

import httpx


def main(base_url: str) -> None:
    """Ask, run the command that came back, and ask again, until words come."""
    messages: list[dict[str, object]] = [{"role": "user", "content": "go"}]
    with httpx.Client(timeout=60) as client:
        while True:
            text, call = "", None
            body = {"model": "m", "stream": True, "messages": messages}
            with client.stream("POST", f"{base_url}/chat/completions", json=body) as response:
                for line in response.iter_lines():
                    if not line.startswith("data: {"):
                        continue
                    for choice in json.loads(line[6:])["choices"]:
                        text += choice["delta"].get("content") or ""
                        call = (choice["delta"].get("tool_calls") or [call])[0]
            if call is None:
                print(text)
                return
            command = json.loads(call["function"]["arguments"])["command"]
            ended = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, check=False)
            messages.append({"role": "assistant", "tool_calls": [call]})
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": ended.stdout or f"[exit {ended.returncode}]"})


if __name__ == "__main__":
    main(sys.argv[1])
