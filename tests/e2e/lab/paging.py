"""Knows how tags are paged, which distribution 2.8 does not do: a front before a registry that does it by the spec.

Distribution-spec, "Listing Tags": in lexical order, `n` at a time, `last` excluded, and a Link to the next page.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit

from .registries import Registry, fetch


class Paging:
    """Answers lists of tags in pages, with what the registry has; `absolute` is how it names itself in a Link."""

    def __init__(self, registry: Registry, *, absolute: bool) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = parse_qs(parts.query)
                answer = fetch(f"{registry.url}{parts.path}")
                tags = sorted(json.loads(answer.body).get("tags") or [])
                last, number = query.get("last", [""])[0], int(query.get("n", ["1000"])[0])
                rest = [tag for tag in tags if tag > last]
                page = rest[:number]
                body = json.dumps({"name": "", "tags": page}).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if len(rest) > number:
                    more = {"last": page[-1], "n": number, "ns": query.get("ns", [""])[0]}
                    base = f"http://{self.headers['Host']}" if absolute else ""
                    self.send_header("Link", f'<{base}{parts.path}?{urlencode(more)}>; rel="next"')
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.authority = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="paging", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
