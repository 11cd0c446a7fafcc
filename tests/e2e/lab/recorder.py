"""Knows upstreams that keep every byte they are sent, each at a name and an address of its own."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from .network import PrivateNetwork

Reply = tuple[int, Mapping[str, str], bytes]
"""Status, header fields, body."""

_addresses = itertools.count(1)
_END_OF_HEAD = b"\r\n\r\n"
_PATIENCE_SECONDS = 5


@dataclass(frozen=True)
class Recorded:
    """One request as it came: its first line, its header fields, and its head and body byte for byte."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    raw: bytes

    def all(self, name: str) -> list[bytes]:
        """Every value of a header field, in any case of its name."""
        return [value for key, value in self.fields if key.lower() == name.lower().encode()]


@dataclass
class Recorder:
    """A plain http server. `reply` makes the answer to each request."""

    name: str
    address: str
    port: int
    reply: Callable[[Recorded], Reply]
    _listener: socket.socket
    _requests: list[Recorded] = field(default_factory=list)
    _connections: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def authority(self) -> str:
        """The name with its port, if that is not 80."""
        return self.name if self.port == 80 else f"{self.name}:{self.port}"

    @property
    def requests(self) -> list[Recorded]:
        """What came since it was cleared. A request is here before its answer leaves."""
        with self._lock:
            return list(self._requests)

    @property
    def connections(self) -> int:
        """How many connections were accepted since it was cleared."""
        with self._lock:
            return self._connections

    @property
    def raw(self) -> bytes:
        """All bytes of all requests."""
        return b"".join(each.raw for each in self.requests)

    def clear(self) -> None:
        """Forget what came so far."""
        with self._lock:
            self._requests.clear()
            self._connections = 0

    def serve(self) -> None:
        """Accept until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections += 1
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_SECONDS)
        rest = b""
        with connection, contextlib.suppress(OSError, ValueError):
            while True:
                request, rest = _read(connection, rest)
                if request is None:
                    return
                with self._lock:
                    self._requests.append(request)
                connection.sendall(_written(request, *self.reply(request)))


def _read(connection: socket.socket, data: bytes) -> tuple[Recorded | None, bytes]:
    while _END_OF_HEAD not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return None, b""
        data += chunk
    end = data.index(_END_OF_HEAD) + len(_END_OF_HEAD)
    head, rest = data[:end], data[end:]
    first, *lines = head[: -len(_END_OF_HEAD)].split(b"\r\n")
    method, target = first.split(b" ")[:2]
    pairs = (line.partition(b":") for line in lines)
    fields = tuple((name, value.strip()) for name, _, value in pairs)
    named = {name.lower(): value for name, value in fields}
    if b"chunked" in named.get(b"transfer-encoding", b""):
        while b"0\r\n\r\n" not in rest:
            rest += connection.recv(65536)
        length = rest.index(b"0\r\n\r\n") + 5
    else:
        length = int(named.get(b"content-length", b"0"))
        while len(rest) < length:
            rest += connection.recv(65536)
    return Recorded(method, target, fields, head + rest[:length]), rest[length:]


def _written(request: Recorded, status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}"]).encode("latin-1") + _END_OF_HEAD
    return head if request.method == b"HEAD" else head + body


def ok(_: Recorded) -> Reply:
    """An answer that satisfies whoever asks."""
    return 200, {"Content-Type": "application/json"}, b"{}"


@contextlib.contextmanager
def recording(
    network: PrivateNetwork,
    name: str,
    *,
    port: int = 80,
    reply: Callable[[Recorded], Reply] = ok,
    address: str | None = None,
) -> Iterator[Recorder]:
    """A recorder at a name, which is its own in the private network; `address` is one that this machine has."""
    if address is None:
        number = next(_addresses)
        address = f"198.51.{101 + number // 250}.{1 + number % 250}"
        network.add_address(address)
    network.add_host(name, address)
    listener = socket.create_server((address, port), backlog=64)
    recorder = Recorder(name, address, port, reply, listener)
    thread = threading.Thread(target=recorder.serve, name=f"recorder {name}", daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        # To close a socket that somebody waits at does not wake them.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def send(port: int, data: bytes, address: str = "127.0.0.1") -> bytes:
    """Send bytes as they are, and return all that comes until the connection ends."""
    with socket.create_connection((address, port), timeout=_PATIENCE_SECONDS) as connection:
        connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk
        return answer


def statuses(answer: bytes) -> list[int]:
    """The status of every answer in what came."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
