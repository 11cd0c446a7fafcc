"""What mitmproxy does not know of an HTTP/1 answer: interim responses, and how long a head may be.

By itself mitmproxy takes an interim response for the answer, and reads a head that never ends.
"""

from __future__ import annotations

from mitmproxy import http
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _base, _events, _http1

from oci_ns.http1_heads import Head

HEAD_MAX = 2**20
"""In bytes. Go's own client takes ten times as much, most servers make no more than a hundredth of it."""
_WEB_SOCKET_VERSION = "13"
"""The only one (RFC 6455, section 4.1)."""


class Client(_http1.Http1Client):
    """Reads answers."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._head = Head(HEAD_MAX)

    def read_headers(self, event: events.ConnectionEvent) -> layer.CommandGenerator[None]:
        """Read the head of the answer.

        What comes before it is not passed on: the one interim response that a client may have asked for, 100, it has
        got already (RFC 9110, section 15.2, lets a proxy keep what it asked for itself).
        """
        if self.request is None and self.buf and isinstance(event, events.DataReceived):
            # mitmproxy would write all of it into the log.
            yield commands.Log(f"{len(self.buf)} bytes from a server that was not asked for them")
            yield commands.CloseConnection(self.conn)
            self.buf = type(self.buf)()
            self.state = self.done
            return
        while True:
            excess = self._head.excess(event, self.buf)
            if excess:
                yield from self._break_off(f"the head of the answer {excess}")
                return
            interim = False
            for command in super().read_headers(event):
                if _head_in(command) is not None:
                    self._head.ends()
                if self._is_unasked_switch(command):
                    yield from self._break_off("the endpoint speaks another protocol, which nobody asked for")
                    return
                if _is_interim(command):
                    interim = True
                    break
                yield command
            if not interim:
                break
            self.response = None
            event = events.DataReceived(self.conn, b"")

    def read_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Read the body of the answer; what comes behind it while the request is still under way is no part of it."""
        if self.response_done:
            yield from self._after_the_answer(event)
            return
        yield from super().read_body(event)
        # Of the body itself nothing stays in the buffer.
        if self.state == self.read_body and len(self.buf) > HEAD_MAX:
            yield from self._break_off(f"more than {HEAD_MAX // 2**10} KiB of the answer are no part of its body")

    def _is_unasked_switch(self, command: commands.Command) -> bool:
        """Whether the endpoint makes the connection a tunnel that nobody reads, and that is no WebSocket."""
        request, response = self.request, _head_in(command)
        if request is None or response is None or response.status_code != 101:
            return False
        version = request.headers.get("Sec-WebSocket-Version", "")
        named = {headers.get("Upgrade", "").strip().lower() for headers in (request.headers, response.headers)}
        is_web_socket = named == {"websocket"} and version == _WEB_SOCKET_VERSION
        return not (is_web_socket and self.context.options.websocket)

    def _break_off(self, message: str) -> layer.CommandGenerator[None]:
        yield commands.CloseConnection(self.conn)
        if self.stream_id is not None:
            code = _events.ResponseProtocolError.code
            yield _base.ReceiveHttp(_events.ResponseProtocolError(self.stream_id, message, code))
        self.buf = type(self.buf)()
        self.state = self.done

    def _after_the_answer(self, event: events.Event) -> layer.CommandGenerator[None]:
        # mitmproxy would hang up on the client, which then might never see the answer.
        self.buf = type(self.buf)()
        if isinstance(event, events.ConnectionClosed):
            yield commands.CloseConnection(self.conn)


def _is_interim(command: commands.Command) -> bool:
    response = _head_in(command)
    return response is not None and 100 <= response.status_code < 200 and response.status_code != 101


def _head_in(command: commands.Command) -> http.Response | None:
    if isinstance(command, _base.ReceiveHttp) and isinstance(command.event, _events.ResponseHeaders):
        return command.event.response
    return None


def install() -> None:
    """Have all answers from now on read in this way."""
    layers.Http1Client = Client  # type: ignore[attr-defined]
