"""Every connection of mitmproxy's is closed when nobody reads it any more.

By itself mitmproxy leaves one open whose task is cancelled while it waits for its turn to tell what it has read; with
eager tasks (mitmproxy 12) that is every endpoint that is hung up on while it still sends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from mitmproxy.connection import Connection
from mitmproxy.proxy.server import ConnectionHandler

_Handle = Callable[[ConnectionHandler, Connection], Coroutine[Any, Any, None]]


def closing(handle: _Handle) -> _Handle:
    """The same as `handle`, and the connection is closed at its end, however it ends."""

    @functools.wraps(handle)
    async def handle_and_close(handler: ConnectionHandler, connection: Connection) -> None:
        try:
            await handle(handler, connection)
        finally:
            left = handler.transports.pop(connection, None)
            if left is not None and left.writer is not None:
                left.writer.close()

    return handle_and_close


def install() -> None:
    """Have all connections from now on end so."""
    if not hasattr(ConnectionHandler.handle_connection, "__wrapped__"):
        ConnectionHandler.handle_connection = closing(ConnectionHandler.handle_connection)  # type: ignore[method-assign, assignment]
