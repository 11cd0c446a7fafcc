"""Knows a server between the addon and a registry that changes what the registry answers, as broken proxies do."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .registries import Answer, fetch

Change = Callable[[str, Answer], "Meddled"]
"""What is made of the answer to a path."""


@dataclass(frozen=True)
class Meddled:
    """An answer as the client gets it. With `sent`, so many bytes of the body are sent, and the connection ends."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: int | None = None


def unchanged(answer: Answer, **headers: str) -> Meddled:
    """The answer as it is, with these header fields in place of its own (`_` stands for `-`)."""
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Meddled(answer.status, {**answer.headers, **named}, answer.body)


@contextlib.contextmanager
def meddling(registry: str, change: Change) -> Iterator[str]:
    """A server before the registry at the URL; its authority."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            accepted = ", ".join(self.headers.get_all("Accept", []))
            answer = change(path, fetch(f"{registry}{path}", {"Accept": accepted}, method=self.command))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name not in ("content-length", "date", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body if answer.sent is None else answer.body[: answer.sent])
            if answer.sent is not None:
                self.close_connection = True

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
