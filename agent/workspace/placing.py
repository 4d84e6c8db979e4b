"""Owns putting bytes in the place of a file, in an open folder: whole or not at all, and nothing of somebody else's lost."""

import hashlib
import os
import secrets
import stat
from contextlib import suppress


def temporary(folder: int, raw: bytes, mode: int | None, prefix: str = ".") -> str:
    """Write the bytes to a new file beside the one they are for, and return its name."""
    beside = f"{prefix}{secrets.token_hex(8)}.tmp"
    try:
        put(folder, beside, raw, os.O_CREAT | os.O_EXCL, mode)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside, dir_fd=folder)
        raise
    return beside


def put(folder: int, name: str, raw: bytes, flags: int, mode: int | None = None) -> None:
    """Write the bytes so that they last; without O_CREAT in `flags`, over a file that is there."""
    handle = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o666 if mode is None else 0o600, dir_fd=folder)
    with os.fdopen(handle, "wb", buffering=0) as opened:
        left = memoryview(raw)
        while left:
            left = left[opened.write(left) :]
        if mode is not None:
            os.fchmod(handle, mode)
        opened.truncate()
        os.fsync(handle)


def settle(folder: int) -> None:
    """Make sure that the names in a folder last."""
    with suppress(OSError):  # some file systems cannot
        os.fsync(folder)


def overwrite(folder: int, name: str, raw: bytes, before: bytes) -> None:
    """Write in place, where another name or owner of the file must be kept; on failure, what was there stands there again."""
    try:
        put(folder, name, raw, 0)
    except OSError:
        with suppress(OSError):
            put(folder, name, before, 0)
        raise


def same_owner(folder: int, beside: str, status: os.stat_result) -> bool:
    """Give the new file the owner of the one it is for; tell whether it has it."""
    ours = os.stat(beside, dir_fd=folder, follow_symlinks=False)
    if (ours.st_uid, ours.st_gid) == (status.st_uid, status.st_gid):
        return True
    try:
        os.chown(beside, status.st_uid, status.st_gid, dir_fd=folder, follow_symlinks=False)
        os.chmod(beside, stat.S_IMODE(status.st_mode), dir_fd=folder)  # a change of owner takes set-id bits away
    except OSError:
        return False
    return True


def copy_attributes(folder: int, name: str, beside: str) -> None:
    """Give the new file the extended attributes of the one it is for, where that can be."""
    if not hasattr(os, "listxattr"):
        return
    with suppress(OSError):
        source, target = (
            os.open(one, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder) for one in (name, beside)
        )
        try:
            for attribute in os.listxattr(source):
                with suppress(OSError):
                    os.setxattr(target, attribute, os.getxattr(source, attribute))
        finally:
            os.close(source)
            os.close(target)


def digest_of(folder: int, name: str) -> str:
    """Return the sha256 of a file, nothing of what is none: a pipe has no end to wait for."""
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(handle, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest() if stat.S_ISREG(os.fstat(handle).st_mode) else ""
