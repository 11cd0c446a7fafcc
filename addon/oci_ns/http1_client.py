"""An HTTP/1.1 client for the few exchanges that the addon makes itself: asyncio's connections and h11's protocol.

Knows connections, TLS, timeouts and a proxy on the way; not what is asked nor why. One connection per exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import h11

from oci_ns.fetch import (
    Answer,
    FetchError,
    Fields,
    NoTlsError,
    NotTrustedError,
    Outgoing,
    RefusedError,
    UnreachableError,
    UnsendableError,
)

BODY_MAX = 64 * 2**20
"""In bytes. A manifest has 4 MiB at most (distribution-spec, "Pushing Manifests"); a list of tags may be long."""
_HEAD_MAX = 256 * 2**10
_CHUNK = 2**16
_SWITCHED = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade"})

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Via:
    """A proxy on the way. `authorization` is the value of Proxy-Authorization, where it wants one."""

    scheme: str
    host: str
    port: int
    authorization: bytes | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """How to get to a server: timeouts in seconds, the proxy on the way if any, and the TLS settings per request.

    `connect_timeout` is for the name, the connection, the proxy and TLS together; `response_timeout` for the head of
    the answer, and for each further part of it.
    """

    context_for: Callable[[Outgoing], ssl.SSLContext]
    connect_timeout: float
    response_timeout: float
    via: Via | None = None


class HttpClient:
    """Carries requests; `network` is asked anew for each, so that settings may change meanwhile."""

    def __init__(self, network: Callable[[], Network]) -> None:
        self._network = network

    async def fetch(self, outgoing: Outgoing) -> Answer:
        """Send the request and read the answer to its end. Raises FetchError."""
        network = self._network()
        async with _connection(network, outgoing) as streams:
            via = network.via if outgoing.scheme == "http" else None
            return await _exchange(streams, _request(outgoing, via), outgoing.body, network.response_timeout)

    async def connect(self, outgoing: Outgoing, *, tls: bool) -> None:
        """See whether a connection can be made, and TLS on it where `tls` and the scheme say so.

        Raises UnreachableError.
        """
        async with _connection(self._network(), outgoing, tls=tls):
            pass


@contextlib.asynccontextmanager
async def _connection(network: Network, outgoing: Outgoing, *, tls: bool = True) -> AsyncIterator[_Streams]:
    try:
        async with asyncio.timeout(network.connect_timeout):
            streams = await _connect(network, outgoing, tls)
    except TimeoutError:
        raise UnreachableError(f"no connection within {network.connect_timeout:g} s") from None
    try:
        yield streams
    finally:
        streams[1].transport.abort()


async def _connect(network: Network, outgoing: Outgoing, tls: bool) -> _Streams:
    via = network.via
    if via is None:
        streams = await _open(*outgoing.address)
    else:
        streams = await _open_via(network, via)
    try:
        if via is not None and outgoing.scheme == "https":
            await _tunnel(streams, via, outgoing.address, network.connect_timeout)
        if tls and outgoing.scheme == "https":
            await _start_tls(streams[1], network.context_for(outgoing), outgoing.host)
    except BaseException:
        streams[1].transport.abort()
        raise
    return streams


async def _open(host: str, port: int) -> _Streams:
    try:
        # No happy_eyeballs_delay: with the eager tasks of mitmproxy 12 it fails in Python 3.13.0.
        return await asyncio.open_connection(host, port)
    except socket.gaierror as error:
        raise UnreachableError(f"the name {host} does not resolve: {error.strerror}") from None
    except ConnectionRefusedError:
        raise RefusedError("cannot connect: connection refused") from None
    except OSError as error:
        # asyncio's own text for one address repeats it; for several, it is all of theirs.
        reason = os.strerror(error.errno).lower() if error.errno else "no address of it answers"
        raise UnreachableError(f"cannot connect: {reason}") from None
    except (UnicodeError, ValueError) as error:
        raise UnreachableError(f"cannot connect: {error}") from None


async def _open_via(network: Network, via: Via) -> _Streams:
    try:
        streams = await _open(via.host, via.port)
        if via.scheme == "https":
            proxy = Outgoing("CONNECT", "https", via.host, via.port, "")
            await _start_tls(streams[1], network.context_for(proxy), via.host)
    except UnreachableError as error:
        raise UnreachableError(f"the upstream proxy {via.host}:{via.port}: {error}") from None
    return streams


async def _tunnel(streams: _Streams, via: Via, address: tuple[str, int], timeout: float) -> None:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    authority = f"{host}:{address[1]}".encode("idna" if not host.isascii() else "ascii")
    fields: list[tuple[bytes, bytes]] = [(b"Host", authority)]
    if via.authorization is not None:
        fields.append((b"Proxy-Authorization", via.authorization))
    request = h11.Request(method=b"CONNECT", target=authority, headers=fields)
    try:
        answer = await _exchange(streams, request, b"", timeout)
    except FetchError as error:
        raise UnreachableError(f"the upstream proxy {via.host}:{via.port}: {error}") from None
    if not 200 <= answer.status < 300:
        raise UnreachableError(f"the upstream proxy {via.host}:{via.port} answers {answer.status} {answer.reason}")


async def _start_tls(writer: asyncio.StreamWriter, context: ssl.SSLContext, name: str) -> None:
    try:
        await writer.start_tls(context, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        raise NotTrustedError(f"its certificate is not trusted: {error.verify_message}") from None
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise NoTlsError(f"the TLS handshake fails: {reason}") from None
    except OSError:
        raise NoTlsError("the connection is closed during the TLS handshake") from None
    except ValueError as error:
        raise UnreachableError(f"no TLS for this name: {error}") from None


def _request(outgoing: Outgoing, via: Via | None) -> h11.Request:
    """Raises UnsendableError where a field or the target cannot stand in a request."""
    fields = [(name, value) for name, value in outgoing.fields if name.lower() not in _SWITCHED]
    names = {name.lower() for name, _ in fields}
    if b"host" not in names:
        authority = outgoing.url.partition("://")[2].partition("/")[0]
        fields.insert(0, (b"Host", authority.encode("latin-1", "replace")))
    if outgoing.body and b"content-length" not in names:
        fields.append((b"Content-Length", str(len(outgoing.body)).encode()))
    if via is not None and via.authorization is not None:
        fields.append((b"Proxy-Authorization", via.authorization))
    fields.append((b"Connection", b"close"))
    target = outgoing.url if via is not None else outgoing.target
    try:
        return h11.Request(method=outgoing.method, target=target.encode("utf-8", "surrogateescape"), headers=fields)
    except h11.LocalProtocolError:
        # h11's own words quote the value, which may be a secret.
        raise UnsendableError("the request cannot be sent: its target or a header field is not valid in HTTP") from None


async def _exchange(streams: _Streams, request: h11.Request, body: bytes, timeout: float) -> Answer:
    reader, writer = streams
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_MAX)
    try:
        writer.write(protocol.send(request) or b"")
        if body:
            writer.write(protocol.send(h11.Data(data=body)) or b"")
        writer.write(protocol.send(h11.EndOfMessage()) or b"")
        async with asyncio.timeout(timeout):
            await writer.drain()
        return await _read(reader, protocol, timeout)
    except TimeoutError:
        raise FetchError(f"no answer within {timeout:g} s") from None
    except h11.LocalProtocolError:
        raise UnsendableError("the request cannot be sent: its header fields do not fit its body") from None
    except h11.RemoteProtocolError as error:
        raise FetchError(f"the answer is not HTTP, or not complete: {error}") from None
    except OSError:
        raise FetchError("the connection is closed before the answer is complete") from None


async def _read(reader: asyncio.StreamReader, protocol: h11.Connection, timeout: float) -> Answer:
    head: h11.Response | None = None
    body = bytearray()
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            async with asyncio.timeout(timeout):
                protocol.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_MAX:
                raise FetchError(f"the answer is larger than {BODY_MAX // 2**20} MiB")
        elif head is not None and (isinstance(event, h11.EndOfMessage) or event is h11.PAUSED):
            # A proxy's answer to CONNECT has no end of message: what comes next is the tunnel's.
            fields: Fields = tuple((bytes(name), bytes(value)) for name, value in head.headers.raw_items())
            return Answer(head.status_code, head.reason.decode("latin-1"), fields, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise FetchError("the connection is closed before the answer is complete")
