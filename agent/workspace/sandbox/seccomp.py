"""Owns the filter of system calls of confined commands: a program for the kernel, assembled by hand."""

import platform
import struct

_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # the second: EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _SECOND_ARGUMENT = 0, 4, 24  # where these stand in what the kernel hands over
_X32 = 0x40000000
_TYPING = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX: typing into somebody's terminal

# By architecture: its mark, ioctl, and what no command needs and reaches into the kernel or out of the sandbox:
# keys, loading code, tracing everything, opening files by handle, swap, restarts, accounting.
_SYSTEMS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        16,
        (163, 167, 168, 169, 103, 175, 176, 179, 246, 248, 249, 250, 298, 304, 308, 313, 320, 321, 323, 425, 426, 427),
    ),
    "aarch64": (
        0xC00000B7,
        29,
        (89, 224, 225, 142, 116, 105, 106, 60, 104, 217, 218, 219, 241, 265, 268, 273, 294, 280, 282, 425, 426, 427),
    ),
}


def program(machine: str = "") -> bytes:
    """Return the filter as the kernel takes it; empty for a machine whose numbers are not known here."""
    known = _SYSTEMS.get(machine or platform.machine())
    if known is None:
        return b""
    mark, ioctl, refused = known
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, mark),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    tests: list[tuple[int, int]] = [(_AT_LEAST, _X32)] if mark == _SYSTEMS["x86_64"][0] else []
    tests += [(_EQUAL, number) for number in refused]
    after = 4  # the test of ioctl, its argument's two values, and what allows
    for left, (test, value) in zip(range(len(tests), 0, -1), tests, strict=True):
        code.append((test, left - 1 + after + 1, 0, value))
    code += [
        (_EQUAL, 0, 3, ioctl),
        (_LOAD, 0, 0, _SECOND_ARGUMENT),
        *((_EQUAL, 2 - number, 0, value) for number, value in enumerate(_TYPING)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in code)
