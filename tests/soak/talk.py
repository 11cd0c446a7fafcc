"""Knows how the soak's own light client talks HTTP: it keeps connections, hashes what comes, notes what does not."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import random
import socket
import struct
import time
from typing import Final

from .content import Thing
from .ledger import Failure, Ledger

_CHUNK: Final = 1 << 18
_PATIENCE: Final = 60.0
_RST: Final = struct.pack("ii", 1, 0)
_SETTLE: Final = 0.05
_REDIRECTS_MAX: Final = 10
"""As many as Go's client follows."""
_ACCEPT: Final = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"

ERRORS: Final = (OSError, http.client.HTTPException)


class UnexpectedAnswer(Exception):  # noqa: N818
    """An answer nobody wanted."""


def is_refusal(status: int, reason: str) -> bool:
    """Whether ns-inject itself answered that no endpoint serves the request: it says so in the status line, too."""
    return status == 502 and reason.startswith("no endpoint serves")


class Client:
    """One connection at a time to one port of ns-inject. Belongs to one thread."""

    def __init__(self, actor: str, port: int, ledger: Ledger, *, restartable: bool = True, buffer: int = 0) -> None:
        """`buffer` is the size of the receive buffer in bytes; 0 leaves it to the kernel."""
        self.actor = actor
        self._port = port
        self._ledger = ledger
        self._restartable = restartable
        self._buffer = buffer
        self._connection: http.client.HTTPConnection | None = None

    def send(
        self, method: str, path: str, body: bytes | None = None, *, headers: dict[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Send a request, and return the answer's head. A kept connection that has ended meanwhile is made anew."""
        fresh = self._connection is None or self._connection.sock is None
        fields = {"Accept": _ACCEPT, "User-Agent": f"soak-{self.actor}", **(headers or {})}
        self._ledger.counted(self.actor, requests=1, light=int(self._restartable))
        try:
            return self._send(method, path, body, fields)
        except (ConnectionError, http.client.RemoteDisconnected):
            self.close()
            if fresh or method not in ("GET", "HEAD"):
                raise
            # Nobody knows whether the request arrived.
            self._ledger.counted(self.actor, stale=1, maybe=1)
            return self._send(method, path, body, fields)

    def _send(self, method: str, path: str, body: bytes | None, fields: dict[str, str]) -> http.client.HTTPResponse:
        connection = self._connection or self._connect()
        connection.request(method, path, body, fields)
        return connection.getresponse()

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        if self._buffer:
            connection.sock = socket.socket()
            connection.sock.settimeout(_PATIENCE)
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            connection.sock.connect(("127.0.0.1", self._port))
        self._connection = connection
        return connection

    def expect(self, response: http.client.HTTPResponse, status: int) -> bytes:
        """The body of an answer with this status. Raises UnexpectedAnswer for any other."""
        body = response.read()
        if response.status == status:
            return body
        if is_refusal(response.status, response.reason):
            self._ledger.counted(self.actor, refused=1)
        raise UnexpectedAnswer(f"{response.status} {response.reason}: {body[:300]!r}")

    def fetch(self, thing: Thing, method: str = "GET", *, pace: float = 0.0, patience: float = 0.0) -> None:
        """Get something and compare it with what it has to be; note what comes of it.

        `pace` is in bytes per second, 0 as fast as it comes; after `patience` seconds, if any, it is left.
        """
        begin, received, is_blob = time.monotonic(), 0, "/blobs/" in thing.path
        what = f"{method} {thing.path}"
        try:
            response = self.answer_to(method, thing.path)
            if response.status != 200:
                self.expect(response, 200)
            digest = hashlib.sha256()
            while chunk := response.read(min(_CHUNK, int(pace) // 10) if pace else _CHUNK):
                digest.update(chunk)
                received += len(chunk)
                if patience and time.monotonic() - begin > patience:
                    self.close()
                    self._ledger.did(self.actor, received, left=1)
                    return
                if pace:
                    time.sleep(max(0.0, begin + received / pace - time.monotonic()))
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
        except UnexpectedAnswer as error:
            self.failed(what, begin, str(error))
        except ERRORS as error:
            detail = f"{type(error).__name__}: {error} after {received} of {thing.size} bytes"
            # What is no blob is kept by ns-inject until it is whole.
            self.failed(what, begin, detail, cut=is_blob and received > 0)
        else:
            said = response.headers.get("Content-Length", "")
            self._judge(thing, what, said if method == "HEAD" else digest.hexdigest(), received)

    def answer_to(self, method: str, path: str) -> http.client.HTTPResponse:
        """Send a request, and again where the answer is to ask again, as it is where an endpoint ends in between."""
        for _ in range(_REDIRECTS_MAX):
            response = self.send(method, path)
            if response.status != 307 or response.headers.get("Location") != path:
                break
            response.read()
        return response

    def _judge(self, thing: Thing, what: str, found: str, received: int) -> None:
        """Note an answer, `found` being the digest of its body, or its length where a HEAD has none."""
        if found in (thing.digest.partition(":")[2], str(thing.size)):
            self._ledger.did(self.actor, received)
        else:
            words = f"{what}: {found} of {received} bytes, and not {thing.digest} of {thing.size}"
            self._ledger.got_wrong(self.actor, words)

    def failed(self, what: str, begin: float, detail: str, *, cut: bool = False) -> None:
        """Note a failure, which ends the connection."""
        self.close()
        self._ledger.failed(Failure(self.actor, what, begin, time.monotonic(), detail, self._restartable, cut))
        # Who fails at once should not try again at once.
        time.sleep(_SETTLE)

    def reset(self) -> None:
        """End the connection as a client that crashes does."""
        if self._connection is not None and self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.close()

    @property
    def socket(self) -> socket.socket:
        """The connection itself, for what no well-behaved client does."""
        connection = self._connection or self._connect()
        if connection.sock is None:
            connection.connect()
        assert connection.sock is not None
        return connection.sock

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def close_somehow(client: Client, chance: random.Random) -> None:
    """End a connection in one way or the other."""
    if chance.random() < 0.5:
        client.reset()
    else:
        client.close()
