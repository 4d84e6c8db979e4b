"""What a model may reach of files, seen end to end: nothing outside, nothing that others act on, no secret, no device."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ToolFailure
from agent.workspace.contract import Place
from agent.workspace.local import LocalWorkspace
from tests.fakes import ScriptedServer, answer
from tests.runs import Person

CANARY = "canary-41-of-the-outside"
FLIPS = 10_000
EDITS = 1_000
# Makes a folder a link and a folder again, so often at least, and until its input ends; then says how often.
FLIPPING = """
import os, select, sys
from contextlib import suppress
least, folder, place, elsewhere = int(sys.argv[1]), *sys.argv[2:]
print(flush=True)
flips = 0
while flips < least or flips % 100 or not select.select([0], [], [], 0)[0]:
    for change in (
        lambda: os.rename(folder, place),
        lambda: os.rename(place, folder),
        lambda: os.symlink(elsewhere, place),
        lambda: os.unlink(place),
    ):
        with suppress(OSError):
            change()
    flips += 1
print(flips)
"""


async def replies(
    person: Person, server: ScriptedServer, *calls: tuple[str, Mapping[str, Any]], mode: str = "edits"
) -> list[Any]:
    """Have a model send calls, one a step; return how each ended."""
    server.script.extend([*(answer("", calls=[call]) for call in calls), answer("done")])
    run = await person.trusted("-p", "x", "--mode", mode, "--output-format", "stream-json")
    ended = [line for line in run.lines if line["type"] == "tool.finished"]
    assert len(ended) == len(calls), run.err
    return ended


@pytest.fixture
def outside(person: Person) -> Path:
    """A folder beside the repository whose name begins as its does, with a canary, and links to it."""
    folder = person.root.with_name("repository-evil")
    folder.mkdir()
    (folder / "canary.txt").write_text(f"{CANARY}\n")
    (person.root / "to-file").symlink_to(folder / "canary.txt")
    (person.root / "to-folder").symlink_to(folder)
    (person.root / "through").symlink_to("to-folder")
    return folder


async def test_what_lies_outside_is_neither_read_nor_changed_by_whatever_name(
    person: Person, server: ScriptedServer, outside: Path
) -> None:
    (person.home / ".ssh").mkdir()
    (person.home / ".ssh/canary.txt").write_text(f"{CANARY}\n")
    names = (
        *("../repository-evil/canary.txt", "./../repository-evil/canary.txt", "src/../../repository-evil/canary.txt"),
        *(f"{outside}/canary.txt", f"/{outside}/canary.txt", "to-file", "to-folder/canary.txt", "through/canary.txt"),
        *("to-folder/../repository-evil/canary.txt", "~/.ssh/canary.txt", "~/.SSH/canary.txt"),
    )
    calls: list[tuple[str, Mapping[str, Any]]] = []
    for name in names:
        calls += [
            ("read", {"path": name}),
            ("write", {"path": name, "content": "gone"}),
            ("edit", {"path": name, "old": "canary", "new": "gone"}),
            ("search", {"pattern": "canary", "path": name}),
            ("search", {"pattern": "canary", "path": name.rpartition("/")[0] or name}),
            ("find", {"glob": "*", "path": name.rpartition("/")[0] or name}),
        ]
    ended = await replies(person, server, *calls)
    assert CANARY.encode() not in b"".join(server.requests)
    assert (outside / "canary.txt").read_text() == f"{CANARY}\n"
    assert (person.home / ".ssh/canary.txt").read_text() == f"{CANARY}\n"
    assert {row["status"] for row in ended} == {"denied"}


async def test_a_search_through_the_workspace_follows_no_link_out_of_it(
    person: Person, server: ScriptedServer, outside: Path
) -> None:
    await replies(person, server, ("search", {"pattern": "canary-41"}), ("find", {"glob": "**/*"}))
    assert CANARY.encode() not in b"".join(server.requests)


async def test_no_new_file_comes_to_lie_behind_a_link_and_its_target_is_told(
    person: Person, server: ScriptedServer, outside: Path
) -> None:
    ended = await replies(person, server, ("write", {"path": "to-folder/new.txt", "content": "x"}))
    assert sorted(entry.name for entry in outside.iterdir()) == ["canary.txt"]
    assert "outside the workspace" in ended[0]["reply"]


async def test_a_deny_rule_holds_for_where_a_link_leads_and_for_every_spelling(person: Person, server: ScriptedServer) -> None:
    (person.root / "hidden").mkdir()
    (person.root / "hidden/a.txt").write_text(CANARY)
    (person.root / "plain.txt").symlink_to("hidden/a.txt")
    (person.root / "way").symlink_to("hidden")
    names = ("hidden/a.txt", "./hidden//a.txt", "way/a.txt", "plain.txt", "src/../hidden/a.txt")
    for rule in ("read(hidden/*)", "read(hidden/**)"):
        server.script.extend([*(answer("", calls=[("read", {"path": name})]) for name in names), answer("done")])
        run = await person.trusted("-p", "x", "--deny", rule, "--output-format", "stream-json")
        assert [line["status"] for line in run.lines if line["type"] == "tool.finished"] == ["denied"] * len(names)
    assert CANARY.encode() not in b"".join(server.requests)


OTHERS = (
    *(
        ".git/hooks/pre-commit",
        ".git/config",
        ".GIT/config",
        ".g\u200cit/config",
        ".git./config",
        ".gitmodules",
        ".gitattributes",
    ),
    *(".vscode/settings.json", ".Vscode/settings.json", "a/b/c/d/.vscode/tasks.json", ".idea/x.xml", ".devcontainer/x.json"),
    *(
        ".jumar/rules.toml",
        ".agents/skills/x/SKILL.md",
        ".mcp.json",
        ".envrc",
        "a/b/c/d/.envrc",
        ".github/workflows/ci.yml",
        ".npmrc",
        ".husky/pre-commit",
    ),
    *("AGENTS.md", "sub/CLAUDE.md", "sitecustomize.py", "x.pth", ".bashrc", ".pre-commit-config.yaml", ".\u212aimi/x"),
)


@pytest.mark.parametrize("mode", ["edits", "auto"])
async def test_what_other_programs_act_on_asks_in_every_mode_that_edits(
    person: Person, server: ScriptedServer, mode: str
) -> None:
    config = (person.root / ".git/config").read_bytes()
    ended = await replies(person, server, *(("write", {"path": path, "content": "evil"}) for path in OTHERS), mode=mode)
    assert [row["subject"] for row in ended if row["status"] != "denied"] == []
    assert all("nobody is there to approve it" in row["reply"] for row in ended)
    assert [path for path in OTHERS if (person.root / path).exists()] == [".git/config"]
    assert (person.root / ".git/config").read_bytes() == config


async def test_what_may_be_edited_in_one_folder_may_not_be_in_one_of_its_name_elsewhere(
    person: Person, server: ScriptedServer
) -> None:
    for name in ("src/x.py", "a/src/x.py"):
        (person.root / name).parent.mkdir(parents=True)
        (person.root / name).write_text("old\n")
    calls = [("edit", {"path": path, "old": "old", "new": "new"}) for path in ("src/x.py", "a/src/x.py", "src/../a/src/x.py")]
    server.script.extend([*(answer("", calls=[call]) for call in calls), answer("done")])
    await person.trusted("-p", "x", "--mode", "ask", "--allow", "edit(src/*)")
    assert (person.root / "src/x.py").read_text() == "new\n"
    assert (person.root / "a/src/x.py").read_text() == "old\n"


async def test_devices_pipes_and_processes_answer_at_once_and_nothing_of_them_is_told(
    person: Person, server: ScriptedServer
) -> None:
    os.mkfifo(person.root / "fifo")
    (person.root / "memory").symlink_to("/proc/self/mem")
    with (person.root / "sparse").open("wb") as opened:
        opened.truncate(1 << 40)
    names = (
        *("fifo", "sparse", "memory", "/dev/zero", "/dev/stdin", "/dev/fd/3", "/proc/kcore", "/proc/self/environ"),
        *("/proc/self/root/etc/passwd", "/proc/self/cwd/calc.py", "/proc/1/environ", "//proc/self/environ", "/sys/kernel/notes"),
    )
    ended = await replies(person, server, *(("read", {"path": name}) for name in names), mode="yolo")
    assert [row["status"] for row in ended if row["status"] == "done"] == []
    assert all(row["seconds"] < 10 for row in ended)  # to read any of them to its end takes minutes, or has no end
    for word in (b"root:x:0", b"sk-of-the-test", b"def add"):
        assert word not in b"".join(server.requests).replace(b"test_calc.py", b"")


SECRETS = (
    ".env",
    "deep/.env.production",
    "id_rsa",
    "keys/server.pem",
    "credentials",
    "config/credentials.json",
    "secrets.yaml",
    ".npmrc",
)


@pytest.mark.parametrize("mode", ["plan", "ask", "edits", "auto"])
async def test_a_secret_is_asked_for_before_it_is_read_searched_or_found(
    person: Person, server: ScriptedServer, mode: str
) -> None:
    for number, name in enumerate(SECRETS):
        (person.root / name).parent.mkdir(exist_ok=True)
        (person.root / name).write_text(f"password = canary-{number}-of-a-secret\n")
    (person.root / "disguised.txt").symlink_to(".env")
    (person.root / ".env.example").write_text("password = nothing\n")
    calls: list[tuple[str, Mapping[str, Any]]] = [("read", {"path": name}) for name in (*SECRETS, "disguised.txt", ".ENV")]
    calls += [("search", {"pattern": "password"}), ("search", {"pattern": "password", "path": "keys"})]
    calls += [("search", {"pattern": "password", "path": ".env"}), ("find", {"glob": "**/*"}), ("read", {"path": ".env.example"})]
    ended = await replies(person, server, *calls, mode=mode)
    assert b"-of-a-secret" not in b"".join(server.requests)
    assert not [path for path in person.logs if b"-of-a-secret" in path.read_bytes()]
    read = ended[: len(SECRETS) + 1]
    assert [row["status"] for row in read] == ["denied"] * len(read)
    assert all("secret" in row["reply"] for row in read)
    assert "password = nothing" in ended[-1]["reply"]


async def test_a_secret_that_a_rule_names_is_read(person: Person, server: ScriptedServer) -> None:
    (person.root / ".env").write_text("password = hunter22\n")
    server.script.extend([answer("", calls=[("read", {"path": ".env"})]), answer("done")])
    await person.trusted("-p", "x", "--allow", "read(.env)")
    assert b"hunter22" in server.requests[-1]


def test_ten_thousand_flips_between_folder_and_link_lead_no_edit_outside(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    outside.mkdir()
    (root / "real/f.txt").write_text("0")
    (outside / "f.txt").write_text(CANARY)
    workspace = LocalWorkspace(root, root, spill=tmp_path / "spill", hidden=(), environment={})
    command = [sys.executable, "-IS", "-c", FLIPPING, str(FLIPS), str(root / "real"), str(root / "d"), str(outside)]
    tried = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as flipping:
        assert flipping.stdout is not None
        flipping.stdout.readline()
        for number in range(EDITS):
            located = workspace.locate("d/f.txt")
            if located.place is not Place.INSIDE:
                continue
            tried += 1
            with suppress(ToolFailure, OSError):
                workspace.write(located, str(number), workspace.read(located))
            created = workspace.locate(f"d/new-{number}")
            if created.place is Place.INSIDE:
                with suppress(ToolFailure, OSError):
                    workspace.write(created, "x", None)
        flips, _ = flipping.communicate()
    assert int(flips) >= FLIPS
    assert tried
    assert [entry.name for entry in outside.iterdir()] == ["f.txt"]
    assert (outside / "f.txt").read_text() == CANARY


async def test_what_jumar_keeps_is_private_whatever_the_umask_is(person: Person, server: ScriptedServer) -> None:
    server.script.extend(
        [
            answer("", calls=[("write", {"path": "a.txt", "content": "x"}), ("shell", {"command": "seq 90000"})]),
            answer("done"),
        ]
    )
    run = await person.shell('umask 000; "$JUMAR" trust && "$JUMAR" -p x --mode yolo && "$JUMAR" undo 1')
    assert run.code == 0, run.err
    state = person.home / ".local/state/jumar"
    listed = list(state.rglob("*"))
    assert [path for path in listed if path.suffix == ".jsonl"]
    assert [path for path in listed if path.name.startswith("output-")]
    modes = {path: path.lstat().st_mode for path in (state, *listed)}
    assert not {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077 and not _is_below_private(path, state)}
    assert state.stat().st_mode & 0o077 == 0


def _is_below_private(path: Path, state: Path) -> bool:
    """Whether a folder that nobody else may enter stands between the state and it."""
    return any(not folder.stat().st_mode & 0o077 for folder in path.parents if folder != state and state in folder.parents)


async def test_a_link_in_the_place_of_what_jumar_keeps_is_not_followed(person: Person, server: ScriptedServer) -> None:
    victim = person.home / "victim"
    victim.write_text("mine")
    state = person.home / ".local/state/jumar"
    state.mkdir(parents=True)
    (state / ".trusted.lock").symlink_to(victim)
    run = await person.run("trust")
    assert run.code == 1
    (state / ".trusted.lock").unlink()
    (state / "trusted.json").symlink_to(victim)
    await person.run("trust")
    assert victim.read_text() == "mine"


async def test_a_link_where_a_repository_may_have_rules_is_not_followed(
    person: Person, server: ScriptedServer, outside: Path
) -> None:
    (outside / "rules.toml").write_text('deny = ["read"]\n')
    (person.root / ".jumar").symlink_to(outside)
    server.script.extend([answer("", calls=[("read", {"path": "calc.py"})]), answer("done")])
    run = await person.trusted("-p", "x")
    assert run.code == 2
    assert "cannot be read" in run.err
    assert not server.requests
