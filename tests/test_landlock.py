"""Where no namespaces can be made, Landlock holds a command to the workspace."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.workspace.contract import READ_ONLY, WORKING, Confinement, Ended
from agent.workspace.local import LocalWorkspace
from tests.repositories import git
from tests.runs import ended_all, gone


class Bench:
    """A workspace that is held by Landlock, and what lies beside it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.home, self.state = folder / "ws", folder / "home", folder / "state"
        for one in (self.root, self.home / ".ssh", self.state):
            one.mkdir(parents=True)
        (self.home / ".ssh" / "id_ed25519").write_text("canary of the key")
        (self.home / "notes").write_text("no secret")
        subprocess.run(["git", "init", "-q", "."], cwd=self.root, check=True)
        self.workspace = LocalWorkspace(
            self.root,
            self.root,
            spill=self.state / "spill",
            environment={**os.environ, "HOME": str(self.home)},
            hidden=(self.state,),
            sandbox="landlock",
        )

    async def run(self, command: str, confined: Confinement = WORKING) -> Ended:
        return await self.workspace.run(command, 20, lambda _: None, confined)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    if bench.workspace.sandbox != "landlock":
        await bench.workspace.close()
        pytest.skip(f"Landlock does not hold here: {'; '.join(bench.workspace.holding.reasons)}")
    yield bench
    await bench.workspace.close()


async def test_writes_reach_the_workspace_and_nothing_else(bench: Bench) -> None:
    outside = [bench.home / ".bashrc", Path("/etc/canary-of-landlock"), bench.root.parent / "canary"]
    for path in outside:
        assert (await bench.run(f"echo x > {path}")).exit_code != 0
        assert not path.exists()
    (bench.root / "link").symlink_to(bench.home / "notes")
    assert (await bench.run("echo theirs > link; ln ../home/notes hard; mv ../home/notes moved")).exit_code != 0
    assert (bench.home / "notes").read_text() == "no secret"
    assert (
        await bench.run("mkdir -p a/b && echo in > a/b/c && rm -r a/b && echo x > $TMPDIR/t && cat $TMPDIR/t")
    ).output == "x\n"
    assert "only the workspace" in (await bench.run("touch /etc/canary-of-landlock")).stopped


async def test_nothing_is_written_read_only(bench: Bench) -> None:
    assert (await bench.run("touch a", READ_ONLY)).exit_code != 0
    assert (await bench.run("ls && cat ../home/notes", READ_ONLY)).output == "no secret"
    assert not (bench.root / "a").exists()


async def test_credentials_and_our_own_state_cannot_be_read(bench: Bench) -> None:
    (bench.home.parent / "by-another-way").symlink_to(bench.home)
    ended = await bench.run(
        f"cat {bench.home}/.ssh/id_ed25519 ../by-another-way/.ssh/id_ed25519; ls {bench.state}; cat /etc/shadow ../home/notes"
    )
    assert "canary" not in ended.output
    assert "root:" not in ended.output
    assert ended.output.endswith("no secret")


async def test_no_terminal_of_the_persons_is_written_to_or_read(bench: Bench) -> None:
    ours, theirs = os.openpty()
    try:
        name = os.ttyname(theirs)
        os.write(ours, b"typed\n")
        ended = await bench.run(
            f"echo shown > {name}; head -n 1 {name}; ls /dev; cat /dev/vcs; head -c 4 /dev/urandom | wc -c; echo <(:)"
        )
        assert "typed" not in ended.output
        assert "null" in ended.output
        assert "4\n/dev/fd/" in ended.output
        os.set_blocking(ours, False)
        assert b"shown" not in os.read(ours, 1000)
    finally:
        os.close(ours)
        os.close(theirs)


