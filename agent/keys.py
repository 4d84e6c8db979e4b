"""Owns finding a key: in the environment, by its command, else where it is stored; it goes to no other host than its own."""

import asyncio
import os
import subprocess
from collections.abc import Mapping

from agent.endpoints import Endpoint, same_host
from agent.errors import AUTHENTICATION, UsageError
from agent.stored import Found, Stored

_LARGEST = 16 << 10  # bytes of a key
_SECONDS_OF_COMMAND = 10.0
_SECONDS_AFTER_END = 0.2  # for what is still in the pipe


class Keys:
    """Finds the key of an endpoint: in the environment, by its command, then where `jumar login` stored it."""

    def __init__(self, environment: Mapping[str, str], stored: Stored, seconds: float = _SECONDS_OF_COMMAND) -> None:
        self._environment = environment
        self.stored = stored
        self._seconds = seconds

    async def find(self, endpoint: Endpoint) -> Found | None:
        """Return the endpoint's key; None where it has none and may want none. Raises UsageError."""
        if found := in_environment(endpoint, self._environment):
            return found
        if endpoint.key_command:
            return await self._by_command(endpoint)
        if found := await self.stored.find(endpoint):
            return found
        if endpoint.keyless:
            return None
        raise UsageError(self._missing(endpoint), AUTHENTICATION)

    def where(self, endpoint: Endpoint, places: Mapping[str, str]) -> str:
        """Return in words where the key would be found, without taking it; "" for nowhere. `places` are those of the stored."""
        if found := in_environment(endpoint, self._environment):
            return found.source
        if endpoint.key_command:
            return _command_of(endpoint)
        return places.get(endpoint.name, "")

    def _missing(self, endpoint: Endpoint) -> str:
        how = f"run: jumar login {endpoint.name}"
        for variable in endpoint.variables:
            if self._environment.get(variable.name):
                address = next(name for name in variable.addresses if self._environment.get(name))
                words = f"{variable.name} is not for it, but for the host that {address} names"
                return f"the endpoint {endpoint.name!r} has no key: {words}; leave {address} out, or {how}"
        if endpoint.own and endpoint.variable:
            return f"the endpoint {endpoint.name!r} takes its key from {endpoint.variable}, which is not set; set it, or {how}"
        export = f"export {endpoint.variable}=…, or " if endpoint.variable else ""
        return f"the endpoint {endpoint.name!r} has no key: {export}{how}"

    async def _by_command(self, endpoint: Endpoint) -> Found:
        import shutil

        program = endpoint.key_command[0]
        what = _command_of(endpoint)
        # Neither a relative entry nor the folder that we are in may supply the program: a repository could.
        entries = [entry for entry in self._environment.get("PATH", os.defpath).split(":") if os.path.isabs(entry)]  # noqa: PTH117
        if "/" in program and not os.path.isabs(program):  # noqa: PTH117 - a string is asked
            raise UsageError(f"{what} must be a name or an absolute path")
        path = shutil.which(program, path=":".join(entries))
        if path is None:
            raise UsageError(f"{what} is not there, or cannot be run", AUTHENTICATION)
        try:
            async with asyncio.timeout(self._seconds):
                code, line = await _first_line((path, *endpoint.key_command[1:]), self._environment)
        except TimeoutError:
            raise UsageError(f"{what} took more than {self._seconds:g} s; run it by hand to see why", AUTHENTICATION) from None
        except OSError as error:
            raise UsageError(f"{what} cannot be run: {error.strerror}", AUTHENTICATION) from None
        if code:
            raise UsageError(f"{what} ended with {code}; run it by hand to see why", AUTHENTICATION)
        if len(line) > _LARGEST:
            raise UsageError(f"{what} said a first line that is too long for a key", AUTHENTICATION)
        if not line:
            raise UsageError(f"{what} said nothing; its first line must be the key", AUTHENTICATION)
        return Found(line, what)


def _command_of(endpoint: Endpoint) -> str:
    return f"the key_command of {endpoint.name} ({endpoint.key_command[0]})"


def in_environment(endpoint: Endpoint, environment: Mapping[str, str]) -> Found | None:
    """Return the key that a variable holds for this endpoint's host: one beside an address of another host is none."""
    for variable in endpoint.variables:
        if key := environment.get(variable.name, "").strip():
            address = next((environment[name] for name in variable.addresses if environment.get(name)), "")
            if not address or _same(address, endpoint.base_url):
                return Found(key, variable.name)
    return None


def _same(address: str, base_url: str) -> bool:
    try:
        return same_host(address, base_url)
    except ValueError:  # no address; who uses it says so
        return False


async def _first_line(command: tuple[str, ...], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command without a shell; return its exit code and the first line of what it said."""
    said = _Said()
    transport, _ = await asyncio.get_running_loop().subprocess_exec(
        lambda: said,
        *command,
        cwd="/",
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it may say anything, the key too
    )
    try:
        await said.over.wait()
        line = bytes(said.held).split(b"\n", 1)[0].decode("utf-8", "replace").strip()
        return transport.get_returncode() or 0, line
    finally:
        transport.close()  # ends it, too
        await said.ended.wait()


class _Said(asyncio.SubprocessProtocol):
    """Takes in what a command says, until it has ended: what it left running may hold its stdout for long."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.ended = asyncio.Event()
        self.over = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.held += data[: max(0, _LARGEST + 1 - len(self.held))]

    def process_exited(self) -> None:
        self.ended.set()
        asyncio.get_running_loop().call_later(_SECONDS_AFTER_END, self.over.set)

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()
