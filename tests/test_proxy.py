"""What a confined command reaches by the proxy, and what it does not."""

import asyncio
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.errors import UsageError
from agent.workspace.network import Network
from agent.workspace.outbound import Resolve
from agent.workspace.proxy import Times
from tests.sites import LONGEST, Names, Site, asking, site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="commands are led to the network like this on Linux alone")


@asynccontextmanager
async def network(
    folder: Path, environment: Mapping[str, str] | None = None, resolve: Resolve | None = None, times: Times | None = None
) -> AsyncIterator[Network]:
    opened = Network(folder / "net", environment or {}, resolve or Names(), times)
    try:
        yield opened
    finally:
        await asyncio.wait_for(opened.close(), LONGEST)


async def answered(path: Path, *lines: str, body: bytes = b"") -> str:
    """Send a request, and return all that comes back."""
    async with asking(path) as client:
        if lines:
            client.send(*lines, body=body)
        return (await client.rest()).decode()


def files_open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until(claim: Callable[[], bool]) -> None:
    """Wait for what other tasks bring about."""
    async with asyncio.timeout(LONGEST):
        while not claim():  # noqa: ASYNC110 - what files are open tells nobody
            await asyncio.sleep(0)


async def test_bytes_go_both_ways_by_a_tunnel_until_both_sides_have_ended(tmp_path: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way((f"127.0.0.1:{shop.port}",))
        async with asking(way.socket) as client:
            client.send(f"CONNECT 127.0.0.1:{shop.port} HTTP/1.1", "Host: anything")
            assert (await client.head()).startswith("HTTP/1.1 200 ")
            sent = os.urandom(300_000)

            async def send() -> None:
                client.writer.write(sent)
                await client.writer.drain()
                client.writer.write_eof()

            came, _ = await asyncio.gather(client.rest(), send())
            assert came == sent
        assert net.refused(way) == ()


async def test_a_refused_host_is_told_in_words_and_remembered_once(tmp_path: Path) -> None:
    names = Names()
    async with network(tmp_path, resolve=names) as net:
        way = await net.way(("shop.example", "*.books.example"))
        for _ in range(2):
            told = await answered(way.socket, "CONNECT evil.example:443 HTTP/1.1")
            assert told.startswith("HTTP/1.1 403 this command may not reach evil.example at port 443, but only ")
            assert told.endswith("but only *.books.example, shop.example.\n")
        await answered(way.socket, "GET http://EVIL.example.:8080/?secret HTTP/1.1")
        assert net.refused(way) == ("evil.example", "evil.example:8080")
        assert net.refused(way) == ()
        assert names.asked == []


async def test_where_no_host_is_allowed_none_is_reached(tmp_path: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way(())
        assert " 403 " in await answered(way.socket, f"CONNECT 127.0.0.1:{shop.port} HTTP/1.1")
        assert shop.came == 0


@pytest.mark.parametrize(
    "asked",
    [
        *("169.254.169.254:80", "2852039166:80", "0xa9fea9fe:80", "0251.0376.0251.0376:80", "[::ffff:169.254.169.254]:80"),
        *("127.0.0.1:80", "127.1:80", "①②⑦.0.0.1:80", "[::1]:80", "[64:ff9b::a9fe:a9fe]:80", "[2002:a9fe:a9fe::]:80", "0:80"),
    ],
)
async def test_no_private_address_is_reached_however_it_is_spelled(tmp_path: Path, asked: str) -> None:
    names = Names()
    async with network(tmp_path, resolve=names) as net:
        way = await net.way(("*",))
        line = f"CONNECT {asked} HTTP/1.1".encode().decode("latin-1")
        told = await answered(way.socket, line)
        assert told.startswith("HTTP/1.1 403 ")
        assert "no address of the open internet" in told
        assert len(net.refused(way)) == 1
        assert names.asked == []


async def test_a_name_that_leads_to_a_private_address_is_refused_until_a_rule_names_that(tmp_path: Path) -> None:
    async with site() as shop, network(tmp_path, resolve=Names(shop=[["127.0.0.1"]] * 2)) as net:
        asked = f"GET http://shop.example:{shop.port}/ HTTP/1.1"
        way = await net.way((f"shop.example:{shop.port}",))
        told = await answered(way.socket, asked)
        assert "shop.example leads to 127.0.0.1, no address of the open internet" in told
        assert (shop.came, net.refused(way)) == (0, (f"shop.example:{shop.port}",))
        way = await net.way((f"shop.example:{shop.port}", f"127.0.0.1:{shop.port}"))
        assert (await answered(way.socket, asked)).endswith("hi\n")


async def test_a_name_is_looked_up_once_and_only_what_was_judged_is_connected_to(tmp_path: Path) -> None:
    names = Names(shop=[["127.0.0.2", "::1", "127.0.0.1"], ["127.0.0.2"], ["169.254.169.254", "10.0.0.1"]])
    async with (
        site() as shop,
        network(tmp_path, resolve=names) as net,
        await asyncio.start_server(shop.serve, "127.0.0.2", shop.port),
    ):
        way = await net.way((f"shop.example:{shop.port}", f"127.0.0.1:{shop.port}"))
        asked = f"GET http://shop.example:{shop.port}/ HTTP/1.1"
        assert " 200 OK" in await answered(way.socket, asked)
        assert (names.asked, shop.came) == (["shop.example"], 1)
        assert " 403 " in await answered(way.socket, asked)
        assert " 403 " in await answered(way.socket, asked)
        assert shop.came == 1


async def test_a_plain_request_goes_on_as_its_own_host_wants_it(tmp_path: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way((f"127.0.0.1:{shop.port}",))
        shop.answers.append(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
        told = await answered(
            way.socket,
            f"POST http://127.0.0.1:{shop.port}/a?b=c HTTP/1.1",
            "Host: evil.example",
            "Proxy-Authorization: Basic c2VjcmV0",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive, X-Hop",
            "X-Hop: 1",
            "X-Kept: caf\xe9",
            "Upgrade: websocket",
            "Content-Length: 4",
            body=b"bodyGET http://evil.example/ HTTP/1.1\r\n\r\n",
        )
        assert told == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        lines = [
            "POST /a?b=c HTTP/1.1",
            f"Host: 127.0.0.1:{shop.port}",
            "X-Kept: caf\xe9",
            "Content-Length: 4",
            "Connection: close",
        ]
        assert shop.heads[0].split("\r\n") == lines
        await until(lambda: len(shop.bodies) == 2)
        assert shop.bodies == [b"body", b""]


async def test_a_body_in_chunks_and_an_interim_answer_go_through(tmp_path: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way((f"127.0.0.1:{shop.port}",))
        shop.answers.append(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        lines = (f"POST http://127.0.0.1:{shop.port} HTTP/1.1", "Transfer-Encoding: chunked", "Expect: 100-continue")
        told = await answered(way.socket, *lines, body=b"3\r\nabc\r\n0\r\n\r\n")
        assert told.startswith(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nConnection: close"
        )
        assert shop.heads[0].startswith("POST / HTTP/1.1\r\n")
        assert shop.bodies[0] == b"3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "arrives"),
    [
        (b"3;x=y\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"0\r\n\r\n", b"0\r\n\r\n"),
        (b"", b""),
        (b"3\r\nabcd\r\n0\r\n\r\n", None),
        (b"-3\r\nabc\r\n0\r\n\r\n", None),
        (b"0x3\r\nabc\r\n0\r\n\r\n", None),
    ],
)
async def test_what_follows_a_body_in_chunks_goes_nowhere(tmp_path: Path, body: bytes, arrives: bytes | None) -> None:
    heard = bytearray()
    done = asyncio.Event()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(4096):
                heard.extend(piece)
                if heard.endswith(b"\r\n0\r\n\r\n"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    await writer.drain()
                    writer.write_eof()
        done.set()
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server, network(tmp_path) as net:
        port = server.sockets[0].getsockname()[1]
        way = await net.way((f"127.0.0.1:{port}",))
        async with asking(way.socket) as client:
            lines = (f"POST http://127.0.0.1:{port}/ HTTP/1.1", "Transfer-Encoding: chunked")
            client.send(*lines, body=body + b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            with suppress(ConnectionError):
                await client.rest()
        await asyncio.wait_for(done.wait(), LONGEST)
    head, _, rest = bytes(heard).partition(b"\r\n\r\n")
    assert head.startswith(b"POST / HTTP/1.1")
    assert b"evil" not in heard
    assert arrives is None or rest == arrives


async def test_where_a_redirect_leads_is_a_request_of_its_own_and_judged_anew(tmp_path: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way((f"127.0.0.1:{shop.port}",))
        shop.answers.append(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        async with asking(way.socket) as client:
            client.send(f"GET http://127.0.0.1:{shop.port}/ HTTP/1.1")
            assert "302 Found" in await client.head()
            client.send("GET http://169.254.169.254/ HTTP/1.1")
            with suppress(ConnectionError):  # the connection had its one request
                assert await client.rest() == b""
        assert " 403 " in await answered(way.socket, "GET http://169.254.169.254/ HTTP/1.1")
        assert net.refused(way) == ("169.254.169.254",)
        assert shop.bodies == [b"", b""]


@pytest.mark.parametrize(
    "lines",
    [
        ("",),
        ("GET / HTTP/1.1", "Host: shop.example"),
        ("GET https://shop.example/ HTTP/1.1",),
        ("GET file:///etc/passwd HTTP/1.1",),
        ("GET gopher://shop.example/ HTTP/1.1",),
        ("GET http://shop.example@evil.example/ HTTP/1.1",),
        ("GET http://user:password@shop.example/ HTTP/1.1",),
        ("GET http://evil.example\\@shop.example/ HTTP/1.1",),
        ("GET http:///etc HTTP/1.1",),
        ("GET http://shop.example/#x HTTP/1.1",),
        ("GET http://shop.example/ HTTP/2.0",),
        ("GET  http://shop.example/ HTTP/1.1",),
        ("CONNECT shop.example HTTP/1.1",),
        ("CONNECT shop.example:443@evil.example:443 HTTP/1.1",),
        ("CONNECT http://shop.example:443 HTTP/1.1",),
        ("CONNECT shop.example:99999 HTTP/1.1",),
        ("CONNECT ::1:443 HTTP/1.1",),
        ("CONNECT shop.example\0.evil.example:443 HTTP/1.1",),
        ("GET http://shop.example/ HTTP/1.1", "no header"),
        ("GET http://shop.example/ HTTP/1.1", "A: b", " folded: c"),
        ("GET http://shop.example/ HTTP/1.1", "A: b\nHost: evil.example"),
        ("GET http://shop.example/ HTTP/1.1", "Host : x"),
        ("POST http://shop.example/ HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
        ("POST http://shop.example/ HTTP/1.1", "Content-Length: 1", "Transfer-Encoding: chunked"),
        ("POST http://shop.example/ HTTP/1.1", "Content-Length: -1"),
        ("POST http://shop.example/ HTTP/1.1", "Transfer-Encoding: xchunked"),
        ("POST http://shop.example/ HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    ],
)
async def test_what_is_no_request_for_a_proxy_goes_nowhere(tmp_path: Path, lines: tuple[str, ...]) -> None:
    names = Names()
    async with network(tmp_path, resolve=names) as net:
        way = await net.way(("*",))
        assert (await answered(way.socket, *lines)).startswith("HTTP/1.1 400 ")
        assert (names.asked, net.refused(way)) == ([], ())


async def test_headers_without_end_are_cut_off(tmp_path: Path) -> None:
    async with network(tmp_path) as net, asking((await net.way(("*",))).socket) as client:
        client.writer.write(b"GET http://shop.example/ HTTP/1.1\r\nX: " + b"x" * 100_000)
        assert (await client.head()).startswith("HTTP/1.1 431 ")


async def test_a_client_that_never_ends_its_request_is_not_waited_for(tmp_path: Path) -> None:
    async with network(tmp_path, times=Times(head=0.1)) as net, asking((await net.way(("*",))).socket) as client:
        client.writer.write(b"CONNECT shop.example:443 HTT")
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("times", [Times(idle=0.1), Times(linger=0.1)])
async def test_a_connection_on_which_nothing_comes_ends(tmp_path: Path, times: Times) -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await reader.read()
        await left.wait()
        writer.close()

    left = asyncio.Event()
    async with network(tmp_path, times=times) as net, await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asking((await net.way((f"127.0.0.1:{port}",))).socket) as client:
            client.send(f"CONNECT 127.0.0.1:{port} HTTP/1.1")
            await client.head()
            if times.linger < 1:
                client.writer.write_eof()
            assert await client.rest() == b""
        left.set()


async def test_a_client_that_vanishes_leaves_nothing_behind(tmp_path: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way((f"127.0.0.1:{shop.port}",))
        before = files_open()
        async with asking(way.socket) as client:
            client.send(f"CONNECT 127.0.0.1:{shop.port} HTTP/1.1")
            await client.head()
            client.writer.write(b"half a")
            await client.reader.readexactly(6)
        await asyncio.wait_for(shop.left.wait(), LONGEST)
        await until(lambda: files_open() == before)


@pytest.mark.parametrize("steps", range(6))
async def test_a_client_that_came_a_moment_before_the_end_is_ended_too(tmp_path: Path, steps: int) -> None:
    before = files_open()
    async with network(tmp_path) as net:
        way = await net.way(())
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(0)
            client.connect(str(way.socket))
            for _ in range(steps):  # whether it was accepted by then, and how far it was taken, is another each time
                await asyncio.sleep(0)
            await net.close()
        await until(lambda: files_open() == before)


async def test_a_thousand_tunnels_leave_no_file_open(tmp_path: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way((f"127.0.0.1:{shop.port}",))
        before = files_open()

        async def one(number: int) -> None:
            host = "evil.example:443" if number % 5 == 0 else f"127.0.0.1:{shop.port}"
            async with asking(way.socket) as client:
                client.send(f"CONNECT {host} HTTP/1.1")
                status = (await client.head())[9:12]
                assert status == ("403" if number % 5 == 0 else "200")

        for start in range(0, 1000, 40):
            await asyncio.gather(*(one(number) for number in range(start, start + 40)))
            await until(lambda: files_open() == before)
        assert shop.came == 800


async def test_more_connections_than_there_is_room_for_are_turned_away_in_words(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        way, other = await net.way(("a.example",)), await net.way(("b.example",))
        before = files_open()
        held = [await asyncio.open_unix_connection(str(way.socket)) for _ in range(96)]
        await until(lambda: files_open() == before + 2 * len(held))
        assert (await answered(other.socket)).startswith("HTTP/1.1 503 too many connections")
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await until(lambda: files_open() == before)
        assert " 403 " in await answered(other.socket, "CONNECT a.example:443 HTTP/1.1")


async def test_a_host_that_cannot_be_reached_is_told_so_and_is_not_called_refused(tmp_path: Path) -> None:
    async with site() as shop:
        free = shop.port
    async with network(tmp_path, resolve=Names(shop=[[], ["nonsense"]])) as net:
        way = await net.way((f"127.0.0.1:{free}", "shop.example"))
        told = await answered(way.socket, f"CONNECT 127.0.0.1:{free} HTTP/1.1")
        assert told.endswith("jumar: 127.0.0.1 could not be reached: Connection refused.\n")
        for _ in range(2):
            assert "no address is known of shop.example" in await answered(way.socket, "CONNECT shop.example:443 HTTP/1.1")
        assert net.refused(way) == ()


async def test_an_answer_that_is_no_http_is_not_handed_on(tmp_path: Path) -> None:
    async with site() as shop, network(tmp_path) as net:
        way = await net.way((f"127.0.0.1:{shop.port}",))
        for nonsense in (b"220 mail\r\n\r\n" * 9000, b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", b"HTTP/1.1 103 x\r\n\r\n" * 20):
            shop.answers.append(nonsense)
            told = await answered(way.socket, f"GET http://127.0.0.1:{shop.port}/ HTTP/1.1")
            assert "127.0.0.1 answers with no HTTP.\n" in told


async def test_each_set_of_hosts_has_a_socket_of_its_own_that_is_nobody_elses(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    async with network(folder) as net:
        one, other = await net.way(("a.example", "b.example")), await net.way(("c.example",))
        assert await net.way(("b.example", "a.example", "a.example")) == one
        assert one.socket != other.socket
        assert stat.S_IMODE(one.socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(one.socket.parent.stat().st_mode) == 0o700
        for way, host in ((one, "c.example"), (other, "a.example")):
            assert " 403 " in await answered(way.socket, f"CONNECT {host}:443 HTTP/1.1")
        assert (net.refused(one), net.refused(other)) == (("c.example",), ("a.example",))
    assert not (folder / "net").exists()


async def test_a_rule_that_names_no_host_opens_nothing(tmp_path: Path) -> None:
    async with network(tmp_path) as net:
        with pytest.raises(UsageError, match="names no host"):
            await net.way(("a.example", "b.example/path"))
    assert not (tmp_path / "net").exists()


@asynccontextmanager
async def corporate(tmp_path: Path, variable: str = "HTTPS_PROXY", **more: str) -> AsyncIterator[tuple[Site, Network]]:
    async with site() as upstream:
        environment = {variable: f"http://me:s%40cret@127.0.0.1:{upstream.port}", **more}
        async with network(tmp_path, environment) as net:
            yield upstream, net


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_the_persons_own_proxy_is_gone_through_and_its_password_stays_outside(tmp_path: Path, variable: str) -> None:
    async with corporate(tmp_path, variable) as (upstream, net):
        upstream.answers.append(b"HTTP/1.1 200 OK\r\n\r\n")
        way = await net.way(("shop.example",))
        async with asking(way.socket) as client:
            client.send("CONNECT shop.example:443 HTTP/1.1", "Proxy-Authorization: Basic bXk=")
            assert " 200 " in await client.head()
            client.writer.write(b"hello")
            assert await client.reader.readexactly(5) == b"hello"
        head = ["CONNECT shop.example:443 HTTP/1.1", "Host: shop.example:443", "Proxy-Authorization: Basic bWU6c0BjcmV0"]
        assert upstream.heads[0].split("\r\n") == head
        assert " 403 " in await answered(way.socket, "CONNECT evil.example:443 HTTP/1.1")
        assert upstream.came == 1
        assert not any("cret" in value for value in way.environment.values())


async def test_a_plain_request_goes_to_the_persons_own_proxy_whole(tmp_path: Path) -> None:
    async with corporate(tmp_path, "http_proxy") as (upstream, net):
        way = await net.way(("shop.example",))
        assert (await answered(way.socket, "GET http://shop.example/a HTTP/1.1", "Host: evil.example")).endswith("hi\n")
        lines = ["GET http://shop.example/a HTTP/1.1", "Host: shop.example", "Proxy-Authorization: Basic bWU6c0BjcmV0"]
        assert upstream.heads[0].split("\r\n") == [*lines, "Connection: close"]


async def test_no_private_address_is_asked_of_the_persons_own_proxy(tmp_path: Path) -> None:
    async with site() as shop, corporate(tmp_path) as (upstream, net):
        way = await net.way(("*", f"localhost:{shop.port}", f"127.0.0.1:{shop.port}"))
        assert " 403 " in await answered(way.socket, "CONNECT 169.254.169.254:80 HTTP/1.1")
        async with asking(way.socket) as client:
            client.send(f"CONNECT 127.0.0.1:{shop.port} HTTP/1.1")  # this machine itself is no matter of that proxy's
            assert " 200 " in await client.head()
        assert upstream.came == 0


@pytest.mark.parametrize(
    ("exceptions", "straight"),
    [
        *[(entry, True) for entry in ("*", "shop.example", ".example", "x.org, example", "shop.example:443")],
        *[(entry, False) for entry in ("", "op.example", "shop.example:80", "10.0.0.0/8", "x/y", "[")],
    ],
)
async def test_what_no_proxy_names_is_reached_without_the_persons_own_proxy(
    tmp_path: Path, exceptions: str, *, straight: bool
) -> None:
    async with corporate(tmp_path, NO_PROXY=exceptions) as (upstream, _):
        environment = {"https_proxy": f"127.0.0.1:{upstream.port}", "no_proxy": exceptions}
        async with network(tmp_path / "b", environment, Names(shop=[["10.0.0.1"]])) as net:
            upstream.answers.append(b"HTTP/1.1 407 Who are you?\r\n\r\n")
            told = await answered((await net.way(("shop.example",))).socket, "CONNECT shop.example:443 HTTP/1.1")
        assert ("leads to 10.0.0.1" in told) == straight
        assert ("the proxy of this machine's environment answered 407 for shop.example" in told) != straight


async def test_a_proxy_of_a_kind_that_is_not_known_is_told_and_not_gone_around(tmp_path: Path) -> None:
    async with network(tmp_path, {"ALL_PROXY": "socks5://127.0.0.1:1080"}, names := Names()) as net:
        told = await answered((await net.way(("shop.example",))).socket, "CONNECT shop.example:443 HTTP/1.1")
        assert told.startswith("HTTP/1.1 502 the proxy that https_proxy or all_proxy names is none that speaks HTTP")
        assert names.asked == []
