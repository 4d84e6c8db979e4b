"""What the model is told of commands."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from agent.blocks import TerminalBlock
from agent.effects import Effect
from agent.errors import ToolFailure
from agent.tool import Context, Result
from agent.workspace.contract import WORKING, Confinement, Ended
from agent.workspace.local import LocalWorkspace
from tools.shell import Shell, ShellArguments


class Bench:
    """The tool, and a real workspace to run it in."""

    def __init__(self, folder: Path) -> None:
        self.workspace = LocalWorkspace(folder, folder, spill=folder / "spill", environment={"PATH": "/usr/bin:/bin"})
        self.told: list[str] = []

    async def call(self, **given: object) -> Result:
        arguments = ShellArguments.model_validate(given)
        return await Shell().run(arguments, Context(self.workspace, self.told.append, self._ask))

    async def _ask(self, question: str, options: tuple[str, ...]) -> str:
        raise AssertionError(question)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.workspace.close()


async def test_the_reply_is_the_output_and_how_it_ended(bench: Bench) -> None:
    result = await bench.call(command="echo out; echo err >&2; exit 3")
    assert re.fullmatch(r"out\nerr\n\[exit 3 · 0\.\d\d s\]", result.text)
    assert result.exit_code == 3
    (block,) = result.blocks
    assert isinstance(block, TerminalBlock)
    assert (block.command, block.output, block.exit_code) == ("echo out; echo err >&2; exit 3", "out\nerr\n", 3)
    assert block.seconds is not None
    assert "".join(bench.told) == "out\nerr\n"


async def test_the_reply_is_never_empty(bench: Bench) -> None:
    assert re.fullmatch(r"\(no output\)\n\[exit 0 · 0\.\d\d s\]", (await bench.call(command="true")).text)


async def test_a_timeout_says_what_to_do(bench: Bench) -> None:
    result = await bench.call(command="echo begun; sleep 1000", timeout=1.5)
    assert result.text.startswith("begun\n[it was still running after 1.5 s and was ended; raise timeout, or use background=true")
    assert re.search(r"\n\[exit 1(43|37) · \d\.\d\d s\]$", result.text)


async def test_what_was_left_running_is_told(bench: Bench) -> None:
    result = await bench.call(command="sleep 1000 >/dev/null 2>&1 & echo up")
    assert "up\n[1 process that it left running was ended" in result.text


async def test_what_was_left_out_can_be_read(bench: Bench) -> None:
    result = await bench.call(command="seq 1 50000")
    match = re.search(r"\n\[(\d+) bytes of output left out; read (\S+) for all of it\]\n\[exit 0", result.text)
    assert match is not None
    assert bench.workspace.read(bench.workspace.locate(match[2])).text == "".join(f"{number}\n" for number in range(1, 50001))
    assert len(result.text) < 34_000


async def test_a_server_is_started_read_listed_and_killed(bench: Bench) -> None:
    assert (await bench.call(action="list")).text == "No background process was started."
    started = await bench.call(command="echo up; sleep 1000", background=True)
    assert "bg1" in started.text
    async with asyncio.timeout(10):
        while (told := (await bench.call(action="read", id="bg1")).text).startswith("(nothing new)"):
            await bench.call(command="sleep 0.01")
    assert re.fullmatch(r"up\n\[bg1 running · \d+\.\d s\]", told)
    assert (await bench.call(action="read", id="bg1")).text.startswith("(nothing new)\n")
    assert re.fullmatch(r"bg1 running · \d+\.\d s: echo up; sleep 1000", (await bench.call(action="list")).text)
    assert re.search(r"\[bg1 exit 1(43|37) · ", (await bench.call(action="kill", id="bg1")).text)
    assert re.search(r"bg1 exit 1(43|37)", (await bench.call(action="list")).text)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "command is missing"),
        ({"command": "  "}, "command is missing"),
        ({"action": "read"}, "needs the id"),
        ({"action": "kill"}, "needs the id"),
        ({"action": "read", "id": "bg9"}, "no background process 'bg9'"),
    ],
)
async def test_what_cannot_be_done_is_said(bench: Bench, given: dict[str, str], words: str) -> None:
    with pytest.raises(ToolFailure, match=words):
        await bench.call(**given)


@pytest.mark.parametrize("timeout", [0, -1, 1801, "long"])
def test_a_timeout_has_bounds(timeout: object) -> None:
    with pytest.raises(ValidationError):
        ShellArguments.model_validate({"command": "true", "timeout": timeout})


def test_only_looking_counts_as_reading() -> None:
    effects = {action: Shell().effect_of(ShellArguments(action=action)) for action in ("run", "list", "read", "kill")}
    assert effects == {"run": Effect.EXEC, "list": Effect.READ, "read": Effect.READ, "kill": Effect.READ}


async def test_the_preview_is_the_command(bench: Bench) -> None:
    context = Context(bench.workspace, bench.told.append, bench._ask)
    assert await Shell().preview(ShellArguments(command="rm x"), context) == (TerminalBlock("rm x"),)
    with pytest.raises(ToolFailure):
        await Shell().preview(ShellArguments(), context)


class Ending(LocalWorkspace):
    """A place where every command ends in the same way."""

    ended: Ended

    async def run(self, command: str, limit: float, told: Callable[[str], None], confined: Confinement = WORKING) -> Ended:
        return self.ended


async def test_a_guard_that_ended_a_command_is_told_with_what_to_do(tmp_path: Path) -> None:
    place = Ending(tmp_path, tmp_path, spill=tmp_path / "spill", environment={})
    place.ended = Ended(137, "begun\n", 0.2, guarded="it had more than 512 processes")
    result = await Shell().run(ShellArguments(command="x"), Context(place, print, Bench(tmp_path)._ask))
    told = "[it was ended: it had more than 512 processes; that is more than a command may take, so do it in smaller parts]"
    assert result.text == f"begun\n{told}\n[exit 137 · 0.20 s]"


async def test_what_a_sandbox_stopped_is_handed_up(tmp_path: Path) -> None:
    place = Ending(tmp_path, tmp_path, spill=tmp_path / "spill", environment={})
    place.ended = Ended(1, "no\n", 0.2, stopped="the network is closed to it")
    result = await Shell().run(ShellArguments(command="x"), Context(place, print, Bench(tmp_path)._ask))
    assert (result.stopped, result.exit_code) == ("the network is closed to it", 1)
