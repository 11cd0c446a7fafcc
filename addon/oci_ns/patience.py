"""How long an endpoint may be silent: requests under way are looked at every now and then, and given up.

A timer for each request would cost each of them more than all the looks together.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from mitmproxy import ctx, http
from mitmproxy.proxy.server import ConnectionHandler

from oci_ns.http_stream import Stream, stream_of

_LOOKS = 4
"""How many looks there are within the time; at least one each second."""
_RESET = struct.pack("ii", 1, 0)
"""struct linger: close sends RST (socket(7), SO_LINGER)."""


@dataclass(slots=True)
class _Waiting:
    progress: tuple[object, ...]
    since: float


class Patience:
    """Belongs to one event loop. `now` is a clock in seconds that never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.limit = 0
        """In seconds; 0 is for ever."""
        self._now = now
        self._waiting: WeakKeyDictionary[http.HTTPFlow, _Waiting] = WeakKeyDictionary()
        self._given_up: WeakKeyDictionary[http.HTTPFlow, None] = WeakKeyDictionary()
        self._looking: asyncio.Task[None] | None = None

    def begin(self, flow: http.HTTPFlow) -> None:
        """The request is about to leave."""
        if self.limit:
            self._waiting[flow] = _Waiting((), self._now())
            if self._looking is None:
                self._looking = asyncio.get_running_loop().create_task(self._look())

    def end(self, flow: http.HTTPFlow) -> None:
        """The request has its answer, or will have none."""
        self._waiting.pop(flow, None)

    def has_given_up(self, flow: http.HTTPFlow) -> bool:
        """Whether it failed because nobody wanted to wait any longer."""
        return flow in self._given_up

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        while self._waiting:
            await asyncio.sleep(min(1.0, self.limit / _LOOKS))
            if not self.limit:
                # Meanwhile there is none.
                self._waiting.clear()
            for flow in list(self._waiting):
                self._look_at(flow, self.limit)
        self._looking = None

    def _look_at(self, flow: http.HTTPFlow, limit: int) -> None:
        waiting, stream, handler = self._waiting.get(flow), stream_of(flow), _handler_of(flow)
        if waiting is None or stream is None or handler is None:
            return
        progress = stream.progress
        if progress != waiting.progress or _waits_for_others(stream, handler):
            waiting.progress, waiting.since = progress, self._now()
        elif self._now() - waiting.since >= limit:
            self.end(flow)
            self._given_up[flow] = None
            _give_up(stream, handler, f"no answer within {limit} s" if stream.is_unheard else f"silent for {limit} s")


def _handler_of(flow: http.HTTPFlow) -> ConnectionHandler | None:
    found: ConnectionHandler | None = ctx.master.addons.get("proxyserver").connections.get(flow.client_conn.id)
    return found


def _waits_for_others(stream: Stream, handler: ConnectionHandler) -> bool:
    """Whether it is not the endpoint's turn: the client does not take what is there, or connections are made first."""
    client = handler.transports.get(stream.flow.client_conn)
    writer = client.writer if client is not None else None
    if isinstance(writer, asyncio.StreamWriter) and writer.transport.get_write_buffer_size():
        return True
    connection = stream.connection()
    return connection is None or connection.timestamp_start is None


def _give_up(stream: Stream, handler: ConnectionHandler, reason: str) -> None:
    """End the connection to the endpoint, with which all requests on it end."""
    stream.given_up = reason
    connection = stream.connection()
    transport = handler.transports.get(connection) if connection is not None else None
    response = stream.flow.response
    if response is not None and not stream.is_unheard and _ends_with_the_connection(response):
        _end_by_reset(handler, stream)
    if transport is not None and transport.handler is not None:
        transport.handler.cancel(reason)


def _ends_with_the_connection(response: http.Response) -> bool:
    return "content-length" not in response.headers and "transfer-encoding" not in response.headers


def _end_by_reset(handler: ConnectionHandler, stream: Stream) -> None:
    """Else the end of the connection would be the end of the answer, and all of it there."""
    client = handler.transports.get(stream.flow.client_conn)
    if client is not None and isinstance(client.writer, asyncio.StreamWriter):
        connection = client.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
