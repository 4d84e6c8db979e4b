"""Owns HTTP: the one module that knows httpx, and what its failures mean."""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

from agent.errors import Fault, ModelError

# httpx brings a command line where it finds rich: a quarter of the time that it takes to be loaded, for nobody here.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx  # noqa: E402

_SIGNS_OF_LIFE = 6  # times of the silence that is borne, for which nothing else may come
_REST = 0.035  # seconds between two reads of a body that comes in many small pieces: each costs as much as a dozen of these
_UNRESTED = 8  # reads in a row, one soon after the other, before that
_PLENTY = 16 << 10  # bytes after which more is waiting to be read
_CONNECTIONS = httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=60.0)


class Response:
    """What came back: the status, the headers, and the body as it comes."""

    __slots__ = ("_response", "headers", "patience", "status", "where")

    def __init__(self, response: httpx.Response, where: str, patience: float) -> None:
        self._response = response
        self.where = where
        self.patience = patience  # seconds for which the body may hold nothing but signs of life
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as the network cut it. Raises ModelError where it breaks off."""
        plain = self.headers.get("content-encoding", "identity") == "identity"
        pace = _Pace()
        try:
            async for piece in self._response.aiter_raw() if plain else self._response.aiter_bytes():
                if (rest := pace.rest(piece)) > 0:
                    await asyncio.sleep(rest)
                    pace.go_on()
                yield piece
        except httpx.TimeoutException as error:
            raise ModelError(f"{self.where} fell silent in the middle of its answer", Fault.CUT) from error
        except httpx.DecodingError as error:
            raise ModelError(f"{self.where} sent a body that cannot be unpacked", Fault.GARBLED) from error
        except httpx.HTTPError as error:
            raise ModelError(f"{self.where} broke off in the middle of its answer", Fault.CUT) from error

    async def read(self, largest: int, seconds: float) -> bytes:
        """Return the body, or as much of it as came in time and was not too large."""
        held = bytearray()
        try:
            async with asyncio.timeout(seconds), aclosing(self.pieces()) as pieces:
                async for piece in pieces:
                    held += piece
                    if len(held) >= largest:
                        break
        except (TimeoutError, ModelError):
            pass
        return bytes(held[:largest])


class _Pace:
    """Says when to wait a moment before a body is read on, so that more of it is read in one go."""

    __slots__ = ("_last", "_loop", "_reads", "_size", "_together")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last = 0.0  # when a read was taken in
        self._reads = 0
        self._size = 0  # of what was read last
        self._together: asyncio.Handle | None = None  # pieces that come before this runs came with one read

    def rest(self, piece: bytes) -> float:
        """Return the seconds to wait before a piece is taken in, mostly none."""
        if self._together is not None:
            self._size += len(piece)
            return 0.0
        since, plenty = self._loop.time() - self._last, self._size >= _PLENTY
        self._size = len(piece)
        self.go_on()
        self._reads = self._reads + 1 if since < _REST else 0
        return _REST - since if self._reads > _UNRESTED and not plenty else 0.0

    def go_on(self) -> None:
        """Take in what was read."""
        self._last = self._loop.time()
        self._together = self._loop.call_soon(self._waits)

    def _waits(self) -> None:
        self._together = None


class Http:
    """Sends requests to one server and keeps a few connections to it open. Seconds: to connect, and of silence."""

    def __init__(self, base_url: str, headers: Mapping[str, str], *, connect: float = 10.0, silence: float = 300.0) -> None:
        self._base_url = base_url
        self._headers = {"accept-encoding": "identity", **headers}
        self._timeout = httpx.Timeout(connect=connect, read=silence, write=60.0, pool=connect)
        self._silence = silence
        self._patience = silence * _SIGNS_OF_LIFE
        self._client: httpx.AsyncClient | None = None
        self.where = place(base_url)

    @asynccontextmanager
    async def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[Response]:
        """Send one request; leaving gives the connection back, or ends it where the body is unread. Raises ModelError."""
        client = self._open()
        typed = {} if body is None else {"content-type": "application/json"}
        try:
            request = client.build_request(
                method, f"{self._base_url}{path}", content=body, headers={**self._headers, **typed, **headers}
            )
            async with asyncio.timeout(self._patience):
                response = await client.send(request, stream=True)
        except TimeoutError as error:
            raise ModelError(f"{self.where} does not come to answer", Fault.CONNECT) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._fault(error) from error
        try:
            yield Response(response, self.where, self._patience)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            secure = self._base_url.lower().startswith("https:")
            try:
                # Certificates take a tenth of a second to load, and a proxy is in the way on the loopback.
                verify: ssl.SSLContext | bool = httpx.create_ssl_context() if secure else False
                self._client = httpx.AsyncClient(verify=verify, trust_env=secure, timeout=self._timeout, limits=_CONNECTIONS)
            except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
                words = (
                    "the certificates or the proxy that the environment names cannot be used; see SSL_CERT_FILE and HTTPS_PROXY"
                )
                raise ModelError(words, Fault.REFUSED) from error
        return self._client

    def _fault(self, error: Exception) -> ModelError:
        causes = _causes(error)
        if certificate := next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None):
            why = certificate.verify_message
            return ModelError(
                f"{self.where}: its certificate is not trusted ({why}); for a private one set SSL_CERT_FILE", Fault.REFUSED
            )
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
            return ModelError("the base URL is no address that a request can be sent to", Fault.REFUSED)
        if isinstance(error, httpx.ProxyError):
            return ModelError(
                f"the proxy does not let requests to {self.where} through; see HTTPS_PROXY and NO_PROXY", Fault.CONNECT
            )
        if isinstance(error, httpx.ReadTimeout):
            return ModelError(f"{self.where} took the request, but said nothing for {self._silence:g} s", Fault.CONNECT)
        if isinstance(error, httpx.TimeoutException):
            return ModelError(f"{self.where} does not answer", Fault.CONNECT)
        if isinstance(error, httpx.ConnectError):
            if secure := next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None):
                return self._fault_of_tls(secure)
            system = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno), None)
            why = f"{_reason(system)}; is the server running, and the network up?"
            return ModelError(f"no connection to {self.where}: {why}", Fault.CONNECT)
        return ModelError(f"{self.where} broke off before it answered", Fault.CONNECT)

    def _fault_of_tls(self, error: ssl.SSLError) -> ModelError:
        """Return the fault of a handshake; the number of such an error is not one of the system's."""
        hint = "does the base URL begin with http://?"
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return ModelError(f"{self.where} hung up when TLS began; {hint}", Fault.CONNECT)
        if error.reason and "ALERT" in error.reason:
            why = error.reason.replace("_", " ").lower()
            return ModelError(f"{self.where} takes no TLS of the kinds that are spoken here ({why})", Fault.REFUSED)
        return ModelError(f"{self.where} does not speak TLS there; {hint}", Fault.REFUSED)


def place(base_url: str) -> str:
    """Return host and port as a person may be shown them, without what else an address may hold."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        return "the server"
    return url.netloc.decode("ascii", "replace")


def _reason(error: OSError | None) -> str:
    if error is None:
        return "it failed"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    queue = [error]
    while queue and len(found) < 30:
        one = queue.pop(0)
        if one is None or one in found:
            continue
        found.append(one)
        queue += [one.__cause__, one.__context__, *(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]
    return found
