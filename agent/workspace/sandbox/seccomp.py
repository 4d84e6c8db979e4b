"""Owns the filter of system calls of confined commands: a program for the kernel, assembled by hand."""

import platform
import struct

_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # the second: EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
# Where these stand in what the kernel hands over.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT, _THIRD_ARGUMENT = 0, 4, 16, 24, 32
_X32 = 0x40000000
_LEADING_OUT = (17, 38, 40, 44)  # raw frames, the kernel's ciphers, and the host of a virtual machine, which no namespace closes
_FAMILIES = (2, 10, 16, *_LEADING_OUT)  # the internet's two, and the kernel's own
_TYPING = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX: typing into somebody's terminal

_LOCKS = 10  # the limit by which what a command leaves is found again

# By architecture: its mark, ioctl, socket, what sets limits, and what no command needs and reaches into the kernel or out of
# the sandbox: keys, loading code, tracing everything, opening files by handle, swap, restarts, accounting.
_SYSTEMS: dict[str, tuple[int, int, int, tuple[int, int], tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        16,
        41,
        (160, 302),
        (163, 167, 168, 169, 103, 175, 176, 179, 246, 248, 249, 250, 298, 304, 308, 313, 320, 321, 323, 425, 426, 427),
    ),
    "aarch64": (
        0xC00000B7,
        29,
        198,
        (164, 261),
        (89, 224, 225, 142, 116, 105, 106, 60, 104, 217, 218, 219, 241, 265, 268, 273, 294, 280, 282, 425, 426, 427),
    ),
}


def program(machine: str = "", *, sockets: bool = True, marked: bool = False) -> bytes:
    """Return the filter as the kernel takes it; empty for a machine whose numbers are not known here.

    Without `sockets`, none of a network can be made; with them, none that no namespace holds. What is `marked` stays so.
    """
    known = _SYSTEMS.get(machine or platform.machine())
    if known is None:
        return b""
    mark, ioctl, socket, (sets, sets_or_reads), refused = known
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, mark),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    tests: list[tuple[int, int]] = [(_AT_LEAST, _X32)] if mark == _SYSTEMS["x86_64"][0] else []
    tests += [(_EQUAL, number) for number in refused]
    calls: list[tuple[int, int, tuple[int, ...]]] = [(ioctl, _SECOND_ARGUMENT, _TYPING)]
    calls.append((socket, _FIRST_ARGUMENT, _LEADING_OUT if sockets else _FAMILIES))
    ending: list[tuple[int, int, int, int]] = []
    if marked:
        calls.append((sets, _FIRST_ARGUMENT, (_LOCKS,)))
        ending += [(_EQUAL, 0, 6, sets_or_reads), (_LOAD, 0, 0, _SECOND_ARGUMENT), (_EQUAL, 0, 4, _LOCKS)]
        # Both halves of where the new limit stands: it only reads where there is none.
        ending += [(_LOAD, 0, 0, _THIRD_ARGUMENT), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, _THIRD_ARGUMENT + 4), (_EQUAL, 0, 1, 0)]
    after = sum(len(values) + 3 for _, _, values in calls) + len(ending) + 1  # what comes before what refuses
    for left, (test, value) in zip(range(len(tests), 0, -1), tests, strict=True):
        code.append((test, left - 1 + after, 0, value))
    for number, argument, values in calls:
        after -= len(values) + 3
        code += [(_EQUAL, 0, len(values) + 2, number), (_LOAD, 0, 0, argument)]
        code += [(_EQUAL, len(values) - place + after, 0, value) for place, value in enumerate(values)]
        code.append((_LOAD, 0, 0, _NUMBER))
    code += [*ending, (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("<HBBI", *line) for line in code)
