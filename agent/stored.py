"""Owns the keys of `jumar login`: kept in the system's keyring, else in a file that only the person can read."""

import asyncio
import fcntl
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from agent.endpoints import Endpoint, origin, shown
from agent.errors import AUTHENTICATION, UsageError

SERVICE = "jumar"  # under which the system's keyring has them
_SECONDS_OF_KEYRING = 60.0  # a person may have to unlock it
_FILE = "keys.json"
_T = TypeVar("_T")


class Ring(Protocol):
    """A keyring of the system, as the library `keyring` has it."""

    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """A key, and where it was: words for a person."""

    key: str = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class _Kept:
    at: str  # the origin that it is for
    key: str | None = field(repr=False, default=None)  # None: the keyring has it


def system_ring() -> Ring | None:
    """Return the system's keyring; None where there is none that keeps anything."""
    try:
        import keyring
        from keyring.backends import fail, null
    except ImportError:
        return None
    try:
        ring = keyring.get_keyring()
    except Exception:  # noqa: BLE001 - backends are anybody's code
        return None
    return None if isinstance(ring, fail.Keyring | null.Keyring) else ring


class Stored:
    """The keys of `jumar login`: in the keyring, or in a file that only the person can read. The file knows which."""

    def __init__(self, state: Path, ring: Callable[[], Ring | None] = system_ring) -> None:
        self._path = state / _FILE
        self._ring = ring

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def places(self) -> dict[str, str]:
        """Return the endpoints that have a key, and where it is, without asking the keyring. Raises UsageError."""
        return {name: self._where(kept) for name, kept in self._read().items()}

    async def find(self, endpoint: Endpoint) -> Found | None:
        """Return the key that was stored for the endpoint. Raises UsageError where it cannot be had."""
        kept = self._read().get(endpoint.name)
        if kept is None:
            return None
        again = f"run: jumar login {endpoint.name}"
        if kept.at != origin(endpoint.base_url):
            words = f"the key that is stored for {endpoint.name} is for {kept.at}, not for {shown(endpoint.base_url)}; {again}"
            raise UsageError(words, AUTHENTICATION)
        key = kept.key if kept.key is not None else await self._from_ring(endpoint.name, again)
        if not key:
            raise UsageError(f"the keyring no longer has the key of {endpoint.name}; {again}", AUTHENTICATION)
        return Found(key, self._where(kept))

    async def keep(self, endpoint: Endpoint, key: str) -> str:
        """Store the key and return where. Raises UsageError."""
        ring = self._ring()
        kept = _Kept(origin(endpoint.base_url), key)
        if ring is not None:
            try:
                await _patiently(lambda: ring.set_password(SERVICE, endpoint.name, key))
                kept = _Kept(kept.at)
            except Exception:  # noqa: BLE001 - backends are anybody's code; the file is there for that
                kept = _Kept(kept.at, key)
        with self._alone():
            self._write({**self._read(), endpoint.name: kept})
        return self._where(kept)

    async def forget(self, name: str) -> str:
        """Remove the key of an endpoint and return where it was. Raises UsageError where there is none."""
        kept = self._read().get(name)
        if kept is None:
            raise UsageError(f"no key is stored for {name!r}; see jumar login --list")
        if kept.key is None:
            ring = self._ring()
            if ring is None:
                raise UsageError(f"the keyring that has the key of {name} cannot be reached; remove it there", 1)
            # One that the keyring has not is gone already.
            with suppress(*_not_there()):
                await self._asked(lambda: ring.delete_password(SERVICE, name))
        with self._alone():
            self._write({other: one for other, one in self._read().items() if other != name})
        return self._where(kept)

    async def _from_ring(self, name: str, again: str) -> str | None:
        ring = self._ring()
        if ring is None:
            words = f"the key of {name} is in a keyring that cannot be reached (is jumar[keyring] installed?); {again}"
            raise UsageError(words, AUTHENTICATION)
        return await self._asked(lambda: ring.get_password(SERVICE, name))

    async def _asked(self, question: Callable[[], _T]) -> _T:
        try:
            return await _patiently(question)
        except TimeoutError:
            raise UsageError(f"the keyring did not answer for {_SECONDS_OF_KEYRING:g} s; unlock it", AUTHENTICATION) from None
        except _not_there():
            raise
        except Exception as error:  # noqa: BLE001 - backends are anybody's code, and so are its words
            words = f"the keyring could not be asked ({type(error).__name__}); unlock it, or set a variable"
            raise UsageError(words, AUTHENTICATION) from None

    def _where(self, kept: _Kept) -> str:
        return "the keyring" if kept.key is None else str(self._path)

    def _read(self) -> dict[str, _Kept]:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError(f"{self._path} cannot be read: {error.strerror}", 1) from error
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.geteuid():
                raise UsageError(f"{self._path} holds keys, and is open to others; run: chmod 600 {self._path}", 1)
            try:
                rows = json.load(file)
                return {name: _Kept(str(row["at"]), _text(row.get("key"))) for name, row in rows.items()}
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                # Without the cause: it may hold a key.
                raise UsageError(f"{self._path} is damaged; remove it, and log in again", 1) from None

    def _write(self, rows: Mapping[str, _Kept]) -> None:
        import tempfile

        told = {name: {"at": kept.at, **({} if kept.key is None else {"key": kept.key})} for name, kept in sorted(rows.items())}
        name = ""
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".keys.")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(told, file, indent=1)
                file.flush()
                os.fsync(handle)
            Path(name).replace(self._path)
        except OSError as error:
            if name:
                Path(name).unlink(missing_ok=True)
            raise UsageError(f"cannot store a key in {self._path}: {error.strerror}", 1) from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let nobody else change the file meanwhile."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            handle = os.open(self._path.parent / ".keys.lock", flags, 0o600)
        except OSError as error:
            raise UsageError(f"cannot store a key in {self._path}: {error.strerror}", 1) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


async def _patiently(question: Callable[[], _T]) -> _T:
    """Ask what may wait for a person; nobody waits for it at the end. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[Any] = loop.create_future()

    def settle(answer: Any, error: Exception | None) -> None:
        if not answered.done():
            if error is None:
                answered.set_result(answer)
            else:
                answered.set_exception(error)

    def ask() -> None:
        answer, error = None, None
        try:
            answer = question()
        except Exception as raised:  # noqa: BLE001 - whoever asked hears it
            error = raised
        with suppress(RuntimeError):  # the loop is closed, and nobody asks any more
            loop.call_soon_threadsafe(settle, answer, error)

    threading.Thread(target=ask, daemon=True).start()
    async with asyncio.timeout(_SECONDS_OF_KEYRING):
        result: _T = await answered
    return result


def _not_there() -> tuple[type[Exception], ...]:
    """Return what a keyring raises for a key that it has not, where there is one."""
    try:
        from keyring.errors import PasswordDeleteError
    except ImportError:
        return ()
    return (PasswordDeleteError,)


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value
