"""Trust is bound to the real path of a work tree's root, and kept under the person's own state."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import UsageError
from jumar.home import Home, home
from jumar.trust import demand, is_trusted, tree_root, trust, trusted_roots


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
