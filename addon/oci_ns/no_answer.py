"""Why an endpoint gave no answer: mitmproxy's words for it, in the addon's own."""

from __future__ import annotations

import os
import re

from mitmproxy import http

CLIENT_GONE = "Client disconnected."
"""Where it was not the endpoint that ended the connection."""
_CLOSED = "server closed connection"
_HALF_A_HEAD = "unexpected server response: "
_NO_HTTP = ("Cannot parse HTTP response: ", "HTTP/1 protocol error: ")
_not_connected = re.compile(r"(?:Multiple exceptions: )?\[Errno ([0-9]+)\]").match
"""asyncio's words, also for a name with several addresses."""
_REFUSED = ", refusing to prevent request smuggling attacks"
_LENGTH_MAX = 200
"""In characters: what the endpoint sent may be quoted in it."""


def reason_of(message: str) -> str:
    """What mitmproxy says, as it may be shown to a client: on one line, and not long."""
    if message == _CLOSED or message.startswith(_HALF_A_HEAD):
        return "the connection is closed before the answer is complete"
    failed = _not_connected(message)
    if failed is not None:
        return f"cannot connect: {os.strerror(int(failed[1])).lower()}"
    for mark in _NO_HTTP:
        if message.startswith(mark):
            message = f"the answer is not HTTP, or not complete: {message.removeprefix(mark)}"
    message = " ".join(message.partition(_REFUSED)[0].split())
    return message if len(message) <= _LENGTH_MAX else f"{message[:_LENGTH_MAX]}…"


def is_stale(flow: http.HTTPFlow) -> bool:
    """Whether the endpoint only closed a connection that was idle before, so that the request may be sent again.

    RFC 9112, section 9.3.1: for methods that are idempotent.
    """
    opened = flow.server_conn.timestamp_start
    closed = flow.error is not None and flow.error.msg == _CLOSED
    return closed and opened is not None and opened < flow.request.timestamp_start
