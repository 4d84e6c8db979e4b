"""Owns the last step before a command: a program that gives up rights for good, and then becomes the command.

It runs as `python -I -S -B shim.py PARENT WRITE READ NETWORK FILTER COMMAND…` and knows nothing of jumar: who starts it, the
folders that may be written and read (with a separator between them; of one that ends with a slash, names alone), 1 where the
network may be used, and the filter of system calls in hexadecimal. It imports as little as it can, for it stands before every
command.
"""

import ctypes
import os
import sys

TYPE_CHECKING = False  # `typing` takes too long
if TYPE_CHECKING:
    from collections.abc import Iterable

_PDEATHSIG, _DROP, _NO_NEW_PRIVS, _SECCOMP, _FILTER = 1, 24, 38, 22, 2
_MOST_CAPABILITIES, _FIRST_TO_DROP = 63, 7  # the last one to go is the one to let others go
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION = 1  # a flag of _CREATE
_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15  # what can be granted on what is no folder
_MAKES = sum(1 << bit for bit in range(4, 13))  # remove and make, whatever it is
_LATER = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}  # refer, truncate, ioctl of devices: by the version that knows them
_KILL = 9
SEPARATOR = "\x1f"  # between paths
_FAULT = 125  # as `env` and `timeout` say that they could not begin


class _Attributes(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def version(libc: ctypes.CDLL) -> int:
    """Return which Landlock the kernel has, 0 or less where it has none."""
    return int(libc.syscall(_CREATE, None, 0, _VERSION))


def confine(libc: ctypes.CDLL, writable: "Iterable[str]", readable: "Iterable[str]", network: bool) -> str:
    """Give up all rights to files and hosts but these; return what went wrong, empty where nothing did.

    Each path is opened before the next one is asked for.
    """
    known = version(libc)
    if known < 1:
        return "the kernel has no Landlock"
    writes = _WRITE_FILE | _MAKES | sum(bit for since, bit in _LATER.items() if known >= since)
    reads = _READ_FILE | _READ_DIR
    attributes = _Attributes(writes | reads, 0 if network or known < 4 else 3, 3 if known >= 6 else 0)
    size = 8 if known < 4 else 16 if known < 6 else 24
    rules = libc.syscall(_CREATE, ctypes.byref(attributes), size, 0)
    if rules < 0:
        return "the kernel refuses a set of rules"
    for rights, paths in ((writes | reads, writable), (reads, readable)):
        for path in paths:
            _grant(libc, rules, path, _READ_DIR if path.endswith("/") and path != "/" else rights)
    if libc.syscall(_RESTRICT, rules, 0):
        return "the kernel refuses to hold us to the rules"
    os.close(rules)
    return ""


def _grant(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):  # noqa: PTH112 - pathlib would cost a third of the start
        rights &= _OF_FILES
    beneath = _Beneath(rights, handle)
    libc.syscall(_ADD, rules, _BENEATH, ctypes.byref(beneath), 0)
    os.close(handle)


def main() -> None:
    """Confine ourselves and become the command."""
    parent, write, read, network, code = sys.argv[1:6]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PDEATHSIG, _KILL, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit(_FAULT)  # who started us has ended meanwhile
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    for number in range(_MOST_CAPABILITIES, _FIRST_TO_DROP, -1):  # what the administrator may do to the system, not to files
        libc.prctl(_DROP, number, 0, 0, 0)
    fault = confine(libc, write.split(SEPARATOR), read.split(SEPARATOR), network == "1")
    if parent == "1" and version(libc) < 1:
        fault = ""  # it is the second wall, and the kernel has no such thing
    if code and not fault:
        raw = ctypes.create_string_buffer(bytes.fromhex(code), len(code) // 2)
        program = _Program(len(code) // 16, ctypes.addressof(raw))
        if libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
            fault = "the kernel refuses a filter of system calls"
    if fault:
        sys.stderr.write(f"the command was not started: {fault}\n")
        sys.exit(_FAULT)
    command = sys.argv[6:]
    try:
        os.execvp(command[0], command)  # noqa: S606 - that is all it is for
    except OSError as error:
        sys.stderr.write(f"the command was not started: {error}\n")
        sys.exit(_FAULT)


if __name__ == "__main__":
    main()
