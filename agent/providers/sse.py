"""Owns server-sent events: bytes in, the data of whole events out, wherever the network cut them."""

from agent.errors import Fault, ModelError

_LARGEST = 16 << 20  # bytes of one event; a tool's arguments may come as a single one
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Events:
    """Cuts a byte stream into the data of its events. Line ends are LF, CRLF or CR and nothing else."""

    __slots__ = ("_after_return", "_held", "_largest", "_size")

    def __init__(self, largest: int = _LARGEST) -> None:
        self._largest = largest
        self._held: list[bytes] = []  # the event that has begun, its line ends LF
        self._size = 0
        self._after_return = False  # the last byte was CR, so a LF that comes now belongs to it

    def feed(self, piece: bytes) -> list[bytes]:
        """Take in what came; return the data of the events that it completed. Raises ModelError for an endless event."""
        if self._after_return or b"\r" in piece:
            piece = self._unify(piece)
        if b"\n\n" not in piece and not (piece[:1] == b"\n" and self._held and self._held[-1].endswith(b"\n")):
            return self._hold(piece)
        *blocks, rest = b"".join((*self._held, piece)).split(b"\n\n")
        self._held.clear()
        self._size = 0
        self._hold(rest)
        found = []
        for block in blocks:
            if block[:6] == b"data: " and b"\n" not in block:
                found.append(block[6:])
            elif (payload := _data(block)) is not None:
                found.append(payload)
        return found

    def end(self) -> list[bytes]:
        """Return the data of an event that the stream's end completed in place of an empty line."""
        payload = _data(b"".join(self._held))
        self._held.clear()
        return [] if payload is None else [payload]

    def _hold(self, piece: bytes) -> list[bytes]:
        if piece:
            self._held.append(piece)
            self._size += len(piece)
            if self._size > self._largest:
                raise ModelError(f"the server sent one event of more than {self._largest} bytes", Fault.GARBLED)
        return []

    def _unify(self, piece: bytes) -> bytes:
        if self._after_return and piece:
            piece = piece.removeprefix(b"\n")
            self._after_return = False
        if piece:
            self._after_return = piece.endswith(b"\r")
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data(block: bytes) -> bytes | None:
    values = []
    for line in block.removeprefix(_BYTE_ORDER_MARK).split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value.removeprefix(b" "))
    return b"\n".join(values) if values else None
