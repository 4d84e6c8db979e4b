"""The front door imports its own code and nobody else's."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

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


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": "."}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=30, check=False)


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


@pytest.mark.parametrize("given", [["--verify", "true"], ["--max-steps", "3"], ["--revert-on-fail"], ["--patch", "a.patch"]])
def test_what_the_screen_would_not_heed_is_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = run_parser()
    with pytest.raises(SystemExit) as ended:
        options_of(parser, parser.parse_args(given), terminal=True)
    assert ended.value.code == 2
    assert f"{given[0]} is for a run with -p" in capsys.readouterr().err
    assert options_of(parser, parser.parse_args([*given, "-p", "x"]), terminal=True).prompts == ("x",)
