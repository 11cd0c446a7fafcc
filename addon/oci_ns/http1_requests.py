"""What mitmproxy does not limit of an HTTP/1 request: how long its head may be, and what stands between its chunks.

By itself mitmproxy reads a head that never ends, and a head of a million fields keeps everybody else waiting.
"""

from __future__ import annotations

from typing import Any

from mitmproxy.net.http import status_codes
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _base, _events, _http1

from oci_ns.http1_heads import Head

_codes: Any = _events
# What mitmproxy calls a client that is gone: a status in version 11, an ErrorCode since version 12.
_GONE: Any = (
    _codes.ErrorCode.CLIENT_DISCONNECTED if hasattr(_codes, "ErrorCode") else status_codes.CLIENT_CLOSED_REQUEST
)
HEAD_MAX = 2**17
"""In bytes. A token may have 64 KiB; nginx and HAProxy take no more than 32 KiB of all."""


class Server(_http1.Http1Server):
    """Reads requests."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._head = Head(HEAD_MAX)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        """Read the head of the request."""
        excess = self._head.excess(event, self.buf)
        if excess:
            message = f"the head of the request {excess}"
            yield commands.Log(message)
            yield commands.SendData(self.conn, _http1.make_error_response(431, message))
            yield from self._end()
            return
        for command in super().read_headers(event):
            if isinstance(command, _base.ReceiveHttp) and isinstance(command.event, _events.RequestHeaders):
                # What comes next may be here, and be read before this goes on.
                self._head.ends()
            yield command

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Read the body of the request."""
        yield from super().read_body(event)
        # Of the body itself nothing stays in the buffer.
        if self.state == self.read_body and len(self.buf) > HEAD_MAX:
            yield from self._break_off("a line between the chunks of the request is too long")

    def wait(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Wait for the answer; what the client sends meanwhile is of its next requests."""
        yield from super().wait(event)
        if self.state == self.wait and len(self.buf) > HEAD_MAX:
            yield from self._break_off("there are too many requests behind the one that is answered")

    def _break_off(self, message: str) -> layer.CommandGenerator[None]:
        yield from self._end()
        yield _base.ReceiveHttp(_events.RequestProtocolError(self.stream_id, message, _GONE))

    def _end(self) -> layer.CommandGenerator[None]:
        self.buf = type(self.buf)()
        self.state = self.done
        yield commands.CloseConnection(self.conn)


def install() -> None:
    """Have all requests from now on read in this way."""
    layers.Http1Server = Server  # type: ignore[attr-defined]