async def test_no_socket_of_a_network_is_made(bench: Bench) -> None:
    script = (
        "import socket\n"
        "for family, kind in ((2, 1), (2, 2), (10, 1), (10, 2), (17, 3), (16, 3)):\n"
        "    try:\n        socket.socket(family, kind); print('made', family, kind)\n    except OSError: pass\n"
        "socket.socketpair(); print('a pair of its own')\n"
    )
    (bench.root / "try.py").write_text(script)
    assert (await bench.run("python3 try.py")).output == "a pair of its own\n"


async def test_what_git_acts_on_is_put_back(bench: Bench) -> None:
    config = (bench.root / ".git" / "config").read_bytes()
    ended = await bench.run("echo '[core] fsmonitor = ./x' > .git/config; echo x > .git/hooks/pre-commit; rm .git/description")
    assert (bench.root / ".git" / "config").read_bytes() == config
    assert not (bench.root / ".git" / "hooks" / "pre-commit").exists()
    assert "was moved aside and is as before" in ended.planted


@pytest.mark.parametrize(
    "leads",
    [
        "mkdir .git/config.jumar-planted; echo '[core] fsmonitor = ./x' > .git/config",
        "ln -sf refs/heads/none .git/HEAD; echo '[core] fsmonitor = ./x' > .git/config",
        "cp -r .git other; echo '[core] fsmonitor = ./x' >> other/config; echo ../other > .git/commondir",
        "echo '[core] fsmonitor = ./x' > .git/config.worktree; chmod 500 .git",
    ],
)
async def test_git_is_led_nowhere_else_whatever_is_done_to_hide_that(bench: Bench, leads: str) -> None:
    (bench.root / "x").write_text("#!/bin/sh\ntouch led\n")
    (bench.root / "x").chmod(0o755)
    ended = await bench.run(f"git config extensions.worktreeConfig true; {leads}")
    assert "git would have acted on" in ended.planted
    git(bench.root, "status")
    assert not (bench.root / "led").exists()


@pytest.mark.parametrize(
    "move", ["mv .git g", "mkdir -p d/e && mv .git d/e/g", "mv .git g; git init -q . && git config core.pager ./x"]
)
async def test_git_s_own_folder_is_put_back_where_it_was_moved(bench: Bench, move: str) -> None:
    before = (bench.root / ".git" / "config").read_bytes(), (bench.root / ".git").stat().st_ino
    ended = await bench.run(move)
    assert ((bench.root / ".git" / "config").read_bytes(), (bench.root / ".git").stat().st_ino) == before
    assert f"it moved {bench.root / '.git'}, which was put back" in ended.planted


async def test_who_takes_git_s_own_folder_away_is_told_of(bench: Bench) -> None:
    ended = await bench.run("rm -rf .git")
    assert ended.planted == f"it took {bench.root / '.git'} away"


async def test_a_command_gives_up_its_rights_for_all_that_it_starts_and_ends_with_us(bench: Bench) -> None:
    ended = await bench.run("bash -c 'setsid bash -c \"touch ../later; sleep 85.25\" & sleep 0.2'; echo over")
    assert ended.output.endswith("over\n")
    assert await gone("85.25")
    assert not (bench.root.parent / "later").exists()


async def test_what_it_does_not_hold_is_said(bench: Bench) -> None:
    assert any("git's own folder" in gap for gap in bench.workspace.holding.gaps)
    assert (await bench.run("no-such-program-at-all")).exit_code == 127


async def test_what_it_leaves_cannot_hide_from_us_by_another_mark(bench: Bench) -> None:
    hides = "import os, resource; resource.setrlimit(10, (7, resource.getrlimit(10)[1]))"
    leaves = f"(ulimit -S -x 5; python3 -c '{hides}'; setsid -f bash -c 'echo $$ > pid; exec sleep 85.25' > /dev/null 2>&1)"
    ended = await bench.run(f"{leaves}; until [ -s pid ]; do sleep 0.01; done; ulimit -n 99 && ulimit -n")
    assert ended.output.endswith("99\n")
    assert ended.leftovers == 1
    assert await ended_all(int((bench.root / "pid").read_text()))
