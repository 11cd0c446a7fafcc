"""Knows servers that fail as servers do: with an answer nobody wants, or with none."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .network import enter_private_network
from .process import require, run
from .registries import Registry

BLACK_HOLE = "198.51.100.66"
"""An address that swallows what is sent to it."""


@contextlib.contextmanager
def answering(status: int) -> Iterator[tuple[str, list[str]]]:
    """A server that answers every request but the ping with this status; its authority, and the targets asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path.startswith("/v2/?") or self.path == "/v2/" else status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


class Leaving:
    """What a `leaving` server does with requests from now on, and how many it has left."""

    def __init__(self) -> None:
        self.after: int | None = None
        """How many bytes of an answer it still sends; None while it answers as it should."""
        self.left = 0


@contextlib.contextmanager
def leaving(registry: Registry) -> Iterator[tuple[str, Leaving]]:
    """A server with what `registry` has, which can be told to end connections in the middle; its authority."""
    leave = Leaving()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = registry.get(self.path)
            head = [f"HTTP/1.1 {answer.status} Answer", f"Content-Type: {answer.headers.get('content-type', '')}"]
            head += [f"Content-Length: {len(answer.body)}", "", ""]
            message = "\r\n".join(head).encode() + (answer.body if self.command == "GET" else b"")
            if leave.after is not None and not self.path.startswith("/v2/?"):
                leave.left += 1
                message, self.close_connection = message[: leave.after], True
            self.wfile.write(message)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", leave
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A server that accepts connections (the kernel does) and never says anything; its authority."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """An authority whose address never answers a connection, as behind a firewall that drops."""
    enter_private_network().add_address(BLACK_HOLE)
    rule = ["OUTPUT", "-p", "tcp", "-d", BLACK_HOLE, "-j", "DROP"]
    run([require("iptables"), "-A", *rule])
    try:
        yield f"{BLACK_HOLE}:5000"
    finally:
        run([require("iptables"), "-D", *rule])
        run([require("ip"), "address", "del", f"{BLACK_HOLE}/32", "dev", "lo"])
