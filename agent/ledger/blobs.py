"""Owns the bytes of files in the store: git's own loose objects, written here, since to start git for each costs more."""

import asyncio
import hashlib
import os
import secrets
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from agent.errors import JumarError
from agent.workspace.git import Git

_FAST = 1  # zlib's level


class Blobs:
    """The blobs of a bare repository; `kind` is how it names objects: sha1 or sha256."""

    def __init__(self, folder: Path, git: Git, kind: str = "sha1") -> None:
        self._objects = folder / "objects"
        self._git = git
        self._kind = kind

    def name(self, content: bytes) -> str:
        """Return what git calls these bytes."""
        return hashlib.new(self._kind, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

    def put(self, content: bytes) -> str:
        """Keep the bytes, so that they last, and return their name. Raises JumarError."""
        name = self.name(content)
        place = self._objects / name[:2] / name[2:]
        with suppress(JumarError):  # what was damaged is written anew
            if self._loose(name) is not None:
                return name
        try:
            place.parent.mkdir(exist_ok=True)
            beside = place.parent / f"tmp_obj_{secrets.token_hex(8)}"
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o444)
            try:
                with os.fdopen(handle, "wb") as opened:
                    opened.write(zlib.compress(b"blob %d\0" % len(content) + content, _FAST))
                    opened.flush()
                    os.fsync(opened.fileno())
                beside.rename(place)
            except BaseException:
                with suppress(OSError):
                    beside.unlink()
                raise
        except OSError as error:
            raise JumarError(f"the ledger cannot keep a file: {error.strerror}: {self._objects}") from error
        return name

    async def get(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the bytes under these names. Raises JumarError where one is missing or is not what it was."""
        read = await asyncio.to_thread(lambda: {name: self._loose(name) for name in dict.fromkeys(names)})
        found = {name: content for name, content in read.items() if content is not None}
        packed = [name for name in read if name not in found]
        if packed:
            out = (await self._git.run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in packed).encode())).out
            found |= self._unpacked(packed, out)
        return found

    def _loose(self, name: str) -> bytes | None:
        try:
            whole = zlib.decompress((self._objects / name[:2] / name[2:]).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, zlib.error) as error:
            raise _broken(name) from error
        head, _, content = whole.partition(b"\0")
        if head != b"blob %d" % len(content) or self.name(content) != name:
            raise _broken(name)
        return content

    def _unpacked(self, names: list[str], out: bytes) -> dict[str, bytes]:
        found = {}
        position = 0
        for name in names:
            end = out.find(b"\n", position)
            head = out[position:end].split(b" ")
            if end < 0 or len(head) != 3 or head[1] != b"blob":
                raise _broken(name)
            position = end + 1
            content = out[position : position + int(head[2])]
            if self.name(content) != name:
                raise _broken(name)
            found[name] = content
            position += len(content) + 1
        return found


def _broken(name: str) -> JumarError:
    return JumarError(
        f"the ledger has lost or damaged the object {name}: what needs it cannot be undone; see jumar ledger verify"
    )
