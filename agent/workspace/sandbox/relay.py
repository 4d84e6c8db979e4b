"""Owns the program that stands before a confined command: it hands connections on to the one socket that leads outside.

It runs alone, inside, as `python -I -S -B relay.py SOCKET PORT [HOST:PORT...] -- COMMAND...`. At PORT is a proxy by HTTP; at
the port of each HOST:PORT is what is there on the person's own machine. Where it cannot be, the command does not run.
"""

# `socket` and `signal` take longer to import than all the rest, and the command waits for it.
import _signal  # type: ignore[import-not-found]
import _socket
import os
import sys

TYPE_CHECKING = False  # `typing` takes too long as well
if TYPE_CHECKING:
    import socket
    import threading

_CANNOT = 125  # as `env` and `timeout` end where they could not do their own part
_MOST = 200  # connections at once
_PIECE = 64 << 10  # bytes
_PAUSE = 0.05  # seconds until a connection may have ended


def main(words: list[str]) -> None:
    """Listen, leave the forwarding to a process of its own, and become the command."""
    end = words.index("--")
    socket, port, *targets = words[:end]
    command = words[end + 1 :]
    try:
        listeners = {_listener(target): target if number else "" for number, target in enumerate((port, *targets))}
        _leave(socket, listeners)
    except OSError as error:
        sys.stderr.write(f"jumar: there is no way to the network: {error}\n")
        sys.exit(_CANNOT)
    # Python ignores these; what it ignores stays ignored across exec.
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, _environment())  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"jumar: {command[0]}: {error.strerror}\n")
        sys.exit(127)


def _environment() -> dict[bytes, bytes]:
    """Return what we were given, for Python adds to it where the locale is C."""
    with open("/proc/self/environ", "rb") as opened:  # noqa: PTH123 - pathlib takes longer than the read
        pairs = [entry.partition(b"=") for entry in opened.read().split(b"\0") if entry]
    return {name: value for name, _, value in pairs}


def _listener(target: str) -> int:
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(target.rpartition(":")[2])))
    listener.listen(128)
    return listener.detach()


def _leave(socket: str, listeners: dict[int, str]) -> None:
    """Forward in a process that is no child of the command's, for that may wait until all its children have ended."""
    command = os.getpid()
    between = os.fork()
    if between:
        os.waitpid(between, 0)
        for listener in listeners:
            os.close(listener)
        return
    try:
        os.setsid()
        watch = _watch(command)
        if os.fork() == 0:
            _let_go({*listeners, watch})
            _forward(socket, listeners, watch)
    finally:
        os._exit(0)


def _watch(command: int) -> int:
    """Return what becomes readable once the command has ended; -1 where nothing does, and the sandbox's end is ours."""
    try:
        return os.pidfd_open(command)
    except (AttributeError, OSError):
        return -1


def _let_go(kept: set[int]) -> None:
    """Close what is the command's: who reads its output waits until nobody holds that."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for own in (0, 1, 2):
        os.dup2(nothing, own)
    for handle in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - pathlib is not loaded
        if handle > 2 and handle not in kept:
            try:
                os.close(handle)
            except OSError:
                continue  # the one that the list was read from


def _forward(socket: str, listeners: dict[int, str], watch: int) -> None:
    import select
    import threading

    threading.stack_size(256 << 10)
    seats = threading.BoundedSemaphore(_MOST)
    for handle, target in listeners.items():
        threading.Thread(target=_accept, args=(handle, socket, target, seats), daemon=True).start()
    waiting = select.poll()
    if watch >= 0:
        waiting.register(watch, select.POLLIN)
    waiting.poll()


def _accept(handle: int, path: str, target: str, seats: "threading.BoundedSemaphore") -> None:
    import socket
    import threading
    import time

    listener = socket.socket(fileno=handle)
    while True:
        seats.acquire()
        try:
            client, _ = listener.accept()
        except OSError:  # too many files
            seats.release()
            time.sleep(_PAUSE)
            continue
        try:
            threading.Thread(target=_serve, args=(client, path, target, seats), daemon=True).start()
        except RuntimeError:  # too many threads
            client.close()
            seats.release()


def _serve(client: "socket.socket", path: str, target: str, seats: "threading.BoundedSemaphore") -> None:
    import socket
    import threading

    try:
        with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as far:
            _connect(far, path)
            if target and not _asked(far, target):
                return
            back = threading.Thread(target=_carry, args=(far, client), daemon=True)
            back.start()
            _carry(client, far)
            back.join()
    except (OSError, RuntimeError):
        pass  # the client sees its connection end
    finally:
        seats.release()


def _connect(far: "socket.socket", path: str) -> None:
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)  # noqa: PTH120
    try:
        far.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")  # noqa: PTH119 - however long the path is
    finally:
        os.close(folder)


def _asked(far: "socket.socket", target: str) -> bool:
    """Ask for a way to a port of the person's machine, and tell whether there is one."""
    far.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _PIECE:
        byte = far.recv(1)  # what follows belongs to the client
        if not byte:
            return False
        head += byte
    return head.startswith(b"HTTP/1.1 200 ")


def _carry(source: "socket.socket", target: "socket.socket") -> None:
    both = 2  # SHUT_RDWR
    try:
        while piece := source.recv(_PIECE):
            target.sendall(piece)
        target.shutdown(1)  # SHUT_WR
    except OSError:
        for one in (source, target):
            try:
                one.shutdown(both)
            except OSError:
                continue


if __name__ == "__main__":
    main(sys.argv[1:])
