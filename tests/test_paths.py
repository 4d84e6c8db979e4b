"""Where paths lie."""

import os
import time
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
        ("//proc/self/environ", Place.HIDDEN),
        ("///proc//self/environ", Place.HIDDEN),
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


@pytest.mark.parametrize(
    "path",
    [
        *(".env", "../.ENV", ".env.local", "deep/down/prod.env", ".envrc", ".env.bak", ".env~", ".e\u200cnv", ".env."),
        *("id_rsa", "id_ed25519_work", "server.pem", "tls/server.key", "a.p12", "a.PFX", "a.jks", "a.keystore", "v.kdbx"),
        *("credentials", "credentials.json", "my-service-account.json", "secrets.yaml", "app.secrets.toml", "token"),
        *(".netrc", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd", "terraform.tfstate", "prod.tfvars"),
        *("k8s/secrets/db.txt", ".aws/config", ".docker/config.json", "../disguised.txt", "{}/ws-evil/id_rsa"),
        *("../names-a-secret.env", ".aws", "a/.ssh"),
    ],
)
def test_a_file_that_is_called_as_secrets_are_is_one(paths: Paths, tmp_path: Path, path: str) -> None:
    (tmp_path / "ws/.env").write_text("KEY=1\n")
    (tmp_path / "ws/disguised.txt").symlink_to(".env")
    (tmp_path / "ws/names-a-secret.env").symlink_to("src/plain.txt")
    assert paths.locate(path.replace("{}", str(tmp_path))).secret


@pytest.mark.parametrize(
    "path",
    [
        *(".env.example", ".env.sample", ".env.template", "example.env", "id_rsa.pub", ".ssh/known_hosts", "cacert.pem"),
        *("public.pem", "jwt.pub.pem", "secrets.py", "secrets/client.go", "token.ts", "tokenizer.json", "credentials.md"),
        *("calc.py", "keys", "keyboard.json", "monkey", "environment.yml", "secrets", "venv/.env/lib/x.py", "..", "."),
        *("{}/home/.local/state/jumar/s1/token.txt",),
    ],
)
def test_what_only_speaks_of_secrets_or_shows_their_shape_is_none(paths: Paths, tmp_path: Path, path: str) -> None:
    (tmp_path / "ws/src/secrets").mkdir()
    assert not paths.locate(path.replace("{}", str(tmp_path))).secret


def test_a_workspace_that_lies_in_a_folder_of_secrets_is_not_all_secret(tmp_path: Path) -> None:
    root = tmp_path / "secrets" / "project"
    root.mkdir(parents=True)
    paths = Paths(root, root, spill=tmp_path / "spill", add_dirs=[], hidden=[], person=None)
    assert not paths.locate("notes.txt").secret
    assert paths.locate("../notes.txt").secret


def test_a_name_made_to_take_long_does_not(paths: Paths) -> None:
    began = time.process_time()
    for name in ("._-" * 80 + "pem", "-secrets" * 30, "~.bak" * 50, "id_rsa" + "-" * 240, "service-account" * 16):
        paths.locate(name)
    assert time.process_time() - began < 0.5
