"""Where paths lie."""

import os
from pathlib import Path

import pytest

from agent.workspace.contract import Place
from agent.workspace.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    for folder in ("ws/src", "ws-evil", "home/.ssh", "home/.local/state/jumar/s1", "more"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ws/out").symlink_to(tmp_path / "ws-evil")
    (tmp_path / "ws/in").symlink_to("src")
    (tmp_path / "ws/passwd").symlink_to("/etc/passwd")
    (tmp_path / "ws/loop").symlink_to("loop")
    return Paths(
        tmp_path / "ws",
        tmp_path / "ws/src",
        spill=tmp_path / "home/.local/state/jumar/s1",
        add_dirs=[tmp_path / "more"],
        hidden=[tmp_path / "home/.local/state/jumar"],
        person=tmp_path / "home",
    )


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("new.py", Place.INSIDE),
        ("../new/deep.py", Place.INSIDE),
        ("{}/more/x", Place.INSIDE),
        ("{}/home/.local/state/jumar/s1/out.txt", Place.INSIDE),
        ("../../ws-evil/x", Place.OUTSIDE),
        ("{}/ws-evil/x", Place.OUTSIDE),
        ("{}/ws/./../ws-evil/x", Place.OUTSIDE),
        ("../out/x", Place.OUTSIDE),
        ("../passwd", Place.OUTSIDE),
        ("/etc/passwd", Place.OUTSIDE),
        ("//etc/passwd", Place.OUTSIDE),
        ("../in/x", Place.INSIDE),
        ("../loop", Place.INSIDE),
        ("~/notes", Place.OUTSIDE),
        ("~/.ssh/id_ed25519", Place.HIDDEN),
        ("~/.SSH/id_ed25519", Place.HIDDEN),
        ("~/.aws/credentials", Place.HIDDEN),
        ("{}/home/.local/state/jumar/trusted.json", Place.HIDDEN),
        ("/proc/self/environ", Place.HIDDEN),
        ("/dev/fd/3", Place.HIDDEN),
        (".git/hooks/pre-commit", Place.PROTECTED),
        ("../.GIT/config", Place.PROTECTED),
        ("a/b/c/.VsCode/settings.json", Place.PROTECTED),
        (".g\u200cit/config", Place.PROTECTED),
        (".git./config", Place.PROTECTED),
        (".env", Place.PROTECTED),
        (".env.local", Place.PROTECTED),
        (".env.example", Place.INSIDE),
        ("gitignore/.gitignore", Place.INSIDE),
        ("a\0b", Place.INSIDE),
        ("half \ud83d", Place.INSIDE),
    ],
)
def test_a_path_lies_where_it_leads(paths: Paths, tmp_path: Path, path: str, place: Place) -> None:
    assert paths.locate(path.replace("{}", str(tmp_path))).place is place


def test_a_link_into_a_protected_folder_is_protected(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "ws/.git").mkdir()
    (tmp_path / "ws/plain").symlink_to(".git")
    assert paths.locate("../plain/config").place is Place.PROTECTED


def test_paths_are_told_from_the_current_folder(paths: Paths, tmp_path: Path) -> None:
    assert paths.locate("{}/ws/a.py".replace("{}", str(tmp_path))).shown == "../a.py"
    assert paths.locate("a.py").shown == "a.py"
    assert paths.locate("/etc/hosts").shown == os.path.realpath("/etc/hosts")
    assert paths.locate("a\nb\x1b.py").shown == "a\u240ab\u241b.py"
