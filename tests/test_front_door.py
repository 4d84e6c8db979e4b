"""The front door imports its own code and nobody else's, and tells what is wrong in one line."""

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from agent.errors import UsageError
from jumar import __version__
from jumar.arguments import options_of, run_parser

JUMAR = Path(sysconfig.get_path("scripts")) / "jumar"
HOSTILE = ("agent", "tools", "tui", "prompts", "pydantic")


def hostile_repository(folder: Path) -> Path:
    for name in HOSTILE:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('hijacked')\n")
    for name in ("httpx.py", "argparse.py"):
        (folder / name).write_text("raise SystemExit('hijacked')\n")
    return folder


def run(*command: str, cwd: Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    given = environment or {**os.environ, "PYTHONPATH": "."}
    return subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True, timeout=30, check=False)


def test_a_repository_with_our_names_on_pythonpath_is_not_imported(tmp_path: Path) -> None:
    ended = run(str(JUMAR), "--help", cwd=hostile_repository(tmp_path))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "autonomous coding agent" in ended.stdout


def test_the_version_is_told_from_anywhere(tmp_path: Path) -> None:
    ended = run(str(JUMAR), "--version", cwd=hostile_repository(tmp_path))
    assert ended.stdout == f"jumar {__version__}\n"


def test_a_hostile_folder_does_shadow_a_program_without_our_door(tmp_path: Path) -> None:
    ended = run(sys.executable, "-c", "import httpx", cwd=hostile_repository(tmp_path))
    assert "hijacked" in ended.stderr


@pytest.mark.parametrize(
    "given", [["--verify", "true"], ["--max-steps", "3"], ["--revert-on-fail"], ["--patch", "a.patch"], ["-o", "a"]]
)
def test_what_the_screen_would_not_heed_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = run_parser()
    with pytest.raises(SystemExit) as ended:
        options_of(parser, parser.parse_args(given), terminal=True)
    assert ended.value.code == 2
    assert f"{given[0]} is for a run with -p" in capsys.readouterr().err
    assert options_of(parser, parser.parse_args([*given, "-p", "x"]), terminal=True).prompts == ("x",)


def _at(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


@pytest.mark.parametrize("name", ["watch", "replay"])
def test_the_help_of_a_command_shows_no_option_that_it_refuses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from jumar.commands import run as command

    given = {
        "--output-schema": "x",
        "-o": "x",
        "--image": "x",
        "--model": "x",
        "--effort": "low",
        "--input-format": "stream-json",
    }
    given |= {"--prompt": "x", "--resume": "x", "--context": "9000"}
    with pytest.raises(SystemExit):
        command(name, ["--help"])
    told = capsys.readouterr().out
    assert "list the sessions" not in told
    refused = []
    for option in (*given, "--revert-on-fail", "--continue"):
        words = [option, given[option]] if option in given else [option]
        with suppress(SystemExit, UsageError):
            command(name, ["nowhere", *words])
        if "not heed it" in capsys.readouterr().err:
            refused.append(option)
            assert not re.search(rf"^ .*{option}\b", told, re.MULTILINE)
    assert refused


def test_the_exit_code_is_the_same_where_nobody_can_be_told(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        for words, code in (("nonsense",), 2), (("--nonsense",), 2), (("actions", "-C", "nowhere"), 2):
            ended = subprocess.run([JUMAR, *words], cwd=tmp_path, env=_at(tmp_path), stderr=full, stdout=full, check=False)
            assert (words, ended.returncode) == (words, code)


def test_a_folder_that_was_removed_is_told(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    shell = 'rmdir "$PWD"; exec "$0" "$@"'
    ended = run("/bin/sh", "-c", shell, str(JUMAR), "status", cwd=tmp_path / "gone", environment=_at(tmp_path))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "jumar: the current folder was removed; go to one that is there\n"


@pytest.mark.parametrize("words", [["sessions"], ["trust", "--list"], ["rescue"], ["actions"], ["rules"]])
def test_a_list_of_nothing_says_so_beside_stdout(words: list[str], tmp_path: Path) -> None:
    ended = run(str(JUMAR), *words, cwd=tmp_path, environment=_at(tmp_path))
    assert (ended.returncode, ended.stdout) == (0, "")
    assert len(ended.stderr.splitlines()) == 1


def test_the_help_of_the_browser_needs_no_browser() -> None:
    code = "import sys; sys.path.insert(0, '.'); sys.modules['textual_serve'] = None\n"
    code += "from jumar.cli import run; run(['web', '--help'])"
    ended = run(sys.executable, "-c", code, cwd=Path(__file__).parent.parent)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--port" in ended.stdout
