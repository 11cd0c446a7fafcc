"""Knows servers that say, byte for byte, what they are told to say: right answers, wrong ones, and half of one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .process import is_waited_for

NAMESPACE = "quay.io"
"""The one that is served."""
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def digest_of(content: bytes) -> str:
    """Its digest as the distribution-spec has it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


BLOB = bytes(range(256)) * 400
HALF = BLOB[: len(BLOB) // 2]
DIGEST = digest_of(BLOB)
CONFIG = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["%s"]}}' % DIGEST.encode()
_CONFIG = {
    "mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": digest_of(CONFIG),
    "size": len(CONFIG),
}
_LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": DIGEST, "size": len(BLOB)}
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": _CONFIG, "layers": [_LAYER]}).encode()

_SECONDS_MAX = 60
_FULL_AFTER = 0.2
"""Seconds for connecting on one machine, after which it is the queue that is full."""
_QUEUED_MAX = 4
_NOW = struct.pack("ii", 1, 0)


@dataclass
class Talk:
    """A request that was read to the end of its head, and the connection it came on."""

    connection: socket.socket
    method: str
    target: str
    head: bytes
    rest: bytes
    """What came behind the head already."""
    released: threading.Event
    keep: bool = False
    """Whether the connection is kept for the next request."""

    def say(self, *parts: bytes) -> None:
        self.connection.sendall(b"".join(parts))

    def reset(self) -> None:
        """End the connection by RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)

    def stall(self) -> None:
        """Say nothing more until the other side ends the connection, or the server ends."""
        self.connection.settimeout(0.1)
        while not self.released.is_set():
            with contextlib.suppress(TimeoutError):
                if not self.connection.recv(65536):
                    return

    def body(self, length: int) -> bytes:
        """Read so much of the request's body; less where the client ends before."""
        while len(self.rest) < length and (more := self.connection.recv(65536)):
            self.rest += more
        return self.rest[:length]


Play = Callable[[Talk], None]
"""What is answered to a request."""


@dataclass
class Wire:
    """A running server. `asked` are method and target of each request; `open` is how many connections there are."""

    play: Play
    authority: str = ""
    asked: list[str] = field(default_factory=list)
    open: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    door: threading.Lock = field(default_factory=threading.Lock)
    """Who holds it keeps connections from being accepted; one more is, whose accept has begun."""
    kept_out: threading.Event = field(default_factory=threading.Event)
    """That one, too, has been accepted, or none was to be."""

    @contextlib.contextmanager
    def takes_no_connections(self) -> Iterator[None]:
        """For as long, connecting neither succeeds nor fails: the queue of connections that nobody accepts is full."""
        host, port = self.authority.split(":")
        with contextlib.ExitStack() as waiting, self.door:
            try:
                while True:
                    waiting.enter_context(socket.create_connection((host, int(port)), timeout=_FULL_AFTER))
                    assert self.kept_out.wait(_SECONDS_MAX)
            except TimeoutError:
                yield
        # The queue is empty when one that is new is through.
        socket.create_connection((host, int(port)), timeout=_SECONDS_MAX).close()

    def is_waited_for(self) -> bool:
        """Whether somebody is connecting and has no answer."""
        return is_waited_for(int(self.authority.rpartition(":")[2]))

    def _count(self, change: int) -> None:
        with self.lock:
            self.open += change

    def serve(self, connection: socket.socket) -> None:
        """Answer what comes on a connection."""
        self._count(1)
        try:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(_SECONDS_MAX)
                rest = b""
                while (talk := self._next(connection, rest)) is not None:
                    self.asked.append(f"{talk.method} {talk.target}")
                    self.play(talk)
                    if not talk.keep:
                        break
        finally:
            self._count(-1)

    def _next(self, connection: socket.socket, data: bytes) -> Talk | None:
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return None
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        method, target, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
        return Talk(connection, method, target, head, rest, self.released)


@contextlib.contextmanager
def wire(play: Play, port: int = 0) -> Iterator[Wire]:
    """A server at an address of its own, or at a port where there was one before."""
    server = Wire(play)
    listener = socket.create_server(("127.0.0.1", port), backlog=_QUEUED_MAX)
    server.authority = f"127.0.0.1:{listener.getsockname()[1]}"

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                if not server.door.acquire(blocking=False):
                    server.kept_out.set()
                    server.door.acquire()
                server.kept_out.clear()
                server.door.release()
                connection, _ = listener.accept()
                threading.Thread(target=server.serve, args=[connection], daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        server.released.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


def head(status: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    """A status line and header fields, as a registry proxy that served NAMESPACE sends them."""
    lines = [b"HTTP/%s %s" % (version, status), b"OCI-Namespace: %s" % NAMESPACE.encode(), *fields]
    return b"\r\n".join([*lines, b"", b""])


def length(content: bytes) -> bytes:
    """The Content-Length of the content."""
    return b"Content-Length: %d" % len(content)


def chunk(content: bytes) -> bytes:
    """The content as one chunk of a body."""
    return b"%x\r\n%s\r\n" % (len(content), content)


def answer(talk: Talk, body: bytes, *fields: bytes, status: bytes = b"200 OK", version: bytes = b"1.1") -> None:
    """Answer as a registry does, and keep the connection."""
    content = b"" if talk.method == "HEAD" else body
    talk.say(head(status, length(body), *fields, version=version), content)
    talk.keep = True


def healthy(talk: Talk) -> None:
    """Answer as a registry that has one image of one layer, BLOB, under any name."""
    if digest_of(CONFIG) in talk.target:
        answer(talk, CONFIG)
    elif "/blobs/" in talk.target:
        answer(talk, BLOB, b"Content-Type: application/octet-stream")
    else:
        answer(talk, MANIFEST, b"Content-Type: %s" % MANIFEST_TYPE.encode())


def failing(fault: Play, *, method: str = "GET", manifests: bool = True) -> Play:
    """As `healthy`, but the layer fails, and `manifests` do, where they are asked for by this method."""

    def play(talk: Talk) -> None:
        if talk.method == method and (DIGEST in talk.target or (manifests and "/manifests/" in talk.target)):
            fault(talk)
        else:
            healthy(talk)

    return play
