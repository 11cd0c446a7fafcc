"""A request that its endpoint leaves without an answer: what becomes of it is asked before the client hears of that.

By itself mitmproxy answers 502 when an endpoint ends while a request is on its way there, and an addon can only watch.
With `install`, there is the hook `ns_unanswered` before that, for requests of which the client has seen nothing yet and
which may be sent twice: GET and HEAD without a body (RFC 9110, section 9.2.2). And what could not be connected to is
connected to again, for the next request.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from mitmproxy import http
from mitmproxy.proxy import commands

_Commands = Generator[commands.Command, Any, None]


@dataclass(slots=True)
class Unanswered:
    """A flow without an answer, and why there is none.

    Whoever sets `response` has answered it. Whoever sets `again` has made the request one for another endpoint, and it
    is sent there; there may be no answer again. Where neither is set, the client hears of it as it always did.
    """

    flow: http.HTTPFlow
    message: str
    response: http.Response | None = None
    again: bool = False


@dataclass
class NsUnansweredHook(commands.StartHook):
    """There is no answer: `ns_unanswered(unanswered)`."""

    unanswered: Unanswered


def install() -> None:
    """Have mitmproxy ask from now on. Installing twice is the same as once."""
    # Its layers are loaded by whoever serves, in a way of its own (`unchecked`).
    layers: Any = importlib.import_module("mitmproxy.proxy.layers.http")
    former = layers.HttpStream.handle_protocol_error
    if getattr(former, "asks", False):
        return

    def handle_protocol_error(stream: Any, event: Any) -> _Commands:
        is_of_endpoint = isinstance(event, layers.ResponseProtocolError)
        if is_of_endpoint:
            _forget_failed(stream)
        if is_of_endpoint and _may_be_sent_again(stream):
            asked = Unanswered(stream.flow, event.message)
            yield NsUnansweredHook(asked)
            if (yield from stream.check_killed(True)):
                return
            if asked.again or asked.response is not None:
                stream.flow.response = asked.response
                # What had come of an answer.
                stream.response_body_buf.clear()
                stream.server_state = stream.state_wait_for_response_headers
                proceed = _send_again if asked.response is None else _respond
                yield from proceed(layers, stream)
                return
        yield from former(stream, event)

    handle_protocol_error.asks = True  # type: ignore[attr-defined]
    layers.HttpStream.handle_protocol_error = handle_protocol_error


def _send_again(layers: Any, stream: Any) -> _Commands:
    if (yield from stream.make_server_connection()):
        server = stream.context.server
        head = layers.RequestHeaders(stream.stream_id, stream.flow.request, end_stream=True)
        yield layers.SendHttp(head, server)
        yield layers.SendHttp(layers.RequestEndOfMessage(stream.stream_id), server)


def _respond(layers: Any, stream: Any) -> _Commands:
    yield layers.HttpResponseHeadersHook(stream.flow)
    if not (yield from stream.check_killed(True)):
        yield from stream.send_response()


def _may_be_sent_again(stream: Any) -> bool:
    """Whether the client has seen nothing of an answer, and sent nothing that must not be sent twice."""
    if stream.client_state != stream.state_done:
        return False
    if stream.server_state not in (stream.state_wait_for_response_headers, stream.state_consume_response_body):
        return False
    flow = stream.flow
    return flow.request.method in ("GET", "HEAD") and not flow.request.raw_content and flow.error is None


def _forget_failed(stream: Any) -> None:
    """Have connections made anew that could not be made: as long as a client stays, mitmproxy tries each only once.

    The endpoint may be back when this client asks again.
    """
    parent = stream.context.layers[stream.context.layers.index(stream) - 1]
    for connection in parent.connections:
        if connection.error and not connection.connected:
            connection.error = None
