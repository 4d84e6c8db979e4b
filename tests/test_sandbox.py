"""What a confined command can do, and above all what it cannot: each shown by its effect."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.tool import Context
from agent.workspace.contract import READ_ONLY, UNCONFINED, WORKING, Confinement, Ended
from agent.workspace.local import LocalWorkspace
from agent.workspace.sandbox.seccomp import program
from tests.repositories import git
from tests.runs import gone, until
from tools.shell import Shell, ShellArguments

GIT = Confinement(git=True)
WHO = "git -c user.name=a -c user.email=a@b"


async def nobody(question: str, options: tuple[str, ...]) -> str:
    raise AssertionError(question)


class Bench:
    """A person's home and repository, with a workspace that confines."""

    def __init__(self, folder: Path) -> None:
        self.home, self.root, self.state = folder / "home", folder / "ws", folder / "state"
        for one in (self.home / ".ssh", self.root, self.state):
            one.mkdir(parents=True)
        (self.home / ".ssh" / "id_ed25519").write_text("canary of the key")
        (self.state / "trusted.json").write_text("canary of the state")
        subprocess.run(f"git init -q . && {WHO} commit -q --allow-empty -m first", shell=True, cwd=self.root, check=True)
        environment = {**os.environ, "HOME": str(self.home), "SSH_AUTH_SOCK": str(folder / "agent.sock")}
        self.workspace = LocalWorkspace(
            self.root, self.root, spill=self.state / "spill", environment=environment, hidden=(self.state,), sandbox="auto"
        )

    async def run(self, command: str, confined: Confinement = WORKING, limit: float = 20) -> Ended:
        return await self.workspace.run(command, limit, lambda _: None, confined)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    if bench.workspace.sandbox != "bubblewrap":
        await bench.workspace.close()
        pytest.skip(f"bubblewrap does not hold here: {'; '.join(bench.workspace.holding.reasons)}")
    yield bench
    await bench.workspace.close()


async def test_writes_reach_the_workspace_and_nothing_else(bench: Bench) -> None:
    ended = await bench.run(f"echo in > a; echo out > {bench.home}/.bashrc; echo out > /etc/canary; echo out > ../canary; cat a")
    assert ended.output.startswith("in\n") or "in\n" in ended.output
    assert (bench.root / "a").read_text() == "in\n"
    for path in (bench.home / ".bashrc", Path("/etc/canary"), bench.root.parent / "canary"):
        assert not path.exists()
    assert "only the workspace and /tmp can be written" in (await bench.run("touch /etc/canary")).stopped


async def test_a_server_in_the_background_is_reached_from_nowhere_else_and_that_is_told(bench: Bench) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen: nobody else comes to have the port meanwhile
        port = held.getsockname()[1]
        listen = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); open('up', 'w'); time.sleep(60)"
        arguments = ShellArguments(command=f'exec {sys.executable} -c "{listen}"', background=True)
        result = await Shell().run(arguments, Context(bench.workspace, print, nobody))
        assert "The sandbox closes its ports to all others" in result.text
        await until(bench.root / "up")
        with socket.socket() as person:
            assert person.connect_ex(("127.0.0.1", port)) != 0
    reached = Context(bench.workspace, print, nobody, confined=Confinement(hosts=("*",)))
    result = await Shell().run(ShellArguments(command="true", background=True), reached)
    assert result.text == "Started as bg2; action=read with id=bg2 tells what it prints."


async def test_nothing_is_written_read_only_but_its_own_tmp(bench: Bench) -> None:
    ended = await bench.run("touch a; echo x > /tmp/t && cat /tmp/t", READ_ONLY)
    assert ended.output.endswith("x\n")
    assert not (bench.root / "a").exists()
    assert (await bench.run("touch a", READ_ONLY)).stopped == "nothing can be written"


