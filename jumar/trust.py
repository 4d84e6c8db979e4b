"""Owns which work trees the person trusts: nothing of any other is read or run."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import UsageError
from jumar.home import Home


def tree_root(folder: Path) -> Path:
    """Return the real path of the work tree that holds the folder: by names alone, nothing in it is opened."""
    real = folder.resolve()
    for candidate in (real, *real.parents):
        if os.path.lexists(candidate / ".git"):
            return candidate
    return real


def is_trusted(home: Home, root: Path) -> bool:
    """Whether the person trusted exactly this root, as what belonged to whom it belongs now."""
    known = _roots(home)
    return str(root) in known and known[str(root)] == _stranger(root)


def trust(home: Home, root: Path) -> None:
    """Remember the root as trusted."""
    with _alone(home):
        _write(home, {**_roots(home), str(root): _stranger(root)})


def distrust(home: Home, root: Path) -> None:
    """Forget the root. Raises UsageError where it was not trusted."""
    with _alone(home):
        roots = _roots(home)
        if str(root) not in roots:
            raise UsageError(f"{root} was not trusted; see jumar trust --list")
        _write(home, {known: owner for known, owner in roots.items() if known != str(root)})


def _stranger(root: Path) -> int | None:
    """Return to which other user a folder belongs: who can put theirs in the place of a trusted one is not trusted for it."""
    try:
        owner = root.stat().st_uid
    except OSError:
        return None
    return None if owner in {0, os.geteuid()} else owner


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Let nobody else change the list meanwhile."""
    try:
        home.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(home.state / ".trusted.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(f"cannot remember trust in {home.state}: {error.strerror}", 1) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(home: Home, roots: dict[str, int | None]) -> None:
    try:
        fd, name = tempfile.mkstemp(dir=home.state, prefix=".trusted.")
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            rows = [root if owner is None else {"root": root, "owner": owner} for root, owner in sorted(roots.items())]
            json.dump(rows, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(home.trusted)
    except OSError as error:
        raise UsageError(f"cannot remember trust in {home.state}: {error.strerror}", 1) from error


def demand(home: Home, root: Path, *, for_once: bool = True) -> None:
    """Raise UsageError with exit code 3 where the root is not trusted; `for_once` where an option can say so for this time."""
    if not is_trusted(home, root):
        how = "run `jumar trust` there, or add --trust" if for_once else "run `jumar trust` there"
        raise UsageError(f"{root} is not trusted, so nothing in it was read; {how}", 3)


def trusted_roots(home: Home) -> list[str]:
    """Return every trusted root. Raises UsageError where the list cannot be read."""
    return list(_roots(home))


def _roots(home: Home) -> dict[str, int | None]:
    """Return the trusted roots, and to whom each belonged where that was another user."""
    try:
        rows = json.loads(home.trusted.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or "it is not as jumar wrote it"
        raise UsageError(f"{home.trusted} cannot be read: {fault}; remove it and trust again", 1) from error
    roots: dict[str, int | None] = {}
    for row in rows if isinstance(rows, list) else []:
        match row:
            case str():
                roots[row] = None
            case {"root": str(root), "owner": int(owner)}:
                roots[root] = owner
            case _:
                pass  # of a later version
    return roots
