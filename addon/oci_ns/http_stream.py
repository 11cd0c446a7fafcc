"""mitmproxy's HTTP streams, with a last word before a request leaves, and where its endpoint has failed unnoticed.

By itself mitmproxy says nothing when the head of a request leaves whose body is passed on, and fails where that is
answered already; keeps all of a body that comes while addons are at work; and answers for an endpoint that has failed
with a page of its own, which no registry client reads and no addon can replace.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, cast
from weakref import ReferenceType, WeakKeyDictionary, ref

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.flow import Error
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import http as layers
from mitmproxy.proxy.layers.http import _events, _hooks

from oci_ns.no_answer import CLIENT_GONE, as_of_endpoint, is_end_of_client
from oci_ns.unfit import PULL_BODY_MAX, is_pull

_codes: Any = _events
# What mitmproxy calls it: a status in version 11, an ErrorCode since version 12.
_TOO_LARGE: Any = _codes.ErrorCode.REQUEST_TOO_LARGE if hasattr(_codes, "ErrorCode") else 413
_streams: WeakKeyDictionary[http.HTTPFlow, ReferenceType[Stream]] = WeakKeyDictionary()


@dataclass
class NsLeavesHook(commands.StartHook):
    """Called before the head of a request leaves whose body is passed on as it comes: `ns_leaves(flow)`."""

    flow: http.HTTPFlow


@dataclass
class NsUnansweredHook(commands.StartHook):
    """Called where no answer came, or only a part of one that nobody has seen: `ns_unanswered(flow)`.

    `flow.error` says why, `flow.response` is None. A listener that sets `flow.response` has answered the request.
    """

    flow: http.HTTPFlow


class Stream(layers.HttpStream):
    """A request and its answer."""

    def __init__(self, context: Any, stream_id: int) -> None:
        super().__init__(context, stream_id)
        self.parts = 0
        """How many parts of the body were passed on."""
        self.given_up = ""
        """Why nobody waits for the endpoint any more; '' for as long as somebody does."""
        self._is_answered = False
        self._pushed = 0

    @property
    def progress(self) -> tuple[object, ...]:
        """Something that is another with everything that comes from the endpoint."""
        return (self.flow.server_conn, self.server_state.__name__, self.parts, len(self.response_body_buf))

    @property
    def is_unheard(self) -> bool:
        """Whether the whole request is here, and nothing of an answer has gone to the client."""
        waits = (self.state_wait_for_response_headers, self.state_consume_response_body)
        return bool(self.client_state == self.state_done and self.server_state in waits)

    def connection(self) -> Connection | None:
        """The connection which the answer is awaited on, or which is being made for that; None where there is none."""
        parent = cast(layers.HttpLayer, self.context.layers[self.context.layers.index(self) - 1])
        used: Connection = self.flow.server_conn
        for made, waiting in parent.waiting_for_establishment.items():
            if any(parent.command_sources.get(each) is self for each in waiting):
                used = made
        on = parent.connections.get(used)
        # Through a proxy on the way, it is the connection to that.
        return getattr(on, "tunnel_connection", used) if on is not None else None

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """As Layer.handle_event; of a pull's body, no more is kept than is carried."""
        if isinstance(event, _events.RequestData) and self._is_pulling():
            before, self._pushed = self._pushed, self._pushed + len(event.data)
            if self._paused and before > PULL_BODY_MAX:
                return _nothing()
        return super().handle_event(event)

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        too_much = self._pushed > PULL_BODY_MAX and isinstance(event, _events.RequestData)
        if too_much and self.client_state != self.state_errored and self.flow.response is None:
            return self._refuse_body()
        return cast("layer.CommandGenerator[None]", super()._handle_event(event))

    def _is_pulling(self) -> bool:
        # What comes behind the end of a request is another protocol's.
        return self.client_state != self.state_done and is_pull(self.flow.request.method, self.flow.request.path)

    def _refuse_body(self) -> layer.CommandGenerator[None]:
        self.flow.error = Error(f"a pull with a body of more than {PULL_BODY_MAX // 2**10} KiB")
        yield _hooks.HttpErrorHook(self.flow)
        failed = (self.stream_id, self.flow.error.msg, _TOO_LARGE)
        yield layers.SendHttp(_events.ResponseProtocolError(*failed), self.context.client)
        if self.client_state == self.state_stream_request_body:
            yield layers.SendHttp(_events.RequestProtocolError(*failed), self.context.server)
        self.client_state = self.server_state = self.state_errored
        self.flow.live = False

    def start_request_stream(self) -> layer.CommandGenerator[None]:
        """Pass the body on as it comes; of a request that is answered already, discard it."""
        if self.flow.response is not None:
            self.client_state = self.state_discard_request_body
            yield _hooks.HttpRequestHook(self.flow)
            if not (yield from self.check_killed(True)):
                yield from self._answer(self.flow.response)
            return
        yield NsLeavesHook(self.flow)
        if not (yield from self.check_killed(True)):
            yield from super().start_request_stream()

    def state_discard_request_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Wait for the end of the request, whose answer has been sent."""
        if isinstance(event, _events.RequestEndOfMessage):
            self.flow.request.timestamp_end = time.time()
            self.client_state = self.state_done
            yield from self.flow_done()

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        """Note who carries the flow, and connect."""
        _streams[self.flow] = ref(self)
        return super().make_server_connection()

    def state_stream_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Pass a part of the answer on."""
        self.parts += 1
        return self._broken_off(event) or super().state_stream_response_body(event)

    def state_consume_response_body(self, event: events.Event) -> layer.CommandGenerator[None]:
        """Keep a part of the answer."""
        return self._broken_off(event) or super().state_consume_response_body(event)

    def _broken_off(self, event: events.Event) -> layer.CommandGenerator[None] | None:
        # An answer that ends with its connection looks complete when that is ended here.
        if self.given_up and isinstance(event, _events.ResponseEndOfMessage):
            return self.handle_protocol_error(_no_answer(self.stream_id, self.given_up))
        return None

    def check_invalid(self, request: bool) -> layer.CommandGenerator[bool]:
        """As HttpStream.check_invalid; an answer that is refused is none."""
        return super().check_invalid(request) if request else self._check_answer()

    def _check_answer(self) -> layer.CommandGenerator[bool]:
        for command in super().check_invalid(False):
            if isinstance(command, _hooks.HttpErrorHook) and self.flow.error is not None:
                yield from self.handle_protocol_error(_no_answer(self.stream_id, self.flow.error.msg))
                self.server_state = self.state_errored
                return True
            yield command
        return False

    def handle_protocol_error(self, event: Any) -> layer.CommandGenerator[None]:
        """As HttpStream.handle_protocol_error, but ask first whether somebody else has an answer."""
        if self.client_state == self.state_discard_request_body:
            # What has been answered is waited for no more, though mitmproxy says so behind `start_request_stream`.
            self.server_state = self.state_errored
        if isinstance(event, _events.ResponseProtocolError):
            self._forget_failed_connections()
            if self._is_answered:
                return
            event.message = self.given_up or as_of_endpoint(event.message)
            if not self.context.client.connected:
                # What had to wait for the endpoint ends with the client, and looks as if the endpoint had ended it.
                event.message = CLIENT_GONE
            elif self.is_unheard:
                self.flow.response = None
                self.response_body_buf.clear()
                self.flow.error = Error(event.message)
                self.server_state = self.state_wait_for_response_headers
                yield NsUnansweredHook(self.flow)
                if (yield from self.check_killed(True)):
                    return
                if self.flow.response is not None:
                    yield from self._answer(self.flow.response)
                    return
        elif is_end_of_client(event.message):
            event.message = CLIENT_GONE
        yield from super().handle_protocol_error(event)

    def _forget_failed_connections(self) -> None:
        """Have them made anew: as long as a client stays, mitmproxy tries each only once, and endpoints come back."""
        parent = cast(layers.HttpLayer, self.context.layers[self.context.layers.index(self) - 1])
        for connection in parent.connections:
            if connection.error and not connection.connected:
                connection.error = None

    def _answer(self, response: http.Response) -> layer.CommandGenerator[None]:
        self.flow.error = None
        self._is_answered = True
        response.timestamp_start = time.time()
        yield _hooks.HttpResponseHeadersHook(self.flow)
        if (yield from self.check_killed(True)):
            return
        yield from self.send_response()
        # What may still come of the answer that failed is for nobody.
        self.server_state = self.state_errored


def _nothing() -> layer.CommandGenerator[None]:
    yield from ()


def _no_answer(stream_id: int, message: str) -> _events.ResponseProtocolError:
    return _events.ResponseProtocolError(stream_id, message, _events.ResponseProtocolError.code)


def stream_of(flow: http.HTTPFlow) -> Stream | None:
    """Who carries the flow; None where nobody does, or not yet."""
    found = _streams.get(flow)
    return found() if found is not None else None


def install() -> None:
    """Have all requests from now on carried in this way."""
    layers.HttpStream = Stream  # type: ignore[misc]
