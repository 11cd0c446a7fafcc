"""Knows an HTTP/2 client that sends whatever it is told to, through a proxy's tunnel."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, PingAckReceived, ResponseReceived, StreamEnded, StreamReset

_PATIENCE_SECONDS = 20
_CHUNK = 65536


def tunnel(port: int, authority: str) -> socket.socket:
    """A connection to the authority (host:port) by CONNECT."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
    connection.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # Byte by byte: what follows the head is TLS.
        byte = connection.recv(1)
        assert byte, head
        head += byte
    assert head.startswith(b"HTTP/1.1 200"), head
    return connection


@contextlib.contextmanager
def tls(
    port: int, authority: str, ca: Path, *, sni: str | None = None, alpn: Sequence[str] = ("h2",)
) -> Iterator[ssl.SSLSocket]:
    """TLS in the tunnel, with another server name than the authority's where `sni` says so."""
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(list(alpn))
    with context.wrap_socket(tunnel(port, authority), server_hostname=sni or authority.rpartition(":")[0]) as secured:
        yield secured


def _connection() -> H2Connection:
    return H2Connection(
        H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="latin-1")
    )


def cancel(connection: ssl.SSLSocket, authority: str, path: str, received: int) -> None:
    """GET the path, and cancel that when so many bytes of the body are here; the connection stays for more."""
    client = _connection()
    client.initiate_connection()
    fields = {":method": "GET", ":scheme": "https", ":authority": authority, ":path": path}
    client.send_headers(1, list(fields.items()), end_stream=True)
    connection.sendall(client.data_to_send())
    got = 0
    while got < received:
        data = connection.recv(_CHUNK)
        assert data
        got += sum(len(event.data) for event in client.receive_data(data) if isinstance(event, DataReceived))
    client.reset_stream(1, ErrorCodes.CANCEL)
    client.ping(bytes(8))
    connection.sendall(client.data_to_send())
    while not any(isinstance(event, PingAckReceived) for event in client.receive_data(connection.recv(_CHUNK))):
        pass


def exchange(connection: ssl.SSLSocket, fields: Sequence[tuple[bytes, bytes]]) -> tuple[int | None, bytes]:
    """Send a request of these fields, pseudo-header fields included; the status (None: refused), and the body."""
    client = _connection()
    client.initiate_connection()
    client.send_headers(1, list(fields), end_stream=True)
    connection.sendall(client.data_to_send())
    status, body = None, b""
    while True:
        try:
            data = connection.recv(_CHUNK)
        except OSError:
            return None, body
        if not data:
            return status, body
        for event in client.receive_data(data):
            if isinstance(event, ResponseReceived):
                # Text, whatever h2's types say: header_encoding is set.
                answered: dict[Any, Any] = dict(event.headers)
                status = int(answered[":status"])
            elif isinstance(event, DataReceived):
                body += event.data
            elif isinstance(event, StreamReset | ConnectionTerminated):
                return None, body
            elif isinstance(event, StreamEnded):
                return status, body
