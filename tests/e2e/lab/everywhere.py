"""Knows the servers of all names at once: http or TLS on any port, keeping what arrives, answering as they are told."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .certificates import CertificateAuthority
from .nameserver import NameServer, every_name, original_destination
from .network import PrivateNetwork
from .process import free_port
from .wire import Talk

_TLS_HANDSHAKE = 0x16
_SECONDS_MAX = 90
_END_OF_HEAD = b"\r\n\r\n"
LITERALS = (("127.0.0.1", 80), ("127.0.0.1", 443), ("127.0.0.1", 5000), ("::1", 5000), ("::1", 5001))
"""What no name server leads to."""


@dataclass
class Arrival:
    """A request as it came: how it was spoken, which name's address and port it came to, and its bytes.

    `server_name` is the SNI, None without. `target` is bytes as text. `body` grows until `whole` is set.
    """

    scheme: str
    server_name: str | None
    host: str
    port: int
    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""
    whole: threading.Event = field(default_factory=threading.Event)

    def all(self, name: str) -> list[str]:
        """Every value of a header field, in any case of its name."""
        return [value for key, value in self.fields if key.lower() == name.lower()]


Play = Callable[[Arrival, Talk], None]
"""What is answered to a request whose head has come; what it sets `Talk.keep` on is kept for the next one."""


def answering(status: int, *fields: str, body: bytes = b"{}") -> Play:
    """Read the request to its end, and answer."""

    def play(arrival: Arrival, talk: Talk) -> None:
        read_body(arrival, talk)
        lines = [f"HTTP/1.1 {status} Said", "Content-Type: application/json", f"Content-Length: {len(body)}", *fields]
        talk.say("\r\n".join(lines).encode("latin-1"), _END_OF_HEAD, b"" if arrival.method == "HEAD" else body)
        talk.keep = True

    return play


def read_body(arrival: Arrival, talk: Talk) -> None:
    """Read the request's body, by its length or by chunks, into the arrival."""
    if "chunked" in ",".join(arrival.all("transfer-encoding")).lower():
        while (size := int(_line(talk).partition(b";")[0], 16)) > 0:
            arrival.body += _bytes(talk, size)
            _line(talk)
        while _line(talk):
            pass
    else:
        length = int((arrival.all("content-length") or ["0"])[0])
        while len(arrival.body) < length:
            _more(talk)
            arrival.body += talk.rest[: length - len(arrival.body)]
            talk.rest = b""
    arrival.whole.set()


def _more(talk: Talk) -> None:
    if talk.rest:
        return
    talk.rest = talk.connection.recv(65536)
    if not talk.rest:
        raise ConnectionError("the request ended before its body")


def _bytes(talk: Talk, count: int) -> bytes:
    found = b""
    while len(found) < count:
        _more(talk)
        part = talk.rest[: count - len(found)]
        found, talk.rest = found + part, talk.rest[len(part) :]
    return found


def _line(talk: Talk) -> bytes:
    found = b""
    while not found.endswith(b"\r\n"):
        found += _bytes(talk, 1)
    return found[:-2]


class Everywhere:
    """All servers. `play` answers; names in `untrusted` show a certificate of another authority, in `plain` speak no
    TLS; those of the name server's `refused` are not there.
    """

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self.authority = CertificateAuthority(directory / "trusted")
        self._other = CertificateAuthority(directory / "other")
        self.names = NameServer()
        self.play: Play = answering(200)
        self.untrusted: set[str] = set()
        self.plain: set[str] = set()
        self._arrivals: list[Arrival] = []
        self._lock = threading.Lock()
        self._certificates: dict[tuple[str, bool], tuple[Path, Path]] = {}
        self._released = threading.Event()

    @property
    def arrivals(self) -> list[Arrival]:
        """What came since it was cleared. A request is here before its answer leaves."""
        with self._lock:
            return list(self._arrivals)

    def clear(self) -> None:
        """Forget what came so far."""
        with self._lock:
            self._arrivals.clear()

    def _context(self, name: str) -> ssl.SSLContext:
        """What a server of that name shows."""
        key = name, name in self.untrusted
        with self._lock:
            if key not in self._certificates:
                authority = self._other if key[1] else self.authority
                self._certificates[key] = authority.issue(name, *(["127.0.0.1"] if name == "localhost" else []))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._certificates[key])
            return context

    def release(self) -> None:
        """End what waits for the end."""
        self._released.set()

    def accept(self, listener: socket.socket) -> None:
        """Accept until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._converse, args=[connection], daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            connection.settimeout(_SECONDS_MAX)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            address, port = original_destination(connection)
            host = self.names.name_of(address) if address != "127.0.0.1" else "localhost"
            spoken = connection
            secure = connection.recv(1, socket.MSG_PEEK) == bytes([_TLS_HANDSHAKE])
            server_name: list[str | None] = [None]
            if secure:
                if host in self.plain:
                    connection.sendall(b"HTTP/1.0 400 Not TLS\r\n\r\n")
                    return
                spoken = stack.enter_context(self._secured(connection, host, server_name))
            rest = b""
            while (talk := self._next(spoken, rest)) is not None:
                arrival = _arrival(talk, "https" if secure else "http", server_name[0], host, port)
                with self._lock:
                    self._arrivals.append(arrival)
                self.play(arrival, talk)
                if not talk.keep:
                    return
                rest = talk.rest

    def _secured(self, connection: socket.socket, host: str, server_name: list[str | None]) -> ssl.SSLSocket:
        def named(wrapped: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            server_name[0] = name
            if name:
                wrapped.context = self._context(name.strip("[]"))

        context = self._context(host)
        context.sni_callback = named
        return context.wrap_socket(connection, server_side=True)

    def _next(self, connection: socket.socket, data: bytes) -> Talk | None:
        while _END_OF_HEAD not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
        head, _, rest = data.partition(_END_OF_HEAD)
        method, target = head.partition(b"\r\n")[0].decode("latin-1").split(" ")[:2]
        return Talk(connection, method, target, head, rest, self._released)


def _arrival(talk: Talk, scheme: str, server_name: str | None, host: str, port: int) -> Arrival:
    pairs = (line.decode("latin-1").partition(":") for line in talk.head.split(b"\r\n")[1:])
    fields = tuple((name, value.strip()) for name, _, value in pairs)
    return Arrival(scheme, server_name, host, port, talk.method, talk.target, fields)


@contextlib.contextmanager
def everywhere(
    network: PrivateNetwork, directory: Path, literals: Sequence[tuple[str, int]] = LITERALS
) -> Iterator[Everywhere]:
    """Servers of all names, and at those addresses where nobody else listens."""
    port = free_port()
    servers = Everywhere(directory, port)
    with every_name(network, port) as servers.names, contextlib.ExitStack() as stack:
        for address, at in [("127.0.0.1", port), *literals]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = socket.create_server((address, at), family=family, backlog=256)
            stack.callback(_close, listener)
            thread = threading.Thread(target=servers.accept, args=[listener], daemon=True)
            thread.start()
        stack.callback(servers.release)
        yield servers


def _close(listener: socket.socket) -> None:
    # To close a socket that somebody waits at does not wake them.
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
