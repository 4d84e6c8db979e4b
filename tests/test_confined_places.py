"""Where the workspace is an awkward place, the sandbox holds all the same: a home folder, the root, a misleading repository."""

import asyncio
import os
import socket
import subprocess
from pathlib import Path

import pytest

from agent.workspace.contract import WORKING, Confinement, Ended
from agent.workspace.local import LocalWorkspace

WHO = "git -c user.name=a -c user.email=a@b"
MECHANISMS = ("bubblewrap", "landlock")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home folder with a key and our own state in it."""
    home = tmp_path / "home"
    for name in (".ssh", ".local/state/jumar", "project"):
        (home / name).mkdir(parents=True)
    (home / ".ssh" / "id").write_text("canary of the key")
    (home / ".local/state/jumar" / "trusted.json").write_text("canary of the state")
    (home / ".netrc").write_text("canary of the password")
    return home


def made(folder: Path, *commands: str) -> None:
    """Run commands as the person would."""
    subprocess.run(" && ".join(commands), shell=True, cwd=folder, check=True)


async def confined(
    home: Path, root: Path, mechanism: str, *commands: str, how: Confinement = WORKING, folders: tuple[Path, ...] = ()
) -> list[Ended]:
    """Run commands in a workspace that a mechanism confines."""
    state, settings = home / ".local/state/jumar", home / ".config/jumar"
    environment = {**os.environ, "HOME": str(home)}
    workspace = LocalWorkspace(
        root,
        root,
        spill=state / "spill",
        environment=environment,
        hidden=(settings, state),
        sandbox=mechanism,
        add_dirs=folders,
    )
    try:
        if workspace.sandbox != mechanism:
            pytest.skip(f"{mechanism} does not hold here: {'; '.join(workspace.holding.reasons)}")
        return [await workspace.run(command, 20, lambda _: None, how) for command in commands]
    finally:
        await workspace.close()


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_secrets_stay_hidden_where_the_workspace_is_the_home_folder(home: Path, mechanism: str) -> None:
    ended = await confined(
        home,
        home,
        mechanism,
        "cat .ssh/id .local/state/jumar/trusted.json .netrc; echo theirs > .ssh/authorized_keys; echo [] > .local/state/jumar/x",
        "mkdir -p .config/jumar; echo 'mode = \"edits\"' > .config/jumar/config.toml",
        "mv .local .loc; mv .local/state .local/st; mv .ssh .s; mv .config/jumar .config/j; true",
        "cat .*/*/*/trusted.json .*/*/trusted.json .s/id; echo in > project/a",
    )
    assert not any("canary" in one.output for one in ended)
    assert [path.name for path in (home / ".ssh").iterdir()] == ["id"]
    assert not (home / ".local/state/jumar" / "x").exists()
    assert not list((home / ".config" / "jumar").iterdir())
    assert (home / "project" / "a").read_text() == "in\n"


def test_nothing_confines_a_workspace_that_is_the_whole_machine(home: Path) -> None:
    workspace = LocalWorkspace(Path("/"), Path("/"), spill=home / "spill", environment={"HOME": str(home)}, sandbox="auto")
    assert workspace.sandbox == "none"
    assert "the whole machine" in workspace.holding.reasons[0]


@pytest.mark.parametrize("lies", ["folder", "file", "worktree"])
async def test_a_repository_that_names_another_folder_as_its_own_opens_nothing_there(home: Path, lies: str) -> None:
    root, other = home / "project", home / "other"
    made(home, "git init -q project && git init -q other", f"{WHO} -C other commit -qm x --allow-empty")
    match lies:
        case "folder":
            (root / ".git" / "commondir").write_text(str(home))
        case "file":
            (root / ".git").rename(home / "aside")
            (root / ".git").write_text(f"gitdir: {other}/.git\n")
        case _:
            (root / ".git").rename(home / "aside")
            (root / "fake").mkdir()
            for name, words in (("HEAD", "ref: refs/heads/main\n"), ("commondir", f"{home}\n"), ("gitdir", f"{root}/.git\n")):
                (root / "fake" / name).write_text(words)
            (root / ".git").write_text(f"gitdir: {root}/fake\n")
    await confined(
        home,
        root,
        "bubblewrap",
        f"echo theirs > {home}/canary; echo theirs > {other}/.git/canary; echo theirs > {other}/.git/hooks/post-commit",
        how=Confinement(git=True),
    )
    assert not (home / "canary").exists()
    assert not (other / ".git" / "canary").exists()
    assert not (other / ".git" / "hooks" / "post-commit").exists()


async def test_a_submodule_that_is_opened_by_itself_can_be_committed_to(home: Path) -> None:
    allowed = f"{WHO} -c protocol.file.allow=always"
    made(home, "git init -q sub && git init -q super", f"{WHO} -C sub commit -qm x --allow-empty")
    made(home, f"{allowed} -C super submodule add -q ../sub")
    ended = await confined(
        home,
        home / "super" / "sub",
        "bubblewrap",
        f"touch a && git add a && {WHO} commit -qm y && git log --oneline | wc -l; echo x > $(git rev-parse --git-dir)/hooks/a",
        how=Confinement(git=True),
    )
    assert ended[0].output.startswith("2\n")
    assert not (home / "super/.git/modules/sub/hooks/a").exists()


async def test_a_socket_of_another_program_is_not_there_wherever_it_lies(home: Path) -> None:
    places = [home / "project" / "own.sock", home / ".docker" / "docker.sock"]
    places[1].parent.mkdir()
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(9))
        writer.close()

    folder = os.open(home, os.O_PATH)
    servers = []
    try:
        for place in places:
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(place) if len(str(place)) < 100 else f"/proc/self/fd/{folder}/{place.relative_to(home)}")
            servers.append(await asyncio.start_unix_server(hear, sock=listening))
        knock = (
            "import socket,sys\nfor name in sys.argv[1:]:\n s = socket.socket(socket.AF_UNIX)\n"
            ' try: s.connect(name); s.send(b"x"); print("in")\n except OSError as e: print(e)'
        )
        command = f"cd {home} && python3 -c '{knock}' project/own.sock .docker/docker.sock"
        ended = await confined(
            home, home / "project", "bubblewrap", command, f"mv own.sock o; {command.replace('own.sock', 'o')}"
        )
    finally:
        os.close(folder)
        for server in servers:
            server.close()
    assert "refused" in ended[0].output
    assert "in" not in f"{ended[0].output}{ended[1].output}".split()
    assert heard == []


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_command_of_the_administrator_has_none_of_their_rights_over_the_system(home: Path, mechanism: str) -> None:
    sockets = (
        "import socket as s\nfor kind, how in ((40, 1), (38, 5), (17, 3)):\n"
        ' try: s.socket(kind, how); print("made", kind)\n except PermissionError: pass\n except OSError: pass'
    )
    ended = await confined(
        home,
        home / "project",
        mechanism,
        f"python3 -c '{sockets}'; grep CapEff /proc/self/status",
    )
    output = ended[0].output
    assert "made" not in output
    assert int(output.split()[-1], 16) < 1 << 8


async def test_shared_memory_is_the_sessions_own_and_counts_as_disk(home: Path) -> None:
    name = f"canary-{os.getpid()}"
    ended = await confined(
        home, home / "project", "bubblewrap", f"echo x > /dev/shm/{name} && cat /dev/shm/{name}; touch /dev/{name}"
    )
    assert ended[0].output.startswith("x\n")
    assert ended[0].exit_code != 0
    assert not Path(f"/dev/shm/{name}").exists()
    assert (home / ".local/state/jumar/spill/shm" / name).read_text() == "x\n"


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_repository_in_the_repository_is_not_led_astray_either(home: Path, mechanism: str) -> None:
    root = home / "project"
    made(root, "git init -q .", "git init -q lib/inner", f"{WHO} -C lib/inner commit -qm x --allow-empty")
    hook, settings = root / "lib/inner/.git/hooks/post-checkout", root / "lib/inner/.git/config"
    before = settings.read_text()
    ended = await confined(
        home,
        root,
        mechanism,
        "cd lib/inner; echo theirs > .git/hooks/post-checkout; git config core.fsmonitor ./x; mv .git/hooks .git/h; git status",
        "git init -q fresh/one; ls fresh",
        "echo theirs > fresh/one/.git/hooks/post-checkout",
    )
    assert "nothing to commit" in ended[0].output
    assert not hook.exists()
    assert settings.read_text() == before
    assert "fresh/one/.git, which other programs act on" in ended[1].planted
    assert not (root / "fresh/one/.git/hooks/post-checkout").exists()


async def test_a_repository_in_the_repository_can_be_committed_to_where_git_may_be_written(home: Path) -> None:
    root = home / "project"
    made(root, "git init -q .", "git init -q inner", f"{WHO} -C inner commit -qm x --allow-empty")
    command = f"cd inner && touch a && git add a && {WHO} commit -qm y && git log --oneline | wc -l; echo x > .git/hooks/a"
    refused, done = [(await confined(home, root, "bubblewrap", command, how=Confinement(git=git)))[0] for git in (False, True)]
    assert refused.output.split()[0] != "2"
    assert done.output.startswith("2\n")
    assert not (root / "inner/.git/hooks/a").exists()


async def test_what_a_repository_keeps_of_others_is_led_nowhere_and_git_may_make_new_ones(home: Path) -> None:
    allowed = f"{WHO} -c protocol.file.allow=always"
    made(home, "git init -q sub", f"{WHO} -C sub commit -qm x --allow-empty", "cd project && git init -q .")
    made(home / "project", f"{allowed} submodule add -q ../sub one", f"{WHO} commit -qm x", "git worktree add -q ../tree")
    made(home / "project", f"{allowed} submodule deinit -q -f one")
    kept = home / "project/.git"
    ended = await confined(
        home,
        home / "project",
        "bubblewrap",
        "echo theirs > .git/modules/one/hooks/post-checkout; echo theirs > .git/modules/one/config",
        "echo /tmp/evil > .git/worktrees/tree/commondir",
        "git clone -q --separate-git-dir .git/modules/two . two && git worktree add -q new && git -C new log && git -C two log",
        how=Confinement(git=True),
    )
    assert not (kept / "modules/one/hooks/post-checkout").exists()
    assert "theirs" not in (kept / "modules/one/config").read_text()
    assert (kept / "worktrees/tree/commondir").read_text() == "../..\n"
    assert ended[2].exit_code == 0, ended[2].output
    assert "moved aside" not in ended[2].planted
    assert (kept / "modules/two/config").is_file()


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_folder_that_is_a_link_by_the_next_command_opens_nothing_elsewhere(home: Path, mechanism: str) -> None:
    root, other = home / "project", home / "other"
    (root / "way" / "in").mkdir(parents=True)
    (other / "in").mkdir(parents=True)
    ended = await confined(
        home,
        root,
        mechanism,
        f"rm -r way; mv way aside; ln -s {other} way; echo in > kept",
        f"echo theirs > {other}/canary; echo theirs > {other}/in/canary; echo theirs > way/in/canary",
        folders=(root / "way" / "in",),
    )
    assert (root / "kept").exists(), ended[0].output
    assert [path.name for path in other.rglob("*")] == ["in"]
