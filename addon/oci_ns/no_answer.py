"""Why an endpoint gave no answer: mitmproxy's words for it, in the addon's own."""

from __future__ import annotations

import errno
import os
import re

from mitmproxy import http

CLIENT_GONE = "Client disconnected."
"""Where it was not the endpoint that ended the connection."""
_CLOSED = "server closed connection"
_CLOSED_HTTP_2 = re.compile("peer closed connection|HTTP/2 connection closed: .*", re.DOTALL).fullmatch
_reset = re.compile(r"stream reset by (?:client|server) \((\w+)\)").fullmatch
_HALF_A_HEAD = "unexpected server response: "
_NO_HTTP = ("Cannot parse HTTP response: ", "HTTP/1 protocol error: ")
_not_connected = re.compile(r"(?:Multiple exceptions: )?\[Errno ([0-9]+)\]").match
"""asyncio's words, also for a name with several addresses."""
_REFUSED = ", refusing to prevent request smuggling attacks"
_LENGTH_MAX = 200
"""In characters: what the endpoint sent may be quoted in it."""


def reason_of(message: str) -> str:
    """What mitmproxy says, as it may be shown to a client: on one line, and not long."""
    if _is_closed(message) or message.startswith(_HALF_A_HEAD):
        return "the connection is closed before the answer is complete"
    reset = _reset(message)
    if reset is not None:
        return f"the answer is broken off: {reset[1]}"
    failed = _not_connected(message)
    if failed is not None:
        return f"cannot connect: {os.strerror(int(failed[1])).lower()}"
    for mark in _NO_HTTP:
        if message.startswith(mark):
            message = f"the answer is not HTTP, or not complete: {message.removeprefix(mark)}"
    message = " ".join(message.partition(_REFUSED)[0].split())
    return message if len(message) <= _LENGTH_MAX else f"{message[:_LENGTH_MAX]}…"


def cost_of(message: str, seconds: float) -> float:
    """Seconds it takes to find that out, where `seconds` passed until it was: a refusal comes at once.

    That a busy process takes its time to see it says nothing of what it costs.
    """
    failed = _not_connected(message)
    return 0.0 if failed is not None and int(failed[1]) == errno.ECONNREFUSED else seconds


def as_of_endpoint(message: str) -> str:
    """What mitmproxy says of an endpoint that has broken off, which it calls a client, too."""
    return message.replace("stream reset by client", "stream reset by server", 1) if _reset(message) else message


def is_end_of_client(message: str) -> bool:
    """Whether a request is broken off because the client has ended it, or its connection, as mitmproxy tells it."""
    return _CLOSED_HTTP_2(message) is not None or _reset(message) is not None


def is_stale(flow: http.HTTPFlow) -> bool:
    """Whether the endpoint only closed a connection that was idle before, so that the request may be sent again.

    RFC 9112, section 9.3.1, and RFC 9113, section 8.7: for methods that are idempotent.
    """
    opened = flow.server_conn.timestamp_start
    closed = flow.error is not None and _is_closed(flow.error.msg)
    return closed and opened is not None and opened < flow.request.timestamp_start


def _is_closed(message: str) -> bool:
    return message == _CLOSED or _CLOSED_HTTP_2(message) is not None
