"""Knows a client that sends bytes as they are, one request after another on a connection that is kept."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_SECONDS_MAX = 90


@dataclass(frozen=True)
class Answer:
    """An answer as it came, by HTTP/1.1; status 0 where none came."""

    status: int
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Every value of a header field, in any case of its name."""
        return [value for key, value in self.fields if key.lower() == name.lower()]

    @property
    def code(self) -> str:
        """The code of the distribution-spec's error in it; '' for none."""
        if not self.all("content-type") or self.all("content-type")[0].partition(";")[0] != "application/json":
            return ""
        try:
            return str(json.loads(self.body)["errors"][0]["code"])
        except (ValueError, LookupError, TypeError):
            return ""


class Conversation:
    """A client of a listener at a port of 127.0.0.1, which is believed whatever certificate it shows.

    With `proxied`, a scheme and host[:port], the listener is a proxy, and what is asked for is there.
    """

    def __init__(
        self,
        port: int,
        *,
        secure: bool = False,
        server_name: str | None = None,
        proxied: tuple[str, str] | None = None,
    ) -> None:
        self.port = port
        self._proxied = proxied
        secure = secure or (proxied is not None and proxied[0] == "https")
        self._server_name = server_name
        self._context: ssl.SSLContext | None = None
        if secure:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        self._connection: socket.socket | None = None

    def ask(self, request: bytes) -> Answer:
        """Send a whole request, and return the answer."""
        method = request.partition(b" ")[0].decode("ascii")
        if self._proxied is not None and self._context is None:
            request = request.replace(b" /", f" http://{self._proxied[1]}/".encode(), 1)
        if self._connection is not None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self._ask(self._connection, method, request)
            # It may have been ended meanwhile, as the other side may do at any time.
            self.close()
        try:
            self._connection = self.connect()
            return self._ask(self._connection, method, request)
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(0)

    def connect(self) -> socket.socket:
        """A new connection to the listener."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS_MAX)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = self._server_name
        if self._proxied is not None and self._context is not None:
            name, port = _split(self._proxied[1])
            plain.sendall(f"CONNECT {name}:{port} HTTP/1.1\r\n\r\n".encode())
            with http.client.HTTPResponse(plain, method="CONNECT") as response:
                response.begin()
            name = name.strip("[]").removesuffix(".")
        return plain if self._context is None else self._context.wrap_socket(plain, server_hostname=name)

    def _ask(self, connection: socket.socket, method: str, request: bytes) -> Answer:
        connection.sendall(request)
        with http.client.HTTPResponse(connection, method=method) as response:
            response.begin()
            answer = Answer(response.status, tuple(response.getheaders()), response.read())
            if response.will_close:
                self.close()
        return answer

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _split(authority: str) -> tuple[str, int]:
    host, colon, port = authority.rpartition(":")
    return (host, int(port)) if colon and not authority.endswith("]") else (authority, 443)
