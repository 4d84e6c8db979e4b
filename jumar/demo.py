"""Owns the demo: a recorded session in a scratch repository, with tools that really run, and what to do after it."""

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TextIO

from agent.errors import UsageError
from agent.providers.replay import ReplayModel, load
from jumar.headless import Headless
from jumar.options import RunOptions
from jumar.recording import PACE, about, expected

_RECORDING = Path(__file__).with_name("demo.json")
_QUIET_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}


def demo(into: Path | None, *, fast: bool, out: TextIO, progress: TextIO) -> int:
    """Play the demo and return its exit code. Raises UsageError."""
    recording = load(_RECORDING.read_bytes())
    folder = _scratch(into)
    print(about(folder), file=progress, flush=True)
    options = RunOptions(
        prompts=recording.prompts,
        cwd=folder,
        mode="yolo",
        verify="python3 check.py",
        trust=True,
    )
    model = ReplayModel(recording, pace=0.0 if fast or not progress.isatty() else PACE)
    headless = Headless(options, _environment(), out, progress)
    code = asyncio.run(headless.run(model, expected(recording)))
    if code == 0:
        print(_after(folder, headless.session_id), file=progress, flush=True)
    return code


def demo_on_screen(into: Path | None, mode: str, *, fast: bool, progress: TextIO) -> int:
    """Play the demo in the screen, as a session that asks as any other does, and return the exit code. Raises UsageError."""
    from jumar.screen import FrontDesk, Played, show

    recording = load(_RECORDING.read_bytes())
    folder = _scratch(into)
    options = RunOptions(prompts=None, cwd=folder, screen=True, mode=mode, trust=True)
    played = Played(ReplayModel(recording, pace=0.0 if fast else PACE), recording.prompts, about(folder))
    desk = FrontDesk(options, _environment(), played)
    code = show(desk)
    if code == 0 and (folder / "index.html").is_file():  # else the person left before there was a game
        print(_after(folder, desk.session_id), file=progress, flush=True)
    return code


def _environment() -> dict[str, str]:
    ours = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{ours}:{os.environ.get('PATH', os.defpath)}"}


def _scratch(into: Path | None) -> Path:
    """Make an empty git repository with a first commit."""
    if into is None:
        folder = Path(tempfile.mkdtemp(prefix="jumar-demo-"))
    else:
        folder = into.absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UsageError(f"{into} is not empty; name a new folder for the demo")
        except OSError as error:
            raise UsageError(f"{into} cannot be used: {error.strerror}; name a new folder for the demo") from error
    folder = folder.resolve()
    who = ("-c", "user.name=jumar", "-c", "user.email=jumar@localhost")
    commands = (
        ("init", "-q", "--template="),
        ("symbolic-ref", "HEAD", "refs/heads/main"),
        (*who, "commit", "-q", "--allow-empty", "-m", "Begin"),
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    git = shutil.which("git")
    if git is None:
        raise UsageError("git is not installed; the demo needs it for its scratch repository", 1)
    for command in commands:
        ended = subprocess.run(
            [git, *command],
            cwd=folder,
            env=kept | _QUIET_GIT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise UsageError(f"git {command[0]} failed in {folder}: {ended.stderr.strip()}", 1)
    return folder


def _after(folder: Path, session_id: str) -> str:
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    place = shlex.quote(str(folder))
    program = "jumar" if shutil.which("jumar") else shlex.quote(str(Path(sys.argv[0]).absolute()))
    return f"""
Play it    {opener} {shlex.quote(str(folder / "index.html"))}
Steer it   {program} demo --screen --mode ask      (the same, where you approve, refuse and undo)
Undo it    {program} undo -C {place} --session {session_id}
           {program} redo -C {place}      (and it is there again)
           {program} actions -C {place}   (each of them can be undone alone)
With a key export MOONSHOT_API_KEY=…, or {program} login ENDPOINT, or JUMAR_BASE_URL for
           any server that speaks OpenAI's protocol or Anthropic's; then in your repository:
           {program} trust
           {program} -p "what to do" --mode edits --allow 'shell(pytest *)'
"""