async def test_tmp_is_the_sessions_own_and_lasts_from_command_to_command(bench: Bench) -> None:
    await bench.run("echo mine > /tmp/canary-of-tmp; echo $TMPDIR")
    assert not Path("/tmp/canary-of-tmp").exists()
    assert (await bench.run("cat /tmp/canary-of-tmp")).output == "mine\n"


async def test_credentials_and_our_own_state_are_not_there(bench: Bench) -> None:
    ended = await bench.run(
        f"cat {bench.home}/.ssh/id_ed25519 {bench.state}/trusted.json /etc/shadow; ls -A {bench.home}/.ssh {bench.state}; env"
    )
    assert "canary" not in ended.output
    assert "root:" not in ended.output
    assert "SSH_AUTH_SOCK" not in ended.output


async def test_no_host_and_no_socket_of_the_machine_is_reached(bench: Bench, tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0jumar-{os.getpid()}-{tmp_path.name}")
    abstract.listen()
    shared = Path("/run") / f"jumar-{os.getpid()}.sock"
    pathname = socket.socket(socket.AF_UNIX)
    try:
        pathname.bind(str(shared))
        pathname.listen()
    except OSError:
        shared = tmp_path / "unbound"
    tries = "\n".join(
        f"try:\n s = socket.socket({family}); s.settimeout(2); s.connect({target!r}); print('reached')\nexcept OSError: pass"
        for family, target in (
            ("socket.AF_INET", ("127.0.0.1", listening.getsockname()[1])),
            ("socket.AF_UNIX", f"\0jumar-{os.getpid()}-{tmp_path.name}"),
            ("socket.AF_UNIX", str(shared)),
        )
    )
    (bench.root / "try.py").write_text(f"import socket\n{tries}\nprint('tried')\n")
    try:
        ended = await bench.run("python3 try.py")
        assert ended.output == "tried\n"
        assert (await bench.run("getent hosts example.org || echo could not resolve host >&2; exit 2")).stopped
        assert (await bench.run("python3 try.py", UNCONFINED)).output.count("reached") >= 2
    finally:
        for one in (listening, abstract, pathname):
            one.close()
        if shared.parent == Path("/run"):
            shared.unlink(missing_ok=True)


async def test_git_can_be_looked_at_and_not_be_led_astray(bench: Bench) -> None:
    before = {path: path.read_bytes() for path in (bench.root / ".git").rglob("*") if path.is_file()}
    attacks = [
        "mv .git .g2", "rm -rf .git/hooks", "echo '[core]' > .git/config", "echo x > .git/commondir",
        "echo x > .git/config.worktree",
        "mkdir -p .git/info && echo '* filter=x' > .git/info/attributes", "echo x > .git/hooks/pre-commit",
        "mkdir -p .git/modules/a && echo x > .git/modules/a/config", "rm .git/HEAD", "git update-ref refs/heads/x HEAD",
    ]  # fmt: skip
    for attack in attacks:
        assert (await bench.run(attack)).exit_code != 0, attack
    assert {path: path.read_bytes() for path in (bench.root / ".git").rglob("*") if path.is_file()} == before
    looked = await bench.run("git status --short && git log --oneline && git diff && git branch", READ_ONLY)
    assert (looked.exit_code, "first" in looked.output) == (0, True)


async def test_a_commit_works_where_git_may_be_written_and_its_hooks_and_settings_stay(bench: Bench) -> None:
    committed = await bench.run(f"echo x > a && git add a && {WHO} commit -qm second && git log --oneline", GIT)
    assert (committed.exit_code, "second" in committed.output) == (0, True)
    assert (await bench.run("echo x > .git/hooks/pre-commit; git config core.fsmonitor ./x", GIT)).exit_code != 0
    planted = await bench.run(
        "mkdir -p .git/info && echo '* filter=x' > .git/info/attributes; echo y > .git/config.worktree", GIT
    )
    assert "was moved aside" in planted.planted
    assert not (bench.root / ".git" / "config.worktree").exists()
    assert not (bench.root / ".git" / "info" / "attributes").exists()


async def test_git_is_not_led_to_another_folder_by_who_may_commit(bench: Bench) -> None:
    leads = "cp -r .git other; echo '[core] fsmonitor = touch led;' >> other/config; echo ../other > .git/commondir"
    ended = await bench.run(leads, GIT)
    assert ended.planted == f"git would have acted on {bench.root}/.git/commondir, which was moved aside and is as before"
    git(bench.root, "status")
    assert not (bench.root / "led").exists()


async def test_a_work_tree_apart_from_its_repository_is_held_too(bench: Bench) -> None:
    tree = bench.root.parent / "tree"
    assert (await bench.run(f"git worktree add -q {tree}", UNCONFINED)).exit_code == 0
    other = LocalWorkspace(tree, tree, spill=bench.state / "other", environment=dict(os.environ), sandbox="auto")
    try:

        async def run(command: str, confined: Confinement) -> Ended:
            return await other.run(command, 20, lambda _: None, confined)

        assert (await run("echo 'gitdir: /tmp/evil' > .git", WORKING)).exit_code != 0
        assert (await run(f"touch a && git add a && {WHO} commit -qm second", WORKING)).exit_code != 0
        assert (await run(f"git add a && {WHO} commit -qm second", GIT)).exit_code == 0
        assert (await run(f"echo x > {bench.root}/.git/hooks/pre-commit", GIT)).exit_code != 0
    finally:
        await other.close()


async def test_what_other_programs_act_on_stays_as_it_is_and_what_is_made_of_it_is_told(bench: Bench) -> None:
    (bench.root / ".envrc").write_text("mine")
    (bench.root / ".vscode").mkdir()
    assert (await bench.run("echo theirs > .envrc")).exit_code != 0
    assert (await bench.run("echo {} > .vscode/settings.json")).exit_code != 0
    assert (await bench.run("mv .envrc x; mv .vscode y")).exit_code != 0
    assert (bench.root / ".envrc").read_text() == "mine"
    made = await bench.run("echo {} > .mcp.json")
    assert ".mcp.json, which other programs act on" in made.planted
    assert sorted(path.name for path in bench.root.iterdir()) == [".envrc", ".git", ".mcp.json", ".vscode"]


@pytest.mark.parametrize("planted", ["symlink", "folder"])
async def test_no_stub_and_no_link_is_followed_or_left(bench: Bench, planted: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    if planted == "symlink":
        (bench.root / ".vscode").symlink_to(outside)
    await bench.run("echo x > .vscode/settings.json; true")
    assert not list(outside.iterdir())
    assert not (bench.home / ".cache").exists()


async def test_nothing_of_it_outlives_it(bench: Bench) -> None:
    ended = await bench.run("(setsid nohup sleep 81.25 &) ; sleep 81.25 & disown; echo begun")
    assert ended.output == "begun\n"
    assert await gone("81.25")
    late = await bench.run("(setsid sleep 81.75 &); sleep 81.75", limit=0.3)
    assert late.timed_out
    assert await gone("81.75")
    running = asyncio.create_task(bench.run("sleep 82.25"))
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await gone("82.25")


async def test_a_process_beside_the_turn_is_confined_and_told_of(bench: Bench) -> None:
    started = await bench.workspace.start("echo up; touch /etc/canary; sleep 83.25", WORKING)
    async with asyncio.timeout(10):
        printed = ""
        while "canary" not in printed:
            printed += bench.workspace.output(started.id)
            await asyncio.sleep(0.02)
    assert printed.startswith("up\n")
    await bench.workspace.kill(started.id)
    assert await gone("83.25")


async def test_the_exit_code_and_the_environment_are_those_of_the_command(bench: Bench) -> None:
    assert (await bench.run("exit 42")).exit_code == 42
    assert (await bench.run("kill -TERM $$")).exit_code == 143
    ended = await bench.run("pwd; echo $TERM $CI; id -u")
    assert ended.output.split() == [str(bench.root), "dumb", "1", str(os.getuid())]


async def test_no_key_is_typed_into_a_terminal_and_no_key_of_the_kernel_is_read(bench: Bench) -> None:
    (bench.root / "typing.py").write_text(
        "import ctypes, os, pty, fcntl, platform\n"
        "read, write = pty.openpty()\n"
        "try:\n    fcntl.ioctl(write, 0x5412, b'x'); print('typed')\nexcept OSError as e: print(e.errno)\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "number = 250 if platform.machine() == 'x86_64' else 219\n"
        "print(libc.syscall(number, 0, -3, 0), ctypes.get_errno())\n"
    )
    assert (await bench.run("python3 typing.py")).output.split() == ["1", "-1", "1"]


async def test_root_sets_nothing_of_the_system_from_inside(bench: Bench) -> None:
    opened = "for file in $(find /proc/sys -type f -perm /222); do if : >> $file; then echo $file; fi; done 2>/dev/null"
    ended = await bench.run(f"{opened}; cat /proc/sys/kernel/ostype")
    assert ended.output == "Linux\n"


def test_a_machine_that_is_not_known_gets_no_filter() -> None:
    assert program("sparc") == b""
    assert len(program("x86_64")) % 8 == len(program("aarch64")) % 8 == 0


async def test_what_is_not_to_be_had_is_said_and_nothing_runs_confined(tmp_path: Path) -> None:
    off = LocalWorkspace(tmp_path, tmp_path, spill=tmp_path / "spill", environment={}, sandbox="off")
    assert (off.sandbox, off.holding.reasons) == ("none", ("it is switched off",))
    await off.close()


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bwrap on PATH that a repository could replace")
async def test_no_program_of_the_repository_stands_for_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bwrap").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    workspace = LocalWorkspace(tmp_path, tmp_path, spill=tmp_path / "spill", environment=dict(os.environ), sandbox="auto")
    await workspace.run("true", 5, lambda _: None)
    await workspace.close()
    assert not (tmp_path / "ran").exists()


def test_it_is_said_where_commands_could_change_jumar_itself(tmp_path: Path) -> None:
    for root, said in ((Path(sys.prefix), True), (tmp_path, False)):
        workspace = LocalWorkspace(root, root, spill=tmp_path / "spill", environment={}, sandbox="auto")
        if workspace.sandbox == "none":
            pytest.skip(f"no sandbox holds here: {'; '.join(workspace.holding.reasons)}")
        assert any("installed in the workspace" in gap for gap in workspace.holding.gaps) is said


def test_what_does_not_hold_is_tried_once_by_each_program_that_asks(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from agent.workspace.sandbox.contract import Surroundings\n"
        "from agent.workspace.sandbox.probe import holding\n"
        "ran = []\n"
        "sys.addaudithook(lambda event, told: ran.append(told[0]) if event == 'subprocess.Popen' else None)\n"
        f"here = Path({str(tmp_path)!r})\n"
        "around = Surroundings(here, here, (here,), ())\n"
        "told = [holding(around, here / 'own', 'bubblewrap', here / 'known.json')[1].reasons for _ in range(2)]\n"
        "print(told[0] == told[1], len(ran), 'does not hold here' in told[0][0])\n"
    )
    barred = [
        "bwrap",
        "--unshare-user",
        "--disable-userns",
        "--cap-drop",
        "ALL",
        "--dev-bind",
        "/",
        "/",
        sys.executable,
        "-c",
        code,
    ]
    if shutil.which("bwrap") is None or subprocess.run([*barred[:-2], "--version"], capture_output=True, check=False).returncode:
        pytest.skip("bubblewrap here cannot keep what it starts from making namespaces")
    root = Path(__file__).parent.parent
    for _ in range(2):  # and the next program tries it again
        ended = subprocess.run(barred, cwd=root, capture_output=True, text=True, check=False)
        assert ended.stdout == "True 1 True\n", ended.stderr
