"""Trust is bound to the real path of a work tree's root, and kept under the person's own state."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import UsageError
from jumar.home import Home, home
from jumar.trust import demand, distrust, is_trusted, tree_root, trust, trusted_roots
from tests.fakes import ScriptedServer, answer
from tests.runs import Person


def own(tmp_path: Path) -> Home:
    return home({"JUMAR_HOME": str(tmp_path / "home"), "XDG_STATE_HOME": "/elsewhere"})


def test_trust_holds_for_the_real_path_and_nothing_like_it(tmp_path: Path) -> None:
    place = own(tmp_path)
    for name in ("p/.git", "p-evil", "p/vendor/nested/.git"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to("p")
    trust(place, tree_root(tmp_path / "p"))
    for name in ("p", "p/vendor", "link"):
        assert is_trusted(place, tree_root(tmp_path / name))
    for name in ("p-evil", "p/vendor/nested", "."):
        with pytest.raises(UsageError, match="is not trusted") as raised:
            demand(place, tree_root(tmp_path / name))
        assert raised.value.exit_code == 3


def test_trust_is_remembered_privately(tmp_path: Path) -> None:
    place = own(tmp_path)
    trust(place, Path("/a"))
    trust(place, Path("/b"))
    assert is_trusted(place, Path("/a"))
    assert stat.S_IMODE(place.trusted.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in place.state.iterdir()) == [".trusted.lock", "trusted.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator can give a folder to another user")
def test_what_belongs_to_another_user_by_now_is_trusted_anew(tmp_path: Path) -> None:
    place, root = own(tmp_path), tmp_path / "p"
    root.mkdir()
    trust(place, root)
    os.chown(root, 12345, -1)
    assert not is_trusted(place, root)
    trust(place, root)
    assert is_trusted(place, root)
    os.chown(root, 12346, -1)
    assert not is_trusted(place, root)
    os.chown(root, 12345, -1)
    assert is_trusted(place, root)
    distrust(place, root)
    assert not trusted_roots(place)


async def test_instructions_of_packages_and_files_that_instructions_name_are_not_loaded(
    person: Person, server: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "outside.md").write_text("canary of a file outside")
    (person.root / "AGENTS.md").write_text(f"Ours.\n@{tmp_path}/outside.md\n@notes.md\n@../outside.md\n")
    (person.root / "notes.md").write_text("canary of a file inside\n" * 400)
    (person.root / ".gitignore").write_text("ignored\n")
    for folder in ("node_modules/x", "ignored", "vendor/y", ".git/z"):
        (person.root / folder).mkdir(parents=True, exist_ok=True)
        (person.root / folder / "AGENTS.md").write_text("canary of a package")
    server.script.append(answer("done"))
    run = await person.trusted("-p", "x", "--output-format", "stream-json")
    assert run.code == 0, run.err
    sent = server.requests[-1].decode()
    assert "Ours." in sent
    assert "canary" not in sent


def test_home_alone_decides_where_state_lives() -> None:
    assert home({"HOME": "/h", "XDG_STATE_HOME": "/x", "XDG_CONFIG_HOME": "/y"}).state.is_relative_to("/h")
    with pytest.raises(UsageError, match="must be an absolute path"):
        home({"JUMAR_HOME": ".jumar", "HOME": "/h"})
    with pytest.raises(UsageError, match="HOME must be an absolute path"):
        home({"HOME": "."})
    with pytest.raises(UsageError, match="neither HOME nor JUMAR_HOME"):
        home({})


def test_those_who_trust_at_the_same_time_are_all_remembered(tmp_path: Path) -> None:
    place = own(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: trust(place, Path(f"/{number}")), range(40)))
    assert len(trusted_roots(place)) == 40


def test_a_folder_whose_name_is_no_text_is_trusted(tmp_path: Path) -> None:
    root = Path(os.fsdecode(b"/a\xff"))
    trust(own(tmp_path), root)
    assert is_trusted(own(tmp_path), root)
