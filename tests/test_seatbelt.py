"""The profile that macOS is given says what a command may do. Its effect can only be seen on a Mac, where it is probed first."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.workspace.contract import READ_ONLY, WORKING, Confinement
from agent.workspace.local import LocalWorkspace
from agent.workspace.sandbox.contract import Surroundings
from agent.workspace.sandbox.seatbelt import Seatbelt, profile


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    root = tmp_path / 'a "quoted" root'
    root.mkdir()
    subprocess.run(["git", "init", "-q", "."], cwd=root, check=True)
    return Surroundings(root, root, (root,), (tmp_path / "home" / ".ssh", tmp_path / "state"))


def text(around: Surroundings, confined: Confinement) -> str:
    return "\n".join(profile(around, confined, around.root.parent / "state" / "tmp"))


def test_only_the_workspace_is_written_and_nothing_read_only(around: Surroundings) -> None:
    root = str(around.root).replace('"', '\\"')
    working, looking = text(around, WORKING), text(around, READ_ONLY)
    assert working.index("(deny file-write*)") < working.index(f'(allow file-write* (subpath "{root}"))')
    assert f'(allow file-write* (subpath "{root}"))' not in looking
    assert looking.count("(allow file-write*") == 2


def test_git_and_what_other_programs_act_on_are_denied_after_the_workspace_is_allowed(around: Surroundings) -> None:
    working = text(around, WORKING).split("\n")
    allowed = next(
        number for number, line in enumerate(working) if line.startswith("(allow file-write* (subpath") and "root" in line
    )
    denied = [line for line in working[allowed:] if line.startswith("(deny file-write*")]
    assert any(".git" in line and "subpath" in line for line in denied)
    assert any("envrc" in line for line in denied)
    commits = text(around, Confinement(git=True))
    assert "hooks|config|" in commits
    assert "(deny file-write-unlink (literal" in commits


def test_the_network_is_closed_unless_hosts_are_allowed_and_secrets_are_never_read(around: Surroundings) -> None:
    assert "(deny network*)" in text(around, WORKING)
    assert "(deny network*)" not in text(around, Confinement(hosts=("*",)))
    for confined in (WORKING, READ_ONLY, Confinement(git=True)):
        assert f'(deny file-read* file-write* (subpath "{around.hidden[0]}"))' in text(around, confined)
        assert "(require-not (subpath" in text(around, confined)


@pytest.mark.parametrize("confined", [WORKING, READ_ONLY, Confinement(git=True, hosts=("*",))])
def test_every_line_is_whole(around: Surroundings, confined: Confinement) -> None:
    for line in text(around, confined).split("\n"):
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
        assert bare.startswith(";") or bare.count("(") == bare.count(")")
        assert '"' not in bare


def test_the_command_is_started_through_the_systems_own_program(around: Surroundings, tmp_path: Path) -> None:
    launch = Seatbelt(around, tmp_path / "own").launch(["/bin/bash", "-c", "true"], WORKING, {"PATH": "/bin"})
    assert launch.argv[:2] == ("/usr/bin/sandbox-exec", "-p")
    assert launch.argv[3:] == ("/bin/bash", "-c", "true")


@pytest.mark.skipif(sys.platform != "darwin", reason="sandbox-exec is only on macOS")
async def test_it_holds_on_a_mac(tmp_path: Path) -> None:
    workspace = LocalWorkspace(tmp_path, tmp_path, spill=tmp_path / "spill", environment={}, sandbox="seatbelt")
    assert workspace.sandbox == "seatbelt", workspace.holding.reasons
    await workspace.close()
