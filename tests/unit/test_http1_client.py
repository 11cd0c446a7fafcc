"""The client of the addon's own exchanges, against servers that say exactly what a test wants them to say."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest
import trustme

from oci_ns.fetch import Answer, FetchError, NoTlsError, Outgoing, UnreachableError
from oci_ns.http1_client import BODY_MAX, HttpClient, Network, Via

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Case: Kept\r\n\r\nhi"


@dataclass
class Server:
    """Answers the first request of each connection with `says`, then closes, unless it shall `hang`."""

    says: bytes = OK
    hang: bool = False
    tls: ssl.SSLContext | None = None
    heard: list[bytes] = field(default_factory=list)
    port: int = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.says)
            await writer.drain()
            if self.hang:
                await reader.read()
        writer.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


def trusting(*authorities: trustme.CA) -> Callable[[Outgoing], ssl.SSLContext]:
    context = ssl.create_default_context()
    for authority in authorities:
        authority.configure_trust(context)
    return lambda _: context


def client(via: Via | None = None, *, timeout: float = 5.0, trusted: tuple[trustme.CA, ...] = ()) -> HttpClient:
    network = Network(trusting(*trusted), timeout, timeout, via)
    return HttpClient(lambda: network)


def get(server: Server, target: str = "/v2/", **more: object) -> Outgoing:
    return replace(Outgoing("GET", "http", "127.0.0.1", server.port, target), **more)  # type: ignore[arg-type]


def run(server: Server, act: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with server.running():
            await act()

    asyncio.run(whole())


def test_an_answer_is_what_came_over_the_wire() -> None:
    server = Server()

    async def act() -> None:
        answer = await client().fetch(get(server, "/v2/a%2Fb/tags/list?n=1&x=%c3%A9"))
        assert answer == Answer(200, "OK", ((b"Content-Length", b"2"), (b"X-Case", b"Kept")), b"hi")

    run(server, act)
    assert server.heard[0].startswith(b"GET /v2/a%2Fb/tags/list?n=1&x=%c3%A9 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("says", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n", b"hi"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, b"hi"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", b""),
    ],
)
def test_a_body_ends_as_http_says(says: bytes, body: bytes) -> None:
    server = Server(says)

    async def act() -> None:
        assert (await client().fetch(get(server))).body == body

    run(server, act)


def test_the_answer_to_a_head_has_no_body() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", hang=True)

    async def act() -> None:
        answer = await client().fetch(get(server, method="HEAD"))
        assert (answer.header("content-length"), answer.body) == ("1234", b"")

    run(server, act)


def test_host_is_added_once_and_what_is_between_neighbours_is_dropped() -> None:
    server = Server()

    async def act() -> None:
        fields = ((b"Accept", b"a"), (b"Accept", b"b"), (b"Connection", b"keep-alive"), (b"Upgrade", b"h2c"))
        await client().fetch(get(server, fields=fields))
        await client().fetch(get(server, fields=((b"host", b"named.example.com"),)))

    run(server, act)
    first, second = (heard.decode().split("\r\n") for heard in server.heard)
    assert first[1:-2] == [f"Host: 127.0.0.1:{server.port}", "Accept: a", "Accept: b", "Connection: close"]
    assert second[1:-2] == ["host: named.example.com", "Connection: close"]


@pytest.mark.parametrize(
    ("says", "hang", "reason"),
    [
        (b"", False, "closed before the answer is complete|not complete"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False, "not complete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", False, "not complete"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", False, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi", False, "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**20, False, "not HTTP"),
        (b"", True, r"no answer within 0\.2 s"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", True, r"no answer within 0\.2 s"),
    ],
)
def test_an_answer_that_is_none_is_an_error_in_words(says: bytes, hang: bool, reason: str) -> None:
    server = Server(says, hang=hang)

    async def act() -> None:
        with pytest.raises(FetchError, match=reason) as failure:
            await client(timeout=0.2 if hang else 5.0).fetch(get(server))
        assert "\n" not in str(failure.value)

    run(server, act)


def test_an_answer_has_a_largest_size() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(BODY_MAX + 1))

    async def act() -> None:
        with pytest.raises(FetchError, match="larger than 64 MiB"):
            await client().fetch(get(server))

    run(server, act)


def test_a_field_that_cannot_be_sent_is_an_error() -> None:
    server = Server()

    async def act() -> None:
        with pytest.raises(FetchError, match="cannot be sent"):
            await client().fetch(get(server, fields=((b"X", b"a\r\nY: b"),)))

    run(server, act)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("127.0.0.1", "connection refused"),
        ("does-not-exist.invalid", "the name does-not-exist.invalid does not resolve"),
        ("x" * 70 + ".example.com", "cannot connect|does not resolve"),
    ],
)
def test_who_cannot_be_reached_is_an_error_in_words(host: str, reason: str) -> None:
    async def act() -> None:
        for attempt in (client().fetch, lambda out: client().connect(out, tls=True)):
            with pytest.raises(UnreachableError, match=reason):
                await attempt(Outgoing("GET", "http", host, 1, "/v2/"))

    asyncio.run(act())


@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [
        ("localhost", True, None),
        ("localhost", False, "its certificate is not trusted: unable to get local issuer certificate"),
        ("elsewhere.example.com", True, "its certificate is not trusted: Hostname mismatch"),
    ],
)
def test_a_certificate_is_verified_and_the_reason_told(name: str, trusted: bool, reason: str | None) -> None:
    authority = trustme.CA()
    server = Server(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert server.tls is not None
    authority.issue_cert("localhost").configure_cert(server.tls)

    async def act() -> None:
        outgoing = get(server, scheme="https", host=name, connect_to=("127.0.0.1", server.port))
        carrier = client(trusted=(authority,) if trusted else ())
        if reason is None:
            assert (await carrier.fetch(outgoing)).status == 200
            await carrier.connect(outgoing, tls=True)
            return
        with pytest.raises(UnreachableError, match=reason) as failure:
            await carrier.fetch(outgoing)
        assert not isinstance(failure.value, NoTlsError)
        await carrier.connect(outgoing, tls=False)

    run(server, act)


def test_who_does_not_speak_tls_is_told_apart() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def act() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NoTlsError, match="TLS handshake"):
            await client().connect(Outgoing("GET", "https", "127.0.0.1", port, "/"), tls=True)
        server.close()

    asyncio.run(act())


def test_a_proxy_on_the_way_gets_the_whole_url_and_its_own_credentials() -> None:
    proxy = Server()

    async def act() -> None:
        via = Via("http", "127.0.0.1", proxy.port, b"Basic c2VjcmV0")
        await client(via).fetch(Outgoing("GET", "http", "proxy.example.com", 5000, "/v2/?ns=quay.io"))
        proxy.says = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(
            UnreachableError, match=rf"the upstream proxy 127.0.0.1:{proxy.port} answers 407 Who are you"
        ):
            await client(via).connect(Outgoing("GET", "https", "proxy.example.com", 443, "/"), tls=True)

    run(proxy, act)
    plain, tunnel = (heard.decode().split("\r\n") for heard in proxy.heard)
    assert plain[0] == "GET http://proxy.example.com:5000/v2/?ns=quay.io HTTP/1.1"
    assert "Proxy-Authorization: Basic c2VjcmV0" in plain
    assert tunnel[0] == "CONNECT proxy.example.com:443 HTTP/1.1"
    assert "Proxy-Authorization: Basic c2VjcmV0" in tunnel


def test_what_prints_an_exchange_shows_no_secret() -> None:
    login = ((b"Authorization", b"Basic c2VjcmV0"),)
    shown = repr(
        (
            Outgoing("POST", "https", "a.example.com", 443, "/token", login, b"secret"),
            Answer(200, "OK", login, b"secret"),
        )
    )
    assert "secret" not in shown
    assert "c2VjcmV0" not in shown
