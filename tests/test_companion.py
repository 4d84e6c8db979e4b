"""Programs that are spoken with through their pipes: what they say waits, and nothing of them is left."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.workspace.companion import Companion
from agent.workspace.contract import READ_ONLY
from agent.workspace.local import LocalWorkspace
from agent.workspace.shell import Shell
from tests.runs import ended_all


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    shell = Shell(tmp_path, {"PATH": "/usr/bin:/bin"}, tmp_path / "spill")
    yield shell
    await shell.close()


async def started(shell: Shell, folder: Path, script: str) -> Companion:
    return await shell.accompany(("/bin/sh", "-c", script), folder, READ_ONLY)


async def test_a_program_is_told_and_says_and_what_it_complains_of_is_kept_apart(shell: Shell, tmp_path: Path) -> None:
    inner = tmp_path / "in ner"
    inner.mkdir()
    cat = await started(shell, inner, "echo oh no >&2; pwd; cat; sleep 60")
    cat.tell(b"hello\n")
    cat.finish()
    assert (await cat.said.readline()).decode().strip() == str(inner.resolve())
    assert await cat.said.readline() == b"hello\n"
    assert cat.last_words == "oh no"
    await cat.end()
    assert await ended_all(cat.running.pid)
    with pytest.raises(BrokenPipeError):
        cat.tell(b"more\n")


async def test_what_it_started_ends_with_the_shell(shell: Shell, tmp_path: Path) -> None:
    parent = await started(shell, tmp_path, "sleep 60 & echo $!; exec sleep 60")
    child = int(await parent.said.readline())
    await shell.close()
    assert await ended_all(child)
    assert await ended_all(parent.running.pid)


async def test_it_waits_with_what_nobody_reads_and_is_told_no_more_than_it_takes(shell: Shell, tmp_path: Path) -> None:
    deaf = await started(shell, tmp_path, "yes; sleep 60")
    await deaf.said.readexactly(1 << 20)
    async with asyncio.timeout(10):
        while deaf._hearing is not None and deaf._hearing.is_reading():  # noqa: ASYNC110 - the system makes it
            await asyncio.sleep(0)
    for _ in range(32):
        deaf.tell(bytes(1 << 20))
    with pytest.raises(BrokenPipeError):
        deaf.tell(bytes(2 << 20))
    await deaf.end()


async def test_one_that_complains_without_end_is_ended(shell: Shell, tmp_path: Path) -> None:
    loud = await started(shell, tmp_path, "exec yes >&2")
    await asyncio.wait_for(asyncio.shield(loud.running.exited), 20)
    await loud.end()
    assert loud.last_words == "y"
    assert await ended_all(loud.running.pid)


async def test_one_that_ends_by_itself_is_noticed(shell: Shell, tmp_path: Path) -> None:
    short = await started(shell, tmp_path, "echo gone >&2; exit 3")
    assert await short.said.read() == b""
    await asyncio.wait_for(asyncio.shield(short.running.exited), 10)
    assert short.ended
    await short.end()
    assert short.last_words == "gone"


@pytest.mark.parametrize("sandbox", ["bubblewrap", "landlock"])
async def test_it_reads_no_secret_of_the_work_tree(tmp_path: Path, sandbox: str) -> None:
    tree, deep = tmp_path / "tree", tmp_path / "tree" / "app" / "deep"
    deep.mkdir(parents=True)
    for secret in (tree / ".env", deep / "Server.PEM", tree / "settings"):
        secret.write_text("canary\n")
    (deep / ".env.local").symlink_to(tree / "settings")
    for plain in (tree / "main.py", tree / "app" / "b.py", deep / ".env.example"):
        plain.write_text("readable\n")
    environment = {**os.environ, "HOME": str(tmp_path)}
    workspace = LocalWorkspace(tree, tree, spill=tmp_path / "spill", environment=environment, sandbox=sandbox)
    try:
        if workspace.sandbox != sandbox:
            pytest.skip(f"{sandbox} does not hold here: {'; '.join(workspace.holding.reasons)}")
        for _ in range(2):  # the second time, most is known
            program = await workspace.accompany(("/bin/sh", "-c", "ls -a; ls app/deep; cat $(find . -type f)"), tree, READ_ONLY)
            told = (await program.said.read()).decode()
            await program.end()
            assert "canary" not in told
            assert told.count("readable") == 3
            assert {".env", "main.py", "Server.PEM"} <= set(told.splitlines())
            (deep / "new.pem").write_text("canary\n")
        assert "canary" in (await workspace.run("cat .env", 20, lambda _: None, READ_ONLY)).output
    finally:
        await workspace.close()
