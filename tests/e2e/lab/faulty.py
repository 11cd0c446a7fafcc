"""Knows servers that fail as servers do: with an answer nobody wants, or with none."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .network import enter_private_network
from .process import require, run

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
