"""Owns the chain of actions: an append-only file in which each record seals all those before it."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from agent.errors import JumarError
from agent.ledger.action import Action, plain, read

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
FIRST = "0" * 64  # what the first record seals


@dataclass(frozen=True, slots=True)
class Link:
    """An action in the chain, its seal, and how many bytes of the file end with it."""

    action: Action
    seal: str
    end: int


class Chain:
    """The actions of one workspace, oldest first. Whoever appends holds the store's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._links: list[Link] = []
        self._size = 0  # bytes that were read

    def links(self) -> list[Link]:
        """Return all of it, with what other sessions appended meanwhile. Raises JumarError where it was altered."""
        try:
            with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as opened:
                if os.fstat(opened.fileno()).st_size < self._size:
                    self._links, self._size = [], 0
                opened.seek(self._size)
                fresh = opened.read()
        except FileNotFoundError:
            self._links, self._size = [], 0
            return []
        except OSError as error:
            raise JumarError(f"the ledger cannot be read: {error.strerror}: {self.path}") from error
        *whole, torn = fresh.split(b"\n")  # torn by a kill: it is cut off before the next is appended
        for line in whole:
            self._size += len(line) + 1
            self._links.append(_link(line + b"\n", self.head, self._size, len(self._links) + 1))
        if torn and _is_link(torn[:-1] + b"\n", self.head):
            raise _altered(len(self._links) + 1)  # no kill writes another byte in the place of the last
        return list(self._links)

    @property
    def head(self) -> str:
        """The seal of the last action that was read."""
        return self._links[-1].seal if self._links else FIRST

    def append(self, action: Action) -> Link:
        """Add an action and make sure that it lasts. Raises JumarError."""
        self.links()
        body = json.dumps(plain(action), separators=(",", ":"), sort_keys=True)
        seal = _seal(self.head, body)
        line = f'{{"seal":"{seal}","action":{body}}}\n'.encode("ascii")
        try:
            handle = os.open(self.path, _FLAGS, 0o600)
            try:
                os.ftruncate(handle, self._size)  # what a kill tore
                written = os.write(handle, line)
                if written != len(line):
                    os.ftruncate(handle, self._size)
                    raise JumarError(f"the ledger cannot be written, the disk is full: {self.path}")
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise JumarError(f"the ledger cannot be written: {error.strerror}: {self.path}") from error
        self._size += len(line)
        link = Link(action, seal, self._size)
        self._links.append(link)
        return link


def _link(line: bytes, before: str, end: int, number: int) -> Link:
    seal, body = _parts(line)
    try:
        if _is_link(line, before):
            return Link(read(json.loads(body)), seal, end)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise _altered(number)


def _is_link(line: bytes, before: str) -> bool:
    seal, body = _parts(line)
    return line == f'{{"seal":"{seal}","action":{body}}}\n'.encode("latin-1") and seal == _seal(before, body)


def _parts(line: bytes) -> tuple[str, str]:
    return line[9:73].decode("latin-1"), line[84:-2].decode("latin-1")


def _altered(number: int) -> JumarError:
    return JumarError(f"record {number} of the ledger is not what was written, or one before it: see jumar ledger verify")


def _seal(before: str, body: str) -> str:
    return hashlib.sha256(f"{before}\n{body}".encode("latin-1")).hexdigest()
